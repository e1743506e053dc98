"""What waits for a moderator. The columns for it come with the web panel's migrations; the app writes none of them."""

import sqlalchemy as sa

from avatarlab_cli.queries import images
from avatarlab_cli.queries.avatar_list import owner_of
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.admin import admin_users
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.media import generated_images
from avatarlab_cli.schema.supabase import users

WAITING = ("pending", "flagged")
_MARKS = (
    Column("moderation", help="pending, approved, rejected or flagged"),
    Column("reason", help="why it was flagged", null="-"),
)
_OWNER = Column("user_id", Kind.ID, "its owner", wide=True, null="-")


def waits(rows: sa.FromClause) -> Expression:
    """Tell whether a row waits: it is flagged, whatever was decided before, or nobody has decided on it."""
    return sa.or_(rows.c.is_flagged, rows.c.moderation_status.in_(WAITING))


def _unjudged(platform: Platform, own: sa.FromClause) -> tuple[str, ...]:
    # What is missing elsewhere does not keep it from judging.
    return platform.notes(sa.select(own.c.id).where(waits(own)))


def avatar_queue(connection: sa.Connection) -> Report:
    """Report the avatars that wait, those first that wait longest: since they were flagged, or else made."""
    platform = Platform(connection)
    own = platform[avatars]
    unjudged = _unjudged(platform, own)
    owners = platform[users]
    admins, flaggers = platform[admin_users], owners.alias("flaggers")
    select = (
        sa.select(
            own.c.id,
            own.c.name,
            owner_of(own, owners).label("email"),
            own.c.moderation_status.label("moderation"),
            own.c.flagged_reason.label("reason"),
            flaggers.c.email.label("flagged_by"),
            sa.func.coalesce(own.c.flagged_at, own.c.created_at).label("waiting_since"),
            own.c.is_flagged,
            own.c.status,
            own.c.moderation_notes.label("notes"),
            own.c.user_id,
        )
        .select_from(
            own.outerjoin(owners, owners.c.id == own.c.user_id)
            .outerjoin(admins, admins.c.id == own.c.flagged_by)
            .outerjoin(flaggers, flaggers.c.id == admins.c.user_id)
        )
        .where(waits(own))
    )
    return platform.report(
        select,
        (
            Column("id", Kind.ID, "the avatar"),
            Column("name", help="its name"),
            Column("email", help="its owner", null="-"),
            *_MARKS,
            Column("flagged_by", help="the admin who flagged it", wide=True, null="-"),
            Column("waiting_since", Kind.TIME, "when it was flagged, or else made"),
            Column("is_flagged", Kind.BOOLEAN, "whether it is flagged", wide=True),
            Column("status", help="active, archived or deleted", wide=True),
            Column("notes", help="what moderators noted", wide=True, null="-"),
            _OWNER,
        ),
        sort="waiting_since,id",
        unjudged=unjudged,
        empty="No avatar waits.",
    )


def image_queue(connection: sa.Connection) -> Report:
    """Report the images that wait, the oldest first: when one was flagged is not recorded, nor by whom."""
    platform = Platform(connection)
    own = platform[generated_images]
    unjudged = _unjudged(platform, own)
    owners = platform[users]
    select = (
        sa.select(
            own.c.id,
            owners.c.email,
            own.c.moderation_status.label("moderation"),
            own.c.flagged_reason.label("reason"),
            own.c.created_at,
            own.c.is_flagged,
            images.place(own.c.image_url).label("place"),
            sa.func.left(own.c.prompt, images.SHOWN_PROMPT).label("prompt"),
            own.c.user_id,
        )
        .select_from(own.outerjoin(owners, owners.c.id == own.c.user_id))
        .where(waits(own))
    )
    return platform.report(
        select,
        (
            Column("id", Kind.ID, "the image"),
            Column("email", help="its owner", null="-"),
            *_MARKS,
            Column("created_at", Kind.TIME, "when it was made"),
            Column("is_flagged", Kind.BOOLEAN, "whether it is flagged", wide=True),
            Column("place", help="bucket, elsewhere or inline", wide=True),
            Column("prompt", help="what was asked for, or its beginning", wide=True),
            _OWNER,
        ),
        sort="created_at,id",
        notes=("images do not record when they were flagged, nor by whom; `avatarlab audit list` does",),
        unjudged=unjudged,
        empty="No image waits.",
    )
