"""Commands as a test gives them: in this process, as a process in a pipe, or on a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from typer.testing import CliRunner

from avatarlab_cli.context import Context
from avatarlab_cli.main import app
from tests.conftest import DEMO_END

NOWHERE = "/nonexistent"
# Nothing of the machine the tests run on may reach a command.
BARE = {"HOME": NOWHERE, "XDG_CONFIG_DIRS": NOWHERE, "PATH": os.environ.get("PATH", "")}


@dataclass(frozen=True)
class Outcome:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


def variables(conninfo: str | None, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a command's environment, with a database or without one."""
    database = {} if conninfo is None else {"AVATARLAB_DATABASE_URL": conninfo}
    return {**BARE, **database, **(more or {})}


def invoke(
    conninfo: str | None, *arguments: str, env: Mapping[str, str] | None = None, now: datetime = DEMO_END
) -> Outcome:
    """Run a command in this process; its clock stands at `now`."""
    context = Context(variables(conninfo, env), clock=lambda: now)
    result = CliRunner().invoke(app, list(arguments), obj=context, prog_name="avatarlab")
    return Outcome(result.exit_code, result.stdout, result.stderr)


def command(*arguments: str) -> list[str]:
    """Return what starts the command as a process of its own."""
    return [sys.executable, "-m", "avatarlab_cli", *arguments]


def process(conninfo: str | None, *arguments: str, env: Mapping[str, str] | None = None) -> Outcome:
    """Run a command as a process whose streams are pipes."""
    done = subprocess.run(
        command(*arguments),
        env=variables(conninfo, env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def terminal(
    conninfo: str | None,
    *arguments: str,
    columns: int = 80,
    answer: str = "",
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a command on a terminal of its own, which shows both its streams; `answer` is typed there."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    shown = {"TERM": "xterm", "PAGER": "cat", **(env or {})}
    running = subprocess.Popen(
        command(*arguments),
        env=variables(conninfo, shown),
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        start_new_session=True,
    )
    os.close(secondary)
    os.write(primary, answer.encode())
    screen = bytearray()
    try:
        while block := os.read(primary, 65536):
            screen += block
    except OSError:
        # The other side is closed: the command has ended.
        pass
    finally:
        os.close(primary)
    return Outcome(running.wait(60), screen.decode().replace("\r\n", "\n"), "")
