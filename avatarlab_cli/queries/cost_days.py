"""What each kind cost on each day, for reports that follow it over time."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.costs import DATABASE, LAST_DAY, storage_cost
from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.metrics import QUANTITIES, UNATTRIBUTED
from avatarlab_cli.schema.private import database_daily, usage_daily
from avatarlab_cli.timeframe import Window


def _of(kind: str) -> str:
    used = " + ".join(f"sum({metric})" for metric in QUANTITIES[kind])
    return (
        f"CASE WHEN {used} IS NOT NULL THEN coalesce(sum({kind}_cost), 0) END AS {kind},"
        f" coalesce(bool_or(unpriced ? '{kind}'), false) AS {kind}_lacks"
    )


# The names of the bounds must not be those of the statement this becomes a part of: one of the two values would be lost.
# A day without any row of usage is one on which nothing was used, unless no run has come so far; without a snapshot,
# storage is not known.
_USAGE = f"""
    WITH days AS (
        SELECT g.day::date AS day
        FROM generate_series(CAST(:since AS timestamp), CAST(:until AS timestamp) - interval '1 day', interval '1 day') AS g (day)
    ), sums AS (
        SELECT day, {", ".join(map(_of, QUANTITIES))}, sum(storage_cost) AS storage,
               coalesce(bool_or(unpriced ? 'storage'), false) AS storage_lacks
        FROM avatarlab_admin.usage_daily WHERE day >= :since AND day < :until GROUP BY day
    )
    SELECT v.kind, d.day, CASE WHEN s.day IS NOT NULL THEN v.cost WHEN d.day <= {LAST_DAY} THEN 0 END AS cost, coalesce(v.lacks, false) AS is_incomplete
    FROM days d LEFT JOIN sums s USING (day)
    CROSS JOIN LATERAL (VALUES {", ".join(f"('{kind}', s.{kind}, s.{kind}_lacks)" for kind in QUANTITIES)}) AS v (kind, cost, lacks)
    UNION ALL
    SELECT 'storage', d.day, CASE WHEN t.day IS NOT NULL THEN coalesce(s.storage, 0) END, coalesce(s.storage_lacks, false)
    FROM days d LEFT JOIN sums s USING (day)
    LEFT JOIN avatarlab_admin.storage_daily t
      ON t.day = d.day AND t.user_id = '{UNATTRIBUTED}' AND t.kind = 'other' AND t.bucket = ''
"""
_COLUMNS = (
    sa.column("kind", sa.Text),
    sa.column("day", sa.Date),
    sa.column("cost", sa.Numeric),
    sa.column("is_incomplete", sa.Boolean),
)


def first_day(connection: sa.Connection) -> date | None:
    """Return the first day on which anything was ever counted."""
    day: date | None = connection.scalar(sa.select(sa.func.min(usage_daily.c.day)))
    return day


def days_by_kind(window: Window, version: str) -> sa.CTE:
    """Return the cost of each kind on each day of the window: kind, day, cost, is_incomplete.

    The cost is NULL where it is not known; incomplete where something had no price, 0 where nothing had one. The card
    of that version prices the database; the rest is as it was stored.
    """
    usage = (
        sa.text(_USAGE).bindparams(since=window.first, until=window.end).columns(*_COLUMNS).subquery("usage")
    )
    return sa.union_all(sa.select(usage), _database(window, version)).cte("days_by_kind")


def _database(window: Window, version: str) -> sa.Select[Any]:
    own, rate = database_daily, rates.stored(version).subquery("database_rate")
    sizes = (
        sa.select(own.c.day, sa.func.sum(own.c.bytes).label("bytes"))
        .where(own.c.day >= window.first, own.c.day < window.end)
        .group_by(own.c.day)
        .subquery("sizes")
    )
    cost = storage_cost(sizes.c.day, sizes.c.bytes, rate.c.price)
    return sa.select(sa.literal(DATABASE), sizes.c.day, cost, sa.false()).select_from(
        sizes.outerjoin(rate, rates.in_force(rate, DATABASE, sizes.c.day))
    )
