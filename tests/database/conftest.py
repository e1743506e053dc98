"""What the database tests share."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from jobs.registry import Job
from tests.conftest import created_database
from tests.database.probing import PROBE, Body, Probe


@pytest.fixture(scope="module", params=["seed", "panel"])
def migrated(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated database of either state, for tests that roll back what they do."""
    template = request.getfixturevalue(f"migrated_{request.param}_template")
    with created_database(request.getfixturevalue("server_conninfo"), template) as conninfo:
        yield Database(conninfo)


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Return a job that does what the test says."""

    def make(body: Body) -> Job:
        module = SimpleNamespace(
            run=body, TARGET=sa.table("subscription_tiers", schema="public"), KEYS=["id"]
        )
        monkeypatch.setitem(sys.modules, PROBE.module, module)
        return PROBE

    return make
