"""What each month was closed with, every closing there ever was, and by which rate card an adjustment was priced."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import JSONB, NAMING_CONVENTION, TIME, check

revision = "0011"
down_revision = "0010"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")


def upgrade() -> None:
    """Keep closings that were reopened and closed again, and the figures of every closing, apart from the public rows."""
    ops.adopt(_period_history())
    ops.adopt(_period_figures())
    ops.adopt(sa.Table("usage_adjustment", metadata, sa.Column("rate_card_version", sa.Text)))


def _period_history() -> sa.Table:
    first_day = check("month", "extract(day FROM month) = 1")
    return sa.Table(
        "period_history",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("month", sa.Date, first_day, nullable=False),
        sa.Column("closed_at", TIME, nullable=False),
        sa.Column("closed_by", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("reopened_at", TIME, nullable=False),
        sa.Column("reopened_by", sa.Text),
        sa.Column("reopen_reason", sa.Text),
    )


def _period_figures() -> sa.Table:
    return sa.Table(
        "period_figures",
        metadata,
        sa.Column("closing_id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("figures", JSONB, nullable=False),
    )
