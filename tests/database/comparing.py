"""Both sides of a comparison, read from one database: what a job stored, and what the reference says."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.rollup import rates
from jobs.result import Task
from tests.reference import history, storage
from tests.reference import rates as reference_rates
from tests.reference.source import read_source

TODAY = date(2025, 3, 15)
FIRST = date(2023, 1, 1)
RATES = (Path(__file__).parents[2] / "config" / "rates.yaml").read_text()
Rows = dict[tuple[Any, ...], dict[str, Any]]


def task(today: date = TODAY, **more: Any) -> Task:  # noqa: ANN401 (the rest of Task's fields)
    """Return a run's order with the rates that are shipped."""
    return Task(today, shipped(), **more)


@cache
def shipped() -> rates.RateCard:
    """Return the shipped card, read once: a run's order takes it a thousand times."""
    return rates.load()


@cache
def card() -> list[reference_rates.Rate]:
    """Return the same rates as the reference reads them."""
    return reference_rates.rates_from_yaml(RATES)


@contextmanager
def rolled_back(database: Database) -> Iterator[sa.Connection]:
    """Open a transaction as a job's and leave nothing of it."""
    with database.engine.connect() as connection:
        yield connection
        connection.rollback()


@dataclass(frozen=True)
class Storage:
    """What is known of storage: the cells of each day somebody saw, and of the days between."""

    seen: Mapping[date, storage.Ledger]
    interpolated: Mapping[date, storage.Ledger]

    @property
    def by_user(self) -> dict[date, dict[UUID, int]]:
        """The bytes of each owner and day."""
        days = {**self.interpolated, **self.seen}
        return {day: storage.bytes_by_user(ledger) for day, ledger in days.items()}

    @property
    def by_kind(self) -> dict[date, dict[str, int]]:
        """The bytes of each kind and day."""
        days = {**self.interpolated, **self.seen}
        return {day: storage.bytes_by_kind(ledger) for day, ledger in days.items()}


def storage_known(connection: sa.Connection, today: date = TODAY, first: date = date.min) -> Storage:
    """Return today's storage as the reference counts it, the past days that were seen, and those between.

    Days before `first` are closed: what is interpolated there is nobody's business.
    """
    figures = "bytes, objects, unsized_objects, orphan_bytes, orphan_objects"
    found = connection.execute(
        sa.text(
            f"select day, user_id, kind, bucket, {figures} from avatarlab_admin.storage_daily"
            " where not is_interpolated"
        )
    )
    seen: dict[date, storage.Ledger] = {}
    for day, user, kind, bucket, *values in found:
        seen.setdefault(day, {})[user, kind, bucket] = storage.Cell(*values)
    ledger = storage.storage_ledger(read_source(connection))
    if ledger is not None:
        seen[today] = ledger
    between = history.interpolated(seen, first)
    return Storage(
        seen,
        {day: {key: storage.Cell(*cell) for key, cell in cells.items()} for day, cells in between.items()},
    )


def record_snapshot(connection: sa.Connection, day: date, stored: Mapping[UUID, int]) -> None:
    """Write a past day's snapshot."""
    cells = [{"day": day, "user": user, "bytes": count} for user, count in stored.items()]
    statement = "insert into avatarlab_admin.storage_daily (day, user_id, kind, bucket, bytes, objects)"
    marker = {"day": day, "user": UUID(int=0), "bytes": 0}
    for cell in [marker, *cells]:
        bucket = "" if cell is marker else "avatars"
        values = " values (:day, :user, 'other', :bucket, :bytes, 1)"
        connection.execute(sa.text(statement + values), cell | {"bucket": bucket})


def record_month(
    connection: sa.Connection,
    user: UUID | None,
    days: Iterable[int] = range(1, TODAY.day),
    today: date = TODAY,
) -> None:
    """Write a snapshot of these days of today's month; of every day so far, today left out, unless told."""
    for number in days:
        record_snapshot(
            connection, today.replace(day=number), {} if user is None else {user: 1_000_003 * number}
        )


def stored(connection: sa.Connection, table: str, keys: tuple[str, ...]) -> Rows:
    """Return a table's rows by their key, without the columns that tell of the writing alone."""
    rows = connection.execute(sa.text(f"select * from {table}")).mappings()
    unread = {"id", "created_at", "updated_at", "computed_at", "closed_at", "digest", *keys}
    return {
        tuple(row[key] for key in keys): {
            name: _plain(value) for name, value in row.items() if name not in unread
        }
        for row in rows
    }


def _plain(value: object) -> object:
    """Return JSON's numbers as the reference has them: whole ones as int, others as Decimal."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return Decimal(str(value)) if isinstance(value, float) else value


def differences(actual: Rows, expected: Rows) -> list[str]:
    """Name each cell in which two results differ."""
    found = [f"{key}: only stored" for key in actual.keys() - expected.keys()]
    found += [f"{key}: only expected {expected[key]}" for key in expected.keys() - actual.keys()]
    for key in actual.keys() & expected.keys():
        names = actual[key].keys() | expected[key].keys()
        cells = {name: (actual[key].get(name, "absent"), expected[key].get(name, "absent")) for name in names}
        found += [f"{key} {name}: stored {a!r}, expected {b!r}" for name, (a, b) in cells.items() if a != b]
    return sorted(found)


def drop_temporary_tables(connection: sa.Connection) -> None:
    """Clear the way for a second run in the same transaction."""
    names = connection.scalars(
        sa.text("select relname from pg_class where relnamespace = pg_my_temp_schema() and relkind = 'r'")
    )
    for name in names.all():
        connection.execute(sa.text(f"drop table {name}"))
