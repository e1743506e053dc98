"""What limits were made of when a run judged by them last, and room for rows that are updated again and again."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import JSONB, NAMING_CONVENTION

revision = "0014"
down_revision = "0013"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")


def upgrade() -> None:
    """Remember a digest; as long as there is none, the next run judges everybody."""
    ops.adopt(
        sa.Table(
            "rollup_state",
            metadata,
            sa.Column("limits_digest", sa.Text),
            sa.Column("invalid_limits", JSONB),
        )
    )
    # A row updated in the page it lies in needs no new entry in any index.
    ops.run(
        "ALTER TABLE avatarlab_admin.usage_daily SET (fillfactor = 90)",
        "ALTER TABLE public.monthly_usage SET (fillfactor = 85)",
    )
