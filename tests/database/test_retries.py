"""What a run bears and for how long, what it never tries twice, and what its record says when the database goes away."""

import functools
import threading
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.database import ATTEMPTS, Database
from avatarlab_cli.errors import AvatarLabError, BusyError, UnavailableError
from jobs import patience
from jobs.result import Result, Task
from jobs.runner import execute
from tests.database.contents import runs, wait_until
from tests.database.probing import PATIENT, RESULT, Body, Lines, Probe, order, write_tier

AGAIN = "trying again"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def database(migrated_panel_conninfo: str) -> Database:
    """A migrated database without rows, its tiers without avatars."""
    database = Database(migrated_panel_conninfo, PATIENT)
    do(database, "UPDATE subscription_tiers SET max_avatars = 0")
    return database


def first_failing(sqlstate: str, times: int = 1) -> Body:
    """Return a job that fails so often, and then works."""
    left = [times]

    def body(connection: sa.Connection, task: Task) -> Result:
        result = write_tier(connection, task)
        if left[0]:
            left[0] -= 1
            connection.execute(sa.text(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$"))
        return result

    return body


def counting(connection: sa.Connection, task: Task) -> Result:
    """Do in two transactions what shows how often it is done: the first one twice as much."""
    step = "UPDATE subscription_tiers SET max_avatars = max_avatars + :n"
    connection.execute(sa.text(step), {"n": 2 - task.step})
    return replace(RESULT, details={"counted": 2 - task.step}, then=None if task.step else task.after())


def counted(conninfo: str) -> set[int]:
    with psycopg.connect(conninfo) as connection:
        own = "SELECT max_avatars FROM subscription_tiers"
        return {row[0] for row in connection.execute(own)}


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "23505", "57P01", "08006", "25P03"])
def test_what_passes_is_tried_again(database: Database, probe: Probe, sqlstate: str) -> None:
    """A lost race, a lock that did not come and a lost connection cost another attempt, which the record counts."""
    log = Lines()
    done = execute(database, probe(first_failing(sqlstate, 2)), order(log=log))
    (record,) = runs(database.conninfo)
    assert (done.attempts, done.transactions, record["attempts"], record["transactions"]) == (3, 1, 3, 1)
    assert (record["status"], record["error_class"]) == ("succeeded", None)
    assert log.events() == [AGAIN, AGAIN, "job succeeded"]
    assert {values["run"] for _, _, values in log.lines} == {str(done.run_id)}


@pytest.mark.parametrize("sqlstate", ["22012", "42P01", "42501", "57014", "53100", "25006"])
def test_what_does_not_pass_is_not(database: Database, probe: Probe, sqlstate: str) -> None:
    """A fault, a right or a table that is missing, and a statement that takes too long would be the same again."""
    log = Lines()
    with pytest.raises(AvatarLabError):
        execute(database, probe(first_failing(sqlstate)), order(log=log))
    (record,) = runs(database.conninfo)
    assert (record["attempts"], record["status"], log.events()) == (1, "failed", ["job failed"])


def test_patience_has_an_end(database: Database, probe: Probe) -> None:
    """A race lost again and again is busy once the time is up: it may succeed later."""
    with pytest.raises(BusyError):
        execute(database, probe(first_failing("40P01", 10**6)), order(retry_seconds=3))
    (record,) = runs(database.conninfo)
    assert (record["status"], int(str(record["attempts"])) > 2) == ("busy", True)


def test_without_patience_nothing_is_tried_again(database: Database, probe: Probe) -> None:
    """A budget of nothing is one attempt."""
    with pytest.raises(BusyError):
        execute(database, probe(first_failing("40001")), order(retry_seconds=0))
    assert [record["attempts"] for record in runs(database.conninfo)] == [1]


def test_a_row_that_stays_in_the_way_is_a_fault(database: Database, probe: Probe) -> None:
    """A key that is taken at every attempt is no race, and ends the run long before its time is up."""
    with pytest.raises(AvatarLabError):
        execute(database, probe(first_failing("23505", 10**6)), order(retry_seconds=60))
    assert [record["attempts"] for record in runs(database.conninfo)] == [ATTEMPTS]


