"""Every figure of the reports on storage against an independent recount, whatever is stored and named."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.queries import (
    storage,
    storage_history,
    storage_objects,
    storage_orphans,
    storage_tables,
    storage_users,
)
from avatarlab_cli.queries.storage_ledger import Stored
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Report
from avatarlab_cli.rollup import database_size
from avatarlab_cli.rollup.ledger import KINDS
from avatarlab_cli.schema.live import probe
from tests.database.comparing import TODAY, record_snapshot, rolled_back
from tests.examples import examples
from tests.reference import storage_reports as recount
from tests.reference.generate import Dataset, datasets, insert
from tests.reference.source import UNATTRIBUTED, read_source
from tests.reference.storage import stored_objects

EXAMPLES = examples(8)
NOW = datetime.combine(TODAY, datetime.min.time(), UTC) + timedelta(hours=18)
FIGURES = ("objects", "bytes", "unsized_objects", "orphan_objects", "orphan_bytes")
SNAPSHOT = TODAY - timedelta(days=30)


def rows(connection: sa.Connection, report: Report) -> list[Any]:
    """Return the report's rows, of which each has exactly the columns it says."""
    found = connection.execute(report.select).all()
    assert all(set(row._fields) == {column.name for column in report.columns} for row in found)
    return list(found)


def figures(row: Any) -> recount.Figures:  # noqa: ANN401 (a row of any report with these columns)
    """Return the figures of a row."""
    return recount.Figures(*(getattr(row, name) for name in FIGURES))


@EXAMPLES
@given(data=datasets(TODAY))
def test_sums_by_kind_and_bucket(migrated: Database, data: Dataset) -> None:
    """Kinds and buckets, and a user's own, are what a count object by object gives."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        objects = stored_objects(read_source(connection)) or []
        kinds = recount.grouped(objects, lambda stored: stored.kind)
        found = {row.kind: figures(row) for row in rows(connection, storage.summary(connection))}
        del found["training"]
        assert found == {kind: recount.figures(kinds.get(kind, ())) for kind in KINDS}
        buckets = {row.bucket: row for row in rows(connection, storage.buckets(connection))}
        expected = recount.grouped(objects, lambda stored: stored.bucket)
        assert {name: figures(row) for name, row in buckets.items() if row.objects} == {
            bucket: recount.figures(each) for bucket, each in expected.items()
        }
        for user, own in recount.grouped(objects, lambda stored: stored.owner).items():
            if user != UNATTRIBUTED:
                shown = rows(connection, storage_users.user(connection, UserName(user, None)))
                by_bucket = recount.grouped(own, lambda stored: stored.bucket)
                assert {row.bucket: figures(row) for row in shown} == {
                    bucket: recount.figures(each) for bucket, each in by_bucket.items()
                }


@EXAMPLES
@given(data=datasets(TODAY), before=st.one_of(st.none(), st.integers(0, 10**6)))
def test_sums_by_user(migrated: Database, data: Dataset, before: int | None) -> None:
    """Users have what a count gives, and grew by what they have more than the snapshot held, if there is one."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        users = [row["id"] for row in data.rows["auth.users"]]
        held: dict[UUID, int] = {} if before is None else dict.fromkeys(users[:1], before)
        if before is not None:
            record_snapshot(connection, SNAPSHOT, held)
        objects = stored_objects(read_source(connection)) or []
        expected = {}
        for user, own in recount.grouped(objects, lambda stored: stored.owner).items():
            count = recount.figures(own)
            known = before is not None and count.bytes is not None
            growth = (count.bytes or 0) - held.get(user, 0) if known else None
            expected[user] = (count.bytes, count.objects, count.unsized, count.orphan_bytes, growth)
        gone = {user: size for user, size in held.items() if size and user not in expected}
        expected |= {user: (0, 0, 0, 0, -size) for user, size in gone.items()}
        found = rows(connection, storage_users.users(connection, SNAPSHOT))
        assert {
            row.user_id or UNATTRIBUTED: (
                row.bytes,
                row.objects,
                row.unsized_objects,
                row.orphan_bytes,
                row.growth,
            )
            for row in found
        } == expected
        ranked = sorted((row.bytes for row in found if row.user_id and row.bytes is not None), reverse=True)
        assert all(
            row.rank == 1 + ranked.index(row.bytes) for row in found if row.user_id and row.bytes is not None
        )


