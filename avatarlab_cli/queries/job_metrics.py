"""The figures that jobs are monitored by."""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from avatarlab_cli import migrations
from avatarlab_cli.queries.job_states import State, states
from avatarlab_cli.queries.job_success import Doing
from avatarlab_cli.rollup import windows
from avatarlab_cli.schema.private import usage_dirty


@dataclass(frozen=True)
class Figures:
    """What there is to monitor; None is not known, or nothing there.

    `dirty_keys` wait to be recomputed since `dirty_since`; `mismatches` is what
    verify found wrong in each month when it last looked at that.
    """

    states: list[State]
    open_months: int
    dirty_keys: int
    dirty_since: datetime | None
    mismatches: int | None
    schema: str | None


# A run looks at the months whose turn it is, often at none, and says nothing of the others. One whose record does not
# tell months apart says what is wrong of its first one.
_MISMATCHES = sa.text("""
    SELECT sum(wrong) FROM (
        SELECT DISTINCT ON (m.month) CASE
            WHEN r.details ? 'by_month' THEN coalesce(
                (SELECT sum(value::bigint) FROM jsonb_each_text(r.details -> 'by_month' -> m.month)), 0)
            WHEN m.place = 1 THEN coalesce((r.details ->> 'mismatches')::bigint, 0) ELSE 0 END AS wrong
        FROM avatarlab_admin.job_runs r
        CROSS JOIN jsonb_array_elements_text(r.details -> 'months') WITH ORDINALITY AS m(month, place)
        WHERE r.job = 'verify' AND r.status = 'succeeded' AND NOT r.is_dry_run
        ORDER BY m.month, r.started_at DESC
    ) latest
""")


def figures(connection: sa.Connection, jobs: Doing, now: datetime) -> Figures:
    """Return the figures of these jobs and of what they keep."""
    queue = sa.select(sa.func.count(), sa.func.min(usage_dirty.c.enqueued_at))
    dirty_keys, dirty_since = connection.execute(queue).one()
    return Figures(
        states=states(connection, jobs, now),
        open_months=windows.open_months(connection, now.astimezone(UTC).date())[0],
        dirty_keys=dirty_keys,
        dirty_since=dirty_since,
        mismatches=connection.scalar(_MISMATCHES),
        schema=migrations.status(connection).current,
    )
