"""What happens under months that are closed, as an admin meets it: deletion, repricing, and what may be taken back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.acting import act, copied, entries, user_id
from tests.database.contents import contents

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


def test_a_repricing_below_a_later_one_stays(closed: str, other_card: dict[str, str]) -> None:
    """What was recorded since reckons from it, so the last is taken back first, and then it may be."""
    reprice = ("cost", "reprice", "--month", "2025-03", "--yes")
    assert act(closed, *reprice, env=other_card).code == 0
    assert act(closed, *reprice).code == 0
    first, second = (str(entry["seq"]) for entry in entries(closed)[-2:])
    before = contents(closed)
    refused = act(closed, "audit", "undo", first, "--yes")
    assert (refused.code, contents(closed)) == (ExitCode.REFUSED, before)
    assert "2025-03 was adjusted again, or reopened, since" in refused.err
    for number in (second, first):
        done = act(closed, "audit", "undo", number, "--yes")
        assert done.code == 0, done.err
    assert execute(closed, "SELECT count(*) FROM avatarlab_admin.usage_adjustment") == [(0,)]


def test_a_repricing_before_a_reopening_stays(closed: str, other_card: dict[str, str]) -> None:
    """What was known of a month before it was reopened is history."""
    assert act(closed, "cost", "reprice", "--month", "2025-03", "--yes", env=other_card).code == 0
    number = str(entries(closed)[-1]["seq"])
    months = json.loads(act(closed, "period", "list", "--json").out)
    for month in sorted((row["month"] for row in months if row["state"] == "closed"), reverse=True):
        if month >= "2025-03":
            done = act(closed, "period", "reopen", month, "--reason", "late", "--yes")
            assert done.code == 0, done.err
    refused = act(closed, "audit", "undo", number, "--yes")
    assert refused.code == ExitCode.REFUSED
    assert "2025-03 was adjusted again, or reopened, since" in refused.err
