"""The job monthly-usage: usage_daily, then monthly_usage, for the days that are open."""

import sqlalchemy as sa

from avatarlab_cli.rollup import accounts, daily, history, limits, monthly, rates, windows
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.live import probe
from avatarlab_cli.timeframe import Window
from jobs.result import Result, Task

# What a dry run shows the changes of.
TARGET, KEYS = monthly_usage, monthly.KEYS


def run(connection: sa.Connection, task: Task) -> Result:
    """Recompute the window and set what differs; the caller's transaction makes it all or nothing."""
    live = probe(connection)
    available = availability(live)
    # A month is summed from all its days, so all of them must be right.
    asked = None if task.window is None else monthly.whole_months(task.window)
    window = windows.resolve(connection, asked, task.today)
    kept = history.keep(connection, window, task.today, live, available)
    prices = rates.collect(connection, task.rates)
    version = task.rates.version
    accounts.collect(connection, live)
    invalid = limits.collect(connection, live, task.today)
    days = daily.recompute(connection, window, available, prices, version)
    months = monthly.recompute(connection, window, available, today=task.today, rate_version=version)
    return Result(
        window=Window(max(window.first, days.first or window.first), window.end),
        rows_read=days.rows,
        rows_written=(kept.changes + days.changes + months).total,
        skipped={**available.skipped, **kept.skipped},
        undated=days.undated,
        details={"invalid_limits": invalid} if invalid else {},
    )


if __name__ == "__main__":
    from jobs.runner import main

    main("monthly-usage")
