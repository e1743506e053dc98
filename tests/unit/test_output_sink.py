"""Files that appear whole or not at all, devices, pagers, closed pipes."""

import errno
import io
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from avatarlab_cli.errors import AvatarLabError
from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.output.write import write_rows
from avatarlab_cli.report import Column
from tests.streams import Streams

COLUMNS = (Column("a"),)
ROWS = [{"a": "x\x1b"}]


def save(path: Path, rows: list[dict[str, str]] | Iterator[dict[str, str]] | None = None) -> Streams:
    """Write a CSV file and return the streams, which stay empty."""
    streams = Streams(terminal=True)
    options = OutputOptions(Format.CSV, out=str(path))
    write_rows(COLUMNS, ROWS if rows is None else rows, options, streams.environment)
    return streams


def test_a_file_gets_the_data_unchanged(tmp_path: Path) -> None:
    """A file is no terminal: the data passes as it is, and stdout stays empty."""
    streams = save(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b"a\nx\x1b\n"
    assert streams.out == ""


def test_a_dash_is_stdout() -> None:
    """`--out -` writes to stdout."""
    streams = Streams()
    write_rows(COLUMNS, ROWS, OutputOptions(Format.IDS, out="-"), streams.environment)
    assert streams.out == "x\x1b\n"


def test_a_new_file_follows_the_umask_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    """A report is as readable as any new file, and rewriting it opens it to no one else."""
    path = tmp_path / "out.csv"
    before = os.umask(0o027)
    try:
        save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Writing through a symbolic link replaces what it points to."""
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    save(link)
    assert link.is_symlink()
    assert target.read_text() == "a\nx\x1b\n"


def test_a_failure_midway_leaves_the_old_file(tmp_path: Path) -> None:
    """When a row cannot be made, the old file stays as it was and nothing lies beside it."""
    path = tmp_path / "out.csv"
    path.write_text("old")

    def rows() -> Iterator[dict[str, str]]:
        yield {"a": "x"}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        save(path, rows())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the data cannot reach the disk, the error names the file and the temporary one is gone."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AvatarLabError, match=r"cannot write .*out\.csv: No space left on device") as caught:
        save(tmp_path / "out.csv")
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"), [("missing/out.csv", "No such file or directory"), ("", "Is a directory")]
)
def test_an_impossible_path_is_said(tmp_path: Path, name: str, reason: str) -> None:
    """A missing directory and a directory in the file's place are named as such."""
    with pytest.raises(AvatarLabError, match=reason):
        save(tmp_path / name)


def test_a_device_is_written_and_not_replaced() -> None:
    """The null device stays a device, and a full one says so."""
    save(Path("/dev/null"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(AvatarLabError, match="No space left on device"):
        save(Path("/dev/full"))


def test_a_long_table_is_paged(tmp_path: Path) -> None:
    """A table longer than the screen goes through PAGER with LESS=FRX; a short one does not."""
    script = tmp_path / "pager"
    script.write_text(f'#!/bin/sh\necho "$LESS" > {tmp_path}/less\ncat > {tmp_path}/page\n')
    script.chmod(0o700)
    short, long = (Streams(terminal=True, size=(80, height), env={"PAGER": str(script)}) for height in (9, 3))
    rows = [{"a": "1"}, {"a": "2"}, {"a": "3"}]
    write_rows(COLUMNS, rows, OutputOptions(), short.environment)
    assert short.out == "a\n1\n2\n3\n"
    write_rows(COLUMNS, rows, OutputOptions(), long.environment)
    assert long.out == ""
    assert (tmp_path / "page").read_text() == "a\n1\n2\n3\n"
    assert (tmp_path / "less").read_text() == "FRX\n"


@pytest.mark.parametrize("pager", ["/nonexistent/pager", "'unclosed", "true"])
def test_a_broken_pager_is_no_failure(pager: str) -> None:
    """A pager that cannot start lets the table through; one that quits early has been read enough."""
    streams = Streams(terminal=True, size=(80, 3), env={"PAGER": pager})
    write_rows(COLUMNS, [{"a": "x" * 70}] * 40, OutputOptions(), streams.environment)
    assert streams.out.count("\n") == (0 if pager == "true" else 41)


def test_text_a_terminal_cannot_show_becomes_an_escape() -> None:
    """A terminal without Unicode still gets the whole line."""
    streams = Streams(terminal=True)
    raw = io.BytesIO()
    ascii_only = io.TextIOWrapper(raw, "ascii")
    environment = type(streams.environment)(
        streams.environment.stdin, ascii_only, streams.environment.stderr, stdout_is_tty=True
    )
    write_rows(COLUMNS, [{"a": "ü"}], OutputOptions(Format.IDS), environment)
    assert raw.getvalue() == b"\\xfc\n"


def test_a_closed_pipe_is_raised_once_and_leaves_no_traceback() -> None:
    """The reader is gone: the caller learns it, and the interpreter does not complain again at its end."""
    script = """
import sys
from avatarlab_cli.output.environment import Environment
from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.output.write import write_rows
from avatarlab_cli.report import Column
try:
    rows = ({"a": "x" * 1000} for _ in range(10_000))
    write_rows((Column("a"),), rows, OutputOptions(Format.CSV), Environment.create())
except BrokenPipeError:
    sys.exit(141)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process:
        assert process.stderr.read() == b""
    assert process.returncode == 141
