"""The history of what is stored: each day as a run saw it, and the days between, which no run saw, interpolated."""

from dataclasses import dataclass
from datetime import date, timedelta

import sqlalchemy as sa

from avatarlab_cli.rollup import database_size, fresh, storage, windows
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.ledger import OTHER
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import database_daily, storage_daily
from avatarlab_cli.timeframe import Window, earliest

# Two days too far apart say nothing of what was between: more missing days than this stay unknown.
LONGEST_GAP = 92


@dataclass(frozen=True)
class Series:
    """A table of one observation a day: `cells` identify a row within its day, and `values` are its figures.

    A row without any figure is left out of interpolated days, unless the condition `kept` holds of it.
    """

    table: sa.Table
    cells: tuple[str, ...]
    values: tuple[str, ...]
    kept: str = "false"


STORAGE = Series(
    storage_daily,
    ("user_id", "kind", "bucket"),
    storage.FIGURES,
    kept=f"user_id = '{UNATTRIBUTED}' AND kind = '{OTHER}' AND bucket = ''",
)
DATABASE = Series(database_daily, ("area",), ("bytes",))


@dataclass(frozen=True)
class Kept:
    """How many rows were written, and what could not be observed: figure -> why."""

    changes: int
    skipped: dict[str, str]


def keep(
    connection: sa.Connection, window: Window, today: date, live: LiveSchema, available: Availability
) -> Kept:
    """Observe today, where the window holds it, and fill the gaps between observed days.

    Gaps are filled wherever they lie in open months, inside the window or not: half a gap would be no history.
    Comes before anything that reads storage_daily. Raises NotPermittedError as `storage.snapshot` does.
    """
    sizes, reason = 0, None
    if window.first <= today < window.end:
        # First, while this transaction holds no lock that whoever rewrites a table could wait for.
        sizes, reason = database_size.measure(connection, today)
    stored = storage.snapshot(connection, window, today, live, available)
    filled = fill_gaps(connection, STORAGE, today) + fill_gaps(connection, DATABASE, today)
    return Kept(sizes + stored + filled, {database_size.METRIC: reason} if reason else {})


def fill_gaps(connection: sa.Connection, series: Series, today: date) -> int:
    """Interpolate the days between two observed ones, day by day and cell by cell, on a straight line.

    A cell that one of the two does not have counts as 0 there. Days of closed months, and of gaps longer than
    LONGEST_GAP, stay as they are; so do days already interpolated, unless today is one of the two.
    """
    first = max(windows.first_open(connection), earliest(today))
    bound = {
        "first": first,
        "today": today,
        "longest": LONGEST_GAP,
        "begin": first - timedelta(LONGEST_GAP + 1),
    }
    # Most often there is none, and to look costs less than a table of none.
    if connection.execute(_gaps(series), bound).first() is None:
        return 0
    gaps = fresh.temporary(connection, f"{series.table.name}_gaps", _gaps(series), **bound)
    table = fresh.temporary(connection, f"{series.table.name}_filled", _filled(series, gaps))
    inside = sa.and_(series.table.c.is_interpolated, series.table.c.day.in_(sa.select(gaps.c.day)))
    return fresh.replace(connection, series.table, table, ("day", *series.cells), window=inside)


def _gaps(series: Series) -> sa.TextClause:
    """Return the SQL of the days to fill, each with the observed days around it; one look into the index a day."""
    name, first_cell = series.table.fullname, series.cells[0]
    return sa.text(f"""
        SELECT day, before, after
        FROM (
            SELECT d.day, s.is_interpolated,
                   max(d.day) FILTER (WHERE NOT s.is_interpolated) OVER (ORDER BY d.day) AS before,
                   min(d.day) FILTER (WHERE NOT s.is_interpolated) OVER (ORDER BY d.day DESC) AS after
            FROM (
                SELECT b.first + n AS day
                FROM (SELECT greatest(min(day), CAST(:begin AS date)) AS first, max(day) AS last FROM {name}) AS b
                CROSS JOIN LATERAL generate_series(0, b.last - b.first) AS n
            ) AS d
            LEFT JOIN LATERAL (
                SELECT t.is_interpolated FROM {name} t WHERE t.day = d.day ORDER BY t.{first_cell} LIMIT 1
            ) AS s ON true
        ) AS days
        WHERE day >= :first AND is_interpolated IS NOT FALSE AND after - before - 1 <= :longest
          AND (is_interpolated IS NULL OR :today IN (before, after))
    """)


def _filled(series: Series, gaps: sa.Table) -> sa.TextClause:
    cells = ", ".join(series.cells)
    ends = ", ".join(
        f"coalesce(sum({value}) FILTER (WHERE day = {end}), 0) AS {value}_{end}"
        for value in series.values
        for end in ("before", "after")
    )
    values = ", ".join(
        f"round(({value}_before * (after - day) + {value}_after * (day - before)) / (after - before))::bigint AS {value}"
        for value in series.values
    )
    return sa.text(f"""
        SELECT *
        FROM (
            SELECT day, {cells}, {values}, true AS is_interpolated
            FROM {gaps.name}
            JOIN (
                SELECT before, after, {cells}, {ends}
                FROM (SELECT DISTINCT before, after FROM {gaps.name}) AS g
                JOIN {series.table.fullname} ON day = ANY (ARRAY[before, after])
                GROUP BY before, after, {cells}
            ) AS both_ends USING (before, after)
        ) AS filled
        WHERE greatest({", ".join(series.values)}) > 0 OR {series.kept}
    """)
