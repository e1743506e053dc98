"""How each job does: when it last succeeded, how its last run ended, and how long its runs take."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from avatarlab_cli.queries.job_success import FAILED_RUNS, RUNS, Doing, covers, successes, written
from avatarlab_cli.report import Column, Kind

_FAILED_WITHIN = timedelta(days=7)
_RUNS, _FEWEST_RUNS = 10, 3
# A run that crashed was closed by the next, whenever that came: nobody knows how long it took.
_SECONDS = "CASE WHEN r.status <> 'crashed' THEN extract(epoch FROM r.finished_at - r.started_at) END"
_COVERS = written(sa.not_(RUNS.c.is_dry_run), covers(RUNS))
_DONE = written(*successes(RUNS), covers(RUNS))
_STATES = sa.text(f"""
    SELECT j.job, success.finished_at AS succeeded_at, ended.finished_at AS ended_at, ended.status, ended.seconds,
           ended.rows_read, ended.rows_written, failures.count AS failures, usual.median AS median_seconds, usual.count AS runs
    FROM unnest(CAST(:jobs AS text[])) WITH ORDINALITY AS j(job, place)
    LEFT JOIN LATERAL (
        SELECT r.status, r.finished_at, r.rows_read, r.rows_written, round({_SECONDS}, 3) AS seconds
        FROM avatarlab_admin.job_runs r
        WHERE r.job = j.job AND {_COVERS} AND r.status IN ('succeeded', 'failed', 'interrupted', 'crashed')
        ORDER BY r.started_at DESC LIMIT 1
    ) ended ON true
    LEFT JOIN LATERAL (
        SELECT max(latest.finished_at) AS finished_at
        FROM unnest(CAST(:of AS text[]), CAST(:doing AS text[])) AS d(job, doing)
        CROSS JOIN LATERAL (
            SELECT r.finished_at FROM avatarlab_admin.job_runs r
            WHERE r.job = d.doing AND {_DONE} ORDER BY r.started_at DESC LIMIT 1
        ) latest WHERE d.job = j.job
    ) success ON true
    CROSS JOIN LATERAL (
        SELECT count(*) FROM avatarlab_admin.job_runs r
        WHERE r.job = j.job AND NOT r.is_dry_run AND r.status = ANY (CAST(:failed AS text[])) AND r.started_at >= :since
    ) failures
    CROSS JOIN LATERAL (
        SELECT round(CAST(percentile_cont(0.5) WITHIN GROUP (ORDER BY t.seconds) AS numeric), 3) AS median, count(*)
        FROM (SELECT {_SECONDS} AS seconds FROM avatarlab_admin.job_runs r
              WHERE r.job = j.job AND {_DONE}
              ORDER BY r.started_at DESC LIMIT {_RUNS}) t
    ) usual
    ORDER BY j.place
""")
COLUMNS = (
    Column("job", Kind.ID, "which job"),
    Column("state", help="ok, failed by its last run, late, or never for one that never succeeded"),
    Column(
        "last_success",
        Kind.TIME,
        "when a run over all that was outstanding last succeeded, or one that does its work too",
        null="never",
    ),
    Column("age_hours", Kind.DECIMAL, "hours since then", null="-"),
    Column("last_status", help="how the last run ended", null="-"),
    Column("next_slot", Kind.TIME, "when it is due next"),
    Column("seconds", Kind.DECIMAL, "how long the last run took", null="-"),
    Column("median_seconds", Kind.DECIMAL, f"the median of the last {_RUNS} that succeeded", null="-"),
    Column("trend", Kind.PERCENT, "how much longer the last run took than that", null="-"),
    Column("last_ended", Kind.TIME, "when the last run ended", wide=True, null="-"),
    Column("failures", Kind.INTEGER, "runs that failed in seven days", wide=True),
)


@dataclass(frozen=True)
class State:
    """How one job does; what no run told yet is None.

    Dry runs, those over days that somebody named, and those that gave way or had nothing to do, count not; of failures
    all but dry ones do.
    """

    job: str
    succeeded_at: datetime | None
    ended_at: datetime | None
    status: str | None
    seconds: Decimal | None
    rows_read: int | None
    rows_written: int | None
    failures: int
    median_seconds: Decimal | None
    runs: int

    def age(self, now: datetime) -> timedelta | None:
        """Return how long ago a run last succeeded; of clocks that differ nothing is younger than now."""
        return None if self.succeeded_at is None else max(now - self.succeeded_at, timedelta(0))

    def age_hours(self, now: datetime) -> Decimal | None:
        """Return that age in hours, to one digit."""
        age = self.age(now)
        return None if age is None else round(Decimal(age.total_seconds()) / 3600, 1)

    def judged(self, now: datetime, max_age: timedelta) -> str:
        """Return in one word whether all is well: a success within `max_age`, and none that failed since."""
        age = self.age(now)
        if age is None:
            return "never"
        return "late" if age > max_age else "ok" if self.status == "succeeded" else "failed"

    @property
    def trend(self) -> Decimal | None:
        """How much longer the last run took than its like, as a part of that; None where too few tell what is usual."""
        if self.seconds is None or not self.median_seconds or self.runs < _FEWEST_RUNS:
            return None
        return round(self.seconds / self.median_seconds - 1, 4)


def states(connection: sa.Connection, jobs: Doing, now: datetime) -> list[State]:
    """Return how each of these jobs does, in this order."""
    pairs = [(job, other) for job, doing in jobs.items() for other in doing]
    of, doing = ([pair[place] for pair in pairs] for place in (0, 1))
    values = {
        "jobs": list(jobs),
        "of": of,
        "doing": doing,
        "failed": list(FAILED_RUNS),
        "since": now - _FAILED_WITHIN,
    }
    return [State(**row) for row in connection.execute(_STATES, values).mappings()]
