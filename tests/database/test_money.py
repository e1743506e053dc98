"""Two years of subscriptions, seen by jobs on some of their days: revenue rolls forward to the cent, day by day."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.rollup import rates
from jobs.registry import BY_NAME
from jobs.runner import Order, execute
from tests.cli.invoking import invoke
from tests.conftest import created_database
from tests.reference import money
from tests.reference.source import days_between, read_source
from tests.reference.subscriptions import Price, arr_cents

FIRST, DAYS, SEED, USERS = date(2023, 5, 17), 730, 20, 60
LAST = FIRST + timedelta(days=DAYS - 1)
NOW = datetime.combine(LAST, time(18), UTC)
# Days on which the job runs; what it sees of the day before stays, whatever is written later.
RUNS = (90, 91, 300, 301, 302, 500, 501, DAYS - 1)
HISTORY = "select tier_id, valid_from, price_monthly, price_yearly from avatarlab_admin.tier_price_history"


@dataclass
class History:
    """A random history of subscriptions: its rows as they stand on the day it has come to."""

    dice: Random
    tiers: list[UUID]
    born: dict[UUID, datetime] = field(default_factory=dict)
    gone: dict[UUID, datetime] = field(default_factory=dict)
    rows: dict[tuple[UUID, UUID], dict[str, Any]] = field(default_factory=dict)

    def live_through(self, day: date) -> None:
        """Let a day pass: people sign up, subscribe, change, pause, cancel, come back, and delete their accounts."""
        now = datetime.combine(day, time(), UTC) + timedelta(seconds=self.dice.randrange(86_400))
        if not self.born or (len(self.born) < USERS and self.dice.random() < 0.12):
            self.born[UUID(int=self.dice.getrandbits(128))] = now
        for user in self.born.keys() - self.gone.keys():
            # The order of a set must not matter.
            dice = Random(f"{SEED} {user} {day}")  # noqa: S311 (test data, not a secret)
            chance = dice.random()
            if chance < 0.025:
                self._subscribe(user, now, dice)
            elif chance < 0.05:
                self._change(user, now, dice)
            elif chance < 0.0505:
                self.gone[user] = now

    def _subscribe(self, user: UUID, now: datetime, dice: Random) -> None:
        tier = dice.choice(self.tiers)
        is_trial = dice.random() < 0.3
        self.rows.setdefault(
            (user, tier),
            {
                "id": UUID(int=dice.getrandbits(128)),
                "status": "trial" if is_trial else "active",
                "cycle": dice.choice(["monthly", "monthly", "yearly", "lifetime"]),
                "started": now,
                "expires": None,
                "is_trial": is_trial,
                "trial_ends": now + timedelta(days=14) if is_trial else None,
            },
        )

    def _change(self, user: UUID, now: datetime, dice: Random) -> None:
        own = [row for (owner, _), row in self.rows.items() if owner == user]
        if not own:
            return
        row = dice.choice(own)
        match dice.randrange(6):
            case 0:
                row |= {"status": "cancelled", "expires": now + timedelta(days=dice.randrange(40))}
            case 1:
                row |= {"status": "suspended"}
            case 2:
                row |= {"cycle": dice.choice(["monthly", "yearly"])}
            case 3:
                row |= {"status": "active", "expires": now + timedelta(days=dice.randrange(90))}
            case _:
                row |= {"status": "active", "expires": None, "is_trial": False}

    def write(self, connection: sa.Connection) -> None:
        """Set the database's accounts and subscriptions to this."""
        accounts = [{"id": u, "at": at, "gone": self.gone.get(u)} for u, at in self.born.items()]
        connection.execute(
            sa.text(
                "insert into auth.users (id, email, created_at, deleted_at) values (:id, cast(:id as uuid) || '@example.com',"
                " :at, :gone) on conflict (id) do update set deleted_at = excluded.deleted_at"
            ),
            accounts,
        )
        connection.execute(sa.text("delete from user_subscriptions"))
        if self.rows:
            connection.execute(
                sa.text(
                    "insert into user_subscriptions (id, user_id, tier_id, status, billing_cycle, started_at, expires_at,"
                    " is_trial, trial_ends_at, created_at) values (:id, :user, :tier, :status, :cycle, :started, :expires,"
                    " :is_trial, :trial_ends, :started)"
                ),
                [{**row, "user": user, "tier": tier} for (user, tier), row in self.rows.items()],
            )


@dataclass(frozen=True)
class Told:
    """A database with the history, and what the reference makes of it."""

    conninfo: str
    worth: money.Worth


