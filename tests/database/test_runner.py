"""How a job runs: one lock, one transaction, one true record; nothing is left of a run that failed."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import date, datetime
from importlib import import_module

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.errors import AvatarLabError, BusyError, ConfigurationError, NotPermittedError, Terminated
from avatarlab_cli.report import Report
from avatarlab_cli.rollup import rates
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.timeframe import Window
from jobs import records
from jobs.registry import BY_NAME, COMPUTING, Job
from jobs.result import Result, Task
from jobs.runner import Order, execute
from tests.database.contents import contents, is_anyone_waiting, runs, wait_until
from tests.database.logins import as_role, login
from tests.database.probing import (
    MONTHLY,
    PATIENT,
    PROBE,
    RESULT,
    TODAY,
    Body,
    Probe,
    order,
    under_way,
    write_tier,
)

GONE = "it left no word of its end: the process died, or could not reach the database any more"


@pytest.fixture
def database(migrated_panel_conninfo: str) -> Database:
    """A migrated database without rows."""
    return Database(migrated_panel_conninfo, PATIENT)


def failing(error: BaseException) -> Body:
    def body(connection: sa.Connection, task: Task) -> Result:
        write_tier(connection, task)
        raise error

    return body


def test_the_record_of_a_success(database: Database, probe: Probe) -> None:
    """A run that ends well leaves its changes and a record of who did what, when and with which versions."""
    done = execute(database, probe(write_tier), order())
    (record,) = runs(database.conninfo)
    assert record["id"] == done.run_id
    assert (record["job"], record["status"], record["is_dry_run"]) == ("monthly-usage", "succeeded", False)
    assert (record["window_from"], record["window_to"]) == (RESULT.window.first, RESULT.window.end)
    assert (record["rows_read"], record["rows_written"], record["metrics_skipped"]) == (3, 2, {"a": "why"})
    assert record["covers_outstanding"] is True
    assert record["rate_card_version"] == rates.load().version
    assert str(record["finished_at"]) > str(record["started_at"])
    assert (record["error_class"], record["error_message"]) == (None, None)
    for column in ("host", "pid", "os_user", "version", "definition_version", "server_version"):
        assert record[column], column


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ZeroDivisionError("by zero"), "failed", "by zero"),
        (AvatarLabError("no such thing"), "failed", "no such thing"),
        (BusyError("in use"), "busy", "in use"),
        (KeyboardInterrupt(), "interrupted", "interrupted before its end"),
        (Terminated(), "interrupted", "interrupted before its end"),
    ],
)
def test_the_record_of_a_failure(
    database: Database, probe: Probe, error: BaseException, status: str, message: str
) -> None:
    """However a run ends, the record says so, the error reaches the caller, and no change is kept."""
    before = contents(database.conninfo)
    with pytest.raises(type(error)):
        execute(database, probe(failing(error)), order())
    (record,) = runs(database.conninfo)
    assert (record["status"], record["error_class"], record["error_message"]) == (
        status,
        type(error).__name__,
        message,
    )
    assert record["finished_at"] is not None
    assert contents(database.conninfo) == before


def test_a_failing_statement_is_recorded_in_our_terms(database: Database, probe: Probe) -> None:
    """What the server refuses is recorded without the statement."""

    def body(connection: sa.Connection, _: Task) -> Result:
        connection.execute(sa.text("SELECT 1 / 0 AS secret_statement"))
        return RESULT

    with pytest.raises(AvatarLabError, match="division by zero"):
        execute(database, probe(body), order())
    (record,) = runs(database.conninfo)
    assert record["error_message"] == "the database refused: division by zero"


def test_a_second_run_names_the_first(database: Database, probe: Probe) -> None:
    """While a run is under way the next one ends at once, says who holds the job, and changes nothing."""
    with under_way(database, probe):
        (holder,) = runs(database.conninfo)
        assert holder["status"] == "running"
        with pytest.raises(BusyError, match="another run is in progress: monthly-usage") as refused:
            execute(database, BY_NAME["platform-statistics"], order())
    for part in (f"process {holder['pid']}", f"on {holder['host']}", f"run {holder['id']}"):
        assert part in refused.value.message
    assert [record["status"] for record in runs(database.conninfo)] == ["succeeded", "busy"]


def test_of_two_that_begin_together_each_has_a_true_record(database: Database, probe: Probe) -> None:
    """A run that has announced itself but finds the job taken is recorded as busy, never as crashed."""
    together = threading.Barrier(2, timeout=30)
    ended = threading.Event()

    def body(_: sa.Connection, __: Task) -> Result:
        assert ended.wait(30)
        return RESULT

    job = probe(body)
    announce = records.begin

    def begin(database: Database, job: Job, order: Order, slot: datetime) -> None:
        announce(database, job, order, slot)
        together.wait()

    outcomes: list[str] = []

    def run() -> None:
        try:
            execute(database, job, order())
            outcomes.append("succeeded")
        except BusyError:
            outcomes.append("busy")
            ended.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "begin", begin)
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == ["busy", "succeeded"]
    assert sorted(str(record["status"]) for record in runs(database.conninfo)) == ["busy", "succeeded"]


def test_jobs_of_another_lock_run_beside(database: Database, probe: Probe) -> None:
    """Only jobs that write the same tables wait for one another."""
    with under_way(database, probe):
        other = Job("other", PROBE.module, "", "other", PROBE.schedule)
        probe(write_tier)
        execute(database, other, order())


def test_a_killed_run_is_closed_by_the_next(demo_conninfo: str) -> None:
    """After a SIGKILL nothing is left but a running record, which the next run closes as crashed."""
    before = contents(demo_conninfo)
    variables = {"AVATARLAB_DATABASE_URL": demo_conninfo, "HOME": "/nonexistent", "PATH": "/usr/bin"}
    with psycopg.connect(demo_conninfo) as blocker:
        blocker.execute("LOCK TABLE monthly_usage")
        process = subprocess.Popen([sys.executable, "-m", "jobs.monthly_usage", "--quiet"], env=variables)
        wait_until(lambda: is_anyone_waiting(blocker))
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        blocker.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'avatarlab %'"
        )
    assert contents(demo_conninfo) == before
    assert [record["status"] for record in runs(demo_conninfo)] == ["running"]
    execute(Database(demo_conninfo), MONTHLY, order())
    killed, done = runs(demo_conninfo)
    assert (killed["status"], killed["error_message"]) == ("crashed", GONE)
    assert killed["finished_at"] is not None
    assert (done["status"], done["error_message"]) == ("succeeded", None)


@pytest.mark.parametrize("job", COMPUTING, ids=lambda job: str(job.name))
def test_a_second_run_changes_nothing(demo_conninfo: str, job: Job) -> None:
    """Run again over the same rows, a job writes none: not even the transaction that wrote a row is another."""
    first = execute(Database(demo_conninfo), job, order())
    before = contents(demo_conninfo)
    again = execute(Database(demo_conninfo), job, order())
    assert first.result.rows_written > 0
    assert again.result.rows_written == 0
    assert contents(demo_conninfo) == before
    assert runs(demo_conninfo)[1]["rows_written"] == 0


@pytest.mark.parametrize("job", COMPUTING, ids=lambda job: str(job.name))
def test_a_dry_run_shows_changes_and_keeps_none(demo_conninfo: str, job: Job) -> None:
    """A dry run reports every row it would write and leaves the database as it is, byte for byte."""
    before = contents(demo_conninfo)
    seen: list[sa.RowMapping] = []

    def preview(connection: sa.Connection, _: Result, changes: Report) -> None:
        seen.extend(connection.execute(changes.select).mappings())

    execute(Database(demo_conninfo), job, Order(rates.load(), today=TODAY, preview=preview))
    assert contents(demo_conninfo) == before
    (record,) = runs(demo_conninfo)
    assert (record["status"], record["is_dry_run"]) == ("succeeded", True)

    execute(Database(demo_conninfo), job, order())
    table = qualified(import_module(job.module).TARGET)
    after = contents(demo_conninfo)[table]
    kinds = Counter(row["change"] for row in seen)
    assert kinds["insert"] + kinds["update"] == len(set(after) - set(before[table])) > 0
    assert kinds["insert"] - kinds["delete"] == len(after) - len(before[table])
    assert all(row["before"] != row["after"] for row in seen)


def test_a_database_that_is_not_migrated_is_refused(panel_conninfo: str) -> None:
    """Before the first migration there is nothing to run, and nothing is created."""
    with pytest.raises(ConfigurationError, match="has not been migrated") as refused:
        execute(Database(panel_conninfo), MONTHLY, order())
    assert refused.value.hint == "run: avatarlab db migrate"


def test_a_half_migrated_database_is_refused(database: Database) -> None:
    """A schema between two versions is named, and nothing is written."""
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("UPDATE avatarlab_admin.alembic_version SET version_num = '0003'")
    before = contents(database.conninfo)
    with pytest.raises(ConfigurationError, match="been migrated to 0003 alone"):
        execute(database, MONTHLY, order())
    assert (contents(database.conninfo), runs(database.conninfo)) == (before, [])


GRANTS = (
    "GRANT UPDATE ON avatarlab_admin.rollup_state TO {role}",
    "GRANT USAGE ON SCHEMA public, auth, storage, avatarlab_admin TO {role}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public, auth, storage, avatarlab_admin TO {role}",
    "GRANT INSERT, UPDATE ON avatarlab_admin.job_runs TO {role}",
)


@pytest.mark.parametrize(
    ("options", "revoked", "message"),
    [
        ("BYPASSRLS", (), "permission denied for table"),
        (
            "BYPASSRLS",
            ("REVOKE SELECT ON conversations FROM {role}",),
            "permission denied for public.conversations",
        ),
        ("", (), "row security hides rows"),
    ],
)
def test_a_login_that_lacks_a_right_is_refused(
    demo_conninfo: str, options: str, revoked: tuple[str, ...], message: str
) -> None:
    """Without the right to read all or to write, no figure is written, and the record says why."""
    with login(demo_conninfo, *GRANTS, *revoked, options=options) as role:
        before = contents(demo_conninfo)
        with pytest.raises(NotPermittedError, match=message):
            execute(Database(as_role(demo_conninfo, role)), MONTHLY, order())
        assert contents(demo_conninfo) == before
    (record,) = runs(demo_conninfo)
    assert (record["status"], record["error_class"]) == ("failed", "NotPermittedError")


def test_a_job_sees_one_snapshot_and_its_order(database: Database, probe: Probe) -> None:
    """All statements of a run see the same rows, and the job is told day, window and rates."""
    window = Window(date(2025, 6, 1), date(2025, 6, 2))
    seen: list[object] = []

    def body(connection: sa.Connection, task: Task) -> Result:
        seen.extend([task.today, task.window, task.rates.version])
        seen.append(connection.scalar(sa.text("SHOW transaction_isolation")))
        return RESULT

    execute(database, probe(body), Order(rates.load(), window, TODAY))
    assert seen == [TODAY, window, rates.load().version, "repeatable read"]
    assert [record["covers_outstanding"] for record in runs(database.conninfo)] == [False]


def test_what_all_transactions_of_a_run_did() -> None:
    """Counts add up, lists are joined, and what is said of the whole is what the last transaction says."""
    window = Window(date(2025, 6, 1), date(2025, 7, 1))
    first = {"taken": 20, "months": ["2025-05"], "by_metric": {"a": 1, "b": 2}, "refused": "no"}
    later = {"taken": 1, "months": ["2025-06"], "by_metric": {"b": 3, "c": 4}, "refused": "never", "new": 5}
    both = Result(window, 3, 2, undated={"a": 7}, details=first) + Result(
        window, 4, 1, undated={"a": 8, "b": 1}, details=later
    )
    assert (both.rows_read, both.rows_written, both.undated) == (7, 3, {"a": 8, "b": 1})
    assert both.details == {
        "taken": 21,
        "months": ["2025-05", "2025-06"],
        "by_metric": {"a": 1, "b": 5, "c": 4},
        "refused": "never",
        "new": 5,
    }
