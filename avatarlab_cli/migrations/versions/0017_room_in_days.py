"""More room in the pages of usage_daily: each run writes a good part of the day's rows again."""

from avatarlab_cli.migrations import ops

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Leave a quarter of each new page free; those that are full stay as they are."""
    ops.run("ALTER TABLE avatarlab_admin.usage_daily SET (fillfactor = 75)")
