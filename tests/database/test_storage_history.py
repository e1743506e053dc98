"""What was stored on days no run saw: interpolated, marked, and counted where it is used."""

from collections.abc import Mapping
from datetime import date, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.rollup import database_size
from avatarlab_cli.rollup.history import DATABASE, LONGEST_GAP, STORAGE, fill_gaps
from avatarlab_cli.timeframe import month_window
from jobs import monthly_usage, platform_statistics, storage_snapshot
from tests.database.comparing import (
    TODAY,
    drop_temporary_tables,
    record_snapshot,
    rolled_back,
    storage_known,
    stored,
    task,
)
from tests.database.test_observed_days import add_object, add_subscriber
from tests.examples import examples
from tests.reference.history import interpolated

EXAMPLES = examples(15)
NOBODY = UUID(int=0)
MARKER = (NOBODY, "other", "")
KEYS = [
    (UUID(int=number), kind, bucket)
    for number in (0, 1)
    for kind, bucket in (("images", "avatars"), ("other", "x"))
]
COLUMNS = (
    "day",
    "user_id",
    "kind",
    "bucket",
    "bytes",
    "objects",
    "unsized_objects",
    "orphan_bytes",
    "orphan_objects",
)
Cells = Mapping[tuple[UUID, str, str], tuple[int, ...]]


def with_markers(days: Mapping[date, Cells]) -> dict[date, Cells]:
    """Add to each day the row that marks it, unless it is there."""
    return {day: {MARKER: (0, 0, 0, 0, 0), **cells} for day, cells in days.items()}


_counts = st.integers(0, 5) | st.integers(0, 10**17)
_cells = st.dictionaries(st.sampled_from(KEYS), st.tuples(*[_counts] * 5), max_size=len(KEYS))
seen_days = st.dictionaries(
    st.integers(-3, 130).map(lambda ago: TODAY - timedelta(days=ago)), _cells, max_size=6
).map(with_markers)


def write(connection: sa.Connection, day: date, cells: Cells) -> None:
    """Write a day's snapshot as a run that saw it."""
    connection.execute(sa.text("delete from avatarlab_admin.storage_daily where day = :day"), {"day": day})
    statement = (
        f"insert into avatarlab_admin.storage_daily ({', '.join(COLUMNS)}) values (:{', :'.join(COLUMNS)})"
    )
    rows = [dict(zip(COLUMNS, (day, *key, *figures), strict=True)) for key, figures in cells.items()]
    connection.execute(sa.text(statement), rows)


def read(connection: sa.Connection, *, is_interpolated: bool) -> dict[date, Cells]:
    """Return the days of one sort, whole."""
    statement = (
        f"select {', '.join(COLUMNS)} from avatarlab_admin.storage_daily where is_interpolated = :which"
    )
    days: dict[date, dict[tuple[UUID, str, str], tuple[int, ...]]] = {}
    for day, user, kind, bucket, *figures in connection.execute(
        sa.text(statement), {"which": is_interpolated}
    ):
        days.setdefault(day, {})[user, kind, bucket] = tuple(figures)
    return {**days}


def expected(seen: Mapping[date, Cells], first: date = date.min) -> dict[date, Cells]:
    """Return the days between as the reference has them, each with its marker."""
    return with_markers(interpolated(seen, first))


def fill(connection: sa.Connection, today: date = TODAY) -> int:
    """Fill the gaps as on a day; returns the rows written."""
    drop_temporary_tables(connection)
    return fill_gaps(connection, STORAGE, today)


def close(connection: sa.Connection, month: date) -> None:
    """Close a month."""
    statement = "insert into avatarlab_admin.period_close (month, digest) values (:month, 'x')"
    connection.execute(sa.text(statement), {"month": month})


@EXAMPLES
@given(seen=seen_days, today_after=_cells, is_closed=st.booleans())
def test_days_between_agree_with_the_reference(
    migrated: Database, seen: dict[date, Cells], today_after: Cells, is_closed: bool
) -> None:
    """Each cell of each open day between equals plain Python's; what was seen stays; today's move moves its gap alone."""
    with rolled_back(migrated) as connection:
        first = date(2025, 2, 1) if is_closed else date.min
        if is_closed:
            close(connection, date(2025, 1, 1))
        for day, cells in seen.items():
            write(connection, day, cells)
        fill(connection)
        assert read(connection, is_interpolated=True) == expected(seen, first)
        assert read(connection, is_interpolated=False) == seen
        assert fill(connection) == 0

        moved = seen | {TODAY: {**today_after, MARKER: (0, 0, 0, 0, 0)}}
        write(connection, TODAY, moved[TODAY])
        fill(connection)
        assert read(connection, is_interpolated=True) == expected(moved, first)
        assert fill(connection) == 0


