"""Where a report goes: stdout, the terminal's pager, or a file that appears whole or not at all."""

import io
import os
import secrets
import shlex
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from avatarlab_cli.errors import AvatarLabError
from avatarlab_cli.output.environment import Environment
from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.output.text import visible

if TYPE_CHECKING:
    from psycopg.abc import Buffer


class Sink:
    """Takes text and UTF-8 blocks; a `safe` one shows control characters instead of obeying them."""

    def __init__(self, stream: IO[bytes], *, encoding: str = "utf-8", safe: bool = False) -> None:
        self._stream = stream
        self._encoding = encoding
        self._safe = safe

    def write(self, text: str) -> None:
        """Write text; what the terminal cannot show becomes an escape."""
        shown = visible(text) if self._safe else text
        self._stream.write(shown.encode(self._encoding, "backslashreplace"))

    def write_all(self, chunks: Iterable[str]) -> None:
        """Write text as it comes."""
        for chunk in chunks:
            self.write(chunk)

    def write_blocks(self, blocks: Iterable["Buffer"]) -> None:
        """Write UTF-8 that is ready to go."""
        if self._safe:
            self.write_all(bytes(block).decode() for block in blocks)
        else:
            self._stream.writelines(blocks)


def is_terminal(options: OutputOptions, environment: Environment) -> bool:
    """Tell whether the report will be seen on a terminal."""
    return environment.stdout_is_tty and options.path is None


@contextmanager
def opened(options: OutputOptions, environment: Environment) -> Iterator[Sink]:
    """Open what the options name; raises AvatarLabError for a file that cannot be written."""
    if options.path is not None:
        with _file(Path(options.path)) as stream:
            yield Sink(stream)
        return
    with _standard_output(environment) as stream:
        if not is_terminal(options, environment):
            yield Sink(stream)
        elif options.resolved_format is Format.TABLE:
            # Tables escape each cell themselves, and their own colours must pass.
            page = io.BytesIO()
            yield Sink(page, encoding=environment.stdout.encoding)
            _show(page.getvalue(), stream, environment)
        else:
            yield Sink(stream, encoding=environment.stdout.encoding, safe=True)


@contextmanager
def _standard_output(environment: Environment) -> Iterator[BinaryIO]:
    environment.stdout.flush()
    try:
        yield environment.stdout.buffer
        environment.stdout.flush()
    except BrokenPipeError:
        # What is still buffered must not fail a second time when the interpreter ends.
        with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), environment.stdout.fileno())
        raise


def _show(page: bytes, stream: BinaryIO, environment: Environment) -> None:
    if environment.pager is None or page.count(b"\n") < environment.height:
        stream.write(page)
        return
    variables = {"LESS": "FRX", **environment.env}
    try:
        command = shlex.split(environment.pager)
        pager = subprocess.Popen(command, stdin=subprocess.PIPE, env=variables)  # noqa: S603 (the user's own)
    except (OSError, ValueError):
        stream.write(page)
        return
    # Leaving the pager before the end is no error: communicate ignores the closed pipe.
    with pager:
        pager.communicate(page)


def demand_writable(path: Path) -> None:
    """Raise AvatarLabError for a file that could not be written now: its directory is missing or closed to us."""
    target = Path(os.path.realpath(path))
    place = target if target.exists() and not target.is_file() else target.parent
    if target.is_dir() or not os.access(place, os.W_OK):
        why = (
            "it is a directory"
            if target.is_dir()
            else "no such directory"
            if not place.exists()
            else "not permitted"
        )
        raise AvatarLabError(f"cannot write {path}: {why}", hint="check the directory and its rights")


@contextmanager
def private_file(path: Path) -> Iterator[Sink]:
    """Open a file that its owner alone can read, whole or not at all; raises AvatarLabError."""
    with _file(path, mode=stat.S_IFREG | 0o600) as stream:
        yield Sink(stream)


@contextmanager
def public_file(path: Path) -> Iterator[Sink]:
    """Open a file that everybody can read whatever the umask says, whole or not at all; raises AvatarLabError."""
    with _file(path, mode=stat.S_IFREG | 0o644) as stream:
        yield Sink(stream)


@contextmanager
def _file(path: Path, mode: int | None = None) -> Iterator[IO[bytes]]:
    try:
        target = Path(os.path.realpath(path))
        mode = target.stat().st_mode if target.exists() and not target.is_file() else mode or _mode_of(target)
        # Replacing a device or a FIFO would destroy it: /dev/null is written, not renamed over.
        is_special = mode is not None and not stat.S_ISREG(mode)
        with target.open("wb") if is_special else _replacing(target, mode) as stream:
            yield stream
    except OSError as error:
        raise AvatarLabError(
            f"cannot write {path}: {error.strerror}",
            hint="check the directory, its rights and the free space",
        ) from error


def _mode_of(target: Path) -> int | None:
    return target.stat().st_mode if target.exists() else None


@contextmanager
def _replacing(target: Path, mode: int | None) -> Iterator[IO[bytes]]:
    """Write beside the target and take its place at the end; an existing file's rights are kept."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    # "x" leaves the rights to the umask, which the tempfile module would not.
    with temporary.open("xb") as stream:
        try:
            if mode is not None:
                os.fchmod(stream.fileno(), stat.S_IMODE(mode))
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
