"""What is over, stale, failing or waiting, each as one figure that a short look at one table gives."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.schema import avatars, commerce, knowledge, media, training, voice
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.private import job_runs

# A daily run may be a little late.
RUN_EVERY = timedelta(hours=26)
STALE_AFTER = timedelta(hours=24)
"""After this, what is still in progress is stuck."""
DailyJobs = Mapping[str, Sequence[str]]
"""The jobs that should run each day, each with those whose runs do: itself, and what does its work too."""
FAILED_RUNS = ("failed", "interrupted", "crashed")


@dataclass(frozen=True)
class Line:
    """A figure of the page: what it is, what it was before, how bad it is where it is not 0, and what shows more."""

    section: str
    what: str
    value: Expression
    more: str
    before: Expression | None = None
    severity: str = "warn"


@dataclass(frozen=True)
class Times:
    """What the page looks at: the moment it is asked for, the day before, and the seven days before that."""

    now: datetime
    week: datetime
    yesterday: datetime
    today: datetime


def lines(platform: Platform, times: Times, jobs: DailyJobs) -> Iterator[Line]:
    """Yield the lines of what is over, stale, failing and waiting."""
    yield Line("over", "users over a limit", _over(platform, times.now.date()), "avatarlab tier check")
    yield from _stale(platform, times)
    late = _late_jobs(platform, times.now, jobs)
    yield Line("stale", "jobs that are late", late, "avatarlab system health", severity="bad")
    yield from _failing(platform, times)
    yield from _waiting(platform)


def is_computed(runs: sa.FromClause, day: date) -> Expression:
    """Return the condition that a run has computed the usage of a day."""
    return sa.exists().where(*_successes(runs), runs.c.job == "monthly-usage", runs.c.window_to > day)


def _over(platform: Platform, today: date) -> Expression:
    """Count the users over a limit; not known before a run has computed this month."""
    usage, runs = platform[monthly_usage], platform[job_runs]
    month = today.replace(day=1)
    count = _count(platform, usage, usage.c.user_id, usage.c.usage_month == month, usage.c.is_over_limit)
    return sa.case((is_computed(runs, month), count))


def _stale(platform: Platform, times: Times) -> Iterator[Line]:
    """Yield what has been in progress for longer than it can take."""
    old = times.now - STALE_AFTER
    runs, jobs = platform[training.avatar_training_data], platform[training.avatar_fine_tune_jobs]
    is_running = runs.c.status.in_(("pending", "processing"))
    value = _count(platform, runs, runs.c.id, is_running, runs.c.created_at < old)
    yield Line("stale", "training runs stuck", value, "avatarlab training stale")
    is_running = jobs.c.status.in_(("validating_files", "queued", "running"))
    value = _count(platform, jobs, jobs.c.id, is_running, jobs.c.created_at < old)
    yield Line("stale", "fine-tunes stuck", value, "avatarlab training stale")
    clones = platform[voice.voice_clones]
    value = _count(platform, clones, clones.c.id, clones.c.status == "training", clones.c.created_at < old)
    yield Line("stale", "voice clones stuck", value, "avatarlab voice clones --stuck")
    videos = platform[media.generated_videos]
    value = _count(platform, videos, videos.c.id, videos.c.status == "processing", videos.c.created_at < old)
    yield Line("stale", "videos stuck", value, "avatarlab image stuck")
    files = platform[knowledge.avatar_knowledge_files]
    is_pending = files.c.processing_status == "pending"
    value = _count(platform, files, files.c.id, is_pending, files.c.uploaded_at < old)
    yield Line("stale", "knowledge files pending", value, "avatarlab rag files")


def _failing(platform: Platform, times: Times) -> Iterator[Line]:
    """Yield what was begun yesterday and failed, beside the average day of the week before."""
    runs = platform[job_runs]
    data, jobs = platform[training.avatar_training_data], platform[training.avatar_fine_tune_jobs]
    files, videos = platform[knowledge.avatar_knowledge_files], platform[media.generated_videos]
    has_failed = sa.and_(runs.c.status.in_(FAILED_RUNS), sa.not_(runs.c.is_dry_run))
    for what, table, begun, is_bad, more in (
        ("runs of jobs", runs, "started_at", has_failed, "avatarlab job history"),
        ("training runs", data, "created_at", data.c.status == "failed", "avatarlab training errors"),
        ("fine-tunes", jobs, "created_at", jobs.c.status == "failed", "avatarlab training errors"),
        (
            "knowledge files",
            files,
            "uploaded_at",
            files.c.processing_status == "error",
            "avatarlab rag files",
        ),
        ("videos", videos, "created_at", videos.c.status == "failed", "avatarlab image videos"),
    ):
        when = table.c[begun]
        value, before = (
            _count(platform, table, when, is_bad, when >= first, when < end)
            for first, end in ((times.yesterday, times.today), (times.week, times.yesterday))
        )
        yield Line("failing", f"{what} failed", value, more, before / sa.literal(7, sa.Numeric))


def _waiting(platform: Platform) -> Iterator[Line]:
    """Yield what waits for an admin."""
    images, made = platform[media.generated_images], platform[avatars.avatars]
    for what, table, more in (
        ("images to moderate", images, "avatarlab image queue"),
        ("avatars to moderate", made, "avatarlab avatar queue"),
    ):
        is_open = table.c.moderation_status.in_(("pending", "flagged"))
        yield Line("waiting", what, _count(platform, table, table.c.id, is_open), more)
    asked = platform[commerce.tier_upgrade_requests]
    value = _count(platform, asked, asked.c.id, asked.c.status == "pending")
    yield Line("waiting", "upgrade requests", value, "avatarlab tier requests list")


def _late_jobs(platform: Platform, now: datetime, jobs: DailyJobs) -> Expression:
    """Count the jobs without a success for longer than a day."""
    runs = platform[job_runs]
    is_late = (
        ~sa.exists().where(*_successes(runs), runs.c.job.in_(doing), runs.c.started_at >= now - RUN_EVERY)
        for doing in jobs.values()
    )
    late = sum((sa.cast(each, sa.Integer) for each in is_late), sa.literal(0))
    return platform.known(late, runs.c.status)


def _successes(runs: sa.FromClause) -> tuple[Expression, ...]:
    return runs.c.status == "succeeded", sa.not_(runs.c.is_dry_run)


def _count(platform: Platform, table: sa.FromClause, of: Expression, *conditions: Expression) -> Expression:
    """Return how many rows fulfil the conditions, which an index may serve; NULL where that is not known."""
    counted = platform.known(sa.func.count(of), *conditions)
    # One row, also where the figure is no aggregate because it cannot be known.
    one = sa.select(counted).select_from(table).where(*conditions).having(sa.literal_column("true"))
    return one.scalar_subquery()
