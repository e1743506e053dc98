"""Whom a job's run tells: in which order, what stands there, and that none of it changes the run."""

import fcntl
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.errors import BusyError, ExitCode, Terminated, UsageError
from avatarlab_cli.telling import heartbeat, post, webhook
from avatarlab_cli.telling.post import Patience
from avatarlab_cli.timeframe import Window
from jobs.result import Result, Task
from tests.cli.invoking import Outcome, command, invoke, variables
from tests.conftest import created_database
from tests.database.contents import runs
from tests.listening import Answer, Listener, byte_by_byte, closing, listening, refusing, slowly, status

RUN = ("-q", "job", "run", "check-limits")
SECRET = "s3cr3t"  # noqa: S105 (an invented one, to be looked for where it must not be)
TWO_OVER = """
    WITH two AS (INSERT INTO auth.users (id, email) SELECT gen_random_uuid(), n || '@example.com' FROM generate_series(1, 2) n
                 RETURNING id)
    INSERT INTO monthly_usage (user_id, usage_month, is_over_limit, exceeded_limits)
    SELECT id, date_trunc('month', now()), true, '{"images_generated": 51}' FROM two
"""
REFUSED = "check-limits failed with exit code 1: the database refused: "
NOTHING = Result(Window(date(2026, 3, 1), date(2026, 4, 1)), rows_read=0, rows_written=0)


