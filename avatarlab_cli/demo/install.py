"""Building the demo database: the platform's tables and an invented platform in them, or nothing."""

import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.demo.load import load
from avatarlab_cli.demo.rows import Progress
from avatarlab_cli.demo.world import DemoOptions
from avatarlab_cli.errors import RefusedError
from avatarlab_cli.schema.reference import create_reference

_SCHEMAS = ("avatarlab_admin", "auth", "storage", "public")


def install(
    database: Database, options: DemoOptions, *, replace: bool, progress: Progress | None = None
) -> dict[str, int]:
    """Create and fill the demo database in one transaction; returns the rows written by table.

    Raises RefusedError where the database holds a platform already and `replace` does not say to drop it.
    """
    with database.write() as connection:
        if holds_platform(connection):
            if not replace:
                raise RefusedError(
                    "the demo database is loaded already", hint="--replace drops it and loads anew"
                )
            for schema in _SCHEMAS:
                connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        create_reference(connection, options.state)
        written = load(connection, options, progress)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM (ANALYZE)"))
    return written


def holds_platform(connection: sa.Connection) -> bool:
    """Tell whether the platform's tables are there."""
    return bool(connection.scalar(sa.text("SELECT to_regclass('public.avatars') IS NOT NULL")))
