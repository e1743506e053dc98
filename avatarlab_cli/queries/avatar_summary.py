"""The avatars in one row of figures."""

import sqlalchemy as sa

from avatarlab_cli.queries import moderation
from avatarlab_cli.queries.avatar_due import is_due
from avatarlab_cli.queries.platform import Platform, beside, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatar_templates, avatars
from avatarlab_cli.timeframe import Span


def summary(connection: sa.Connection, span: Span) -> Report:
    """Report the avatars as they are, and those made in the time."""
    platform = Platform(connection)
    own, templates = platform[avatars], platform[avatar_templates]
    count = sa.func.count(own.c.id)
    made = platform.row(
        avatars=count,
        active=count.filter(own.c.status == "active"),
        archived=count.filter(own.c.status == "archived"),
        deleted=count.filter(own.c.status == "deleted"),
        without_status=count.filter(own.c.status.is_(None)),
        overdue=count.filter(is_due(own, span.until)),
        created_30d=count.filter(within(own.c.created_at, span)),
        owners=sa.func.count(own.c.user_id.distinct()),
        without_owner=count.filter(own.c.user_id.is_(None)),
        public=count.filter(own.c.is_public),
        marketplace_items=count.filter(own.c.is_marketplace_item),
        fine_tuned=count.filter(own.c.use_fine_tuned_model),
        flagged=count.filter(own.c.is_flagged),
        waiting=count.filter(moderation.waits(own)),
    )
    offered = platform.row(
        templates=sa.func.count(templates.c.id),
        templates_active=sa.func.count(templates.c.id).filter(templates.c.is_active),
    )
    return platform.report(
        beside(made, offered),
        (
            Column("avatars", Kind.INTEGER, "avatars there are, the deleted ones too"),
            Column("active", Kind.INTEGER, "active"),
            Column("archived", Kind.INTEGER, "archived"),
            Column("deleted", Kind.INTEGER, "deleted by their owners; the rows stay"),
            Column("without_status", Kind.INTEGER, "of no status"),
            Column("overdue", Kind.INTEGER, "deleted, and should be gone by now, as `avatar due` lists"),
            Column("created_30d", Kind.INTEGER, "made in the last 30 days"),
            Column("owners", Kind.INTEGER, "users who have any, be it a deleted one"),
            Column(
                "without_owner", Kind.INTEGER, "of nobody, as the marketplace's own are, the deleted ones too"
            ),
            Column("public", Kind.INTEGER, "public, the deleted ones too"),
            Column("marketplace_items", Kind.INTEGER, "for sale, the deleted ones too"),
            Column("fine_tuned", Kind.INTEGER, "answered for by a fine-tuned model, the deleted ones too"),
            Column("flagged", Kind.INTEGER, "flagged, the deleted ones too"),
            Column("waiting", Kind.INTEGER, "that wait for a moderator, as `avatar queue` lists"),
            Column("templates", Kind.INTEGER, "texts for making avatars"),
            Column("templates_active", Kind.INTEGER, "of them, those offered"),
        ),
        single=True,
    )
