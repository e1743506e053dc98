"""What usage cost, divided as asked: by month, kind, provider, model, user and tier."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries import adjustments, costs
from avatarlab_cli.queries.cost_lines import Lines, by_model
from avatarlab_cli.queries.costs import NOBODY, PLATFORM, USER, Expression, Month
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import accounts
from avatarlab_cli.rollup.availability import Availability, availability
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.rates import PLATFORM_KINDS
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.private import subscription_daily
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Window, month_window, next_month

DIMENSIONS = ("month", "kind", "provider", "model", "unit", "user", "tier")
# What only the source rows tell; what is stored knows the other dimensions.
_OF_ROWS = frozenset({"provider", "model", "unit"})
# So many months are named, of those that were never computed.
_NAMED = 3
# In the place of a provider: what is stored, and not told by the rows that are there now.
CHANGED = "(changed since)"
LABELS = {NOBODY: "(unattributed)", PLATFORM: "(platform)"}
# Who is paid for what the platform itself uses.
_HOST = "supabase"
NEVER = "No costs are stored for {}; `avatarlab job run monthly-usage` computes them."


def demand_dimensions(text: str) -> tuple[str, ...]:
    """Return the dimensions named, as kind,month; raises UsageError for an unknown one."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in DIMENSIONS]
    if unknown or not names:
        raise UsageError(
            f"costs cannot be divided by {(unknown or [text])[0]!r}", hint=f"by: {', '.join(DIMENSIONS)}"
        )
    return names


def report(connection: sa.Connection, window: Window, by: Sequence[str]) -> Report:
    """Report the costs of the window's months, divided by these dimensions."""
    months = costs.computed_months(connection, window)
    live = probe(connection)
    is_by_rows = bool(_OF_ROWS & set(by))
    amounts = _by_rows(live, months, availability(live)) if is_by_rows else costs.costs(months)
    if "tier" in by:
        amounts = with_tier(connection, amounts, months, live)
    source: sa.FromClause = amounts
    if "user" in by:
        source = amounts.outerjoin(users, users.c.id == amounts.c.user_id)
    dimensions = [expression for name in by for expression in _dimension(amounts, name)]
    # Tokens and images cannot be added.
    quantities = [
        sa.func.sum(amounts.c[name]).label(name) for name in ("quantity", "unpriced") if "unit" in by
    ]
    cost = costs.total(amounts.c.cost)
    select = sa.select(
        *dimensions,
        *quantities,
        cost.label("cost"),
        sa.func.round(cost / sa.func.nullif(sa.func.sum(cost).over(), 0), 6).label("share"),
        sa.func.bool_or(amounts.c.is_incomplete).label("is_incomplete"),
    )
    return Report(
        select.select_from(source).group_by(*dimensions),
        tuple(_columns(by)),
        sort="month,-cost" if "month" in by else "-cost",
        notes=(
            *_missing_notes(window, months),
            *incomplete_notes(connection, months),
            *_adjusted_notes(connection, months),
            *adjustments.gone_notes(connection, [month.first for month in months]),
        ),
        empty=NEVER.format(_named(window)),
    )


def _named(window: Window) -> str:
    first, last = f"{window.first:%Y-%m}", f"{window.end - timedelta(days=1):%Y-%m}"
    return first if first == last else f"{first} to {last}"


def _missing_notes(window: Window, months: Sequence[Month]) -> tuple[str, ...]:
    """Return which of several months were never computed, where some were."""
    known, month, missing = {month.first for month in months}, window.first, []
    while month < window.end:
        missing += [f"{month:%Y-%m}"] if month not in known else []
        month = next_month(month)
    if not (known and missing):
        return ()
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return (f"never computed, and so not in it: {', '.join(missing[:_NAMED])}{more}",)


def _adjusted_notes(connection: sa.Connection, months: Sequence[Month]) -> tuple[str, ...]:
    """Return what was recorded beside the figures of closed months, which stay as they are."""
    _, moved = adjustments.beside(connection, [month.first for month in months])
    return (f"adjustments of closed months come to {moved:+f}, which is in no amount",) if moved else ()


