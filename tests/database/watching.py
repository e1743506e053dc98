"""A report that watches the platform, beside the recount of its rows from all rows of all tables."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import functions, visitors

from avatarlab_cli.queries.parts import parts_of
from avatarlab_cli.report import Report
from avatarlab_cli.schema.reference import platform_tables
from avatarlab_cli.timeframe import Span
from tests.conftest import DEMO_END
from tests.database import watched
from tests.reference.source import Row

NOW = DEMO_END
TODAY = NOW.date()
SPAN = Span(datetime.combine(TODAY - timedelta(days=29), time(), UTC), NOW)
"""What the options --since and --until mean when neither is given."""

_SCHEMAS = ("public", "auth", "storage")


@dataclass(frozen=True)
class Tables:
    """Every row of every table there is; of an embedding, only whether it is there."""

    rows: Mapping[str, list[Row]]

    def __getitem__(self, table: str) -> list[Row]:
        """Return a table's rows, none where it is missing; those outside `public` carry their schema's name."""
        return self.rows.get(table, [])

    def has(self, table: str) -> bool:
        """Tell whether the table is there."""
        return table in self.rows

    def emails(self) -> dict[Any, str | None]:
        """Return the e-mail address of each account."""
        return {user["id"]: user["email"] for user in self["auth.users"]}


@dataclass(frozen=True)
class Case:
    """One report with its recount.

    `command` is what shows it. `recount` yields a dict a row, with the report's columns but those in `leaves_out`,
    whose figures something else proves. What it cannot tell an order of is compared in any.
    """

    command: str
    build: Callable[[sa.Connection], Report]
    recount: Callable[[Tables], Iterable[Mapping[str, object]]]
    leaves_out: frozenset[str] = frozenset()
    label: str = ""

    def __str__(self) -> str:
        return f"{self.command} {self.label}".strip()


def cases() -> list[Case]:
    """Return every case of the modules in tests/database/watched."""
    modules = (
        importlib.import_module(f"{watched.__name__}.{module.name}")
        for module in pkgutil.iter_modules(watched.__path__)
    )
    return [case for module in modules for case in module.CASES]


def in_time(rows: Iterable[Row], column: str) -> list[Row]:
    """Return the rows whose time lies in SPAN."""
    return [row for row in rows if row[column] is not None and SPAN.since <= row[column] < SPAN.until]


def read_tables(connection: sa.Connection) -> Tables:
    """Read everything."""
    columns: dict[str, list[str]] = {}
    for schema, table, column, kind in connection.execute(_COLUMNS, {"schemas": list(_SCHEMAS)}):
        name = table if schema == "public" else f"{schema}.{table}"
        quoted = f'"{column}"'
        columns.setdefault(name, []).append(
            f"{quoted} is not null as {quoted}" if kind in {"vector", "_float4"} else quoted
        )
    return Tables(
        {
            table: [
                dict(row)
                for row in connection.execute(sa.text(f"select {', '.join(names)} from {table}")).mappings()
            ]
            for table, names in columns.items()
        }
    )


_COLUMNS = sa.text("""
    select c.table_schema, c.table_name, c.column_name, c.udt_name
    from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = any (:schemas) and t.table_type = 'BASE TABLE'
    order by c.ordinal_position
""")


def shown(connection: sa.Connection, report: Report) -> list[dict[str, object]]:
    """Return the report's rows, of which each has exactly the columns it says."""
    found = connection.execute(report.select).mappings().all()
    names = [column.name for column in report.columns]
    assert all(set(row) == set(names) for row in found)
    return [dict(row) for row in found]


def comparable(rows: Iterable[Mapping[str, object]], names: Iterable[str]) -> list[str]:
    """Return rows as texts that are equal when the values are, in an order of their own."""
    kept = list(names)
    return sorted(repr([(name, _plain(row[name])) for name in kept]) for row in rows)


def _plain(value: object) -> object:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float | int | Decimal):
        return str((round(Decimal(str(value)), 6) + 0).normalize())
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, Mapping):
        return sorted((key, _plain(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if not isinstance(value, date | str) else value


def columns_read(report: Report) -> dict[sa.Table, set[str]]:
    """Return the platform's columns that a report's statement reads, by table."""
    known = set(platform_tables())
    found: dict[sa.Table, set[str]] = {}
    for element in parts_of(report.select):
        if isinstance(element, sa.Table) and element in known:
            found.setdefault(element, set())
        if isinstance(element, sa.Column) and element.table in known:
            found.setdefault(element.table, set()).add(element.name)
    return found


def parents_of(root: sa.ClauseElement) -> Iterator[tuple[sa.Column[Any], visitors.ExternallyTraversible]]:
    """Yield each column of a table in a statement, with what stands directly around it: the function it is given to."""
    elements = list(parts_of(root))
    calls = {id(call.clauses): call for call in elements if isinstance(call, functions.FunctionElement)}
    for element in elements:
        for child in element.get_children():
            if isinstance(child, sa.Column):
                yield child, calls.get(id(element), element)
