"""Connections that work directly and through a transaction pooler, and database errors in the toolkit's terms."""

import functools
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import event
from sqlalchemy.pool import NullPool, QueuePool

from avatarlab_cli import __version__
from avatarlab_cli.errors import (
    AvatarLabError,
    BusyError,
    ConfigurationError,
    NotPermittedError,
    UnavailableError,
)
from avatarlab_cli.refusals import refusal

Isolation = Literal["READ COMMITTED", "REPEATABLE READ"]
CONNECT_TIMEOUT = 10
ATTEMPTS = 4

T = TypeVar("T")


@dataclass(frozen=True)
class Database:
    """One PostgreSQL database, named by a libpq connection string or URL (empty: libpq's own environment).

    `limits` are PostgreSQL settings such as statement_timeout, set for each transaction alone: behind a
    transaction pooler a session's settings would reach strangers. Connections are opened when needed and closed
    after use; all times are UTC.
    """

    conninfo: str
    limits: Mapping[str, str] = field(default_factory=dict)
    _is_kept: bool = False

    @functools.cached_property
    def engine(self) -> sa.Engine:
        """The SQLAlchemy engine; nothing is connected before the first transaction."""
        engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=self.connect,
            **(_KEEPING if self._is_kept else {"poolclass": NullPool}),
            use_native_hstore=False,
            hide_parameters=True,
        )
        event.listen(engine, "begin", self._limit)
        event.listen(engine, "checkin", _forget_read_only)
        return engine

    @contextmanager
    def kept(self) -> Iterator["Database"]:
        """Give the same database with a connection that stays open from one transaction to the next, until the block ends.

        A server needs milliseconds for a new one, and more to learn of each table anew. One that was lost meanwhile is
        replaced; a second transaction beside the first has a connection of its own.
        """
        database = replace(self, _is_kept=True)
        try:
            yield database
        finally:
            database.let_go()

    def let_go(self) -> None:
        """Close the connection that is kept: the next transaction has a new one."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open one read-only transaction with one snapshot of the data.

        Raises an AvatarLabError for whatever the database refuses.
        """
        with translated(), self.engine.connect() as connection:
            yield connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True, stream_results=False
            )

    @contextmanager
    def write(self, isolation: Isolation = "READ COMMITTED") -> Iterator[sa.Connection]:
        """Open one transaction, committed when the block ends well and rolled back otherwise.

        Raises an AvatarLabError for whatever the database refuses.
        """
        with translated(), self.engine.connect() as connection:
            connection.execution_options(isolation_level=isolation)
            with connection.begin():
                yield connection

    @contextmanager
    def preview(self) -> Iterator[sa.Connection]:
        """Open one transaction that is rolled back however the block ends: what would happen, happens to nobody."""
        with translated(), self.engine.connect() as connection, connection.begin() as transaction:
            yield connection
            transaction.rollback()

    def connect(self) -> psycopg.Connection[Any]:
        """Open a connection of the driver's, without the limits; raises what the driver raises, or ConfigurationError."""
        given = _readable(self.conninfo)
        try:
            return psycopg.connect(
                self.conninfo,
                # A prepared statement lives in one server session; the pooler's next transaction may have another.
                prepare_threshold=None,
                connect_timeout=CONNECT_TIMEOUT,
                application_name=f"avatarlab {__version__}",
                client_encoding="utf-8",
                **{name: value for name, value in _LIVENESS.items() if name not in given},
            )
        except psycopg.OperationalError as error:
            from avatarlab_cli.certificates import doubt

            if (doubted := doubt(self.conninfo, str(error))) is not None:
                raise doubted from error
            raise

    def _limit(self, connection: sa.Connection) -> None:
        settings = {"timezone": "UTC", "datestyle": "ISO", **self.limits}
        calls = ", ".join(f"set_config(:name_{i}, :value_{i}, true)" for i in range(len(settings)))
        values = {f"name_{i}": name for i, name in enumerate(settings)}
        values |= {f"value_{i}": value for i, value in enumerate(settings.values())}
        connection.execute(sa.text(f"SELECT {calls}"), values)


def _forget_read_only(connection: psycopg.Connection[Any] | None, _: object) -> None:
    """Leave it to the server whether the next transaction may write: else one that read would have said that it may."""
    if connection is not None and not connection.closed:
        connection.read_only = None


_KEEPING: Mapping[str, Any] = {"poolclass": QueuePool, "pool_size": 1, "pool_pre_ping": True}
# A server that went away without a word is noticed within a minute; the kernel's own answer comes after hours.
_LIVENESS: Mapping[str, Any] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


def _readable(conninfo: str) -> Mapping[str, object]:
    """Return what a text names; raises ConfigurationError for one libpq would misread, quoting some of it: there is a password in it."""
    try:
        parts = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        parts = {"host": "@"}
    host, port = str(parts.get("host") or ""), str(parts.get("port") or "")
    # A password's own @ or / cuts the URL in the wrong place.
    if "@" in host + str(parts.get("dbname") or "") or not re.fullmatch(r"[\d,]*", port):
        raise ConfigurationError("the database URL cannot be read", hint=_URL_FORM) from None
    return parts


