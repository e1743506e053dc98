"""Collects the rows of all tables and writes them by COPY."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from psycopg import sql

BATCH = 40_000
"""Rows kept in memory before they are written; enough that a COPY's own cost vanishes."""

Progress = Callable[[str, int], None]


class Rows:
    """Rows wait here until a batch is full; then each table's rows go out in one COPY.

    Tables outside `public` are named with their schema; a column that a row leaves out gets its default.
    """

    def __init__(self, connection: sa.Connection, progress: Progress | None = None) -> None:
        self._driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        self._progress = progress
        self._pending: defaultdict[tuple[str, ...], list[Iterable[Any]]] = defaultdict(list)
        self._size = 0
        self.written: defaultdict[str, int] = defaultdict(int)

    def add(self, table: str, /, **columns: object) -> None:
        """Take one row: column name to value."""
        self._pending[table, *columns].append(columns.values())
        self._size += 1
        if self._size >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write everything that waits and report each table's total so far."""
        for (table, *columns), rows in self._pending.items():
            self._copy(table, columns, rows)
            self.written[table] += len(rows)
            if self._progress:
                self._progress(table, self.written[table])
        self._pending.clear()
        self._size = 0

    def _copy(self, table: str, columns: list[str], rows: list[Iterable[Any]]) -> None:
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self._driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(tuple(row))
