"""What was stored on days nobody looked at, the size of the database day by day, and closed months an act can name."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import NAMING_CONVENTION, stamp

revision = "0008"
down_revision = "0007"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)


def upgrade() -> None:
    """Mark interpolated days where they are stored and shown; add the database's own sizes, and an id to closed months."""
    is_interpolated = sa.Column("is_interpolated", sa.Boolean, nullable=False, server_default=sa.false())
    ops.adopt(sa.Table("storage_daily", metadata, is_interpolated, schema="avatarlab_admin"))
    ops.adopt(_database_daily())
    ops.adopt(_period_close())
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


def _period_close() -> sa.Table:
    # The entry of an act names what it was done to by a UUID.
    identifier = sa.Column(
        "id", sa.Uuid, nullable=False, unique=True, server_default=sa.text("gen_random_uuid()")
    )
    return sa.Table("period_close", metadata, identifier, schema="avatarlab_admin")
