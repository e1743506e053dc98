"""Verifying platform_statistics: its past days computed by the job's own steps and compared, and then all taken back."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh, statistics, subscriptions
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.schema.admin import platform_statistics
from avatarlab_cli.schema.base import JSONB
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import usage_daily
from avatarlab_cli.timeframe import Window

NUMBERS = tuple(
    column.name
    for column in platform_statistics.c
    if isinstance(column.type, sa.Integer | sa.Numeric) and column.name != "definition_version"
)
# Of these each key's number is a figure of its own, named with a dot between.
DIVIDED = tuple(column.name for column in platform_statistics.c if isinstance(column.type, type(JSONB)))


def compare(  # noqa: PLR0913 - what the job's own steps take
    connection: sa.Connection,
    window: Window,
    today: date,
    *,
    days: sa.Table,
    available: Availability,
    live: LiveSchema,
) -> list[dict[str, Any]]:
    """Return what differs on the window's days before today: day, metric, stored, actual.

    `days` is a temporary table of what the window's usage_daily is to be; days before it are taken as they are stored, for
    they are verified in their own month. Today's row moves with each run. Needs the temporary tables of accounts and rates.
    """
    past = Window(window.first, min(window.end, today))
    known = statistics.known_days(connection, past, today)
    if known.first >= known.end:
        return []
    savepoint = connection.begin_nested()
    try:
        inside = sa.and_(usage_daily.c.day >= window.first, usage_daily.c.day < window.end)
        fresh.replace(connection, usage_daily, days, ["day", "user_id"], window=inside)
        subscriptions.recompute(connection, known, today)
        statistics.collect(connection, known, available, live, is_whole=True)
        found = connection.execute(_DIFFERING, {"first": past.first, "end": past.end}).mappings().all()
    finally:
        savepoint.rollback()
    return [dict(row) for row in found]


def _of_key(name: str) -> str:
    """Return the SELECT of a divided figure's parts: its name, and on either side its number or NULL."""
    keys = " UNION ".join(
        f"SELECT jsonb_object_keys(CASE jsonb_typeof({row}.{name}) WHEN 'object' THEN {row}.{name} ELSE '{{}}' END)"
        for row in "sf"
    )
    values = ", ".join(
        f"CASE jsonb_typeof({row}.{name} -> k.key) WHEN 'number' THEN ({row}.{name} ->> k.key)::numeric END"
        for row in "sf"
    )
    return f"SELECT '{name}.' || k.key, {values} FROM ({keys}) AS k (key)"


_VALUES = ", ".join(f"('{name}', s.{name}::numeric, f.{name}::numeric)" for name in NUMBERS)
# A row that only one side has differs in what it is not nothing of.
_DIFFERING = sa.text(
    f"""
    SELECT coalesce(f.stat_date, s.stat_date) AS day, v.metric, v.stored, v.actual
    FROM platform_statistics_fresh f
    FULL JOIN (SELECT * FROM public.platform_statistics WHERE stat_date >= :first AND stat_date < :end) AS s
      ON s.stat_date = f.stat_date
    CROSS JOIN LATERAL (VALUES {_VALUES} UNION ALL {" UNION ALL ".join(map(_of_key, DIVIDED))}) AS v (metric, stored, actual)
    WHERE v.stored IS DISTINCT FROM v.actual
      AND (s.stat_date IS NOT NULL AND f.stat_date IS NOT NULL OR coalesce(v.stored, v.actual, 0) <> 0)
"""
)
