"""Logins of less than a superuser's rights, for the tests of what is refused."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

PASSWORD = "s3cr3t-value"  # noqa: S105 (an invented one, to be looked for where it must not be)


@contextmanager
def login(conninfo: str, *grants: str, options: str = "") -> Iterator[str]:
    """Create a role with these grants (`{role}` stands for it), yield its name, drop it with all it owns."""
    role = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN {options}".encode())
        try:
            for grant in grants:
                connection.execute(grant.format(role=role).encode())
            yield role
        finally:
            connection.execute(f"DROP OWNED BY {role}".encode())
            connection.execute(f"DROP ROLE {role}".encode())


@contextmanager
def login_with_password(conninfo: str) -> Iterator[str]:
    """Create a role whose PASSWORD the server demands, by a first line of its own in pg_hba.conf."""
    with (
        login(conninfo, options=f"PASSWORD '{PASSWORD}'") as role,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        before = _hba_lines(connection)
        _write_hba(connection, [f"local all {role} scram-sha-256", *before])
        try:
            yield role
        finally:
            _write_hba(connection, before)


def as_role(conninfo: str, role: str, password: str | None = None) -> str:
    """Return the connection string with another login."""
    return make_conninfo(conninfo, user=role, password=password)


def _hba_lines(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    row = connection.execute("SELECT pg_read_file(current_setting('hba_file'))").fetchone()
    lines = str(row and row[0]).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]


def _write_hba(connection: psycopg.Connection[tuple[object, ...]], lines: list[str]) -> None:
    row = connection.execute("SHOW hba_file").fetchone()
    content, path = sql.Literal(lines), sql.Literal(row and row[0])
    connection.execute(sql.SQL("COPY (SELECT unnest({}::text[])) TO {}").format(content, path))
    connection.execute("SELECT pg_reload_conf()")
