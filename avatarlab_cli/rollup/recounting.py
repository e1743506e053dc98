"""usage_daily: setting it to what its sources say now."""

from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh, pruned, stale
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.daily import COUNTS, KEYS, SOURCE_OF, SOURCE_OF_KIND, Scope, select_days
from avatarlab_cli.rollup.metrics import METRICS, STORAGE
from avatarlab_cli.schema.private import usage_daily


@dataclass(frozen=True)
class DailyResult:
    """What was written, how much was counted since which day, and per metric how much of it has no day."""

    changes: int
    rows: int
    first: date | None
    undated: dict[str, int]


def recompute(
    connection: sa.Connection, scope: Scope, available: Availability, rates: sa.Table, rate_version: str
) -> DailyResult:
    """Set usage_daily in the scope to what the source rows say now, priced by the temporary table of rates.

    Raises ConfigurationError where it is not known what pruned rows counted for.
    """
    pruned.demand_kept(connection)
    select = select_days(scope, available, rates, rate_version)
    table = fresh.temporary(connection, _fresh_name(scope), select, KEYS)
    # A cell has a day.
    undated = {} if scope.cells is not None else _take_undated(connection, table, scope)
    if scope.is_whole:
        inside = sa.and_(usage_daily.c.day >= scope.window.first, usage_daily.c.day < scope.window.end)
        changes = fresh.replace(connection, usage_daily, table, KEYS, window=inside)
    else:
        changes = fresh.counted(connection, sa.text(_merge_sql(scope, available)))
    stale.add(connection, scope.window, None if scope.cells is None else scope.cells.table)
    rows, first = connection.execute(sa.select(sa.func.count(), sa.func.min(table.c.day))).one()
    return DailyResult(changes, rows, first, undated)


def _fresh_name(scope: Scope) -> str:
    """Return the name of the temporary table of what is computed: of one name no two have different columns."""
    if scope.is_whole:
        return "usage_daily_fresh"
    return "usage_sources_fresh" if scope.cells is None else "usage_cells_fresh"


def _take_undated(connection: sa.Connection, table: sa.Table, scope: Scope) -> dict[str, int]:
    """Remove the rows without a day and return their sums by metric."""
    metrics = scope.metrics
    if not metrics:
        return {}
    gone = sa.delete(table).where(table.c.day.is_(None)).returning(*(table.c[m] for m in metrics)).cte("gone")
    sums = [sa.cast(sa.func.sum(gone.c[metric]), sa.BigInteger).label(metric) for metric in metrics]
    row = connection.execute(sa.select(*sums)).mappings().one()
    return {metric: value for metric, value in row.items() if value}


def _merge_sql(scope: Scope, available: Availability) -> str:
    """Return the statement that sets the computed sources' columns of the rows in the scope, and nothing else of them.

    A row that is left with nothing goes; one that had nothing of any source comes.
    """
    names = [*scope.metrics, *(["storage_bytes"] if scope.has(STORAGE) else ())]
    source_of = {name: SOURCE_OF[name] for name in names}
    source_of |= {f"{kind}_cost": SOURCE_OF_KIND[kind] for kind in scope.kinds}

    def chosen(source: str, new: str, old: str) -> str:
        return (
            f"CASE WHEN '{source}' = ANY (new.sources) THEN {new} ELSE {old} END" if scope.is_mixed else new
        )

    values = {name: chosen(source, f"new.{name}", f"old.{name}") for name, source in source_of.items()}
    counts = (values.get(name, f"old.{name}") for name in COUNTS)
    if scope.kinds:
        kinds = ", ".join(chosen(SOURCE_OF_KIND[kind], f"'{kind}'", "NULL") for kind in scope.kinds)
        # Most have nothing unpriced, and to find that costs a fraction of taking something away.
        values["unpriced"] = f"""CASE WHEN old.unpriced = '{{}}' THEN new.unpriced
                        ELSE (old.unpriced - ARRAY[{kinds}]::text[]) || new.unpriced END"""
    values |= {name: f"new.{name}" for name in _VERSIONS}
    # What the other sources have is nothing, where it can be known.
    others = {name: "0" if available.has(name) else "NULL" for name in METRICS if name not in values}
    coming = others | {name: f"new.{name}" for name in (*KEYS, *values, "storage_bytes", "unpriced")}
    return f"""
        MERGE INTO {usage_daily.fullname} AS old USING {_fresh_name(scope)} AS new
        ON old.day = new.day AND old.user_id = new.user_id
        WHEN MATCHED AND ({" OR ".join(f"{value} <> 0" for value in counts)}) IS NOT TRUE THEN
            DELETE
        WHEN MATCHED AND ({", ".join(f"old.{name}" for name in values)}) IS DISTINCT FROM ({", ".join(values.values())}) THEN
            UPDATE SET {", ".join(f"{name} = {value}" for name, value in values.items())}, computed_at = now()
        WHEN NOT MATCHED AND ({" OR ".join(f"new.{name} <> 0" for name in names) or "false"}) THEN
            INSERT ({", ".join(coming)}, computed_at) VALUES ({", ".join(coming.values())}, now())"""


_VERSIONS = ("definition_version", "rate_card_version")