def incomplete_notes(connection: sa.Connection, months: Sequence[Month]) -> tuple[str, ...]:
    """Return what is to be said where something of these months has no price."""
    stored = costs.costs(months)
    if not connection.scalar(sa.select(sa.exists().where(stored.c.is_incomplete))):
        return ()
    unsized = [f"{m.first:%Y-%m}" for m in months if not m.is_database_known]
    return (
        "not all of it could be priced, and that is in no amount; `avatarlab cost unpriced` lists it",
        *([f"the database's size is not on record for every day of {', '.join(unsized)}"] if unsized else []),
    )


def _by_rows(live: LiveSchema, months: Sequence[Month], available: Availability) -> sa.Subquery:
    """Return what is stored, divided further by the rows there are; what these do not tell is a rest of its own."""
    stored = costs.costs(months)
    lines = Lines(live, available).select(months)
    told = _NOTHING_TOLD if lines is None else by_model(lines, months)
    parts = [_told_part(told), _rest_part(stored, told), _platform_part(stored)]
    return sa.union_all(*parts).subquery("amounts")


_UNKNOWN: Mapping[str, sa.types.TypeEngine[Any]] = {
    "model": sa.Text(),
    "unit": sa.Text(),
    "quantity": sa.Numeric(),
    "unpriced": sa.Numeric(),
}
_OF_LINES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "month": sa.Date(),
    "user_id": sa.Uuid(),
    "kind": sa.Text(),
    "provider": sa.Text(),
    **_UNKNOWN,
    "cost": sa.Numeric(),
}
_NOTHING_TOLD = (
    sa.select(*(sa.cast(sa.null(), kind).label(name) for name, kind in _OF_LINES.items()))
    .where(sa.false())
    .cte("told")
)


def _told_part(told: sa.CTE) -> sa.Select[Any]:
    is_nobody = told.c.user_id == UNATTRIBUTED
    return sa.select(
        told.c.month,
        sa.case((is_nobody, NOBODY), else_=USER).label("owner"),
        sa.case((sa.not_(is_nobody), told.c.user_id)).label("user_id"),
        *(told.c[name] for name in ("kind", "provider", "model", "unit", "quantity", "unpriced", "cost")),
        told.c.unpriced.is_not(None).label("is_incomplete"),
    )


def _part(
    source: sa.FromClause, *, provider: Expression, cost: Expression, is_incomplete: Expression
) -> sa.Select[Any]:
    """Return amounts of which neither model nor quantity is known."""
    names = ("month", "owner", "user_id", "kind")
    return sa.select(
        *(source.c[name] for name in names),
        provider.label("provider"),
        *(sa.cast(sa.null(), kind).label(name) for name, kind in _UNKNOWN.items()),
        cost.label("cost"),
        is_incomplete.label("is_incomplete"),
    )


def _platform_part(stored: sa.Subquery) -> sa.Select[Any]:
    host = sa.literal(_HOST, sa.Text)
    select = _part(stored, provider=host, cost=stored.c.cost, is_incomplete=stored.c.is_incomplete)
    return select.where(stored.c.kind.in_(PLATFORM_KINDS))


def _rest_part(stored: sa.Subquery, told: sa.CTE) -> sa.Select[Any]:
    """Return what is stored and not told: of rows that are gone or came since, and what could not be computed."""
    someone = sa.func.coalesce(stored.c.user_id, UNATTRIBUTED)
    mine = (
        sa.select(stored, someone.label("someone"))
        .where(stored.c.kind.not_in(PLATFORM_KINDS))
        .subquery("mine")
    )
    sums = (
        sa.select(told.c.month, told.c.user_id, told.c.kind, sa.func.sum(told.c.cost).label("cost"))
        .group_by(told.c.month, told.c.user_id, told.c.kind)
        .subquery("sums")
    )
    same = [mine.c[name] == sums.c[name] for name in ("month", "kind")]
    joined = mine.join(sums, sa.and_(*same, mine.c.someone == sums.c.user_id), full=True)
    rest = sa.func.coalesce(mine.c.cost, 0) - sa.func.coalesce(sums.c.cost, 0)
    is_unknown = sa.and_(mine.c.kind.is_not(None), mine.c.cost.is_(None), sums.c.kind.is_(None))
    user_id = sa.func.coalesce(mine.c.someone, sums.c.user_id)
    rests = (
        sa.select(
            sa.func.coalesce(mine.c.month, sums.c.month).label("month"),
            sa.case((user_id == UNATTRIBUTED, NOBODY), else_=USER).label("owner"),
            sa.case((user_id != UNATTRIBUTED, user_id)).label("user_id"),
            sa.func.coalesce(mine.c.kind, sums.c.kind).label("kind"),
            sa.case((sa.not_(is_unknown), rest)).label("rest"),
        )
        .select_from(joined)
        .where(sa.or_(rest != 0, is_unknown))
        .subquery("rests")
    )
    provider = sa.case((rests.c.rest.is_not(None), CHANGED))
    return _part(rests, provider=provider, cost=rests.c.rest, is_incomplete=rests.c.rest.is_(None))


