"""Whether the jobs' work is done in time: the one definition that every page, metric and check has of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from avatarlab_cli.queries.platform import Expression
from avatarlab_cli.schema.private import job_runs

# A daily run may be a little late.
RUN_EVERY = timedelta(hours=26)
FAILED_RUNS = ("failed", "interrupted", "crashed")
Doing = Mapping[str, Sequence[str]]
"""Jobs, each with those whose runs do its work: itself, and what does it too."""


def successes(runs: sa.FromClause) -> tuple[Expression, ...]:
    """Return the conditions that a run did its work, and kept it."""
    return runs.c.status == "succeeded", sa.not_(runs.c.is_dry_run)


def covers(runs: sa.FromClause) -> Expression:
    """Return the condition that a run was over all that was outstanding, as far as that is known.

    A run over days that somebody named, one by hand or a month of a backfill, says nothing of what a timer should do.
    """
    return runs.c.covers_outstanding.is_not(False)


def is_late(runs: sa.FromClause, doing: Sequence[str], now: datetime) -> Expression:
    """Return the condition that no run of these jobs did all that was outstanding within a day."""
    in_time = runs.c.finished_at >= now - RUN_EVERY
    return ~sa.exists().where(*successes(runs), covers(runs), runs.c.job.in_(doing), in_time)


def written(*conditions: Expression) -> str:
    """Return conditions on `r`, an alias of the table of runs, as SQL."""
    compiled = sa.and_(*conditions).compile(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        compile_kwargs={"literal_binds": True},
    )
    return str(compiled)


RUNS = job_runs.alias("r")
