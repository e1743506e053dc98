"""The job platform-statistics: platform_statistics for the days that are open, up to today."""

from datetime import date, timedelta

import sqlalchemy as sa

from avatarlab_cli.rollup import (
    accounts,
    dirty,
    history,
    rates,
    statistics,
    subscriptions,
    trailing,
    usage,
    windows,
)
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.schema.admin import platform_statistics
from avatarlab_cli.schema.live import probe
from avatarlab_cli.timeframe import Window
from jobs.result import Result, Task

# What a dry run shows the changes of.
TARGET, KEYS = platform_statistics, ["stat_date"]


def run(connection: sa.Connection, task: Task) -> Result:
    """Recompute the window and set what differs; the caller's transaction makes it all or nothing.

    Usage comes first, where it takes a queue in batches of a transaction each, and the figures with the last of them.
    """
    live = probe(connection)
    available = availability(live)
    asked = windows.resolve(connection, task.window, task.today)
    # The day after is told by its difference from the last day asked for.
    window = Window(asked.first, min(asked.end, task.today) + timedelta(days=1))
    kept = history.keep(connection, window, task.today, live, available)
    prices = rates.collect(connection, task.rates)
    accounts.collect(connection, live)
    done = _usage(
        connection, task, window, usage.Basis(live, available, prices, task.rates.version, task.today)
    )
    is_last = done.is_last or task.is_at_once
    known = statistics.known_days(connection, window, task.today)
    details: dict[str, object] = {}
    written = kept.changes + done.changes
    if is_last:
        written += subscriptions.recompute(connection, known, task.today)
        written += statistics.recompute(connection, window, known, available, live)
        unexplained = statistics.unexplained_days(connection, known)
        details |= {"revenue_does_not_follow": unexplained} if unexplained else {}
    details |= done.facts() | usage.adjust_late(connection, done, task.today)
    return Result(
        window=known,
        rows_read=done.rows,
        rows_written=written,
        skipped={**available.skipped, **kept.skipped, **statistics.skipped(live)},
        undated=done.undated,
        details=details,
        then=None if is_last else task.after(),
    )


def _usage(connection: sa.Connection, task: Task, window: Window, basis: usage.Basis) -> usage.Updated:
    """Bring usage up to date: by what the queue names where all changes are captured, else all days of the window."""
    if task.window is not None or not usage.is_captured(connection):
        return usage.recompute_days(connection, _with_days_before(connection, window), basis)
    return usage.catch_up(connection, basis, task.step, None if task.is_at_once else dirty.BATCH)


def _with_days_before(connection: sa.Connection, window: Window) -> Window:
    """Return the window with the month its active users reach back to, as far as that is open."""
    reach = min(trailing.DAYS, (window.first - date.min).days)
    back = window.first - timedelta(days=reach)
    return Window(min(window.first, max(back, windows.first_open(connection))), window.end)


if __name__ == "__main__":
    from jobs.runner import main

    main("platform-statistics")
