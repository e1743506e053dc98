"""The demo's history of storage: what daily runs would have left, and a job on top of it."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.demo.snapshots import MISSED, write
from avatarlab_cli.rollup import rates
from jobs.registry import BY_NAME
from jobs.runner import Order, execute
from tests.conftest import DEMO_END, created_database
from tests.database.contents import contents, runs
from tests.reference.source import end_of, read_source
from tests.reference.storage import Cell, Ledger, storage_ledger

TODAY = DEMO_END.date()
DAYS = 40
TABLES = ("avatarlab_admin.storage_daily", "avatarlab_admin.database_daily")
SNAPSHOT = BY_NAME["storage-snapshot"]


@pytest.fixture(scope="module")
def demo(server_conninfo: str, demo_template: str) -> Iterator[Database]:
    """The demo platform with its history; no job has run."""
    with created_database(server_conninfo, demo_template) as conninfo:
        database = Database(conninfo)
        with database.write() as connection:
            written = write(connection, DAYS, TODAY)
        assert sorted(written) == sorted(TABLES)
        yield database


def test_each_day_is_what_was_there_by_then(demo: Database) -> None:
    """Every cell equals a count of the objects that had come by the day's end."""
    with demo.engine.connect() as connection:
        for ago in (1, 8, 24, DAYS):
            day = TODAY - timedelta(days=ago)
            found = connection.execute(
                sa.text(
                    "select user_id, kind, bucket, bytes, objects, unsized_objects, orphan_bytes, orphan_objects"
                    " from avatarlab_admin.storage_daily where day = :day and bucket <> '' and not is_interpolated"
                ),
                {"day": day},
            )
            stored: Ledger = {(user, kind, bucket): Cell(*cell) for user, kind, bucket, *cell in found}
            with connection.begin_nested() as savepoint:
                later = sa.text("delete from storage.objects where created_at >= :end")
                connection.execute(later, {"end": end_of(day)})
                assert stored == storage_ledger(read_source(connection))
                savepoint.rollback()
            assert stored


def test_two_days_are_left_out(demo: Database) -> None:
    """All days but two have a snapshot, with their marker, and the sizes of all areas, which never shrink."""
    with demo.engine.connect() as connection:
        marked = "select day from avatarlab_admin.storage_daily where bucket = '' and user_id = :nobody order by day"
        days = connection.scalars(sa.text(marked), {"nobody": "00000000-0000-0000-0000-000000000000"}).all()
        assert days == [TODAY - timedelta(days=ago) for ago in range(DAYS, 0, -1) if ago not in MISSED]
        sizes = (
            "select day, count(*), sum(bytes) from avatarlab_admin.database_daily group by day order by day"
        )
        measured = connection.execute(sa.text(sizes)).all()
        assert [row[0] for row in measured] == days
        assert {row[1] for row in measured} == {15}
        assert 0 < measured[0][2] < measured[-1][2]
        assert [row[2] for row in measured] == sorted(row[2] for row in measured)


def test_the_job_continues_it(server_conninfo: str, demo: Database) -> None:
    """A job's run adds today and the days left out; told again, the history changes nothing of that."""
    name = str(psycopg.conninfo.conninfo_to_dict(demo.conninfo)["dbname"])
    with created_database(server_conninfo, name) as conninfo:
        database = Database(conninfo)
        before = contents(conninfo)
        execute(database, SNAPSHOT, Order(rates.load(), today=TODAY))
        after = contents(conninfo)
        for table in TABLES:
            assert set(before[table]) < set(after[table])
        with database.write() as connection:
            assert set(write(connection, DAYS, TODAY).values()) == {0}
        assert contents(conninfo) == after
        with database.engine.connect() as connection:
            marks = (
                "select distinct day from avatarlab_admin.storage_daily where is_interpolated order by day"
            )
            days = connection.scalars(sa.text(marks)).all()
            assert days == sorted(TODAY - timedelta(days=ago) for ago in MISSED)


def test_a_table_that_is_being_rewritten_holds_up_no_run(demo_conninfo: str) -> None:
    """Where a size cannot be had in time the run succeeds, says so, and a later one measures."""
    database = Database(demo_conninfo, {"lock_timeout": "50ms"})
    with psycopg.connect(demo_conninfo) as holder:
        holder.execute("LOCK TABLE system_logs IN ACCESS EXCLUSIVE MODE")
        execute(database, SNAPSHOT, Order(rates.load(), today=TODAY))
    first = contents(demo_conninfo)
    assert (bool(first["avatarlab_admin.storage_daily"]), first["avatarlab_admin.database_daily"]) == (
        True,
        [],
    )
    assert runs(demo_conninfo)[0]["metrics_skipped"] == {
        "database_bytes": "canceling statement due to lock timeout"
    }
    execute(database, SNAPSHOT, Order(rates.load(), today=TODAY))
    assert len(contents(demo_conninfo)["avatarlab_admin.database_daily"]) == 15
    assert runs(demo_conninfo)[1]["metrics_skipped"] == {}