@EXAMPLES
@given(data=datasets(TODAY), days=st.integers(0, 40))
def test_single_objects(migrated: Database, data: Dataset, days: int) -> None:
    """The largest, the orphans, the rows without an object and the copies are exactly those a count finds."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        source = read_source(connection)
        objects = stored_objects(source) or []
        sized = sorted((stored.size for stored in objects if stored.size is not None), reverse=True)
        shown = rows(connection, storage_objects.top(connection))
        assert sorted((row.bytes for row in shown), reverse=True) == sized
        page = rows(connection, storage_objects.top(connection, rows=2))
        assert sorted((row.bytes for row in page), reverse=True) == sized[:2]
        told = {(row.bucket, row.key): (row.user_id, row.is_orphan) for row in (*shown, *page)}
        assert told == {
            (stored.bucket, stored.key): (
                None if stored.owner == UNATTRIBUTED else stored.owner,
                stored.is_orphan,
            )
            for stored in objects
            if stored.size is not None
        }
        _check_orphans(connection, [stored for stored in objects if stored.is_orphan], days)
        gone = Counter(
            (row.table, row.column, row.bucket, row.key)
            for row in rows(connection, storage_orphans.missing(connection))
        )
        assert gone == recount.missing(source, objects)
        copies = recount.duplicates(objects)
        found = rows(connection, storage_objects.duplicates(connection))
        assert {(row.hash, row.bytes): (row.copies, row.wasted_bytes, row.users) for row in found} == {
            (tag, size): (
                len(each),
                size * (len(each) - 1),
                len({stored.owner for stored in each} - {UNATTRIBUTED}),
            )
            for (tag, size), each in copies.items()
        }
        assert {(row.bucket, row.key) for row in rows(connection, storage_objects.copies(connection))} == {
            (stored.bucket, stored.key) for each in copies.values() for stored in each
        }


def _check_orphans(connection: sa.Connection, lost: list[Any], days: int) -> None:
    found = rows(connection, storage_orphans.orphans(connection, NOW))
    assert {(row.bucket, row.key, row.bytes, row.created_at) for row in found} == {
        (stored.bucket, stored.key, stored.size, stored.created_at) for stored in lost
    }
    moment = NOW - timedelta(days=days)
    older = [stored for stored in lost if stored.created_at is not None and stored.created_at < moment]
    found = rows(connection, storage_orphans.orphans(connection, NOW, before=moment))
    assert {row.key for row in found} == {stored.key for stored in older}
    assert all(row.age_days >= days for row in found)
    expected = recount.grouped(lost, lambda stored: (stored.bucket, _band(stored.created_at)))
    bands = rows(connection, storage_orphans.by_age(connection, NOW))
    assert {(row.bucket, row.from_days): (row.objects, row.bytes, row.unsized_objects) for row in bands} == {
        key: (count.objects, count.bytes, count.unsized)
        for key, count in ((key, recount.figures(each)) for key, each in expected.items())
    }


def _band(created: datetime | None) -> int | None:
    if created is None:
        return None
    return max(days for days in (0, 1, 7, 30, 90, 365) if days == 0 or NOW - created >= timedelta(days=days))


@EXAMPLES
@given(data=datasets(TODAY))
def test_files_as_the_tables_tell_them(migrated: Database, data: Dataset) -> None:
    """Without the objects each file counts once, with the size and the owner its rows tell."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        ledger = Stored(probe(connection), None).ledger()
        found = connection.execute(sa.select(ledger)).all()
        assert {(row.bucket, row.key): (row.user_id, row.bytes) for row in found} == recount.files_in_tables(
            read_source(connection)
        )
        assert len({(row.bucket, row.key) for row in found}) == len(found)
        assert {(row.is_orphan, row.hash) for row in found} <= {(None, None)}


@pytest.mark.parametrize("by", [None, "kind", "bucket"])
def test_growth_by_day(migrated: Database, by: str | None) -> None:
    """A day without a snapshot is unknown, one that was taken has 0 of what it has no row of."""
    user, first = UUID(int=7), date(2025, 3, 1)
    with rolled_back(migrated) as connection:
        record_snapshot(connection, first - timedelta(days=1), {user: 100})
        record_snapshot(connection, first, {user: 250})
        record_snapshot(connection, first + timedelta(days=2), {})
        connection.execute(
            sa.text("update avatarlab_admin.storage_daily set kind = 'images' where bucket = 'avatars'")
        )
        connection.execute(
            sa.text("update avatarlab_admin.storage_daily set is_interpolated = true where day = :day"),
            {"day": first},
        )
        report = storage_history.growth(connection, first, first + timedelta(days=3), by)
        found = rows(connection, report)
        assert report.notes == (
            "without a snapshot: 2 of the days; each run of the jobs takes that of its day",
        )
    name = {None: None, "kind": "images", "bucket": "avatars"}[by]
    own = [row for row in found if by is None or getattr(row, by) == name]
    assert [(row.bytes, row.change, row.is_interpolated) for row in sorted(own)] == [
        (250, 150, True),
        (None, None, None),
        (0, None, False),
        (None, None, None),
    ]
    rest = [row for row in found if row not in own]
    assert {row.bytes for row in rest if row.day == first} == ({0} if by else set())


