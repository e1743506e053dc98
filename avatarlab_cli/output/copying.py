"""Running a SELECT through COPY: rows arrive one by one, in the server's own text form.

A named cursor would be slower: it plans for the first rows, never in parallel, and needs a round trip a batch.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg import sql

from avatarlab_cli.output.machine import Row
from avatarlab_cli.output.options import Format, OutputOptions

if TYPE_CHECKING:
    from psycopg.abc import Buffer


class Statement(NamedTuple):
    """A SELECT in the driver's own terms; `text` has a placeholder for each of `values`."""

    text: str
    values: Mapping[str, Any]


def compiled(select: sa.Select[Any], connection: sa.Connection) -> Statement:
    """Compile for the connection's driver; a list becomes one placeholder an element."""
    dialect = connection.dialect
    compiler = select.compile(dialect=dialect)
    if not isinstance(compiler, sa.sql.compiler.SQLCompiler):
        raise TypeError(f"not a SELECT: {select!r}")
    state = compiler.construct_expanded_state()
    values = dict(state.parameters)
    for name in values.keys() & compiler.binds.keys():
        process = compiler.binds[name].type.dialect_impl(dialect).bind_processor(dialect)
        values[name] = process(values[name]) if process else values[name]
    return Statement(state.statement, values)


def readable(statement: Statement, connection: sa.Connection) -> str:
    """Return the statement as the server gets it, values in place."""
    cursor = psycopg.ClientCursor(_driver_connection(connection))
    return cursor.mogrify(statement.text.encode(), statement.values)


@contextmanager
def rows(statement: Statement, connection: sa.Connection) -> Iterator[Iterator[Row]]:
    """Open the result as rows of texts, None for NULL."""
    with _copy(f"COPY ({statement.text}) TO STDOUT", statement, connection) as copy:
        result = copy.rows()
        yield result
        _drain(result)


@contextmanager
def records(
    statement: Statement, connection: sa.Connection, options: OutputOptions
) -> Iterator[Iterator["Buffer"]]:
    """Open the result as finished CSV or TSV records, one a block, in UTF-8."""
    form = "csv" if options.resolved_format is Format.CSV else "text"
    null = sql.Literal(options.null).as_string(_driver_connection(connection)).replace("%", "%%")
    text = f"COPY ({statement.text}) TO STDOUT (FORMAT {form}, NULL {null}, ENCODING 'UTF8')"
    with _copy(text, statement, connection) as copy:
        blocks = iter(copy)
        yield blocks
        _drain(blocks)


def _copy(text: str, statement: Statement, connection: sa.Connection) -> AbstractContextManager[psycopg.Copy]:
    if not connection.in_transaction():
        # The driver would begin by itself, past SQLAlchemy and what it sets at the beginning.
        connection.begin()
    return _driver_connection(connection).cursor().copy(text.encode(), statement.values)


def _drain(rest: Iterator[object]) -> None:
    # A copy left half read would block the connection's next statement.
    for _ in rest:
        pass


def _driver_connection(connection: sa.Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError(f"reports are copied through psycopg, not {type(driver).__name__}")
    return driver
