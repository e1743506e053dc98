"""A timer's run does its slot once, however many hosts have the timer, and a run by hand is always done."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.errors import BusyError
from avatarlab_cli.process import Ending
from avatarlab_cli.report import Report
from jobs import records
from jobs.order import Order
from jobs.registry import Job
from jobs.result import Result, Task
from jobs.runner import execute
from jobs.schedule import Schedule
from tests.database.contents import contents, runs
from tests.database.probing import (
    PATIENT,
    RESULT,
    Lines,
    Probe,
    order,
    under_way,
    write_tier,
)

NOW = datetime.now(UTC)
# Half an hour from its slots, no test meets a new one.
SCHEDULE = Schedule((NOW.minute + 30) % 60)
SLOT = SCHEDULE.at_or_before(NOW)


@pytest.fixture
def database(migrated_panel_conninfo: str) -> Database:
    """A migrated database without rows."""
    return Database(migrated_panel_conninfo, PATIENT)


@pytest.fixture
def job(probe: Probe) -> Job:
    """A job that changes something."""
    return replace(probe(write_tier), schedule=SCHEDULE)


def test_a_slot_is_done_once(database: Database, job: Job) -> None:
    """The second run for a slot says by which run it is done, and leaves no trace in the database."""
    done = execute(database, job, order(slot=NOW))
    before, log = contents(database.conninfo), Lines()
    again = execute(database, job, order(slot=NOW + timedelta(seconds=1), log=log))
    assert (done.status, done.slot, done.done_by) == ("succeeded", SLOT, None)
    assert (again.status, again.slot, again.done_by, again.attempts) == ("skipped", SLOT, done.run_id, 0)
    assert (again.record, again.result.rows_written) == (done.run_id, 0)
    assert contents(database.conninfo) == before
    (record,) = runs(database.conninfo)
    assert (record["id"], record["slot"], record["is_scheduled"]) == (done.run_id, SLOT, True)
    ((level, event, values),) = log.lines
    assert (level, event, values["done_by"]) == ("info", "job skipped", str(done.run_id))


def test_each_slot_has_its_run(database: Database, job: Job) -> None:
    """A run that is late does the slot before, and the next one its own."""
    late = execute(database, job, order(slot=NOW - timedelta(minutes=45)))
    own = execute(database, job, order(slot=NOW))
    assert (late.slot, own.slot) == (SLOT - timedelta(hours=1), SLOT)
    assert (late.status, own.status) == ("succeeded", "succeeded")


def test_a_clock_that_is_a_day_off_finds_todays_slot(database: Database, job: Job) -> None:
    """A host whose clock is wrong neither repeats what is done nor does tomorrow's."""
    execute(database, job, order(slot=NOW))
    for day in (-1, 1):
        assert execute(database, job, order(slot=NOW + timedelta(days=day))).status == "skipped"


def test_by_hand_is_no_slot(database: Database, job: Job) -> None:
    """What somebody asks for is done, before a timer's run and after it; its record tells when it began."""
    for slot in (None, NOW, None, None):
        assert execute(database, job, order(slot=slot)).status == "succeeded"
    found = [(record["is_scheduled"], record["slot"] == SLOT) for record in runs(database.conninfo)]
    assert found == [(False, False), (True, True), (False, False), (False, False)]


def test_only_a_success_does_a_slot(database: Database, probe: Probe, job: Job) -> None:
    """A run that failed, was busy, was interrupted or kept nothing leaves the slot to the next."""

    def fail(_: sa.Connection, __: Task) -> Result:
        raise KeyboardInterrupt

    def look(_: sa.Connection, __: Result, ___: Report) -> None:
        pass

    with under_way(database, probe), pytest.raises(BusyError):
        execute(database, job, order(slot=NOW))
    probe(fail)
    with pytest.raises(KeyboardInterrupt):
        execute(database, job, order(slot=NOW))
    probe(write_tier)
    execute(database, job, order(slot=NOW, preview=look))
    assert execute(database, job, order(slot=NOW)).status == "succeeded"
    assert [(record["status"], record["is_scheduled"]) for record in runs(database.conninfo)] == [
        ("succeeded", False),
        ("busy", True),
        ("interrupted", True),
        ("succeeded", False),
        ("succeeded", True),
    ]


def test_of_two_hosts_one_does_it(database: Database, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that had begun before another did its slot sees that under the lock, and ends as skipped."""
    first: list[object] = []
    announce = records.begin

    def begin(database: Database, job: Job, own: Order, slot: datetime) -> None:
        announce(database, job, own, slot)
        if not first:
            first.append(own.run_id)
            first.append(execute(database, job, order(slot=NOW)).run_id)

    monkeypatch.setattr(records, "begin", begin)
    late = execute(database, job, order(slot=NOW))
    assert (late.status, late.done_by, late.result.rows_written) == ("skipped", first[1], 0)
    assert (late.attempts, late.transactions, late.record) == (1, 0, late.run_id)
    found = {record["id"]: record for record in runs(database.conninfo)}
    assert {name: record["status"] for name, record in found.items()} == {
        first[0]: "skipped",
        first[1]: "succeeded",
    }
    assert found[first[0]]["error_message"] == f"run {first[1]} has done this slot"
    assert found[first[0]]["finished_at"] is not None


def test_overtaken_between_two_transactions(
    database: Database, probe: Probe, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that another one overtakes stops at its next transaction; what it did until then is on record."""
    steps: list[int] = []

    def body(connection: sa.Connection, task: Task) -> Result:
        steps.append(task.step)
        if task.step == 1 and len(steps) == 2:
            connection.execute(sa.text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))
        return replace(RESULT, then=task.after() if task.step == 0 else None)

    def rest(_: Ending, __: float) -> None:
        probe(write_tier)
        done.append(execute(database, job, order(slot=NOW)).run_id)

    done: list[object] = []
    monkeypatch.setattr(Ending, "rest", rest)
    probe(body)
    slow = execute(database, job, order(slot=NOW))
    assert (slow.status, slow.done_by, slow.result.rows_written) == ("skipped", done[0], 2)
    by_id = {record["id"]: record for record in runs(database.conninfo)}
    assert (by_id[slow.run_id]["status"], by_id[slow.run_id]["transactions"]) == ("skipped", 1)
    assert by_id[slow.run_id]["rows_written"] == 2
    assert by_id[done[0]]["status"] == "succeeded"


def test_the_database_itself_allows_no_second(database: Database, job: Job) -> None:
    """Whatever writes the records, two of a timer's runs cannot have succeeded for one slot."""
    execute(database, job, order(slot=NOW))
    again = "INSERT INTO avatarlab_admin.job_runs (job, slot, status, is_scheduled) VALUES ('monthly-usage', %s, %s, %s)"
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        for status, is_scheduled in (("failed", True), ("succeeded", False)):
            connection.execute(again, (SLOT, status, is_scheduled))
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(again, (SLOT, "succeeded", True))
