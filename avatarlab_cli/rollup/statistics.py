"""platform_statistics: the platform's figures at the end of each day."""

from datetime import date, timedelta

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh, platform_usage, stale, trailing
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.metrics import DEFINITION_VERSION
from avatarlab_cli.rollup.platform_usage import DAYS
from avatarlab_cli.schema.admin import platform_statistics
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.timeframe import Window, earliest

MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churn")


def known_days(connection: sa.Connection, window: Window, today: date) -> Window:
    """Return the part of the window from the platform's first day on; no day where it never had anything."""
    back = earliest(today)
    bound = {"first": max(window.first, back), "earliest": back, "end": window.end}
    return Window(connection.scalar(_FIRST_DAY, bound) or window.end, window.end)


def unexplained_days(connection: sa.Connection, window: Window) -> list[str]:
    """Return the window's days whose ARR is not the day before's plus the movements, in cents; there should be none."""
    bound = {"first": window.first, "end": window.end}
    return [str(day) for day in connection.scalars(_UNEXPLAINED, bound)]


_UNEXPLAINED = sa.text("""
    SELECT s.stat_date FROM public.platform_statistics s
    JOIN public.platform_statistics b ON b.stat_date = s.stat_date - 1
    WHERE s.stat_date >= :first AND s.stat_date < :end
      AND s.arr_cents - b.arr_cents IS DISTINCT FROM round(1200 * (s.mrr_new + s.mrr_reactivation
          + s.mrr_expansion - s.mrr_contraction - s.mrr_churn))
    ORDER BY s.stat_date
""")


def skipped(live: LiveSchema) -> dict[str, str]:
    """Return the figures besides usage that this database cannot answer, and why; they show 0."""
    needs = {
        "total_avatars": ("avatars", "created_at", "status", "deleted_at"),
        "active_avatars": ("avatars", "created_at", "status", "deleted_at"),
        "revenue_today": ("purchases", "purchased_at", "price_paid", "status", "currency"),
    }
    return {
        figure: f"public.{table} is missing, or one of its columns {', '.join(columns)}"
        for figure, (table, *columns) in needs.items()
        if not live.has(table, *columns)
    }


def recompute(
    connection: sa.Connection, window: Window, known: Window, available: Availability, live: LiveSchema
) -> int:
    """Set platform_statistics for the window's days: those that are `known`, as `known_days` tells, and no others.

    Needs the temporary tables of accounts and rates, usage_daily for the window and 30 days before it, and
    subscription_daily up to its end.
    """
    table = collect(connection, known, available, live)
    inside = sa.and_(
        platform_statistics.c.stat_date >= window.first, platform_statistics.c.stat_date < window.end
    )
    changes = fresh.replace(connection, platform_statistics, table, ["stat_date"], window=inside)
    stale.take(connection, window)
    return changes


def collect(
    connection: sa.Connection,
    known: Window,
    available: Availability,
    live: LiveSchema,
    *,
    is_whole: bool = False,
) -> sa.Table:
    """Create the temporary table platform_statistics_fresh of the known days, from what `recompute` needs.

    Usage of days that are not stale is taken from where it is stored, unless `is_whole`.
    """
    platform_usage.collect(connection, known, available, is_whole=is_whole)
    bound = {"first": known.first, "end": known.end}
    back = bound | {"back": known.first - timedelta(days=trailing.DAYS)}
    missing = skipped(live)
    parts: dict[str, sa.TextClause] = {
        "stat_people": _PEOPLE,
        "stat_avatars": _NO_AVATARS if "total_avatars" in missing else _AVATARS,
        "stat_revenue": _NO_REVENUE if "revenue_today" in missing else _REVENUE,
        "stat_tiers": _TIERS,
        "stat_money": _MONEY,
        "stat_movements": _MOVEMENTS,
        "stat_payers": _PAYERS,
    }
    for name, query in parts.items():
        fresh.temporary(connection, name, query, **back)
    return fresh.temporary(connection, "platform_statistics_fresh", _JOINED, **bound)


_FIRST_DAY = sa.text("""
    SELECT CASE WHEN began IS NOT NULL THEN greatest(began, CAST(:first AS date)) END
    FROM (SELECT least(
        (SELECT min(created_at AT TIME ZONE 'UTC')::date FROM accounts_fresh),
        (SELECT min(day) FROM avatarlab_admin.usage_daily WHERE day >= :earliest AND day < :end)) AS began) AS known
""")

# The days on which each account came and went; one deleted on an unknown date was never there.
_ALIVE = """
        SELECT tier, (created_at AT TIME ZONE 'UTC')::date AS born,
               (CASE WHEN deleted_at IS NOT NULL THEN greatest(deleted_at, created_at) END
                AT TIME ZONE 'UTC')::date AS gone
        FROM accounts_fresh WHERE deleted_at IS DISTINCT FROM '-infinity'"""

