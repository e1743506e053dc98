"""The patterns avatars have learned from chats: which are used most, whose they are, and which are new."""

from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import demand, period
from avatarlab_cli.queries.dividing import Counted, divided, labels
from avatarlab_cli.queries.platform import Platform, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.conversations import conversation_patterns
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Span

DIMENSIONS = ("avatar", "type", "week")
NOT_RECORDED = "a pattern's row tells how often it was used in all and when last, not how often at which time"


def patterns(connection: sa.Connection, avatar_id: UUID | None = None) -> Report:
    """List the patterns, the most used first; what was said is not shown, that is what the search is for."""
    platform = Platform(connection)
    own, avatar, owner = platform[conversation_patterns], platform[avatars], platform[users]
    joined = own.outerjoin(avatar, avatar.c.id == own.c.avatar_id).outerjoin(
        owner, owner.c.id == own.c.user_id
    )
    return platform.report(
        sa.select(
            own.c.id.label("pattern_id"),
            sa.func.array_to_string(own.c.trigger_words, ", ").label("triggers"),
            own.c.pattern_type.label("type"),
            avatar.c.name.label("avatar"),
            own.c.avatar_id,
            owner.c.email,
            own.c.usage_count.label("uses"),
            own.c.success_rate,
            own.c.created_at,
            own.c.updated_at.label("last_used"),
        )
        .select_from(joined)
        .where(*(() if avatar_id is None else (own.c.avatar_id == avatar_id,))),
        (
            Column("pattern_id", Kind.ID, "the pattern", wide=True),
            Column("triggers", Kind.TEXT, "the words it answers to"),
            Column("type", Kind.TEXT, "greeting, question, casual, formal or general"),
            Column("avatar", Kind.TEXT, "the avatar that learned it"),
            Column("avatar_id", Kind.ID, "its UUID", wide=True),
            Column("email", Kind.TEXT, "the user whose chats it is from", wide=True, null="-"),
            Column("uses", Kind.INTEGER, "how often it was used"),
            Column("success_rate", Kind.PERCENT, "as the platform keeps it; neutral use counts as 80 %"),
            Column("created_at", Kind.TIME, "when it was learned", wide=True),
            Column("last_used", Kind.TIME, "when it was last changed, which each use does"),
        ),
        sort="-uses,pattern_id",
        notes=(NOT_RECORDED,),
        empty="Nothing was learned.",
    )


def divided_patterns(connection: sa.Connection, span: Span, by: str, avatar_id: UUID | None = None) -> Report:
    """Report how many patterns there are and were new or used last in the time; raises UsageError."""
    demand(by, DIMENSIONS, "patterns")
    platform = Platform(connection)
    own = platform[conversation_patterns]
    of_avatar = () if avatar_id is None else (own.c.avatar_id == avatar_id,)
    if by == "week":
        return _weeks(platform, own, span, of_avatar)
    figures = divided(
        platform,
        Counted(
            own,
            own.c.avatar_id if by == "avatar" else own.c.pattern_type,
            of_avatar,
            {
                "patterns": sa.func.count(),
                "new": sa.func.count().filter(within(own.c.created_at, span)),
                "used": sa.func.count().filter(within(own.c.updated_at, span)),
            },
            {
                "uses": sa.func.sum(own.c.usage_count),
                "average_success": sa.func.round(sa.func.avg(own.c.success_rate), 6),
                "last_used": sa.func.max(own.c.updated_at),
            },
        ),
    )
    named = labels(platform, by, figures)
    names = ("patterns", "uses", "new", "used", "average_success", "last_used")
    return platform.report(
        sa.select(*named.select, *(figures.c[name] for name in names)).select_from(named.rows),
        (
            *named.columns,
            Column("patterns", Kind.INTEGER, "patterns there are", total=True),
            Column("uses", Kind.INTEGER, "how often they were used, ever", total=True),
            Column("new", Kind.INTEGER, "learned in the time", total=True),
            Column("used", Kind.INTEGER, "last used in the time", total=True),
            Column("average_success", Kind.PERCENT, "on average, as the platform keeps it", wide=True),
            Column("last_used", Kind.TIME, "the latest change of one, which each use is"),
        ),
        sort=f"-uses,{'avatar_id' if by == 'avatar' else by}",
        notes=(NOT_RECORDED,),
        empty="Nothing was learned.",
    )


def _weeks(
    platform: Platform, own: sa.FromClause, span: Span, of_avatar: tuple[sa.ColumnElement[bool], ...]
) -> Report:
    sources = [
        Counted(
            own,
            period(moment, "week"),
            (within(moment, span), *of_avatar),
            {name: sa.func.count()},
        )
        for name, moment in (("new", own.c.created_at), ("used", own.c.updated_at))
    ]
    figures = divided(platform, *sources, periods=(span, "week"))
    named = labels(platform, "week", figures)
    return platform.report(
        sa.select(*named.select, figures.c.new, figures.c.used),
        (
            *named.columns,
            Column("new", Kind.INTEGER, "patterns learned in the week", total=True),
            Column("used", Kind.INTEGER, "patterns used in the week, and not since", total=True),
        ),
        sort="week",
        notes=(NOT_RECORDED,),
    )
