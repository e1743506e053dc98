"""What is asked of the machine: to run its programs, and to keep files."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from avatarlab_cli.errors import AvatarLabError, ConfigurationError, NotPermittedError
from avatarlab_cli.output.sink import public_file

_TIMEOUT_SECONDS = 90


def demand_root() -> None:
    """Raise NotPermittedError unless this process may change what is the system's."""
    if os.geteuid() != 0:
        raise NotPermittedError(
            "only root installs timers for the system", hint="run this with sudo, or give --user for your own"
        )


def program(name: str, variables: Mapping[str, str], *, hint: str) -> str:
    """Return a program's path; raises ConfigurationError where the machine does not have it."""
    # The administrator's programs are not in everybody's PATH.
    path = f"{variables.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        raise ConfigurationError(f"there is no {name} on this machine", hint=hint)
    return found


def run(command: list[str], variables: Mapping[str, str], *, text: str | None = None) -> tuple[int, str, str]:
    """Run a program with what it is to read; returns its exit code, and what it wrote to stdout and stderr."""
    # What it says is to be understood here.
    plain = {**variables, "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(  # noqa: S603 (a program found by `program`)
            command,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
            env=plain,
        )
    except subprocess.TimeoutExpired as error:
        raise AvatarLabError(f"{command[0]} did not answer for {_TIMEOUT_SECONDS} seconds") from error
    return done.returncode, done.stdout, done.stderr.strip()


def demand_done(
    command: list[str], variables: Mapping[str, str], *, hint: str, text: str | None = None
) -> str:
    """Run a program and return what it wrote; raises AvatarLabError with its own words where it failed."""
    code, out, err = run(command, variables, text=text)
    if code != 0:
        why = err.splitlines()[0] if err else f"exit code {code}"
        raise AvatarLabError(f"{' '.join(command)}: {why}", hint=hint)
    return out


def read(path: Path) -> str | None:
    """Return a file's text, None where there is none; raises AvatarLabError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AvatarLabError(f"cannot read {path}: {error.strerror}") from error


def write(path: Path, text: str) -> None:
    """Write a file that all may read, whole or not at all; raises AvatarLabError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AvatarLabError(f"cannot make {path.parent}: {error.strerror}") from error
    with public_file(path) as sink:
        sink.write(text)


def make_private(path: Path, user: int, group: int) -> None:
    """Make a directory that a user alone may read and write, or have one that is there be that; raises AvatarLabError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, user, group)
        path.chmod(0o700)
    except OSError as error:
        raise AvatarLabError(f"cannot make {path}: {error.strerror}") from error


def remove(path: Path) -> None:
    """Remove a file; raises AvatarLabError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise AvatarLabError(f"cannot remove {path}: {error.strerror}") from error
