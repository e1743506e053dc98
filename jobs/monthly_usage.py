"""The job monthly-usage: usage_daily, then monthly_usage, for the days that are open."""

import sqlalchemy as sa

from avatarlab_cli.rollup import dirty, history, monthly, rates, usage, windows
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.live import probe
from avatarlab_cli.timeframe import Window
from jobs.result import Result, Task

# What a dry run shows the changes of.
TARGET, KEYS = monthly_usage, monthly.KEYS


def run(connection: sa.Connection, task: Task) -> Result:
    """Recompute the window and set what differs; the caller's transaction makes it all or nothing.

    Without a window it is what the queue names, as far as changes are captured, in batches of a transaction each.
    """
    live = probe(connection)
    available = availability(live)
    # A month is summed from all its days, so all of them must be right.
    asked = None if task.window is None else monthly.whole_months(task.window)
    window = windows.resolve(connection, asked, task.today)
    kept = history.keep(connection, window, task.today, live, available)
    prices = rates.collect(connection, task.rates)
    basis = usage.Basis(live, available, prices, task.rates.version, task.today)
    if asked is None:
        done = usage.catch_up(connection, basis, task.step, None if task.is_at_once else dirty.BATCH)
    else:
        done = usage.recompute(connection, window, basis)
    details = done.facts() | usage.adjust_late(connection, done, task.today)
    return Result(
        window=Window(max(window.first, done.first or window.first), window.end),
        rows_read=done.rows,
        rows_written=kept.changes + done.changes,
        skipped={**available.skipped, **kept.skipped},
        undated=done.undated,
        details=details,
        then=None if done.is_last or task.is_at_once else task.after(),
    )


if __name__ == "__main__":
    from jobs.runner import main

    main("monthly-usage")
