"""Setting a table to freshly computed rows: insert what is new, update what differs, delete what vanished."""

import functools
from collections.abc import Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

_STAMP = "computed_at"
_DIALECT = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


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
        given = compiled.params | parameters
        create = f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ON COMMIT DROP AS {compiled}"
        # At once: most of these tables are small, and each answer is waited for.
        cursor.execute(f"{create};\n{_learnt(name, keys, _SAMPLE_OF_FEW)}", given)
        rows = cursor.rowcount
        if cursor.statusmessage == _WAS_THERE:
            made = ", ".join(row[0] for row in cursor.execute(_COLUMNS, [f"pg_temp.{name}"]))
            cursor.execute(f"TRUNCATE {name}")
            rows = cursor.execute(
                f"INSERT INTO {name} SELECT {made} FROM (\n{compiled}\n) AS filled", given
            ).rowcount
            cursor.execute(_learnt(name, keys, _SAMPLE_OF_FEW))
        if rows >= _FEW:
            cursor.execute(_learnt(name, keys, _SAMPLE))
        while cursor.nextset():
            pass
        return _table(name, *(column.name for column in cursor.description or ()))


def _learnt(name: str, keys: Sequence[str], sample: int) -> str:
    """Return the statements that tell the planner of a temporary table, and the caller its columns."""
    of_keys = f" ({', '.join(keys)})" if keys else ""
    return f"""
        SET LOCAL default_statistics_target = {sample}; ANALYZE {name}{of_keys};
        SELECT * FROM {name} LIMIT 0"""


# The planner needs sizes and rough shares alone, and a small sample tells them: 300 rows a unit.
_SAMPLE, _SAMPLE_OF_FEW, _FEW = 10, 1, 20_000


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
) -> int:
    """Make the target's rows inside `window` equal to `fresh`; rows that are equal already are not touched.

    `keys` identify a row; `computed_at` is set to the transaction's time where a row is written. Returns how many rows
    were inserted, updated or deleted.
    """
    return counted(connection, _vanished(target, fresh, keys, window)) + counted(
        connection, _merge(target, fresh, keys)
    )


def counted(connection: sa.Connection, statement: sa.Executable) -> int:
    """Execute a statement that writes, and return how many rows it wrote."""
    rows: int = connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
    return rows


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
