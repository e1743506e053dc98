"""Reports on the runs of jobs."""

from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.naming import Naming
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.private import job_runs

RUN = Naming(
    "run",
    "avatarlab_admin.job_runs",
    "avatarlab_admin.job_runs r",
    "r.id::text",
    prefixes=("r.id::text",),
    shortest=1,
    hint="`avatarlab job history` lists them",
)
_SECONDS = sa.cast(sa.extract("epoch", job_runs.c.finished_at - job_runs.c.started_at), sa.Numeric(12, 3))
COLUMNS = (
    Column("run", Kind.ID, "the run"),
    Column("job", Kind.TEXT, "which job"),
    Column("status", Kind.TEXT, "running, succeeded, failed, busy, interrupted, crashed or skipped"),
    Column("started_at", Kind.TIME, "when it began"),
    Column("seconds", Kind.DECIMAL, "how long it took", null="-"),
    Column(
        "slot",
        Kind.TIME,
        "the moment of the schedule it was for; by hand, when it began",
        wide=True,
        null="-",
    ),
    Column("is_scheduled", Kind.BOOLEAN, "whether a timer ran it for its slot", wide=True),
    Column(
        "covers_outstanding", Kind.BOOLEAN, "whether it was over all outstanding, no days named", wide=True
    ),
    Column("window_from", Kind.DATE, "first day recomputed", wide=True, null="-"),
    Column("window_to", Kind.DATE, "the day after the last recomputed", wide=True, null="-"),
    Column("rows_written", Kind.INTEGER, "rows inserted, updated or deleted", null="-"),
    Column("rows_read", Kind.INTEGER, "user-days counted", wide=True, null="-"),
    Column("is_dry_run", Kind.BOOLEAN, "whether nothing was kept", wide=True),
    Column("metrics_skipped", Kind.JSON, "metric -> why it is not available here", wide=True),
    Column("undated", Kind.JSON, "metric -> how much of it has no day", wide=True),
    Column("details", Kind.JSON, "what else the job counted", wide=True),
    Column("transactions", Kind.INTEGER, "how many were committed", wide=True, null="-"),
    Column("attempts", Kind.INTEGER, "how often they were tried", wide=True, null="-"),
    Column("error_class", Kind.TEXT, "what ended it", wide=True, null="-"),
    Column("error_message", Kind.TEXT, "and why", wide=True, null="-"),
    Column("host", Kind.TEXT, "where it ran", wide=True, null="-"),
    Column("pid", Kind.TEXT, "its process", wide=True, null="-"),
    Column("os_user", Kind.TEXT, "its user", wide=True, null="-"),
    Column("finished_at", Kind.TIME, "when it ended", wide=True, null="-"),
    Column("version", Kind.TEXT, "of the toolkit", wide=True, null="-"),
    Column("definition_version", Kind.INTEGER, "of the metrics", wide=True, null="-"),
    Column("rate_card_version", Kind.TEXT, "of the prices", wide=True, null="-"),
    Column("server_version", Kind.TEXT, "of PostgreSQL", wide=True, null="-"),
)
_SELECT = sa.select(
    job_runs.c.id.label("run"),
    _SECONDS.label("seconds"),
    sa.cast(job_runs.c.pid, sa.Text).label("pid"),
    *(job_runs.c[column.name] for column in COLUMNS if column.name not in ("run", "seconds", "pid")),
)


def history(job: str | None) -> Report:
    """Report the runs, of one job or of all, the latest first."""
    select = _SELECT if job is None else _SELECT.where(job_runs.c.job == job)
    return Report(select, COLUMNS, sort="-started_at", empty="No job has run yet.")


def show(run: UUID) -> Report:
    """Report everything about one run."""
    return Report(_SELECT.where(job_runs.c.id == run), COLUMNS, single=True)
