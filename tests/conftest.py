"""The databases the tests run on: one template a state and server, one copy a test."""

import gc
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from avatarlab_cli.database import Database
from avatarlab_cli.embedded import EmbeddedServer
from avatarlab_cli.errors import Terminated

VERSION = int(os.environ.get("AVATARLAB_TEST_POSTGRES", "18"))
# Test data need not outlive a power cut.
TEST_SETTINGS = {
    "timezone": "UTC",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "60",
}
# Linux has a file system in memory; containers often have little of it.
MEMORY, MEMORY_BYTES = Path("/dev/shm"), 4 << 30  # noqa: S108 (each directory in it is made by mkdtemp)
Copy = Callable[[str], sa.Engine]
# The last moment of the demo platform.
DEMO_END = datetime(2025, 6, 15, 12, tzinfo=UTC)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays until the end anyway: thousands of tests, looked at again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture
def signals_of_the_command_line() -> Iterator[None]:
    """Have signals mean what they mean to a command: SIGINT too where the tests themselves run in the background."""

    def terminate(_number: int, _frame: object) -> None:
        raise Terminated

    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: terminate}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def server_conninfo() -> Iterator[str]:
    """A superuser's connection string, without a database, to a PostgreSQL of this worker's own."""
    if external := os.environ.get("AVATARLAB_TEST_SERVER"):
        yield external
        return
    directory = Path(tempfile.mkdtemp(prefix="avatarlab-tests-", dir=in_memory()))
    server = EmbeddedServer(directory / "postgres", version=VERSION, settings=TEST_SETTINGS)
    server.start()
    try:
        yield server.conninfo("postgres").removesuffix("dbname=postgres")
    finally:
        server.stop()
        shutil.rmtree(directory)


def in_memory() -> str | None:
    """Return a directory kept in memory, where copying a database takes a third of the time; None without one."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    return str(MEMORY) if has_room and os.access(MEMORY, os.W_OK) else None


@contextmanager
def created_database(server: str, template: str) -> Iterator[str]:
    """Create a database as a copy of `template`, yield its connection string, drop it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as connection:
        _wait_until_left(connection, template)
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield f"{server} dbname={name}"
        finally:
            _wait_until_left(connection, name)
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _wait_until_left(connection: psycopg.Connection[Any], database: str) -> None:
    """Give connections that were just closed a moment to end: PostgreSQL sleeps 100 ms where it meets one."""
    inside = "SELECT pg_stat_get_db_numbackends(oid) FROM pg_database WHERE datname = %s"
    for _ in range(40):
        if connection.execute(inside, [database]).fetchone() == (0,):
            break
        time.sleep(0.0005)


def plain_engine(conninfo: str) -> sa.Engine:
    """An engine without the toolkit's own settings, for arranging and looking."""
    return sa.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), poolclass=NullPool
    )


@contextmanager
def template(server: str, name: str, prepare: Callable[[sa.Engine], None], base: str) -> Iterator[str]:
    """Create the database `name` from `base` once and prepare it to be copied."""
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {base}")
        prepare(plain_engine(f"{server} dbname={name}"))
        yield name
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _build(state: str) -> Callable[[sa.Engine], None]:
    def prepare(engine: sa.Engine) -> None:
        from avatarlab_cli.schema.reference import create_reference

        with engine.begin() as connection:
            create_reference(connection, "seed" if state == "seed" else "panel")

    return prepare


def _migrate(engine: sa.Engine) -> None:
    from avatarlab_cli.migrations import upgrade

    with engine.connect() as connection:
        upgrade(connection)


@pytest.fixture(scope="session")
def seed_template(server_conninfo: str) -> Iterator[str]:
    """The reference schema in the seed state."""
    with template(server_conninfo, _name("seed"), _build("seed"), "template1") as name:
        yield name


@pytest.fixture(scope="session")
def panel_template(server_conninfo: str) -> Iterator[str]:
    """The reference schema in the panel state."""
    with template(server_conninfo, _name("panel"), _build("panel"), "template1") as name:
        yield name


