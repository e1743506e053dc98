"""Whether a run was over all that was outstanding: one over a month of long ago says nothing of a timer."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import NAMING_CONVENTION

revision = "0015"
down_revision = "0014"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")


def upgrade() -> None:
    """Add the column; of the runs there are it is not known."""
    ops.adopt(sa.Table("job_runs", metadata, sa.Column("covers_outstanding", sa.Boolean)))
