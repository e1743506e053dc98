"""What happens under months that are closed, as an admin meets it: deletion, repricing, and what may be taken back."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.actions.period import Close
from avatarlab_cli.database import Database
from avatarlab_cli.errors import BusyError, ExitCode
from avatarlab_cli.rollup import rates
from jobs.registry import BY_NAME
from jobs.runner import Order
from jobs.runner import execute as execute_job
from tests.cli.acting import act, carry_out, copied, entries, user_id
from tests.database.test_act_concurrency import at_once

ANN, BEN = "ann@example.com", "ben@example.com"
NOBODY = "00000000-0000-0000-0000-000000000000"
GONE = ("user", "delete", ANN, "--hard", "--confirm", ANN, "--reason", "asked to")
CARD = """currency: USD
rates:
  - {kind: voice, key: elevenlabs, unit: 1k characters, price: "1", from: 2024-01-01}
"""
SPOKEN = "INSERT INTO tts_generations (user_id, text, created_at) VALUES (%s, 'hello', '2025-03-05Z')"


def execute(conninfo: str, statement: str, *values: object) -> list[Any]:
    with psycopg.connect(conninfo) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def figures(conninfo: str, metric: str) -> list[Any]:
    """Return what was recorded of a metric: whose, before and after."""
    statement = (
        "SELECT user_id::text, before::int, after::int FROM avatarlab_admin.usage_adjustment"
        " WHERE month = '2025-03-01' AND metric = %s ORDER BY recorded_at, user_id DESC"
    )
    return execute(conninfo, statement, metric)


def checked(conninfo: str) -> int:
    """Return how `period check` ends."""
    return act(conninfo, "period", "check").code


@pytest.fixture(scope="module")
def closed_platform(platform: str) -> Iterator[str]:
    """A platform on which two users spoke in March, and every month that is due is closed."""
    with copied(platform) as conninfo:
        for name in (ANN, BEN):
            execute(conninfo, SPOKEN, user_id(name))
        for job in ("monthly-usage", "platform-statistics", "close-month"):
            done = act(conninfo, "job", "run", job)
            assert done.code == 0, done.err
        yield conninfo


@pytest.fixture
def closed(closed_platform: str) -> Iterator[str]:
    """A copy to change."""
    with copied(closed_platform) as conninfo:
        yield conninfo


@pytest.fixture
def other_card(tmp_path: Path) -> dict[str, str]:
    """What names another rate card."""
    path = tmp_path / "rates.yaml"
    path.write_text(CARD, encoding="utf-8")
    return {"AVATARLAB_RATES_FILE": str(path)}


def test_a_deleted_account_is_adjusted_and_the_digest_survives(closed: str) -> None:
    """Its row goes with the account, and what it had is taken out by adjustments; the month is still what was closed."""
    assert checked(closed) == 0
    done = act(closed, *GONE)
    assert done.code == 0, done.err
    assert figures(closed, "tts_characters") == [(str(user_id(ANN)), 5, 0)]
    assert entries(closed)[-1]["changes"]["adjusted"] >= 3
    assert checked(closed) == 0
    (reason,) = execute(closed, "SELECT DISTINCT reason FROM avatarlab_admin.usage_adjustment")
    assert reason == ("the account was deleted for good",)
    execute(closed, "DELETE FROM monthly_usage WHERE user_id = %s", user_id(BEN))
    assert checked(closed) == ExitCode.FOUND


def test_an_account_under_the_id_of_a_gone_one_is_another(closed: str) -> None:
    """Who comes back under the same id has none of the closed figures, which are still what was closed, and are told of."""
    execute(closed, "DELETE FROM avatars WHERE user_id = %s", user_id(ANN))
    assert act(closed, *GONE).code == 0
    back = "INSERT INTO auth.users (id, email, created_at) VALUES (%s, %s, now())"
    execute(closed, back, user_id(ANN), ANN)
    assert checked(closed) == 0
    months = json.loads(act(closed, "period", "list", "--json").out)
    assert [row["accounts_gone"] for row in months if row["month"] == "2025-03"] == [1]
    shown = act(closed, "usage", "show", ANN, "--month", "2025-03", "--json")
    assert "1 account that is gone, with costs of 0.001100 when the month was closed" in shown.err
    others = act(closed, "usage", "show", BEN, "--month", "2025-03", "--json")
    assert "gone" not in others.err
    execute(
        closed, "INSERT INTO monthly_usage (user_id, usage_month) VALUES (%s, '2025-03-01')", user_id(ANN)
    )
    assert checked(closed) == ExitCode.FOUND


def test_a_gone_account_is_named_by_its_uuid(closed: str) -> None:
    """What was recorded of it is found, as nobody's is by that name; of another UUID nothing is known."""
    act(closed, *GONE)
    for name, email in ((str(user_id(ANN)), "(gone)"), ("unattributed", "(unattributed)")):
        execute(
            closed,
            "INSERT INTO avatarlab_admin.usage_adjustment (month, user_id, metric, before, after)"
            " VALUES ('2025-03-01', %s, 'feedback_good', 1, 2)",
            user_id(ANN) if email == "(gone)" else NOBODY,
        )
        done = act(closed, "usage", "adjustments", "--user", name, "--json")
        assert done.code == 0, done.err
        found = json.loads(done.out)
        assert {row["email"] for row in found} == {email}
        assert "feedback_good" in {row["metric"] for row in found}
    unknown = act(closed, "usage", "adjustments", "--user", str(user_id("no one")))
    assert unknown.code == ExitCode.NOT_FOUND


