"""A platform whose costs are computed, and the books from which the reference recounts them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.output import copying
from avatarlab_cli.report import Report
from jobs import monthly_usage, platform_statistics
from tests.database.comparing import (
    TODAY,
    card,
    drop_temporary_tables,
    record_month,
    storage_known,
    task,
)
from tests.reference.costs import Books
from tests.reference.generate import Dataset, insert
from tests.reference.rates import Rate
from tests.reference.source import read_source
from tests.reference.subscriptions import Price

Rows = list[dict[str, Any]]


def compute(connection: sa.Connection, **more: Any) -> None:  # noqa: ANN401 (the rest of Task's fields)
    """Run both jobs in the open transaction."""
    for job in (monthly_usage, platform_statistics):
        job.run(connection, task(**more))
        drop_temporary_tables(connection)


def arrange(
    connection: sa.Connection, data: Dataset, known_days: set[int], sizes: Mapping[date, int]
) -> None:
    """Write a data set, snapshots of these days of today's month and sizes of the database, and compute all."""
    insert(connection, data)
    users = data.rows["auth.users"]
    record_month(connection, UUID(str(users[0]["id"])) if users else None, known_days)
    record_sizes(connection, sizes)
    compute(connection)


def record_sizes(connection: sa.Connection, sizes: Mapping[date, int]) -> None:
    """Write the bytes of the database on these days, in two areas."""
    statement = sa.text(
        "insert into avatarlab_admin.database_daily (day, area, bytes)"
        " values (:day, 'Other', :bytes / 3), (:day, 'Toolkit', :bytes - :bytes / 3)"
    )
    for day, size in sizes.items():
        connection.execute(statement, {"day": day, "bytes": size})


def books(connection: sa.Connection, today: date = TODAY, rates: Sequence[Rate] | None = None) -> Books:
    """Return what the reference counts from, as it stands in the database."""
    sizes = connection.execute(
        sa.text("select day, sum(bytes) from avatarlab_admin.database_daily group by day")
    )
    history = (
        "select tier_id, valid_from, price_monthly, price_yearly from avatarlab_admin.tier_price_history"
    )
    prices = connection.execute(sa.text(f"{history} where isfinite(valid_from)"))
    return Books(
        read_source(connection),
        card() if rates is None else rates,
        today,
        storage_known(connection, today).by_user,
        {day: int(size) for day, size in sizes},
        [Price(*row) for row in prices],
    )


def shown(connection: sa.Connection, report: Report) -> Rows:
    """Return a report's rows, every one of its columns in them."""
    names = [column.name for column in report.columns]
    rows = [dict(row) for row in connection.execute(report.select).mappings()]
    for row in rows:
        assert row.keys() == set(names)
    # Commands run it another way, which must not make a difference.
    with copying.rows(copying.compiled(report.select, connection), connection) as copied:
        texts = [
            dict(zip(map(str, report.select.selected_columns.keys()), row, strict=True)) for row in copied
        ]
    numbers = [name for name in names if any(isinstance(row[name], int | Decimal) for row in rows)]
    assert Counter(tuple(_number(row[name]) for name in numbers) for row in texts) == Counter(
        tuple(_number(row[name]) for name in numbers) for row in rows
    )
    return rows


def _number(value: object) -> Decimal | str | None:
    flags = {"t": "1", "f": "0", "True": "1", "False": "0"}
    return None if value is None else Decimal(flags.get(str(value), str(value)))
