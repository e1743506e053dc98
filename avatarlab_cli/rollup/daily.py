"""usage_daily: every metric and cost by user and UTC day, in one pass over each source."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import visitors

from avatarlab_cli.rollup import fresh
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.metrics import (
    DEFINITION_VERSION,
    KINDS,
    METRICS,
    Expression,
    Priced,
    Source,
    columns_of,
)
from avatarlab_cli.rollup.rates import rate_key
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.private import storage_daily, usage_daily
from avatarlab_cli.timeframe import Window

# The owner of rows that nobody owns, or nobody any more.
UNATTRIBUTED = uuid.UUID(int=0)
UNKNOWN_KEY = "unknown"
COUNTS = (*METRICS, "storage_bytes")
COSTS = tuple(f"{kind}_cost" for kind in KINDS)
_EMPTY = sa.literal_column("'{}'::jsonb", JSONB)


@dataclass(frozen=True)
class DailyResult:
    """What was written, how much was counted since which day, and per metric how much of it has no day."""

    changes: fresh.Changes
    rows: int
    first: date | None
    undated: dict[str, int]


def recompute(
    connection: sa.Connection, window: Window, available: Availability, rates: sa.Table, rate_version: str
) -> DailyResult:
    """Set usage_daily in the window to what the source rows say now, priced by the temporary table of rates."""
    table = fresh.temporary(connection, "usage_daily_fresh", _select(window, available, rates, rate_version))
    undated = _take_undated(connection, table)
    inside = sa.and_(usage_daily.c.day >= window.first, usage_daily.c.day < window.end)
    changes = fresh.replace(connection, usage_daily, table, ["day", "user_id"], window=inside)
    rows, first = connection.execute(sa.select(sa.func.count(), sa.func.min(table.c.day))).one()
    return DailyResult(changes, rows, first, undated)


def _take_undated(connection: sa.Connection, table: sa.Table) -> dict[str, int]:
    """Remove the rows without a day and return their sums by metric."""
    gone = sa.delete(table).where(table.c.day.is_(None)).returning(*(table.c[m] for m in METRICS)).cte("gone")
    sums = [sa.cast(sa.func.sum(gone.c[metric]), sa.BigInteger).label(metric) for metric in METRICS]
    row = connection.execute(sa.select(*sums)).mappings().one()
    return {metric: value for metric, value in row.items() if value}


def _select(window: Window, available: Availability, rates: sa.Table, rate_version: str) -> sa.Select[Any]:
    """Return the select of usage_daily's rows, and of one row a user for what has no day."""
    parts = [
        part
        for source, metrics in available.measured
        for part in _parts(source, metrics, window, available, rates)
    ]
    parts += _storage_parts(window, rates)
    everything = sa.union_all(*parts).subquery("everything")
    days = _days_with_snapshot(window)
    columns = {metric: _count(everything, metric, available) for metric in METRICS}
    snapshot_taken = sa.select(days.c.day).where(days.c.day == everything.c.day).exists()
    columns["storage_bytes"] = sa.case((snapshot_taken, _total(everything.c.storage_bytes)))
    columns |= {
        f"{kind}_cost": sa.func.sum(everything.c[f"{kind}_cost"]) for kind in KINDS if kind != "storage"
    }
    columns["storage_cost"] = sa.case((snapshot_taken, _storage_cost(everything, rates)))
    unpriced = sa.func.jsonb_object_agg(everything.c.kind, everything.c.unpriced)
    columns["unpriced"] = sa.func.coalesce(unpriced.filter(everything.c.kind.is_not(None)), _EMPTY)
    columns["definition_version"] = sa.literal(DEFINITION_VERSION, sa.Integer)
    columns["rate_card_version"] = sa.literal(rate_version, sa.Text)
    nonzero = [sa.func.sum(everything.c[name]) != 0 for name in COUNTS]
    return (
        sa.select(
            everything.c.day, everything.c.user_id, *(value.label(name) for name, value in columns.items())
        )
        .group_by(everything.c.day, everything.c.user_id)
        .having(sa.or_(*nonzero))
    )


def _count(everything: sa.Subquery, metric: str, available: Availability) -> Expression:
    if not available.has(metric):
        return sa.cast(sa.null(), sa.BigInteger)
    return _total(everything.c[metric])


def _total(column: Expression) -> Expression:
    # Most totals are NULL, and cost nothing to cast before they become 0.
    return sa.func.coalesce(sa.cast(sa.func.sum(column), sa.BigInteger), 0)


