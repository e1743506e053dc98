"""What a report must say of the logs it reads: that rows of its time were pruned."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from operator import and_, ge, gt
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.parts import froms_of, parts_of, tables_of
from avatarlab_cli.schema.logs import PRUNABLE, time_of
from avatarlab_cli.schema.private import pruned_daily


def notes(connection: sa.Connection, select: sa.Select[Any]) -> tuple[str, ...]:
    """Return a sentence for each log a report reads that was pruned in the time it asks for."""
    read = tables_of(select)
    logs = {table.name: table for table in PRUNABLE if table in read}
    # What pruned rows counted for is told where it is kept.
    if pruned_daily in read or not (logs and connection.scalar(_HAS_PRUNED)):
        return ()
    return tuple(
        f"{row.table_name} was pruned: rows before {row.before} are gone, and not counted here"
        for row in connection.execute(_PRUNED, {"names": list(logs)})
        if not _begins_after(select, logs[row.table_name], row.before)
    )


def pruned_before(connection: sa.Connection, table: sa.Table) -> date | None:
    """Return the day before which a log's rows were pruned, None where none were or nobody knows."""
    if not connection.scalar(_HAS_PRUNED):
        return None
    rows = connection.execute(_PRUNED, {"names": [table.name]})
    return next((row.before for row in rows), None)


_HAS_PRUNED = sa.text("""
    SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'avatarlab_admin' AND c.relname = 'pruned'
""")
_PRUNED = sa.text("""
    SELECT table_name, before FROM avatarlab_admin.pruned
    WHERE before IS NOT NULL AND table_name = ANY (:names) ORDER BY table_name
""")


def _begins_after(select: sa.Select[Any], table: sa.Table, before: date) -> bool:
    """Tell whether each part of a statement that reads the log asks only for rows of the day or later."""
    midnight = datetime.combine(before, time(), UTC)
    reading = [
        part
        for part in parts_of(select)
        if isinstance(part, sa.Select)
        and any(found is table for source in froms_of(part) for found in _tables(source))
    ]
    # Of a log that no part has in its FROM as it is, nothing is known.
    return bool(reading) and all(any(since >= midnight for since in _since(part, table)) for part in reading)


def _tables(source: sa.FromClause) -> Iterator[sa.FromClause]:
    if isinstance(source, sa.Join):
        yield from (*_tables(source.left), *_tables(source.right))
    elif isinstance(source, sa.Alias):
        yield source.element
    else:
        yield source


def _since(part: sa.Select[Any], table: sa.Table) -> Iterator[datetime]:
    """Yield the moments before which the part wants no row of the log."""
    for condition in _alone(part._where_criteria):  # noqa: SLF001 (SQLAlchemy has no other way to the parts of a WHERE)
        if isinstance(condition, sa.BinaryExpression) and condition.operator in (ge, gt):
            value = getattr(condition.right, "value", None)
            if time_of(table) in condition.left.base_columns and isinstance(value, datetime):
                yield value


def _alone(conditions: Iterable[sa.ColumnElement[Any]]) -> Iterator[sa.ColumnElement[Any]]:
    """Yield the conditions, those of an AND one by one: each of them must hold."""
    for condition in conditions:
        if isinstance(condition, sa.BooleanClauseList) and condition.operator is and_:
            yield from _alone(condition.clauses)
        else:
            yield condition
