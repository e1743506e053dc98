"""monthly_usage: the days of usage_daily summed by user and month, and judged by the limits in force."""

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh, summing
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.daily import COSTS, COUNTS
from avatarlab_cli.rollup.limits import AVATAR_LIMIT
from avatarlab_cli.rollup.metrics import (
    ADOPTED,
    DEFINITION_VERSION,
    KINDS,
    METRICS,
    QUANTITIES,
    UNATTRIBUTED,
)
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.timeframe import Window, next_month

KEYS = ["user_id", "usage_month"]
# Where days are read from, unless another relation is named.
DAYS = "avatarlab_admin.usage_daily"
# No user has this id.
_NO_ONE = UUID(int=2**128 - 2)


def whole_months(window: Window) -> Window:
    """Return the window widened to the months it touches."""
    return Window(window.first.replace(day=1), next_month(window.end - timedelta(days=1)))


@dataclass(frozen=True)
class Scope:
    """The rows that are set: those of the window's months, which are whole ones.

    With `running_from`, of the months before that one only those that the temporary table usage_touched (user_id, month)
    names, and from that one on those too, unless they are `of_everybody`.
    """

    window: Window
    running_from: date | None = None
    of_everybody: bool = True


def recompute(
    connection: sa.Connection, scope: Scope, available: Availability, *, today: date, rate_version: str
) -> int:
    """Set monthly_usage in the scope to what usage_daily and today's limits say.

    Needs the temporary tables of accounts, rates and limits. A row the web panel left is kept
    where its month cannot be recomputed, because a source of the panel's own counters is not there.
    """
    window = scope.window
    table = collect(connection, scope, available, today=today, rate_version=rate_version)
    connection.execute(_LEAVE_OUT_THE_GONE)
    own = monthly_usage.c
    inside = sa.and_(own.usage_month >= window.first, own.usage_month < window.end)
    if scope.running_from is not None:
        touched = sa.table("usage_touched", sa.column("user_id", sa.Uuid), sa.column("month", sa.Date))
        is_named = own.usage_month >= scope.running_from if scope.of_everybody else sa.false()
        running = sa.select(own.user_id, own.usage_month).where(is_named)
        named = sa.union_all(sa.select(touched), running)
        inside = sa.and_(inside, fresh.lacks(table, monthly_usage, KEYS, named))
    if not all(available.has(metric) for metric in ADOPTED):
        inside = sa.and_(inside, own.computed_at.is_not(None))
        connection.execute(_SPARE_THE_PANELS)
    return fresh.replace(connection, monthly_usage, table, KEYS, window=inside)


def collect(  # noqa: PLR0913 - what a month is made of, all named
    connection: sa.Connection,
    scope: Scope,
    available: Availability,
    *,
    today: date,
    rate_version: str,
    days: str = DAYS,
    without: UUID | None = UNATTRIBUTED,
) -> sa.Table:
    """Create the temporary table usage_month_fresh of what `days`, a relation as usage_daily is, come to by user and month.

    Those of the user `without` are left out.
    """
    window, is_whole = scope.window, scope.running_from is None
    bound = {"first": window.first, "end": window.end, "today": today, "nobody": without or _NO_ONE}
    bound |= {"running_from": scope.running_from or window.first}
    coverage = summing.COVERAGE if is_whole else summing.TOUCHED_COVERAGE
    fresh.temporary(connection, "usage_coverage", sa.text(coverage.replace(DAYS, days)), **bound)
    sums = summing.sums_sql(available, of_everybody=scope.of_everybody, of_touched=not is_whole)
    sums = sums.replace(DAYS, days)
    fresh.temporary(connection, "usage_sums", sa.text(sums), ("user_id", "month", "has_unpriced"), **bound)
    judged = sa.text(_judged_sql(available).replace(DAYS, days))
    versions = {"definition": DEFINITION_VERSION, "rates": rate_version}
    return fresh.temporary(connection, "usage_month_fresh", judged, KEYS, today=today, **versions)


# The days of an account that went become nobody's only once the queue comes to them, perhaps in a later transaction.
_LEAVE_OUT_THE_GONE = sa.text("""
    DELETE FROM usage_month_fresh f WHERE NOT EXISTS (SELECT FROM auth.users u WHERE u.id = f.user_id)
""")
_SPARE_THE_PANELS = sa.text("""
    DELETE FROM usage_month_fresh f USING public.monthly_usage m
    WHERE m.user_id = f.user_id AND m.usage_month = f.usage_month AND m.computed_at IS NULL
""")

# What of each user and month has no price: {kind: {key: quantity}}.
_UNPRICED = """
    SELECT user_id, month, jsonb_object_agg(kind, quantities) AS unpriced
    FROM (
        SELECT user_id, month, kind, jsonb_object_agg(key, quantity) AS quantities
        FROM (
            SELECT s.user_id, s.month, k.key AS kind, q.key, sum(q.value::numeric) AS quantity
            FROM usage_sums s
            JOIN avatarlab_admin.usage_daily d
              ON d.user_id = s.user_id AND date_trunc('month', d.day::timestamp)::date = s.month
             AND d.day >= s.month AND d.day < s.month + interval '1 month',
                 jsonb_each(d.unpriced) k, jsonb_each_text(k.value) q
            WHERE s.has_unpriced AND d.unpriced <> '{}'
            GROUP BY 1, 2, 3, 4
        ) AS each_key
        GROUP BY user_id, month, kind
    ) AS each_kind
    GROUP BY user_id, month
"""


