"""The job storage-snapshot: storage_daily and database_daily for today, and for the days no run saw."""

from datetime import timedelta

import sqlalchemy as sa

from avatarlab_cli.rollup import history
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.rollup.ledger import unclear
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.private import storage_daily
from avatarlab_cli.timeframe import Window
from jobs.result import Result, Task

# What a dry run shows the changes of.
TARGET, KEYS = storage_daily, ["day", *history.STORAGE.cells]


def run(connection: sa.Connection, task: Task) -> Result:
    """Take today's snapshot, fill the gaps, and set what differs; the caller's transaction makes it all or nothing."""
    live = probe(connection)
    available = availability(live)
    today = Window(task.today, task.today + timedelta(days=1))
    kept = history.keep(connection, today, task.today, live, available)
    counted = sa.select(sa.cast(sa.func.coalesce(sa.func.sum(storage_daily.c.objects), 0), sa.BigInteger))
    unknown = {name: why for name, why in available.skipped.items() if name.startswith("storage_")}
    return Result(
        window=today,
        rows_read=connection.execute(counted.where(storage_daily.c.day == task.today)).scalar_one(),
        rows_written=kept.changes,
        skipped=unknown | kept.skipped | _uncounted_orphans(connection, task, live),
    )


def _uncounted_orphans(connection: sa.Connection, task: Task, live: LiveSchema) -> dict[str, str]:
    """Return why today's orphans of a bucket that holds objects are not known, and stand as none."""
    why = unclear(live)
    own = storage_daily.c
    holds_objects = sa.and_(own.day == task.today, own.objects > 0, own.bucket.in_(list(why)))
    found = connection.scalars(sa.select(own.bucket).where(holds_objects).distinct().order_by(own.bucket))
    return {f"orphans of {bucket}": f"{why[bucket]} is missing" for bucket in found}


if __name__ == "__main__":
    from jobs.runner import main

    main("storage-snapshot")