def test_a_dropped_connection_costs_an_attempt(database: Database, probe: Probe) -> None:
    """A session that an administrator ends in the middle is begun anew; what it had done is done once."""
    ended: list[bool] = []

    def body(connection: sa.Connection, task: Task) -> Result:
        result = counting(connection, task)
        if not ended:
            ended.append(True)
            with psycopg.connect(database.conninfo, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(%s, 5000)",
                    [connection.scalar(sa.text("SELECT pg_backend_pid()"))],
                )
            connection.execute(sa.text("SELECT 1"))
        return result

    done = execute(database, probe(body), order())
    assert (done.attempts, done.transactions, done.result.details) == (3, 2, {"counted": 3})
    assert counted(database.conninfo) == {3}


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("is_committed", [True, False])
def test_a_commit_that_was_not_heard_of(
    database: Database, probe: Probe, monkeypatch: pytest.MonkeyPatch, at: int, is_committed: bool
) -> None:
    """Whether the commit on whose way the connection was lost counts, the run finds out: nothing is done twice or lost."""
    commits = _lose_a_commit(monkeypatch, at, is_committed=is_committed)
    done = execute(database, probe(counting), order())
    # Where it counted, the next attempt has only found that out.
    assert (done.attempts, done.transactions, len(commits)) == (3, 2, 3)
    assert done.result.details == {"counted": 3}
    assert counted(database.conninfo) == {3}
    (record,) = runs(database.conninfo)
    assert (record["status"], record["transactions"], record["details"]) == ("succeeded", 2, {"counted": 3})
    assert record["rows_written"] == 2 * RESULT.rows_written


