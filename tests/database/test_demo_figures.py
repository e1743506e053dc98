"""Both jobs, run as an admin runs them, against the reference on the demo's data, from either starting state."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, cast

import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.demo.load import DemoOptions, load
from avatarlab_cli.rollup import rates
from jobs.registry import BY_NAME
from jobs.runner import Order, execute
from tests.conftest import _migrate, created_database, plain_engine
from tests.database import test_monthly_usage as monthly
from tests.database import test_platform_statistics as platform
from tests.database.comparing import TODAY, differences


@pytest.fixture(scope="module", params=["seed", "panel"])
def computed(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The demo of a starting state, loaded, migrated, and both jobs run."""
    template = request.getfixturevalue(f"{request.param}_template")
    with created_database(request.getfixturevalue("server_conninfo"), template) as conninfo:
        engine = plain_engine(conninfo)
        state = cast("Literal['seed', 'panel']", request.param)
        until = datetime(TODAY.year, TODAY.month, TODAY.day, 18, tzinfo=UTC)
        with engine.begin() as connection:
            load(connection, DemoOptions(users=120, months=5, seed=7, state=state, until=until))
        _migrate(engine)
        database = Database(conninfo)
        for job in BY_NAME.values():
            execute(database, job, Order(rates.load(), today=TODAY))
        yield database


def test_every_user_day_and_month_agrees(computed: Database) -> None:
    """Usage, cost and limits of each user equal the reference's, day by day and month by month."""
    with computed.engine.connect() as connection:
        expected = monthly.expected_months(connection)
        assert len(expected) > 200
        assert differences(monthly.stored_months(connection), expected) == []
        assert differences(monthly.stored_days(connection), monthly.expected_days(connection)) == []


def test_every_day_of_the_platform_agrees(computed: Database) -> None:
    """Each day's statistics equal the reference's, in every column."""
    with computed.engine.connect() as connection:
        found = platform.stored_statistics(connection)
        days = sorted(day for (day,) in found)[::-9]
        expected = platform.expected_statistics(connection, days)
        assert len(expected) > 12
        assert differences({key: found[key] for key in expected}, expected) == []