@contextmanager
def translated() -> Iterator[None]:
    """Turn driver errors raised in the block into the toolkit's own."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise translate(error.orig) from error
        raise
    except psycopg.Error as error:
        raise translate(error) from error


def translate(error: psycopg.Error) -> AvatarLabError:
    """Say what a database error means for the user; statement texts and values are left out."""
    sqlstate = error.sqlstate or _connection_sqlstate(error)
    # A pooler gives its own refusals this state, libpq none.
    if sqlstate in {"", "08P01", "28P01"} and (told := refusal(str(error))) is not None:
        return told
    message = _first_line(error)
    for states, kind, hint in _MEANINGS:
        if sqlstate in states or sqlstate[:2] in states:
            return kind(message, hint=hint)
    if isinstance(error, psycopg.OperationalError):
        return UnavailableError(f"cannot reach the database: {message}", hint=_UNREACHABLE)
    return AvatarLabError(f"the database refused: {message}", hint="--debug shows the statement")


def is_transient(error: psycopg.Error) -> bool:
    """Tell whether the same transaction may succeed when it is run again at once.

    Also where a row was in the way that another transaction, unseen by this one's snapshot, has inserted.
    """
    return error.sqlstate in {"40001", "40P01", "23505"}


def is_connection_lost(error: psycopg.Error) -> bool:
    """Tell whether the server, or the way to it, went away and may come back; a refused login is none of that."""
    if state := error.sqlstate or _connection_sqlstate(error):
        return state.startswith("08") or state in _GONE
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def cause_of(error: AvatarLabError) -> psycopg.Error | None:
    """Return the database's error behind one of ours, None where there is none."""
    cause = getattr(error.__cause__, "orig", error.__cause__)
    return cause if isinstance(cause, psycopg.Error) else None


def retried(attempt: Callable[[], T], is_worth: Callable[[AvatarLabError], bool], first_wait: float) -> T:
    """Make an attempt, and up to ATTEMPTS where its error is worth another; returns or raises what the last does.

    Each wait is drawn up to twice as long as the one before; `first_wait` is in seconds.
    """
    for number in range(1, ATTEMPTS):
        try:
            return attempt()
        except AvatarLabError as error:
            if not is_worth(error):
                raise
            time.sleep(random.uniform(0, first_wait * 2**number))  # noqa: S311 (a jitter, not a secret)
    return attempt()


def try_lock(connection: sa.Connection, name: str) -> bool:
    """Take the toolkit's lock of this name until the transaction ends, unless somebody else has it.

    A lock of the session would not hold behind a transaction pooler.
    """
    taken = sa.text(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY})")
    return bool(connection.scalar(taken, {"name": name}))


def wait_for_lock(connection: sa.Connection, name: str) -> None:
    """Take the lock of `try_lock`, after whoever has it; `lock_timeout` ends the waiting with a BusyError."""
    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"), {"name": name})


# It was shut down, has crashed, does not serve yet, or has ended a connection that was silent for too long.
_GONE = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
_LOCK_KEY = "hashtextextended('avatarlab:' || :name, 0)"


_URL_FORM = (
    "it reads postgresql://USER:PASSWORD@HOST:PORT/DATABASE;"
    " in the password write @ as %40, / as %2F, % as %25"
)
_UNREACHABLE = "check host, port and network; `avatarlab config show --origin` tells which database is meant"
# SQLSTATEs, or their two-character classes, in the order they are looked at.
_MEANINGS: tuple[tuple[frozenset[str], type[AvatarLabError], str], ...] = (
    (
        frozenset({"28"}),
        NotPermittedError,
        "check the user and password of the database URL",
    ),
    (
        frozenset({"3D000", "F0000", "22023"}),
        ConfigurationError,
        "check the database URL; `avatarlab config show --origin` tells where it was set",
    ),
    (
        frozenset({"42501"}),
        NotPermittedError,
        "grant the privilege to the login, or connect as a role that has it",
    ),
    (
        frozenset({"42P01", "42703", "42704", "3F000", "42883"}),
        ConfigurationError,
        "`avatarlab db status` tells what this database lacks; `avatarlab db migrate` brings the toolkit's own tables, with --repair those that were lost",
    ),
    (
        frozenset({"55P03", "40001", "40P01"}),
        BusyError,
        "somebody else is changing the same rows: try again",
    ),
    (
        frozenset({"53300"}),
        BusyError,
        "the server has no connection left: try again later",
    ),
    (
        frozenset({"53"}),
        UnavailableError,
        "the server is short of memory, disk or locks: its log says of which; try again later",
    ),
    (
        frozenset({"57014"}),
        AvatarLabError,
        "narrow the question, or raise the time with AVATARLAB_STATEMENT_TIMEOUT",
    ),
    (
        frozenset({"25006"}),
        UnavailableError,
        "the server takes no changes now: it is a replica, in recovery, or default_transaction_read_only is on",
    ),
    (frozenset({"57", "08", "25P03"}), UnavailableError, _UNREACHABLE),
)
# libpq reports a refused login, and an option it does not know, as text alone.
_LOGIN_FAILURES = (
    (re.compile(r"password authentication failed|no password supplied|no pg_hba.conf entry"), "28P01"),
    (re.compile(r'role "[^"]*" (does not exist|is not permitted to log in)'), "28000"),
    (re.compile(r'database "[^"]*" does not exist'), "3D000"),
    (re.compile(r"permission denied for database"), "42501"),
    (re.compile(r"too many (clients|connections)|remaining connection slots"), "53300"),
    (re.compile(r"connection is bad: (?!connection to server)"), "F0000"),
)


def _connection_sqlstate(error: psycopg.Error) -> str:
    return next((state for pattern, state in _LOGIN_FAILURES if pattern.search(str(error))), "")


def _first_line(error: psycopg.Error) -> str:
    if error.diag.message_primary:
        return error.diag.message_primary
    lines = [line for line in str(error).strip().splitlines() if "Is the server running" not in line]
    # Of several addresses tried, the last one's reason stands last.
    text = lines[-1] if lines else type(error).__name__
    return re.sub(r"^.*(FATAL:\s+|connection (failed|is bad): )", "", text).strip()
