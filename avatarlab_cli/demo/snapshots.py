"""The demo's history of storage: the snapshots that daily runs would have left."""

from datetime import date

import sqlalchemy as sa

from avatarlab_cli.database import try_lock
from avatarlab_cli.demo.install import holds_platform
from avatarlab_cli.errors import BusyError, RefusedError
from avatarlab_cli.rollup import LOCK, database_size, fresh, ledger, storage
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema import areas
from avatarlab_cli.schema.live import probe

# So many days ago nobody looked, so that there is something to interpolate.
MISSED = (9, 23)


def demand_loaded(connection: sa.Connection) -> None:
    """Raise RefusedError unless the demo platform is there."""
    if not holds_platform(connection):
        raise RefusedError("the demo database is not loaded", hint="run: avatarlab demo load")


def write(connection: sa.Connection, days: int, today: date | None = None) -> dict[str, int]:
    """Write the history of so many days before today, and return the rows written by table.

    A day that is on record, seen or interpolated, stays as it is. The same objects give the same history. Raises
    BusyError while a job runs.
    """
    if not try_lock(connection, LOCK):
        raise BusyError("a job is running", hint="it is safe to try again later")
    if today is None:
        today = connection.execute(sa.text("SELECT current_date")).scalar_one()
    _collect(connection)
    bound = {
        "today": today,
        "days": days,
        "missed": list(MISSED),
        "nobody": UNATTRIBUTED,
        "other": areas.OTHER,
    }
    stored = connection.execute(_STORAGE, bound).rowcount
    database_size.by_area(connection, today)
    sizes = connection.execute(_DATABASE, bound).rowcount
    return {"avatarlab_admin.database_daily": sizes, "avatarlab_admin.storage_daily": stored}


def _collect(connection: sa.Connection) -> None:
    """Create the temporary table `demo_arrivals`: what came on each day, by the cells of storage_daily."""
    each = ledger.ledger(probe(connection)).subquery("ledger")
    day = sa.cast(sa.func.timezone("UTC", each.c.created_at), sa.Date).label("day")
    by = [day, each.c.user_id, each.c.kind, each.c.bucket]
    fresh.temporary(connection, "demo_arrivals", sa.select(*by, *storage.figures(each)).group_by(*by))


def _unseen(table: str) -> str:
    return f"""
        SELECT CAST(:today AS date) - ago AS day
        FROM generate_series(1, CAST(:days AS int)) AS ago
        WHERE ago <> ALL (CAST(:missed AS int[]))
          AND NOT EXISTS (SELECT FROM {table} t WHERE t.day = CAST(:today AS date) - ago)"""


_STORAGE = sa.text(f"""
    WITH days AS ({_unseen("avatarlab_admin.storage_daily")})
    INSERT INTO avatarlab_admin.storage_daily (day, user_id, kind, bucket,
        bytes, objects, unsized_objects, orphan_bytes, orphan_objects)
    SELECT d.day, a.user_id, a.kind, a.bucket, sum(a.bytes), sum(a.objects), sum(a.unsized_objects),
           sum(a.orphan_bytes), sum(a.orphan_objects)
    FROM days d JOIN demo_arrivals a ON a.day <= d.day
    GROUP BY d.day, a.user_id, a.kind, a.bucket
    UNION ALL
    SELECT day, :nobody, '{ledger.OTHER}', '', 0, 0, 0, 0, 0 FROM days
    ON CONFLICT DO NOTHING
""")
# As if the tables had grown with the objects; what is no area's, PostgreSQL's own, was there from the start.
_DATABASE = sa.text(f"""
    WITH days AS ({_unseen("avatarlab_admin.database_daily")}
    ), grown AS (
        SELECT d.day, coalesce(sum(a.objects) FILTER (WHERE a.day <= d.day), 0) / greatest(sum(a.objects), 1) AS share
        FROM days d CROSS JOIN demo_arrivals a
        GROUP BY d.day
    )
    INSERT INTO avatarlab_admin.database_daily (day, area, bytes)
    SELECT g.day, s.area, CASE WHEN s.area = :other THEN s.bytes - pg_total_relation_size('demo_arrivals')
                               ELSE round(s.bytes * g.share) END
    FROM grown g CROSS JOIN database_daily_fresh s
""")
