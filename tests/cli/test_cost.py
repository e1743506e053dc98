"""The reports on costs as they are typed: the demo against the recount, and what cannot be understood or shown."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.queries import cost_explain, cost_report
from tests.cli.acting import copied
from tests.cli.costing import amount, cost, rows_of
from tests.conftest import DEMO_END
from tests.database.logins import as_role, login
from tests.database.test_costs import check_rows, check_stored
from tests.reference import costs
from tests.reference.source import UNATTRIBUTED, month_of

TODAY = DEMO_END.date()
MAY = date(2025, 5, 1)
SPAN = ("--from", "2025-03", "--to", "2025-06")
REPORTS: tuple[tuple[str, ...], ...] = (
    ("report",),
    ("report", "--by", "provider,user"),
    ("report", "--by", "tier"),
    ("user", "{user}"),
    ("explain", "{user}"),
    ("explain", "{user}", "--rows"),
    ("top",),
    ("top", "--kind", "image"),
    ("unpriced",),
    ("forecast",),
    ("forecast", "--past"),
    ("anomalies",),
    ("margin",),
    ("margin", "--by", "user"),
    ("budget", "check"),
)


DIVISIONS = (
    *cost_report.DIMENSIONS,
    "month,kind",
    "kind,provider,model,unit",
    "tier,kind",
    "month,user,kind",
)


@pytest.mark.parametrize("by", DIVISIONS)
def test_report(demo: str, told: costs.Books, stored: list[costs.Part], by: str) -> None:
    """Every row is the recount's, and its total that of the stored figures, nobody's and the database's."""
    rows = rows_of(cost(demo, "report", "--by", by, *SPAN, "--json"))
    whole = sum((part.cost for part in stored if part.cost is not None), Fraction(0))
    assert sum(amount(row["cost"]) or 0 for row in rows) == whole
    with psycopg.connect(demo) as connection:
        (users,) = connection.execute("select sum(total_cost) from monthly_usage").fetchone() or (0,)
    others = [
        part.cost for part in stored if part.owner in {UNATTRIBUTED, costs.PLATFORM} and part.cost is not None
    ]
    assert whole == Fraction(users) + sum(others)
    with Database(demo).read() as connection:
        report = cost_report.report(connection, window(), by.split(","))
        exact = [dict(row) for row in connection.execute(report.select).mappings()]
    assert len(exact) == len(rows)
    if {"provider", "model", "unit"} & set(by.split(",")):
        check_rows(exact, costs.row_parts(told), by.split(","), told)
    else:
        check_stored(exact, stored, by.split(","), told)


def window() -> Any:  # noqa: ANN401 (a Window)
    from avatarlab_cli.timeframe import Window

    return Window(date(2025, 3, 1), date(2025, 7, 1))


def test_the_table_ends_with_the_total(demo: str) -> None:
    """The last line is the exact sum of the lines above, whatever they are divided by."""
    totals = set()
    for by, names in (
        ("kind", "kind"),
        ("user", "email"),
        ("tier", "tier"),
        ("provider,model", "provider,model"),
    ):
        header, *lines, last = cost(
            demo, "report", "--by", by, "--month", "2025-05", "--fields", f"{names},cost"
        ).out.splitlines()
        assert header.split()[-1] == "cost"
        amounts = [Decimal(line.split()[-1]) for line in lines if line.split()[-1] != "n/a"]
        shown = last.removesuffix(" + n/a").split()
        assert (shown[0], Decimal(shown[-1])) == ("total", sum(amounts))
        totals.add(Decimal(shown[-1]))
    assert len(totals) == 1


def test_explain_every_user_of_every_month(demo: str, told: costs.Books, stored: list[costs.Part]) -> None:
    """For every user and month the lines, and the rows behind them, add up exactly to what is stored of each kind."""
    from avatarlab_cli.queries.users import UserName

    expected: dict[Any, dict[str, Fraction | None]] = {}
    for part in stored:
        expected.setdefault((part.owner, part.month), {})[part.kind] = part.cost
    counted: dict[Any, int] = {}
    for line in costs.lines(told):
        key = line.owner, month_of(line.day)
        counted[key] = counted.get(key, 0) + 1
    with Database(demo).read() as connection:
        for number, ((user, month), by_kind) in enumerate(expected.items()):
            if not isinstance(user, str) and user != UNATTRIBUTED:
                is_by_row = number % 3 == 0
                report = cost_explain.explain(connection, UserName(user, "x"), month, is_by_row=is_by_row)
                rows = connection.execute(report.select).mappings().all()
                for kind, amount_stored in by_kind.items():
                    amounts = [
                        row["amount"] for row in rows if row["kind"] == kind and row["amount"] is not None
                    ]
                    assert sum(map(Fraction, amounts), Fraction(0)) == (amount_stored or 0)
                    assert amounts or not amount_stored
                assert {row["item"] for row in rows}.isdisjoint({cost_explain.CHANGED})
                lines = [row for row in rows if row["item"] != cost_explain.ROUNDING]
                assert len(lines) == counted.get((user, month), 0) or not is_by_row