@pytest.fixture
def database(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """A migrated database without rows."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        yield conninfo


@pytest.fixture
def monitor() -> Iterator[Listener]:
    """Who is told."""
    with listening() as listener:
        yield listener


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no more patience than a test has."""
    monkeypatch.setattr(post, "_FIRST_WAIT_SECONDS", 0.005)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def body(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Have check-limits, verify and close-month do what the test says."""
    does = SimpleNamespace(run=lambda _, __: NOTHING)

    def run(connection: sa.Connection, task: Task) -> Result:
        done: Result = does.run(connection, task)
        return done

    for name in ("check_limits", "verify", "close_month"):
        monkeypatch.setattr(f"jobs.{name}.run", run)
    return does


def told(monitor: Listener, tmp_path: Path, **more: str) -> dict[str, str]:
    """Return the settings by which everybody is told."""
    return {
        "AVATARLAB_HEARTBEAT_URL": f"{monitor.url}/{SECRET}/{{job}}?create=1",
        "AVATARLAB_WEBHOOK_URL": f"{monitor.url}/services/{SECRET}",
        "AVATARLAB_METRICS_FILE": str(tmp_path / "avatarlab.prom"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
        **more,
    }


def texts(monitor: Listener) -> list[str]:
    """Return what was posted to the webhook, without who posted it."""
    posted = [json.loads(request.body)["text"] for request in monitor.requests if "services" in request.path]
    return [text.partition(": ")[2] for text in posted]


def test_a_success(database: str, monitor: Listener, tmp_path: Path) -> None:
    """The heartbeat hears of the beginning and, once the metrics are there, of the end, by one run id; the webhook of nothing."""
    metrics = tmp_path / "avatarlab.prom"
    there: list[bool] = []
    monitor.meanwhile = lambda _: there.append(metrics.exists())
    assert invoke(database, *RUN, env=told(monitor, tmp_path)) == Outcome(0, "", "")
    (run,) = runs(database)
    assert monitor.paths == [f"/{SECRET}/check-limits/start", f"/{SECRET}/check-limits"]
    assert there == [False, True]
    for request in monitor.requests:
        assert parse_qs(urlsplit(request.path).query) == {"create": ["1"], "rid": [str(run["id"])]}
    assert [request.body for request in monitor.requests[:1]] == [""]
    # Shown or not, the log is sent.
    logged = json.loads(monitor.requests[1].body.splitlines()[-1])
    assert (logged["level"], logged["job"], logged["run"]) == ("info", "check-limits", str(run["id"]))
    assert not (tmp_path / "state" / "told.json").exists()


def test_a_failure(database: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace) -> None:
    """The heartbeat gets the exit code, then the webhook a message: once, again when it is another, and when it is over."""
    env = told(monitor, tmp_path)
    for wrong in ("SELECT 1 / 0", "SELECT 1 / 0", "SELECT sqrt(-1)"):
        body.run = lambda connection, _, wrong=wrong: connection.execute(sa.text(wrong))
        failed = invoke(database, *RUN, env=env)
        assert failed.code == 1
        assert failed.err.splitlines()[-2].startswith("avatarlab: the database refused: ")
    body.run = lambda _, __: NOTHING
    for _ in range(2):
        assert invoke(database, *RUN, env=env) == Outcome(0, "", "")
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


def test_numbers_make_no_other_failure(
    database: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """A message that differs in numbers, times and ids alone is the same failure; another word makes another."""

    def fail(_: sa.Connection, __: Task) -> Result:
        raise ValueError(message)

    body.run, env = fail, told(monitor, tmp_path)
    said = ("process 12 since 10:07", "process 4711 since 11:07", "worker 12 since 10:07")
    for message in said:  # noqa: B007 (what is raised)
        invoke(database, *RUN, env=env)
    assert [text.rpartition(": ")[2].split()[0] for text in texts(monitor)] == ["process", "worker"]


def test_a_long_log(database: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace) -> None:
    """Of a log the end is sent, in whole characters, and no password in it."""

    def fail(_: sa.Connection, __: Task) -> Result:
        raise ValueError("ä" * 9_000 + " postgresql://ada:s3cr3t-value@db/app")

    body.run = fail
    assert invoke(database, *RUN, env=told(monitor, tmp_path)).code == 1
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
    database: str,
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
    code = invoke(database, *RUN, env=told(monitor, tmp_path)).code
    assert (code, monitor.paths[1].removeprefix(f"/{SECRET}/check-limits/"), len(texts(monitor))) == end


def test_a_signal_that_came_too_late(
    database: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """A run that was done when it was told to end has succeeded, and so it is told, whatever the process ends with."""

    def run(_: sa.Connection, __: Task) -> Result:
        signal.raise_signal(signal.SIGINT)
        return NOTHING

    body.run = run
    assert invoke(database, *RUN, env=told(monitor, tmp_path)).code == ExitCode.INTERRUPTED
    (record,) = runs(database)
    assert (record["status"], monitor.paths[1:]) == ("succeeded", [f"/{SECRET}/check-limits"])


def test_nobody_hears_of_a_dry_run(database: str, monitor: Listener, tmp_path: Path) -> None:
    """A look at what would change is no run to anybody."""
    assert invoke(database, *RUN, "--dry-run", env=told(monitor, tmp_path)).code == 0
    assert monitor.requests == []
    assert not (tmp_path / "avatarlab.prom").exists()


def test_findings_of_verify(database: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace) -> None:
    """What verify found is told by month; another month's turn says nothing of it, its own next turn that it is over."""
    turns = [
        ("2026-03", {"images_generated": 2, "mrr": 1}),
        ("2026-03", {"images_generated": 2, "mrr": 1}),
        ("2026-02", {}),
        ("2026-03", {}),
        ("", {}),
    ]
    env, codes = told(monitor, tmp_path), []
    for month, wrong in turns:
        details: dict[str, object] = {"months": [month] if month else []}
        if wrong:
            details |= {"mismatches": sum(wrong.values()), "by_metric": wrong}
        body.run = lambda _, __, details=details: Result(NOTHING.window, 0, 0, details=details)
        codes.append(invoke(database, "-q", "job", "run", "verify", env=env).code)
    assert codes == [3, 3, 0, 0, 0]
    assert [
        path.rpartition("/")[2] for path in monitor.paths if "/start" not in path and "services" not in path
    ] == [*("3", "3", "verify", "verify", "verify")]
    wrong_text, right_text = texts(monitor)
    assert wrong_text.splitlines() == [
        "stored figures differ from their sources in 2026-03: images_generated 2, mrr 1",
        "`avatarlab job verify --month 2026-03` lists them, with --repair it sets them right",
    ]
    assert right_text == "nothing differs from its sources in 2026-03 any more"


def test_findings_of_close_month(
    database: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """A month that could not be closed is told until it is."""
    details: dict[str, object] = {"refused": "2026-02 differs from its sources"}
    body.run = lambda _, __: Result(NOTHING.window, 0, 0, details=details)
    env = told(monitor, tmp_path)
    assert invoke(database, "-q", "job", "run", "close-month", env=env).code == 3
    details.clear()
    assert invoke(database, "-q", "job", "run", "close-month", env=env).code == 0
    assert texts(monitor) == [
        "a month that is due was not closed: 2026-02 differs from its sources\n`avatarlab period check` says why",
        "every month that is due is closed",
    ]


@pytest.mark.usefixtures("body")
def test_findings_of_check_limits(database: str, monitor: Listener, tmp_path: Path) -> None:
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
        with psycopg.connect(database) as connection:
            connection.execute(change)
        assert invoke(database, *RUN, env=env).code == 0
    assert [text.partition(" over")[0] for text in texts(monitor)] == [
        "2 users are",
        "2 users are",
        "1 user is",
        "no user is",
    ]


HASTY = Patience(tries=2, each=0.3, total=0.7)
HOSTILE: Mapping[str, Answer | None] = {
    "500": status(500),
    "hangs": slowly(3),
    "byte by byte": byte_by_byte,
    "closes": closing,
    "redirects": status(301, Location="/elsewhere"),
    "refuses": None,
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_monitor_that_is_not_well(
    database: str, monitor: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer | None
) -> None:
    """However badly those who are told behave, the run ends as it would; each that was not told is a line in the log."""
    for module, name in ((heartbeat, "_AT_START"), (heartbeat, "_AT_END"), (webhook, "_PATIENCE")):
        monkeypatch.setattr(module, name, HASTY)
    monitor.ever = answer
    with refusing() as nowhere:
        if answer is None:
            monitor.url = nowhere
        well = invoke(database, *RUN, env=told(monitor, tmp_path))
        failed = invoke("host=127.0.0.1 port=1", *RUN, env=told(monitor, tmp_path))
    lines = [json.loads(line) for line in well.err.splitlines()]
    assert (well.code, well.out) == (0, "")
    assert [(line["event"], line["whom"], line["level"]) for line in lines] == [
        ("not told", "heartbeat", "warning")
    ] * 2
    assert failed.code == ExitCode.UNAVAILABLE
    *warnings, message, _ = failed.err.splitlines()
    assert [json.loads(line)["whom"] for line in warnings] == ["heartbeat", "metrics", "heartbeat", "webhook"]
    assert message.startswith("avatarlab: cannot reach the database")
    assert SECRET not in well.err + failed.err
    (run,) = runs(database)
    assert (run["status"], {line["run"] for line in lines}) == ("succeeded", {str(run["id"])})


@pytest.mark.parametrize("name", ["HEARTBEAT", "WEBHOOK"])
def test_an_address_that_is_none(database: str, monitor: Listener, tmp_path: Path, name: str) -> None:
    """A file that others can read, or a text that is no URL, keeps no job from running."""
    file = tmp_path / "url"
    file.write_text(f"https://example.com/{SECRET}")
    for more in ({f"AVATARLAB_{name}_URL_FILE": str(file)}, {f"AVATARLAB_{name}_URL": SECRET}):
        ran = invoke(database, *RUN, env=told(monitor, tmp_path, **more))
        assert (ran.code, ran.out) == (0, "")
        assert SECRET not in ran.err


def test_a_second_interrupt_ends_the_telling(
    database: str, monitor: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has ended: an interrupt ends but the waiting, and the exit code stays."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("avatarlab_cli.telling.heartbeat.Heartbeat.ended", interrupted)
    ran = invoke(database, *RUN, env=told(monitor, tmp_path))
    assert ran.code == 0
    assert json.loads(ran.err)["why"] == "interrupted"


def test_nowhere_to_remember(monitor: Listener, tmp_path: Path) -> None:
    """Where what was told cannot be kept it is told all the same, each time."""
    (tmp_path / "state").touch()
    env = told(monitor, tmp_path)
    for _ in range(2):
        failed = invoke(None, "job", "failed", "avatarlab-verify.service", env=env)
        assert (failed.code, "not remembered" in failed.err) == (0, True)
    assert len(texts(monitor)) == 2


def test_a_service_that_failed(
    database: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """What a command has told itself is not told again; what it could not is, until a run is well again."""

    def fail(_: sa.Connection, __: Task) -> Result:
        raise ZeroDivisionError

    env = told(monitor, tmp_path)
    body.run = fail
    invoke(database, *RUN, env={**env, "INVOCATION_ID": "one"})
    died = {
        "MONITOR_SERVICE_RESULT": "oom-kill",
        "MONITOR_EXIT_STATUS": "KILL",
        "MONITOR_INVOCATION_ID": "two",
    }
    known = {
        "MONITOR_SERVICE_RESULT": "exit-code",
        "MONITOR_EXIT_STATUS": "1",
        "MONITOR_INVOCATION_ID": "one",
    }
    for variables_ in (known, died, died):
        ended = invoke(None, "job", "failed", "avatarlab-check-limits.service", env={**env, **variables_})
        assert ended.code == 0
        assert json.loads(ended.err)["level"] == "error"
    body.run = lambda _, __: NOTHING
    invoke(database, *RUN, env=env)
    assert [text.splitlines()[0] for text in texts(monitor)] == [
        "check-limits failed with exit code 1: ZeroDivisionError: ",
        "check-limits was killed, as memory ran out",
        "check-limits runs again",
    ]


def test_a_service_that_failed_and_nobody_to_tell(monitor: Listener, tmp_path: Path) -> None:
    """Without a webhook the log has it; where the webhook takes nothing the exit code says so."""
    name = ("job", "failed", "avatarlab-verify.service")
    assert invoke(None, *name, env={"STATE_DIRECTORY": str(tmp_path)}).code == 0
    monitor.ever = status(404)
    failed = invoke(None, *name, env=told(monitor, tmp_path))
    assert failed.code == ExitCode.FAILED
    assert "was not told that avatarlab-verify.service failed: the answer was HTTP 404" in failed.err
    assert SECRET not in failed.err


def test_processes_at_once_tell_once(monitor: Listener, tmp_path: Path) -> None:
    """Of several that find the same at the same time one tells it, and the others know."""
    monitor.ever = slowly(0.3)
    env = variables(None, told(monitor, tmp_path))
    words = command("job", "failed", "avatarlab-verify.service")
    started = [subprocess.Popen(words, env=env, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    assert len(texts(monitor)) == 1
    with (tmp_path / "state" / "told.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told(database: str, tmp_path: Path, is_abstract: bool) -> None:
    """Where systemd listens it hears that the run has begun, what is done, and that it ends; and nobody listening is no error."""
    name = f"@avatarlab-{tmp_path.name}" if is_abstract else str(tmp_path / "notify")
    env = {"NOTIFY_SOCKET": name}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1))
        systemd.settimeout(10)
        assert invoke(database, *RUN, env=env).code == 0
        heard = [systemd.recv(4096).decode().splitlines() for _ in range(3)]
    (run,) = runs(database)
    assert heard[1] == ["STATUS=check-limits: transaction 1 done, 0 rows written so far"]
    assert heard[0] == ["READY=1", f"STATUS=check-limits: run {run['id']}"]
    assert heard[-1][0] == "STOPPING=1"
    assert UUID(heard[0][1].rpartition(" ")[2]) == run["id"]
    for nowhere in (name, "/nonexistent/x", "relative", ""):
        assert invoke(database, *RUN, env={"NOTIFY_SOCKET": nowhere}) == Outcome(0, "", "")


@pytest.mark.parametrize("is_redirected", [False, True])
def test_priorities_in_the_journal(tmp_path: Path, is_redirected: bool) -> None:
    """Each line on stderr begins with its level where the journal reads it, and not where it was sent elsewhere since."""
    file = tmp_path / "stderr"
    with file.open("wb") as stream:
        status_ = os.fstat(stream.fileno())
        there = f"{status_.st_dev}:{status_.st_ino + is_redirected}"
        env = variables("host=127.0.0.1 port=1", {"JOURNAL_STREAM": there, "AVATARLAB_HEARTBEAT_URL": "x"})
        done = subprocess.run(command(*RUN), env=env, stderr=stream, check=False, timeout=60)
    assert done.returncode == ExitCode.UNAVAILABLE
    lines = file.read_text().splitlines()
    begins = [line[: line.find(">") + 1] if line.startswith("<") else "" for line in lines]
    assert begins == ([""] * 4 if is_redirected else ["<4>", "<4>", "<3>", "<3>"])
    assert is_redirected == ("timestamp" in lines[0])