def _parts(
    source: Source, metrics: Sequence[str], window: Window, available: Availability, rates: sa.Table
) -> list[sa.Select[Any]]:
    """Return one source's contributions: its counts, and where it is priced, its costs and what has no price."""
    pricing = source.priced if source.priced and source.priced.kind in available.priced else None
    owned = _owned(source, metrics, window, pricing)
    counts = {metric: owned.c[metric] for metric in metrics}
    parts = [_part(owned.c.day, owned.c.user_id, **counts)]
    if pricing is not None:
        priced = _priced(pricing, owned, rates)
        parts += [_cost_part(pricing.kind, priced), _unpriced_part(pricing.kind, priced)]
    return parts


def _owned(source: Source, metrics: Sequence[str], window: Window, pricing: Priced | None) -> sa.CTE:
    """Return the source's measures by day, user and what may name a rate.

    Rows are grouped before their owner is looked up, so the lookup runs once a group and not once a row.
    """
    groups = _grouped(source, metrics, window, pricing)
    owner, found = _owner(source, groups)
    account = supabase.users.alias("account")
    kept = [column for column in groups.c if column.name not in {"owner", "key"}]
    select = sa.select(sa.func.coalesce(account.c.id, UNATTRIBUTED).label("user_id"), *kept)
    cte = select.select_from(found.outerjoin(account, account.c.id == owner)).cte(f"owned_{metrics[0]}")
    return cte.prefix_with("MATERIALIZED") if pricing is not None else cte


def _grouped(source: Source, metrics: Sequence[str], window: Window, pricing: Priced | None) -> sa.Subquery:
    """Return the source's measures by day, owner, key to an owner, and what may name a rate.

    OFFSET 0 leaves out no row. It hides the moments behind the days from the planner, which would expect a group
    for each moment: a hash table many times too large, or a sort where that exceeds work_mem.
    """
    key: Expression | None = None if source.via is None else source.via.key
    if source.via is not None and source.owner is not None:
        key = sa.case((source.owner.is_(None), source.via.key))
    names = [c for c in (pricing.candidates if pricing else ()) if not isinstance(c, str)]
    by = [_day(source.time).label("day")]
    by += [source.owner.label("owner")] if source.owner is not None else []
    by += [key.label("key")] if key is not None else []
    by += [name.label(f"name_{i}") for i, name in enumerate(names)]
    measured = {column.name: column for metric in metrics for column in columns_of(source.measures[metric])}
    select = sa.select(*by, *measured.values()).where(_in_window(source.time, window))
    if source.where is not None:
        select = select.where(source.where)
    rows = select.offset(0).subquery(f"rows_{metrics[0]}")
    keys = [rows.c[label.name] for label in by]
    measures = [_moved(source.measures[metric], rows).label(metric) for metric in metrics]
    return sa.select(*keys, *measures).group_by(*keys).subquery(f"grouped_{metrics[0]}")


def _moved(measure: Expression, rows: sa.Subquery) -> Expression:
    """Return the measure over the rows of a subquery instead of the table's."""
    return visitors.replacement_traverse(
        measure, {}, lambda element, **_: rows.c[element.name] if isinstance(element, sa.Column) else None
    )


def _owner(source: Source, groups: sa.Subquery) -> tuple[Expression, sa.FromClause]:
    if source.via is None:
        return groups.c.owner, groups
    target = source.via.target.table.alias("target")
    found = groups.outerjoin(target, target.c[source.via.target.name] == groups.c.key)
    owner = target.c[source.via.owner.name]
    return (owner if source.owner is None else sa.func.coalesce(groups.c.owner, owner)), found


def _day(column: sa.Column[Any]) -> Expression:
    return column if isinstance(column.type, sa.Date) else sa.cast(sa.func.timezone("UTC", column), sa.Date)


def _in_window(column: sa.Column[Any], window: Window) -> Expression:
    """Return the condition that a row lies in the window, or has no time and must be reported."""
    first, end = (
        bound if isinstance(column.type, sa.Date) else datetime.combine(bound, time(), UTC)
        for bound in (window.first, window.end)
    )
    return sa.or_(sa.and_(column >= first, column < end), column.is_(None))