@pytest.mark.parametrize("report", [("usage", "month"), ("cost", "report")], ids=" ".join)
def test_a_closed_month_says_who_is_gone(closed: str, report: tuple[str, ...]) -> None:
    """Its figures lack the account; that and its cost are noted, and its adjustments are not told a second time."""
    month = ("--month", "2025-03", "--json")
    before = act(closed, *report, *month)
    assert "in no figure here" not in before.err
    act(closed, *GONE)
    note = "in no figure here: 1 account that is gone, with costs of 0.001100 when the month was closed"
    after = act(closed, *report, *month)
    assert note in after.err
    assert "adjustments" not in after.err


def test_what_stays_of_a_deleted_account_is_nobodys(closed: str) -> None:
    """Rows that outlive their owner count for nobody from then on: what one loses the other has."""
    day = "INSERT INTO avatarlab_admin.pruned_daily (day, user_id, definition_version, api_requests_count) VALUES ('2025-03-09', %s, 2, 4)"
    execute(closed, day, user_id(ANN))
    act(closed, *GONE)
    assert figures(closed, "api_requests_count") == [(NOBODY, 0, 4)]


def test_a_repricing_is_taken_back_by_another(closed: str, other_card: dict[str, str]) -> None:
    """It names the card before, by which the costs are again what they were; what was known meanwhile stays on record."""
    done = act(closed, "cost", "reprice", "--month", "2025-03", "--yes", env=other_card)
    assert done.code == 0, done.err
    between = now(closed)
    refused = act(closed, "audit", "undo", str(entries(closed)[-1]["seq"]), "--yes")
    assert refused.code == ExitCode.REFUSED
    (back,) = re.findall("`avatarlab (cost reprice .*)` takes it back", done.err)
    assert act(closed, *back.split(), "--yes").code == 0
    costs = "SELECT before::text, after::text FROM avatarlab_admin.usage_adjustment WHERE user_id = %s ORDER BY recorded_at"
    assert execute(closed, costs, user_id(ANN)) == [("0.001100", "0.005000"), ("0.005000", "0.001100")]
    assert voice_cost(closed, between) == "0.005000"
    assert voice_cost(closed, now(closed)) == "0.001100"


@pytest.fixture
def ended(platform: str) -> Iterator[str]:
    """A platform on which Ann spoke in March, which is computed and not closed."""
    with copied(platform) as conninfo:
        execute(conninfo, SPOKEN, user_id(ANN))
        for job in ("monthly-usage", "platform-statistics"):
            assert act(conninfo, "job", "run", job).code == 0
        yield conninfo


def test_two_close_a_month_at_once(ended: str) -> None:
    """One closes it, the other says that it is closed, or that somebody is at it; there is one closing and one entry."""
    last = len(entries(ended))
    outcomes = at_once(*(lambda: _tried(lambda: carry_out(ended, Close(), "2025-03")) for _ in range(3)))
    done = [outcome for outcome in outcomes if not isinstance(outcome, BusyError)]
    found = sorted((outcome.result, outcome.detail) for (outcome,) in done)
    assert found == [("changed", None), *[("unchanged", "is closed already")] * (len(done) - 1)]
    assert len(entries(ended)) == last + 1
    assert closings(ended) == (1, 0)
    assert checked(ended) == 0


def test_the_job_and_an_admin_close_at_once(ended: str) -> None:
    """Whoever comes first closes it, and the month has one closing."""
    order = Order(rates.load())
    at_once(
        lambda: _tried(lambda: carry_out(ended, Close(), "2025-03")),
        lambda: _tried(lambda: execute_job(Database(ended), BY_NAME["close-month"], order)),
    )
    assert closings(ended) == (1, 0)
    assert checked(ended) == 0


def _tried(deed: Callable[[], Any]) -> Any:  # noqa: ANN401 (whatever it returns)
    """Do it; return that somebody else was at it where that is so."""
    try:
        return deed()
    except BusyError as error:
        return error


def closings(conninfo: str) -> tuple[int, int]:
    """Return how many closings of March there are, and how many there were before."""
    tables = ("period_close", "period_history")
    counts = (f"(SELECT count(*) FROM avatarlab_admin.{name} WHERE month = '2025-03-01')" for name in tables)
    ((now_closed, before),) = execute(conninfo, f"SELECT {', '.join(counts)}")
    return now_closed, before


