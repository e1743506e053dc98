"""What was told already, on this machine: so that nobody is told the same twice."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from avatarlab_cli.errors import AvatarLabError, BusyError
from avatarlab_cli.output.sink import private_file

# Whoever is before us may wait for a webhook as long as it has patience.
_LONGEST_WAIT_SECONDS = 45


@dataclass(frozen=True)
class Told:
    """A finding that was told: `mark` tells it from another, `at` is when; systemd's `invocation` met it last."""

    mark: str
    at: datetime
    invocation: str | None = None


def directory(variables: Mapping[str, str]) -> Path:
    """Return where it is kept: what systemd gave the service, else the user's own directory for such."""
    if given := variables.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    home = Path(variables.get("HOME") or "/")
    return Path(variables.get("XDG_STATE_HOME") or home / ".local/state") / "avatarlab"


@contextmanager
def remembered(place: Path) -> Iterator[dict[str, Told]]:
    """Yield what was told, by key, to one process at a time; what the block leaves there is kept.

    Raises AvatarLabError where nothing can be kept, BusyError where another process does not come to an end.
    """
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not the file itself, which is replaced.
        lock = os.open(place / "told.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AvatarLabError(f"cannot write in {place}: {error.strerror}") from error
    with os.fdopen(lock):
        _wait_for(lock)
        told = _read(place / "told.json")
        before = dict(told)
        try:
            yield told
        finally:
            if told != before:
                _write(place / "told.json", told)


def _wait_for(descriptor: int) -> None:
    until = time.monotonic() + _LONGEST_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise BusyError("another process is telling something, and does not come to an end") from None
            time.sleep(0.05)
        else:
            return


def _read(path: Path) -> dict[str, Told]:
    """Return what a file says; one that cannot be understood says nothing, and what it said is told again."""
    try:
        entries = json.loads(path.read_text())
        return {
            key: Told(entry["mark"], datetime.fromisoformat(entry["at"]), entry["invocation"])
            for key, entry in entries.items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _write(path: Path, told: Mapping[str, Told]) -> None:
    entries = {key: {**asdict(each), "at": each.at.isoformat()} for key, each in sorted(told.items())}
    with private_file(path) as sink:
        sink.write(json.dumps(entries, indent=1) + "\n")
