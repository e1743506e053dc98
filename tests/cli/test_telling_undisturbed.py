"""Who is told behaves badly, or systemd is who asks: a run ends as it would, and nobody is told twice."""

import fcntl
import json
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
import sqlalchemy as sa

from avatarlab_cli.errors import ExitCode
from avatarlab_cli.telling import heartbeat, webhook
from avatarlab_cli.telling.post import Patience
from jobs.result import Result, Task
from tests.cli.invoking import Outcome, command, invoke, variables
from tests.cli.telling import NOTHING, RUN, SECRET, standing_in, texts, told
from tests.database.contents import runs
from tests.listening import Answer, Listener, byte_by_byte, closing, refusing, slowly, status

HASTY = Patience(tries=2, each=0.3, total=0.7)
HOSTILE: Mapping[str, Answer | None] = {
    "500": status(500),
    "hangs": slowly(3),
    "byte by byte": byte_by_byte,
    "closes": closing,
    "redirects": status(301, Location="/elsewhere"),
    "refuses": None,
}


@pytest.fixture
def body(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The job that does what the test says."""
    return standing_in(monkeypatch)


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_monitor_that_is_not_well(
    migrated_panel_conninfo: str,
    monitor: Listener,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer | None,
) -> None:
    """However badly those who are told behave, the run ends as it would; each that was not told is a line in the log."""
    for module, name in ((heartbeat, "_AT_START"), (heartbeat, "_AT_END"), (webhook, "_PATIENCE")):
        monkeypatch.setattr(module, name, HASTY)
    monitor.ever = answer
    with refusing() as nowhere:
        if answer is None:
            monitor.url = nowhere
        well = invoke(migrated_panel_conninfo, *RUN, env=told(monitor, tmp_path))
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
    (run,) = runs(migrated_panel_conninfo)
    assert (run["status"], {line["run"] for line in lines}) == ("succeeded", {str(run["id"])})


@pytest.mark.parametrize("name", ["HEARTBEAT", "WEBHOOK"])
def test_an_address_that_is_none(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, name: str
) -> None:
    """A file that others can read, or a text that is no URL, keeps no job from running."""
    file = tmp_path / "url"
    file.write_text(f"https://example.com/{SECRET}")
    for more in ({f"AVATARLAB_{name}_URL_FILE": str(file)}, {f"AVATARLAB_{name}_URL": SECRET}):
        ran = invoke(migrated_panel_conninfo, *RUN, env=told(monitor, tmp_path, **more))
        assert (ran.code, ran.out) == (0, "")
        assert SECRET not in ran.err


def test_a_second_interrupt_ends_the_telling(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has ended: an interrupt ends but the waiting, and the exit code stays."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("avatarlab_cli.telling.heartbeat.Heartbeat.ended", interrupted)
    ran = invoke(migrated_panel_conninfo, *RUN, env=told(monitor, tmp_path))
    assert ran.code == 0
    assert json.loads(ran.err)["why"] == "interrupted"


def test_nowhere_to_remember(monitor: Listener, tmp_path: Path) -> None:
    """Where what was told cannot be kept it is told all the same, each time; the log says of which run or unit."""
    (tmp_path / "state").touch()
    env = told(monitor, tmp_path)
    for _ in range(2):
        failed = invoke(None, "job", "failed", "avatarlab-verify.service", env=env)
        assert (failed.code, "not remembered" in failed.err) == (0, True)
    assert len(texts(monitor)) == 2
    assert json.loads(failed.err.splitlines()[-1])["unit"] == "avatarlab-verify.service"
    ran = invoke("host=127.0.0.1 port=1", *RUN, env=env)
    (warning,) = [json.loads(line) for line in ran.err.splitlines() if "not remembered" in line]
    assert (warning["job"], len(warning["run"])) == ("check-limits", 36)


def test_a_service_that_failed(
    migrated_panel_conninfo: str, monitor: Listener, tmp_path: Path, body: SimpleNamespace
) -> None:
    """What a command has told itself is not told again; what it could not is, until a run is well again."""

    def fail(_: sa.Connection, __: Task) -> Result:
        raise ZeroDivisionError

    env = told(monitor, tmp_path)
    body.run = fail
    invoke(migrated_panel_conninfo, *RUN, env={**env, "INVOCATION_ID": "one"})
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
    invoke(migrated_panel_conninfo, *RUN, env=env)
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
def test_systemd_is_told(migrated_panel_conninfo: str, tmp_path: Path, is_abstract: bool) -> None:
    """Where systemd listens it hears that the run has begun, what is done, and that it ends; and nobody listening is no error."""
    name = f"@avatarlab-{tmp_path.name}" if is_abstract else str(tmp_path / "notify")
    env = {"NOTIFY_SOCKET": name}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1))
        systemd.settimeout(10)
        assert invoke(migrated_panel_conninfo, *RUN, env=env).code == 0
        heard = [systemd.recv(4096).decode().splitlines() for _ in range(3)]
    (run,) = runs(migrated_panel_conninfo)
    assert heard[1] == ["STATUS=check-limits: transaction 1 done, 0 rows written so far"]
    assert heard[0] == ["READY=1", f"STATUS=check-limits: run {run['id']}"]
    assert heard[-1][0] == "STOPPING=1"
    assert UUID(heard[0][1].rpartition(" ")[2]) == run["id"]
    for nowhere in (name, "/nonexistent/x", "relative", ""):
        assert invoke(migrated_panel_conninfo, *RUN, env={"NOTIFY_SOCKET": nowhere}) == Outcome(0, "", "")


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
