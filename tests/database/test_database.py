"""Transactions as the toolkit opens them, and what the database refuses, in the toolkit's terms."""

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database, is_transient, translate
from avatarlab_cli.errors import (
    AvatarLabError,
    BusyError,
    ConfigurationError,
    NotPermittedError,
    UnavailableError,
)
from tests.database.contents import wait_until
from tests.database.logins import PASSWORD, as_role, login, login_with_password

LIMITS = {"statement_timeout": "7s", "lock_timeout": "3s", "work_mem": "16MB"}


@pytest.fixture
def database(empty_conninfo: str) -> Database:
    """An empty database with limits of its own."""
    return Database(empty_conninfo, LIMITS)


@pytest.fixture
def role(empty_conninfo: str) -> Iterator[str]:
    """A login without any right in the database."""
    with login(empty_conninfo) as name:
        yield name


def settings(connection: sa.Connection) -> dict[str, str]:
    names = ("TimeZone", *LIMITS)
    return {name: str(connection.scalar(sa.text(f"SHOW {name}"))) for name in names}


def attempt(database: Database, statement: str) -> None:
    with database.write() as connection:
        connection.execute(sa.text(statement))


def test_limits_hold_in_both_kinds_of_transaction(database: Database) -> None:
    """Time zone and limits are set wherever statements run."""
    expected = {"TimeZone": "UTC", **LIMITS}
    with database.read() as connection:
        assert settings(connection) == expected
    with database.write() as connection:
        assert settings(connection) == expected


def test_settings_do_not_leak_out_of_the_transaction(database: Database) -> None:
    """After a transaction the session is as it was: behind a pooler it goes to a stranger next."""
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with connection.begin():
            assert settings(connection)["lock_timeout"] == "3s"
        driver.autocommit = True
        shown = [driver.execute(f"SHOW {name}".encode()).fetchone() for name in LIMITS]
        statements = driver.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
        driver.autocommit = False
    assert shown == [("0",), ("0",), ("4MB",)]
    assert statements == (0,)


def session(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.text("SELECT pg_backend_pid()")) or 0)


def end_session(database: Database, process: int) -> None:
    attempt(database, f"SELECT pg_terminate_backend({process}, 5000)")


def test_a_kept_connection_serves_one_transaction_after_another(database: Database) -> None:
    """Of a kept connection each transaction has the limits, one beside it has its own, and the end closes it."""
    with database.kept() as kept:
        with kept.read() as connection:
            first = session(connection)
        with kept.write() as connection:
            assert session(connection) == first
            assert settings(connection)["lock_timeout"] == "3s"
            with kept.write() as beside:
                assert session(beside) != first
    with database.read() as connection:
        open_ = "SELECT count(*) FROM pg_stat_activity WHERE pid = :pid AND backend_type = 'client backend'"
        wait_until(lambda: connection.scalar(sa.text(open_), {"pid": first}) == 0)


def test_a_kept_connection_that_was_lost_is_replaced(database: Database) -> None:
    """Between two transactions a session may end: the next one has another, and nobody notices."""
    with database.kept() as kept:
        with kept.write() as connection:
            first = session(connection)
        end_session(database, first)
        with kept.write() as connection:
            assert session(connection) != first


def test_who_has_read_leaves_it_to_the_server_whether_to_write(empty_conninfo: str) -> None:
    """After a transaction that reads, a kept connection still takes the server's word that nothing is to be changed."""
    careful = Database(f"{empty_conninfo} options='-c default_transaction_read_only=on'")
    with careful.kept() as kept:
        with kept.read() as connection:
            session(connection)
        with pytest.raises(UnavailableError, match="read-only transaction"):
            attempt(kept, "CREATE TABLE items (id int)")


def test_times_are_utc_whatever_the_login_has_set(empty_conninfo: str, role: str) -> None:
    """A role's or database's own time zone changes no result."""
    with psycopg.connect(empty_conninfo) as connection:
        connection.execute(f"ALTER ROLE {role} SET timezone = 'Asia/Tokyo'".encode())
    with Database(as_role(empty_conninfo, role)).read() as connection:
        assert (
            connection.scalar(sa.text("SELECT timestamptz '2026-03-01 00:00Z'::text"))
            == "2026-03-01 00:00:00+00"
        )


def test_reading_changes_nothing(database: Database) -> None:
    """A reading transaction refuses every change."""
    with pytest.raises(UnavailableError, match="read-only"), database.read() as connection:
        connection.execute(sa.text("CREATE TABLE t ()"))


def test_reading_has_one_snapshot(database: Database) -> None:
    """What others commit meanwhile stays invisible, so the parts of a report fit together."""
    attempt(database, "CREATE TABLE t AS SELECT 1 AS n")
    with database.read() as connection:
        first = connection.scalar(sa.text("SELECT count(*) FROM t"))
        attempt(database, "INSERT INTO t VALUES (2)")
        assert connection.scalar(sa.text("SELECT count(*) FROM t")) == first == 1


def test_writing_is_all_or_nothing(database: Database) -> None:
    """A block that fails leaves nothing behind."""
    with pytest.raises(AvatarLabError, match="division by zero"):
        attempt(database, "CREATE TABLE t (); SELECT 1 / 0")
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT to_regclass('t')")) is None


def test_connections_tell_who_they_are(database: Database) -> None:
    """An operator sees the toolkit's name in pg_stat_activity."""
    with database.read() as connection:
        name = connection.scalar(sa.text("SHOW application_name"))
    assert str(name).startswith("avatarlab ")


