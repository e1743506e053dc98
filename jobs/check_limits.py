"""The job check-limits: who is over which limit, in every open month, by the limits in force today."""

import sqlalchemy as sa

from avatarlab_cli.rollup import accounts, limits, monthly, rates, usage, windows
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.live import probe
from jobs.result import Result, Task

# What a dry run shows the changes of.
TARGET, KEYS = monthly_usage, monthly.KEYS


def run(connection: sa.Connection, task: Task) -> Result:
    """Sum and judge every open month anew from usage_daily; no log is read. `details` counts those over in this month."""
    live = probe(connection)
    available = availability(live)
    window = windows.resolve(connection, None, task.today)
    prices = rates.collect(connection, task.rates)
    accounts.collect(connection, live)
    invalid = limits.collect(connection, live, task.today)
    limits.note_changed(connection)
    limits.remember(connection, limits.digest(connection, live, task.today), invalid)
    scope = monthly.Scope(window)
    changes = monthly.recompute(
        connection, scope, available, today=task.today, rate_version=task.rates.version
    )
    usage.note_other_basis(connection, usage.Basis(live, available, prices, task.rates.version, task.today))
    this_month = monthly_usage.c.usage_month == task.today.replace(day=1)
    over = sa.select(sa.func.count()).where(this_month, monthly_usage.c.is_over_limit)
    details: dict[str, object] = {"over_limit": connection.scalar(over) or 0}
    return Result(
        window=window,
        rows_read=0,
        rows_written=changes,
        skipped=dict(available.skipped),
        details=details | ({"invalid_limits": invalid} if invalid else {}),
    )


if __name__ == "__main__":
    from jobs.runner import main

    main("check-limits")
