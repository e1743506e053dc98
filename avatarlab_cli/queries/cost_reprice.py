"""What a month would cost by another rate card."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from avatarlab_cli.errors import NotFoundError
from avatarlab_cli.queries import costs
from avatarlab_cli.queries.cost_lines import Lines
from avatarlab_cli.queries.costs import PLACES, Expression, Month, month_cost
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import adjusting, rates
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.private import database_daily, period_close, storage_daily, usage_adjustment
from avatarlab_cli.timeframe import month_window

_KIND = Column("kind", help="what was used")
_CHANGE = (
    Column("after", Kind.COST, "the cost by the other rate card", total=True),
    Column("difference", Kind.COST, "from one to the other", null="-", total=True),
    Column("users", Kind.INTEGER, "whose cost differs; nobody and the platform count as one"),
)
OF_OPEN = (
    _KIND,
    Column("stored", Kind.COST, "as the last run left it", total=True),
    Column("before", Kind.COST, "what the rows of now cost by the rate card of that run", total=True),
    *_CHANGE,
)
OF_CLOSED = (
    _KIND,
    Column("before", Kind.COST, "the cost as it is, adjustments included", total=True),
    *_CHANGE,
)


def difference(connection: sa.Connection, month: date, card: RateCard, *, is_closed: bool) -> Report:
    """Report the month's cost as it is and by another card, kind by kind; raises NotFoundError for one without costs."""
    found = costs.computed_months(connection, month_window(month))
    if not found:
        raise NotFoundError(
            f"no costs are stored for {month:%Y-%m}",
            hint=f"`avatarlab job run monthly-usage --month {month:%Y-%m}` computes them",
        )
    each = repriced(connection, found[0], card, is_closed=is_closed)
    before, after = costs.total(each.c.before), costs.total(each.c.after)
    columns = OF_CLOSED if is_closed else OF_OPEN
    figures = {
        "kind": each.c.kind,
        "stored": costs.total(each.c.stored),
        "before": before,
        "after": after,
        "difference": after - before,
        "users": sa.func.count().filter(each.c.before.is_distinct_from(each.c.after)),
    }
    before_card = _as_adjusted(connection, found[0]) if is_closed else found[0]
    cards = f"before is rate card {before_card.version}, after is {card.version}"
    since = "where stored is not before, rows have come or gone since the last run"
    return Report(
        sa.select(*(figures[column.name].label(column.name) for column in columns)).group_by(each.c.kind),
        columns,
        sort="kind",
        notes=(cards,) if is_closed else (cards, since),
    )


