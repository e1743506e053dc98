"""`usage explain` and the months of `stats`, against a recount of the demo's rows."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.rollup import pruned
from avatarlab_cli.schema.conversations import conversations
from tests.cli.invoking import invoke
from tests.conftest import DEMO_END, created_database
from tests.database.comparing import card
from tests.reference import money, usage
from tests.reference.source import UNATTRIBUTED, read_source


@pytest.fixture(scope="module")
def cells(computed: str) -> usage.Cells:
    """The demo's figures by user and day, as the reference counts them."""
    with Database(computed).read() as connection:
        return usage.daily_figures(read_source(connection), card(), date.min, DEMO_END.date(), {})


@pytest.fixture
def copy(computed: str) -> Iterator[str]:
    """A copy of the computed demo, to change."""
    server, _, name = computed.rpartition(" dbname=")
    with created_database(server, name) as conninfo:
        yield conninfo


def _explain(conninfo: str, user: UUID | str, metric: str, *more: str) -> list[dict[str, Any]]:
    command = ("usage", "explain", str(user), "--metric", metric, "--month", "2025-05", "--json", *more)
    found = invoke(conninfo, *command)
    assert found.code == 0, found.err
    rows: list[dict[str, Any]] = json.loads(found.out)
    return rows


def _days(cells: usage.Cells, user: UUID, metric: str) -> dict[str, int]:
    return {
        str(day): figures.metrics[metric]
        for (owner, day), figures in cells.items()
        if owner == user and (day.year, day.month) == (2025, 5) and figures.metrics.get(metric)
    }


def _busiest(cells: usage.Cells, metric: str) -> UUID:
    users = {owner for owner, _ in cells if owner != UNATTRIBUTED}
    return max(users, key=lambda user: (sum(_days(cells, user, metric).values()), user))


@pytest.mark.parametrize(
    "metric",
    ["conversations_count", "api_requests_count", "feedback_good", "tts_characters", "images_generated"],
)
def test_days_and_rows_add_up(computed: str, cells: usage.Cells, metric: str) -> None:
    """Each day's stored and counted figure is the reference's; the rows listed, each once, add up to the same."""
    user = _busiest(cells, metric)
    expected = _days(cells, user, metric)
    assert expected
    shown = _explain(computed, user, metric)
    assert {row["day"]: row["stored"] for row in shown} == expected
    assert {row["day"]: row["rows"] for row in shown} == expected
    assert {(row["pruned"], row["difference"]) for row in shown} == {(0, 0)}
    rows = _explain(computed, user, metric, "--rows", "--all")
    assert sum(row["quantity"] for row in rows) == sum(expected.values())
    assert len({row["row_id"] for row in rows}) == len(rows)
    assert all(row.keys() == {"table", "row_id", "at", "quantity"} for row in rows)


def test_a_pruned_part_and_a_difference(copy: str, cells: usage.Cells) -> None:
    """What was pruned stands apart and makes no difference; a row that is gone makes one, which is named."""
    metric = "conversations_count"
    user = _busiest(cells, metric)
    expected = _days(cells, user, metric)
    with Database(copy).write() as connection:
        pruned.delete_some(connection, conversations, date(2025, 5, 16), None, 100_000)
    shown = _explain(copy, user, metric)
    assert {row["day"]: row["rows"] + row["pruned"] for row in shown} == expected
    assert all((row["pruned"] > 0) == (row["day"] < "2025-05-16") for row in shown)
    assert sum(row["quantity"] for row in _explain(copy, user, metric, "--rows")) == sum(expected.values())
    with psycopg.connect(copy) as connection:
        connection.execute("DELETE FROM conversations")
    found = invoke(copy, "usage", "explain", str(user), "--metric", metric, "--month", "2025-05", "--json")
    late = sum(value for day, value in expected.items() if day >= "2025-05-16")
    assert found.code == 0
    assert sum(row["difference"] for row in json.loads(found.out)) == late > 0
    assert "the rows now say something else" in found.err
    assert f"the stored figure of 2025-05 is {sum(expected.values())}" in found.err


def test_nobodys_rows(copy: str) -> None:
    """What belongs to nobody is explained like a user's."""
    with psycopg.connect(copy) as connection:
        connection.execute("INSERT INTO api_request_logs (endpoint, method, status_code, created_at)"
                           " VALUES ('/v1', 'GET', 200, '2025-05-04 10:00Z')")  # fmt: skip
    (row,) = (row for row in _explain(copy, "unattributed", "api_requests_count") if row["difference"])
    assert (row["day"], row["rows"], row["difference"]) == ("2025-05-04", row["stored"] + 1, -1)


def test_storage_by_day(computed: str) -> None:
    """Stored bytes are told by snapshots; a day without one is not known, on either side."""
    with psycopg.connect(computed) as connection:
        bytes_by_user = connection.execute(
            "SELECT user_id, sum(bytes)::bigint FROM avatarlab_admin.storage_daily GROUP BY 1 ORDER BY 2 DESC"
        ).fetchall()
    user, stored = bytes_by_user[0]
    found = invoke(computed, "usage", "explain", str(user), "--metric", "storage_byte_days", "--json")
    rows = {row["day"]: row for row in json.loads(found.out)}
    today = str(DEMO_END.date())
    assert (rows[today]["stored"], rows[today]["rows"], rows[today]["difference"]) == (stored, stored, 0)
    assert all(row["stored"] is row["rows"] is None for day, row in rows.items() if day != today)


def test_what_is_not_explained(known: str) -> None:
    """A cost points at the command for costs, and no metric is one that there is not; both are usage errors."""
    found = invoke(known, "usage", "explain", "ada@example.com", "--metric", "voice_cost")
    assert found.code == ExitCode.USAGE
    assert "avatarlab cost explain ada@example.com" in found.err
    assert invoke(known, "usage", "explain", "ada", "--metric", "mood").code == ExitCode.USAGE


