"""What was pruned from the logs, and what the rows that went counted for, so that no figure goes with them."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import NAMING_CONVENTION, TIME, identifier, stamp

revision = "0009"
down_revision = "0008"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")

# The logs without children.
TABLES = (
    "api_request_logs",
    "rag_search_logs",
    "avatar_training_logs",
    "conversation_feedback",
    "conversations",
)
METRICS = (
    "conversations_count",
    "chat_messages_count",
    "feedback_good",
    "feedback_bad",
    "api_requests_count",
    "rag_searches_count",
)


def upgrade() -> None:
    """Keep for each log how far it was pruned, and by user and day what was counted in the rows that went."""
    ops.adopt(_pruned())
    ops.adopt(_pruned_daily())
    names = ", ".join(f"({ops.literal(name)})" for name in TABLES)
    ops.run(f"INSERT INTO avatarlab_admin.pruned (table_name) VALUES {names} ON CONFLICT DO NOTHING")


def _pruned() -> sa.Table:
    return sa.Table(
        "pruned",
        metadata,
        identifier(),
        sa.Column("table_name", sa.Text, nullable=False, unique=True),
        sa.Column("before", sa.Date),
        sa.Column("rows", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("pruned_at", TIME),
    )


def _pruned_daily() -> sa.Table:
    zero = sa.text("0")
    return sa.Table(
        "pruned_daily",
        metadata,
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("definition_version", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(metric, sa.BigInteger, nullable=False, server_default=zero) for metric in METRICS),
        stamp("computed_at"),
    )
