"""The job close-month: closes, in order, each month that ended long enough ago and whose figures are verified."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from avatarlab_cli.errors import RefusedError
from avatarlab_cli.rollup import closing
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.private import period_close
from avatarlab_cli.timeframe import Window, next_month
from jobs.result import Result, Task

if TYPE_CHECKING:
    from avatarlab_cli.rollup.closing import Closed

# What a dry run shows the changes of.
TARGET, KEYS = period_close, ["month"]


def run(connection: sa.Connection, task: Task) -> Result:
    """Close what is due; the caller's transaction makes it all or nothing.

    Raises RefusedError where the first due month cannot be closed. Where a later one cannot, those before it are
    closed and `details` says why it is not: the next run begins with it.
    """
    closed: list[Closed] = []
    details: dict[str, object] = {}
    while month := closing.next_due(connection, task.today, task.close_after_days):
        try:
            # What a month that is refused had set anew goes back.
            with connection.begin_nested():
                done = closing.close(
                    connection, month, today=task.today, card=task.rates, by="job close-month"
                )
        except RefusedError as error:
            if not closed:
                raise
            details["refused"] = error.message
            break
        closed.append(done)
    if closed:
        details["closed"] = [done.facts() for done in closed]
    first = closed[0].month if closed else task.today
    return Result(
        window=Window(first, next_month(closed[-1].month) if closed else first),
        rows_read=sum(done.users for done in closed),
        rows_written=sum(done.users for done in closed),
        skipped=dict(availability(probe(connection)).skipped),
        details=details,
    )


if __name__ == "__main__":
    from jobs.runner import main

    main("close-month")
