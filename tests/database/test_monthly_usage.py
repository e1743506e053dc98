"""The job monthly-usage against the independent reference, over random data and both starting states."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.errors import RefusedError, UsageError
from avatarlab_cli.rollup.metrics import METRICS, SOURCES
from avatarlab_cli.timeframe import Window, month_window
from jobs import monthly_usage
from tests.database.comparing import (
    FIRST,
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
from tests.reference import usage
from tests.reference.generate import Dataset, datasets, insert
from tests.reference.source import read_source

EXAMPLES = examples(8)
SOURCE_TABLES = sorted({source.table.name for source in SOURCES})


def expected_days(connection: sa.Connection) -> dict[Any, Any]:
    return usage.usage_daily(
        read_source(connection), card(), FIRST, TODAY.replace(day=31), storage_known(connection).by_user
    )


def expected_months(connection: sa.Connection) -> dict[Any, Any]:
    known = storage_known(connection)
    months = usage.monthly_usage(
        read_source(connection),
        card(),
        FIRST,
        TODAY,
        TODAY,
        snapshots=known.by_user,
        interpolated=known.interpolated,
    )
    for row in months.values():
        row.pop("definition_version", None)
    return months


def stored_days(connection: sa.Connection) -> dict[Any, Any]:
    rows = stored(connection, "avatarlab_admin.usage_daily", ("user_id", "day"))
    for row in rows.values():
        row["storage_cost"] = None if row["storage_cost"] is None else round(row["storage_cost"], 12)
        for extra in ("is_active", "definition_version", "rate_card_version"):
            del row[extra]
    return rows


def stored_months(connection: sa.Connection) -> dict[Any, Any]:
    rows = stored(connection, "monthly_usage", ("user_id", "usage_month"))
    for row in rows.values():
        assert row.pop("rate_card_version") == task().rates.version
        row.pop("definition_version")
    return rows


def add_user(connection: sa.Connection, email: str = "a@example.com") -> UUID:
    user = uuid4()
    values = {"id": user, "email": email}
    connection.execute(
        sa.text("insert into auth.users (id, email, created_at) values (:id, :email, '2024-01-01')"), values
    )
    return user


def add_avatar(connection: sa.Connection, user: UUID | None, moment: datetime) -> None:
    connection.execute(
        sa.text("insert into avatars (user_id, name, created_at) values (:user, 'A', :moment)"),
        {"user": user, "moment": moment},
    )


@EXAMPLES
@given(data=datasets(TODAY), known_days=st.sets(st.integers(1, TODAY.day - 1)))
def test_job_agrees_with_the_reference(migrated: Database, data: Dataset, known_days: set[int]) -> None:
    """Every user, day, month and column equals what plain Python counts from the same rows."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        users = data.rows["auth.users"]
        record_month(connection, UUID(str(users[0]["id"])) if users else None, known_days)
        monthly_usage.run(connection, task())
        assert differences(stored_days(connection), expected_days(connection)) == []
        assert differences(stored_months(connection), expected_months(connection)) == []


@EXAMPLES
@given(before=datasets(TODAY), gone=st.sampled_from(SOURCE_TABLES))
def test_rows_that_changed_since_are_recomputed(migrated: Database, before: Dataset, gone: str) -> None:
    """After rows vanish or move, a second run leaves what a first one over the new rows would."""
    with rolled_back(migrated) as connection:
        insert(connection, before)
        monthly_usage.run(connection, task())
        drop_temporary_tables(connection)
        if connection.scalar(sa.text("select to_regclass(:name)"), {"name": f"public.{gone}"}):
            connection.execute(sa.text(f"truncate {gone} cascade"))
        moved = (
            "update conversation_feedback set created_at = created_at + interval '1 month', feedback = 'good'"
        )
        connection.execute(sa.text(f"{moved} where created_at < '2025-02-01'"))
        monthly_usage.run(connection, task())
        assert differences(stored_days(connection), expected_days(connection)) == []
        assert differences(stored_months(connection), expected_months(connection)) == []


