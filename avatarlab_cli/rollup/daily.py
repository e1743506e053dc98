"""usage_daily: every metric and cost by user and UTC day, in one pass over each source."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from avatarlab_cli.rollup import capture, cells, fresh, pruned, stale
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.dirty import Cells
from avatarlab_cli.rollup.metrics import (
    DEFINITION_VERSION,
    KINDS,
    METRICS,
    SOURCES,
    STORAGE,
    UNATTRIBUTED,
    Expression,
    Source,
)
from avatarlab_cli.rollup.pricing import Extract, owned_rows, priced_rows
from avatarlab_cli.rollup.rates import in_force
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.private import storage_daily, usage_daily
from avatarlab_cli.timeframe import Window

KEYS = ("day", "user_id")
COUNTS = (*METRICS, "storage_bytes")
COSTS = tuple(f"{kind}_cost" for kind in KINDS)
# The source of each metric and of each kind of cost.
SOURCE_OF = {name: source.table.name for source in SOURCES for name in source.measures} | {
    "storage_bytes": STORAGE
}
SOURCE_OF_KIND = {source.priced.kind: source.table.name for source in SOURCES if source.priced} | {
    STORAGE: STORAGE
}
EVERY_SOURCE = frozenset(capture.NAMES)
_EMPTY = sa.literal_column("'{}'::jsonb", JSONB)


@dataclass(frozen=True)
class DailyResult:
    """What was written, how much was counted since which day, and per metric how much of it has no day."""

    changes: fresh.Changes
    rows: int
    first: date | None
    undated: dict[str, int]


@dataclass(frozen=True)
class Scope:
    """What is computed: these sources' part of every day in the window, or of the cells alone.

    What other sources gave stays as it is stored. Cells must lie in the window.
    """

    window: Window
    sources: frozenset[str] = EVERY_SOURCE
    cells: Cells | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing of what is stored is needed."""
        return self.cells is None and self.sources == EVERY_SOURCE

    def has(self, source: str) -> bool:
        """Tell whether anything of a source is computed."""
        return source in (self.sources if self.cells is None else self.cells.sources)


def recompute(
    connection: sa.Connection, scope: Scope, available: Availability, rates: sa.Table, rate_version: str
) -> DailyResult:
    """Set usage_daily in the scope to what the source rows say now, priced by the temporary table of rates.

    Raises ConfigurationError where it is not known what pruned rows counted for.
    """
    pruned.demand_kept(connection)
    table = fresh.temporary(
        connection, "usage_daily_fresh", select_days(scope, available, rates, rate_version), KEYS
    )
    undated = _take_undated(connection, table)
    inside = sa.and_(usage_daily.c.day >= scope.window.first, usage_daily.c.day < scope.window.end)
    if scope.cells is not None:
        inside = fresh.lacks(table, usage_daily, KEYS, cells.days(scope.cells))
    changes = fresh.replace(connection, usage_daily, table, KEYS, window=inside)
    stale.add(connection, scope.window, None if scope.cells is None else scope.cells.table)
    rows, first = connection.execute(sa.select(sa.func.count(), sa.func.min(table.c.day))).one()
    return DailyResult(changes, rows, first, undated)


def _take_undated(connection: sa.Connection, table: sa.Table) -> dict[str, int]:
    """Remove the rows without a day and return their sums by metric."""
    gone = sa.delete(table).where(table.c.day.is_(None)).returning(*(table.c[m] for m in METRICS)).cte("gone")
    sums = [sa.cast(sa.func.sum(gone.c[metric]), sa.BigInteger).label(metric) for metric in METRICS]
    row = connection.execute(sa.select(*sums)).mappings().one()
    return {metric: value for metric, value in row.items() if value}