@EXAMPLES
@given(seen=seen_days)
def test_many_runs_equal_one(migrated: Database, seen: dict[date, Cells]) -> None:
    """A run on each day that was seen leaves what one run on the last of them does."""
    with rolled_back(migrated) as connection:
        for day in sorted(seen):
            write(connection, day, seen[day])
            fill(connection, day)
        assert read(connection, is_interpolated=True) == expected(seen)


@pytest.mark.parametrize(
    ("missing", "found"), [(LONGEST_GAP, LONGEST_GAP), (LONGEST_GAP + 1, 0), (1, 1), (0, 0)]
)
def test_a_gap_may_be_too_long(migrated: Database, missing: int, found: int) -> None:
    """A quarter without a snapshot is filled; one day more, and nothing is known."""
    with rolled_back(migrated) as connection:
        for day in (TODAY - timedelta(days=missing + 1), TODAY):
            write(connection, day, {MARKER: (0, 0, 0, 0, 0)})
        fill(connection)
        assert len(read(connection, is_interpolated=True)) == found


def test_a_run_in_a_gap_that_was_filled(migrated: Database) -> None:
    """By a clock that went back a day is seen after all: it is as it was seen, and its neighbours follow it."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        for number in (0, 6):
            record_snapshot(connection, TODAY + timedelta(days=number), {user: 6_000})
        fill(connection, TODAY + timedelta(days=6))
        add_object(connection, f"{user}/a.png", 9)
        drop_temporary_tables(connection)
        late = TODAY + timedelta(days=3)
        storage_snapshot.run(connection, task(late))
        known = storage_known(connection, late)
        assert sorted(known.seen) == [TODAY + timedelta(days=number) for number in (0, 3, 6)]
        assert known.by_user[TODAY + timedelta(days=2)][user] == 2_006
        assert read(connection, is_interpolated=True) == with_markers(known.interpolated)
        drop_temporary_tables(connection)
        assert storage_snapshot.run(connection, task(late)).rows_written == 0


def test_a_month_of_the_past_leaves_no_half_gap(migrated: Database) -> None:
    """A run over February sees nothing of today, and fills a gap that reaches into March to its end."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        add_object(connection, f"{user}/a.png", 9)
        before, after = date(2025, 2, 20), date(2025, 3, 5)
        for day in (before, after):
            record_snapshot(connection, day, {user: 1_000})
        monthly_usage.run(connection, task(window=month_window(date(2025, 2, 1))))
        assert sorted(read(connection, is_interpolated=False)) == [before, after]
        assert len(read(connection, is_interpolated=True)) == (after - before).days - 1
        months = stored(connection, "monthly_usage", ("user_id", "usage_month"))
        assert months[user, date(2025, 2, 1)]["storage_days_interpolated"] == 8


def test_statistics_tell_seen_days_from_interpolated_ones(migrated: Database) -> None:
    """Storage of the platform on a day between is a figure like others, with a mark; before the first it is unknown."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        add_object(connection, f"{user}/a.png", 3_000)
        record_snapshot(connection, TODAY - timedelta(days=2), {user: 1_001})
        platform_statistics.run(connection, task())
        rows = stored(connection, "platform_statistics", ("stat_date",))
        figures = ("storage_bytes", "storage_by_kind", "is_storage_interpolated")
        found = [tuple(rows[TODAY - timedelta(days=ago),][name] for name in figures) for ago in (3, 2, 1, 0)]
        assert found == [
            (None, None, None),
            (1_001, {"other": 1_001}, False),
            (2_001, {"images": 1_500, "other": 501}, True),
            (3_000, {"images": 3_000}, False),
        ]
        drop_temporary_tables(connection)
        assert platform_statistics.run(connection, task()).rows_written == 0


def test_an_object_in_no_bucket(migrated: Database) -> None:
    """An object of nobody's without a bucket stands where a day's marker does, once."""
    with rolled_back(migrated) as connection:
        add_object(connection, "stray", 7)
        connection.execute(sa.text("update storage.objects set bucket_id = null"))
        storage_snapshot.run(connection, task())
        assert read(connection, is_interpolated=False) == {TODAY: {MARKER: (7, 1, 0, 7, 1)}}


def test_what_a_run_says_of_its_snapshot(migrated: Database) -> None:
    """It read as many rows as there are objects, and names the buckets whose orphans it cannot know."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        for number in range(3):
            add_object(connection, f"{user}/{number}.png", 9)
        everything = "update storage.objects set bucket_id = 'voice-samples' where name like '%/0.png'"
        connection.execute(sa.text(everything))
        connection.execute(sa.text("alter table voice_samples drop column file_url"))
        result = storage_snapshot.run(connection, task())
        assert result.rows_read == 3
        assert result.skipped == {"orphans of voice-samples": "public.voice_samples.file_url is missing"}
        lost = "select bucket, orphan_objects from avatarlab_admin.storage_daily where objects > 0"
        counted = {row.bucket: row.orphan_objects for row in connection.execute(sa.text(lost))}
        assert counted.pop("voice-samples") == 0
        assert list(counted.values()) == [2]


