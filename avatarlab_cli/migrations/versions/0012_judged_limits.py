"""The limits by which stored months were judged last: a run looks only at users whose limits are others now."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import JSONB, NAMING_CONVENTION, TIME

revision = "0012"
down_revision = "0011"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")


def upgrade() -> None:
    """Remember each user's limits; as long as nothing is there, everybody's are others."""
    ops.adopt(
        sa.Table(
            "judged_limits",
            metadata,
            sa.Column("user_id", sa.Uuid, primary_key=True),
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("maximum", JSONB, nullable=False),
            sa.Column("computed_at", TIME, nullable=False, server_default=sa.text("now()")),
        )
    )