def with_tier(
    connection: sa.Connection, amounts: sa.Subquery, months: Sequence[Month], live: LiveSchema
) -> sa.Subquery:
    """Add each user's tier at the end of the month, or on the last day that is known."""
    held, account = subscription_daily, accounts.selected(live).subquery("account")
    last = connection.scalar(sa.select(sa.func.max(held.c.day))) or date.max
    ends = {month.first: min(month_window(month.first).end - timedelta(days=1), last) for month in months}
    end = sa.case(ends, value=amounts.c.month) if ends else sa.cast(sa.null(), sa.Date)
    is_held = sa.and_(
        held.c.user_id == amounts.c.user_id,
        held.c.day == sa.cast(end, sa.Date),
        # The day is an expression; these let an index in.
        held.c.day.in_(list(ends.values())),
        sa.not_(held.c.is_paused),
    )
    joined = amounts.outerjoin(held, is_held).outerjoin(account, account.c.id == amounts.c.user_id)
    tier = sa.func.coalesce(held.c.tier, account.c.tier).label("tier")
    return sa.select(amounts, tier).select_from(joined).subquery("with_tier")


def _dimension(amounts: sa.Subquery, name: str) -> list[Expression]:
    if name == "user":
        return [amounts.c.user_id, owner_label(amounts)]
    if name == "kind":
        paid_by = sa.case((amounts.c.kind.in_(PLATFORM_KINDS), "platform"), else_="user")
        return [amounts.c.kind, paid_by.label("paid_by")]
    return [amounts.c[name]]


def owner_label(amounts: sa.FromClause) -> Expression:
    """Return the e-mail address of the amounts' user, joined already, or what stands for nobody and the platform."""
    return sa.case(LABELS, value=amounts.c.owner, else_=users.c.email).label("email")


def _columns(by: Sequence[str]) -> Iterator[Column]:
    for name in by:
        yield from _OF_DIMENSION[name]
    if "unit" in by:
        yield Column(
            "quantity", Kind.INTEGER, "how much of it there was: tokens, characters, images, videos", null="-"
        )
        yield Column("unpriced", Kind.INTEGER, "how much of that has no rate", null="-")
    yield Column("cost", Kind.COST, "estimated spend", total=True)
    yield Column("share", Kind.PERCENT, "of all that is shown", null="-")
    yield Column("is_incomplete", Kind.BOOLEAN, "whether something of it has no price")


_OF_DIMENSION = {
    "month": (Column("month", Kind.MONTH, "the month, UTC"),),
    "kind": (
        Column("kind", help="what was used"),
        Column("paid_by", help="users pay their providers, the platform its storage and database", wide=True),
    ),
    "provider": (Column("provider", help=f"who is paid; {CHANGED} for what the rows do not tell any more"),),
    "model": (Column("model", help="the model, without its date"),),
    "unit": (Column("unit", help="what a rate is for", null="-"),),
    "user": (
        Column("user_id", Kind.ID, "the user; NULL for what belongs to nobody", wide=True, null="-"),
        Column("email", help="the user's e-mail address", null="-"),
    ),
    "tier": (Column("tier", help="the user's tier at the month's end, or now", null="-"),),
}