def sentences(report: Report, rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """Yield what the report's rows and notes say, a line for each kind."""
    for row in rows:
        before, after, change = (_told(row[name]) for name in ("before", "after", "difference"))
        yield f"{row['kind']}: {before} before, {after} after, difference {change}"
    yield from report.notes


def _told(amount: object) -> str:
    return "n/a" if amount is None else f"{amount:f}"


def repriced(connection: sa.Connection, month: Month, card: RateCard, *, is_closed: bool) -> sa.Subquery:
    """Return user_id (UNATTRIBUTED for nobody and the platform), kind, stored, before and after: costs, and those by a card.

    An open month costs what its rows cost now, by the one card and the other. A closed one costs what it did, adjustments
    included, and as much more or less as its rows, as far as they are still there, cost by the other card.
    """
    live = probe(connection)
    available = availability(live)
    now = _as_adjusted(connection, month) if is_closed else month
    old, new = (
        _priced(Lines(live, available, card=of, label=label), now)
        for label, of in (("old", None), ("new", card))
    )
    rows = (
        sa.select(new.c.user_id, new.c.kind, old.c.cost.label("old"), new.c.cost.label("new"))
        .select_from(new.join(old, sa.and_(new.c.user_id == old.c.user_id, new.c.kind == old.c.kind)))
        .subquery("live")
    )
    stored = _stored(month)
    is_same = sa.and_(stored.c.user_id == rows.c.user_id, stored.c.kind == rows.c.kind)
    kind = sa.func.coalesce(stored.c.kind, rows.c.kind)
    known = [of for of in sorted(available.priced) if of != "storage" or month.is_storage_known]
    before, after = _closed(stored, rows) if is_closed else _open(rows, kind, known)
    return (
        sa.select(
            sa.func.coalesce(stored.c.user_id, rows.c.user_id).label("user_id"),
            kind.label("kind"),
            stored.c.cost.label("stored"),
            sa.cast(before, sa.Numeric).label("before"),
            sa.cast(after, sa.Numeric).label("after"),
        )
        .select_from(stored.join(rows, is_same, full=True))
        .subquery("repriced")
    )


def _as_adjusted(connection: sa.Connection, month: Month) -> Month:
    """Return a closed month with the rate card that it was last repriced by."""
    return replace(month, version=adjusting.card_version(connection, month.first) or month.version)


def _open(rows: sa.Subquery, kind: Expression, known: Sequence[str]) -> tuple[Expression, Expression]:
    """Return what the rows cost by the two cards; without a row 0, where rows of the kind can be seen."""
    unused = sa.case((kind.in_(known), 0))
    old, new = (sa.case((rows.c.kind.is_(None), unused), else_=cost) for cost in (rows.c.old, rows.c.new))
    return old, new


def _closed(stored: sa.Subquery, rows: sa.Subquery) -> tuple[Expression, Expression]:
    """Return the cost as it was last adjusted, and that moved by what the rows cost more or less."""
    moved = sa.func.coalesce(rows.c.new, 0) - sa.func.coalesce(rows.c.old, 0)
    is_lost = sa.and_(rows.c.old.is_not(None), rows.c.new.is_(None))
    after = sa.case(
        (is_lost, sa.null()),
        (moved != 0, sa.func.coalesce(stored.c.before, 0) + moved),
        else_=stored.c.before,
    )
    return stored.c.before, after


def _stored(month: Month) -> sa.Subquery:
    """Return each owner's cost of each kind as it was computed, and `before`: as it was last adjusted.

    The database is the platform's alone, so that nobody and the platform, who share an id, share no kind.
    """
    every, own = costs.costs([month]), usage_adjustment
    adjusted = (
        sa.select(own.c.user_id, own.c.metric, own.c.after)
        .where(own.c.month == month.first, own.c.recorded_at > _closed_at(month.first))
        .ext(distinct_on(own.c.user_id, own.c.metric))
        .order_by(own.c.user_id, own.c.metric, own.c.recorded_at.desc(), own.c.id)
        .subquery("adjusted")
    )
    someone = sa.func.coalesce(every.c.user_id, UNATTRIBUTED)
    is_own = sa.and_(adjusted.c.user_id == someone, adjusted.c.metric == every.c.kind + "_cost")
    before = sa.case((adjusted.c.metric.is_not(None), adjusted.c.after), else_=every.c.cost)
    return (
        sa.select(someone.label("user_id"), every.c.kind, every.c.cost, before.label("before"))
        .select_from(every.outerjoin(adjusted, is_own))
        .subquery("stored")
    )


def _closed_at(month: date) -> Expression:
    """Return when the month was closed; adjustments of an earlier closing are history."""
    closed = sa.select(period_close.c.closed_at).where(period_close.c.month == month).scalar_subquery()
    return sa.func.coalesce(closed, sa.literal_column("timestamptz '-infinity'"))


def _priced(asked: Lines, month: Month) -> sa.Subquery:
    """Return what the month's rows cost by the card that is asked for: user_id, kind, cost."""
    label = asked.label
    select = rates.stored(month.version) if asked.card is None else rates.unstored(asked.card)
    rate = select.cte(f"rates_of_platform_{label}")
    parts = [_storage(month, rate), _database(month, rate)]
    lines = asked.select([month])
    if lines is not None:
        line = lines.subquery(f"lines_{label}")
        parts.append(sa.select(line.c.user_id, line.c.kind, line.c.amount))
    each = sa.union_all(*parts).subquery(f"each_{label}")
    cost = sa.func.round(sa.func.sum(each.c.amount), PLACES).label("cost")
    return (
        sa.select(each.c.user_id, each.c.kind, cost)
        .group_by(each.c.user_id, each.c.kind)
        .subquery(f"priced_{label}")
    )


def _storage(month: Month, rate: sa.CTE) -> sa.Select[Any]:
    own, window = storage_daily, month_window(month.first)
    amount = month_cost(own.c.day, own.c.bytes, rate.c.price)
    return (
        sa.select(own.c.user_id, sa.literal("storage").label("kind"), amount.label("amount"))
        .select_from(own.outerjoin(rate, rates.in_force(rate, "storage", own.c.day)))
        .where(own.c.day >= window.first, own.c.day < window.end, own.c.bytes > 0)
        .where(sa.true() if month.is_storage_known else sa.false())
        .group_by(own.c.user_id)
    )


def _database(month: Month, rate: sa.CTE) -> sa.Select[Any]:
    """Return what the database cost the platform; NULL unless each of its days is on record and has a rate."""
    own, window = database_daily, month_window(month.first)
    amount = month_cost(own.c.day, own.c.bytes, rate.c.price)
    is_whole = sa.and_(
        sa.true() if month.is_database_known else sa.false(), sa.func.count(rate.c.price) == sa.func.count()
    )
    return (
        sa.select(sa.literal(UNATTRIBUTED, sa.Uuid), sa.literal(costs.DATABASE), sa.case((is_whole, amount)))
        .select_from(own.outerjoin(rate, rates.in_force(rate, costs.DATABASE, own.c.day)))
        .where(own.c.day >= window.first, own.c.day < window.end)
    )