@EXAMPLES
@given(data=datasets(TODAY), month=st.sampled_from([date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1)]))
def test_month_alone_equals_the_full_run(migrated: Database, data: Dataset, month: date) -> None:
    """A month recomputed alone gets the rows it has in a full run, and no other month any."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        connection.execute(sa.text("delete from monthly_usage"))
        monthly_usage.run(connection, task(window=month_window(month)))
        expected = {key: row for key, row in expected_months(connection).items() if key[1] == month}
        assert differences(stored_months(connection), expected) == []


@pytest.mark.parametrize("gone", SOURCE_TABLES)
def test_missing_table_leaves_its_metrics_unknown(migrated: Database, gone: str) -> None:
    """Without a source its metrics are NULL and named in the result, and all others go on."""
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        connection.execute(sa.text(f"drop table if exists {gone} cascade"))
        if gone != "avatars":
            add_avatar(connection, user, datetime(2025, 3, 1, tzinfo=UTC))
        else:
            connection.execute(
                sa.text(
                    "insert into voice_clones (user_id, name, elevenlabs_voice_id, created_at)"
                    " values (:user, 'V', 'v', '2025-03-01')"
                ),
                {"user": user},
            )
        result = monthly_usage.run(connection, task())
        missing = {m for s in SOURCES if s.table.name == gone for m in s.measures} | {
            m for s in SOURCES if s.via and s.via.target.table.name == gone for m in s.measures
        }
        assert missing <= result.skipped.keys()
        assert all(f"public.{gone}" in result.skipped[metric] for metric in missing)
        day = stored_days(connection)[user, date(2025, 3, 1)]
        assert {metric for metric in METRICS if day[metric] is None} == set(result.skipped) & set(METRICS)
        assert differences(stored_months(connection), expected_months(connection)) == []


@pytest.mark.parametrize(
    ("table", "column", "metric"),
    [
        ("tts_generations", "text", "tts_characters"),
        ("conversation_feedback", "feedback", "feedback_good"),
        ("generated_images", "provider", "image_cost"),
        ("avatar_fine_tune_jobs", "finished_at", "trained_tokens"),
        ("platform_api_keys", "user_id", "api_requests_count"),
    ],
)
def test_missing_column_leaves_its_metric_unknown(
    migrated: Database, table: str, column: str, metric: str
) -> None:
    """A metric that needs a column which is not there is skipped and says which."""
    with rolled_back(migrated) as connection:
        connection.execute(sa.text(f"alter table {table} drop column {column} cascade"))
        result = monthly_usage.run(connection, task())
        assert result.skipped[metric] == f"public.{table}.{column} is missing"


def test_boundaries_to_the_microsecond(migrated: Database) -> None:
    """A row belongs to the day, and the month, in which its microsecond lies, in UTC."""
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        for moment in (
            datetime(2025, 1, 31, 23, 59, 59, 999_999, UTC),
            datetime(2025, 2, 1, tzinfo=UTC),
            datetime(2025, 2, 28, 23, 59, 59, 999_999, UTC),
            datetime(2025, 3, 1, tzinfo=UTC),
        ):
            add_avatar(connection, user, moment)
        connection.execute(sa.text("set local timezone = 'Pacific/Auckland'"))
        monthly_usage.run(connection, task())
        created = {month: row["avatars_created"] for (_, month), row in stored_months(connection).items()}
        assert created == {date(2025, 1, 1): 1, date(2025, 2, 1): 2, date(2025, 3, 1): 1}


def test_rerun_writes_nothing(migrated: Database) -> None:
    """A second run over the same rows leaves every row, and its version in the table, as it was."""
    with rolled_back(migrated) as connection:
        add_avatar(connection, add_user(connection), datetime(2025, 2, 2, tzinfo=UTC))
        assert monthly_usage.run(connection, task()).rows_written > 0
        versions = sa.text("select ctid, xmin::text, cmin::text from monthly_usage")
        before = connection.execute(versions).all()
        drop_temporary_tables(connection)
        assert monthly_usage.run(connection, task()).rows_written == 0
        assert connection.execute(versions).all() == before


def test_undated_rows_are_counted_apart(migrated: Database) -> None:
    """A row without a time is in no day and in the result."""
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        connection.execute(
            sa.text(
                "insert into api_request_logs (user_id, endpoint, method, created_at)"
                " values (:user, '/avatar-chat', 'POST', NULL), (:user, '/avatar-chat', 'POST', '2025-03-02')"
            ),
            {"user": user},
        )
        assert monthly_usage.run(connection, task()).undated == {"api_requests_count": 1}
        assert [row["api_requests_count"] for row in stored_days(connection).values()] == [1]


def test_row_of_the_panel_is_recomputed(migrated: Database) -> None:
    """A figure the web panel seeded is set to what that month really had."""
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        add_avatar(connection, user, datetime(2025, 2, 2, tzinfo=UTC))
        panel_row(connection, user, avatars_created=7)
        monthly_usage.run(connection, task())
        assert stored_months(connection)[user, date(2025, 2, 1)]["avatars_created"] == 1


def test_row_of_the_panel_is_kept_where_it_cannot_be_recomputed(migrated: Database) -> None:
    """Without the source of one of its counters the panel's row stays as it is."""
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        add_avatar(connection, user, datetime(2025, 2, 2, tzinfo=UTC))
        panel_row(connection, user, avatars_created=7)
        connection.execute(sa.text("drop table avatar_training_data cascade"))
        monthly_usage.run(connection, task())
        kept = connection.execute(sa.text("select avatars_created, computed_at from monthly_usage")).all()
        assert kept == [(7, None)]


