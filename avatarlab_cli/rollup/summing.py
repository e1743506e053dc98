"""The days of usage_daily summed by user and month, not yet judged by limits: the SQL of usage_coverage and usage_sums.

Binds :first, :running_from, :end, :today and :nobody.
"""

from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.daily import COUNTS
from avatarlab_cli.rollup.metrics import KINDS, METRICS, STORAGE
from avatarlab_cli.rollup.rates import IS_IN_FORCE, IS_STORAGE


def _coverage_sql(months: str, snapshots: str) -> str:
    """Return the SQL of what is known of each month, the same for everybody.

    Its last day so far, of how many of its days storage is known, or interpolated, what that leaves unknown, and the price of
    storage: that of all its days so far, unless it is repriced amid them.
    """
    return f"""
    SELECT *, CASE WHEN taken = days THEN '{{}}' ELSE
                  jsonb_build_object('storage', jsonb_build_object('days_without_snapshot', days - taken)) END AS unknown,
           (SELECT r.price FROM rates_fresh r
            WHERE {IS_STORAGE} AND r.valid_from <= month AND r.valid_until > last_day) AS price,
           EXISTS (SELECT FROM rates_fresh r
                   WHERE {IS_STORAGE} AND (r.valid_from > month AND r.valid_from <= last_day
                                           OR r.valid_until > month AND r.valid_until <= last_day)) AS is_repriced
    FROM (
        SELECT m.month, m.last_day, m.last_day - m.month + 1 AS days, count(s.day) AS taken,
               count(s.day) FILTER (WHERE s.is_interpolated) AS interpolated,
               coalesce(bool_or(s.day = m.last_day), false) AS has_last,
               extract(day FROM m.month + interval '1 month - 1 day')::int AS length
        FROM (
            SELECT month::date AS month,
                   least((month + interval '1 month - 1 day')::date, CAST(:today AS date)) AS last_day
            FROM ({months}) AS months (month)
        ) AS m
        LEFT JOIN {snapshots} AS s ON s.day BETWEEN m.month AND m.last_day
        GROUP BY m.month, m.last_day
    ) AS each"""


COVERAGE = _coverage_sql(
    months="""
            SELECT generate_series(
                (SELECT date_trunc('month', least(min(day), CAST(:today AS date))::timestamp)
                 FROM avatarlab_admin.usage_daily WHERE day >= :first),
                CAST(:end AS timestamp) - interval '1 day', interval '1 month')""",
    snapshots="""(
            SELECT day, bool_or(is_interpolated) AS is_interpolated
            FROM avatarlab_admin.storage_daily WHERE day >= :first AND day < :end GROUP BY day)""",
)
# A few months: one look into the index for each of their days. All rows of a day are interpolated, or none.
TOUCHED_COVERAGE = _coverage_sql(
    months="""
            SELECT month::timestamp FROM usage_touched
            UNION SELECT generate_series(CAST(:running_from AS timestamp),
                                         CAST(:end AS timestamp) - interval '1 day', interval '1 month')""",
    snapshots="""LATERAL (
            SELECT d.day::date AS day, k.is_interpolated
            FROM generate_series(m.month::timestamp, m.last_day::timestamp, interval '1 day') AS d (day)
            JOIN LATERAL (
                SELECT is_interpolated FROM avatarlab_admin.storage_daily WHERE day = d.day::date LIMIT 1
            ) AS k ON true)""",
)

# Storage is priced by the month.
_COSTS = tuple(f"{kind}_cost" for kind in KINDS if kind != STORAGE)
# What is read of a day d of a month c.
_READ = ", ".join(
    (
        *("d.day = c.last_day AS is_last", "d.unpriced <> '{}' AS is_unpriced", "c.is_repriced"),
        *(f"d.{name}" for name in ("day", *COUNTS, *_COSTS)),
    )
)
# A bit for each metric that all of a month's days have: one aggregate, and most days have all of them.
_KNOWN = f"""bit_and(CASE WHEN num_nulls({", ".join(f"d.{name}" for name in METRICS)}) = 0 THEN -1 ELSE
        {" | ".join(f"((d.{name} IS NOT NULL)::int::bigint << {bit})" for bit, name in enumerate(METRICS))} END)"""
_SUMS = f"""{", ".join(f"sum(d.{name}) AS {name}" for name in (*METRICS, *_COSTS))},
               {_KNOWN} AS known, bool_or(d.is_unpriced) AS has_unpriced,
               max(d.storage_bytes) FILTER (WHERE d.is_last) AS last_bytes, sum(d.storage_bytes) AS byte_days,
               sum((d.storage_bytes * (SELECT r.price FROM storage_rates r WHERE {IS_IN_FORCE}))::numeric(60, 20))
                   FILTER (WHERE d.is_repriced) AS byte_prices"""
