"""What is over, stale, failing or waiting, each as the one figure that the command it names comes to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from avatarlab_cli.queries import avatar_due, moderation, training_stale, videos, voice_clones
from avatarlab_cli.queries.job_success import FAILED_RUNS, Doing, is_late, successes
from avatarlab_cli.queries.platform import Expression, Platform, within
from avatarlab_cli.schema import avatars, commerce, knowledge, media, training, voice
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.private import job_runs
from avatarlab_cli.timeframe import Span

STALE_AFTER = timedelta(hours=24)
"""After this, what is still in progress is stuck."""


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


def lines(platform: Platform, times: Times, jobs: Doing) -> Iterator[Line]:
    """Yield the lines of what is over, stale, failing and waiting."""
    yield Line("over", "users over a limit", _over(platform, times.today), "tier check")
    yield from _stale(platform, times)
    late = _late_jobs(platform, times.now, jobs)
    yield Line("stale", "jobs that are late", late, "system health", severity="bad")
    yield from _failing(platform, times)
    yield from _waiting(platform)


def is_computed(runs: sa.FromClause, day: date, since: datetime) -> Expression:
    """Return the condition that a run has computed the usage of a day since then."""
    return sa.exists().where(
        *successes(runs),
        runs.c.job == "monthly-usage",
        runs.c.started_at >= since,
        # A run's window may end long after the day it ran on.
        sa.or_(runs.c.window_from.is_(None), runs.c.window_from <= day),
        runs.c.window_to > day,
    )


def _over(platform: Platform, today: datetime) -> Expression:
    """Count the users over a limit; not known before a run has computed this month today."""
    usage, runs = platform[monthly_usage], platform[job_runs]
    month = today.date().replace(day=1)
    count = _count(platform, usage, usage.c.user_id, usage.c.usage_month == month, usage.c.is_over_limit)
    return sa.case((is_computed(runs, today.date(), today), count))


def _stale(platform: Platform, times: Times) -> Iterator[Line]:
    """Yield what has been in progress for longer than it can take."""
    old = times.now - STALE_AFTER
    value = count_of(platform, training_stale.rows(platform, old))
    yield Line("stale", "trainings unfinished", value, "training stale")
    clones = platform[voice.voice_clones]
    value = _count(platform, clones, clones.c.id, voice_clones.is_stuck(platform, old))
    yield Line("stale", "voice clones stuck", value, "voice clones --stuck")
    made = platform[media.generated_videos]
    value = _count(platform, made, made.c.id, videos.is_stuck(made, old))
    yield Line("stale", "videos stuck", value, "image stuck")
    deleted = platform[avatars.avatars]
    value = _count(platform, deleted, deleted.c.id, avatar_due.is_due(deleted, times.now))
    yield Line("stale", "deleted avatars overdue", value, "avatar due")
    files = platform[knowledge.avatar_knowledge_files]
    is_pending = files.c.processing_status == "pending"
    value = _count(platform, files, files.c.id, is_pending, files.c.uploaded_at < old)
    yield Line("stale", "knowledge files stuck", value, "rag files")


def _failing(platform: Platform, times: Times) -> Iterator[Line]:
    """Yield what was begun yesterday and failed, beside the average day of the week before."""
    runs = platform[job_runs]
    data, jobs = platform[training.avatar_training_data], platform[training.avatar_fine_tune_jobs]
    uploads = platform[training.avatar_training_files]
    files, made = platform[knowledge.avatar_knowledge_files], platform[media.generated_videos]
    has_failed = sa.and_(runs.c.status.in_(FAILED_RUNS), sa.not_(runs.c.is_dry_run))
    begun: tuple[tuple[str, str, *tuple[tuple[sa.FromClause, Expression, Expression], ...]], ...] = (
        ("runs of jobs", "job history", (runs, runs.c.started_at, has_failed)),
        (
            "trainings",
            "training jobs --status failed",
            *((each, each.c.created_at, each.c.status == "failed") for each in (data, jobs)),
        ),
        (
            "training files",
            "training files --by day",
            (uploads, uploads.c.uploaded_at, uploads.c.processing_status == "failed"),
        ),
        ("knowledge files", "rag files", (files, files.c.uploaded_at, files.c.processing_status == "error")),
        ("videos", "image videos", (made, made.c.created_at, made.c.status == "failed")),
    )
    spans = Span(times.yesterday, times.today), Span(times.week, times.yesterday)
    for what, more, *parts in begun:
        value, before = (
            sum(
                (_count(platform, table, at, is_bad, within(at, span)) for table, at, is_bad in parts),
                sa.literal(0),
            )
            for span in spans
        )
        yield Line("failing", f"{what} failed", value, more, before / sa.literal(7, sa.Numeric))


def _waiting(platform: Platform) -> Iterator[Line]:
    """Yield what waits for an admin."""
    images, made = platform[media.generated_images], platform[avatars.avatars]
    for what, table, more in (
        ("images to moderate", images, "image queue"),
        ("avatars to moderate", made, "avatar queue"),
    ):
        yield Line("waiting", what, _count(platform, table, table.c.id, moderation.waits(table)), more)
    asked = platform[commerce.tier_upgrade_requests]
    value = _count(platform, asked, asked.c.id, asked.c.status == "pending")
    yield Line("waiting", "upgrade requests", value, "tier requests list")


def _late_jobs(platform: Platform, now: datetime, jobs: Doing) -> Expression:
    """Count the jobs without a success for longer than a day."""
    runs = platform[job_runs]
    late = sum((sa.cast(is_late(runs, doing, now), sa.Integer) for doing in jobs.values()), sa.literal(0))
    return platform.known(late, runs.c.status)


def _count(
    platform: Platform,
    table: sa.FromClause,
    of: Expression,
    *conditions: Expression,
    reads: Sequence[sa.ClauseElement] = (),
) -> Expression:
    """Return how many rows fulfil the conditions, which an index may serve; NULL where that is not known."""
    counted = platform.known(sa.func.count(of), *conditions, *reads)
    # One row, also where the figure is no aggregate because it cannot be known.
    one = sa.select(counted).select_from(table).where(*conditions).having(sa.literal_column("true"))
    return one.scalar_subquery()


def count_of(platform: Platform, rows: sa.FromClause) -> Expression:
    """Return how many rows there are; NULL where anything is missing that they are made of."""
    return _count(platform, rows, sa.literal(1), reads=(rows,))
