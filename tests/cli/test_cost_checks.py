"""Checks of costs: budgets that are spent, and days far outside the others."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.rollup import rates
from jobs.registry import COMPUTING
from jobs.runner import Order, execute
from tests.cli.acting import copied
from tests.cli.costing import amount, cost, rows_of
from tests.cli.telling import texts, told
from tests.conftest import DEMO_END
from tests.listening import Listener
from tests.reference import costs
from tests.reference.source import UNATTRIBUTED

TODAY = DEMO_END.date()
JUNE = date(2025, 6, 1)
EACH = """currency: USD
budgets:
  - {amount: "0.000001"}
  - {kind: video, amount: 100000}
  - {kind: image, amount: "0.01"}
  - {user: each, amount: "0.5"}
  - {user: EMAIL, amount: 100000}
  - {user: each, kind: voice, amount: 0}
  - {user: EMAIL, kind: image, amount: "0.000001"}
"""


def test_budgets(demo: str, stored: list[costs.Part], emails: dict[Any, str], tmp_path: Path) -> None:
    """Each form of budget is held against what it is for; a user's own takes the place of that for each."""
    users = [part for part in stored if part.owner in emails and part.month == JUNE and part.kind == "image"]
    dear = max(users, key=lambda part: part.cost or 0).owner
    env = budgets(tmp_path, EACH.replace("EMAIL", emails[dear]))
    shown = cost(demo, "budget", "check", "--json", env=env)
    assert shown.code == ExitCode.FOUND
    found = {(row["line"], row["email"]): amount(row["spent"]) for row in rows_of(shown)}
    expected: dict[tuple[int, str | None], Fraction | None] = {
        (3, None): spent(stored),
        (5, None): spent(stored, kind="image"),
    }
    for user, email in emails.items():
        if user != dear and (spent(stored, user) or 0) >= Fraction(45, 100):
            expected[6, email] = spent(stored, user)
        if spent(stored, user, "voice"):
            expected[8, email] = spent(stored, user, "voice")
    expected[9, emails[dear]] = spent(stored, dear, "image")
    assert found == expected
    assert len(expected) > 6
    states = {row["line"]: row["state"] for row in rows_of(shown) if row["line"] != 6}
    assert states == {3: "over", 5: "over", 8: "over", 9: "over"}


def budgets(directory: Path, text: str) -> dict[str, str]:
    """Write a budgets file; returns the setting that names it."""
    (directory / "budgets.yaml").write_text(text, encoding="utf-8")
    return {"AVATARLAB_BUDGETS_FILE": str(directory / "budgets.yaml")}


def spent(
    stored: list[costs.Part], owner: costs.Owner | None = None, kind: str | None = None
) -> Fraction | None:
    """Return what June cost altogether, or an owner, or of a kind; None where that is not known."""
    return costs.summed(
        part.cost
        for part in stored
        if part.month == JUNE and owner in {None, part.owner} and kind in {None, part.kind}
    )


def test_a_budget_that_is_nearly_spent(demo: str, stored: list[costs.Part], tmp_path: Path) -> None:
    """What is spent to the millionth is at the budget, a millionth more of budget is near it, and half is neither."""
    whole = spent(stored)
    assert whole is not None
    exact = Decimal(whole.numerator) / Decimal(whole.denominator)
    for budget, code, state in (
        (exact, ExitCode.FOUND, "at"),
        (exact + Decimal("0.000001"), ExitCode.FOUND, "near"),
        (exact - Decimal("0.000001"), ExitCode.FOUND, "over"),
        (2 * exact, 0, None),
    ):
        env = budgets(tmp_path, f'currency: USD\nbudgets:\n  - {{amount: "{budget:f}"}}\n')
        shown = cost(demo, "budget", "check", "--json", env=env)
        assert shown.code == code
        assert [row["state"] for row in rows_of(shown)] == ([state] if state else [])
    assert cost(demo, "budget", "check", "--near", "50", "--json", env=env).code == ExitCode.FOUND
    assert cost(demo, "budget", "check", "--json").code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "currency: EUR\nbudgets:\n  - {amount: 1}\n",
            "the budgets are in EUR, and the costs of 2025-06 in USD",
        ),
        ("currency: USD\nbudgets:\n  - {amount: -1}\n", "budgets.yaml:3"),
    ],
)
def test_budgets_that_cannot_be_checked(demo: str, tmp_path: Path, text: str, message: str) -> None:
    """Another currency and a faulty file are refused as configuration."""
    shown = cost(demo, "budget", "check", env=budgets(tmp_path, text))
    assert (shown.code, shown.out) == (ExitCode.CONFIGURATION, "")
    assert message in shown.err


def test_a_budget_of_nobody(demo: str, tmp_path: Path) -> None:
    """A budget for a user who is gone is named by its line, is no good news, and keeps no other from being checked."""
    text = "currency: USD\nbudgets:\n  - {amount: 1}\n  - {user: x@example.com, amount: 1}\n"
    shown = cost(demo, "budget", "check", "--json", env=budgets(tmp_path, text))
    assert [row["line"] for row in rows_of(shown)] == [3]
    assert "nobody has the name in line 4 of the budgets" in shown.err
    alone = "currency: USD\nbudgets:\n  - {user: x@example.com, amount: 1}\n"
    shown = cost(demo, "budget", "check", "--json", env=budgets(tmp_path, alone))
    assert (shown.code, rows_of(shown)) == (ExitCode.FOUND, [])


