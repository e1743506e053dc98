"""Finding what was said: the newest exchanges that hold a text, and how many do."""

from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.conversations import API, WEB, channels
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.conversations import conversation_feedback, conversations
from avatarlab_cli.timeframe import Span

SHORTEST = 2
BEFORE, AFTER = 20, 80
"""How many characters before and after a match are shown; few before, as a terminal cuts the end."""

MARGIN = 300
"""How many are read on either side: what is cut there cannot be recognised as a number or an address."""

MOST = 1000
COLUMNS = (
    Column("exchange_id", Kind.ID, "the row of conversations (api) or conversation_feedback (web)"),
    Column("time", Kind.TIME, "when it was"),
    Column("channel", Kind.TEXT, "api or web"),
    Column("avatar_id", Kind.ID, "the avatar"),
    Column("avatar", Kind.TEXT, "its name"),
    Column("phone_number", Kind.TEXT, "whole"),
    Column("passage", Kind.TEXT, f"what was said up to {MARGIN} characters before and after the match"),
    # A place and no figure: it is known of each row that is found, whatever is missing.
    Column("position", Kind.ID, "where in the passage the match begins, from 1"),
    Column("found", Kind.INTEGER, "how many exchanges hold the text"),
)


def demand_text(text: str) -> str:
    """Return the text; raises UsageError for one that nearly everything would hold."""
    if len(text.strip()) < SHORTEST:
        raise UsageError(f"a text to search for has {SHORTEST} or more characters")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UsageError("the text to search for is not UTF-8")
    return text


def search(  # noqa: PLR0913, PLR0917 (what is searched for, where, and which page of it)
    connection: sa.Connection, text: str, span: Span, avatar_id: UUID | None, rows: int, offset: int = 0
) -> Report:
    """Return the newest so many exchanges of the time that hold the text, whatever its case, nothing masked.

    One statement: it reads the texts of the time once, and those of the page again.
    """
    platform = Platform(connection)
    sent, chat, avatar = (platform[table] for table in (conversations, conversation_feedback, avatars))
    api, web = channels(platform, span, "channel", avatar_id)
    hits = [
        sa.select(
            channel.id.label("id"),
            channel.at.label("at"),
            sa.literal(channel.name).label("channel"),
            channel.avatar_id.label("avatar_id"),
        )
        .select_from(channel.rows)
        .where(*channel.conditions, sa.or_(*(_place(column, text) > 0 for column in columns)))
        for channel, columns in ((api, (sent.c.text,)), (web, (chat.c.user_message, chat.c.avatar_response)))
    ]
    every = sa.union_all(*hits).subquery("hits")
    page = (
        sa.select(every, sa.func.count().over().label("found"))
        .order_by(every.c.at.desc(), every.c.id)
        .limit(rows)
        .offset(offset)
        .subquery("page")
    )
    said = sa.case(
        (page.c.channel == API, sent.c.text),
        (_place(chat.c.user_message, text) > 0, chat.c.user_message),
        else_=chat.c.avatar_response,
    )
    begin = sa.func.greatest(_place(said, text) - MARGIN, 1)
    select = sa.select(
        page.c.id.label("exchange_id"),
        page.c.at.label("time"),
        page.c.channel,
        page.c.avatar_id,
        avatar.c.name.label("avatar"),
        sent.c.phone_number,
        sa.func.substr(said, begin, 2 * MARGIN + len(text)).label("passage"),
        (_place(said, text) - begin + 1).label("position"),
        page.c.found,
    ).select_from(
        page.outerjoin(sent, sa.and_(page.c.channel == API, sent.c.id == page.c.id))
        .outerjoin(chat, sa.and_(page.c.channel == WEB, chat.c.id == page.c.id))
        .outerjoin(avatar, avatar.c.id == page.c.avatar_id)
    )
    return platform.report(select, COLUMNS, sort="-time,exchange_id")


def _place(said: Expression, text: str) -> Expression:
    """Return where the text stands, from 1, 0 for nowhere; no character of it has a meaning but itself."""
    return sa.func.strpos(sa.func.lower(said), sa.func.lower(text))