# Counting each account on the day it came and the day it went gives every day's total by one running sum.
_PEOPLE = sa.text(f"""
    WITH alive AS ({_ALIVE}
    ), changes AS (
        SELECT day, sum(change) AS change
        FROM (SELECT born AS day, 1 AS change FROM alive UNION ALL SELECT gone, -1 FROM alive WHERE gone IS NOT NULL) c
        GROUP BY day
    ), deleted AS (
        SELECT (deleted_at AT TIME ZONE 'UTC')::date AS day, count(*) AS users
        FROM accounts_fresh WHERE isfinite(deleted_at) GROUP BY 1
    ), born AS (
        SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS users FROM accounts_fresh GROUP BY 1
    ), logins AS (
        SELECT (last_login_at AT TIME ZONE 'UTC')::date AS day, count(*) AS users FROM accounts_fresh GROUP BY 1
    )
    SELECT d.day, coalesce((SELECT sum(change) FROM changes c WHERE c.day < :first OR c.day IS NULL), 0)
           + sum(coalesce(c.change, 0)) OVER (ORDER BY d.day) AS total_users,
           coalesce(b.users, 0) AS new_users, coalesce(x.users, 0) AS deleted_users, coalesce(l.users, 0) AS logins
    FROM {DAYS}
    LEFT JOIN changes c USING (day) LEFT JOIN born b USING (day)
    LEFT JOIN deleted x USING (day) LEFT JOIN logins l USING (day)
""")

_AVATARS = sa.text("""
    WITH alive AS (
        SELECT (created_at AT TIME ZONE 'UTC')::date AS born, status IS NOT DISTINCT FROM 'active' AS is_active,
               CASE WHEN status = 'deleted' THEN (greatest(deleted_at, created_at) AT TIME ZONE 'UTC')::date END AS gone
        FROM public.avatars
        WHERE created_at IS NOT NULL AND NOT (coalesce(status, '') = 'deleted' AND deleted_at IS NULL)
    )
    SELECT day, sum(sum(change)) OVER (ORDER BY day) AS total,
           sum(sum(change) FILTER (WHERE is_active)) OVER (ORDER BY day) AS active
    FROM (
        SELECT born AS day, 1 AS change, is_active FROM alive
        UNION ALL SELECT gone, -1, is_active FROM alive WHERE gone IS NOT NULL
    ) AS changes
    GROUP BY day
""")
_NO_AVATARS = sa.text("SELECT NULL::date AS day, 0 AS total, 0 AS active WHERE false")


_REVENUE = sa.text("""
    SELECT day, coalesce(sum(amount) FILTER (WHERE name = 'USD'), 0) AS usd,
           coalesce(jsonb_object_agg(name, amount) FILTER (WHERE name <> 'USD'), '{}') AS other
    FROM (
        SELECT (purchased_at AT TIME ZONE 'UTC')::date AS day, sum(price_paid) AS amount,
               CASE status WHEN 'refunded' THEN 'refunded ' ELSE '' END || upper(coalesce(currency, 'USD')) AS name
        FROM public.purchases WHERE status IN ('completed', 'refunded') GROUP BY 1, 3
    ) AS named
    WHERE day >= :first AND day < :end
    GROUP BY day
""")
_NO_REVENUE = sa.text("SELECT NULL::date AS day, 0 AS usd, '{}'::jsonb AS other WHERE false")

# All accounts by the tier that holds without a subscription, corrected by those that have one.
_TIERS = sa.text(f"""
    WITH alive AS ({_ALIVE}
    ), changes AS (
        SELECT greatest(coalesce(day, :first), :first) AS day, tier, sum(change) AS change
        FROM (SELECT born AS day, tier, 1 AS change FROM alive
              UNION ALL SELECT gone, tier, -1 FROM alive WHERE gone IS NOT NULL) AS c
        GROUP BY 1, 2
    ), plain AS (
        SELECT d.day, t.tier, sum(coalesce(c.change, 0)) OVER (PARTITION BY t.tier ORDER BY d.day) AS users
        FROM {DAYS}
        CROSS JOIN (SELECT DISTINCT tier FROM changes) AS t
        LEFT JOIN changes c ON c.day = d.day AND c.tier = t.tier
    ), live AS (
        SELECT s.day, s.tier, a.tier AS instead
        FROM avatarlab_admin.subscription_daily s
        JOIN accounts_fresh a ON a.id = s.user_id
         AND (a.created_at IS NULL OR a.created_at < (s.day + 1)::timestamp AT TIME ZONE 'UTC')
         AND (a.deleted_at IS NULL OR a.deleted_at >= (s.day + 1)::timestamp AT TIME ZONE 'UTC')
        WHERE s.day >= :first AND s.day < :end AND NOT s.is_paused
    )
    SELECT day, coalesce(jsonb_object_agg(tier, users) FILTER (WHERE users <> 0), '{{}}') AS users_by_tier
    FROM (
        SELECT day, tier, sum(users)::bigint AS users
        FROM (SELECT * FROM plain UNION ALL SELECT day, instead, -count(*) FROM live GROUP BY 1, 2
              UNION ALL SELECT day, tier, count(*) FROM live GROUP BY 1, 2) AS parts
        GROUP BY day, tier
    ) AS tiers
    GROUP BY day
""")