def _priced(priced: Priced, owned: sa.CTE, rates: sa.Table) -> sa.Subquery:
    """Return each quantity with the price of the first name that has a rate in force, or NULL."""
    names: list[Expression] = []
    for position, candidate in enumerate(priced.candidates):
        names.append(
            sa.literal(candidate) if isinstance(candidate, str) else rate_key(owned.c[f"name_{position}"])
        )
    named = sa.select(
        owned.c.day,
        owned.c.user_id,
        *(owned.c[metric] for metric in priced.quantities.values()),
        *(name.label(f"key_{position}") for position, name in enumerate(names)),
    ).subquery("named")
    each = (
        sa.values(sa.column("unit", sa.Text), sa.column("quantity", sa.BigInteger), name="each")
        .data([(sa.literal(unit), named.c[metric]) for unit, metric in priced.quantities.items()])
        .lateral()
    )
    keys = [named.c[f"key_{position}"] for position in range(len(names))]
    found = named.join(each, sa.true())
    prices = []
    for key in keys:
        rate = rates.alias()
        prices.append(rate.c.price)
        found = found.outerjoin(
            rate,
            sa.and_(
                rate.c.kind == priced.kind,
                rate.c.key == key,
                rate.c.unit == each.c.unit,
                rate.c.valid_from <= named.c.day,
                rate.c.valid_until > named.c.day,
            ),
        )
    return (
        sa.select(
            named.c.day,
            named.c.user_id,
            sa.func.coalesce(*keys, UNKNOWN_KEY).label("key"),
            each.c.quantity,
            sa.func.coalesce(*prices).label("price"),
        )
        .select_from(found)
        .where(each.c.quantity > 0, named.c.day.is_not(None))
        .subquery("priced")
    )


def _cost_part(kind: str, priced: sa.Subquery) -> sa.Select[Any]:
    cost = sa.func.sum(priced.c.quantity * priced.c.price)
    by = [priced.c.day, priced.c.user_id]
    return _part(*by, **{f"{kind}_cost": cost}).where(priced.c.price.is_not(None)).group_by(*by)


def _unpriced_part(kind: str, priced: sa.Subquery) -> sa.Select[Any]:
    by = [priced.c.day, priced.c.user_id]
    quantity = sa.cast(sa.func.sum(priced.c.quantity), sa.BigInteger).label("quantity")
    sums = sa.select(*by, priced.c.key, quantity).where(priced.c.price.is_(None)).group_by(*by, priced.c.key)
    each = sums.subquery("unpriced_quantities")
    quantities = sa.func.jsonb_object_agg(each.c.key, each.c.quantity)
    return _part(each.c.day, each.c.user_id, kind=sa.literal(kind), unpriced=quantities).group_by(
        each.c.day, each.c.user_id
    )


def _days_with_snapshot(window: Window) -> sa.CTE:
    days = sa.select(storage_daily.c.day).where(
        storage_daily.c.day >= window.first, storage_daily.c.day < window.end
    )
    return days.distinct().cte("snapshots")


def _storage_parts(window: Window, rates: sa.Table) -> list[sa.Select[Any]]:
    """Return what was stored on the days that have a snapshot, and how much of it has no price."""
    by = [storage_daily.c.day, storage_daily.c.user_id]
    inside = sa.and_(storage_daily.c.day >= window.first, storage_daily.c.day < window.end)
    stored = sa.func.sum(storage_daily.c.bytes)
    unpriced = sa.func.jsonb_build_object("storage", stored)
    return [
        _part(*by, storage_bytes=stored).where(inside).group_by(*by),
        _part(*by, kind=sa.literal("storage"), unpriced=unpriced)
        .where(inside, _storage_price(storage_daily.c.day, rates).is_(None))
        .group_by(*by)
        .having(stored > 0),
    ]


def _storage_price(day: Expression, rates: sa.Table) -> sa.ScalarSelect[Any]:
    is_storage = sa.and_(rates.c.kind == "storage", rates.c.key == "storage", rates.c.unit == "GB-month")
    in_force = sa.and_(rates.c.valid_from <= day, rates.c.valid_until > day)
    return sa.select(rates.c.price).where(is_storage, in_force).scalar_subquery()


def _storage_cost(everything: sa.Subquery, rates: sa.Table) -> Expression:
    """Return the day's share of a month's storage at the day's rate."""
    stored = sa.func.nullif(sa.func.sum(everything.c.storage_bytes), 0)
    amount = sa.cast(stored * _storage_price(everything.c.day, rates), sa.Numeric(60, 20))
    return amount / days_in_month(everything.c.day)


def days_in_month(day: Expression) -> Expression:
    """Return the SQL for the number of days of the month a date lies in."""
    first = sa.func.date_trunc("month", sa.cast(day, sa.DateTime))
    last = first + sa.text("interval '1 month - 1 day'")
    return sa.cast(sa.extract("day", last), sa.Integer)


def _part(day: Expression, user_id: Expression, **values: Expression) -> sa.Select[Any]:
    """Return a select with every column of the union, NULL where this part has nothing to say."""
    types: dict[str, Any] = dict.fromkeys(COUNTS, sa.BigInteger()) | dict.fromkeys(COSTS, sa.Numeric())
    types |= {"kind": sa.Text(), "unpriced": JSONB()}
    columns = [
        sa.cast(values[name] if name in values else sa.null(), kind).label(name)
        for name, kind in types.items()
    ]
    return sa.select(day.label("day"), user_id.label("user_id"), *columns)
