"""What changed under the figures: a queue nobody waits at, whose an avatar or key was, and how far the figures are."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import JSONB, NAMING_CONVENTION, check

revision = "0010"
down_revision = "0009"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")


def upgrade() -> None:
    """Let the queue hold a key twice, so that its writers never meet; add the memory of owners and the state."""
    ops.run(
        """
        ALTER TABLE avatarlab_admin.usage_dirty
            DROP CONSTRAINT IF EXISTS usage_dirty_source_day_user_id_key,
            ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY
        """
    )
    ops.adopt(_usage_dirty())
    ops.adopt(_remembered_owner())
    ops.adopt(_rollup_state())
    ops.run("INSERT INTO avatarlab_admin.rollup_state DEFAULT VALUES ON CONFLICT DO NOTHING")


def _usage_dirty() -> sa.Table:
    return sa.Table(
        "usage_dirty",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("via_id", sa.Uuid),
    )


def _remembered_owner() -> sa.Table:
    return sa.Table(
        "remembered_owner",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, primary_key=True),
    )


def _rollup_state() -> sa.Table:
    return sa.Table(
        "rollup_state",
        metadata,
        sa.Column(
            "is_state", sa.Boolean, check("is_state", "is_state"), primary_key=True, server_default=sa.true()
        ),
        sa.Column("run_id", sa.Uuid),
        sa.Column("failures_seen", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("definition_version", sa.Integer),
        sa.Column("rate_card_version", sa.Text),
        sa.Column("skipped", JSONB),
        sa.Column("summed_on", sa.Date),
    )