_MONEY = sa.text("""
    SELECT day, sum(arr_cents)::bigint AS arr_cents, count(*) FILTER (WHERE arr_cents > 0) AS paying,
           count(*) FILTER (WHERE is_trial) AS trialing, count(*) FILTER (WHERE is_paused) AS paused,
           bool_or(is_reconstructed) AS is_reconstructed
    FROM avatarlab_admin.subscription_daily WHERE day >= :first AND day < :end GROUP BY day
""")

# A movement is the difference of a user's ARR between two days; as MRR it is a twelfth of that.
_MOVEMENTS = sa.text("""
    WITH paid AS (
        SELECT day, user_id, arr_cents FROM avatarlab_admin.subscription_daily WHERE arr_cents > 0
    ), firsts AS (
        SELECT user_id, min(day) AS day FROM paid GROUP BY user_id
    ), moved AS (
        SELECT coalesce(n.day, o.day + 1) AS day, coalesce(n.user_id, o.user_id) AS user_id,
               coalesce(o.arr_cents, 0) AS before, coalesce(n.arr_cents, 0) AS after
        FROM (SELECT * FROM paid WHERE day >= CAST(:first AS date) - 1 AND day < CAST(:end AS date) - 1) AS o
        FULL JOIN (SELECT * FROM paid WHERE day >= :first AND day < :end) AS n
          ON n.user_id = o.user_id AND n.day = o.day + 1
    )
    SELECT m.day,
           sum(after) FILTER (WHERE before = 0 AND f.day = m.day) AS new,
           sum(after) FILTER (WHERE before = 0 AND f.day < m.day) AS reactivation,
           sum(after - before) FILTER (WHERE before > 0 AND after > before) AS expansion,
           sum(before - after) FILTER (WHERE after > 0 AND after < before) AS contraction,
           sum(before) FILTER (WHERE after = 0) AS churn,
           count(*) FILTER (WHERE after = 0) AS churned
    FROM moved m JOIN firsts f ON f.user_id = m.user_id
    GROUP BY m.day
""")
_PAYING_PAIRS = """
    SELECT day, user_id FROM avatarlab_admin.subscription_daily
    WHERE arr_cents > 0 AND day >= :back AND day < :end"""
_PAYERS = sa.text(trailing.users(_PAYING_PAIRS, DAYS, {"payers": trailing.DAYS + 1}))


def _latest(part: str, value: str) -> str:
    return f"(SELECT {value} FROM {part} WHERE {part}.day <= d.day ORDER BY {part}.day DESC LIMIT 1)"


# A day without a part had nothing of it.
_JOINED = sa.text(f"""
    SELECT d.day AS stat_date, p.total_users, p.new_users, p.deleted_users,
           {", ".join(f"u.{name}" for name in platform_usage.COLUMNS)},
           coalesce({_latest("stat_avatars", "total")}, 0) AS total_avatars,
           coalesce({_latest("stat_avatars", "active")}, 0) AS active_avatars,
           -- Only the latest login of an account is known: what an earlier run saw must not be lost.
           greatest(p.logins, old.logins_today) AS logins_today,
           coalesce(r.usd, 0) AS revenue_today, coalesce(r.other, '{{}}') AS revenue_other,
           coalesce(t.users_by_tier, '{{}}') AS users_by_tier,
           coalesce(m.paying, 0) AS paying_users, coalesce(m.trialing, 0) AS trialing_users,
           coalesce(m.paused, 0) AS paused_users, coalesce(m.arr_cents, 0) AS arr_cents,
           round(coalesce(m.arr_cents, 0) / 100.0, 2) AS arr, round(coalesce(m.arr_cents, 0) / 1200.0, 2) AS mrr,
           {", ".join(f"round(coalesce(v.{kind}, 0) / 1200.0, 6) AS mrr_{kind}" for kind in MOVEMENTS)},
           coalesce(v.churned, 0) AS churned_users,
           round((x.payers - coalesce(m.paying, 0))::numeric / nullif(x.payers, 0), 6) AS subscriber_churn_30d,
           coalesce(m.is_reconstructed, true) AS is_reconstructed, {DEFINITION_VERSION} AS definition_version
    FROM {DAYS}
    JOIN stat_people p USING (day)
    JOIN platform_usage u USING (day)
    LEFT JOIN stat_revenue r USING (day)
    LEFT JOIN stat_tiers t USING (day)
    LEFT JOIN stat_money m USING (day)
    LEFT JOIN stat_movements v USING (day)
    LEFT JOIN stat_payers x USING (day)
    LEFT JOIN public.platform_statistics old ON old.stat_date = d.day
""")
