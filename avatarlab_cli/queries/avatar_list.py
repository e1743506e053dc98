"""Which avatars there are."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.queries.usage import NOBODY
from avatarlab_cli.queries.users import find_user
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.supabase import users

STATUSES = ("active", "archived", "deleted")


@dataclass(frozen=True)
class Wanted:
    """What the avatars must be; all that is given must hold.

    `status` is one of STATUSES, `user` a name, `search` a part of the avatar's name, case ignored.
    """

    user: str | None = None
    status: str | None = None
    is_flagged: bool = False
    is_public: bool = False
    search: str | None = None


def listing(connection: sa.Connection, wanted: Wanted) -> Report:
    """Report the avatars that are `wanted`; raises UsageError for an unknown status or user, NotFoundError."""
    if wanted.status is not None and wanted.status not in STATUSES:
        raise UsageError(f"{wanted.status!r} is not a status", hint=f"statuses: {', '.join(STATUSES)}")
    platform = Platform(connection)
    own, owners = platform[avatars], platform[users]
    select = (
        sa.select(
            own.c.id,
            own.c.name,
            owner_of(own, owners).label("email"),
            own.c.status,
            own.c.moderation_status.label("moderation"),
            own.c.created_at,
            own.c.is_flagged,
            own.c.is_public,
            own.c.is_marketplace_item,
            own.c.base_model,
            sa.case((own.c.use_fine_tuned_model, own.c.active_fine_tuned_model)).label("fine_tuned_model"),
            own.c.deleted_at,
            own.c.user_id,
        )
        .select_from(own.outerjoin(owners, owners.c.id == own.c.user_id))
        .where(*_conditions(connection, own, wanted))
    )
    return platform.report(
        select,
        (
            Column("id", Kind.ID, "the avatar"),
            Column("name", help="its name"),
            Column("email", help="its owner", null="-"),
            Column("status", help=", ".join(STATUSES)),
            Column("moderation", help="pending, approved, rejected or flagged"),
            Column("created_at", Kind.TIME, "when it was made"),
            Column("is_flagged", Kind.BOOLEAN, "whether it is flagged", wide=True),
            Column("is_public", Kind.BOOLEAN, "whether everybody sees it", wide=True),
            Column("is_marketplace_item", Kind.BOOLEAN, "whether it is for sale", wide=True),
            Column("base_model", help="the model it was made for", wide=True, null="-"),
            Column("fine_tuned_model", help="the model that answers in its place", wide=True, null="-"),
            Column("deleted_at", Kind.TIME, "when it was deleted", wide=True, null="-"),
            Column("user_id", Kind.ID, "its owner", wide=True, null="-"),
        ),
        sort="-created_at,id",
        empty="No avatar fits.",
    )


def owner_of(own: sa.FromClause, owners: sa.FromClause) -> Expression:
    """Return the e-mail address of an avatar's owner; the marketplace's own avatars have none."""
    return sa.case((own.c.user_id.is_(None), NOBODY), else_=owners.c.email)


def _conditions(connection: sa.Connection, own: sa.FromClause, wanted: Wanted) -> Iterator[Expression]:
    if wanted.user is not None:
        yield own.c.user_id == find_user(connection, wanted.user).id
    if wanted.status is not None:
        yield own.c.status == wanted.status
    if wanted.is_flagged:
        yield own.c.is_flagged.is_(True)
    if wanted.is_public:
        yield own.c.is_public.is_(True)
    if wanted.search is not None:
        yield own.c.name.icontains(wanted.search, autoescape=True)
