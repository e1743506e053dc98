"""Every job: its name, the module that runs it, and what it does in one line."""

from dataclasses import dataclass

from avatarlab_cli.errors import NotFoundError
from avatarlab_cli.rollup import LOCK
from jobs.schedule import Schedule, Scheduled


@dataclass(frozen=True)
class Job:
    """A job; two jobs of one `lock` never run at the same time. It may or may not be told which days to work on.

    `done_by` names the jobs whose runs do its work too. One that is not daily may stay away for longer than a day.
    `follows` names those that a timer runs right before it: it compares with what they left.
    """

    name: str
    module: str
    summary: str
    lock: str
    schedule: Schedule
    takes_days: bool = True
    done_by: tuple[str, ...] = ()
    is_daily: bool = True
    why_no_days: str = "only today can be seen"
    takes_closed_months: bool = False
    follows: tuple[str, ...] = ()


# Two write usage_daily, and all of them storage_daily, so they share a lock, and each has minutes to itself.
JOBS = (
    Job(
        "monthly-usage", "jobs.monthly_usage", "Usage, cost and limits by user and month.", LOCK, Schedule(7)
    ),
    Job(
        "platform-statistics",
        "jobs.platform_statistics",
        "The platform's figures by day.",
        LOCK,
        Schedule(17),
    ),
    Job(
        "storage-snapshot",
        "jobs.storage_snapshot",
        "What is stored today, and on days no run saw.",
        LOCK,
        Schedule(50, hour=23),
        takes_days=False,
        done_by=("monthly-usage", "platform-statistics"),
    ),
    Job(
        "close-month",
        "jobs.close_month",
        "Closes months that are over, once their figures are verified.",
        LOCK,
        Schedule(27, hour=4),
        takes_days=False,
        is_daily=False,
        why_no_days="months are closed in order",
    ),
    Job(
        "check-limits",
        "jobs.check_limits",
        "Who is over a limit, by the limits of today.",
        LOCK,
        Schedule(37),
        takes_days=False,
        is_daily=False,
        why_no_days="every open month is judged",
    ),
    Job(
        "verify",
        "jobs.verify",
        "Compares stored figures with their sources, months by turns.",
        LOCK,
        Schedule(47, hour=4),
        is_daily=False,
        takes_closed_months=True,
        follows=("monthly-usage", "platform-statistics"),
    ),
)
BY_NAME = {job.name: job for job in JOBS}


def job_named(name: str) -> Job:
    """Return the job of a name; raises NotFoundError, which lists the names there are."""
    if name not in BY_NAME:
        raise NotFoundError(f"there is no job {name!r}", hint=f"jobs: {', '.join(BY_NAME)}")
    return BY_NAME[name]


# Those that compute figures, which close-month makes final.
COMPUTING = tuple(job for job in JOBS if job.is_daily)
# Each job, and those whose runs do its work.
DOING = {job.name: (job.name, *job.done_by) for job in JOBS}
# Of these, what every installation should have run within a day.
DAILY = {job.name: DOING[job.name] for job in COMPUTING}


def _scheduled(job: Job) -> Scheduled:
    # Whatever its own slot: it is done anew, right before.
    first = tuple(("job", "run", name, "--no-scheduled") for name in job.follows)
    return Scheduled(job.name, ("job", "run", job.name, "--scheduled"), job.schedule, job.summary, first)


_CHECKS = (
    Scheduled(
        "budget-check",
        ("cost", "budget", "check", "--notify"),
        Schedule(32, hour=6),
        "Which budgets are spent, or nearly.",
    ),
    Scheduled(
        "cost-anomalies",
        ("cost", "anomalies", "--notify"),
        Schedule(42, hour=6),
        "Which costs are far outside their history.",
    ),
)
SCHEDULED = (*map(_scheduled, JOBS), *_CHECKS)
"""Everything that runs by itself: what timers and crontabs are made from."""