# The few rates of storage among all: one is looked for on each day of a month that is repriced.
_STORAGE_RATES = f"SELECT r.price, r.valid_from, r.valid_until FROM rates_fresh r WHERE {IS_STORAGE}"

_OF_EVERYBODY = f"""
            SELECT c.month, d.user_id, {_READ} FROM avatarlab_admin.usage_daily d
            JOIN usage_coverage c ON c.month = date_trunc('month', d.day::timestamp)::date
            WHERE d.day >= :running_from AND d.day < :end AND d.user_id <> :nobody"""
# A row that changes no sum: it has the columns of _READ.
_IDLE = """
            SELECT c.month, l.user_id, true, false, false, CAST(:today AS date), {zeros}, 0, {nulls} FROM avatars_fresh l
            JOIN usage_coverage c ON c.month = date_trunc('month', CAST(:today AS timestamp))::date
            WHERE l.is_over AND CAST(:today AS date) >= :first AND CAST(:today AS date) < :end"""
# A sum of its own for each month of usage_touched, so that each user's days are looked up, where the planner would read all of the
# history once it seems quicker.
_OF_TOUCHED = f"""
        (SELECT t.user_id, t.month, l.user_id IS NOT NULL AS is_idle
         FROM usage_touched t
         LEFT JOIN avatars_fresh l ON l.user_id = t.user_id AND l.is_over
                                  AND t.month = date_trunc('month', CAST(:today AS timestamp))
        ) AS t
        JOIN usage_coverage c ON c.month = t.month
        CROSS JOIN LATERAL (
            SELECT {_SUMS}
            FROM (
                SELECT {_READ} FROM avatarlab_admin.usage_daily d
                WHERE d.user_id = t.user_id AND d.day >= t.month AND d.day < t.month + interval '1 month' AND d.day < :end
            ) AS d
            HAVING count(*) > 0 OR t.is_idle
        ) AS s"""


def sums_sql(available: Availability, *, of_everybody: bool, of_touched: bool) -> str:
    """Return the SQL that sums the days by user and month.

    Those from :running_from to :end are everybody's, and of the months that usage_touched (user_id, month) names, where both are
    asked for, only what lies before. Whoever is over the avatar limit counts in although nothing happened.
    """
    figures = _figures(available)
    parts = []
    if of_everybody:
        zeros = ", ".join("0" if available.has(name) else "NULL" for name in METRICS)
        idle = _IDLE.format(zeros=zeros, nulls=", ".join(["NULL"] * len(_COSTS)))
        # Few columns to group by: what else is known of the month is joined to the sums.
        parts.append(f"""
        SELECT s.user_id, s.month, {figures}
        FROM (
            SELECT d.user_id, d.month, {_SUMS} FROM ({_OF_EVERYBODY} UNION ALL {idle}) AS d GROUP BY d.user_id, d.month
        ) AS s
        JOIN usage_coverage c ON c.month = s.month""")
    if of_touched:
        before = "WHERE t.month < :running_from" if of_everybody else ""
        parts.append(f"""
        SELECT t.user_id, t.month, {figures} FROM {_OF_TOUCHED} {before}""")
    return f"WITH storage_rates AS MATERIALIZED ({_STORAGE_RATES}) {' UNION ALL '.join(parts)}"


def _figures(available: Availability) -> str:
    """Return the SQL of a month's figures, of its sums s and what is known of it, c.

    A metric is not available where it is not on one of the days: a part would pass for the whole. Of a month without days
    nothing was counted, of what can be.
    """
    countable = sum(1 << bit for bit, name in enumerate(METRICS) if available.has(name))
    counts = [
        f"CASE WHEN coalesce(s.known, {countable}) & {1 << bit} <> 0 THEN coalesce(s.{name}, 0)::bigint END AS {name}"
        for bit, name in enumerate(METRICS)
    ]
    return f"""{", ".join((*counts, *(f"s.{name}" for name in _COSTS)))}, s.has_unpriced, c.days, c.taken, c.unknown,
               CASE WHEN c.has_last THEN coalesce(s.last_bytes, 0) END AS storage_bytes,
               CASE WHEN c.taken = c.days THEN coalesce(s.byte_days, 0)::bigint END AS storage_byte_days,
               CASE WHEN c.taken > 0 THEN c.interpolated::int END AS storage_days_interpolated,
               CASE WHEN c.is_repriced THEN s.byte_prices ELSE (s.byte_days * c.price)::numeric(60, 20) END
                   / c.length AS storage_cost"""
