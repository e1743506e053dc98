"""database_daily: the bytes of the database on disk, by area."""

from datetime import date

import psycopg
import sqlalchemy as sa

from avatarlab_cli.rollup import fresh
from avatarlab_cli.schema import areas
from avatarlab_cli.schema.private import database_daily

KEYS = ("day", "area")
METRIC = "database_bytes"

# A partition belongs where its table does. Only what has an area is measured by itself: the rest is what is left.
_AREAS = sa.text("""
    WITH named AS (
        SELECT * FROM unnest(CAST(:tables AS text[]), CAST(:table_areas AS text[])) AS t (name, area)
    ), schemas AS (
        SELECT * FROM unnest(CAST(:schemas AS text[]), CAST(:schema_areas AS text[])) AS s (name, area)
    ), measured AS MATERIALIZED (
        SELECT coalesce(t.area, s.area) AS area, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes
        FROM pg_class c
        JOIN pg_class whole ON whole.oid = coalesce(pg_partition_root(c.oid), c.oid)
        JOIN pg_namespace n ON n.oid = whole.relnamespace
        LEFT JOIN named t ON t.name = n.nspname || '.' || whole.relname
        LEFT JOIN schemas s ON s.name = n.nspname
        WHERE c.relkind IN ('r', 'm') AND coalesce(t.area, s.area) IS NOT NULL
        GROUP BY 1
    )
    SELECT CAST(:day AS date) AS day, area, bytes, false AS is_interpolated FROM measured
    UNION ALL
    SELECT CAST(:day AS date), CAST(:other AS text),
           greatest(pg_database_size(current_database()) - (SELECT coalesce(sum(bytes), 0) FROM measured), 0)::bigint,
           false
""")
# A size waits for whoever rewrites the table, as long as lock_timeout allows.
_UNREADABLE = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.InsufficientPrivilege,
)


def measure(connection: sa.Connection, today: date) -> tuple[int, str | None]:
    """Set database_daily for today unless it is set; return what was written, or why it could not be measured.

    Only the first run of a day measures: a run's own writing makes the database larger, and a second one must
    change nothing. What cannot be measured is left to a later run.
    """
    taken = sa.select(sa.exists().where(database_daily.c.day == today, ~database_daily.c.is_interpolated))
    if connection.scalar(taken):
        return 0, None
    try:
        with connection.begin_nested():
            table = by_area(connection, today)
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        cause = getattr(error, "orig", error)
        if not isinstance(cause, _UNREADABLE):
            raise
        return 0, str(cause).splitlines()[0]
    return fresh.replace(connection, database_daily, table, KEYS, window=database_daily.c.day == today), None


def by_area(connection: sa.Connection, day: date) -> sa.Table:
    """Create the temporary table `database_daily_fresh` of the bytes of each area as they are, dated `day`."""
    tables = areas.by_table()
    bound: dict[str, object] = {
        "day": day,
        "tables": list(tables),
        "table_areas": list(tables.values()),
        "schemas": list(areas.BY_SCHEMA),
        "schema_areas": list(areas.BY_SCHEMA.values()),
        "other": areas.OTHER,
    }
    return fresh.temporary(connection, "database_daily_fresh", _AREAS, **bound)
