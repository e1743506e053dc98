"""The job platform-statistics against the independent reference, over random data and both starting states."""

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.rollup import capture
from avatarlab_cli.schema.live import probe
from avatarlab_cli.timeframe import Window
from jobs import platform_statistics
from tests.database.comparing import (
    TODAY,
    card,
    differences,
    drop_temporary_tables,
    record_month,
    rolled_back,
    storage_known,
    stored,
    task,
)
from tests.examples import examples
from tests.reference import statistics
from tests.reference.generate import Dataset, datasets, insert
from tests.reference.source import read_source
from tests.reference.subscriptions import Price

EXAMPLES = examples(6)
LATEST_DAYS = 12
# Tables of usage on whose rows no other row stands.
LEAVES = ("conversations", "generated_images", "tts_generations", "api_request_logs", "rag_search_logs")


def expected_statistics(connection: sa.Connection, days: list[date]) -> dict[Any, Any]:
    source = read_source(connection)
    history = (
        "select tier_id, valid_from, price_monthly, price_yearly from avatarlab_admin.tier_price_history"
    )
    prices = [Price(*row) for row in connection.execute(sa.text(f"{history} where isfinite(valid_from)"))]
    known = storage_known(connection)
    return {
        (day,): statistics.platform_statistics(
            source,
            card(),
            day,
            snapshots=known.by_user,
            kinds=known.by_kind,
            prices=prices,
            interpolated=known.interpolated,
        )
        for day in days
    }


def stored_statistics(connection: sa.Connection) -> dict[Any, Any]:
    rows = stored(connection, "platform_statistics", ("stat_date",))
    for row in rows.values():
        costs = row["cost_by_kind"].items()
        row["cost_by_kind"] = {kind: None if cost is None else Decimal(str(cost)) for kind, cost in costs}
        for extra in ("is_reconstructed", "revenue_other"):
            del row[extra]
    return rows


def rewrite_prices(connection: sa.Connection, changes: list[int]) -> None:
    """Give every tier a history: a price of its own from so many days before today."""
    connection.execute(sa.text("delete from avatarlab_admin.tier_price_history"))
    for number, days in enumerate(changes, 1):
        connection.execute(
            sa.text(
                "insert into avatarlab_admin.tier_price_history"
                " select id, :moment, 10 * :number, 99.99 * :number from subscription_tiers where name <> 'free'"
                " on conflict do nothing"
            ),
            {"moment": f"{TODAY - timedelta(days=days)} 00:00:00Z", "number": number},
        )


@EXAMPLES
@given(
    data=datasets(TODAY),
    chance=st.randoms(),
    price_changes=st.lists(st.integers(0, 400), max_size=3),
    known_days=st.sets(st.integers(1, TODAY.day - 1)),
)
def test_job_agrees_with_the_reference(
    migrated: Database,
    data: Dataset,
    chance: random.Random,
    price_changes: list[int],
    known_days: set[int],
) -> None:
    """Every column of the latest days, and of days drawn before, equals what plain Python counts."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        if price_changes:
            rewrite_prices(connection, price_changes)
        users = data.rows["auth.users"]
        record_month(connection, UUID(str(users[0]["id"])) if users else None, known_days)
        platform_statistics.run(connection, task())
        assert_agrees(connection, chance, 8)


def assert_agrees(connection: sa.Connection, chance: random.Random, some: int) -> None:
    """The latest days, and so many drawn from all, are as the reference counts them."""
    found = stored_statistics(connection)
    days = sorted(day for (day,) in found)
    chosen = {*days[-LATEST_DAYS:], *chance.sample(days, min(some, len(days)))}
    expected = expected_statistics(connection, sorted(chosen))
    assert differences({key: found[key] for key in expected}, expected) == []


@EXAMPLES
@given(data=datasets(TODAY), chance=st.randoms())
def test_days_that_changed_agree_with_the_reference(
    migrated: Database, data: Dataset, chance: random.Random
) -> None:
    """Where changes are captured, a run after some rows came late and others went leaves what plain Python counts."""
    late = {table: [row for row in data.rows[table] if chance.random() < 0.3] for table in LEAVES}
    with rolled_back(migrated) as connection:
        early = {table: [row for row in data.rows[table] if row not in late[table]] for table in LEAVES}
        insert(connection, replace(data, rows={**data.rows, **early}))
        capture.install(connection, probe(connection))
        platform_statistics.run(connection, task())
        for table in LEAVES:
            going = f"delete from {table} where id in (select id from {table} order by id limit :some)"
            connection.execute(sa.text(going), {"some": chance.randint(0, 1)})
        insert(connection, replace(data, rows=late), LEAVES)
        drop_temporary_tables(connection)
        platform_statistics.run(connection, task())
        assert_agrees(connection, chance, 20)


@EXAMPLES
@given(data=datasets(TODAY), day=st.dates(date(2025, 1, 10), TODAY))
def test_single_day_equals_the_full_run(migrated: Database, data: Dataset, day: date) -> None:
    """A day recomputed alone, as the first run ever, has the figures it has in a full run."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        platform_statistics.run(connection, task(window=Window(day, day + timedelta(days=1))))
        alone = stored_statistics(connection)
        expected = expected_statistics(connection, [key[0] for key in alone])
        assert differences(alone, expected) == []


@EXAMPLES
@given(data=datasets(TODAY))
def test_recurring_revenue_rolls_forward(migrated: Database, data: Dataset) -> None:
    """Each day's ARR is the day before's plus its movements, exactly, in cents."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        platform_statistics.run(connection, task())
        rows = connection.execute(
            sa.text(
                "select arr_cents - lag(arr_cents, 1, arr_cents) over days, round(1200 * (mrr_new"
                " + mrr_reactivation + mrr_expansion - mrr_contraction - mrr_churn)), row_number() over days"
                " from platform_statistics window days as (order by stat_date) order by stat_date"
            )
        )
        assert [row for row in rows if row[2] > 1 and row[0] != row[1]] == []


def insert_account(connection: sa.Connection) -> None:
    row = "(gen_random_uuid(), 'a@example.com', '2025-01-05')"
    connection.execute(sa.text(f"insert into auth.users (id, email, created_at) values {row}"))


def test_rerun_writes_nothing(migrated: Database) -> None:
    """A second run over the same rows finds nothing to write."""
    with rolled_back(migrated) as connection:
        insert_account(connection)
        assert platform_statistics.run(connection, task()).rows_written > 0
        drop_temporary_tables(connection)
        assert platform_statistics.run(connection, task()).rows_written == 0


def test_missing_tables_are_named(migrated: Database) -> None:
    """Without avatars or purchases their figures are 0 and named, and all others go on."""
    with rolled_back(migrated) as connection:
        insert_account(connection)
        connection.execute(sa.text("drop table purchases, avatars cascade"))
        result = platform_statistics.run(connection, task())
        assert {
            "total_avatars",
            "active_avatars",
            "revenue_today",
            "avatars_created",
        } <= result.skipped.keys()
        assert {row["total_users"] for row in stored_statistics(connection).values()} == {1}
