"""The platform's usage by day: what platform_statistics has of usage_daily and storage_daily.

It is computed of the days that are stale, and of all others taken from where it is stored.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh, trailing
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.metrics import DEFINITION_VERSION, KINDS, METRICS, QUANTITIES, UNATTRIBUTED
from avatarlab_cli.rollup.rates import STORAGE_RATE
from avatarlab_cli.timeframe import Window

# Which column shows which metric of the day; the first six the web panel's table already had, NOT NULL.
TODAY_COLUMNS = {
    "avatars_created_today": "avatars_created",
    "conversations_today": "conversations_count",
    "images_generated_today": "images_generated",
    "memories_added_today": "memories_added",
    "training_jobs_today": "training_jobs_created",
    "voice_clones_today": "voice_clones_created",
    "api_requests_today": "api_requests_count",
    "chat_messages_today": "chat_messages_count",
    "videos_generated_today": "videos_generated",
    "tts_generations_today": "tts_generations",
    "tts_characters_today": "tts_characters",
    "rag_searches_today": "rag_searches_count",
    "feedback_good_today": "feedback_good",
    "feedback_bad_today": "feedback_bad",
}
_NOT_NULL = frozenset(list(TODAY_COLUMNS)[:6])
_ACTIVE = {"active_users": trailing.DAYS, "weekly_active_users": 7, "daily_active_users": 1}
_STORED = ("storage_bytes", "storage_by_kind", "is_storage_interpolated")
COLUMNS = (*_ACTIVE, *TODAY_COLUMNS, *_STORED, "estimated_cost_today", "cost_by_kind", "unattributed")
"""The columns of platform_statistics that are made here."""

# Each day of the window, as d.
DAYS = """(
        SELECT moment::date AS day
        FROM generate_series(CAST(:first AS date), CAST(:end AS date) - 1, interval '1 day') AS g (moment)
    ) AS d"""


def collect(connection: sa.Connection, known: Window, available: Availability, *, is_whole: bool) -> None:
    """Create the temporary table platform_usage: day and COLUMNS, a row for each of the known days.

    With `is_whole` every day counts as stale. Needs the temporary table of rates.
    """
    bound: dict[str, object] = {"first": known.first, "end": known.end, "nobody": UNATTRIBUTED}
    stale = connection.scalars(_STALE, bound | {"is_whole": is_whole}).all()
    # As constants they are read by an index where they are few, and else in parallel; a table of them allows neither.
    bound |= {"days": stale, "reach": _reach(stale)}
    connection.execute(_READ_BY_INDEX)
    for name, query in _PARTS.items():
        fresh.temporary(connection, name, query, **bound)
    connection.execute(_READ_AS_EVER)
    fresh.temporary(connection, "platform_usage", sa.text(_joined_sql(available)), **bound)


def _reach(days: Iterable[date]) -> list[date]:
    """Return the days whose users are active on one of these."""
    return sorted({day - timedelta(days=back) for day in days for back in range(trailing.DAYS)})


# A row that is missing, or by other definitions, tells nothing.
_STALE = sa.text(f"""
    SELECT d.day FROM {DAYS}
    LEFT JOIN public.platform_statistics s ON s.stat_date = d.day
    LEFT JOIN avatarlab_admin.rollup_state r ON true
    WHERE :is_whole OR s.definition_version IS DISTINCT FROM {DEFINITION_VERSION}
       OR coalesce(r.stale_days @> d.day, true)
    ORDER BY d.day
""")
_EACH = "unnest(CAST(:days AS date[])) AS d (day)"
# A day's rows lie together, but the planner reckons with a page for each as soon as an index has a second column.
_READ_BY_INDEX = sa.text("SET LOCAL random_page_cost = 1.1")
_READ_AS_EVER = sa.text("SET LOCAL random_page_cost TO DEFAULT")
_ACTIVE_PAIRS = """
    SELECT day, user_id FROM avatarlab_admin.usage_daily
    WHERE is_active AND user_id <> :nobody AND day = ANY (CAST(:reach AS date[]))"""


def _totals_sql() -> str:
    """Return SQL for each day's sums and costs by kind: the priced part; else 0 where nothing was used, NULL where it was."""
    sums = [
        f"CASE WHEN count({m}) = count(*) THEN sum({m})::bigint END AS {m}" for m in TODAY_COLUMNS.values()
    ]
    for kind, metrics in QUANTITIES.items():
        used = " + ".join(f"sum({metric})" for metric in metrics)
        sums.append(f"round(coalesce(sum({kind}_cost), CASE WHEN {used} = 0 THEN 0 END), 6) AS {kind}_cost")
    # The day's bytes are priced and divided as a whole, so that the total is exact.
    return f"""
        SELECT d.*, round(CASE WHEN d.stored = 0 THEN 0 ELSE d.stored * r.price END
                          / extract(day FROM date_trunc('month', d.day::timestamp) + interval '1 month - 1 day')::int, 6)
                    AS storage_cost
        FROM (
            SELECT day, {", ".join(sums)}, sum(storage_bytes) AS stored
            FROM avatarlab_admin.usage_daily WHERE day = ANY (CAST(:days AS date[])) GROUP BY day
        ) AS d
        LEFT JOIN rates_fresh r ON {STORAGE_RATE}"""


