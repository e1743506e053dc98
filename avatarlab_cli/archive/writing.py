"""Writing an archive: whole or not at all, readable by its owner alone, the same bytes for the same rows."""

import gzip
import hashlib
import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli import __version__
from avatarlab_cli.archive.holdings import Holding, holdings
from avatarlab_cli.archive.redaction import redacted
from avatarlab_cli.errors import AvatarLabError, RefusedError, UsageError
from avatarlab_cli.output import copying

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
PACKED = (".tar.gz", ".tgz")
_OTHER_KINDS = frozenset({".7z", ".bz2", ".gz", ".tar", ".xz", ".zip"})
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Archive:
    """A complete archive: where it goes and what its manifest says."""

    path: Path
    manifest: dict[str, Any]

    @property
    def rows(self) -> dict[str, int]:
        """The rows of each table."""
        return {file["table"]: file["rows"] for file in self.manifest["files"]}

    @property
    def digest(self) -> str:
        """The SHA-256 of the manifest, which holds those of all the files."""
        return hashlib.sha256(_manifest_bytes(self.manifest)).hexdigest()


@contextmanager
def written(
    connection: sa.Connection, user: UUID, path: Path, progress: Progress | None = None
) -> Iterator[Archive]:
    """Write the user's data beside `path`; it takes its place when the block ends well.

    It is packed where the name ends in .tar.gz or .tgz, else a directory. The transaction should see one snapshot.
    An existing file is replaced; raises UsageError for another kind of archive, RefusedError for a directory that exists, AvatarLabError where nothing can
    be written.
    """
    is_packed = path.name.endswith(PACKED)
    if not is_packed and path.suffix in _OTHER_KINDS:
        raise UsageError(f"{path.suffix} is not a kind of archive written here", hint="name it NAME.tar.gz")
    if path.exists() and not (is_packed and path.is_file()):
        raise RefusedError(f"{path} exists already", hint="name a directory that is not there yet")
    directory = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with _explained(path):
            directory.mkdir(mode=0o700)
            manifest = _fill(connection, user, directory, progress)
            finished = _packed(directory, str(user), manifest) if is_packed else directory
        yield Archive(path, manifest)
        with _explained(path):
            finished.replace(path)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AvatarLabError(
            f"cannot write {path}: {error.strerror}",
            hint="check the directory, its rights and the free space",
        ) from error


def _fill(
    connection: sa.Connection, user: UUID, directory: Path, progress: Progress | None
) -> dict[str, Any]:
    found, left_out = holdings(connection, user)
    created_at: datetime = connection.execute(sa.text("SELECT now()")).scalar_one()
    described = []
    for holding in found:
        described.append(_write_table(connection, holding, directory))
        if progress:
            progress(holding.table, described[-1]["rows"])
    manifest = {
        "format": "avatarlab-personal-data",
        "format_version": FORMAT_VERSION,
        "toolkit_version": __version__,
        "created_at": created_at.replace(tzinfo=None).isoformat() + "Z",
        "user_id": str(user),
        "files": [file for file in described if file["rows"]],
        "empty_tables": [file["table"] for file in described if not file["rows"]],
        "left_out": dict(sorted(left_out.items())),
    }
    with _created(directory / MANIFEST) as stream:
        stream.write(_manifest_bytes(manifest))
    return manifest


def _manifest_bytes(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, ensure_ascii=False, indent=2).encode() + b"\n"


def _write_table(connection: sa.Connection, holding: Holding, directory: Path) -> dict[str, Any]:
    """Write one table's rows and describe the file; one without rows is not kept."""
    path = directory / f"{holding.table}.ndjson"
    digest, rows = hashlib.sha256(), 0
    statement = copying.compiled(holding.select, connection)
    with _created(path) as stream, copying.rows(statement, connection) as lines:
        for line in _redacted(text for (text,) in lines):
            stream.write(line)
            digest.update(line)
            rows += 1
    size = path.stat().st_size
    if not rows:
        path.unlink()
    return {
        "file": path.name,
        "table": holding.table,
        "rows": rows,
        "bytes": size,
        "sha256": digest.hexdigest(),
        "columns_left_out": list(holding.left_out),
    }


def _redacted(lines: Iterable[str | None]) -> Iterator[bytes]:
    for line in lines:
        row = redacted(json.loads(line or "{}", parse_float=_number))
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _number(text: str) -> float | str:
    """Return a number as Python writes it, or its own text where that would lose digits."""
    value = float(text)
    return value if Decimal(repr(value)) == Decimal(text) else text


@contextmanager
def _created(path: Path) -> Iterator[Any]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _packed(directory: Path, name: str, manifest: dict[str, Any]) -> Path:
    """Pack the directory's files under a folder called `name`, the manifest first, and return the one they make."""
    packed = directory / "packed"
    files = [MANIFEST, *(file["file"] for file in manifest["files"])]
    moment = int(datetime.fromisoformat(manifest["created_at"]).timestamp())
    with (
        _created(packed) as stream,
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=moment) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in files:
            member = tarfile.TarInfo(f"{name}/{file}")
            member.size, member.mtime, member.mode = (directory / file).stat().st_size, moment, 0o600
            with (directory / file).open("rb") as content:
                archive.addfile(member, content)
            (directory / file).unlink()
    return packed