def test_an_open_month_is_priced_by_no_stored_card(closed: str) -> None:
    """A run prices it by the card in force, so another one is refused; one that is not there is not found."""
    month = execute(closed, "SELECT to_char(now(), 'YYYY-MM')")[0][0]
    version = execute(closed, "SELECT version FROM avatarlab_admin.rate_card")[0][0]
    for of, when, code in ((version, month, ExitCode.USAGE), ("0000", "2025-03", ExitCode.NOT_FOUND)):
        done = act(closed, "cost", "reprice", "--month", when, "--version", of, "--yes")
        assert (done.code, done.out) == (code, "")


def now(conninfo: str) -> str:
    """Return the database's time."""
    return str(
        execute(conninfo, 'SELECT to_char(clock_timestamp(), \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')')[0][0]
    )


def voice_cost(conninfo: str, at: str) -> str | None:
    """Return what was known of Ann's speech in March at a time."""
    found = act(conninfo, "usage", "as-known-at", at, "--month", "2025-03", "--json")
    assert found.code == 0, found.err
    costs: dict[str, str | None] = {row["email"]: row["voice_cost"] for row in json.loads(found.out)}
    return costs[ANN]


def test_a_month_that_could_not_be_closed_is_told(ended: str) -> None:
    """The months before it are closed; it is named even with --quiet, which cron shows, and the exit code is 3."""
    execute(ended, SPOKEN.replace("03-05", "04-05"), user_id(BEN))
    for job in ("monthly-usage", "platform-statistics"):
        assert act(ended, "job", "run", job).code == 0
    execute(ended, "UPDATE avatarlab_admin.usage_daily SET tts_characters = 9 WHERE day = '2025-04-05'")
    done = act(ended, "-q", "job", "run", "close-month")
    assert (done.code, done.out) == (ExitCode.FOUND, "")
    assert "2025-04 cannot be closed" in done.err
    assert closings(ended) == (1, 0)


def test_nothing_is_said_of_adjustments_once_the_month_is_open_again(closed: str) -> None:
    """While it is closed its adjustments are in no figure; reopened and computed anew, its figures have what they said."""
    month = last_closed(closed)
    execute(closed, SPOKEN.replace("2025-03", month), user_id(BEN))
    assert (
        act(closed, "job", "run", "verify", "--from", f"{month}-01", "--to", f"{month}-02").code
        == ExitCode.FOUND
    )
    assert "the month is closed" in act(closed, "usage", "month", "--month", month).err
    assert adjusted(closed, month) > 0
    done = act(closed, "period", "reopen", month, "--reason", "late", "--yes")
    assert done.code == 0, done.err
    assert "the month is closed" not in act(closed, "usage", "month", "--month", month).err
    assert adjusted(closed, month) == 0
    found = json.loads(act(closed, "usage", "adjustments", "--month", month, "--json").out)
    assert {row["holds"] for row in found} == {False}


def last_closed(conninfo: str) -> str:
    """Return the last closed month."""
    ((month,),) = execute(
        conninfo,
        "SELECT to_char(max(month), 'YYYY-MM') FROM avatarlab_admin.period_close WHERE reopened_at IS NULL",
    )
    return str(month)


def adjusted(conninfo: str, month: str) -> int:
    """Return how many adjustments `period list` counts of a month."""
    rows = json.loads(act(conninfo, "period", "list", "--json").out)
    (count,) = (row["adjustments"] for row in rows if row["month"] == month)
    return int(count)


def test_an_open_month_is_not_reopened(closed: str) -> None:
    """Whether it was closed once or never: there is no such closed month."""
    month = last_closed(closed)
    assert act(closed, "period", "reopen", month, "--reason", "late", "--yes").code == 0
    for name in (month, "2999-01"):
        again = act(closed, "period", "reopen", name, "--reason", "late", "--yes")
        assert (again.code, again.out) == (ExitCode.NOT_FOUND, "")
        assert f"there is no closed month {name!r}" in again.err


def test_a_closing_that_is_refused_says_what_to_do(ended: str) -> None:
    """The month is named once, and the way to close it all the same stands below."""
    execute(ended, "UPDATE avatarlab_admin.usage_daily SET tts_characters = 9 WHERE day = '2025-03-05'")
    done = act(ended, "period", "close", "2025-03", "--yes")
    assert done.code == ExitCode.REFUSED
    assert done.err.startswith("avatarlab: 2025-03 cannot be closed: rows differ")
    assert "period close --recompute" in done.err


def test_a_dry_run_with_nothing_to_close(closed: str) -> None:
    """It says so, and names no days that run backwards."""
    done = act(closed, "job", "run", "close-month", "--dry-run")
    assert done.code == 0
    assert "dry run: there is nothing to do" in done.err


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_difference_is_explained_by_what_can_be_done(closed: str, ended: str, is_closed: bool) -> None:
    """An open month is computed anew; a closed one stays, and what came under it is on record elsewhere."""
    conninfo = closed if is_closed else ended
    execute(conninfo, SPOKEN, user_id(BEN))
    explained = ("usage", "explain", BEN, "--month", "2025-03", "--metric", "tts_generations")
    said = act(conninfo, *explained).err
    assert "on 1 day the rows now say something else" in said
    assert ("avatarlab usage adjustments --month 2025-03" in said) is is_closed
    assert ("avatarlab job run monthly-usage --month 2025-03" in said) is not is_closed
