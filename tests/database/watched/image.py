"""The reports on images and videos."""

from datetime import timedelta

from avatarlab_cli.queries import image_summary, images, moderation
from avatarlab_cli.queries import videos as films
from tests.database.watching import NOW, SPAN, Case
from tests.reference import image
from tests.reference.image import Key

DAY = timedelta(days=1)
KEYS: dict[str, Key] = {
    "provider": image.of_provider,
    "type": lambda row: row["generation_type"],
    "user": lambda row: row["user_id"],
    "day": lambda row: row["created_at"].date(),
}


def _volume(by: str, key: Key) -> Case:
    return Case(
        "image volume",
        lambda connection: images.volume(connection, SPAN, by),
        image.volume(by, key),
        label=by,
    )


def _videos(by: str, key: Key) -> Case:
    return Case(
        "image videos",
        lambda connection: films.outcome(connection, SPAN, by),
        image.videos(by, key),
        label=by,
    )


def _list(wanted: images.Wanted, fits: image.Fits, label: str = "") -> Case:
    return Case(
        "image list", lambda connection: images.listing(connection, wanted), image.listing(fits), label=label
    )


CASES = (
    Case("image summary", lambda connection: image_summary.summary(connection, SPAN), image.summary),
    *(_volume(by, key) for by, key in {**KEYS, "model": image.model}.items()),
    *(_videos(by, key) for by, key in {**KEYS, "model": lambda row: row["model"]}.items()),
    Case("image stuck", lambda connection: films.stuck(connection, NOW, NOW - DAY), image.stuck),
    _list(images.Wanted(), image.every),
    _list(
        images.Wanted(is_flagged=True, since=NOW - 200 * DAY),
        lambda row: row.get("is_flagged") is True and row["created_at"] >= NOW - 200 * DAY,
        "flagged since",
    ),
    _list(
        images.Wanted(provider="KIE-nano-banana", moderation="approved"),
        lambda row: (
            (row["provider"] or "").lower() == "kie-nano-banana"
            and row.get("moderation_status") == "approved"
        ),
        "provider and moderation",
    ),
    Case("image queue", moderation.image_queue, image.queue),
)
