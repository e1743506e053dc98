"""The avatar or user with the most rows, to ask a report for that one alone."""

from collections import Counter
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from tests.database.watching import Tables

NONE = UUID(int=0)


def busiest(connection: sa.Connection, table: str, column: str = "avatar_id") -> UUID:
    """Return whose rows are the most; nobody's id where there are none, or the table or column is missing."""
    statement = sa.text(f"select {column} from {table} group by 1 order by count(*) desc, 1 limit 1")
    with connection.begin_nested() as step:
        try:
            found = connection.scalar(statement)
        except sa.exc.ProgrammingError:
            step.rollback()
            found = None
    return found or NONE


def busiest_of(tables: Tables, table: str, column: str = "avatar_id") -> Any:  # noqa: ANN401 (a UUID, as read)
    """Return the same from all rows."""
    counts = Counter(row[column] for row in tables[table])
    return min(counts, key=lambda key: (-counts[key], str(key)), default=NONE)
