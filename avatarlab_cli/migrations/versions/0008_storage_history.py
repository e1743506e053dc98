"""What was stored on days nobody looked at, told from the days around them; and the size of the database, day by day."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import NAMING_CONVENTION, stamp

revision = "0008"
down_revision = "0007"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)


def upgrade() -> None:
    """Mark interpolated days where they are stored and where they are shown; add the database's own sizes."""
    is_interpolated = sa.Column("is_interpolated", sa.Boolean, nullable=False, server_default=sa.false())
    ops.adopt(sa.Table("storage_daily", metadata, is_interpolated, schema="avatarlab_admin"))
    ops.adopt(_database_daily())
    ops.adopt(sa.Table("monthly_usage", metadata, sa.Column("storage_days_interpolated", sa.Integer)))
    ops.adopt(sa.Table("platform_statistics", metadata, sa.Column("is_storage_interpolated", sa.Boolean)))


def _database_daily() -> sa.Table:
    return sa.Table(
        "database_daily",
        metadata,
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("area", sa.Text, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("is_interpolated", sa.Boolean, nullable=False, server_default=sa.false()),
        stamp("computed_at"),
        schema="avatarlab_admin",
    )
