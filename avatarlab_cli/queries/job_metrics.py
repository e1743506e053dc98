"""The figures that jobs are monitored by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from avatarlab_cli import migrations
from avatarlab_cli.queries.job_states import State, states
from avatarlab_cli.rollup import windows
from avatarlab_cli.schema.private import job_runs, usage_dirty


@dataclass(frozen=True)
class Figures:
    """What there is to monitor; None is not known, or nothing there.

    `dirty_keys` wait to be recomputed since `dirty_since`; `mismatches` is what the last run of verify found.
    """

    states: list[State]
    open_months: int
    dirty_keys: int
    dirty_since: datetime | None
    mismatches: int | None
    schema: str | None


def figures(connection: sa.Connection, jobs: Sequence[str], now: datetime) -> Figures:
    """Return the figures of these jobs and of what they keep."""
    queue = sa.select(sa.func.count(), sa.func.min(usage_dirty.c.enqueued_at))
    dirty_keys, dirty_since = connection.execute(queue).one()
    verified = (
        sa.select(sa.func.coalesce(job_runs.c.details["mismatches"].as_integer(), 0))
        .where(job_runs.c.job == "verify", job_runs.c.status == "succeeded", ~job_runs.c.is_dry_run)
        .order_by(job_runs.c.started_at.desc())
        .limit(1)
    )
    return Figures(
        states=states(connection, jobs, now),
        open_months=windows.open_months(connection, now.astimezone(UTC).date())[0],
        dirty_keys=dirty_keys,
        dirty_since=dirty_since,
        mismatches=connection.scalar(verified),
        schema=migrations.status(connection).current,
    )
