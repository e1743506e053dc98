"""How the database compares with what this version expects."""

import sqlalchemy as sa

from avatarlab_cli import migrations
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema import admin, base, private  # noqa: F401 (they put their tables into the metadata)
from avatarlab_cli.schema.drift import drift
from avatarlab_cli.schema.live import LiveSchema, probe

COLUMNS = (
    Column("database", help="which database the login is in"),
    Column("login", help="the role it is in as"),
    Column("server_version", help="of PostgreSQL"),
    Column("sees_all_rows", Kind.BOOLEAN, "whether row security hides nothing from this login"),
    Column("state", help="seed: without the web panel's tables; panel: with them"),
    Column("revision", help="the last migration applied", null="-"),
    Column("pending", Kind.JSON, "migrations still to apply"),
    Column("drift", Kind.JSON, "where tables differ from the expected ones"),
)
_SERVER = sa.text("""
    SELECT current_database() AS database, current_user AS login, current_setting('server_version') AS server_version
""")


def describe(connection: sa.Connection) -> dict[str, object]:
    """Return the one row of `db status`."""
    live = probe(connection)
    status = migrations.status(connection)
    expected = base.metadata.tables.values()
    if not status.is_current:
        # Before the migration its own tables are missing by definition.
        expected = [table for table in expected if live.relation(table.fullname)]  # type: ignore[assignment]
    items = [
        " ".join(filter(None, (item.table, item.column, item.difference, item.found)))
        for item in drift(live, expected)
    ]
    return {
        **connection.execute(_SERVER).mappings().one(),
        "sees_all_rows": not any(relation.is_filtered for relation in live.relations.values()),
        "state": _state(live),
        "revision": status.current,
        "pending": list(status.pending),
        "drift": items,
    }


def _state(live: LiveSchema) -> str:
    if not live.has("avatars"):
        return "not an AvatarLab database"
    return "panel" if live.has("profiles", "account_status") else "seed"
