"""The job storage-snapshot: storage_daily and database_daily for today, and for the days no run saw."""

from datetime import timedelta

import sqlalchemy as sa

from avatarlab_cli.rollup import history
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.schema.live import probe
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
    owners = sa.select(sa.func.count(sa.distinct(storage_daily.c.user_id)))
    unknown = {name: why for name, why in available.skipped.items() if name.startswith("storage_")}
    return Result(
        window=today,
        rows_read=connection.execute(owners.where(storage_daily.c.day == task.today)).scalar_one(),
        rows_written=kept.changes.total,
        skipped=unknown | kept.skipped,
    )


if __name__ == "__main__":
    from jobs.runner import main

    main("storage-snapshot")
