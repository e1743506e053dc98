"""Days and months that no job ever computed, from the first day on record up to today."""

from datetime import date

import sqlalchemy as sa

from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.metrics import UNATTRIBUTED

_NOBODY = f"'{UNATTRIBUTED}'"
# What holds a row for each day a run has seen, and what brings it.
_DAYS = (
    ("statistics", "public.platform_statistics t WHERE t.stat_date = d.day", "job backfill"),
    (
        "subscriptions",
        f"avatarlab_admin.subscription_daily t WHERE t.day = d.day AND t.user_id = {_NOBODY}",
        "job backfill",
    ),
    ("storage", "avatarlab_admin.storage_daily t WHERE t.day = d.day", None),
)
_MISSING = """
    SELECT '{name}' AS what, d.day, {more} AS command FROM days d WHERE NOT EXISTS (SELECT FROM {where})"""
_SQL = """
    WITH first AS (
        SELECT least((SELECT min(day) FROM avatarlab_admin.usage_daily WHERE day >= CAST(:earliest AS date)),
                     (SELECT min(stat_date) FROM public.platform_statistics)) AS day
    ), days AS (
        SELECT generate_series(day::timestamp, CAST(:today AS timestamp), interval '1 day')::date AS day FROM first
    ), missing AS ({missing}
    ), islands AS (
        SELECT *, day - (row_number() OVER (PARTITION BY what ORDER BY day))::int AS island FROM missing
    )
    SELECT what, min(day) AS first, max(day) AS last, count(*) AS days,
           CASE WHEN command IS NOT NULL
                THEN 'avatarlab ' || command || ' --from ' || min(day) || ' --to ' || max(day) END AS more
    FROM islands GROUP BY what, island, command
    UNION ALL
    SELECT 'monthly usage', u.month, max(u.last), count(DISTINCT u.day),
           'avatarlab job backfill --from ' || u.month || ' --to ' || max(u.last)
    FROM (
        SELECT date_trunc('month', day::timestamp)::date AS month, day, max(day) OVER () AS last
        FROM avatarlab_admin.usage_daily WHERE user_id <> {nobody} AND day >= CAST(:earliest AS date) AND day <= :today
    ) AS u
    WHERE NOT EXISTS (SELECT FROM public.monthly_usage m WHERE m.usage_month = u.month)
    GROUP BY u.month"""
COLUMNS = (
    Column("what", help="statistics, subscriptions, storage (n/a on these days), or monthly usage"),
    Column("first", Kind.DATE, "the first day of the gap"),
    Column("last", Kind.DATE, "its last day"),
    Column("days", Kind.INTEGER, "how many"),
    Column("more", Kind.ID, "what computes them; a day's storage cannot be made up", null="-"),
)


def gaps(today: date, earliest: date) -> Report:
    """Report what was never computed between the first day on record and today, a row for each unbroken gap."""
    parts = (
        _MISSING.format(name=name, where=where, more="NULL" if more is None else f"'{more}'")
        for name, where, more in _DAYS
    )
    text = sa.text(_SQL.format(missing=" UNION ALL".join(parts), nobody=_NOBODY)).bindparams(
        today=today, earliest=earliest
    )
    each = text.columns(what=sa.Text, first=sa.Date, last=sa.Date, days=sa.BigInteger, more=sa.Text).subquery(
        "gaps"
    )
    return Report(sa.select(each), COLUMNS, sort="first,what", empty="Nothing is missing.")