# Writing it takes longer than what a batch's few cells take to count.
@functools.lru_cache(maxsize=32)
def select_days(scope: Scope, available: Availability, rates: sa.Table, rate_version: str) -> sa.Select[Any]:
    """Return the select of usage_daily's rows, and of one row a user for what has no day."""
    parts = [
        part
        for source, metrics in available.measured
        if scope.has(source.table.name)
        for part in _parts(source, metrics, scope, available, rates)
    ]
    parts += _storage_parts(scope, rates) if scope.has(STORAGE) else []
    parts += _pruned_parts(scope)
    parts += [] if scope.is_whole else _stored_parts(scope)
    everything = sa.union_all(*parts).subquery("everything")
    days = _days_with_snapshot(scope)
    sums = _sums(everything, scope)
    columns = {metric: _count(sums, metric, available) for metric in METRICS}
    snapshot_taken = sa.select(days.c.day).where(days.c.day == everything.c.day).exists()
    columns["storage_bytes"] = sa.case((snapshot_taken, _total(sums["storage_bytes"])))
    columns |= {f"{kind}_cost": sums[f"{kind}_cost"] for kind in KINDS if kind != STORAGE}
    columns["storage_cost"] = sa.case((snapshot_taken, _storage_cost(everything.c.day, sums, rates)))
    unpriced = sa.func.jsonb_object_agg(everything.c.kind, everything.c.unpriced)
    columns["unpriced"] = sa.func.coalesce(unpriced.filter(everything.c.kind.is_not(None)), _EMPTY)
    columns["definition_version"] = sa.literal(DEFINITION_VERSION, sa.Integer)
    columns["rate_card_version"] = sa.literal(rate_version, sa.Text)
    nonzero = [sums[name] != 0 for name in COUNTS]
    return (
        sa.select(
            everything.c.day, everything.c.user_id, *(value.label(name) for name, value in columns.items())
        )
        .group_by(everything.c.day, everything.c.user_id)
        .having(sa.or_(*nonzero))
    )


def _sums(everything: sa.Subquery, scope: Scope) -> dict[str, Expression]:
    """Return what each count and cost comes to; of what is not computed anew that is the stored row's own figure."""
    sources = SOURCE_OF | {f"{kind}_cost": source for kind, source in SOURCE_OF_KIND.items()}
    return {
        name: (sa.func.sum if scope.has(sources[name]) else sa.func.max)(everything.c[name])
        for name in (*COUNTS, *COSTS)
    }


def _count(sums: Mapping[str, Expression], metric: str, available: Availability) -> Expression:
    if not available.has(metric):
        return sa.cast(sa.null(), sa.BigInteger)
    return _total(sums[metric])


def _total(total: Expression) -> Expression:
    # Most totals are NULL, and cost nothing to cast before they become 0.
    return sa.func.coalesce(sa.cast(total, sa.BigInteger), 0)


def _parts(
    source: Source, metrics: Sequence[str], scope: Scope, available: Availability, rates: sa.Table
) -> list[sa.Select[Any]]:
    """Return one source's contributions: its counts, and where it is priced, its costs and what has no price."""
    pricing = source.priced if source.priced and source.priced.kind in available.priced else None
    rows = (
        None if scope.cells is None else cells.rows(source, metrics, pricing, scope.cells, available.indexed)
    )
    owned = owned_rows(source, metrics, Extract(scope.window, rows=rows), pricing)
    counts = {metric: owned.c[metric] for metric in metrics}
    parts = [_part(owned.c.day, owned.c.user_id, **counts)]
    if pricing is not None:
        priced = priced_rows(pricing, owned, rates)
        parts += [_cost_part(pricing.kind, priced), _unpriced_part(pricing.kind, priced)]
    return parts


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


def _pruned_parts(scope: Scope) -> list[sa.Select[Any]]:
    """Return what pruned rows counted for, of each source in the scope."""
    sources = dict.fromkeys(SOURCE_OF[metric] for metric in pruned.METRICS)
    parts = []
    for name in (name for name in sources if scope.has(name)):
        metrics = [metric for metric in pruned.METRICS if SOURCE_OF[metric] == name]
        gone = pruned.kept(scope.window, metrics)
        if scope.cells is not None:
            gone = gone.where(
                cells.has(scope.cells, gone.selected_columns.day, gone.selected_columns.user_id, name)
            )
        each = gone.subquery(f"pruned_{name}")
        parts.append(_part(each.c.day, each.c.user_id, **{metric: each.c[metric] for metric in metrics}))
    return parts


