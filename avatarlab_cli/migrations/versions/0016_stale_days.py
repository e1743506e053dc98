"""Which days of platform_statistics what is stored of usage may have changed under, so that a run computes these alone.

A repair also leaves what a run believes as it must be: limits that were lost are nobody's last ones, and the jobs' logins may see
again how often a trigger failed, which an earlier revision takes from everybody.
"""

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
    ops.run(
        "UPDATE avatarlab_admin.rollup_state SET limits_digest = NULL"
        " WHERE NOT EXISTS (SELECT FROM avatarlab_admin.judged_limits)"
    )
    ops.run_if(
        "to_regclass('avatarlab_admin.capture_failures') IS NOT NULL",
        "GRANT SELECT ON SEQUENCE avatarlab_admin.capture_failures TO PUBLIC",
    )