def test_explain_as_it_is_typed(demo: str, stored: list[costs.Part], emails: dict[Any, str]) -> None:
    """By row and by line, the amounts of the user who cost most sum to what the note says is stored."""
    user, month = (
        max(
            (part for part in stored if part.owner in emails and part.month == MAY),
            key=lambda part: part.cost or 0,
        ).owner,
        ("--month", "2025-05"),
    )
    whole = sum(part.cost or 0 for part in stored if (part.owner, part.month) == (user, MAY))
    for more in ((), ("--rows",)):
        shown = cost(demo, "explain", emails[user], *month, *more, "--json")
        assert sum(amount(row["amount"]) or 0 for row in rows_of(shown)) == whole
        assert Fraction(shown.err.split("the stored cost of 2025-05 is ")[1].split()[0]) == whole
    page = rows_of(cost(demo, "user", emails[user], *month, "--json"))
    assert sum(amount(row["cost"]) or 0 for row in page) == whole
    top = rows_of(cost(demo, "top", *month, "--limit", "1", "--json"))
    assert all(Fraction(row["total_cost"]) >= whole for row in top)


def test_unpriced(demo: str, told: costs.Books) -> None:
    """Every name without a rate is listed with all there is of it, and storage with its days without a snapshot."""
    rows = {(row["kind"], row["item"]): row for row in rows_of(cost(demo, "unpriced", *SPAN, "--json"))}
    expected: dict[tuple[str, str], int] = {}
    for line in costs.lines(told):
        if line.rate is None:
            expected[line.kind, line.item] = expected.get((line.kind, line.item), 0) + line.quantity
    assert expected
    found = {
        key: int(row["quantity"])
        for key, row in rows.items()
        if row["counted_in"] not in {"days", "objects by day"}
    }
    assert found == expected
    assert int(rows["storage", "days_without_snapshot"]["quantity"]) == sum(
        day not in told.stored
        for month in {month_of(line.day) for line in costs.lines(told)}
        for day in costs.days_of(month, TODAY)
    )


@pytest.mark.parametrize("by", ["tier", "user"])
def test_margin(demo: str, told: costs.Books, stored: list[costs.Part], by: str) -> None:
    """Revenue is that of each day of each subscription, platform cost the stored one; margins are their difference."""
    rows = rows_of(cost(demo, "margin", "--by", by, "--month", "2025-05", "--json"))
    assert rows
    earned = sum(costs.revenue(told, MAY).values(), Decimal(0))
    assert earned > 0
    assert sum(Decimal(row["revenue"]) for row in rows) == earned
    paid = [part.cost for part in stored if part.month == MAY and part.kind in {"storage", costs.DATABASE}]
    assert sum(amount(row["platform_cost"]) or 0 for row in rows) == sum(cost or 0 for cost in paid)
    for row in rows:
        known = row["platform_cost"] is not None
        expected = Decimal(row["revenue"]) - Decimal(row["platform_cost"]) if known else None
        assert (None if row["margin"] is None else Decimal(row["margin"])) == expected


def test_margin_without_records(demo: str) -> None:
    """Where nobody recorded who subscribed to what, revenue is not 0 but unknown, and that is said."""
    with copied(demo) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("delete from avatarlab_admin.subscription_daily")
        shown = cost(conninfo, "margin", "--month", "2025-05", "--json")
    assert {row["revenue"] for row in rows_of(shown)} == {None}
    assert "subscriptions have no revenue: some days of the month are not on record" in shown.err


@pytest.mark.parametrize("moment", ["2025-06-01", "2025-06-15", "2025-06-30"])
def test_forecast_on_any_day(demo: str, moment: str) -> None:
    """On a month's first day, in its middle and on its last, what is so far is part of what is expected."""
    now = datetime.fromisoformat(f"{moment}T12:00:00").replace(tzinfo=UTC)
    rows = rows_of(cost(demo, "forecast", "--json", now=now))
    assert {row["kind"] for row in rows} == {*costs.PROVIDERS, "image", "video", "storage", "database"}
    for row in rows:
        assert row["method"] in costs.METHODS
        if row["forecast"] is not None:
            assert Decimal(row["forecast"]) >= Decimal(row["so_far"])
    past = cost(demo, "forecast", "--past", "--json", now=now)
    assert {row["month"] for row in rows_of(past)} <= {"2025-04", "2025-05"}


def test_a_month_that_was_not_computed(demo: str) -> None:
    """Each report of it is empty, says so, and ends well."""
    later = datetime(2025, 8, 3, tzinfo=UTC)
    for words in (
        ("report",),
        ("report", "--by", "provider"),
        ("margin",),
        ("forecast",),
        ("top",),
        ("unpriced",),
    ):
        shown = cost(demo, *words, now=later)
        assert (shown.code, shown.out) == (0, ""), words
        assert "compute" in shown.err or "available" in shown.err


