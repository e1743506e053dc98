"""The job verify: compares what is stored with the sources, months by turns, and changes no open figure.

What changed under a closed month is recorded as adjustments: without change capture nobody else looks there again.
"""

from collections import Counter

import sqlalchemy as sa

from avatarlab_cli.rollup import verifying
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.private import usage_adjustment
from avatarlab_cli.timeframe import Window, next_month
from jobs.result import Result, Task

# What a dry run shows the changes of.
TARGET, KEYS = usage_adjustment, ["id"]


def run(connection: sa.Connection, task: Task) -> Result:
    """Verify the window's months, or those whose turn it is; `details` says how much differs, by metric and by month."""
    if task.window is None:
        months = verifying.share(connection, task.today, task.verify_within_days)
    else:
        # Nothing is to come of months that have not begun.
        end = min(task.window.end, next_month(task.today))
        months = verifying.months_of(Window(task.window.first, end))
    mismatches = verifying.compare(connection, months, task.today, task.rates)
    details: dict[str, object] = {"months": [f"{month:%Y-%m}" for month in months]}
    if mismatches:
        by_month = verifying.counted(connection)
        by_metric = sum(map(Counter, by_month.values()), Counter[str]())
        details |= {"mismatches": mismatches, "by_metric": dict(by_metric), "by_month": by_month}
    first = months[0] if months else task.today
    return Result(
        window=Window(first, next_month(months[-1]) if months else first),
        rows_read=0,
        rows_written=0,
        skipped=dict(availability(probe(connection)).skipped),
        details=details,
    )


if __name__ == "__main__":
    from jobs.runner import main

    main("verify")
