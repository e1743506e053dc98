"""Setting a table to freshly computed rows: insert what is new, update what differs, delete what vanished."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

_STAMP = "computed_at"
_DIALECT = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


@dataclass(frozen=True)
class Changes:
    """How many rows of a table were written."""

    written: int
    deleted: int

    def __add__(self, other: "Changes") -> "Changes":
        """Return the sum over two tables or windows."""
        return Changes(self.written + other.written, self.deleted + other.deleted)

    @property
    def total(self) -> int:
        """Rows inserted, updated or deleted."""
        return self.written + self.deleted


Query = sa.Select[Any] | sa.CompoundSelect[Any] | sa.TextClause


def temporary(
    connection: sa.Connection, name: str, query: Query, keys: Sequence[str] = (), /, **parameters: object
) -> sa.Table:
    """Create a temporary table of the query's rows, gone at the transaction's end, and return it.

    CREATE TABLE AS may read its sources in parallel, which an INSERT may not. It takes no parameters from the
    server's side, so psycopg binds them. One of the same name that this transaction made before is emptied and filled
    anew, and must have the same columns: a dropped table's locks stay until the end, and many months would use up the
    server's. With `keys` the planner learns of these columns alone. The returned table knows its columns by name alone.
    """
    compiled = _compiled(query)
    driver_connection = connection.connection.driver_connection
    assert driver_connection is not None  # noqa: S101 (an open connection has one)
    with psycopg.ClientCursor(driver_connection) as cursor:
        # The planner needs sizes and rough shares alone, and a small sample tells them.
        known = (
            "SET LOCAL default_statistics_target = 10",
            f"ANALYZE {name} ({', '.join(keys)})" if keys else f"ANALYZE {name}",
            f"SELECT * FROM {name} LIMIT 0",
        )
        given = compiled.params | parameters
        create = f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ON COMMIT DROP AS {compiled}"
        # At once: most of these tables are small, and each answer is waited for.
        cursor.execute(";\n".join((create, *known)), given)
        if cursor.statusmessage == _WAS_THERE:
            made = ", ".join(row[0] for row in cursor.execute(_COLUMNS, [f"pg_temp.{name}"]))
            fill = f"TRUNCATE {name}; INSERT INTO {name} SELECT {made} FROM (\n{compiled}\n) AS filled"
            cursor.execute(";\n".join((fill, *known)), given)
        while cursor.nextset():
            pass
        return _table(name, *(column.name for column in cursor.description or ()))


# A statement that is made once is compiled once.
@functools.lru_cache(maxsize=64)
def _compiled(query: Query) -> sa.Compiled:
    return query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})


# The same for the same names: whatever is made of it may be kept, and serves the next table of that shape.
@functools.lru_cache(maxsize=64)
def _table(name: str, *columns: str) -> sa.Table:
    kept: list[sa.Column[Any]] = [sa.Column(column) for column in columns]
    return sa.Table(name, sa.MetaData(), *kept)


# What PostgreSQL says where it made none; else it says how many rows it put in.
_WAS_THERE = "CREATE TABLE AS"
_COLUMNS = """
    SELECT quote_ident(attname) FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


def replace(
    connection: sa.Connection,
    target: sa.Table,
    fresh: sa.Table,
    keys: Sequence[str],
    *,
    window: sa.ColumnElement[bool],
) -> Changes:
    """Make the target's rows inside `window` equal to `fresh`; rows that are equal already are not touched.

    `keys` identify a row; `computed_at` is set to the transaction's time where a row is written.
    """
    counting = {"preserve_rowcount": True}
    deleted = connection.execute(_vanished(target, fresh, keys, window), execution_options=counting)
    written = connection.execute(_merge(target, fresh, keys), execution_options=counting)
    return Changes(written.rowcount, deleted.rowcount)


def lacks(
    fresh: sa.Table, target: sa.Table, keys: Sequence[str], among: sa.Select[Any] | sa.CompoundSelect[Any]
) -> sa.ColumnElement[bool]:
    """Return the condition that a row of the target has one of the keys in `among`, which `fresh` lacks.

    A window of few rows: where none of them vanished, as most often, not even they are looked up.
    """
    gone = sa.except_(among, sa.select(*(fresh.c[key] for key in keys)))
    return sa.tuple_(*(target.c[key] for key in keys)).in_(gone)


def _vanished(
    target: sa.Table, fresh: sa.Table, keys: Sequence[str], window: sa.ColumnElement[bool]
) -> sa.Delete:
    """Return the DELETE of the target's rows in the window that `fresh` does not have."""
    same = sa.and_(*(target.c[key] == fresh.c[key] for key in keys))
    return sa.delete(target).where(window, ~sa.exists().select_from(fresh).where(same))


def _merge(target: sa.Table, fresh: sa.Table, keys: Sequence[str]) -> sa.TextClause:
    """Return the statement that writes the rows of `fresh` that are new or differ.

    INSERT ... ON CONFLICT would take a third longer for rows that are new, and lock, and so rewrite, equal ones.
    """
    values = [column.name for column in fresh.c if column.name not in keys]
    return sa.text(f"""
        MERGE INTO {target.fullname} AS old USING {fresh.fullname} AS new
        ON {" AND ".join(f"old.{key} = new.{key}" for key in keys)}
        WHEN MATCHED AND ({_names("old", values)}) IS DISTINCT FROM ({_names("new", values)}) THEN
            UPDATE SET {", ".join(f"{name} = new.{name}" for name in values)}, {_STAMP} = now()
        WHEN NOT MATCHED THEN
            INSERT ({", ".join([*keys, *values, _STAMP])}) VALUES ({_names("new", [*keys, *values])}, now())
    """)


def _names(table: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{table}.{column}" for column in columns)