def test_cohorts_by_activity(computed: str, cells: usage.Cells) -> None:
    """Who of a month's new accounts did anything in each month since is what the reference counts."""
    with psycopg.connect(computed) as connection:
        signups: dict[UUID, date] = dict(
            connection.execute("SELECT id, (created_at AT TIME ZONE 'UTC')::date FROM auth.users").fetchall()
        )
    active = [
        cell
        for cell, figures in cells.items()
        if figures.metrics.keys() - {"storage_bytes", "trained_tokens"}
    ]
    worth: money.Worth = {day: {} for _, day in active}
    expected = money.cohorts(worth, signups, active)
    rows = json.loads(invoke(computed, "stats", "cohorts", "--json").out)
    assert {(row["cohort"], row["month"]): (row["users"], row["retained"]) for row in rows} == {
        key: (cell["users"], cell["active"]) for key, cell in expected.items()
    }
    triangle = json.loads(invoke(computed, "stats", "cohorts", "--triangle", "--json").out)
    shares = {(row["cohort"], row["age"]): row["share"] for row in rows}
    for row in triangle:
        ages = [name for name in row if name.startswith("month_")]
        assert {name: row[name] for name in ages} == {
            name: shares.get((row["cohort"], int(name.removeprefix("month_")))) for name in ages
        }


def test_a_day_without_statistics_is_not_known(copy: str) -> None:
    """A missing day makes its month's movements n/a, says how many, and leaves what stands at its ends."""
    with psycopg.connect(copy) as connection:
        connection.execute("DELETE FROM platform_statistics WHERE stat_date = '2025-05-10'")
    rows = {row["month"]: row for row in json.loads(invoke(copy, "stats", "mrr", "--json").out)}
    may = rows["2025-05"]
    assert (may["missing_days"], may["new"], may["churn"], may["unexplained"]) == (1, None, None, None)
    assert may["start"] == rows["2025-04"]["end"]
    assert may["end"] == rows["2025-06"]["start"]
    churn = {row["month"]: row for row in json.loads(invoke(copy, "stats", "churn", "--json").out)}
    assert churn["2025-05"]["churned"] is churn["2025-05"]["subscriber_churn"] is None


def test_revenue_that_does_not_follow(copy: str) -> None:
    """A stored movement that is wrong shows in cents in its month, and in the page of health."""
    with psycopg.connect(copy) as connection:
        connection.execute(
            "UPDATE platform_statistics SET mrr_new = mrr_new + 1 WHERE stat_date = '2025-05-10'"
        )
    rows = {row["month"]: row for row in json.loads(invoke(copy, "stats", "mrr", "--json").out)}
    assert {month: row["unexplained"] for month, row in rows.items()} == {
        "2025-04": 0,
        "2025-05": -1200,
        "2025-06": 0,
    }
    health = json.loads(invoke(copy, "system", "health", "--json").out)
    (line,) = (row for row in health if row["check"] == "revenue follows")
    assert (line["state"], line["value"]) == ("bad", "not on 1 day, the last 2025-05-10")


def test_reconstructed_months_are_marked(copy: str) -> None:
    """A month is marked where one of its days was told by dates alone, and only there."""
    with psycopg.connect(copy) as connection:
        connection.execute(
            "UPDATE platform_statistics SET is_reconstructed = false WHERE stat_date <> '2025-05-10'"
        )
    for verb in ("mrr", "churn"):
        rows = json.loads(invoke(copy, "stats", verb, "--json").out)
        assert {row["month"]: row["is_reconstructed"] for row in rows} == {
            "2025-04": False,
            "2025-05": True,
            "2025-06": False,
        }


@pytest.mark.parametrize(
    "verb",
    [
        ("stats", "mrr"),
        ("stats", "churn"),
        ("stats", "cohorts"),
        ("stats", "cohorts", "--by", "revenue", "--triangle"),
        ("usage", "explain", "unattributed", "--metric", "api_requests_count", "--month", "2025-05"),
    ],
)
def test_formats_agree(computed: str, verb: tuple[str, ...]) -> None:
    """CSV says what JSON says, nothing for what is not known, and a table has a line a row."""
    rows = json.loads(invoke(computed, *verb, "--json").out)
    told = csv.DictReader(io.StringIO(invoke(computed, *verb, "--csv").out))
    assert list(told) == [{name: _cell(value) for name, value in row.items()} for row in rows]
    table = invoke(computed, *verb).out.splitlines()
    first = [next(iter(row.values())) for row in rows]
    assert first
    assert [line.split()[0] for line in table[1 : len(rows) + 1]] == first


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


@pytest.mark.parametrize("verb", [("mrr",), ("churn",), ("cohorts",), ("cohorts", "--triangle")])
def test_an_empty_platform(known: str, verb: tuple[str, ...]) -> None:
    """Where no revenue was ever computed every page is empty and says what computes it, in any format."""
    shown = invoke(known, "stats", *verb)
    assert (shown.code, shown.out) == (0, "")
    assert "avatarlab job run platform-statistics" in shown.err
    assert invoke(known, "stats", *verb, "--json").out == "[]\n"
    assert invoke(known, "stats", *verb, "--csv").out.count("\n") == 1


def test_options_that_do_not_go_together(known: str) -> None:
    """Months are counted back or lie between two times, not both; cohorts know two ways."""
    assert invoke(known, "stats", "mrr", "--months", "3", "--since", "2025-01-01").code == ExitCode.USAGE
    assert invoke(known, "stats", "cohorts", "--by", "mood").code == ExitCode.USAGE
