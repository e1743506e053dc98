"""Verifying: what is stored beside what the sources say now, computed as the jobs compute it and compared, not written."""

from collections.abc import Iterable
from datetime import date

import sqlalchemy as sa

from avatarlab_cli.rollup import (
    accounts,
    adjusting,
    fresh,
    limits,
    monthly,
    pruned,
    rates,
    verifying_platform,
    windows,
)
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.rollup.daily import COSTS, COUNTS, Scope, select_days
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema.live import probe
from avatarlab_cli.timeframe import BEGINNING, Window, month_window, next_month

DIFFERENCES = "verify_differences"
"""The temporary table of what differs: stored_in, day (of a month its first), user_id (NULL for the platform's), metric, stored, actual."""

# What is compared of each: numbers, the numbers within objects of objects, and by what a row was computed.
_OF_DAY = (*COUNTS, *COSTS)
_OF_MONTH = (
    *COUNTS,
    *("storage_byte_days", "storage_days_interpolated", *COSTS, "total_cost"),
    *("is_over_limit", "is_over_avatar_limit"),
)
_VERSIONS = ("definition_version", "rate_card_version")
FIGURES: tuple[str, ...] = (*_OF_MONTH, "unpriced", "exceeded_limits", *_VERSIONS)
"""What may differ of a user's day or month: all that a run sets."""


def months_of(window: Window) -> list[date]:
    """Return the first days of the months the window touches."""
    months = [window.first.replace(day=1)]
    while (following := next_month(months[-1])) < window.end:
        months.append(following)
    return months


def share(connection: sa.Connection, today: date, within_days: int) -> list[date]:
    """Return the months whose turn it is today: each month with figures, since 2000, has one in every so many days."""
    first: date | None = connection.scalar(_FIRST, {"beginning": BEGINNING, "today": today})
    if first is None:
        return []
    every = months_of(Window(first, next_month(today)))
    turn = today.toordinal() % within_days
    return [month for month in every if (month.year * 12 + month.month) % within_days == turn]


_FIRST = sa.text(
    "SELECT date_trunc('month', min(day)::timestamp)::date FROM avatarlab_admin.usage_daily"
    " WHERE day >= :beginning AND day <= :today"
)


def compare(connection: sa.Connection, months: Iterable[date], today: date, card: RateCard) -> int:
    """Create the table of DIFFERENCES for these months and return its length.

    Of open months every day and month is compared, and the platform's days before today. Of closed ones what changed since they were closed is recorded as
    adjustments; these are the differences. Needs the jobs' lock and a transaction that may write.
    """
    pruned.demand_kept(connection)
    fresh.temporary(connection, DIFFERENCES, _NONE)
    first = windows.first_open(connection)
    closed = [month for month in months if month < first]
    if closed:
        adjusting.adjust(connection, today, months=closed)
        connection.execute(sa.text(_ADJUSTED))
    for month in (month for month in months if month >= first):
        _compare(connection, month, today, card)
    return int(connection.scalar(sa.text(f"SELECT count(*) FROM {DIFFERENCES}")) or 0)


def counted(connection: sa.Connection) -> dict[str, dict[str, int]]:
    """Return how many DIFFERENCES there are by month, as 2026-03, and of each by metric; what does not differ is left out."""
    found: dict[str, dict[str, int]] = {}
    for month, metric, count in connection.execute(_COUNTED):
        found.setdefault(month, {})[metric] = count
    return found


_COUNTED = sa.text(
    f"SELECT to_char(day, 'YYYY-MM') AS month, metric, count(*) FROM {DIFFERENCES} GROUP BY 1, 2 ORDER BY 1, 2"
)
_NONE = sa.text("""
    SELECT ''::text AS stored_in, date 'epoch' AS day, CAST(NULL AS uuid) AS user_id, ''::text AS metric,
           0::numeric AS stored, 0::numeric AS actual WHERE false
""")
_OF_PLATFORM = sa.text(f"""
    INSERT INTO {DIFFERENCES} (stored_in, day, metric, stored, actual)
    VALUES ('platform_statistics', :day, :metric, :stored, :actual)
""")
_ADJUSTED = f"""
    INSERT INTO {DIFFERENCES} SELECT 'closed month', month, user_id, metric, before, after FROM {adjusting.ADJUSTED}
"""


