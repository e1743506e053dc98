"""Where the live database differs from what the toolkit expects of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from avatarlab_cli.schema.base import Vector
from avatarlab_cli.schema.live import LiveSchema, Relation

# Only what the toolkit reads of Supabase's own schemas is described, so more columns there mean nothing.
_PARTLY_DESCRIBED = {"auth", "storage"}


class Difference(StrEnum):
    """The ways in which a table can differ."""

    MISSING_TABLE = "missing table"
    MISSING_COLUMN = "missing column"
    EXTRA_COLUMN = "extra column"
    TYPE = "type differs"


@dataclass(frozen=True)
class Drift:
    """One difference; `column`, `expected` and `found` are None where they do not apply."""

    difference: Difference
    table: str
    column: str | None = None
    expected: str | None = None
    found: str | None = None


def drift(live: LiveSchema, tables: Iterable[sa.Table]) -> list[Drift]:
    """List the differences, table by table; what only the web panel brings may be missing without being one."""
    return [item for table in tables for item in _of_table(live, table)]


def type_name(column: sa.Column[object]) -> str:
    """Write a column's type as PostgreSQL's catalogue does."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    compiled = column.type.compile(dialect=dialect).lower()
    return compiled.replace(", ", ",").replace("varchar", "character varying")


def _of_table(live: LiveSchema, table: sa.Table) -> Iterator[Drift]:
    found = live.relation(table.fullname)
    if found is None:
        if not _is_optional(table):
            yield Drift(Difference.MISSING_TABLE, table.fullname)
        return
    for column in table.columns:
        yield from _of_column(found, table, column)
    if table.schema not in _PARTLY_DESCRIBED:
        for name in sorted(found.columns.keys() - table.columns.keys()):
            yield Drift(Difference.EXTRA_COLUMN, table.fullname, name, found=found.columns[name])


def _of_column(found: Relation, table: sa.Table, column: sa.Column[object]) -> Iterator[Drift]:
    actual, expected = found.columns.get(column.name), type_name(column)
    if actual is None:
        if not _is_optional(column):
            yield Drift(Difference.MISSING_COLUMN, table.fullname, column.name, expected)
    elif actual != expected and not (isinstance(column.type, Vector) and _is_embedding(actual, expected)):
        yield Drift(Difference.TYPE, table.fullname, column.name, expected, actual)


def _is_embedding(actual: str, expected: str) -> bool:
    # Supabase installs pgvector in a schema of its own, which the type's name then carries.
    return actual == "real[]" or actual.endswith(f".{expected}")


def _is_optional(item: sa.Table | sa.Column[object]) -> bool:
    return item.info.get("state") == "panel"
