"""What happens under months that are closed, as an admin meets it: deletion, repricing, and what may be taken back."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.acting import act, copied, entries, user_id

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
