"""What a timer's run is for: no slot is done twice, and a record tells how many transactions are behind it."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import NAMING_CONVENTION, one_of

revision = "0013"
down_revision = "0012"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")

STATES = ("running", "succeeded", "failed", "busy", "interrupted", "crashed", "skipped")


def upgrade() -> None:
    """Let a run end as skipped, and only one run of a timer succeed for each slot."""
    ops.adopt(
        sa.Table(
            "job_runs",
            metadata,
            sa.Column("is_scheduled", sa.Boolean, nullable=False, server_default=sa.false()),
            sa.Column("attempts", sa.Integer),
            sa.Column("transactions", sa.Integer),
        )
    )
    ops.run_if(
        """NOT EXISTS (
            SELECT FROM pg_constraint WHERE conrelid = 'avatarlab_admin.job_runs'::regclass
            AND conname = 'job_runs_status_check' AND pg_get_constraintdef(oid) LIKE '%skipped%'
        )""",
        "ALTER TABLE avatarlab_admin.job_runs DROP CONSTRAINT IF EXISTS job_runs_status_check",
        f"ALTER TABLE avatarlab_admin.job_runs ADD CONSTRAINT job_runs_status_check CHECK ({one_of('status', *STATES).sqltext})",
    )
    ops.run(
        """
        CREATE UNIQUE INDEX IF NOT EXISTS job_runs_job_slot_idx ON avatarlab_admin.job_runs (job, slot)
        WHERE status = 'succeeded' AND is_scheduled
        """
    )