def panel_row(connection: sa.Connection, user: UUID, *, avatars_created: int) -> None:
    connection.execute(
        sa.text(
            "insert into monthly_usage (user_id, usage_month, avatars_created)"
            " values (:user, '2025-02-01', :created)"
        ),
        {"user": user, "created": avatars_created},
    )


def test_future_and_closed_months_are_refused(migrated: Database) -> None:
    """A month to come cannot be computed, a closed one is final and left out of the default window."""
    with rolled_back(migrated) as connection:
        with pytest.raises(UsageError, match="future"):
            monthly_usage.run(connection, task(window=Window(date(2025, 4, 1), date(2025, 5, 1))))
        connection.execute(
            sa.text("insert into avatarlab_admin.period_close (month, digest) values ('2025-01-01', 'x')")
        )
        with pytest.raises(RefusedError, match="2025-01 is closed"):
            monthly_usage.run(connection, task(window=month_window(date(2025, 1, 1))))
        add_avatar(connection, add_user(connection), datetime(2025, 1, 20, tzinfo=UTC))
        assert monthly_usage.run(connection, task()).window == Window(date(2025, 2, 1), date(2025, 4, 1))
        assert stored_months(connection) == {}


def test_limits_that_are_none_are_reported(migrated: Database) -> None:
    """A limit that is text, negative or of nothing known limits nobody, and the result counts whom it concerns."""
    with rolled_back(migrated) as connection:
        add_user(connection)
        limits = '{"images_generated": "many", "tts_characters": -7, "unheard_of": 3, "storage_bytes": -1}'
        connection.execute(
            sa.text("update subscription_tiers set limits = cast(:limits as jsonb) where name = 'free'"),
            {"limits": limits},
        )
        result = monthly_usage.run(connection, task())
        assert result.details == {
            "invalid_limits": {"images_generated": 1, "tts_characters": 1, "unheard_of": 1}
        }


def test_day_recomputes_its_whole_month(migrated: Database) -> None:
    """Asked for one day, as the first run ever, the job sums a month of which every day is right."""
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        for day in (3, 20):
            add_avatar(connection, user, datetime(2025, 2, day, tzinfo=UTC))
        monthly_usage.run(connection, task(window=Window(date(2025, 2, 20), date(2025, 2, 21))))
        assert stored_months(connection)[user, date(2025, 2, 1)]["avatars_created"] == 2
