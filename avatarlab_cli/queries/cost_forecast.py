"""What the current month will come to, kind by kind, and how well the same reckoning did in past months."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries import cost_days, costs
from avatarlab_cli.queries.cost_report import NEVER
from avatarlab_cli.queries.costs import PLACES, Month
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.timeframe import Window, month_window

MONTHS_TESTED = 6
RECENT_DAYS = 7
METHODS = (f"last-{RECENT_DAYS}-days", "month-so-far")
"""The days to come will cost what the last seven complete ones did on average, or those of the month so far."""
AUTO = "auto"

# What is kept costs a share of the month a day, and months differ in length.
_LENGTH = "extract(day FROM date_trunc('month', d.day::timestamp) + interval '1 month - 1 day')::int"
# Every month as far as the current one has got: until `cut`, which is the first day that is not over. The days before
# anything was ever counted tell nothing of those to come.
_FORECASTS = f"""
    WITH months AS (
        SELECT * FROM unnest(CAST(:months AS date[]), CAST(:cuts AS date[]), CAST(:ends AS date[])) AS m (month, cut, until)
    ), summed AS (
        SELECT m.month, d.kind, m.cut - m.month AS elapsed, m.until - m.cut AS remaining, m.until - m.month AS length,
               sum(d.cost) FILTER (WHERE d.day >= m.month) AS so_far,
               count(d.cost) FILTER (WHERE d.day >= m.month) AS known,
               coalesce(bool_or(d.is_incomplete) FILTER (WHERE d.day >= m.month), false) AS is_incomplete,
               coalesce(sum(d.cost) FILTER (WHERE d.day >= m.month AND d.day < m.cut), 0) AS complete,
               count(d.cost) FILTER (WHERE d.day >= m.month AND d.day < m.cut) AS known_complete,
               avg(CASE WHEN d.kind IN ('storage', 'database') THEN d.cost * {_LENGTH} / (m.until - m.month) ELSE d.cost END)
                   FILTER (WHERE d.day >= m.cut - {RECENT_DAYS} AND d.day < m.cut AND d.day >= :began) AS recent,
               avg(d.cost) FILTER (WHERE d.day >= m.month AND d.day < m.cut AND d.day >= :began) AS mean
        FROM months m JOIN days_by_kind d ON d.day >= m.month - {RECENT_DAYS} AND d.day < m.until
        GROUP BY m.month, m.cut, m.until, d.kind
    ), tried AS (
        SELECT s.month, s.kind, e.rank, e.method,
               CASE WHEN s.known = s.length AND (s.so_far <> 0 OR NOT s.is_incomplete)
                    THEN round(s.so_far, {PLACES}) END AS actual,
               CASE WHEN s.known_complete = s.elapsed AND (s.so_far <> 0 OR NOT s.is_incomplete)
                    THEN round(s.complete + e.per_day * s.remaining, {PLACES}) END AS forecast
        FROM summed s
        CROSS JOIN LATERAL (VALUES (1, '{METHODS[0]}', s.recent), (2, '{METHODS[1]}', s.mean)) AS e (rank, method, per_day)
    ), judged AS (
        SELECT kind, method, rank, avg(abs(forecast - actual) / nullif(actual, 0)) AS error,
               count(forecast / nullif(actual, 0)) AS months
        FROM tried WHERE month < :current GROUP BY kind, method, rank
    ), chosen AS (
        SELECT DISTINCT ON (t.kind) t.kind, t.method, j.error, coalesce(j.months, 0) AS months
        FROM (SELECT DISTINCT kind, method, rank FROM tried) AS t LEFT JOIN judged j USING (kind, method)
        WHERE :method IN ('{AUTO}', t.method)
        ORDER BY t.kind, j.error NULLS LAST, t.rank
    )
"""
_NOW = f"""{_FORECASTS}
    SELECT t.kind, t.forecast, c.method, round(c.error, 6) AS past_error, c.months AS months_tested
    FROM tried t JOIN chosen c USING (kind, method)
    WHERE t.month = :current
"""
_PAST = f"""{_FORECASTS}
    SELECT t.month, t.kind, t.method, t.forecast, t.actual, round((t.forecast - t.actual) / nullif(t.actual, 0), 6) AS error
    FROM tried t JOIN chosen c USING (kind, method)
    WHERE t.month < :current
