"""What the database tests share."""

from collections.abc import Iterator

import pytest

from avatarlab_cli.database import Database
from tests.conftest import created_database


@pytest.fixture(scope="module", params=["seed", "panel"])
def migrated(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated database of either state, for tests that roll back what they do."""
    template = request.getfixturevalue(f"migrated_{request.param}_template")
    with created_database(request.getfixturevalue("server_conninfo"), template) as conninfo:
        yield Database(conninfo)
