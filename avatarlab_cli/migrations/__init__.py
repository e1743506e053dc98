"""Bringing a database to this version's schema, at once or by a script.

The revisions are Alembic's; their statements only ever add what is missing. So they may run in any order of
earlier attempts, on a database where the web panel was here first, and a second time without effect.
"""

import functools
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psycopg
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

from avatarlab_cli.database import translated
from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.private import SCHEMA

VERSION_TABLE = f"{SCHEMA}.alembic_version"
LOCK_TIMEOUT = "5s"
"""How long one statement waits for a table: readers and writers queue behind it meanwhile."""
STATEMENT_TIMEOUT = "60s"

# The advisory lock stands before lock_timeout: waiting for another migration blocks nobody. A search_path of
# pg_catalog alone makes PostgreSQL print every name in full, and no function of public can get in between.
_FRAME = (
    f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'",
    "SET LOCAL client_min_messages = warning",
    "SET LOCAL search_path = pg_catalog, pg_temp",
    f"SELECT pg_advisory_xact_lock(hashtextextended('{VERSION_TABLE}', 0))",
    f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'",
)
_HEADER = """The administration schema of AvatarLab: paste the whole text into the SQL editor of the platform's database.
All of it happens or nothing does; what is there already stays as it is, so it may be run again."""
_NEWER = "install the version of the toolkit that wrote it, or a later one"
_NOT_AVATARLAB = "check which database is meant: the platform's tables must be there first"


@dataclass(frozen=True)
class MigrationResult:
    """What an upgrade did; the revisions in `applied` are in the order they ran."""

    from_revision: str | None
    to_revision: str
    applied: tuple[str, ...]


@dataclass(frozen=True)
class MigrationStatus:
    """Where a database stands; `pending` are the revisions it lacks, oldest first."""

    current: str | None
    head: str
    pending: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        """Tell whether nothing is pending."""
        return not self.pending


def upgrade(connection: sa.Connection, *, repair: bool = False) -> MigrationResult:
    """Bring the database to the newest revision in one transaction, and commit it.

    `connection` must not be inside a transaction block of the caller's; a second upgrade waits for the first.
    With `repair` every revision runs again, which restores what was dropped or opened since. Raises
    ConfigurationError, nothing being changed, for a database that is not AvatarLab's, that a newer version has
    migrated, or whose rows forbid a constraint; BusyError when a table is in use for too long.
    """
    with translated():
        try:
            result = _upgrade(connection, repair=repair)
            connection.commit()
        except sa.exc.DBAPIError as error:
            connection.rollback()
            if isinstance(error.orig, psycopg.Error) and error.orig.sqlstate == ops.SCHEMA_PROBLEM:
                diagnosis = error.orig.diag
                raise ConfigurationError(
                    str(diagnosis.message_primary), hint=diagnosis.message_hint
                ) from error
            raise
        except BaseException:
            connection.rollback()
            raise
    return result


def script() -> str:
    """Give the whole migration as SQL for an editor or psql: one transaction, for any state, repeatable."""
    output = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": output}
    )
    with Operations.context(context):
        ops.note(_HEADER)
        ops.run("BEGIN", *_FRAME)
        _apply(revisions())
        ops.run("COMMIT")
    return output.getvalue()


def current(connection: sa.Connection) -> str | None:
    """Return the revision the database is at, None if it was never migrated."""
    if connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": VERSION_TABLE}) is None:
        return None
    revision = connection.scalars(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).one_or_none()
    return None if revision is None else str(revision)


def head() -> str:
    """Return the newest revision this version knows."""
    return revisions()[-1]


def status(connection: sa.Connection) -> MigrationStatus:
    """Compare the database's revision with this version's.

    Raises ConfigurationError when a newer version of the toolkit has migrated the database.
    """
    revision = current(connection)
    return MigrationStatus(revision, head(), _after(revision))


def _upgrade(connection: sa.Connection, *, repair: bool) -> MigrationResult:
    with Operations.context(MigrationContext.configure(connection)):
        ops.run(*_FRAME)
        before = current(connection)
        pending = revisions() if repair else _after(before)
        if pending:
            _apply(pending)
    return MigrationResult(before, head(), pending)


@functools.cache
def revisions() -> tuple[str, ...]:
    """Return all revisions, oldest first."""
    return tuple(item.revision for item in _scripts())


def _scripts() -> tuple[Script, ...]:
    scripts = ScriptDirectory(str(Path(__file__).parent))
    return tuple(reversed(list(scripts.walk_revisions())))


def _after(revision: str | None) -> tuple[str, ...]:
    if revision is None:
        return revisions()
    if revision not in revisions():
        raise ConfigurationError(_newer_message(revision), hint=_NEWER)
    return revisions()[revisions().index(revision) + 1 :]


def _apply(wanted: Collection[str]) -> None:
    _require_platform()
    ops.run(
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
        f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} "
        "(version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY)",
    )
    _refuse_newer()
    for item in _scripts():
        if item.revision in wanted:
            ops.note(f"{item.revision}: {item.doc}")
            item.module.upgrade()
    ops.run(
        f"DELETE FROM {VERSION_TABLE} WHERE version_num <> '{head()}'",
        f"INSERT INTO {VERSION_TABLE} VALUES ('{head()}') ON CONFLICT DO NOTHING",
    )


def _require_platform() -> None:
    ops.run_if(
        "current_setting('server_version_num')::int < 150000",
        ops.problem(
            "'PostgreSQL 15 or newer is needed, this is ' || current_setting('server_version')",
            "upgrade the server first",
        ),
    )
    ops.run_if(
        "to_regclass('auth.users') IS NULL",
        ops.problem("'this is not an AvatarLab database: auth.users is missing'", _NOT_AVATARLAB),
    )


def _refuse_newer() -> None:
    known = ", ".join(f"'{revision}'" for revision in revisions())
    unknown = f"SELECT version_num FROM {VERSION_TABLE} WHERE version_num NOT IN ({known})"
    ops.run_if(
        f"EXISTS ({unknown})",
        ops.problem(ops.literal(_newer_message("%s")).join(("format(", f", ({unknown} LIMIT 1))")), _NEWER),
    )


def _newer_message(revision: str) -> str:
    return f"the database is at revision {revision}, which this version of the toolkit does not know"
