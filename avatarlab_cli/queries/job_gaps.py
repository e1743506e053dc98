"""Days and months that no job ever computed, from the first day on record up to yesterday."""

from datetime import date, timedelta

import sqlalchemy as sa

from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import windows
from avatarlab_cli.rollup.history import LONGEST_GAP
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.timeframe import earliest

_BACKFILL = "'avatarlab job backfill --from ' || first || ' --to ' || last"
# A closed month is final; the last one comes first.
_REOPEN = (
    "'avatarlab period reopen ' || to_char(:first_open - 1, 'YYYY-MM') || ' --reason \"Days are missing\"'"
)
_COMPUTED = f"CASE WHEN is_closed THEN {_REOPEN} ELSE {_BACKFILL} END"
# Only what lies between two snapshots can be told, if they are not too far apart.
_SNAPSHOT = """CASE WHEN NOT is_closed AND whole <= :longest
                     AND first > (SELECT min(day) FROM avatarlab_admin.storage_daily) THEN 'avatarlab job run storage-snapshot' END"""
# What holds a row for each day a run has seen, and what brings it.
_DAYS = (
    ("statistics", "public.platform_statistics t WHERE t.stat_date = d.day", _COMPUTED),
    (
        "subscriptions",
        f"avatarlab_admin.subscription_daily t WHERE t.day = d.day AND t.user_id = '{UNATTRIBUTED}'",
        _COMPUTED,
    ),
    ("storage", "avatarlab_admin.storage_daily t WHERE t.day = d.day", _SNAPSHOT),
)
_MISSING = """
    SELECT '{name}' AS what, d.day, d.is_closed FROM days d WHERE NOT EXISTS (SELECT FROM {where})"""
_SQL = f"""
    WITH first AS (
        SELECT least((SELECT min(day) FROM avatarlab_admin.usage_daily WHERE day >= :earliest),
                     (SELECT min(stat_date) FROM public.platform_statistics)) AS day
    ), days AS (
        SELECT g.day::date AS day, g.day < :first_open AS is_closed
        FROM first, generate_series(first.day::timestamp, :yesterday, interval '1 day') AS g (day)
    ), missing AS ({" UNION ALL".join(_MISSING.format(name=name, where=where) for name, where, _ in _DAYS)}
    ), numbered AS (
        SELECT *, day - (row_number() OVER (PARTITION BY what ORDER BY day))::int AS island FROM missing
    ), gaps AS (
        SELECT what, is_closed, min(day) AS first, max(day) AS last, count(*) AS days,
               sum(count(*)) OVER (PARTITION BY what, island) AS whole
        FROM numbered GROUP BY what, island, is_closed
        UNION ALL
        SELECT 'monthly usage', u.month < :first_open, u.month, max(u.day), count(DISTINCT u.day), 0
        FROM (
            SELECT date_trunc('month', day::timestamp)::date AS month, day, user_id
            FROM avatarlab_admin.usage_daily WHERE day BETWEEN :earliest AND :yesterday
        ) AS u
        JOIN auth.users a ON a.id = u.user_id
        WHERE NOT EXISTS (SELECT FROM public.monthly_usage m WHERE m.usage_month = u.month)
        GROUP BY u.month
    )
    SELECT what, first, last, days,
           CASE what {" ".join(f"WHEN '{name}' THEN {more}" for name, _, more in _DAYS)} ELSE {_COMPUTED} END AS more
    FROM gaps"""
COLUMNS = (
    Column("what", help="statistics, subscriptions, storage (n/a on these days), or monthly usage"),
    Column("first", Kind.DATE, "the first day of the gap"),
    Column("last", Kind.DATE, "its last day"),
    Column("days", Kind.INTEGER, "how many"),
    Column(
        "more", Kind.ID, "what computes them, or comes first; none for stored bytes nobody can tell", null="-"
    ),
)


def gaps(connection: sa.Connection, today: date) -> Report:
    """Report what was never computed between the first day on record and yesterday, a row for each unbroken gap.

    A finding is what something can be done about.
    """
    bound = {
        "earliest": earliest(today),
        "yesterday": today - timedelta(days=1),
        "first_open": windows.first_open(connection),
        "longest": LONGEST_GAP,
    }
    typed = [
        sa.bindparam(name, value, sa.Integer if name == "longest" else sa.Date)
        for name, value in bound.items()
    ]
    text = sa.text(_SQL).bindparams(*typed)
    each = text.columns(what=sa.Text, first=sa.Date, last=sa.Date, days=sa.BigInteger, more=sa.Text).subquery(
        "gaps"
    )
    return Report(
        sa.select(each),
        COLUMNS,
        sort="first,what",
        empty="Nothing is missing.",
        findings=sa.select(each).where(each.c.more.is_not(None)),
    )
