"""Backfill: past months computed anew, one at a time, beside the regular jobs."""

import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

from avatarlab_cli.database import Database
from avatarlab_cli.errors import BusyError
from avatarlab_cli.process import Ending, signals_deferred
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.rollup import verifying, windows
from avatarlab_cli.timeframe import Window, month_window
from jobs.order import Order, Run
from jobs.registry import BY_NAME
from jobs.runner import demand_current_schema, execute, today_of

# How long another run is waited for, and how often it is asked.
PATIENCE_SECONDS, ASK_SECONDS = 900.0, 1.0
COLUMNS = (
    Column("month", Kind.ID, "the month computed"),
    Column("rows_written", Kind.INTEGER, "rows that differed, in all tables"),
    Column("seconds", Kind.DECIMAL, "how long it took"),
)


def each_month(database: Database, window: Window, order: Order, pause: float) -> Iterator[dict[str, object]]:
    """Compute usage, then statistics, of each month the window touches; yields a row a month, resting in between.

    The order is what all runs have in common. With a `preview` nothing is kept, and so statistics are those of the usage
    that is stored now. Before anything is done, raises UsageError for a month to come and RefusedError for a closed one;
    BusyError where another run does not end. Told to end by a signal, it ends after the current transaction.
    """
    months = verifying.months_of(window)
    with database.read() as connection:
        demand_current_schema(connection)
        today = today_of(connection)
        windows.demand_begun(month_window(months[-1]), today)
        windows.resolve(connection, month_window(months[0]), today)
    with signals_deferred() as ending:
        for number, month in enumerate(months):
            own = replace(order, window=month_window(month))
            runs = [
                _patiently(database, name, own, ending) for name in ("monthly-usage", "platform-statistics")
            ]
            yield {
                "month": f"{month:%Y-%m}",
                "rows_written": sum(run.result.rows_written for run in runs),
                "seconds": round(sum(run.seconds for run in runs), 3),
            }
            if number + 1 < len(months):
                ending.rest(pause)


def _patiently(database: Database, name: str, order: Order, ending: Ending) -> Run:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return execute(database, BY_NAME[name], replace(order, run_id=uuid4()))
        except BusyError:
            if time.monotonic() > end:
                raise
            ending.rest(ASK_SECONDS)
