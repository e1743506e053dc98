"""Every job: its name, the module that runs it, and what it does in one line."""

from dataclasses import dataclass

from avatarlab_cli.rollup import LOCK


@dataclass(frozen=True)
class Job:
    """A job; two jobs of one `lock` never run at the same time. It may or may not be told which days to work on.

    `done_by` names the jobs whose runs do its work too. One that is not daily may stay away for longer than a day.
    """

    name: str
    module: str
    summary: str
    lock: str
    takes_days: bool = True
    done_by: tuple[str, ...] = ()
    is_daily: bool = True
    why_no_days: str = "only today can be seen"
    takes_closed_months: bool = False


# Two write usage_daily, and all of them storage_daily, so they share a lock.
JOBS = (
    Job("monthly-usage", "jobs.monthly_usage", "Usage, cost and limits by user and month.", LOCK),
    Job("platform-statistics", "jobs.platform_statistics", "The platform's figures by day.", LOCK),
    Job(
        "storage-snapshot",
        "jobs.storage_snapshot",
        "What is stored today, and on days no run saw.",
        LOCK,
        takes_days=False,
        done_by=("monthly-usage", "platform-statistics"),
    ),
    Job(
        "close-month",
        "jobs.close_month",
        "Closes months that are over, once their figures are verified.",
        LOCK,
        takes_days=False,
        is_daily=False,
        why_no_days="months are closed in order",
    ),
    Job(
        "check-limits",
        "jobs.check_limits",
        "Who is over a limit, by the limits of today.",
        LOCK,
        takes_days=False,
        is_daily=False,
        why_no_days="every open month is judged",
    ),
    Job(
        "verify",
        "jobs.verify",
        "Compares stored figures with their sources, months by turns.",
        LOCK,
        is_daily=False,
        takes_closed_months=True,
    ),
)
BY_NAME = {job.name: job for job in JOBS}
# Those that compute figures, which close-month makes final.
COMPUTING = tuple(job for job in JOBS if job.is_daily)
# What should have run within a day, and the jobs whose runs count as that.
DAILY = {job.name: (job.name, *job.done_by) for job in COMPUTING}