@pytest.fixture(scope="module")
def told(server_conninfo: str, migrated_panel_template: str) -> Iterator[Told]:
    """The history, the job run on each of RUNS, and what every user was worth on each day as it was seen."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        database, worth = Database(conninfo), dict[date, dict[UUID, int]]()
        with database.write() as connection:
            history = History(Random(SEED), _priced(connection))  # noqa: S311 (test data, not a secret)
        for number in range(DAYS):
            history.live_through(FIRST + timedelta(days=number))
            if number in RUNS:
                today = FIRST + timedelta(days=number)
                with database.write() as connection:
                    history.write(connection)
                    source = read_source(connection)
                    prices = [Price(*row) for row in connection.execute(sa.text(HISTORY))]
                execute(database, BY_NAME["platform-statistics"], Order(rates.load(), today=today))
                # A day stays as a run on the day after saw it; each run reconstructs all others.
                kept = {FIRST + timedelta(days=n - 1) for n in RUNS if n < number}
                worth |= {
                    day: arr_cents(source, prices, day)
                    for day in days_between(FIRST, today)
                    if day not in kept
                }
        yield Told(conninfo, worth)


def _priced(connection: sa.Connection) -> list[UUID]:
    """Give each paid tier a price that changes three times, the yearly one no multiple of twelve."""
    connection.execute(sa.text("delete from avatarlab_admin.tier_price_history"))
    for number, days in enumerate((-400, 150, 420, 610), 1):
        connection.execute(
            sa.text(
                "insert into avatarlab_admin.tier_price_history (tier_id, valid_from, price_monthly, price_yearly)"
                " select id, :at, 9.99 * :n + sort_order, 99.99 * :n + sort_order from subscription_tiers"
            ),
            {"at": datetime.combine(FIRST + timedelta(days=days), time(7), UTC), "n": number % 3 + 1},
        )
    return list(connection.scalars(sa.text("select id from subscription_tiers order by name")))


def _shown(told: Told, *arguments: str) -> dict[str, dict[str, Any]]:
    found = invoke(told.conninfo, *arguments, "--json", now=NOW)
    assert found.code == 0, found.err
    return {row["month"]: row for row in json.loads(found.out)}


def test_revenue_rolls_forward_on_each_of_730_days(told: Told) -> None:
    """ARR is the day before's and the movements, in exact cents, on every day, and each is what the reference says."""
    moved = money.movements(told.worth)
    with psycopg.connect(told.conninfo) as connection:
        rows = connection.execute(
            "SELECT stat_date, arr_cents, round(1200 * mrr_new), round(1200 * mrr_reactivation),"
            " round(1200 * mrr_expansion), round(1200 * mrr_contraction), round(1200 * mrr_churn)"
            " FROM platform_statistics ORDER BY stat_date"
        ).fetchall()
    before = 0
    for day, arr, *figures in rows:
        found = dict(zip(money.KINDS, map(int, figures), strict=True))
        assert (day, arr, found) == (day, sum(told.worth[day].values()), moved[day])
        assert arr == before + sum(money.SIGNS[kind] * cents for kind, cents in found.items())
        before = arr
    assert len(rows) == DAYS
    # The history has all there is to see.
    assert all(sum(day[kind] for day in moved.values()) > 0 for kind in money.KINDS)


def test_waterfall(told: Told) -> None:
    """Each month begins where the last ended and its movements explain the end, as a recount has them."""
    expected = money.waterfall(told.worth)
    shown = _shown(told, "stats", "mrr", "--months", "30")
    assert shown.keys() == expected.keys()
    for month, flow in expected.items():
        assert {name: shown[month][f"{name}_cents"] for name in flow} == flow
        assert {name: Decimal(shown[month][name]) for name in flow} == {
            name: money.twelfth(cents) for name, cents in flow.items()
        }
        assert (shown[month]["unexplained"], shown[month]["missing_days"]) == (0, 0)


@pytest.mark.parametrize("months", ["30", "3"])
def test_churn(told: Told, months: str) -> None:
    """Who came, left and stayed, and the shares, are a recount's, however few months are asked for."""
    expected = money.churn(told.worth)
    shown = _shown(told, "stats", "churn", "--months", months)
    assert list(shown) == list(expected)[-int(months) :]
    for month, row in shown.items():
        figures = {name: row[name] for name in expected[month]}
        decimals = {
            name: Decimal(value) if isinstance(value, str) else value for name, value in figures.items()
        }
        assert decimals == expected[month]


def test_cohorts(told: Told) -> None:
    """What a cohort pays at each month's end is a recount's; shares are of its first month."""
    with psycopg.connect(told.conninfo) as connection:
        signups: dict[UUID, date] = dict(
            connection.execute("SELECT id, (created_at AT TIME ZONE 'UTC')::date FROM auth.users").fetchall()
        )
    expected = money.cohorts(told.worth, signups, ())
    found = invoke(
        told.conninfo, *("stats", "cohorts", "--by", "revenue", "--months", "30", "--json"), now=NOW
    )
    rows = {(row["cohort"], row["month"]): row for row in json.loads(found.out)}
    assert rows.keys() == expected.keys()
    for (cohort, month), cell in expected.items():
        row = rows[cohort, month]
        base = expected[cohort, cohort]["arr"]
        told_share = None if row["share"] is None else Decimal(row["share"])
        assert (row["users"], row["retained"]) == (cell["users"], cell["paying"])
        assert Decimal(row["mrr"]) == money.twelfth(cell["arr"])
        assert told_share == money.share(cell["arr"], base)


def test_yearly_plans_are_exact(server_conninfo: str, migrated_panel_template: str) -> None:
    """A plan of 99.99 a year is 99.99 of ARR, and a thousand of them 99,990.00, with no cent lost to a twelfth."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("UPDATE avatarlab_admin.tier_price_history SET price_yearly = 99.99")
            connection.execute(
                "INSERT INTO auth.users (id, email, created_at) SELECT gen_random_uuid(), n || '@example.com',"
                " '2025-01-01 09:00Z' FROM generate_series(1, 1000) n"
            )
            connection.execute(
                "INSERT INTO user_subscriptions (user_id, tier_id, billing_cycle, started_at)"
                " SELECT u.id, t.id, 'yearly', CASE WHEN u.email = '1@example.com' THEN timestamptz '2025-01-01 10:00Z'"
                " ELSE '2025-01-02 10:00Z' END FROM auth.users u JOIN subscription_tiers t ON t.name = 'pro'"
            )
        execute(
            Database(conninfo),
            BY_NAME["platform-statistics"],
            Order(rates.load(), today=date(2025, 1, 3)),
        )
        with psycopg.connect(conninfo) as connection:
            rows = connection.execute(
                "SELECT arr_cents, arr FROM platform_statistics ORDER BY stat_date"
            ).fetchall()
        assert rows == [
            (9_999, Decimal("99.99")),
            (9_999_000, Decimal("99990.00")),
            (9_999_000, Decimal("99990.00")),
        ]