@pytest.fixture(scope="session")
def migrated_seed_template(server_conninfo: str, seed_template: str) -> Iterator[str]:
    """The seed state, migrated."""
    with template(server_conninfo, _name("seed_migrated"), _migrate, seed_template) as name:
        yield name


@pytest.fixture(scope="session")
def migrated_panel_template(server_conninfo: str, panel_template: str) -> Iterator[str]:
    """The panel state, migrated."""
    with template(server_conninfo, _name("panel_migrated"), _migrate, panel_template) as name:
        yield name


@pytest.fixture(scope="session")
def demo_template(server_conninfo: str) -> Iterator[str]:
    """A small demo platform, migrated; no job has run."""
    from avatarlab_cli.demo.install import install
    from avatarlab_cli.demo.world import DemoOptions

    name = _name("demo")

    def prepare(engine: sa.Engine) -> None:
        options = DemoOptions(users=40, months=3, seed=7, state="panel", until=DEMO_END)
        install(Database(f"{server_conninfo} dbname={name}"), options, replace=False)
        _migrate(engine)

    with template(server_conninfo, name, prepare, "template1") as made:
        yield made


def _name(state: str) -> str:
    return f"avatarlab_{state}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


@pytest.fixture
def empty_conninfo(server_conninfo: str) -> Iterator[str]:
    """A fresh, empty database."""
    with created_database(server_conninfo, "template1") as conninfo:
        yield conninfo


@pytest.fixture
def seed_conninfo(server_conninfo: str, seed_template: str) -> Iterator[str]:
    """A fresh copy of the seed state."""
    with created_database(server_conninfo, seed_template) as conninfo:
        yield conninfo


@pytest.fixture
def panel_conninfo(server_conninfo: str, panel_template: str) -> Iterator[str]:
    """A fresh copy of the panel state."""
    with created_database(server_conninfo, panel_template) as conninfo:
        yield conninfo


@pytest.fixture
def migrated_seed_conninfo(server_conninfo: str, migrated_seed_template: str) -> Iterator[str]:
    """A fresh copy of the migrated seed state."""
    with created_database(server_conninfo, migrated_seed_template) as conninfo:
        yield conninfo


@pytest.fixture
def migrated_panel_conninfo(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """A fresh copy of the migrated panel state."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        yield conninfo


@pytest.fixture
def demo_conninfo(server_conninfo: str, demo_template: str) -> Iterator[str]:
    """A fresh copy of the demo platform."""
    with created_database(server_conninfo, demo_template) as conninfo:
        yield conninfo


@pytest.fixture
def empty_database(empty_conninfo: str) -> sa.Engine:
    """A plain engine on a fresh, empty database."""
    return plain_engine(empty_conninfo)


@pytest.fixture
def seed_database(seed_conninfo: str) -> sa.Engine:
    """A plain engine on a fresh copy of the seed state."""
    return plain_engine(seed_conninfo)


@pytest.fixture
def panel_database(panel_conninfo: str) -> sa.Engine:
    """A plain engine on a fresh copy of the panel state."""
    return plain_engine(panel_conninfo)


@pytest.fixture
def migrated_seed_database(migrated_seed_conninfo: str) -> sa.Engine:
    """A plain engine on a fresh copy of the migrated seed state."""
    return plain_engine(migrated_seed_conninfo)


@pytest.fixture
def migrated_panel_database(migrated_panel_conninfo: str) -> sa.Engine:
    """A plain engine on a fresh copy of the migrated panel state."""
    return plain_engine(migrated_panel_conninfo)


@pytest.fixture
def migrated_database(migrated_panel_conninfo: str) -> Database:
    """The toolkit's own view of a fresh, migrated database."""
    return Database(migrated_panel_conninfo)


@pytest.fixture(scope="session")
def platform(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """A platform with something of everything that admins change; no test may change it."""
    from tests.cli.acting import arranged

    with arranged(server_conninfo, migrated_panel_template) as conninfo:
        yield conninfo


@pytest.fixture
def conninfo(platform: str) -> Iterator[str]:
    """A copy of that platform, to change."""
    from tests.cli.acting import copied

    with copied(platform) as copy:
        yield copy