def judged_again() -> str:
    """Return the SQL of whose rows from :first to before :before limits_fresh judges otherwise than stored: user_id, month.

    Stored figures are judged, and nothing is summed: of the users in limits_changed, and in the running :month, where
    `collect` gives whoever has too many avatars a row, of everybody's avatars.
    """
    return f"""
        SELECT s.user_id, s.month
        FROM ({_STORED}) AS s
        LEFT JOIN ({_exceeded_sql(_STORED)}) AS e ON e.user_id = s.user_id AND e.month = s.month
        WHERE s.exceeded_limits IS DISTINCT FROM coalesce(e.exceeded, '{{}}')
        UNION
        SELECT coalesce(a.user_id, s.user_id), :month
        FROM (SELECT a.user_id, {_EXCEEDED.format(value="a.avatars", limit="l.maximum")} AS exceeded
              FROM avatars_fresh a JOIN limits_fresh l ON l.user_id = a.user_id AND l.name = '{AVATAR_LIMIT}'
              WHERE a.is_over) AS a
        FULL JOIN (SELECT user_id, exceeded_limits -> '{AVATAR_LIMIT}' AS exceeded FROM public.monthly_usage
                   WHERE usage_month = :month AND is_over_avatar_limit) AS s ON s.user_id = a.user_id
        WHERE :month < :before AND a.exceeded IS DISTINCT FROM s.exceeded"""


_STORED = f"""
            SELECT user_id, usage_month AS month, exceeded_limits, {", ".join(COUNTS)} FROM public.monthly_usage
            WHERE usage_month >= :first AND usage_month < :before AND user_id IN (SELECT user_id FROM limits_changed)"""
# What is on record of an exceeded limit.
_EXCEEDED = "jsonb_build_object('value', {value}, 'limit', {limit})"
# What a row s has of what a limit l is of.
_VALUES = " ".join(f"WHEN '{name}' THEN s.{name}" for name in COUNTS)


def _exceeded_sql(rows: str) -> str:
    return f"""
        SELECT user_id, month,
               jsonb_object_agg(name, {_EXCEEDED.format(value="value", limit="maximum")}) AS exceeded
        FROM (
            SELECT s.user_id, s.month, l.name, l.maximum,
                   CASE l.name {_VALUES}
                        WHEN '{AVATAR_LIMIT}' THEN CASE WHEN s.month = date_trunc('month', CAST(:today AS timestamp))
                                                        THEN a.avatars END END AS value
            FROM ({rows}) AS s
            JOIN limits_fresh l ON l.user_id = s.user_id
            LEFT JOIN avatars_fresh a ON a.user_id = s.user_id AND a.is_over AND l.name = '{AVATAR_LIMIT}'
        ) AS used
        WHERE value > (maximum #>> '{{}}')::numeric
        GROUP BY user_id, month"""


def _judged_sql(available: Availability) -> str:
    """Return the SQL of monthly_usage's rows: the sums with costs settled and limits applied."""
    counts = [f"coalesce(s.{name}, 0) AS {name}" if name in ADOPTED else f"s.{name}" for name in METRICS]
    costs = [f"{_settled(kind, available)} AS {kind}_cost" for kind in KINDS]
    total = " + ".join(f"coalesce({cost}, 0)" for cost in COSTS)
    return f"""
        SELECT m.*, CASE WHEN num_nonnulls({", ".join(COSTS)}) > 0 THEN {total} END AS total_cost,
               CAST(:definition AS int) AS definition_version, CAST(:rates AS text) AS rate_card_version
        FROM (
            SELECT s.user_id, s.month AS usage_month, {", ".join(counts)}, s.storage_bytes, s.storage_byte_days,
                   s.storage_days_interpolated, {", ".join(costs)},
                   CASE WHEN u.unpriced IS NULL THEN s.unknown
                        WHEN s.taken = s.days THEN u.unpriced
                        ELSE u.unpriced || jsonb_build_object(
                            'storage', coalesce(u.unpriced -> 'storage', '{{}}') || (s.unknown -> 'storage'))
                   END AS unpriced,
                   e.exceeded IS NOT NULL AS is_over_limit, coalesce(e.exceeded, '{{}}') AS exceeded_limits,
                   coalesce(e.exceeded ? '{AVATAR_LIMIT}', false) AS is_over_avatar_limit
            FROM usage_sums s
            LEFT JOIN ({_UNPRICED}) u ON u.user_id = s.user_id AND u.month = s.month
            LEFT JOIN ({_exceeded_sql("SELECT * FROM usage_sums")}) e ON e.user_id = s.user_id AND e.month = s.month
        ) AS m"""


def _settled(kind: str, available: Availability) -> str:
    """Return the SQL of a kind's cost: its priced part; without one, 0 where nothing was used, else NULL."""
    if kind == "storage":
        nothing = "CASE WHEN s.storage_byte_days = 0 THEN 0 END"
        return f"CASE WHEN s.taken = s.days THEN round(coalesce(s.storage_cost, {nothing}), 6) END"
    if kind not in available.priced:
        return "NULL::numeric"
    used = " + ".join(f"s.{metric}" for metric in QUANTITIES[kind])
    return f"round(coalesce(s.{kind}_cost, CASE WHEN {used} = 0 THEN 0 END), 6)"
