"""The database tests on Debian's PostgreSQL 15, the oldest version that is supported."""

import os
import subprocess
import sys

import psycopg
import pytest

from avatarlab_cli.schema.reference import create_reference
from tests.conftest import created_database, plain_engine

pytestmark = pytest.mark.services

# It moves the extension to another schema.
NEEDS_PGVECTOR = ("tests/database/test_live_schema.py::test_the_extension_may_live_in_any_schema",)


def test_server_is_the_oldest_supported(debian_server: str) -> None:
    """The server is PostgreSQL 15, and pgvector is not there to help."""
    with psycopg.connect(f"{debian_server} dbname=postgres") as connection:
        assert connection.info.server_version // 10_000 == 15
        vector = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
        assert connection.execute(vector).fetchone() == (0,)


def test_database_tests_pass(debian_server: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Everything that is tested on the packaged PostgreSQL holds on Debian's; the inner summary is shown."""
    with (
        created_database(debian_server, "template1") as conninfo,
        plain_engine(conninfo).begin() as connection,
    ):
        # Roles belong to the server: the workers below would race to create them.
        create_reference(connection, "seed")
    command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "tests/database"]
    command += [f"--deselect={test}" for test in NEEDS_PGVECTOR]
    environment = os.environ | {"AVATARLAB_TEST_SERVER": debian_server}
    with capfd.disabled():
        done = subprocess.run(command, env=environment, check=False)
    assert done.returncode == 0
