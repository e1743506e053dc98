"""Where one user is logged in."""

import sqlalchemy as sa

from avatarlab_cli.errors import NotFoundError
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.availability import demand_access
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.supabase import sessions as own

_TABLE = "auth.sessions"


def sessions(connection: sa.Connection, user: UserName) -> Report:
    """Report a user's sessions, without what would let anybody use one.

    Raises NotFoundError where the database has none of anybody, NotPermittedError where they cannot be read.
    """
    live = probe(connection)
    if not live.has(_TABLE):
        raise NotFoundError(
            f"{_TABLE} is missing, so sessions are not known",
            hint="`avatarlab db status` tells what is there",
        )
    demand_access(live, [_TABLE])
    return Report(
        sa.select(
            own.c.id.label("session"),
            own.c.created_at,
            own.c.refreshed_at,
            sa.func.host(own.c.ip).label("ip"),
            own.c.user_agent,
            own.c.not_after,
        ).where(own.c.user_id == user.id),
        (
            Column("session", Kind.ID, "the session", wide=True),
            Column("created_at", Kind.TIME, "when it began"),
            Column("refreshed_at", Kind.TIME, "when it was last renewed", null="-"),
            Column("ip", Kind.TEXT, "from where", null="-"),
            Column("user_agent", Kind.TEXT, "with which program", null="-"),
            Column("not_after", Kind.TIME, "when it ends at the latest", null="-"),
        ),
        sort="-created_at",
        empty=f"{user.email or user.id} is not logged in.",
    )
