"""Months priced by another rate card as an admin meets it: what is said, what is asked, and who may."""

import json
from pathlib import Path

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from avatarlab_cli.permissions import column_of
from tests.cli.acting import A_CLOSED_MONTH, act, entries, user_id
from tests.cli.invoking import Outcome
from tests.database.contents import contents

REPRICE = ("cost", "reprice", "--month", "2025-03")
VOICE = "voice: 0.000010 before, 0.000440 after, difference 0.000430\n"


def execute(conninfo: str, statement: str, *values: object) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(statement.encode(), values or None)


def reprice(conninfo: str, *more: str, admin: str | None = "super_admin@example.com") -> Outcome:
    return act(conninfo, *REPRICE, *more, admin=admin)


@pytest.fixture
def closed(conninfo: str) -> str:
    """A platform whose March is closed."""
    execute(conninfo, A_CLOSED_MONTH)
    return conninfo


@pytest.fixture
def opened(closed: str) -> str:
    """A platform whose March is open again."""
    execute(closed, "UPDATE avatarlab_admin.period_close SET reopened_at = now()")
    return closed


@pytest.mark.parametrize("more", [("--dry-run",), ("--yes",)])
def test_a_closed_month_says_the_difference(closed: str, more: tuple[str, ...]) -> None:
    """Kind by kind, on stderr, before it is recorded; stdout is the act's own."""
    done = reprice(closed, *more, "--json")
    assert done.code == 0, done.err
    assert VOICE in done.err
    assert {row["result"] for row in json.loads(done.out)} <= {"would change", "changed"}


def test_adjusted_twice(closed: str) -> None:
    """What was recorded is where the next difference begins; a second time there is none."""
    assert reprice(closed, "--yes").code == 0
    again = reprice(closed, "--yes", "--json")
    assert "voice: 0.000440 before, 0.000440 after, difference 0.000000\n" in again.err
    assert [row["result"] for row in json.loads(again.out)] == ["unchanged"]


def test_the_price_of_the_database(closed: str) -> None:
    """What the platform pays for its database is adjusted as well, under nobody's id and a name of its own."""
    execute(
        closed,
        "INSERT INTO avatarlab_admin.database_daily (day, area, bytes)"
        " SELECT day::date, 'Other', 1000000000 FROM generate_series('2025-03-01'::date, '2025-03-31', '1 day') AS d (day)",
    )
    assert reprice(closed, "--yes").code == 0
    with psycopg.connect(closed) as connection:
        found = connection.execute(
            "SELECT before, after::text FROM avatarlab_admin.usage_adjustment"
            " WHERE metric = 'database_cost' AND user_id = '00000000-0000-0000-0000-000000000000'"
        ).fetchall()
    assert found == [(None, "0.125000")]


def test_an_open_month_is_run(opened: str) -> None:
    """It is asked for, then the job sets it; rows are in order, and there is no entry to undo."""
    last = len(entries(opened))
    before = contents(opened)
    declined = reprice(opened)
    assert declined.code == ExitCode.DECLINED
    assert VOICE in declined.err
    assert contents(opened) == before
    done = reprice(opened, "--yes", "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert [row["kind"] for row in rows] == sorted(row["kind"] for row in rows)
    voice = next(row for row in rows if row["kind"] == "voice")
    assert (voice["stored"], voice["before"], voice["after"], voice["users"]) == (
        "0.000010",
        "0.000010",
        "0.000440",
        2,
    )
    assert len(entries(opened)) == last
    with psycopg.connect(opened) as connection:
        stored = connection.execute(
            "SELECT sum(voice_cost)::text FROM monthly_usage WHERE usage_month = '2025-03-01'"
        ).fetchone()
    assert stored == ("0.000440",)


def test_new_usage_is_no_difference_of_price(opened: str) -> None:
    """What came since the last run is in both figures, and what that run stored stands beside them."""
    execute(
        opened,
        "INSERT INTO tts_generations (user_id, text, created_at) VALUES (%s, 'hh', '2025-03-06Z')",
        user_id("ann@example.com"),
    )
    (voice,) = (
        row for row in json.loads(reprice(opened, "--dry-run", "--json").out) if row["kind"] == "voice"
    )
    assert (voice["stored"], voice["before"], voice["after"], voice["difference"]) == (
        "0.000010",
        "0.000020",
        "0.000880",
        "0.000860",
    )


@pytest.mark.parametrize("option", ["--reason", "--plan"])
def test_what_a_run_has_no_use_for(opened: str, tmp_path: Path, option: str) -> None:
    """A run writes no entry, so a reason for it and a plan of it are refused, and nothing is done."""
    before = contents(opened)
    done = reprice(opened, option, str(tmp_path / "file"), "--yes")
    assert (done.code, contents(opened)) == (ExitCode.USAGE, before)
    assert "2025-03 is open" in done.err


@pytest.mark.parametrize("more", [("--dry-run",), ("--yes",)])
def test_an_open_month_takes_both_permissions(opened: str, more: tuple[str, ...]) -> None:
    """Who may not run jobs does not run one this way, nor does who names no admin."""
    statement = "UPDATE admin_users SET permissions = %s WHERE user_id = %s"
    for held, code in (
        (("financial.write",), ExitCode.NOT_PERMITTED),
        (("settings.write",), ExitCode.NOT_PERMITTED),
        (("financial.write", "settings.write"), ExitCode.OK),
    ):
        column = json.dumps(column_of(frozenset(held)))
        execute(opened, statement, column, user_id("bare1@example.com"))
        assert reprice(opened, *more, admin="bare1@example.com").code == code
    assert reprice(opened, *more, admin=None).code == ExitCode.NOT_PERMITTED


def test_a_month_without_figures(conninfo: str) -> None:
    """It is said in a sentence, and what would help."""
    done = reprice(conninfo, "--dry-run")
    assert (done.code, done.out) == (ExitCode.NOT_FOUND, "")
    assert "no costs are stored for 2025-03" in done.err
    assert "job run monthly-usage --month 2025-03" in done.err
