"""Nobody watches at night: whatever breaks, nothing is lost, nothing is done twice, and every record is true."""

import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.migrations import upgrade
from avatarlab_cli.rollup import capture
from avatarlab_cli.schema.reference import create_reference
from tests.cli.invoking import command, process, variables
from tests.conftest import TEST_SETTINGS, plain_engine
from tests.database import chaos
from tests.database.contents import is_anyone_waiting, runs, wait_until
from tests.database.test_capture import PATIENT, assert_exact, install_capture, run
from tests.services.conftest import PGBOUNCER, PORT, POSTGRES, demand, directory, run_as_service, service_user
from tests.services.nights import Ended, Servers, spend, writing

pytestmark = pytest.mark.services

RUNS = 52
# What may stand on record for a process that ended with this code; a process may end before there is a record.
TRUE_OF: dict[int, set[str | None]] = {
    0: {"succeeded", "skipped", None},
    # The place for the report was full: the work may be done all the same.
    1: {"succeeded", "skipped", "failed", None},
    3: {"succeeded"},
    # A month that is not yet as it should be is not closed.
    7: {"failed"},
    69: {"failed", None},
    75: {"busy"},
    143: {"interrupted", "succeeded", "skipped", None},
    # Whoever is killed may have been at its last word.
    -9: {"crashed", "succeeded", "skipped", "busy", "failed", "interrupted", None},
}
# After the second signal, and while it cannot reach the database, a run may end without a word to it.
UNRECORDED = "the run's end is not recorded"


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """PostgreSQL 15, whose commits outlive its crashes, behind PgBouncer in transaction mode, with a template database."""
    demand(POSTGRES / "initdb", "postgresql-15")
    demand(PGBOUNCER, "pgbouncer")
    with directory() as home:
        own = Servers(home)
        run_as_service(
            [POSTGRES / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "--no-sync"]
        )
        lines = {**TEST_SETTINGS, "synchronous_commit": "on", "listen_addresses": ""}
        lines |= {"unix_socket_directories": str(home), "port": str(PORT)}
        with (home / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
        _configure_pooler(own)
        own.control("start")
        try:
            own.start_pooler()
            _do(own, "CREATE DATABASE day")
            _prepare(f"{own.direct} dbname=day")
            yield own
        finally:
            own.kill_pooler()
            own.control("stop", "-m", "immediate")


def _configure_pooler(servers: Servers) -> None:
    place = servers.home / "pooler"
    place.mkdir()
    settings: dict[str, object] = {
        "listen_port": PORT,
        "unix_socket_dir": place,
        "pidfile": place / "pid",
        "logfile": place / "log",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": 8,
        "server_reset_query": "",
        "server_login_retry": 1,
        "query_wait_timeout": 20,
    }
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    (place / "ini").write_text(f"[databases]\n* = {servers.direct}\n\n[pgbouncer]\n{lines}")
    if (user := service_user()) is not None:
        shutil.chown(place, user)


def _prepare(conninfo: str) -> None:
    engine = plain_engine(conninfo)
    with engine.begin() as connection:
        create_reference(connection, "panel")
    with engine.connect() as connection:
        upgrade(connection)
    chaos.populate(conninfo)
    database = Database(conninfo, PATIENT)
    install_capture(database)
    run(database)


@contextmanager
def night(servers: Servers) -> Iterator[str]:
    """Copy the template; no connection is held meanwhile, for none would last."""
    name = f"night_{uuid.uuid4().hex[:12]}"
    _do(servers, f"CREATE DATABASE {name} TEMPLATE day STRATEGY file_copy")
    yield f"{servers.direct} dbname={name}"
    _do(servers, f"DROP DATABASE {name} WITH (FORCE)")


def _do(servers: Servers, statement: str) -> None:
    with psycopg.connect(f"{servers.direct} dbname=postgres", autocommit=True) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("seed", range(4))
def test_a_bad_night(servers: Servers, seed: int) -> None:
    """After restarts, kills, lost connections, full disks and wrong clocks all is as if nothing had happened."""
    with night(servers) as conninfo:
        database = Database(conninfo, PATIENT)
        with writing(conninfo, seed) as written:
            ended = spend(servers, conninfo.rpartition("dbname=")[2], seed, RUNS)
        assert (len(ended) >= RUNS, len(written) > RUNS) == (True, True), f"seed {seed}"
        # The next run, with nothing in its way, closes what the night has left.
        _assert_exact(database, seed)
        records = runs(conninfo)
        _assert_true(records, ended, seed)
        assert _done_twice(conninfo) == [], f"seed {seed}"
        assert sum(record["status"] == "succeeded" for record in records) > RUNS / 10, f"seed {seed}"


def test_a_hung_run_is_freed_behind_the_pooler(servers: Servers) -> None:
    """Its transaction ends by the server's own timeout, the next run goes on, and it does too once it wakes."""
    words = ("-q", "job", "run", "storage-snapshot")
    with night(servers) as conninfo:
        pooled = f"{servers.pooled} dbname={conninfo.rpartition('dbname=')[2]}"
        env = variables(pooled, {"AVATARLAB_IDLE_IN_TRANSACTION_SESSION_TIMEOUT": "200ms"})
        with psycopg.connect(conninfo) as blocker:
            blocker.execute("LOCK TABLE avatarlab_admin.storage_daily")
            hung = subprocess.Popen(
                command(*words), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            wait_until(lambda: is_anyone_waiting(blocker))
            hung.send_signal(signal.SIGSTOP)
        wait_until(lambda: process(pooled, *words).code == ExitCode.OK)
        assert [record["status"] for record in runs(conninfo) if record["status"] != "busy"][:2] == [
            "succeeded",  # by which the platform was prepared
            "crashed",
        ]
        hung.send_signal(signal.SIGCONT)
        assert b"trying again" in hung.communicate(timeout=60)[1]
        assert hung.returncode == ExitCode.OK
        assert {record["status"] for record in runs(conninfo)} <= {"succeeded", "busy"}


def _assert_exact(database: Database, seed: int) -> None:
    """What is stored of users, of the platform and of every open day is what a look at all sources makes of it."""
    try:
        assert_exact(database)
    except AssertionError as error:
        pytest.fail(f"seed {seed}: {error}")
    run(database, "platform-statistics")
    with database.write() as connection:
        capture.forget_state(connection)
    assert run(database, "platform-statistics").result.rows_written == 0
    assert "mismatches" not in run(database, "verify").result.details


def _assert_true(records: list[dict[str, Any]], ended: list[Ended], seed: int) -> None:
    """Check what each record says against what whoever started the process saw of it."""
    by_process = {(record["pid"], record["host"]): record for record in records}
    for one in ended:
        record = by_process.get((one.pid, one.host))
        said = Path(one.log).read_text()
        allowed = {*TRUE_OF.get(one.code, ()), *(["crashed"] if UNRECORDED in said else [])}
        told = f"seed {seed}: {one}\n{record}\n{said}"
        assert (record and record["status"]) in allowed, told
        if record is not None:
            assert (record["job"], record["finished_at"] is None) == (one.job, False), told
            if record["status"] == "succeeded" and one.code == 0:
                assert f'"run": "{record["id"]}"' in said, told
    assert [record for record in records if record["status"] == "running"] == []


def _done_twice(conninfo: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "SELECT job, slot, count(*) FROM avatarlab_admin.job_runs"
            " WHERE is_scheduled AND status = 'succeeded' GROUP BY job, slot HAVING count(*) > 1"
        ).fetchall()