@pytest.fixture
def bare(migrated_panel_conninfo: str) -> str:
    """A platform of one user, on which no job ever ran."""
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute("insert into auth.users (id, email) values (gen_random_uuid(), 'ada@example.com')")
    return migrated_panel_conninfo


def test_nothing_was_ever_computed(bare: str, tmp_path: Path) -> None:
    """No report fails, none invents a figure, and budgets are not called kept."""
    budgets = tmp_path / "budgets.yaml"
    budgets.write_text("currency: USD\nbudgets:\n  - {amount: 1}\n")
    for words in REPORTS:
        shown = cost(
            bare,
            *(word.format(user="ada@example.com") for word in words),
            "--json",
            env={"AVATARLAB_BUDGETS_FILE": str(budgets)},
        )
        is_check = words == ("budget", "check")
        assert (shown.code, shown.out) == (ExitCode.FOUND if is_check else 0, "[]\n"), (words, shown)


WRONG = {
    ("report", "--by", "colour"): "costs cannot be divided by 'colour'",
    ("report", "--by", ""): "costs cannot be divided by ''",
    ("report", "--month", "2025-13"): "'2025-13' is not a month",
    ("report", "--from", "2025-01"): "--from and --to belong together",
    ("report", "--to", "2025-01"): "--from and --to belong together",
    ("report", "--from", "2025-04", "--to", "2025-03"): "--to 2025-03 lies before --from 2025-04",
    ("report", "--from", "2025-04", "--to", "2025-05", "--month", "2025-04"): "exclude each other",
    ("unpriced", "--from", "x", "--to", "2025-05"): "'x' is not a month",
    ("top", "--kind", "database"): "'database' is not a kind of cost",
    ("forecast", "--method", "magic"): "'magic' is not a method",
    ("margin", "--by", "kind"): "margins cannot be divided by 'kind'",
    ("anomalies", "--day", "2025-06-16"): "2025-06-16 lies in the future",
    ("anomalies", "--score", "0"): "--score takes a number above 0",
    ("anomalies", "--least", "nan"): "--least takes a number above 0",
    ("anomalies", "--days", "93"): "93",
    ("budget", "check", "--near", "101"): "101",
    ("budget", "check", "--month", "June"): "'June' is not a month",
    ("reprice", "--month", "2025-00"): "'2025-00' is not a month",
    ("reprice",): "--month",
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_what_cannot_be_understood(demo: str, words: tuple[str, ...]) -> None:
    """A sentence says what is wrong, a second what to write; nothing is on stdout, and the exit code is 2."""
    shown = cost(demo, *words)
    assert (shown.code, shown.out) == (ExitCode.USAGE, ""), shown
    assert WRONG[words] in shown.err
    assert len(shown.err.splitlines()) <= 4
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    "words", [("user", "nobody@example.com"), ("explain", "nobody@example.com")], ids=" ".join
)
def test_nobody_of_that_name(demo: str, words: tuple[str, ...]) -> None:
    """A user who does not exist is not one without costs."""
    assert cost(demo, *words).code == ExitCode.NOT_FOUND


def test_row_security(demo: str, emails: dict[Any, str]) -> None:
    """To a login from which rows are hidden no report shows figures that would be too low."""
    grants = (
        "GRANT USAGE ON SCHEMA public, auth, storage, avatarlab_admin TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, auth, storage, avatarlab_admin TO {role}",
    )
    user = next(iter(emails.values()))
    with login(demo, *grants) as role:
        shown = {
            words: cost(as_role(demo, role), *(word.format(user=user) for word in words)) for words in REPORTS
        }
    assert {words: (done.code, done.out) for words, done in shown.items()} == dict.fromkeys(
        REPORTS, (ExitCode.NOT_PERMITTED, "")
    )


def test_no_rights(demo: str, emails: dict[Any, str]) -> None:
    """A login that may read nothing is told so by every report."""
    user = next(iter(emails.values()))
    with login(demo) as role:
        for words in REPORTS:
            done = cost(as_role(demo, role), *(word.format(user=user) for word in words))
            assert (done.code, done.out) == (ExitCode.NOT_PERMITTED, ""), (words, done)


def test_no_database() -> None:
    """Where nothing answers, each report says so."""
    for words in REPORTS:
        done = cost("host=/nonexistent dbname=x", *(word.format(user="ada@example.com") for word in words))
        assert (done.code, done.out) == (ExitCode.UNAVAILABLE, ""), (words, done)


def test_not_migrated(panel_conninfo: str) -> None:
    """Before the migration each report says what to run."""
    for words in REPORTS:
        done = cost(panel_conninfo, *(word.format(user="ada@example.com") for word in words))
        assert (done.code, done.out) in {(ExitCode.CONFIGURATION, ""), (ExitCode.NOT_FOUND, "")}, (
            words,
            done,
        )
        assert "Traceback" not in done.err