@pytest.mark.parametrize(
    ("statement", "kind", "hint"),
    [
        ("SELECT * FROM nowhere", ConfigurationError, "db migrate"),
        ("SELECT nothing FROM pg_class", ConfigurationError, "db migrate"),
        ("SELECT nothing()", ConfigurationError, "db migrate"),
        ("SELECT pg_sleep(60)", AvatarLabError, "AVATARLAB_STATEMENT_TIMEOUT"),
        ("SELECT 1 / 0", AvatarLabError, "--debug"),
        ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", BusyError, "try again"),
        ("DO $$ BEGIN RAISE SQLSTATE '53300'; END $$", BusyError, "later"),
        ("DO $$ BEGIN RAISE SQLSTATE '53200'; END $$", UnavailableError, "memory, disk or locks"),
        ("DO $$ BEGIN RAISE SQLSTATE '57P03'; END $$", UnavailableError, "network"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", UnavailableError, "network"),
    ],
)
def test_what_the_server_refuses(
    empty_conninfo: str, statement: str, kind: type[AvatarLabError], hint: str
) -> None:
    """Each refusal has its own kind, and a hint that says what to do."""
    with pytest.raises(AvatarLabError) as refused:
        attempt(Database(empty_conninfo, {"statement_timeout": "50ms"}), statement)
    assert type(refused.value) is kind
    assert hint in str(refused.value.hint)


def test_a_lock_that_is_not_given_up(database: Database) -> None:
    """Waiting for a lock ends with lock_timeout, and the same call may succeed later."""
    attempt(database, "CREATE TABLE t ()")
    with database.write() as connection:
        connection.execute(sa.text("LOCK TABLE t"))
        with pytest.raises(BusyError, match="lock timeout"):
            attempt(Database(database.conninfo, {"lock_timeout": "20ms"}), "LOCK TABLE t")


def test_a_missing_privilege(empty_conninfo: str, role: str) -> None:
    """A right the login lacks is named, not worked around."""
    with psycopg.connect(empty_conninfo) as connection:
        connection.execute("CREATE TABLE t ()")
    with pytest.raises(NotPermittedError, match="permission denied for table t"):
        attempt(Database(as_role(empty_conninfo, role)), "SELECT * FROM t")


@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_password(empty_conninfo: str, password: str | None) -> None:
    """A refused login is the user's to mend, and no password is in the message."""
    with login_with_password(empty_conninfo) as name:
        attempt(Database(as_role(empty_conninfo, name, PASSWORD)), "SELECT 1")
        with pytest.raises(NotPermittedError) as refused:
            attempt(Database(as_role(empty_conninfo, name, password)), "SELECT 1")
    assert "password" in refused.value.message
    assert "wrong" not in refused.value.message


def test_an_unknown_role_or_database(empty_conninfo: str) -> None:
    """A login that does not exist may not enter; a database that does not exist is a wrong setting."""
    with pytest.raises(NotPermittedError, match='role "nobody_here" does not exist'):
        attempt(Database(as_role(empty_conninfo, "nobody_here")), "SELECT 1")
    with pytest.raises(ConfigurationError, match='database "nowhere" does not exist'):
        attempt(Database(f"{empty_conninfo} dbname=nowhere"), "SELECT 1")


@pytest.mark.parametrize(
    ("conninfo", "reason"),
    [
        ("host=127.0.0.1 port=1", "Connection refused"),
        ("host=/nonexistent", "No such file"),
        ("host=127.0.0.1,127.0.0.1 port=1", "Connection refused"),
        ("host=nowhere.invalid", "nowhere.invalid"),
    ],
)
def test_a_server_that_is_not_there(conninfo: str, reason: str) -> None:
    """A server out of reach is named with the reason, in one line."""
    with pytest.raises(UnavailableError) as refused:
        attempt(Database(conninfo), "SELECT 1")
    assert reason in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    "conninfo",
    [
        f"postgres//ada:{PASSWORD}@db/app",
        f"mysql://ada:{PASSWORD}@db/app",
        f"postgresql://ada:{PASSWORD}%zz@db/app",
        f"postgresql://ada:x@{PASSWORD}@db/app",
        f"postgresql://ada:{PASSWORD}/x@db/app",
        f"postgresql://ada@db/app?passwort={PASSWORD}",
    ],
)
def test_a_url_nobody_can_read(conninfo: str) -> None:
    """A malformed URL is a wrong setting; the message shows the right form and nothing of the wrong one."""
    with pytest.raises(ConfigurationError, match="cannot be read") as refused:
        attempt(Database(conninfo), "SELECT 1")
    shown = f"{refused.value.message} {refused.value.hint} {refused.value.__cause__}"
    assert PASSWORD not in shown
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in shown


@pytest.mark.parametrize(
    "option", ["sslmode=silly", "service=nowhere", "port=99999", "target_session_attrs=x"]
)
def test_an_option_libpq_does_not_know(option: str) -> None:
    """An option of the URL that libpq refuses is a wrong setting, not a server out of reach."""
    with pytest.raises(ConfigurationError) as refused:
        attempt(Database(f"host=127.0.0.1 {option}"), "SELECT 1")
    assert "config show --origin" in str(refused.value.hint)


def test_transient_errors() -> None:
    """Only a lost race is worth the same transaction again."""
    assert is_transient(psycopg.errors.SerializationFailure())
    assert is_transient(psycopg.errors.DeadlockDetected())
    assert is_transient(psycopg.errors.UniqueViolation())
    assert not is_transient(psycopg.errors.LockNotAvailable())


def test_an_error_without_a_word() -> None:
    """An error that says nothing is named by its kind."""
    assert translate(psycopg.OperationalError()).message == "cannot reach the database: OperationalError"