def _unattributed_sql() -> str:
    counted = ", ".join(f"('{name}', d.{name})" for name in (*METRICS, "storage_bytes"))
    return f"""
        SELECT d.day, jsonb_object_agg(v.name, v.value) AS counts
        FROM avatarlab_admin.usage_daily d CROSS JOIN LATERAL (VALUES {counted}) AS v (name, value)
        WHERE d.user_id = :nobody AND d.day = ANY (CAST(:days AS date[])) AND v.value > 0
        GROUP BY d.day"""


_STORAGE = sa.text("""
    SELECT day, sum(bytes)::bigint AS bytes,
           coalesce(jsonb_object_agg(kind, bytes) FILTER (WHERE bytes > 0), '{}') AS by_kind,
           bool_or(is_interpolated) AS is_interpolated
    FROM (SELECT day, kind, sum(bytes) AS bytes, bool_or(is_interpolated) AS is_interpolated
          FROM avatarlab_admin.storage_daily WHERE day = ANY (CAST(:days AS date[])) GROUP BY day, kind) AS kinds
    GROUP BY day
""")


_PARTS = {
    "usage_active": sa.text(trailing.users(_ACTIVE_PAIRS, _EACH, _ACTIVE)),
    "usage_totals": sa.text(_totals_sql()),
    "usage_unattributed": sa.text(_unattributed_sql()),
    "usage_stored": _STORAGE,
}


def _joined_sql(available: Availability) -> str:
    """Return the SQL that puts the parts of each day together; a stale day without a part had nothing of it."""
    active = [f"coalesce(a.{name}, 0) AS {name}" for name in _ACTIVE]
    usage = [
        f"{f'coalesce(u.{metric}, 0)' if available.has(metric) else '0' if column in _NOT_NULL else 'NULL::bigint'} AS {column}"
        for column, metric in TODAY_COLUMNS.items()
    ]
    day_costs = [
        f"{f'CASE WHEN u.day IS NULL THEN 0 ELSE u.{kind}_cost END' if kind in available.priced else 'NULL::numeric'} AS {kind}_cost"
        for kind in QUANTITIES
    ]
    costs = [f"c.{kind}_cost" for kind in KINDS]
    total = " + ".join(f"coalesce({cost}, 0)" for cost in costs)
    by_kind = ", ".join(f"'{kind}', c.{kind}_cost" for kind in KINDS)
    names = ", ".join(COLUMNS)
    return f"""
        WITH costs AS (
            SELECT d.day, {", ".join(day_costs)},
                   CASE WHEN s.day IS NOT NULL THEN CASE WHEN s.bytes = 0 THEN 0 ELSE u.storage_cost END END AS storage_cost
            FROM {_EACH} LEFT JOIN usage_totals u USING (day) LEFT JOIN usage_stored s USING (day)
        )
        SELECT c.day, {", ".join((*active, *usage))},
               s.bytes AS storage_bytes, s.by_kind AS storage_by_kind, s.is_interpolated AS is_storage_interpolated,
               CASE WHEN num_nonnulls({", ".join(costs)}) > 0 THEN {total} END AS estimated_cost_today,
               jsonb_build_object({by_kind}) AS cost_by_kind, coalesce(x.counts, '{{}}') AS unattributed
        FROM costs c
        LEFT JOIN usage_active a USING (day)
        LEFT JOIN usage_totals u USING (day)
        LEFT JOIN usage_stored s USING (day)
        LEFT JOIN usage_unattributed x USING (day)
        UNION ALL
        SELECT stat_date, {names} FROM public.platform_statistics
        WHERE stat_date >= :first AND stat_date < :end AND stat_date <> ALL (CAST(:days AS date[]))"""
