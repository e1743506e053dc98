"""Which part of the database each of its relations belongs to."""

import sqlalchemy as sa

from avatarlab_cli.schema import admin, private, supabase
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.reference import platform_tables

TOOLKIT = "Toolkit"
OTHER = "Other"
"""What belongs to no area: PostgreSQL's own catalogues, and tables nobody here knows."""

BY_SCHEMA = {private.SCHEMA: TOOLKIT} | dict.fromkeys(
    (
        *(
            "auth",
            "storage",
            "realtime",
            "_realtime",
            "_analytics",
            "vault",
            "extensions",
            "pgbouncer",
            "cron",
        ),
        *("net", "pgsodium", "graphql", "graphql_public", "supabase_functions", "supabase_migrations"),
    ),
    supabase.AREA,
)
"""The area of every relation of these schemas that `by_table` does not have."""


def by_table() -> dict[str, str]:
    """Return the area of each table that is known by name, with its schema."""
    administration = (item for item in vars(admin).values() if isinstance(item, sa.Table))
    return {qualified(table): table.info["area"] for table in (*platform_tables(), *administration)}
