"""The table system_logs, which today's app does not write."""

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.platform import Expression, Platform, within
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema import system
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Span

LEVELS = ("debug", "info", "warn", "error")
UNUSED = "today's app does not write system_logs: that nothing is here does not mean that nothing went wrong"


def logs(
    connection: sa.Connection,
    span: Span,
    *,
    level: str | None = None,
    category: str | None = None,
    user: UserName | None = None,
) -> Report:
    """Report the entries of the time, the latest first; raises UsageError for a level there is not."""
    if level is not None and level not in LEVELS:
        raise UsageError(f"{level!r} is not a level", hint=f"levels: {', '.join(LEVELS)}")
    platform = Platform(connection)
    log, owner = platform[system.system_logs], platform[users]
    asked: list[Expression] = [within(log.c.created_at, span)]
    asked += [] if level is None else [log.c.level == level]
    asked += [] if category is None else [log.c.category == category]
    asked += [] if user is None else [log.c.user_id == user.id]
    return platform.report(
        sa.select(
            log.c.id,
            log.c.created_at,
            log.c.level,
            log.c.category,
            owner.c.email,
            log.c.message,
            log.c.metadata,
            log.c.user_id,
            log.c.session_id,
        )
        .select_from(log.outerjoin(owner, owner.c.id == log.c.user_id))
        .where(*asked),
        (
            Column("id", Kind.ID, "the entry", wide=True),
            Column("created_at", Kind.TIME, "when it was written"),
            Column("level", help=f"one of {', '.join(LEVELS)}"),
            Column("category", help="what it is about"),
            Column("email", help="whom it concerns", null="-"),
            Column("message", help="what it says"),
            Column("metadata", Kind.JSON, "and more of it", wide=True, null="-"),
            Column("user_id", Kind.ID, "whom it concerns", wide=True, null="-"),
            Column("session_id", Kind.ID, "in which session", wide=True, null="-"),
        ),
        sort="-created_at",
        notes=(UNUSED,),
        empty="There is no such entry.",
    )