def _stored_parts(scope: Scope) -> list[sa.Select[Any]]:
    """Return what is stored of the sources that are not computed anew, for every day and user that are."""
    own: sa.FromClause = usage_daily
    read = own
    if scope.cells is None:
        inside: Expression = sa.and_(own.c.day >= scope.window.first, own.c.day < scope.window.end)

        def kept(source: str, value: Expression) -> Expression:
            return sa.null() if source in scope.sources else value
    else:
        own = read = _stored_cells(scope.cells)
        inside = sa.true()

        def kept(source: str, value: Expression) -> Expression:
            if not scope.has(source):
                return value
            return sa.case((sa.literal(source) != sa.all_(own.c.sources), value))

    values = {name: kept(SOURCE_OF[name], own.c[name]) for name in COUNTS}
    # A storage cost follows from the bytes.
    costs = {
        f"{kind}_cost": kept(SOURCE_OF_KIND[kind], own.c[f"{kind}_cost"]) for kind in KINDS if kind != STORAGE
    }
    unpriced = (
        sa.func.jsonb_each(own.c.unpriced)
        .table_valued("key", sa.column("value", JSONB))
        .lateral("without_price")
    )
    of_kind = sa.or_(
        *(
            sa.and_(unpriced.c.key == kind, kept(source, sa.true()).is_not(None))
            for kind, source in SOURCE_OF_KIND.items()
        )
    )
    return [
        _part(own.c.day, own.c.user_id, **values, **costs).select_from(read).where(inside),
        _part(own.c.day, own.c.user_id, kind=unpriced.c.key, unpriced=unpriced.c.value)
        .select_from(read.join(unpriced, sa.true()))
        .where(inside, own.c.unpriced != _EMPTY, of_kind),
    ]


def _stored_cells(wanted: Cells) -> sa.CTE:
    """Return the stored rows that have a cell, each looked up once, and of which sources they have one."""
    touched, own = cells.touched(wanted), usage_daily
    at = sa.and_(own.c.day == touched.c.day, own.c.user_id == touched.c.user_id)
    select = sa.select(own, touched.c.sources).select_from(touched.join(own, at))
    return select.cte("stored").prefix_with("MATERIALIZED")


def _days_with_snapshot(scope: Scope) -> sa.CTE:
    kept = storage_daily
    if scope.cells is None:
        days = (
            sa.select(kept.c.day)
            .where(kept.c.day >= scope.window.first, kept.c.day < scope.window.end)
            .distinct()
        )
    else:
        # One look into the index for each day.
        each = sa.select(scope.cells.table.c.day).distinct().subquery("each_day")
        days = sa.select(each.c.day).where(
            sa.select(kept.c.day).where(kept.c.day == each.c.day).limit(1).exists()
        )
    return days.cte("snapshots")


def _storage_parts(scope: Scope, rates: sa.Table) -> list[sa.Select[Any]]:
    """Return what was stored on the days that have a snapshot, and how much of it has no price.

    What an account had on record is nobody's once the account is gone.
    """
    kept, account = storage_daily, supabase.users.alias("account")
    user_id = sa.func.coalesce(account.c.id, UNATTRIBUTED).label("user_id")
    stored = (
        sa.select(kept.c.day, user_id, sa.func.sum(kept.c.bytes).label("bytes"))
        .select_from(kept.outerjoin(account, account.c.id == kept.c.user_id))
        .where(kept.c.day >= scope.window.first, kept.c.day < scope.window.end)
        .group_by(kept.c.day, user_id)
    )
    if scope.cells is not None:
        days = sa.select(scope.cells.table.c.day).where(scope.cells.table.c.source == STORAGE)
        stored = stored.where(
            kept.c.day.in_(days),
            cells.has(scope.cells, kept.c.day, sa.func.coalesce(account.c.id, UNATTRIBUTED), STORAGE),
        )
    each = stored.subquery("stored")
    unpriced = sa.func.jsonb_build_object("storage", each.c.bytes)
    return [
        _part(each.c.day, each.c.user_id, storage_bytes=each.c.bytes),
        _part(each.c.day, each.c.user_id, kind=sa.literal("storage"), unpriced=unpriced).where(
            each.c.bytes > 0, _storage_price(each.c.day, rates).is_(None)
        ),
    ]


def _storage_price(day: Expression, rates: sa.Table) -> sa.ScalarSelect[Any]:
    return sa.select(rates.c.price).where(in_force(rates, "storage", day)).scalar_subquery()


def _storage_cost(day: Expression, sums: Mapping[str, Expression], rates: sa.Table) -> Expression:
    """Return the day's share of a month's storage at the day's rate."""
    stored = sa.func.nullif(sums["storage_bytes"], 0)
    amount = sa.cast(stored * _storage_price(day, rates), sa.Numeric(60, 20))
    return amount / days_in_month(day)


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
