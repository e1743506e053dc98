"""Exchanges with avatars: over the API and WhatsApp, which `conversations` holds, and in the web chat.

Of the web chat each exchange is a neutral row of `conversation_feedback`; a rating is a second row of the same.
"""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import demand, period
from avatarlab_cli.queries.dividing import CALENDAR, Counted, divided, labels
from avatarlab_cli.queries.platform import Expression, Platform, share, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.conversations import (
    conversation_feedback,
    conversation_patterns,
    conversations,
)
from avatarlab_cli.timeframe import Span

DIMENSIONS = ("day", "week", "month", "channel", "avatar", "user")
API, WEB = "api", "web"
_FAILED = "an exchange that failed leaves no row: there is no error rate to tell"
_SUMMARY = (
    Column("api_exchanges", Kind.INTEGER, "exchanges over WhatsApp and the API"),
    Column("api_exchanges_30d", Kind.INTEGER, "of the last 30 days"),
    Column("customers", Kind.INTEGER, "end customers in them, by phone number"),
    Column("customers_30d", Kind.INTEGER, "of the last 30 days"),
    Column("last_api_exchange", Kind.TIME, "the latest"),
    Column("web_exchanges", Kind.INTEGER, "exchanges in the web chat"),
    Column("web_exchanges_30d", Kind.INTEGER, "of the last 30 days"),
    Column("web_users_30d", Kind.INTEGER, "users who chatted there"),
    Column("last_web_exchange", Kind.TIME, "the latest"),
    Column("good", Kind.INTEGER, "answers rated good"),
    Column("bad", Kind.INTEGER, "answers rated bad"),
    Column("rate", Kind.PERCENT, "good of all that are rated"),
    Column("good_30d", Kind.INTEGER, "answers rated good in the last 30 days"),
    Column("bad_30d", Kind.INTEGER, "answers rated bad"),
    Column("rate_30d", Kind.PERCENT, "good of all that are rated"),
    Column("patterns", Kind.INTEGER, "learned patterns"),
    Column("patterns_used_30d", Kind.INTEGER, "of which last used in the last 30 days"),
)


def summary(connection: sa.Connection, span: Span) -> Report:
    """Report exchanges by channel, ratings and patterns, in all and in the time."""
    platform = Platform(connection)
    api, web, learned = _api_totals(platform, span), _web_totals(platform, span), _patterns(platform, span)
    rates = {
        "rate": share(web.c.good, web.c.good + web.c.bad),
        "rate_30d": share(web.c.good_30d, web.c.good_30d + web.c.bad_30d),
    }
    figures = {**{c.name: c for part in (api, web, learned) for c in part.c}, **rates}
    return platform.report(
        sa.select(*(figures[column.name].label(column.name) for column in _SUMMARY)).select_from(
            api.join(web, sa.true()).join(learned, sa.true())
        ),
        _SUMMARY,
        single=True,
        notes=(_FAILED,),
    )


def _api_totals(platform: Platform, span: Span) -> sa.Subquery:
    own = platform[conversations]
    recent, customer = within(own.c.timestamp, span), own.c.phone_number.distinct()
    return sa.select(
        platform.count(own.c.id).label("api_exchanges"),
        platform.count(own.c.id, recent).label("api_exchanges_30d"),
        platform.count(customer).label("customers"),
        platform.count(customer, recent).label("customers_30d"),
        platform.known(sa.func.max(own.c.timestamp)).label("last_api_exchange"),
    ).subquery("api")


def _web_totals(platform: Platform, span: Span) -> sa.Subquery:
    own = platform[conversation_feedback]
    recent, is_exchange = within(own.c.created_at, span), own.c.feedback == "neutral"
    ratings = [
        platform.count(own.c.id, own.c.feedback == rating, *when).label(rating + suffix)
        for rating in ("good", "bad")
        for suffix, when in (("", ()), ("_30d", (recent,)))
    ]
    return sa.select(
        platform.count(own.c.id, is_exchange).label("web_exchanges"),
        platform.count(own.c.id, is_exchange, recent).label("web_exchanges_30d"),
        platform.count(own.c.user_id.distinct(), is_exchange, recent).label("web_users_30d"),
        platform.known(sa.func.max(own.c.created_at).filter(is_exchange)).label("last_web_exchange"),
        *ratings,
    ).subquery("web")


def _patterns(platform: Platform, span: Span) -> sa.Subquery:
    own = platform[conversation_patterns]
    return sa.select(
        platform.count(own.c.id).label("patterns"),
        platform.count(own.c.id, within(own.c.updated_at, span)).label("patterns_used_30d"),
    ).subquery("learned")


