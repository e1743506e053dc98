"""Images, galleries and videos in one row of figures."""

from datetime import timedelta

import sqlalchemy as sa

from avatarlab_cli.queries import images, moderation, videos
from avatarlab_cli.queries.platform import Platform, beside, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.base import fenced
from avatarlab_cli.schema.media import (
    generated_images,
    generated_videos,
    image_collection_items,
    image_collections,
)
from avatarlab_cli.timeframe import Span

COLUMNS = (
    Column("images", Kind.INTEGER, "images there are"),
    Column("images_30d", Kind.INTEGER, "made in the last 30 days"),
    Column("users", Kind.INTEGER, "users who have any"),
    Column("users_30d", Kind.INTEGER, "users who made any in the last 30 days"),
    Column("in_bucket", Kind.INTEGER, "images in our bucket"),
    Column("elsewhere", Kind.INTEGER, "images at a provider's address, which may expire"),
    Column("inline", Kind.INTEGER, "images in the row itself"),
    Column("inline_bytes", Kind.BYTES, "what those take in the database, before compression"),
    Column("favorites", Kind.INTEGER, "favourites of their users"),
    Column("flagged", Kind.INTEGER, "flagged images"),
    Column("waiting", Kind.INTEGER, "images that wait for a moderator, as `image queue` lists"),
    Column("collections", Kind.INTEGER, "galleries"),
    Column("collected", Kind.INTEGER, "images that are in a gallery"),
    Column("videos", Kind.INTEGER, "videos there are"),
    Column("videos_30d", Kind.INTEGER, "begun in the last 30 days"),
    Column("videos_completed", Kind.INTEGER, "made"),
    Column("videos_failed", Kind.INTEGER, "failed"),
    Column("videos_processing", Kind.INTEGER, "in the making, or never heard of again"),
    Column("videos_other", Kind.INTEGER, "of another status, or none"),
    Column("videos_finished", Kind.INTEGER, "completed or failed"),
    Column("video_success_rate", Kind.PERCENT, "completed of finished"),
    Column("videos_stuck", Kind.INTEGER, f"in the making for over {videos.STUCK_HOURS} hours"),
)


def summary(connection: sa.Connection, span: Span) -> Report:
    """Report all images and videos as they are, and those of the time."""
    platform = Platform(connection)
    select = beside(_images(platform, span), _galleries(platform), _videos(platform, span))
    return platform.report(select, COLUMNS, single=True, notes=(images.ONLY_SUCCESSES,))


def _images(platform: Platform, span: Span) -> sa.Subquery:
    """Return the figures of images: counted by user and place first, as an address takes time to look at."""
    own = platform[generated_images].c
    read = (own.id, own.user_id, own.created_at, own.is_favorite, own.is_flagged, own.moderation_status)
    place, size = images.place(own.image_url), sa.func.octet_length(own.image_url)
    image = fenced(sa.select(*read, place.label("place"), size.label("bytes")), "image")
    count = sa.func.count(image.c.id)
    counts = {
        "images": count,
        "images_30d": count.filter(within(image.c.created_at, span)),
        "favorites": count.filter(image.c.is_favorite),
        "flagged": count.filter(image.c.is_flagged),
        "waiting": count.filter(moderation.waits(image)),
        "bytes": sa.func.sum(image.c.bytes),
    }
    each = (figure.label(name) for name, figure in counts.items())
    part = (
        sa.select(image.c.user_id, image.c.place, *each).group_by(image.c.user_id, image.c.place).subquery().c
    )
    users, number = sa.func.count(part.user_id.distinct()), sa.func.sum(part.images)
    figures = {
        "images": number,
        "images_30d": sa.func.sum(part.images_30d),
        "users": users,
        "users_30d": users.filter(part.images_30d > 0),
        "in_bucket": number.filter(part.place == "bucket"),
        "elsewhere": number.filter(part.place == "elsewhere"),
        "inline": number.filter(part.place == "inline"),
        "inline_bytes": sa.func.sum(part.bytes).filter(part.place == "inline"),
        **{name: sa.func.sum(part[name]) for name in ("favorites", "flagged", "waiting")},
    }
    return platform.row(**{name: sa.func.coalesce(figure, 0) for name, figure in figures.items()})


def _galleries(platform: Platform) -> sa.Subquery:
    galleries, items = platform[image_collections], platform[image_collection_items]
    collected = sa.select(sa.func.count(items.c.image_id.distinct())).scalar_subquery()
    return platform.row(collections=sa.func.count(galleries.c.id), collected=collected)


def _videos(platform: Platform, span: Span) -> sa.Subquery:
    own = platform[generated_videos]
    count, became = sa.func.count(own.c.id), videos.outcomes(own)
    before = span.until - timedelta(hours=videos.STUCK_HOURS)
    ends = ("completed", "failed", "processing", "other", "finished")
    return platform.row(
        videos=count,
        videos_30d=count.filter(within(own.c.created_at, span)),
        **{f"videos_{name}": became[name] for name in ends},
        video_success_rate=became["success_rate"],
        videos_stuck=count.filter(videos.is_stuck(own, before)),
    )
