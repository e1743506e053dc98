"""Cohorts: who signed up in one month, how many of them are still there later, and what they pay."""

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries import money
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.admin import platform_statistics
from avatarlab_cli.schema.live import demand_all_rows
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Window

BY = ("users", "revenue")
"""What is looked at: activity in each month, or revenue at its end."""
_EMPTY = "Nobody signed up in these months, or none of them is stored; `avatarlab job run platform-statistics` computes it."
_COHORTS = f"""
    WITH {money.MONTHS}, signups AS (
        SELECT id, date_trunc('month', created_at AT TIME ZONE 'UTC')::date AS cohort
        FROM auth.users
        WHERE created_at >= CAST(:first AS timestamp) AT TIME ZONE 'UTC'
          AND created_at < CAST(:end AS timestamp) AT TIME ZONE 'UTC'
    ), active AS (
        SELECT s.cohort, a.month, count(*) AS users
        FROM (SELECT DISTINCT user_id, date_trunc('month', day::timestamp)::date AS month
              FROM avatarlab_admin.usage_daily WHERE is_active AND day >= :first AND day < :end) AS a
        JOIN signups s ON s.id = a.user_id
        GROUP BY s.cohort, a.month
    ), paying AS (
        SELECT s.cohort, m.month, count(*) AS users, sum(d.arr_cents)::bigint AS arr_cents
        FROM months m
        JOIN avatarlab_admin.subscription_daily d ON d.day = m.last AND d.arr_cents > 0
        JOIN signups s ON s.id = d.user_id
        GROUP BY s.cohort, m.month
    ), known AS (
        SELECT m.month, count(d.day) = m.last - m.first + 1 AS is_whole, bool_or(d.day = m.last) IS TRUE AS has_end
        FROM months m LEFT JOIN on_record d ON d.day BETWEEN m.first AND m.last
        GROUP BY m.month, m.first, m.last
    ), cells AS (
        SELECT c.cohort, k.month, c.users,
               (extract(year FROM age(k.month, c.cohort)) * 12 + extract(month FROM age(k.month, c.cohort)))::int AS age,
               CASE WHEN k.is_whole THEN coalesce(a.users, 0) END AS active,
               CASE WHEN k.has_end THEN coalesce(p.users, 0) END AS paying,
               CASE WHEN k.has_end THEN coalesce(p.arr_cents, 0) END AS arr_cents
        FROM (SELECT cohort, count(*) AS users FROM signups GROUP BY cohort) AS c
        JOIN known k ON k.month >= c.cohort
        LEFT JOIN active a ON a.cohort = c.cohort AND a.month = k.month
        LEFT JOIN paying p ON p.cohort = c.cohort AND p.month = k.month
    )
    SELECT cohort, month, age, users, {{retained}} AS retained,
           round({{part}}::numeric / nullif({{whole}}, 0), 6) AS share, round(arr_cents / 1200.0, 2) AS mrr
    FROM cells"""
_ASKED = {
    "users": {"retained": "active", "part": "active", "whole": "users"},
    "revenue": {
        "retained": "paying",
        "part": "arr_cents",
        "whole": "max(arr_cents) FILTER (WHERE age = 0) OVER (PARTITION BY cohort)",
    },
}
_TYPES: money.Types = {
    "cohort": sa.Date(),
    "month": sa.Date(),
    "age": sa.Integer(),
    "users": sa.BigInteger(),
    "retained": sa.BigInteger(),
    "share": sa.Numeric(),
    "mrr": sa.Numeric(),
}
_RETAINED = {
    "users": "how many of them did anything in the month",
    "revenue": "how many of them pay at the month's end",
}
_SHARE = {"users": "of users", "revenue": "of the cohort's MRR at the end of its first month"}
_COHORT = Column("cohort", Kind.MONTH, "the month of signing up, UTC")
_USERS = Column("users", Kind.INTEGER, "who signed up then")


def cohorts(connection: sa.Connection, window: Window, by: str, *, is_triangle: bool) -> Report:
    """Report the cohorts of the window's months in each month of it since, a row a cohort and month.

    As a triangle a cohort is one row and an age, in months, a column: the share of users retained, or the MRR. Raises
    UsageError where `by` is none of BY.
    """
    if by not in BY:
        raise UsageError(f"cohorts cannot be looked at by {by!r}", hint=f"by: {', '.join(BY)}")
    notes = money.notes(connection, window)
    demand_all_rows(connection, [users.fullname])
    found = money.selected(_COHORTS.format(**_ASKED[by]), _TYPES, window)
    if is_triangle:
        first = connection.scalar(sa.select(sa.func.min(platform_statistics.c.stat_date)))
        begins = window.first if first is None else max(window.first, first.replace(day=1))
        return _triangle(found, Window(begins, window.end), by, notes)
    columns = (
        _COHORT,
        Column("month", Kind.MONTH, "the month looked at"),
        Column("age", Kind.INTEGER, "how many months later, 0 in the month of signing up"),
        _USERS,
        Column("retained", Kind.INTEGER, _RETAINED[by]),
        Column("share", Kind.PERCENT, _SHARE[by]),
        Column("mrr", Kind.MONEY, "what the cohort pays at the month's end, or on its last day stored"),
    )
    return Report(sa.select(*found.c), columns, sort="cohort,month", empty=_EMPTY, notes=notes)


def _triangle(found: sa.Subquery, window: Window, by: str, notes: tuple[str, ...]) -> Report:
    """Return the report of a row a cohort and a column for each of the window's months, the last ones NULL where the time has not come."""
    months = (window.end.year - window.first.year) * 12 + window.end.month - window.first.month
    value, kind = (found.c.share, Kind.PERCENT) if by == "users" else (found.c.mrr, Kind.MONEY)
    ages = [sa.func.max(value).filter(found.c.age == age).label(f"month_{age}") for age in range(months)]
    columns = (
        _COHORT,
        _USERS,
        *(
            Column(f"month_{age}", kind, f"{age} months later; - is not yet, or not known", null="-")
            for age in range(months)
        ),
    )
    select = sa.select(found.c.cohort, found.c.users, *ages).group_by(found.c.cohort, found.c.users)
    return Report(select, columns, sort="cohort", empty=_EMPTY, notes=notes)