"""
_TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "kind": sa.Text(),
    "method": sa.Text(),
    "month": sa.Date(),
    "months_tested": sa.BigInteger(),
}
_NOW_NAMES = ("kind", "forecast", "method", "past_error", "months_tested")
_NOW_COLUMNS = (
    Column("kind", help="what is used"),
    Column("so_far", Kind.COST, "from the month's beginning until now", total=True),
    Column("forecast", Kind.COST, "what the month will come to", total=True),
    Column("previous", Kind.COST, "what the month before came to", total=True),
    Column("method", help="how the days to come were reckoned"),
    Column(
        "past_error",
        Kind.PERCENT,
        "by how much that missed in past months on average, at the same point of each",
    ),
    Column("months_tested", Kind.INTEGER, "in how many"),
    Column("is_incomplete", Kind.BOOLEAN, "whether something of it has no price", wide=True),
)
_PAST_COLUMNS = (
    Column("month", Kind.MONTH, "the month, UTC"),
    Column("kind", help="what was used"),
    Column("method", help="how the days to come were reckoned"),
    Column("forecast", Kind.COST, "what was expected at the same point of the month", total=True),
    Column("actual", Kind.COST, "what it came to", total=True),
    Column("error", Kind.PERCENT, "by how much the forecast was above that"),
)


def forecast(connection: sa.Connection, today: date, method: str, *, is_past: bool) -> Report:
    """Report what each kind will come to in today's month; with `is_past`, what would have been said of past months.

    The method `auto` is for each kind the one that missed least in the months tested. Raises UsageError for an
    unknown one.
    """
    if method not in (AUTO, *METHODS):
        raise UsageError(f"{method!r} is not a method", hint=f"methods: {', '.join((AUTO, *METHODS))}")
    columns = _PAST_COLUMNS if is_past else _NOW_COLUMNS
    this = today.replace(day=1)
    began = cost_days.first_day(connection)
    known = costs.computed_months(connection, Window((began or this).replace(day=1), month_window(this).end))
    spans = _months(today, began or today)
    window = Window(spans[0][0] - timedelta(days=RECENT_DAYS), today + timedelta(days=1))
    days = cost_days.days_by_kind(window, known[-1].version if known else "")
    names = [column.name for column in _PAST_COLUMNS] if is_past else _NOW_NAMES
    months, cuts, ends = (list(dates) for dates in zip(*spans, strict=True))
    rows = (
        sa.text(_PAST if is_past else _NOW)
        .bindparams(months=months, cuts=cuts, ends=ends, current=this, method=method, began=began or today)
        .columns(*(sa.column(name, _TYPES.get(name, sa.Numeric())) for name in names))
        .subquery("forecasts")
    )
    select = sa.select(rows) if is_past else _beside_stored(rows, known, this)
    is_computed = bool(known) if is_past else any(month.first == this for month in known)
    return Report(
        # The text finds the days under their name.
        select.add_cte(days).where(sa.true() if is_computed else sa.false()),
        columns,
        sort="month,kind" if is_past else "-forecast,kind",
        notes=() if is_past else costs.stale_notes(connection, today),
        empty="There is no past month to look back at."
        if known and is_past
        else NEVER.format(f"{this:%Y-%m}"),
    )


def _beside_stored(rows: sa.Subquery, known: Sequence[Month], this: date) -> sa.Select[Any]:
    """Return the forecasts beside what is stored of this month and the one before, as every report has it."""
    stored = costs.costs(known[-2:])
    previous = (this - timedelta(days=1)).replace(day=1)
    of_this, of_previous = stored.c.month == this, stored.c.month == previous
    sums = (
        sa.select(
            stored.c.kind,
            costs.total(stored.c.cost, of_this).label("so_far"),
            costs.total(stored.c.cost, of_previous).label("previous"),
            sa.func.bool_or(stored.c.is_incomplete).filter(of_this).label("is_incomplete"),
        )
        .group_by(stored.c.kind)
        .subquery("sums")
    )
    # greatest() would take for the greater one what alone is known.
    is_known = sa.and_(rows.c.forecast.is_not(None), sums.c.so_far.is_not(None))
    expected = sa.case((is_known, sa.func.greatest(rows.c.forecast, sums.c.so_far)))
    return sa.select(sums, expected.label("forecast"), *rows.c[2:]).select_from(
        sums.outerjoin(rows, rows.c.kind == sums.c.kind)
    )


def _months(today: date, began: date) -> list[tuple[date, date, date]]:
    """Return months with the day up to which they are looked at, and their end; the current one last.

    A past month is looked at as far as the current one has got; one that was over by then would test nothing, and one
    before which too little was ever counted neither.
    """
    month, elapsed = today.replace(day=1), today.day - 1
    found = [(month, today, month_window(month).end)]
    for _ in range(MONTHS_TESTED):
        month = (month - timedelta(days=1)).replace(day=1)
        cut, end = month + timedelta(days=elapsed), month_window(month).end
        if cut < end and month - timedelta(days=RECENT_DAYS) >= began:
            found.append((month, cut, end))
    return found[::-1]
