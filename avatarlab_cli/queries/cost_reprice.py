"""What a month would cost by another rate card."""

from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from avatarlab_cli.queries import costs
from avatarlab_cli.queries.cost_lines import Lines
from avatarlab_cli.queries.cost_report import NEVER
from avatarlab_cli.queries.costs import PLACES, Expression, Month, month_cost
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.private import storage_daily, usage_adjustment
from avatarlab_cli.timeframe import month_window

COLUMNS = (
    Column("kind", help="what was used"),
    Column("before", Kind.COST, "the cost as it is, adjustments included", total=True),
    Column("after", Kind.COST, "the cost by the other rate card", total=True),
    Column("difference", Kind.COST, "from one to the other", null="-", total=True),
    Column("users", Kind.INTEGER, "whose cost differs, nobody counted as one"),
)


def difference(connection: sa.Connection, month: date, card: RateCard, *, is_closed: bool) -> Report:
    """Report the month's cost as it is and by another card, kind by kind."""
    found = costs.computed_months(connection, month_window(month))
    if not found:
        return Report(_NOTHING, COLUMNS, empty=NEVER.format(f"{month:%Y-%m}"))
    each = repriced(connection, found[0], card, is_closed=is_closed)
    before, after = costs.total(each.c.before), costs.total(each.c.after)
    return Report(
        sa.select(
            each.c.kind,
            before.label("before"),
            after.label("after"),
            (after - before).label("difference"),
            sa.func.count().filter(each.c.before.is_distinct_from(each.c.after)).label("users"),
        ).group_by(each.c.kind),
        COLUMNS,
        sort="kind",
        notes=(f"before is rate card {found[0].version}, after is {card.version}",),
    )


_UNKNOWN: list[Expression] = [sa.cast(sa.null(), sa.Text).label(column.name) for column in COLUMNS]
_NOTHING = sa.select(*_UNKNOWN).where(sa.false())


def repriced(connection: sa.Connection, month: Month, card: RateCard, *, is_closed: bool) -> sa.Subquery:
    """Return user_id (UNATTRIBUTED for nobody), kind, before and after: a month's stored costs, and those by a card.

    An open month costs what its rows cost now. A closed one costs what it did, and as much more or less as its rows, as
    far as they are still there, cost by the other card.
    """
    stored = _stored(month)
    old, new = (_priced(connection, month, label, chosen) for label, chosen in (("old", None), ("new", card)))
    live = (
        sa.select(new.c.user_id, new.c.kind, old.c.cost.label("old"), new.c.cost.label("new"))
        .select_from(new.join(old, sa.and_(new.c.user_id == old.c.user_id, new.c.kind == old.c.kind)))
        .subquery("live")
    )
    joined = stored.join(
        live, sa.and_(stored.c.user_id == live.c.user_id, stored.c.kind == live.c.kind), full=True
    )
    moved = sa.func.coalesce(live.c.new, 0) - sa.func.coalesce(live.c.old, 0)
    is_lost = sa.and_(live.c.old.is_not(None), live.c.new.is_(None))
    unused = sa.case((stored.c.before.is_not(None), sa.literal_column(f"0.{'0' * PLACES}", sa.Numeric)))
    after = (
        sa.case(
            (is_lost, sa.null()),
            (moved != 0, sa.func.coalesce(stored.c.cost, 0) + moved),
            else_=stored.c.cost,
        )
        if is_closed
        else sa.case((live.c.kind.is_(None), unused), else_=live.c.new)
    )
    return (
        sa.select(
            sa.func.coalesce(stored.c.user_id, live.c.user_id).label("user_id"),
            sa.func.coalesce(stored.c.kind, live.c.kind).label("kind"),
            stored.c.before,
            sa.cast(after, sa.Numeric).label("after"),
        )
        .select_from(joined)
        .subquery("repriced")
    )


def _stored(month: Month) -> sa.Subquery:
    """Return each user's and nobody's cost of each kind as it was computed, and `before`: as it was last adjusted."""
    every, own = costs.costs([month]), usage_adjustment
    adjusted = (
        sa.select(own.c.user_id, own.c.metric, own.c.after)
        .where(own.c.month == month.first)
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
        .where(every.c.owner != costs.PLATFORM)
        .subquery("stored")
    )


def _priced(connection: sa.Connection, month: Month, label: str, card: RateCard | None) -> sa.Subquery:
    """Return what the month's rows cost by a card, its own if none is given: user_id, kind, cost."""
    live = probe(connection)
    lines = Lines(live, availability(live), card=card, label=label).select([month])
    parts = [_storage(month, card)]
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


def _storage(month: Month, card: RateCard | None) -> sa.Select[Any]:
    own, window = storage_daily, month_window(month.first)
    rate = (rates.stored(month.version) if card is None else rates.unstored(card)).subquery()
    amount = month_cost(own.c.day, own.c.bytes, rate.c.price)
    return (
        sa.select(own.c.user_id, sa.literal("storage").label("kind"), amount.label("amount"))
        .select_from(own.outerjoin(rate, rates.in_force(rate, "storage", own.c.day)))
        .where(own.c.day >= window.first, own.c.day < window.end, own.c.bytes > 0)
        .where(sa.true() if month.is_storage_known else sa.false())
        .group_by(own.c.user_id)
    )
