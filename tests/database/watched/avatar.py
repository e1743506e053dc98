"""The reports on avatars."""

from datetime import timedelta

from avatarlab_cli.queries import avatar_due, avatar_list, avatar_summary, moderation
from tests.database.watching import NOW, SPAN, Case
from tests.reference import avatar
from tests.reference.image import Fits, every

MONTH = timedelta(days=30)


def _list(wanted: avatar_list.Wanted, fits: Fits, label: str = "") -> Case:
    return Case(
        "avatar list",
        lambda connection: avatar_list.listing(connection, wanted),
        avatar.listing(fits),
        label=label,
    )


CASES = (
    Case("avatar summary", lambda connection: avatar_summary.summary(connection, SPAN), avatar.summary),
    _list(avatar_list.Wanted(), every),
    _list(
        avatar_list.Wanted(status="active", is_public=True),
        lambda row: row["status"] == "active" and row["is_public"] is True,
        "public",
    ),
    _list(
        avatar_list.Wanted(is_flagged=True, search="_"),
        lambda row: row.get("is_flagged") is True and "_" in row["name"],
        "flagged named",
    ),
    Case("avatar due", lambda connection: avatar_due.due(connection, NOW, NOW + MONTH), avatar.due),
    Case("avatar queue", moderation.avatar_queue, avatar.queue),
)
