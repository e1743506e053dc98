"""Both jobs, run as an admin runs them, against the reference on the demo's data, from either starting state."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, cast

import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.demo.load import DemoOptions, load
from avatarlab_cli.queries import money as reports
from avatarlab_cli.rollup import rates
from jobs.registry import BY_NAME
from jobs.runner import Order, execute
from tests.conftest import _migrate, created_database, plain_engine
from tests.database import test_monthly_usage as monthly
from tests.database import test_platform_statistics as platform
from tests.database.comparing import TODAY, differences
from tests.reference import money
from tests.reference.source import read_source
from tests.reference.subscriptions import Price, arr_cents


@pytest.fixture(scope="module", params=["seed", "panel"])
def computed(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The demo of a starting state, loaded, migrated, and both jobs run."""
    template = request.getfixturevalue(f"{request.param}_template")
    with created_database(request.getfixturevalue("server_conninfo"), template) as conninfo:
        engine = plain_engine(conninfo)
        state = cast("Literal['seed', 'panel']", request.param)
        until = datetime(TODAY.year, TODAY.month, TODAY.day, 18, tzinfo=UTC)
        with engine.begin() as connection:
            load(connection, DemoOptions(users=70, months=4, seed=7, state=state, until=until))
        _migrate(engine)
        database = Database(conninfo)
        for job in BY_NAME.values():
            execute(database, job, Order(rates.load(), today=TODAY))
        yield database


def test_every_user_day_and_month_agrees(computed: Database) -> None:
    """Usage, cost and limits of each user equal the reference's, day by day and month by month."""
    with computed.engine.connect() as connection:
        expected = monthly.expected_months(connection)
        assert len(expected) > 100
        assert differences(monthly.stored_months(connection), expected) == []
        assert differences(monthly.stored_days(connection), monthly.expected_days(connection)) == []


def test_every_day_of_the_platform_agrees(computed: Database) -> None:
    """Each day's statistics equal the reference's, in every column."""
    with computed.engine.connect() as connection:
        found = platform.stored_statistics(connection)
        days = sorted(day for (day,) in found)[::-11]
        expected = platform.expected_statistics(connection, days)
        assert len(expected) > 8
        assert differences({key: found[key] for key in expected}, expected) == []


def test_every_month_of_revenue_agrees(computed: Database) -> None:
    """What moved revenue in each month, and who was lost, is what a recount of subscriptions says."""
    history = (
        "select tier_id, valid_from, price_monthly, price_yearly from avatarlab_admin.tier_price_history"
    )
    with computed.read() as connection:
        source = read_source(connection)
        prices = [Price(*row) for row in connection.execute(sa.text(f"{history} where isfinite(valid_from)"))]
        days = connection.scalars(sa.text("select stat_date from platform_statistics")).all()
        worth = {day: arr_cents(source, prices, day) for day in days}
        window = reports.latest(12, TODAY)
        for report, expected in (
            (reports.mrr(connection, window), money.waterfall(worth)),
            (reports.churn(connection, window), money.churn(worth)),
        ):
            found = {f"{row['month']:%Y-%m}": row for row in connection.execute(report.select).mappings()}
            assert found.keys() == expected.keys()
            suffix = "_cents" if "start_cents" in report.select.selected_columns else ""
            for month, figures in expected.items():
                assert {name: found[month][f"{name}{suffix}"] for name in figures} == figures
    # Before the panel's migrations nobody could subscribe.
    paid = sum(month["new"] for month in expected.values())
    assert paid > 10 if source.rows("user_subscriptions") else paid == 0