def test_anomalies(demo: str, emails: dict[Any, str]) -> None:
    """A user who suddenly spends a fortune is found, with exit code 3; without that the check is quiet."""
    day = TODAY - timedelta(days=1)
    quiet = cost(demo, "anomalies", "--least", "1000000", "--json")
    assert (quiet.code, rows_of(quiet)) == (0, [])
    with copied(demo) as conninfo:
        with psycopg.connect(conninfo) as connection:
            user = connection.execute(
                "select user_id from avatarlab_admin.usage_daily where day < %s and image_cost > 0 and user_id <> %s"
                " group by user_id having count(*) >= 7 order by 1 limit 1",
                [day, UNATTRIBUTED],
            ).fetchone()
            assert user is not None
            connection.execute(
                "insert into generated_images (user_id, prompt, image_url, provider, created_at)"
                " select %s, '', '', 'seedream', %s from generate_series(1, 50000)",
                [user[0], datetime.combine(day, datetime.min.time(), UTC)],
            )
        for job in COMPUTING:
            execute(Database(conninfo), job, Order(rates.load(), today=TODAY))
        found = cost(conninfo, "anomalies", "--least", "1000", "--json")
    assert found.code == ExitCode.FOUND
    rows = {(row["subject"], row["who"]): row for row in rows_of(found)}
    assert rows.keys() == {("user", emails[user[0]]), ("kind", "image")}
    for row in rows.values():
        assert (row["day"], row["direction"]) == (day.isoformat(), "above")
        assert Decimal(row["cost"]) >= 2000


def lines(monitor: Listener) -> list[list[str]]:
    return [text.splitlines() for text in texts(monitor)]


def test_budgets_are_told(demo: str, emails: dict[Any, str], monitor: Listener, tmp_path: Path) -> None:
    """Budgets that are spent are told once, and when none is any more; and never whose they are."""
    spent_all = EACH.replace("EMAIL", next(iter(emails.values())))
    settings = (spent_all, spent_all, *["currency: USD\nbudgets:\n  - {amount: 1000000}\n"] * 2)
    codes = [
        cost(demo, "budget", "check", "--notify", env=budgets(tmp_path, text) | told(monitor, tmp_path)).code
        for text in settings
    ]
    assert codes == [3, 3, 0, 0]
    found, over = lines(monitor)
    listed = rows_of(cost(demo, "budget", "check", "--json", env=budgets(tmp_path, spent_all)))
    (first,) = [row for row in listed if row["line"] == 3]
    over_each = [row for row in listed if (row["line"], row["state"]) == (6, "over")]
    assert found[:2] == ["budgets are spent, or nearly:", f"line 3, all: over, {float(first['percent']):.0%}"]
    assert len(over_each) > 1
    assert f"line 6, all: over, {len(over_each)} users" in found
    assert len(found) == len({(row["line"], row["state"]) for row in listed}) + 2
    assert found[-1] == "`avatarlab cost budget check` lists them"
    assert over == ["no budget is spent, or nearly"]
    assert "@example" not in "".join(request.body for request in monitor.requests)


def test_a_check_that_cannot_be_made_is_told(demo: str, monitor: Listener, tmp_path: Path) -> None:
    """A file that cannot be read fails the check, and the exit code is what it is without telling."""
    env = budgets(tmp_path, "currency: USD\nbudgets:\n  - {amount: -1}\n") | told(monitor, tmp_path)
    failed = cost(demo, "budget", "check", "--notify", env=env)
    assert failed.code == ExitCode.CONFIGURATION
    assert lines(monitor)[0][0].startswith("budget-check failed with exit code 78: ")
    assert cost(demo, "budget", "check", "--notify", env=told(monitor, tmp_path)).code == 0
    assert lines(monitor)[1:] == [["budget-check runs again"]]


def test_anomalies_are_told(demo: str, monitor: Listener, tmp_path: Path) -> None:
    """Costs far outside their history are told by kind, users as a number; the next day's are others."""
    arguments = ("anomalies", "--score", "1", "--least", "0.01")
    env = told(monitor, tmp_path)
    shown = rows_of(cost(demo, *arguments, "--json"))
    assert [cost(demo, *arguments, "--notify", env=env).code for _ in range(2)] == [3, 3]
    (found,) = lines(monitor)
    users = {row["user_id"] for row in shown if row["subject"] == "user"}
    kinds = [row for row in shown if row["subject"] == "kind"]
    assert found[0] == "costs are far outside their history:"
    assert len(found) == 2 + len(kinds) + bool(users)
    assert any(line.startswith(f"{len(users)} user") for line in found) == bool(users)
    assert "@example" not in monitor.requests[0].body
    assert cost(demo, "anomalies", "--least", "1000000", "--notify", env=env).code == 0
    assert lines(monitor)[1:] == [["no cost is far outside its history"]]


def test_nobody_to_tell(demo: str) -> None:
    """Without a webhook the check is what it is, and says that nobody is told."""
    shown = cost(demo, "anomalies", "--least", "1000000", "--notify")
    assert (shown.code, "nobody is told: no webhook_url is set" in shown.err) == (0, True)
