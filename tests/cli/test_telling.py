"""Whom a job's run tells: in which order, and what stands there."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.errors import BusyError, ExitCode, Terminated, UsageError
from avatarlab_cli.telling.heartbeat import Heartbeat
from jobs.result import Result, Task
from tests.cli.invoking import Outcome, invoke
from tests.cli.telling import NOTHING, RUN, SECRET, standing_in, texts, told
from tests.database.contents import runs
from tests.listening import Listener

TWO_OVER = """
    WITH two AS (INSERT INTO auth.users (id, email) SELECT gen_random_uuid(), n || '@example.com' FROM generate_series(1, 2) n
                 RETURNING id)
    INSERT INTO monthly_usage (user_id, usage_month, is_over_limit, exceeded_limits)
    SELECT id, '2026-03-01', true, '{"images_generated": 51}' FROM two
"""
REFUSED = "check-limits failed with exit code 1: the database refused: "


@pytest.fixture
def body(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The job that does what the test says."""
    return standing_in(monkeypatch)


def test_a_success(migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path) -> None:
    """The heartbeat hears of the beginning and, once the metrics are there, of the end, by one run id; the webhook of nothing."""
    metrics = tmp_path / "avatarlab.prom"
    there: list[bool] = []
    monitor.meanwhile = lambda _: there.append(metrics.exists())
    assert invoke(migrated_panel_conninfo, *RUN, env=told(monitor, tmp_path)) == Outcome(0, "", "")
    (run,) = runs(migrated_panel_conninfo)
    assert monitor.paths == [f"/{SECRET}/check-limits/start", f"/{SECRET}/check-limits"]
    assert there == [False, True]
    for request in monitor.requests:
        assert parse_qs(urlsplit(request.path).query) == {"create": ["1"], "rid": [str(run["id"])]}
    assert [request.body for request in monitor.requests[:1]] == [""]
    # Shown or not, the log is sent.
    logged = json.loads(monitor.requests[1].body.splitlines()[-1])
    assert (logged["level"], logged["job"], logged["run"]) == ("info", "check-limits", str(run["id"]))
    assert not (tmp_path / "state" / "told.json").exists()