@pytest.mark.parametrize("by", storage_history.GROUPS)
def test_growth_reads_its_own_days_alone(migrated: Database, by: str) -> None:
    """Wherever the snapshots are read, it is by a condition on the day."""
    with rolled_back(migrated) as connection:
        report = storage_history.growth(connection, TODAY - timedelta(days=2), TODAY, by)
        statement = report.select.compile(connection, compile_kwargs={"literal_binds": True})
        connection.execute(sa.text("set local enable_seqscan = off"))
        plan = connection.execute(sa.text(f"explain {statement}")).scalars().all()
    reads = [number for number, line in enumerate(plan) if "on storage_daily" in line]
    assert len(reads) >= 2
    assert all("Cond: " in plan[number + 1] and "day >=" in plan[number + 1] for number in reads)


def test_growth_by_bucket_adds_up(migrated: Database) -> None:
    """What is in no bucket stands beside the buckets, where there is anything."""
    with rolled_back(migrated) as connection:
        record_snapshot(connection, TODAY, {UUID(int=7): 100})
        connection.execute(sa.text("update avatarlab_admin.storage_daily set objects = 0 where bucket = ''"))
        named = rows(connection, storage_history.growth(connection, TODAY, TODAY, "bucket"))
        assert "" not in {row.bucket for row in named}
        connection.execute(
            sa.text("update avatarlab_admin.storage_daily set bytes = 9, objects = 1 where bucket = ''")
        )
        (whole,) = rows(connection, storage_history.growth(connection, TODAY, TODAY))
        found = rows(connection, storage_history.growth(connection, TODAY, TODAY, "bucket"))
        assert {row.bucket: row.bytes for row in found if row.bytes} == {"": 9, "avatars": 100}
        assert sum(row.bytes for row in found) == whole.bytes == 109
        assert sum(row.objects for row in found) == whole.objects


def test_tables_add_up_to_the_database(migrated: Database) -> None:
    """Tables, TOAST and indexes, the catalogue's included, are all there is but for a few files."""
    with rolled_back(migrated) as connection:
        found = rows(connection, storage_tables.tables(connection))
        whole = connection.scalar(sa.text("select pg_database_size(current_database())"))
        expected = connection.scalar(
            sa.text(
                "select sum(pg_total_relation_size(c.oid)) from pg_class c"
                " where relkind in ('r', 'm', 'S') and not relisshared"
            )
        )
        assert whole is not None
        assert sum(row.bytes for row in found) == expected
        assert 0 <= whole - expected < 2_000_000
        sizes = {row.name: row.bytes for row in found if row.table == "avatars"}
        assert sum(sizes.values()) == connection.scalar(sa.text("select pg_total_relation_size('avatars')"))
        areas = {row.table: row.area for row in found}
        assert (areas["avatars"], areas["storage.objects"], areas["pg_catalog"]) == (
            "Avatars",
            "Supabase",
            "PostgreSQL",
        )
        assert areas["avatarlab_admin.storage_daily"] == "Toolkit"
        assert len({(row.table, row.name, row.type) for row in found}) == len(found)
        training = sum(row.bytes for row in found if row.area == "Training")
        (row,) = (row for row in rows(connection, storage.summary(connection)) if row.kind == "training")
        assert row.bytes == training


def test_a_partition_belongs_to_the_area_of_its_table(migrated: Database) -> None:
    """Its table, its index and its TOAST are of the same area as in the daily record of the database."""
    with rolled_back(migrated) as connection:
        for statement in (
            "drop table system_logs cascade",
            "create table system_logs (id int primary key, message text) partition by range (id)",
            "create table logs_of_march partition of system_logs for values from (0) to (9)",
            "insert into system_logs values (1)",
        ):
            connection.execute(sa.text(statement))
        found = rows(connection, storage_tables.tables(connection))
        assert {row.area for row in found if row.table == "logs_of_march"} == {"System"}
        database_size.measure(connection, TODAY)
        recorded = "select bytes from avatarlab_admin.database_daily where area = 'System'"
        listed = sum(row.bytes for row in found if row.area == "System" and row.type != "sequence")
        assert listed == connection.scalar(sa.text(recorded))


def test_locks_are_looked_at_once(migrated: Database) -> None:
    """However many relations there are, who holds locks is asked one time."""
    with migrated.read() as connection:
        statement = storage_tables.tables(connection).select.compile(
            connection, compile_kwargs={"literal_binds": True}
        )
        raw = connection.exec_driver_sql(f"explain (analyze, format json) {statement}").scalar_one()
    asked = [node for node in _nodes(raw[0]["Plan"]) if node.get("Function Name") == "pg_lock_status"]
    assert [node["Actual Loops"] for node in asked] == [1]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def test_a_table_that_is_being_rewritten_is_not_waited_for(migrated: Database) -> None:
    """Its size, and that of its indexes, is unknown, and everything else is shown."""
    with (
        rolled_back(migrated) as other,
        migrated.read() as connection,
    ):
        other.execute(sa.text("lock table avatars in access exclusive mode"))
        report = storage_tables.tables(connection)
        sizes = {row.name: row.bytes for row in rows(connection, report)}
        assert sizes["avatars"] is None
        assert sizes["profiles"] is not None
        assert "right now" in report.notes[0]
