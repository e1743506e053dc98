"""The toolkit behind a transaction pooler, as hosted platforms have it: all works, and no session is touched."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.demo.install import install
from avatarlab_cli.demo.world import DemoOptions
from avatarlab_cli.doctor import kind
from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import invoke
from tests.conftest import created_database
from tests.database import chaos
from tests.database.test_capture import PATIENT, assert_exact, install_capture, run

pytestmark = pytest.mark.services

ADMIN = "admin@example.com"
JOBS = ("monthly-usage", "platform-statistics")
REPORTS = (
    ("usage", "top", "--by", "images_generated"),
    ("usage", "month"),
    ("stats", "show"),
    ("stats", "trend", "--metric", "mrr"),
    ("job", "history"),
    ("user", "list"),
    ("tier", "distribution"),
    ("key", "list"),
    ("db", "status"),
    ("db", "tables", "--fields", "table,is_present,last_event"),
)
# What reads, computes, checks and acts beyond the above, in this order, with the exit codes it may end with.
DOINGS: tuple[tuple[str, frozenset[int]], ...] = tuple(
    (words, frozenset({ExitCode.OK, *found}))
    for words, *found in (
        ("db capture install",),
        ("db capture status",),
        ("job run storage-snapshot",),
        ("job run monthly-usage",),
        ("job run platform-statistics",),
        ("job run check-limits",),
        ("job run verify",),
        ("job run close-month",),
        ("job verify --month {month}", ExitCode.FOUND),
        ("job backfill --from {day} --to {day}",),
        ("job gaps", ExitCode.FOUND),
        ("period list",),
        ("period check", ExitCode.FOUND),
        ("overview",),
        ("system health", ExitCode.FOUND),
        ("storage summary",),
        ("cost report --by kind,provider",),
        ("cost anomalies", ExitCode.FOUND),
        ("cost budget check", ExitCode.FOUND),
        ("stats mrr",),
        ("conversation quality",),
        ("conversation search hello --since 30d",),
        ("user ban {user} --reason spam --yes",),
        ("tier enforce --everyone --dry-run", ExitCode.FOUND),
        ("system prune api_request_logs --older-than 30d --dry-run",),
        ("audit verify",),
        ("db doctor", ExitCode.FOUND),
        ("db capture remove",),
    )
)
# All that a transaction could leave behind in the session that served it.
SESSION = """
    SELECT jsonb_object_agg(name, setting) || jsonb_build_object(
        'backend', pg_backend_pid(),
        'advisory locks', (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
        'prepared statements', (SELECT count(*) FROM pg_prepared_statements),
        'cursors', (SELECT count(*) FROM pg_cursors WHERE is_holdable),
        'temporary tables', (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
        'channels', (SELECT count(*) FROM pg_listening_channels()))
    FROM pg_settings
    WHERE name NOT LIKE 'plpgsql.%'  -- they appear when the first function runs
"""


@pytest.fixture
def demo_name(debian_server: str) -> Iterator[str]:
    """The name of a database on PostgreSQL 15 with a small platform in the panel state."""
    with created_database(debian_server, "template1") as conninfo:
        options = DemoOptions(users=60, months=3, seed=5, state="panel", until=datetime.now(UTC))
        install(Database(conninfo), options, replace=False)
        yield conninfo.rpartition("dbname=")[2]


def avatarlab(
    conninfo: str, *arguments: str, home: Path, admin: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AVATARLAB_DATABASE_URL": conninfo,
        "AVATARLAB_ADMIN": admin,
    }
    return subprocess.run(
        [sys.executable, "-m", "avatarlab_cli", *arguments],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def output_of(conninfo: str, *arguments: str, home: Path, admin: str = "") -> str:
    done = avatarlab(conninfo, *arguments, home=home, admin=admin)
    assert done.returncode == ExitCode.OK, done.stderr
    return done.stdout


def session(conninfo: str) -> dict[str, Any]:
    """Describe the server session a stranger gets from the pooler."""
    # The pooler restores what a client says of itself, so the stranger says it; the driver's preparing would show.
    own = f"{conninfo} application_name=stranger client_encoding=utf-8"
    with psycopg.connect(own, autocommit=True, prepare_threshold=None) as stranger:
        found = stranger.execute(SESSION).fetchone()
    assert found is not None
    state: dict[str, Any] = found[0]
    return state


def test_a_careless_client_is_seen(pooler: Callable[[int], str], demo_name: str) -> None:
    """What a client sets for its session reaches the next one here, so the tests below would notice."""
    pooled = f"{pooler(1)} dbname={demo_name}"
    before = session(pooled)
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as careless:
        careless.execute("SET work_mem = '5MB'")
        careless.execute("SELECT pg_advisory_lock(1)")
    assert session(pooled) == before | {"work_mem": "5120", "advisory locks": 1}


def test_work_leaves_no_trace_in_the_session(
    pooler: Callable[[int], str], demo_name: str, tmp_path: Path
) -> None:
    """Migrations, jobs and reports share one server connection with a stranger, who finds it as it was."""
    pooled = f"{pooler(1)} dbname={demo_name}"
    before = session(pooled)
    output_of(pooled, "db", "migrate", home=tmp_path)
    assert session(pooled) == before
    for job in JOBS:
        output_of(pooled, "job", "run", job, home=tmp_path)
        assert session(pooled) == before
    for report in REPORTS:
        output_of(pooled, *report, "--csv", home=tmp_path)
    assert session(pooled) == before


def test_everything_else_leaves_no_trace(
    pooler: Callable[[int], str], demo_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capture, the other jobs, checks and acts work in the pool's one process, which is the same after each."""
    monkeypatch.setattr(kind, "PATIENCE", 0.5)
    pooled, now = f"{pooler(1)} dbname={demo_name}", datetime.now(UTC)
    assert invoke(pooled, "db", "migrate", now=now).code == 0
    before = session(pooled)
    users = invoke(pooled, "user", "list", "--status", "active", "-o", "ids", now=now).out.split()
    named = {"user": users[0], "day": f"{now:%Y-%m-%d}", "month": f"{now:%Y-%m}"}
    for words, codes in DOINGS:
        done = invoke(
            pooled, *(word.format(**named) for word in words.split()), env={"AVATARLAB_ADMIN": ADMIN}, now=now
        )
        assert done.code in codes, (words, done.err)
        assert session(pooled) == before, words


def test_nothing_is_prepared(pooler: Callable[[int], str], demo_name: str) -> None:
    """This PgBouncer knows nothing of prepared statements: a client that makes them meets its own in another's process."""
    pooled = f"{pooler(1)} dbname={demo_name}"
    with (
        psycopg.connect(pooled, autocommit=True, prepare_threshold=0) as one,
        psycopg.connect(pooled, autocommit=True, prepare_threshold=0) as other,
    ):
        one.execute("SELECT %s::int", [1])
        with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
            other.execute("SELECT %s::int", [1])
    assert session(pooled)["prepared statements"] == 1
    # The toolkit's own statements go through beside it.
    assert invoke(pooled, "db", "status", now=datetime.now(UTC)).code == ExitCode.FOUND
    assert session(pooled)["prepared statements"] == 1


def test_options_are_refused(pooler: Callable[[int], str], demo_name: str) -> None:
    """What a pooler cannot set is a wrong setting, said with what to do instead."""
    pooled = f"{pooler(1)} dbname={demo_name} options='-c statement_timeout=5s'"
    refused = invoke(pooled, "db", "status")
    assert (refused.code, refused.out) == (ExitCode.CONFIGURATION, "")
    assert "the pooler takes no options" in refused.err
    assert "ALTER ROLE" in refused.err


def test_acts_work_and_leave_no_trace(pooler: Callable[[int], str], demo_name: str, tmp_path: Path) -> None:
    """A bulk change through the pooler, its audit and its undo leave the session as a stranger knows it."""
    pooled = f"{pooler(1)} dbname={demo_name}"
    output_of(pooled, "db", "migrate", home=tmp_path)
    before = session(pooled)
    users = tmp_path / "users.csv"
    users.write_text(
        output_of(pooled, "user", "list", "--status", "active", "--tier", "free", "--csv", home=tmp_path)
    )
    change = ("tier", "set", "--from-csv", str(users), "pro", "--yes", "--json")
    changed = json.loads(output_of(pooled, *change, home=tmp_path, admin=ADMIN))
    assert {row["result"] for row in changed} == {"changed"}
    assert session(pooled) == before
    (batch,) = {
        row["batch"] for row in json.loads(output_of(pooled, "audit", "list", "--json", home=tmp_path))
    }
    undone = json.loads(
        output_of(pooled, "audit", "undo", "--batch", batch, "--yes", "--json", home=tmp_path, admin=ADMIN)
    )
    assert len(undone) == len(changed)
    output_of(pooled, "audit", "verify", home=tmp_path)
    assert session(pooled) == before


def test_reports_are_the_same_as_without_the_pooler(
    pooler: Callable[[int], str], debian_server: str, demo_name: str, tmp_path: Path
) -> None:
    """What was migrated and computed through the pooler reads the same with and without it."""
    pooled, direct = f"{pooler(1)} dbname={demo_name}", f"{debian_server} dbname={demo_name}"
    output_of(pooled, "db", "migrate", home=tmp_path)
    for job in JOBS:
        output_of(pooled, "job", "run", job, home=tmp_path)
    for report in REPORTS:
        shown = output_of(pooled, *report, "--csv", home=tmp_path)
        assert shown.count("\n") > 1
        assert shown == output_of(direct, *report, "--csv", home=tmp_path)


def test_migrating_twice_changes_nothing(
    pooler: Callable[[int], str], demo_name: str, tmp_path: Path
) -> None:
    """A second migration through the pooler finds nothing to do."""
    pooled = f"{pooler(1)} dbname={demo_name}"
    assert "applied 0001" in avatarlab(pooled, "db", "migrate", home=tmp_path).stderr
    assert "already at" in avatarlab(pooled, "db", "migrate", home=tmp_path).stderr


def test_lock_of_a_job_holds_through_the_pooler(
    pooler: Callable[[int], str], demo_name: str, tmp_path: Path
) -> None:
    """While one transaction behind the pooler has the jobs' lock, a run in another ends as busy."""
    pooled = f"{pooler(2)} dbname={demo_name}"
    output_of(pooled, "db", "migrate", home=tmp_path)
    with psycopg.connect(pooled, prepare_threshold=None) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('avatarlab:rollup', 0))")
        assert avatarlab(pooled, "job", "run", JOBS[0], home=tmp_path).returncode == ExitCode.BUSY
    output_of(pooled, "job", "run", JOBS[0], home=tmp_path)


@pytest.mark.parametrize("seed", range(100, 105))
def test_nothing_is_lost_under_fire(
    pooler: Callable[[int], str], demo_name: str, tmp_path: Path, seed: int
) -> None:
    """Through the pooler too, writers and 12 killed runs leave what a count of everything leaves."""
    pooled = f"{pooler(10)} dbname={demo_name}"
    output_of(pooled, "db", "migrate", home=tmp_path)
    chaos.populate(pooled)
    database = Database(pooled, PATIENT)
    install_capture(database)
    run(database)
    assert chaos.under_fire(pooled, seed, kills=12) > chaos.ENOUGH
    assert_exact(database)
    run(database, "platform-statistics")
