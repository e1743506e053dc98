"""Deleted avatars, and the day each should be gone: the platform writes it down, and does nothing about it."""

from datetime import datetime

import sqlalchemy as sa

from avatarlab_cli.queries.avatar_list import owner_of
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.commerce import purchases
from avatarlab_cli.schema.supabase import users


def is_due(own: sa.FromClause, before: datetime) -> Expression:
    """Tell whether a deleted avatar's last day comes before that time."""
    return sa.and_(own.c.status == "deleted", own.c.scheduled_hard_delete_at < before)


def due(connection: sa.Connection, now: datetime, until: datetime) -> Report:
    """Report the deleted avatars whose last day comes before `until`; a finding is one that should be gone by now."""
    platform = Platform(connection)
    own = platform[avatars]
    overdue = sa.select(own.c.id).where(is_due(own, now))
    # What is missing elsewhere does not keep it from judging.
    unjudged = platform.notes(overdue)
    owners, sold = platform[users], platform[purchases]
    sales, figures = platform.per(sold.c.avatar_id, own.c.id, purchases=sa.func.count(sold.c.avatar_id))
    select = (
        sa.select(
            own.c.id,
            own.c.name,
            owner_of(own, owners).label("email"),
            own.c.scheduled_hard_delete_at.label("due_at"),
            (own.c.scheduled_hard_delete_at < now).label("is_overdue"),
            figures["purchases"].label("purchases"),
            own.c.deleted_at,
            own.c.deletion_reason.label("reason"),
            own.c.user_id,
        )
        .select_from(
            own.outerjoin(owners, owners.c.id == own.c.user_id).outerjoin(sales, sales.c.by == own.c.id)
        )
        .where(is_due(own, until))
    )
    return platform.report(
        select,
        (
            Column("id", Kind.ID, "the avatar"),
            Column("name", help="its name"),
            Column("email", help="its owner", null="-"),
            Column("due_at", Kind.TIME, "when it should be gone"),
            Column("is_overdue", Kind.BOOLEAN, "whether that is past"),
            Column("purchases", Kind.INTEGER, "purchases of it: with any, the row cannot be deleted"),
            Column("deleted_at", Kind.TIME, "when it was deleted", wide=True, null="-"),
            Column("reason", help="why", wide=True, null="-"),
            Column("user_id", Kind.ID, "its owner", wide=True, null="-"),
        ),
        sort="due_at,id",
        findings=overdue,
        unjudged=unjudged,
        notes=("nothing on the platform ever deletes these rows: the day is only written down",),
        empty="No deleted avatar is due.",
    )
