"""What is known of each of the platform's tables in this database."""

from collections.abc import Iterator

import sqlalchemy as sa

from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema import admin, base
from avatarlab_cli.schema.live import LiveSchema, Relation, probe
from avatarlab_cli.schema.reference import platform_tables

# Above this size the latest event is looked up through an index or not at all.
SCANNED_BYTES = 256 * 1024**2
COLUMNS = (
    Column("area", help="which part of the platform it belongs to"),
    Column("table", Kind.ID, "its name"),
    Column("is_present", Kind.BOOLEAN, "whether this database has it"),
    Column("rows", Kind.INTEGER, "as PostgreSQL estimates them"),
    Column("bytes", Kind.BYTES, "with indexes and TOAST"),
    Column("last_event", Kind.TIME, "the latest row's time"),
    Column("used_for", help="what the toolkit uses it for, or why not"),
)


def describe(connection: sa.Connection) -> list[dict[str, object]]:
    """Return one row a table, by area.

    `last_event` is None for a table without a time, and for a large one whose time no index leads.
    """
    live = probe(connection, sizes=True)
    tables = [*(t for t in platform_tables() if t.schema is None), *_administration()]
    events = _last_events(connection, live, tables)
    return [_row(table, live.relation(table.name), events.get(table.name)) for table in tables]


def _administration() -> Iterator[sa.Table]:
    return (item for item in vars(admin).values() if isinstance(item, sa.Table))


def _row(table: sa.Table, found: Relation | None, last_event: object) -> dict[str, object]:
    return {
        "area": table.info["area"],
        "table": table.name,
        "is_present": found is not None,
        "rows": found and found.estimated_rows,
        "bytes": found and found.total_bytes,
        "last_event": last_event,
        "used_for": table.info["used_for"],
    }


def _last_events(connection: sa.Connection, live: LiveSchema, tables: list[sa.Table]) -> dict[str, object]:
    """Look up the latest time of each table that can answer cheaply, in one statement."""
    latest = [
        sa.select(
            sa.literal(table.name).label("name"), sa.func.max(sa.cast(column, base.TIME)).label("last")
        ).where(sa.func.isfinite(column))
        for table in tables
        if (column := _event_column(live, table)) is not None
    ]
    if not latest:
        return {}
    return {name: last for name, last in connection.execute(sa.union_all(*latest))}  # noqa: C416 (rows are not pairs to mypy)


def _event_column(live: LiveSchema, table: sa.Table) -> sa.Column[object] | None:
    name, found = table.info["event_time"], live.relation(table.name)
    if name is None or found is None or name not in found.columns or not found.is_readable:
        return None
    is_cheap = name in found.indexed or (found.total_bytes or 0) <= SCANNED_BYTES
    return table.c[name] if is_cheap else None