def sizes(connection: sa.Connection, day: date = TODAY) -> dict[str, int]:
    """Return the bytes of each area on a day."""
    statement = "select area, bytes from avatarlab_admin.database_daily where day = :day"
    return {row.area: row.bytes for row in connection.execute(sa.text(statement), {"day": day})}


def test_areas_sum_to_the_database(migrated: Database) -> None:
    """Each area has its tables' bytes, a partition its table's area, and what nobody knows is left for the rest."""
    with rolled_back(migrated) as connection:
        for statement in (
            "drop table system_logs cascade",
            "create table system_logs (id int) partition by range (id)",
            "create table logs_of_march partition of system_logs for values from (0) to (9)",
            "insert into system_logs values (1)",
            "create table strangers (id int)",
            "insert into strangers select generate_series(1, 100000)",
        ):
            connection.execute(sa.text(statement))
        storage_snapshot.run(connection, task())
        found = sizes(connection)
        tables = {
            "Conversations": "in ('conversations', 'conversation_feedback', 'conversation_patterns')",
            "System": "in ('system_logs', 'logs_of_march', 'ui_state_cache')",
        }
        for area, names in tables.items():
            measured = (
                "select sum(pg_total_relation_size(oid)) from pg_class where relkind = 'r'"
                f" and relnamespace = 'public'::regnamespace and relname {names}"
            )
            assert found[area] == connection.scalar(sa.text(measured)), area
        whole = connection.execute(sa.text("select pg_database_size(current_database())")).scalar_one()
        assert abs(sum(found.values()) - whole) < 1_000_000
        strangers = connection.execute(sa.text("select pg_total_relation_size('strangers')")).scalar_one()
        assert found["Other"] > strangers > 3_000_000


def test_the_database_is_measured_by_a_days_first_run(migrated: Database) -> None:
    """A second run leaves the day's sizes; a day without a run lies on the line, area by area."""
    with rolled_back(migrated) as connection:
        storage_snapshot.run(connection, task())
        first = sizes(connection)
        connection.execute(sa.text("create table avatarlab_admin.more as select generate_series(1, 400000)"))
        drop_temporary_tables(connection)
        assert storage_snapshot.run(connection, task()).rows_written == 0
        assert sizes(connection) == first
        drop_temporary_tables(connection)
        later = TODAY + timedelta(days=2)
        storage_snapshot.run(connection, task(later))
        last, between = sizes(connection, later), sizes(connection, TODAY + timedelta(days=1))
        assert last["Toolkit"] > first["Toolkit"] + 8_000_000
        assert between == {area: (first[area] + last[area] + 1) // 2 for area in first}
        marks = "select count(*) from avatarlab_admin.database_daily where is_interpolated"
        assert connection.scalar(sa.text(marks)) == len(first)


def test_areas_that_come_and_go(migrated: Database) -> None:
    """An area that one of two days lacks counts as nothing there."""
    with rolled_back(migrated) as connection:
        statement = sa.text(
            "insert into avatarlab_admin.database_daily (day, area, bytes) values (:d, :a, :b)"
        )
        for ago, area, size in ((3, "Voice", 100), (3, "Media", 1), (0, "Media", 2), (0, "API", 10)):
            connection.execute(statement, {"d": TODAY - timedelta(days=ago), "a": area, "b": size})
        assert fill_gaps(connection, DATABASE, TODAY) == 6
        assert sizes(connection, TODAY - timedelta(days=2)) == {"Voice": 67, "Media": 1, "API": 3}
        assert sizes(connection, TODAY - timedelta(days=1)) == {"Voice": 33, "Media": 2, "API": 7}


def test_a_login_that_may_not_measure(migrated: Database) -> None:
    """Without the right to the database's size nothing is written, and the reason is told."""
    with rolled_back(migrated) as connection:
        name = connection.execute(sa.text("select current_database()")).scalar_one()
        for statement in (
            f"revoke connect on database {name} from public",
            "create role measuring",
            "grant usage on schema avatarlab_admin to measuring",
            "grant select on avatarlab_admin.database_daily to measuring",
            f"grant temporary on database {name} to measuring",
            "set local role measuring",
        ):
            connection.execute(sa.text(statement))
        changes, reason = database_size.measure(connection, TODAY)
        assert changes == 0
        assert reason == f"permission denied for database {name}"
        assert sizes(connection) == {}
