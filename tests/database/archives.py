"""Rows for archives of personal data, and ways to make and to read one."""

import json
import tarfile
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from avatarlab_cli.archive.writing import Archive, written
from avatarlab_cli.database import Database

ADA, BEN = UUID(int=0xADA), UUID(int=0xBE)


def insert(conninfo: str, table: str, **values: object) -> UUID:
    """Insert one row under a new id, unless it has one, and return the id."""
    row = {"id": uuid4(), **values}
    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f'%({name})s' for name in row)})"
    with psycopg.connect(conninfo) as connection:
        connection.execute(statement.encode(), row)
    found = row["id"]
    assert isinstance(found, UUID)
    return found


def sign_up(conninfo: str, *users: UUID) -> None:
    for user in users:
        insert(conninfo, "auth.users", id=user, email=f"{user.int:x}@example.com")


def export(conninfo: str, user: UUID, path: Path) -> Archive:
    with Database(conninfo).read() as connection, written(connection, user, path) as archive:
        assert not path.exists()
    return archive


def rows_of(directory: Path, table: str) -> list[dict[str, Any]]:
    path = directory / f"{table}.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as packed:
        return {
            member.name.partition("/")[2]: content.read()
            for member in packed
            if (content := packed.extractfile(member))
        }
