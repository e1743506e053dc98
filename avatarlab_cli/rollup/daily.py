"""The rows of usage_daily: every metric and cost by user and UTC day, in one pass over each source."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.rollup import capture, cells, pruned
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
from avatarlab_cli.schema.base import JSONB, TEXTS
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

    @property
    def computed(self) -> frozenset[str]:
        """The sources of which anything is computed."""
        return self.sources if self.cells is None else self.cells.sources

    @property
    def is_mixed(self) -> bool:
        """Whether of one day and user this source may be computed, and of another that."""
        return self.cells is not None and not self.cells.is_uniform and len(self.computed) > 1

    def has(self, source: str) -> bool:
        """Tell whether anything of a source is computed."""
        return source in self.computed

    @property
    def metrics(self) -> list[str]:
        """The metrics of these sources."""
        return [metric for metric in METRICS if self.has(SOURCE_OF[metric])]

    @property
    def kinds(self) -> list[str]:
        """The kinds of cost of these sources."""
        return [kind for kind in KINDS if self.has(SOURCE_OF_KIND[kind])]


# Writing it takes longer than what a batch's few cells take to count.
@functools.lru_cache(maxsize=32)
def select_days(scope: Scope, available: Availability, rates: sa.Table, rate_version: str) -> sa.Select[Any]:
    """Return the select of usage_daily's rows, and of one row a user for what has no day.

    Of a scope that is not whole it has the computed sources' columns alone, and a row for every day and user in it;
    `sources` names those that a row has cells of.
    """
    parts = [
        part
        for source, metrics in available.measured
        if scope.has(source.table.name)
        for part in _parts(source, metrics, scope, available, rates)
    ]
    parts += _storage_parts(scope, rates) if scope.has(STORAGE) else []
    parts += _pruned_parts(scope)
    parts += [] if scope.is_whole else [_keys(scope)]
    everything = sa.union_all(*parts).subquery("everything")
    days = _days_with_snapshot(scope)
    costs = [f"{kind}_cost" for kind in scope.kinds if kind != STORAGE]
    sums = {name: sa.func.sum(everything.c[name]) for name in (*scope.metrics, "storage_bytes", *costs)}
    columns = {metric: _count(sums, metric, available) for metric in scope.metrics}
    snapshot_taken = sa.select(days.c.day).where(days.c.day == everything.c.day).exists()
    # Of a new row the day's snapshot tells whether it is known that nothing was stored.
    columns["storage_bytes"] = sa.case((snapshot_taken, _total(sums["storage_bytes"])))
    columns |= {name: sums[name] for name in costs}
    if scope.has(STORAGE):
        columns["storage_cost"] = sa.case((snapshot_taken, _storage_cost(everything.c.day, sums, rates)))
    unpriced = sa.func.jsonb_object_agg(everything.c.kind, everything.c.unpriced)
    columns["unpriced"] = sa.func.coalesce(unpriced.filter(everything.c.kind.is_not(None)), _EMPTY)
    columns["definition_version"] = sa.literal(DEFINITION_VERSION, sa.Integer)
    columns["rate_card_version"] = sa.literal(rate_version, sa.Text)
    if scope.is_mixed:
        columns["sources"] = sa.func.max(everything.c.sources)
    by = [everything.c.day, everything.c.user_id]
    select = sa.select(*by, *(value.label(name) for name, value in columns.items())).group_by(*by)
    if scope.is_whole:
        # What rows that were pruned counted for is no figure while their log is away.
        known = [name for name in COUNTS if name == "storage_bytes" or available.has(name)]
        return select.having(sa.or_(*(sums[name] != 0 for name in known)))
    # As the index has them by which each stored row is found.
    return select.order_by(*by)


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
    if scope.cells is None:
        owned = owned_rows(source, metrics, Extract(scope.window), pricing)
    else:
        owned = cells.owned(source, metrics, pricing, scope.cells, available.indexed)
    counts = {metric: owned.c[metric] for metric in metrics}
    parts = [_part(scope, owned.c.day, owned.c.user_id, **counts)]
    if pricing is not None:
        priced = priced_rows(pricing, owned, rates)
        parts += [_cost_part(scope, pricing.kind, priced), _unpriced_part(scope, pricing.kind, priced)]
    return parts


def _cost_part(scope: Scope, kind: str, priced: sa.Subquery) -> sa.Select[Any]:
    cost = priced.c.quantity * priced.c.price
    part = _part(scope, priced.c.day, priced.c.user_id, **{f"{kind}_cost": cost})
    return part.where(priced.c.price.is_not(None))


def _unpriced_part(scope: Scope, kind: str, priced: sa.Subquery) -> sa.Select[Any]:
    by = [priced.c.day, priced.c.user_id]
    quantity = sa.cast(sa.func.sum(priced.c.quantity), sa.BigInteger).label("quantity")
    sums = sa.select(*by, priced.c.key, quantity).where(priced.c.price.is_(None)).group_by(*by, priced.c.key)
    each = sums.subquery("unpriced_quantities")
    quantities = sa.func.jsonb_object_agg(each.c.key, each.c.quantity)
    by = [each.c.day, each.c.user_id]
    return _part(scope, *by, kind=sa.literal(kind), unpriced=quantities).group_by(*by)


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
        counts = {metric: each.c[metric] for metric in metrics}
        parts.append(_part(scope, each.c.day, each.c.user_id, **counts))
    return parts


def _keys(scope: Scope) -> sa.Select[Any]:
    """Return every day and user that has something to lose, or for cells each of theirs."""
    if scope.is_mixed and scope.cells is not None:
        each = cells.touched(scope.cells).subquery("touched")
        return _part(scope, each.c.day, each.c.user_id, sources=each.c.sources)
    if scope.cells is not None:
        own = scope.cells.table.c
        return _part(scope, own.day, own.user_id).where(own.source == min(scope.computed))
    own = usage_daily.c
    return _part(scope, own.day, own.user_id).where(own.day >= scope.window.first, own.day < scope.window.end)


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
        _part(scope, each.c.day, each.c.user_id, storage_bytes=each.c.bytes),
        _part(scope, each.c.day, each.c.user_id, kind=sa.literal("storage"), unpriced=unpriced).where(
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


def _part(scope: Scope, day: Expression, user_id: Expression, **values: Expression) -> sa.Select[Any]:
    """Return a select with every column of the union, NULL where this part has nothing to say."""
    types: dict[str, Any] = dict.fromkeys((*scope.metrics, "storage_bytes"), sa.BigInteger())
    types |= {f"{kind}_cost": sa.Numeric() for kind in scope.kinds}
    types |= {"kind": sa.Text(), "unpriced": JSONB}
    types |= {"sources": TEXTS} if scope.is_mixed else {}
    columns = [
        sa.cast(values[name] if name in values else sa.null(), kind).label(name)
        for name, kind in types.items()
    ]
    return sa.select(day.label("day"), user_id.label("user_id"), *columns)