def test_a_failure(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """The heartbeat gets the exit code, then the webhook a message: once, again when it is another, and when it is over."""
    env = told(monitor, tmp_path)
    for wrong in ("SELECT 1 / 0", "SELECT 1 / 0", "SELECT sqrt(-1)"):
        body.run = lambda connection, _, wrong=wrong: connection.execute(sa.text(wrong))
        failed = invoke(migrated_panel_conninfo, *RUN, env=env)
        assert failed.code == 1
        assert failed.err.splitlines()[-2].startswith("avatarlab: the database refused: ")
    body.run = lambda _, __: NOTHING
    for _ in range(2):
        assert invoke(migrated_panel_conninfo, *RUN, env=env) == Outcome(0, "", "")
    assert [path.replace(f"/{SECRET}", "") for path in monitor.paths] == [
        *("/check-limits/start", "/check-limits/1", "/services"),
        *("/check-limits/start", "/check-limits/1"),
        *("/check-limits/start", "/check-limits/1", "/services"),
        *("/check-limits/start", "/check-limits", "/services"),
        *("/check-limits/start", "/check-limits"),
    ]
    logged, *said = monitor.requests[1].body.splitlines()
    assert json.loads(logged)["run"] == parse_qs(urlsplit(monitor.requests[1].path).query)["rid"][0]
    assert said == [
        "the database refused: division by zero",
        "--debug shows the statement",
    ]
    assert texts(monitor) == [
        f"{REFUSED}division by zero\n--debug shows the statement",
        f"{REFUSED}cannot take square root of a negative number\n--debug shows the statement",
        "check-limits runs again",
    ]


def test_a_slot_that_another_host_has_done(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """That there was nothing to do does not mean that this host's trouble is over; doing something does."""
    here, elsewhere = (told(monitor, tmp_path / name) for name in ("here", "elsewhere"))
    scheduled = (*RUN, "--scheduled")
    body.run = lambda connection, _: connection.execute(sa.text("SELECT 1 / 0"))
    assert invoke(migrated_panel_conninfo, *scheduled, env=here).code == 1
    body.run = lambda _, __: NOTHING
    codes = [invoke(migrated_panel_conninfo, *scheduled, env=env).code for env in (elsewhere, here)]
    assert (codes, [run["status"] for run in runs(migrated_panel_conninfo)]) == (
        [0, 0],
        ["failed", "succeeded"],
    )
    assert len(texts(monitor)) == 1
    assert invoke(migrated_panel_conninfo, *RUN, env=here).code == 0
    assert texts(monitor)[1:] == ["check-limits runs again"]


def test_numbers_make_no_other_failure(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """A message that differs in numbers, times and ids alone is the same failure; another word makes another."""

    def fail(_: sa.Connection, __: Task) -> Result:
        raise ValueError(message)

    body.run, env = fail, told(monitor, tmp_path)
    said = ("process 12 since 10:07", "process 4711 since 11:07", "worker 12 since 10:07")
    for message in said:  # noqa: B007 (what is raised)
        invoke(migrated_panel_conninfo, *RUN, env=env)
    assert [text.rpartition(": ")[2].split()[0] for text in texts(monitor)] == ["process", "worker"]


def test_a_long_log(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """Of a log the end is sent, in whole characters, and no password in it."""

    def fail(_: sa.Connection, __: Task) -> Result:
        raise ValueError("ä" * 9_000 + " postgresql://ada:s3cr3t-value@db/app")

    body.run = fail
    assert invoke(migrated_panel_conninfo, *RUN, env=told(monitor, tmp_path)).code == 1
    sent = monitor.requests[1].body
    assert sent.startswith("ä")
    assert sent.endswith("ä postgresql://ada:***@db/app")
    assert len(sent.encode()) in {9_999, 10_000}


def test_a_database_that_is_not_there(monitor: Listener, tmp_path: Path) -> None:
    """What fails before there is a run is told too, without the password of the database; who is told is not told."""
    env = told(monitor, tmp_path)
    failed = invoke("postgresql://ada:s3cr3t-value@127.0.0.1:1/db", *RUN, env=env)
    assert failed.code == ExitCode.UNAVAILABLE
    assert monitor.paths[-2:] == [f"/{SECRET}/check-limits/69", f"/services/{SECRET}"]
    assert texts(monitor)[0].startswith("check-limits failed with exit code 69: cannot reach the database")
    said = "".join(request.body for request in monitor.requests) + failed.err
    assert SECRET not in said


def test_at_night_a_database_is_waited_for(monitor: Listener, tmp_path: Path) -> None:
    """A timer's run waits for a database out of reach before it asks anything of it, and tells when that was in vain."""
    env = told(monitor, tmp_path, AVATARLAB_JOB_RETRY_WITHIN="500ms")
    for more in ("--scheduled",), ():
        failed = invoke("host=127.0.0.1 port=1", *RUN, *more, env=env)
        lines = [line for line in failed.err.splitlines() if '"trying again"' in line]
        assert failed.code == ExitCode.UNAVAILABLE
        assert bool(lines) == bool(more)
    assert len(texts(monitor)) == 1


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (BusyError("another run is in progress"), (ExitCode.BUSY, "log", 0)),
        (UsageError("that lies in the future"), (ExitCode.USAGE, "2", 0)),
        (KeyboardInterrupt(), (ExitCode.INTERRUPTED, "130", 0)),
        (Terminated(), (ExitCode.TERMINATED, "143", 1)),
        (ZeroDivisionError("by zero"), (ExitCode.FAILED, "1", 1)),
    ],
)
def test_other_ends(  # noqa: PLR0917 (each is a fixture)
    migrated_panel_conninfo: str,
    monitor: Listener,
    tmp_path: Path,
    body: SimpleNamespace,
    error: BaseException,
    end: tuple[ExitCode, str, int],
) -> None:
    """A run that gave way is noted alone, one that somebody interrupted is known to somebody; being ended from outside is news."""

    def fail(_: sa.Connection, __: Task) -> Result:
        raise error

    body.run = fail
    code = invoke(migrated_panel_conninfo, *RUN, env=told(monitor, tmp_path)).code
    assert (code, monitor.paths[1].removeprefix(f"/{SECRET}/check-limits/"), len(texts(monitor))) == end


def test_a_signal_that_came_too_late(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """A run that was done when it was told to end has succeeded, and so it is told, whatever the process ends with."""

    def run(_: sa.Connection, __: Task) -> Result:
        signal.raise_signal(signal.SIGINT)
        return NOTHING

    body.run = run
    assert invoke(migrated_panel_conninfo, *RUN, env=told(monitor, tmp_path)).code == ExitCode.INTERRUPTED
    (record,) = runs(migrated_panel_conninfo)
    assert (record["status"], monitor.paths[1:]) == ("succeeded", [f"/{SECRET}/check-limits"])


def test_two_databases_of_one_host(migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path) -> None:
    """What fails with one database is not over because another's run is well, and each message says which it is of."""
    env = told(monitor, tmp_path)
    for conninfo in ("host=127.0.0.1 port=1 dbname=other password=s3cr3t", migrated_panel_conninfo):
        invoke(conninfo, *RUN, env=env)
    (posted,) = [request.body for request in monitor.requests if "services" in request.path]
    assert ", other at 127.0.0.1: check-limits failed" in json.loads(posted)["text"]
    assert "s3cr3t" not in posted


def test_told_to_end_while_the_beginning_is_told(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends before it could begin ends for those who are told as well: with 143, to heartbeat and webhook."""

    def ended(_: Heartbeat) -> None:
        raise Terminated

    monkeypatch.setattr(Heartbeat, "began", ended)
    assert invoke(migrated_panel_conninfo, *RUN, env=told(monitor, tmp_path)).code == ExitCode.TERMINATED
    assert monitor.paths == [f"/{SECRET}/check-limits/143", f"/services/{SECRET}"]
    assert runs(migrated_panel_conninfo) == []


def test_nobody_hears_of_a_dry_run(migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path) -> None:
    """A look at what would change is no run to anybody."""
    assert invoke(migrated_panel_conninfo, *RUN, "--dry-run", env=told(monitor, tmp_path)).code == 0
    assert monitor.requests == []
    assert not (tmp_path / "avatarlab.prom").exists()


def test_findings_of_verify(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """What verify found is told by month; another month's turn says nothing of it, its own next turn that it is over."""
    wrong = {"images_generated": 2, "mrr": 1}
    turns: list[dict[str, dict[str, int]]] = [
        {"2026-03": wrong},
        {"2026-03": wrong},
        {"2026-02": {}},
        {"2026-03": {}},
        {},
        # Two months of one run are two matters, whichever comes first.
        {"2026-01": {"mrr": 4}, "2026-03": wrong},
        {"2026-03": {}},
        {"2025-12": {}, "2026-01": {}},
    ]
    env, codes = told(monitor, tmp_path), []
    for turn in turns:
        details: dict[str, object] = {"months": list(turn)}
        if by_month := {month: counts for month, counts in turn.items() if counts}:
            total = sum(count for counts in by_month.values() for count in counts.values())
            details |= {"mismatches": total, "by_month": by_month}
        body.run = lambda _, __, details=details: Result(NOTHING.window, 0, 0, details=details)
        codes.append(invoke(migrated_panel_conninfo, "-q", "job", "run", "verify", env=env).code)
    assert codes == [3, 3, 0, 0, 0, 3, 0, 0]
    ends = [
        path.rpartition("/")[2] for path in monitor.paths if "/start" not in path and "services" not in path
    ]
    assert ends == [str(code) if code else "verify" for code in codes]
    said = texts(monitor)
    assert said[0].splitlines() == [
        "stored figures differ from their sources in 2026-03: images_generated 2, mrr 1",
        "`avatarlab job verify --month 2026-03` lists them, with --repair it sets them right",
    ]
    assert [text.splitlines()[0] for text in said[1:]] == [
        "nothing differs from its sources in 2026-03 any more",
        "stored figures differ from their sources in 2026-01: mrr 4",
        "stored figures differ from their sources in 2026-03: images_generated 2, mrr 1",
        "nothing differs from its sources in 2026-03 any more",
        "nothing differs from its sources in 2026-01 any more",
    ]


def test_findings_of_close_month(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """A month that could not be closed is told until it is."""
    details: dict[str, object] = {"refused": "2026-02 differs from its sources"}
    body.run = lambda _, __: Result(NOTHING.window, 0, 0, details=details)
    env = told(monitor, tmp_path)
    assert invoke(migrated_panel_conninfo, "-q", "job", "run", "close-month", env=env).code == 3
    details.clear()
    assert invoke(migrated_panel_conninfo, "-q", "job", "run", "close-month", env=env).code == 0
    assert texts(monitor) == [
        "a month that is due was not closed: 2026-02 differs from its sources\n`avatarlab period check` says why",
        "every month that is due is closed",
    ]


@pytest.mark.usefixtures("body")
def test_findings_of_check_limits(migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path) -> None:
    """Who is over a limit is told as a number, once for each set of users and limits, however far over they are."""
    env = told(monitor, tmp_path)
    changes = (
        TWO_OVER,
        "UPDATE monthly_usage SET exceeded_limits = '{\"images_generated\": 52}'",
        "UPDATE monthly_usage SET exceeded_limits = exceeded_limits || '{\"storage_bytes\": 1}'",
        "DELETE FROM monthly_usage WHERE user_id = (SELECT user_id FROM monthly_usage LIMIT 1)",
        "UPDATE monthly_usage SET is_over_limit = false",
    )
    for change in changes:
        with psycopg.connect(migrated_panel_conninfo) as connection:
            connection.execute(change)
        assert invoke(migrated_panel_conninfo, *RUN, env=env).code == 0
    assert [text.partition(" over")[0] for text in texts(monitor)] == [
        "2 users are",
        "2 users are",
        "1 user is",
        "no user is",
    ]