def _compare(connection: sa.Connection, month: date, today: date, card: RateCard) -> None:
    live = probe(connection)
    available = availability(live)
    window = month_window(month)
    prices = rates.collect(connection, card)
    accounts.collect(connection, live)
    limits.collect(connection, live, today)
    days = select_days(Scope(window), available, prices, card.version).subquery("each")
    each = fresh.temporary(connection, "verify_days", sa.select(days).where(days.c.day.is_not(None)))
    scope = monthly.Scope(window)
    monthly.collect(connection, scope, available, today=today, rate_version=card.version, days="verify_days")
    bound = {"first": window.first, "end": window.end}
    by_day = ("avatarlab_admin.usage_daily", "day", "verify_days")
    by_month = ("public.monthly_usage", "usage_month", "usage_month_fresh")
    for (table, day, now), values in (
        (by_day, _values(_OF_DAY, "unpriced")),
        (by_month, _values(_OF_MONTH, "unpriced", "exceeded_limits")),
    ):
        name = table.rpartition(".")[2]
        sql = _DIFFERING.format(name=name, table=table, day=day, now=now, values=values)
        connection.execute(sa.text(sql), bound)
    if found := verifying_platform.compare(
        connection, window, today, days=each, available=available, live=live
    ):
        connection.execute(_OF_PLATFORM, found)


def _values(numbers: Iterable[str], *objects: str) -> str:
    """Return the SELECTs of a row's figures: name, stored and actual. Of a version that is whether it is the one in force."""
    rows = [f"('{name}', {_number(f's.{name}')}, {_number(f'f.{name}')})" for name in numbers]
    is_pair = "s.user_id IS NOT NULL AND f.user_id IS NOT NULL"
    rows += [
        f"('{name}', CASE WHEN {is_pair} THEN (s.{name} IS NOT DISTINCT FROM f.{name})::int END, CASE WHEN {is_pair} THEN 1 END)"
        for name in _VERSIONS
    ]
    return " UNION ALL ".join([f"VALUES {', '.join(rows)}", *map(_parts, objects)])


def _number(value: str) -> str:
    return f"{value}::int::numeric" if ".is_" in value else f"{value}::numeric"


def _parts(name: str) -> str:
    """Return the SELECT of the numbers in an object of objects, each named by its keys with dots between."""
    keys = " UNION ".join(
        f"SELECT a.key, b.key FROM jsonb_each({_object(f'{row}.{name}')}) AS a, jsonb_each({_object('a.value')}) AS b"
        for row in "sf"
    )
    each = [f"{row}.{name} -> k.outer_key -> k.inner_key" for row in "sf"]
    values = ", ".join(f"CASE jsonb_typeof({e}) WHEN 'number' THEN ({e})::numeric END" for e in each)
    return f"""
        SELECT concat_ws('.', '{name}', k.outer_key, k.inner_key), {values}
        FROM ({keys}) AS k (outer_key, inner_key) WHERE s.{name} IS DISTINCT FROM f.{name}"""


def _object(value: str) -> str:
    return f"CASE jsonb_typeof({value}) WHEN 'object' THEN {value} ELSE '{{}}' END"


# A row that only one side has differs in what it is not nothing of.
_DIFFERING = f"""
    INSERT INTO {DIFFERENCES}
    SELECT '{{name}}', coalesce(f.{{day}}, s.{{day}}), coalesce(f.user_id, s.user_id), v.metric, v.stored, v.actual
    FROM {{now}} f
    FULL JOIN (SELECT * FROM {{table}} WHERE {{day}} >= :first AND {{day}} < :end) AS s
      ON s.{{day}} = f.{{day}} AND s.user_id = f.user_id
    CROSS JOIN LATERAL ({{values}}) AS v (metric, stored, actual)
    WHERE v.stored IS DISTINCT FROM v.actual
      AND (s.user_id IS NOT NULL AND f.user_id IS NOT NULL OR coalesce(v.stored, v.actual, 0) <> 0)
"""