@dataclass(frozen=True)
class Channel:
    """One channel's exchanges: their rows, which of them are exchanges in the time, and whom they were with."""

    name: str
    rows: sa.FromClause
    id: Expression
    at: Expression
    avatar_id: Expression
    user_id: Expression
    person: Expression
    conditions: tuple[Expression, ...]

    def key(self, by: str) -> Expression:
        """Return what the dimension divides the rows by."""
        if by in CALENDAR:
            return period(self.at, by)
        return self.user_id if by == "user" else self.avatar_id


def channels(platform: Platform, span: Span, by: str, avatar_id: UUID | None) -> tuple[Channel, Channel]:
    """Return both channels' exchanges in the time; rows of the API tell their user by their avatar alone."""
    sent, chat = platform[conversations], platform[conversation_feedback]
    rows: sa.FromClause = sent
    owner: Expression = sa.cast(sa.null(), sa.Uuid)
    if by == "user":
        avatar = platform[avatars]
        rows = sent.outerjoin(avatar, avatar.c.id == sent.c.avatar_id)
        owner = platform.known(avatar.c.user_id, avatar.c.id, sent.c.avatar_id)
    of_avatar = [() if avatar_id is None else (own.c.avatar_id == avatar_id,) for own in (sent, chat)]
    in_time = within(sent.c.timestamp, span)
    is_exchange = (chat.c.feedback == "neutral", within(chat.c.created_at, span))
    return (
        Channel(
            API,
            rows,
            sent.c.id,
            sent.c.timestamp,
            sent.c.avatar_id,
            owner,
            sent.c.phone_number,
            (in_time, *of_avatar[0]),
        ),
        Channel(
            WEB,
            chat,
            chat.c.id,
            chat.c.created_at,
            chat.c.avatar_id,
            chat.c.user_id,
            chat.c.user_id,
            (*is_exchange, *of_avatar[1]),
        ),
    )


def volume(connection: sa.Connection, span: Span, by: str, avatar_id: UUID | None = None) -> Report:
    """Report the exchanges of the time, by channel side by side; raises UsageError for an unknown dimension."""
    demand(by, DIMENSIONS, "exchanges")
    platform = Platform(connection)
    api, web = channels(platform, span, by, avatar_id)
    if by == "channel":
        return _by_channel(platform, api, web)
    sources = [
        Counted(
            channel.rows,
            channel.key(by),
            channel.conditions,
            {channel.name: sa.func.count(), people: sa.func.count(channel.person.distinct())},
        )
        for channel, people in ((api, "customers"), (web, "chatters"))
    ]
    figures = divided(platform, *sources, periods=(span, by) if by in CALENDAR else None)
    named = labels(platform, by, figures)
    return platform.report(
        sa.select(
            *named.select,
            figures.c.api,
            figures.c.web,
            (figures.c.api + figures.c.web).label("exchanges"),
            figures.c.customers,
            figures.c.chatters,
        ).select_from(named.rows),
        (
            *named.columns,
            Column("api", Kind.INTEGER, "exchanges over WhatsApp and the API", total=True),
            Column("web", Kind.INTEGER, "exchanges in the web chat", total=True),
            Column("exchanges", Kind.INTEGER, "both", total=True),
            Column("customers", Kind.INTEGER, "end customers over WhatsApp and the API, by phone number"),
            Column("chatters", Kind.INTEGER, "users who chatted in the web chat", wide=by == "user"),
        ),
        sort=by if by in CALENDAR else f"-exchanges,{by}_id",
        notes=(_FAILED,),
        empty="Nobody spoke with an avatar in that time.",
    )


def _by_channel(platform: Platform, *both: Channel) -> Report:
    rows = [
        sa.select(
            sa.literal(channel.name).label("channel"),
            *(
                platform.known(figure, *channel.conditions).label(name)
                for name, figure in (
                    ("exchanges", sa.func.count()),
                    ("people", sa.func.count(channel.person.distinct())),
                    ("avatars", sa.func.count(channel.avatar_id.distinct())),
                    ("first", sa.func.min(channel.at)),
                    ("last", sa.func.max(channel.at)),
                )
            ),
        )
        .select_from(channel.rows)
        .where(*channel.conditions)
        for channel in both
    ]
    return platform.report(
        sa.select(sa.union_all(*rows).subquery("channels")),
        (
            Column("channel", Kind.TEXT, "api: WhatsApp and the API; web: the web chat"),
            Column("exchanges", Kind.INTEGER, "exchanges in the time", total=True),
            Column("people", Kind.INTEGER, "phone numbers over the API, users in the web chat"),
            Column("avatars", Kind.INTEGER, "avatars they spoke with"),
            Column("first", Kind.TIME, "the first in the time"),
            Column("last", Kind.TIME, "the last"),
        ),
        sort="channel",
        notes=(_FAILED,),
    )
