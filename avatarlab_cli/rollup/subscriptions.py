"""subscription_daily: who had which subscription at the end of each day, and what it was worth a year."""

from datetime import date

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema.private import subscription_daily
from avatarlab_cli.timeframe import Window, earliest

# The condition that a subscription s is live at the moment {end}, the end of a day.
LIVE = """
    s.started_at < {end}
    AND (s.expires_at IS NULL OR s.expires_at >= {end})
    AND (s.status = 'active'
         OR s.status = 'cancelled' AND s.expires_at IS NOT NULL
         OR s.status = 'trial' AND (s.trial_ends_at IS NULL OR s.trial_ends_at >= {end}))"""
PAUSED = """
    s.started_at < {end} AND (s.expires_at IS NULL OR s.expires_at >= {end}) AND s.status = 'suspended'"""
# Of several, the current subscription is the latest started.
LATEST = "s.started_at DESC, s.created_at DESC, s.id DESC"
END_OF_DAY = "((d.day + 1)::timestamp AT TIME ZONE 'UTC')"

# A day is taken again until a run of the day after has seen its end, and when it was only ever reconstructed. An
# observed day stays: the rows that told of it may have been updated since.
_TODO = sa.text("""
    SELECT d.day::date AS day, d.day::date < CAST(:today AS date) - 1 AS is_reconstructed
    FROM generate_series(
        greatest(CAST(:earliest AS date), least(
            (SELECT min(started_at AT TIME ZONE 'UTC')::date FROM public.user_subscriptions), CAST(:first AS date))),
        least(CAST(:end AS date) - 1, CAST(:today AS date)), interval '1 day'
    ) AS d (day)
    LEFT JOIN avatarlab_admin.subscription_daily taken ON taken.day = d.day::date AND taken.user_id = :marker
    LEFT JOIN avatarlab_admin.subscription_daily later ON later.day = d.day::date + 1 AND later.user_id = :marker
    WHERE taken.day IS NULL
       OR d.day::date >= :first
          AND (taken.is_reconstructed OR later.day IS NULL OR d.day::date >= CAST(:today AS date) - 1)
""")

# What a subscription is worth a year, in cents, at these prices; it must neither be paused nor on trial.
WORTH = """
    CASE cycle WHEN 'monthly' THEN 1200 * {monthly} WHEN 'yearly' THEN 100 * {yearly} ELSE 0 END::bigint"""
# The rows of each day of subscription_todo, its marker too. Reads accounts_fresh.
FRESH = sa.text(f"""
    WITH prices AS (
        SELECT tier_id, price_monthly, price_yearly, valid_until,
               CASE WHEN row_number() OVER history = 1 THEN '-infinity' ELSE valid_from END AS valid_from
        FROM (
            SELECT tier_id, price_monthly, price_yearly, valid_from,
                   coalesce(lead(valid_from) OVER (PARTITION BY tier_id ORDER BY valid_from), 'infinity') AS valid_until
            FROM avatarlab_admin.tier_price_history
        ) AS kept
        WINDOW history AS (PARTITION BY tier_id ORDER BY valid_from)
    ), current AS (
        SELECT DISTINCT ON (d.day, s.user_id)
               d.day, d.is_reconstructed, s.*, NOT ({LIVE.format(end=END_OF_DAY)}) AS is_paused, {END_OF_DAY} AS day_end
        FROM subscription_todo d
        JOIN public.user_subscriptions s
          ON ({LIVE.format(end=END_OF_DAY)}) OR ({PAUSED.format(end=END_OF_DAY)})
        JOIN accounts_fresh a ON a.id = s.user_id AND (a.deleted_at IS NULL OR a.deleted_at >= {END_OF_DAY})
        ORDER BY d.day, s.user_id, ({LIVE.format(end=END_OF_DAY)}) DESC, {LATEST}
    ), valued AS (
        SELECT c.day, c.user_id, t.name AS tier, c.status, c.billing_cycle AS cycle, c.is_paused, c.is_reconstructed,
               NOT c.is_paused AND (c.status = 'trial' OR c.is_trial AND c.trial_ends_at >= c.day_end) AS is_trial,
               coalesce(p.price_monthly, t.price_monthly) AS monthly, coalesce(p.price_yearly, t.price_yearly) AS yearly
        FROM current c
        JOIN public.subscription_tiers t ON t.id = c.tier_id
        LEFT JOIN prices p ON p.tier_id = c.tier_id AND p.valid_from < c.day_end AND p.valid_until >= c.day_end
    )
    SELECT day, user_id, tier, status, cycle,
           CASE WHEN is_paused OR coalesce(is_trial, false) THEN 0
                ELSE {WORTH.format(monthly="monthly", yearly="yearly")} END AS arr_cents,
           coalesce(is_trial, false) AS is_trial, is_paused, is_reconstructed
    FROM valued
    UNION ALL
    SELECT day, '{UNATTRIBUTED}', NULL, NULL, NULL, 0, false, false, is_reconstructed FROM subscription_todo
""")


def recompute(connection: sa.Connection, window: Window, today: date) -> int:
    """Take the window's days that are still open, and every earlier day that was never taken.

    Needs the temporary table of accounts. A row of the nil UUID marks each day as taken.
    """
    bound = {
        "first": window.first,
        "end": window.end,
        "today": today,
        "marker": UNATTRIBUTED,
        "earliest": earliest(today),
    }
    todo = fresh.temporary(connection, "subscription_todo", _TODO, **bound)
    table = fresh.temporary(connection, "subscription_daily_fresh", FRESH)
    inside = subscription_daily.c.day.in_(sa.select(todo.c.day))
    return fresh.replace(connection, subscription_daily, table, ["day", "user_id"], window=inside)
