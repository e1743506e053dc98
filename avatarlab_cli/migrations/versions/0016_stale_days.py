"""Which days of platform_statistics what is stored of usage may have changed under, so that a run computes these alone."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import DATEMULTIRANGE

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import NAMING_CONVENTION

revision = "0016"
down_revision = "0015"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")


def upgrade() -> None:
    """Add the column; of no day is it known that it did not."""
    every = sa.text("'{(,)}'::datemultirange")
    column = sa.Column("stale_days", DATEMULTIRANGE, nullable=False, server_default=every)
    ops.adopt(sa.Table("rollup_state", metadata, column))
