"""The job platform-statistics: platform_statistics for the days that are open, up to today."""

from datetime import date, timedelta

import sqlalchemy as sa

from avatarlab_cli.rollup import (
    accounts,
    daily,
    dirty,
    history,
    limits,
    rates,
    statistics,
    subscriptions,
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
    """Recompute the window and set what differs; the caller's transaction makes it all or nothing."""
    live = probe(connection)
    available = availability(live)
    asked = windows.resolve(connection, task.window, task.today)
    # The day after is told by its difference from the last day asked for.
    window = Window(asked.first, min(asked.end, task.today) + timedelta(days=1))
    kept = history.keep(connection, window, task.today, live, available)
    prices = rates.collect(connection, task.rates)
    accounts.collect(connection, live)
    basis = usage.Basis(available, prices, task.rates.version, task.today)
    days: daily.DailyResult | usage.Updated
    if task.window is None and usage.is_captured(connection):
        limits.collect(connection, live, task.today)
        days = usage.catch_up(connection, basis, task.step, None if task.is_at_once else dirty.BATCH)
        if not (days.is_last or task.is_at_once):
            late = usage.adjust_late(connection, days, task.today)
            written = (kept.changes + days.changes).total
            return Result(window, days.rows, written, details=late, then=task.after())
    else:
        scope = daily.Scope(_with_days_before(connection, window))
        days = daily.recompute(connection, scope, available, prices, task.rates.version)
        usage.note_other_basis(connection, basis)
    known = statistics.known_days(connection, window, task.today)
    money = subscriptions.recompute(connection, known, task.today)
    figures = statistics.recompute(connection, window, known, available, live)
    unexplained = statistics.unexplained_days(connection, known)
    details: dict[str, object] = {"revenue_does_not_follow": unexplained} if unexplained else {}
    if isinstance(days, usage.Updated):
        details |= usage.adjust_late(connection, days, task.today)
    return Result(
        window=known,
        rows_read=days.rows,
        rows_written=(kept.changes + days.changes + money + figures).total,
        skipped={**available.skipped, **kept.skipped, **statistics.skipped(live)},
        undated=days.undated,
        details=details,
    )


def _with_days_before(connection: sa.Connection, window: Window) -> Window:
    """Return the window with the month its active users reach back to, as far as that is open."""
    reach = min(statistics.TRAILING_DAYS, (window.first - date.min).days)
    back = window.first - timedelta(days=reach)
    return Window(min(window.first, max(back, windows.first_open(connection))), window.end)


if __name__ == "__main__":
    from jobs.runner import main

    main("platform-statistics")
