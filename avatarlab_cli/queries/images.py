"""Generated images: how many, which, where each is; never the image or the whole of its address."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries import grouping
from avatarlab_cli.queries.dimensions import demand
from avatarlab_cli.queries.platform import Expression, Platform, within
from avatarlab_cli.queries.users import find_user
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.media import generated_images
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Span

STATUSES = ("pending", "approved", "rejected", "flagged")
ONLY_SUCCESSES = "only images that were made leave a row: there is no rate of failure to tell"
SHOWN_PROMPT = 200
# As much of an address as tells whose it is.
_BEGINNING = 300
_OURS = "/storage/v1/object/"


def place(url: Expression) -> Expression:
    """Return where an image is: inline (in the row itself), bucket, or elsewhere (an address that may expire)."""
    return sa.case(
        (url.is_(None), sa.null()),
        (sa.func.left(url, 5) == "data:", "inline"),
        (sa.func.strpos(sa.func.left(url, _BEGINNING), _OURS) > 0, "bucket"),
        else_="elsewhere",
    )


def model_of(images: sa.FromClause) -> Expression:
    """Return the model: older rows have it in another column."""
    return sa.func.coalesce(images.c.model, images.c.model_used)


DIMENSIONS = {
    "provider": grouping.text(
        "provider", "the provider, in small letters", lambda rows: sa.func.lower(rows.c.provider)
    ),
    "model": grouping.text("model", "the model", model_of),
    "type": grouping.text("type", "text2img, img2img or inpaint", lambda rows: rows.c.generation_type),
    "user": grouping.USER,
    "day": grouping.day("created_at"),
}


def volume(connection: sa.Connection, span: Span, by: str) -> Report:
    """Report how many images were made in the time, by a dimension; raises UsageError for an unknown one."""
    dimension = DIMENSIONS[demand(by, DIMENSIONS, "images")]
    platform = Platform(connection)
    images = platform[generated_images]
    figures = {
        "images": platform.count(images.c.id),
        "users": grouping.distinct(images.c.user_id, dimension.of(images)),
        "favorites": sa.func.count(images.c.id).filter(images.c.is_favorite),
        "flagged": sa.func.count(images.c.id).filter(images.c.is_flagged),
        "last_image": sa.func.max(images.c.created_at),
    }
    return platform.report(
        grouping.counted(platform, images, dimension, figures, within(images.c.created_at, span)),
        (
            *dimension.columns,
            Column("images", Kind.INTEGER, "images made, and not deleted since", total=True),
            Column("users", Kind.INTEGER, "by how many users", wide=by == "user"),
            Column("favorites", Kind.INTEGER, "of them, favourites of their users", total=True),
            Column("flagged", Kind.INTEGER, "of them, flagged", total=True),
            Column("last_image", Kind.TIME, "the latest"),
        ),
        sort="day" if by == "day" else f"-images,{dimension.columns[-1].name}",
        notes=(ONLY_SUCCESSES,),
        empty="No image was made in that time.",
    )


@dataclass(frozen=True)
class Wanted:
    """What the images must be; all that is given must hold. `moderation` is one of STATUSES, `user` a name."""

    user: str | None = None
    provider: str | None = None
    moderation: str | None = None
    is_flagged: bool = False
    since: datetime | None = None


def listing(connection: sa.Connection, wanted: Wanted) -> Report:
    """Report the images that are `wanted`; raises UsageError for an unknown status or user, NotFoundError."""
    if wanted.moderation is not None and wanted.moderation not in STATUSES:
        raise UsageError(
            f"{wanted.moderation!r} is not a moderation status", hint=f"statuses: {', '.join(STATUSES)}"
        )
    platform = Platform(connection)
    images, owners = platform[generated_images], platform[users]
    select = (
        sa.select(
            images.c.id,
            owners.c.email,
            images.c.provider,
            model_of(images).label("model"),
            images.c.generation_type.label("type"),
            place(images.c.image_url).label("place"),
            images.c.moderation_status.label("moderation"),
            images.c.created_at,
            images.c.is_flagged,
            images.c.flagged_reason,
            images.c.is_favorite,
            images.c.width,
            images.c.height,
            # In bytes it is known without fetching what may be megabytes.
            sa.func.octet_length(images.c.image_url).label("url_bytes"),
            sa.func.left(images.c.prompt, SHOWN_PROMPT).label("prompt"),
            images.c.user_id,
        )
        .select_from(images.outerjoin(owners, owners.c.id == images.c.user_id))
        .where(*_conditions(connection, images, wanted))
    )
    return platform.report(select, _LISTED, sort="-created_at,id", empty="No image fits.")


_LISTED = (
    Column("id", Kind.ID, "the image"),
    Column("email", help="whose", null="-"),
    Column("provider", help="who made it", null="-"),
    Column("model", help="with which model", wide=True, null="-"),
    Column("type", help="text2img, img2img or inpaint", wide=True, null="-"),
    Column("place", help="bucket (ours), elsewhere (an address that may expire), inline (in the row itself)"),
    Column("moderation", help=", ".join(STATUSES), wide=True),
    Column("created_at", Kind.TIME, "when it was made"),
    Column("is_flagged", Kind.BOOLEAN, "whether it is flagged", wide=True),
    Column("flagged_reason", help="why", wide=True, null="-"),
    Column("is_favorite", Kind.BOOLEAN, "whether it is a favourite of its user", wide=True),
    Column("width", Kind.INTEGER, "in pixels", wide=True),
    Column("height", Kind.INTEGER, "in pixels", wide=True),
    Column("url_bytes", Kind.BYTES, "how long its address is; an inline image is its own address", wide=True),
    Column("prompt", help="what was asked for, or its beginning", wide=True),
    Column("user_id", Kind.ID, "the user", wide=True),
)


def _conditions(connection: sa.Connection, images: sa.FromClause, wanted: Wanted) -> Iterator[Expression]:
    if wanted.user is not None:
        yield images.c.user_id == find_user(connection, wanted.user).id
    if wanted.provider is not None:
        yield sa.func.lower(images.c.provider) == wanted.provider.lower()
    if wanted.moderation is not None:
        yield images.c.moderation_status == wanted.moderation
    if wanted.is_flagged:
        yield images.c.is_flagged.is_(True)
    if wanted.since is not None:
        yield images.c.created_at >= wanted.since
