"""Debian's PostgreSQL 15 and PgBouncer, started from their packages' programs in temporary directories."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import TEST_SETTINGS, in_memory

POSTGRES = Path("/usr/lib/postgresql/15/bin")
PGBOUNCER = Path("/usr/sbin/pgbouncer")
# Neither program runs as root; the packages create this user.
SYSTEM_USER = "postgres"
PORT = 5432
START_SECONDS = 20.0


@pytest.fixture(scope="session")
def debian_server() -> Iterator[str]:
    """A superuser's connection string, without a database, to Debian's PostgreSQL 15."""
    demand(POSTGRES / "initdb", "postgresql-15")
    with directory() as home:
        data = home / "data"
        run_as_service([POSTGRES / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"])
        lines = {**TEST_SETTINGS, "listen_addresses": "", "unix_socket_directories": str(home), "port": PORT}
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
        with running([POSTGRES / "postgres", "-D", data], home / f".s.PGSQL.{PORT}"):
            yield f"host={home} port={PORT} user=postgres"


@pytest.fixture
def pooler(debian_server: str) -> Iterator[Callable[[int], str]]:
    """Starts PgBouncers in transaction mode before PostgreSQL 15, each with so many server connections.

    Nothing cleans a connection between two clients. The result is a connection string without a database.
    """
    with ExitStack() as stack:
        yield lambda size: stack.enter_context(pgbouncer(debian_server, size))


@contextmanager
def pgbouncer(server: str, size: int, **own: object) -> Iterator[str]:
    """Run a PgBouncer with settings of one's `own`; yields its connection string, without a database."""
    demand(PGBOUNCER, "pgbouncer")
    port = own.get("listen_port", PORT)
    with directory() as home:
        settings = {
            "listen_port": port,
            "unix_socket_dir": home,
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": size,
            "server_reset_query": "",
            # A transaction that waits for a connection its own process holds must fail, not hang.
            "query_wait_timeout": 20,
            **own,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        config = home / "pgbouncer.ini"
        config.write_text(f"[databases]\n* = {server}\n\n[pgbouncer]\n{lines}")
        with running([PGBOUNCER, "-q", config], home / f".s.PGSQL.{port}"):
            yield f"host={home} port={port} user=postgres"


def demand(program: Path, package: str) -> None:
    if not program.exists():
        pytest.fail(f"{program} is missing: apt-get install {package}")


@contextmanager
def directory() -> Iterator[Path]:
    """Create a directory of the services' user, with a path short enough for a socket, and remove it."""
    path = Path(tempfile.mkdtemp(prefix="avatarlab-", dir=in_memory() or "/tmp"))  # noqa: S108 (mkdtemp makes it)
    if (user := service_user()) is not None:
        shutil.chown(path, user)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def service_user() -> str | None:
    """Return the user to become, None where the tests do not run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER).pw_name
    except KeyError:
        pytest.fail(f"there is no user {SYSTEM_USER}: apt-get install postgresql-15")


def run_as_service(command: Sequence[str | Path]) -> None:
    done = subprocess.run(
        command, user=service_user(), capture_output=True, text=True, check=False, cwd="/", timeout=60
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def running(command: Sequence[str | Path], address: Path) -> Iterator[None]:
    """Run a server until the block ends; it serves once its socket accepts connections."""
    # What it writes goes to its directory's log, read only when it does not come up.
    log = address.parent / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, user=service_user(), cwd="/", stdout=output, stderr=output)
    try:
        wait_for(address, process, log)
        yield
    finally:
        # SIGINT ends both servers without waiting for their clients.
        process.send_signal(signal.SIGINT)
        process.wait(START_SECONDS)


def wait_for(address: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(address))
            return
        time.sleep(0.05)
    pytest.fail(f"{process.args!r} did not start: {log.read_text()}")
