"""What `conversation search` does: look, keep in the audit log that it was looked, and only then show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
import typer

from avatarlab_cli.actions.act import Item
from avatarlab_cli.actions.batch import carry_out_all
from avatarlab_cli.actions.conversation import Search
from avatarlab_cli.actions.engine import Order
from avatarlab_cli.cli import current
from avatarlab_cli.context import Context
from avatarlab_cli.errors import AvatarLabError, UsageError
from avatarlab_cli.masking import masked_phone, passage
from avatarlab_cli.output.copying import compiled, readable
from avatarlab_cli.output.options import Format
from avatarlab_cli.output.write import TERMINAL_LIMIT, write_rows
from avatarlab_cli.queries import conversation_search
from avatarlab_cli.queries.naming import AVATAR, chosen
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.show import demand_options
from avatarlab_cli.timeframe import Span

COLUMNS = (
    Column(
        "exchange_id", Kind.ID, "the row of conversations (api) or conversation_feedback (web)", wide=True
    ),
    Column("time", Kind.TIME, "when it was"),
    Column("channel", Kind.TEXT, "api: WhatsApp and the API; web: the web chat"),
    Column("avatar", Kind.TEXT, "who was spoken with"),
    Column("avatar_id", Kind.ID, "its UUID", wide=True),
    Column("phone_number", Kind.TEXT, "whose phone, over the API", null="-"),
    Column("passage", Kind.TEXT, "what was said around the text"),
)

_ANY_ROW: dict[str, object] = {column.name: None for column in COLUMNS}


@dataclass(frozen=True)
class Wanted:
    """What is searched for, and where; `avatar` as it was named."""

    text: str
    span: Span
    avatar: str | None
    reason: str | None
    reveal: bool


def search(context: typer.Context, wanted: Wanted) -> None:
    """Show the newest exchanges that hold the text, once the audit log says so; raises an AvatarLabError."""
    invocation = current(context)
    conversation_search.demand_text(wanted.text)
    if wanted.reveal and not wanted.reason:
        raise UsageError("--reveal takes a reason", hint="--reason TEXT; it is kept in the audit log")
    demand_options(context, COLUMNS)
    limit, offset = _limit(invocation), invocation.output.offset
    act, admin = _search_of(wanted), invocation.settings.get("admin")
    with invocation.database.read() as connection:
        actor = act.authorized(connection, admin)
        act = replace(act, avatar_id=chosen(connection, AVATAR, wanted.avatar))
        found = conversation_search.search(connection, wanted.text, wanted.span, act.avatar_id, limit, offset)
        hits = _run(invocation, connection, found)
    # Behind the last one nothing tells how many there are.
    total = hits[0].found if hits else None if offset else 0
    act = replace(act, found=total, shown=len(hits))
    _record(invocation, act, str(actor.id), wanted.reason)
    _show(invocation, [_row(hit, wanted) for hit in hits], total)
    for note in found.notes:
        invocation.environment.say(f"note: {note}")


def _search_of(wanted: Wanted) -> Search:
    return Search(
        text=wanted.text, since=wanted.span.since, until=wanted.span.until, is_revealed=wanted.reveal
    )


def _limit(invocation: Context) -> int:
    """Return how many exchanges may be read at once."""
    output = invocation.output
    limit = conversation_search.MOST if output.all else TERMINAL_LIMIT
    limit = limit if output.limit is None else output.limit
    if limit == 0:
        raise UsageError("a search shows something", hint="-o count tells how many exchanges hold the text")
    if limit > conversation_search.MOST:
        raise UsageError(
            f"a search shows {conversation_search.MOST:,} exchanges at most",
            hint="name a shorter time by --since and --until, or go on with --offset",
        )
    return limit


def _run(invocation: Context, connection: sa.Connection, found: Report) -> Sequence[sa.Row[Any]]:
    select = found.select.order_by(sa.desc("time"), "exchange_id")
    if invocation.output.show_sql:
        invocation.environment.show(f"{readable(compiled(select, connection), connection)};")
    return connection.execute(select).all()


def _record(invocation: Context, act: Search, admin: str, reason: str | None) -> None:
    order = Order(invocation.settings.get("admin"), reason, uuid4())
    ((outcome,),) = carry_out_all(invocation.database, act, [Item(1, admin)], order)
    if outcome.result != "changed":
        raise AvatarLabError(f"the search is not shown, as it could not be recorded: {outcome.detail}")


def _row(hit: sa.Row[Any], wanted: Wanted) -> dict[str, object]:
    begin = hit.position - 1
    number = hit.phone_number
    shown = passage(
        hit.passage,
        max(begin - conversation_search.BEFORE, 0),
        begin + len(wanted.text) + conversation_search.AFTER,
        reveal=wanted.reveal,
    )
    return {
        **{name: getattr(hit, name) for name in ("exchange_id", "time", "channel", "avatar", "avatar_id")},
        "phone_number": number if number is None or wanted.reveal else masked_phone(number),
        "passage": shown,
    }


def _show(invocation: Context, rows: list[dict[str, object]], found: int | None) -> None:
    """Write the rows, which are a page already; a count is that of all there are."""
    output, environment = invocation.output, invocation.environment
    is_count = output.resolved_format is Format.COUNT
    every: Iterable[dict[str, object]] = repeat(_ANY_ROW, found or 0) if is_count else rows
    page = replace(output, limit=None, offset=0, all=True)
    empty = "There are no more." if output.offset else "Nobody said that in that time."
    write_rows(COLUMNS, every, page, environment, empty=empty)
    if found and found > len(rows) and not is_count:
        environment.say(f"{len(rows)} of {found:,} shown, the newest first; --limit N shows more")
    environment.say("that you searched, and for what, is in the audit log")
