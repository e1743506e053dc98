"""What the reports on usage say of days whose storage no run saw."""

from collections.abc import Iterator

import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.demo.snapshots import write
from avatarlab_cli.rollup import rates
from jobs.registry import BY_NAME
from jobs.runner import Order, execute
from tests.cli.invoking import invoke
from tests.cli.test_commands import data
from tests.conftest import DEMO_END, created_database

FIELDS = "email,storage_days_interpolated,storage_byte_days,storage_cost,unpriced"


@pytest.fixture(scope="module")
def conninfo(server_conninfo: str, demo_template: str) -> Iterator[str]:
    """The demo with a history of 30 days, and usage as of its last day: 6 June and 23 May were left out."""
    with created_database(server_conninfo, demo_template) as conninfo:
        database = Database(conninfo)
        with database.write() as connection:
            write(connection, 30, DEMO_END.date())
        execute(database, BY_NAME["monthly-usage"], Order(rates.load(), today=DEMO_END.date()))
        yield conninfo


def test_a_month_tells_how_many_days_are_interpolated(conninfo: str) -> None:
    """June is whole, with one day told from its neighbours; of May, half is unknown; of April, all."""
    for month, interpolated, missing in (("2025-06", 1, 0), ("2025-05", 1, 15), ("2025-04", None, 30)):
        rows = data(invoke(conninfo, "usage", "month", "--month", month, "--json", "--fields", FIELDS))
        assert isinstance(rows, list)
        mine = [row for row in rows if row["email"] != "(unattributed)"]
        assert {row["storage_days_interpolated"] for row in mine} == {interpolated}
        assert {row["storage_cost"] is None for row in mine} == {missing > 0}
        lacking = {row["unpriced"].get("storage", {}).get("days_without_snapshot", 0) for row in mine}
        assert lacking == {missing}
        assert any(row["storage_byte_days"] for row in mine) == (missing == 0)


def test_a_user_page_mentions_them(conninfo: str) -> None:
    """A note on stderr says how many days of the month are interpolated, where any are."""
    rows = data(invoke(conninfo, "usage", "top", "--by", "storage_byte_days", "--month", "2025-06", "--json"))
    assert isinstance(rows, list)
    user = rows[0]["email"]
    june = invoke(conninfo, "usage", "show", user, "--month", "2025-06")
    assert "storage of 1 day, which no run saw, is interpolated" in june.err
    assert "is interpolated" not in invoke(conninfo, "usage", "show", user, "--month", "2025-04").err


def test_a_dry_run_of_the_snapshot_shows_its_rows(conninfo: str) -> None:
    """A dry run lists the rows of storage_daily it would write, here those of a day far from all others."""
    shown = data(invoke(conninfo, "job", "run", "storage-snapshot", "--dry-run", "--json"))
    assert isinstance(shown, list)
    assert {row["change"] for row in shown} == {"insert"}
    assert all(row["after"]["is_interpolated"] is False for row in shown)