def test_a_success_is_never_overwritten(
    database: Database, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that may not ask again whether its last commit counted ends with an error; its record knows better."""
    _lose_a_commit(monkeypatch, 2, is_committed=True)
    with pytest.raises(UnavailableError):
        execute(database, probe(counting), order(retry_seconds=0))
    (record,) = runs(database.conninfo)
    assert (record["status"], record["error_class"], record["transactions"]) == ("succeeded", None, 2)
    assert counted(database.conninfo) == {3}


def _lose_a_commit(monkeypatch: pytest.MonkeyPatch, at: int, *, is_committed: bool) -> list[int]:
    """Have the connection break at the job's so-manieth commit, before or after it is done; returns all commits."""
    commit, commits = psycopg.Connection.commit, list[int]()

    def lossy(connection: psycopg.Connection[Any]) -> None:
        held = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
        if connection.execute(held).fetchone() == (0,):
            # The record's own transactions hold no lock of a job.
            commit(connection)
            return
        commits.append(1)
        if len(commits) == at:
            if is_committed:
                commit(connection)
            connection.pgconn.finish()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        commit(connection)

    monkeypatch.setattr(psycopg.Connection, "commit", lossy)
    return commits


def test_a_server_that_was_behind(database: Database, probe: Probe) -> None:
    """Where a run's first transaction is gone with the server that had it, the run ends instead of counting it."""

    def body(connection: sa.Connection, task: Task) -> Result:
        if task.step == 1:
            connection.execute(sa.text("DO $$ BEGIN RAISE SQLSTATE '08006'; END $$"))
        return counting(connection, task)

    def take_over(event: str) -> None:
        if event == AGAIN:
            do(database, "UPDATE avatarlab_admin.job_runs SET transactions = 0")

    with pytest.raises(UnavailableError, match="has lost what this run had committed"):
        execute(database, probe(body), order(log=Lines(take_over)))
    (record,) = runs(database.conninfo)
    assert (record["status"], record["error_class"]) == ("failed", "UnavailableError")


def do(database: Database, statement: str) -> None:
    """Do what somebody else does."""
    own = f"{database.conninfo} options='-c default_transaction_read_only=off'"
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many connections are refused, from the moment the test puts a number there; none outlives its transaction."""
    left, connect = list[float](), psycopg.connect
    # A class is no method: it would be called without the database.
    monkeypatch.setattr(Database, "kept", functools.partialmethod(nullcontext))

    def refusing(*arguments: Any, **more: Any) -> object:  # noqa: ANN401 (handed through)
        if left and left[0] > 0:
            left[0] -= 1
            raise psycopg.OperationalError("connection to server failed: Connection refused")
        return connect(*arguments, **more)

    monkeypatch.setattr("avatarlab_cli.database.psycopg.connect", refusing)
    return left


def failing_in(outage: list[float], refused: float) -> Body:
    def body(_: sa.Connection, __: Task) -> Result:
        outage.append(refused)
        raise AvatarLabError("no")

    return body


def test_a_record_waits_for_the_database(database: Database, probe: Probe, outage: list[float]) -> None:
    """A run that fails while the database is away records that once it is back."""
    log = Lines()
    with pytest.raises(AvatarLabError, match="no"):
        execute(database, probe(failing_in(outage, 3)), order(log=log))
    (record,) = runs(database.conninfo)
    assert (record["status"], record["error_message"]) == ("failed", "no")
    assert log.events() == [AGAIN] * 3 + ["job failed"]


def test_a_record_that_could_not_be_written(database: Database, probe: Probe, outage: list[float]) -> None:
    """A run whose end stays unrecorded says so in the log; the next one closes its record, with what is certain."""
    log = Lines()
    with pytest.raises(AvatarLabError, match="no"):
        execute(database, probe(failing_in(outage, 10**9)), order(log=log, retry_seconds=0.2))
    assert log.events()[-2:] == ["the run's end is not recorded", "job failed"]
    outage.clear()
    assert [record["status"] for record in runs(database.conninfo)] == ["running"]
    log = Lines()
    done = execute(database, probe(write_tier), order(log=log))
    lost, own = runs(database.conninfo)
    assert (lost["status"], own["status"]) == ("crashed", "succeeded")
    assert "or could not reach the database" in str(lost["error_message"])
    closed = {"job": "monthly-usage", "run": str(done.run_id), "closed": str(lost["id"])}
    assert closed.items() <= log.lines[0][2].items()


@pytest.mark.parametrize("slot", [None, datetime.now(UTC)])
def test_a_database_out_of_reach(
    database: Database, probe: Probe, outage: list[float], slot: datetime | None
) -> None:
    """Who runs a job by hand is told at once; a timer's run waits until the database is there."""
    outage.append(3)
    own, log = order(slot=slot, log=Lines()), Lines()
    if slot is None:
        with pytest.raises(UnavailableError, match="Connection refused"):
            execute(database, probe(write_tier), replace(own, log=log))
        outage.clear()
        assert (log.events(), runs(database.conninfo)) == ([], [])
    else:
        assert execute(database, probe(write_tier), replace(own, log=log)).status == "succeeded"
        assert log.events() == [AGAIN] * 3 + ["job succeeded"]


def test_a_night_without_a_database(database: Database, probe: Probe, outage: list[float]) -> None:
    """A timer's run that never reaches the database ends with its line all the same."""
    outage.append(10**9)
    log = Lines()
    with pytest.raises(UnavailableError, match="Connection refused"):
        execute(database, probe(write_tier), order(slot=datetime.now(UTC), log=log, retry_seconds=0.1))
    assert log.events()[-1] == "job failed"
    assert log.lines[-1][2]["status"] == "failed"


def test_a_moment_of_reading_only(database: Database, probe: Probe) -> None:
    """Where the server takes no changes for a while the run ends whole, and says so once it can."""
    name = psycopg.conninfo.conninfo_to_dict(database.conninfo)["dbname"]
    states: list[object] = []

    def body(connection: sa.Connection, task: Task) -> Result:
        if task.step == 0:
            do(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        return counting(connection, task)

    def restored(event: str) -> None:
        if event == AGAIN:
            states.extend(record["status"] for record in runs(database.conninfo))
            do(database, f"ALTER DATABASE {name} RESET default_transaction_read_only")

    def cut(*_: object) -> None:
        """End the run's session: only a new one takes no changes."""
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        do(database, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")

    with pytest.raises(UnavailableError, match="read-only transaction"):
        execute(database, probe(body), order(log=Lines(restored), progress=cut))
    (record,) = runs(database.conninfo)
    assert (states, record["status"], record["transactions"]) == (["running"], "failed", 1)
    assert record["details"] == {"counted": 2}
    assert counted(database.conninfo) == {2}


def test_who_takes_no_changes_is_not_waited_for(database: Database, probe: Probe) -> None:
    """A run on a replica ends at once: it has no record, and so none that could be completed later."""
    log = Lines()
    read_only = Database(f"{database.conninfo} options='-c default_transaction_read_only=on'", PATIENT)
    with pytest.raises(UnavailableError, match="read-only transaction"):
        execute(read_only, probe(counting), order(log=log))
    assert (log.events(), runs(database.conninfo)) == (["job failed"], [])


def test_a_lock_of_no_run_is_waited_for(database: Database, probe: Probe) -> None:
    """Somebody's lock on a table holds the run up, and does not end it."""
    impatient = Database(database.conninfo, PATIENT | {"lock_timeout": "30ms"})
    log, events = Lines(), list[str]()
    with psycopg.connect(database.conninfo) as holder:
        holder.execute("LOCK TABLE subscription_tiers")

        def let_go(event: str) -> None:
            events.append(event)
            holder.rollback()

        execute(impatient, probe(write_tier), order(log=Lines(let_go)))
    assert (events, log.lines) == ([AGAIN, "job succeeded"], [])


def test_a_run_waits_for_its_own_lost_attempt(database: Database, probe: Probe) -> None:
    """Where the server has not yet noticed that a connection is lost, its lock is the run's own, and no other run's."""
    impatient = Database(database.conninfo, PATIENT | {"lock_timeout": "200ms"})
    with psycopg.connect(database.conninfo) as former:

        def lose(event: str) -> None:
            if event == AGAIN and not events:
                former.execute("SELECT pg_advisory_xact_lock(hashtextextended('avatarlab:rollup', 0))")
            elif event == AGAIN:
                former.rollback()
            events.append(event)

        events: list[str] = []
        done = execute(impatient, probe(first_failing("08006")), order(log=Lines(lose)))
    assert (done.attempts, events) == (3, [AGAIN, AGAIN, "job succeeded"])


def test_a_hung_run_loses_its_lock(database: Database, probe: Probe) -> None:
    """A process that hangs in its transaction holds up others for as long as it may idle, and goes on when it wakes."""
    limits = PATIENT | {"idle_in_transaction_session_timeout": "200ms"}
    hung, woken = threading.Event(), threading.Event()
    runs_of_hung: list[Any] = []

    def hang(connection: sa.Connection, task: Task) -> Result:
        result = write_tier(connection, task)
        if not hung.is_set():
            hung.set()
            assert woken.wait(30)
            connection.execute(sa.text("SELECT 1"))
        return result

    def run() -> None:
        runs_of_hung.append(execute(Database(database.conninfo, limits), probe(hang), order()))

    thread = threading.Thread(target=run)
    thread.start()
    assert hung.wait(30)
    job = probe(hang)
    wait_until(lambda: _is_free(database))
    other = execute(database, job, order())
    assert [record["status"] for record in runs(database.conninfo)] == ["crashed", "succeeded"]
    woken.set()
    thread.join()
    assert (runs_of_hung[0].attempts, other.attempts) == (2, 1)
    assert [record["status"] for record in runs(database.conninfo)] == ["succeeded", "succeeded"]


def _is_free(database: Database) -> bool:
    with psycopg.connect(database.conninfo) as connection:
        free = "SELECT pg_try_advisory_xact_lock(hashtextextended('avatarlab:rollup', 0))"
        return connection.execute(free).fetchone() == (True,)
