"""Generated videos: what became of them, and which hang; they exist where the web panel has brought their table."""

from datetime import datetime

import sqlalchemy as sa

from avatarlab_cli.queries import grouping
from avatarlab_cli.queries.dimensions import demand
from avatarlab_cli.queries.platform import Expression, Platform, average, share, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.media import generated_videos
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Span

STUCK_HOURS = 24
"""A video is made in minutes, but progress is asked for only while somebody has the gallery open."""

DIMENSIONS = {
    "provider": grouping.text(
        "provider", "the provider, in small letters", lambda rows: sa.func.lower(rows.c.provider)
    ),
    "model": grouping.text("model", "the model", lambda rows: rows.c.model),
    "type": grouping.text("type", "text2vid or img2vid", lambda rows: rows.c.generation_type),
    "user": grouping.USER,
    "day": grouping.day("created_at"),
}


def began(videos: sa.FromClause) -> Expression:
    """Return when the making began, as far as that is known."""
    return sa.func.coalesce(videos.c.created_at, videos.c.updated_at)


def is_stuck(videos: sa.FromClause, before: datetime) -> Expression:
    """Tell whether a video has been in the making since before that time."""
    return sa.and_(videos.c.status == "processing", began(videos) < before)


def outcomes(videos: sa.FromClause) -> dict[str, Expression]:
    """Return how many videos came to which end; finished ones are the completed and the failed."""
    count = sa.func.count(videos.c.id)
    completed, failed = (count.filter(videos.c.status == status) for status in ("completed", "failed"))
    known = videos.c.status.in_(("completed", "failed", "processing"))
    finished = completed + failed
    return {
        "videos": count,
        "completed": completed,
        "failed": failed,
        "processing": count.filter(videos.c.status == "processing"),
        "other": count.filter(sa.or_(videos.c.status.is_(None), sa.not_(known))),
        "finished": finished,
        "success_rate": share(completed, finished),
    }


def outcome(connection: sa.Connection, span: Span, by: str) -> Report:
    """Report what became of the videos begun in the time, by a dimension; raises UsageError for an unknown one."""
    dimension = DIMENSIONS[demand(by, DIMENSIONS, "videos")]
    platform = Platform(connection)
    videos = platform[generated_videos]
    took = sa.extract("epoch", videos.c.completed_at - videos.c.created_at)
    figures = {
        **outcomes(videos),
        "average_seconds": average(took, videos.c.status == "completed"),
    }
    return platform.report(
        grouping.counted(platform, videos, dimension, figures, within(videos.c.created_at, span)),
        (
            *dimension.columns,
            Column("videos", Kind.INTEGER, "videos begun", total=True),
            Column("completed", Kind.INTEGER, "made", total=True),
            Column("failed", Kind.INTEGER, "failed", total=True),
            Column("processing", Kind.INTEGER, "in the making, or never heard of again", total=True),
            Column("other", Kind.INTEGER, "of another status, or none", wide=True, total=True),
            Column("finished", Kind.INTEGER, "completed or failed", wide=True, total=True),
            Column("success_rate", Kind.PERCENT, "completed of finished"),
            Column("average_seconds", Kind.DECIMAL, "how long a completed one took", wide=True),
        ),
        sort="day" if by == "day" else f"-videos,{dimension.columns[-1].name}",
        empty="No video was begun in that time.",
    )


def stuck(connection: sa.Connection, now: datetime, before: datetime) -> Report:
    """Report the videos that have been in the making since before that time."""
    platform = Platform(connection)
    videos = platform[generated_videos]
    unjudged = platform.notes(sa.select(videos.c.id).where(is_stuck(videos, before)))
    owners = platform[users]
    select = (
        sa.select(
            videos.c.id,
            owners.c.email,
            videos.c.provider,
            videos.c.progress,
            began(videos).label("began_at"),
            sa.cast(sa.extract("epoch", now - began(videos)), sa.BigInteger).label("waiting_seconds"),
            videos.c.task_id,
            videos.c.user_id,
        )
        .select_from(videos.outerjoin(owners, owners.c.id == videos.c.user_id))
        .where(is_stuck(videos, before))
    )
    return platform.report(
        select,
        (
            Column("id", Kind.ID, "the video"),
            Column("email", help="whose", null="-"),
            Column("provider", help="who makes it"),
            Column("progress", Kind.INTEGER, "in percent, as last heard"),
            Column("began_at", Kind.TIME, "when it was ordered"),
            Column("waiting_seconds", Kind.INTEGER, "for how long", wide=True),
            Column("task_id", help="what the provider calls it", wide=True),
            Column("user_id", Kind.ID, "the user", wide=True),
        ),
        sort="began_at,id",
        unjudged=unjudged,
        notes=("progress is asked for only while somebody has the video gallery open",),
        empty="No video hangs.",
    )
