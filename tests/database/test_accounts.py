"""What is told of accounts, recounted in Python from the rows of a demo platform of either state."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from typing import Any, Literal, cast
from uuid import UUID

import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.demo.load import DemoOptions, load
from avatarlab_cli.output.options import OutputOptions
from avatarlab_cli.output.projection import machine_select
from avatarlab_cli.queries.account_duplicates import duplicates
from avatarlab_cli.queries.account_inactive import inactive
from avatarlab_cli.queries.account_list import COLUMNS, PAGE, Wanted, listing
from avatarlab_cli.queries.account_show import show
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Report
from avatarlab_cli.rollup import rates
from jobs.registry import COMPUTING
from jobs.runner import Order, execute
from tests.conftest import DEMO_END, _migrate, created_database, plain_engine

MONTH = date(2025, 6, 1)
Row = dict[str, Any]


@pytest.fixture(scope="module", params=["seed", "panel"])
def demo(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The demo of a starting state, migrated, and both jobs run; the panel's has a user of each subscription."""
    template = request.getfixturevalue(f"{request.param}_template")
    with created_database(request.getfixturevalue("server_conninfo"), template) as conninfo:
        engine = plain_engine(conninfo)
        state = cast("Literal['seed', 'panel']", request.param)
        with engine.begin() as connection:
            load(connection, DemoOptions(users=90, months=4, seed=11, state=state, until=DEMO_END))
        _migrate(engine)
        for job in COMPUTING:
            execute(Database(conninfo), job, Order(rates.load(), today=DEMO_END.date()))
        yield Database(conninfo)


def rows(connection: sa.Connection, table: str) -> list[Row]:
    """Return a table's rows."""
    return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]


def reported(connection: sa.Connection, report: Report) -> dict[UUID, Row]:
    """Return a report's rows by account."""
    return {row["id"]: dict(row) for row in connection.execute(report.select).mappings()}


class Recount:
    """The same facts, looked up in the rows one by one."""

    def __init__(self, connection: sa.Connection) -> None:
        self.now: datetime = connection.scalar(sa.text("SELECT now()")) or DEMO_END
        self.ends = datetime(self.now.year, self.now.month, self.now.day, tzinfo=UTC) + timedelta(days=1)
        self.users = rows(connection, "auth.users")
        self.profiles = {row["id"]: row for row in rows(connection, "profiles")}
        self.tiers = {row["id"]: row for row in rows(connection, "subscription_tiers")}
        self.subscriptions = rows(connection, "user_subscriptions")
        self.avatars = rows(connection, "avatars")
        self.keys = rows(connection, "platform_api_keys")
        self.days = rows(connection, "avatarlab_admin.usage_daily")
        self.months = {
            row["user_id"]: row for row in rows(connection, "monthly_usage") if row["usage_month"] == MONTH
        }

    def account(self, user: Row) -> dict[str, object]:
        """Return what the list must tell of a user."""
        profile = self.profiles.get(user["id"], {})
        live = self.live(user["id"])
        tier = live["tier_id"] if live else profile.get("subscription_tier_id")
        logins = [moment for moment in (profile.get("last_login"), user["last_sign_in_at"]) if moment]
        days = [day["day"] for day in self.days if day["user_id"] == user["id"] and day["is_active"]]
        return {
            "id": user["id"],
            "email": user["email"],
            "name": profile.get("name"),
            "status": self.status(user, profile),
            "tier": self.tiers[tier]["name"] if tier else "free",
            "subscription": live and live["status"],
            "created_at": user["created_at"],
            "last_login_at": max(logins, default=None),
            "last_active": max(days, default=None),
            "avatars": sum(a["user_id"] == user["id"] and a["status"] != "deleted" for a in self.avatars),
            "api_keys": sum(self.is_valid(key) for key in self.keys if key["user_id"] == user["id"]),
        }

    def status(self, user: Row, profile: Row) -> str:
        """Return the first of deleted, banned and suspended that holds."""
        label = profile.get("account_status")
        if user["deleted_at"] or label == "deleted":
            return "deleted"
        if label == "banned" or (user["banned_until"] and user["banned_until"] > self.now):
            return "banned"
        return "suspended" if label == "suspended" else "active"

    def live(self, user: UUID) -> Row | None:
        """Return the user's latest subscription that is live at the end of today."""
        own = [s for s in self.subscriptions if s["user_id"] == user and self.is_live(s)]
        return max(own, key=lambda s: (s["started_at"], s["created_at"], s["id"]), default=None)

    def is_live(self, subscription: Row) -> bool:
        """Tell whether it runs: active, or cancelled with a time left, or on a trial not over."""
        s = subscription
        if s["started_at"] >= self.ends or (s["expires_at"] and s["expires_at"] < self.ends):
            return False
        trial_runs = s["trial_ends_at"] is None or s["trial_ends_at"] >= self.ends
        has_end = s["expires_at"] is not None
        return bool({"active": True, "cancelled": has_end, "trial": trial_runs}.get(s["status"]))

    def is_paying(self, user: UUID) -> bool:
        """Tell whether the live subscription costs something now."""
        live = self.live(user)
        if live is None or live["status"] == "trial" or live["billing_cycle"] == "lifetime":
            return False
        if live["is_trial"] and live["trial_ends_at"] and live["trial_ends_at"] >= self.ends:
            return False
        return bool(self.tiers[live["tier_id"]][f"price_{live['billing_cycle']}"] > 0)

    def is_valid(self, key: Row) -> bool:
        """Tell whether a platform key would be let in."""
        return key["status"] == "active" and (key["expires_at"] is None or key["expires_at"] > self.now)


def test_the_list_agrees_with_a_recount(demo: Database) -> None:
    """Every account is there once, with what its rows say, and with its month's usage."""
    with demo.engine.connect() as connection:
        found = reported(connection, listing(connection, Wanted(), MONTH, sort=None, rows=None))
        recount = Recount(connection)
        assert found.keys() == {user["id"] for user in recount.users}
        for user in recount.users:
            expected = recount.account(user)
            month = recount.months.get(user["id"], {})
            expected |= {c.name: month.get(c.name) for c in COLUMNS if c.name not in expected}
            assert found[user["id"]] == expected


def test_the_demo_has_every_kind_of_account(demo: Database) -> None:
    """The recount meets what it tells apart; where the panel never ran there are neither plans nor labels."""
    with demo.engine.connect() as connection:
        recount = Recount(connection)
        has_panel = bool(recount.subscriptions)
        accounts = [recount.account(user) for user in recount.users]
        statuses = {account["status"] for account in accounts}
        assert statuses == {"active", "banned", "deleted"} | ({"suspended"} if has_panel else set())
        assert len({account["tier"] for account in accounts}) == (4 if has_panel else 1)
        assert any(account["avatars"] for account in accounts)
        assert any(account["api_keys"] for account in accounts)


@pytest.mark.parametrize("column", [column.name for column in COLUMNS])
def test_a_page_shows_what_the_whole_list_does(demo: Database, column: str) -> None:
    """Whether a value is looked up or joined, for whatever order, it is the same, and so is the order."""
    with demo.engine.connect() as connection:
        pages = [
            connection.execute(
                machine_select(
                    listing(connection, Wanted(), MONTH, sort=f"-{column}", rows=count),
                    COLUMNS,
                    OutputOptions(sort=f"-{column}"),
                    None,
                )
            ).all()
            for count in (PAGE, None)
        ]
        assert len(pages[0]) == 90
        assert pages[0] == pages[1]


def _plan(connection: sa.Connection, report: Report, *fields: str) -> str:
    shown = [column for column in report.columns if column.name in fields]
    select = machine_select(report, shown, OutputOptions(sort="email"), 51)
    text = select.compile(connection, compile_kwargs={"literal_binds": True})
    return "\n".join(connection.exec_driver_sql(f"EXPLAIN {text}".replace("%", "%%")).scalars())


@pytest.mark.parametrize("count", [50, None])
def test_what_is_not_shown_is_not_read(demo: Database, count: int | None) -> None:
    """Neither a join nor a look-up costs anything where its value is not asked for."""
    tables = {"usage_daily", "monthly_usage", "user_subscriptions", "avatars", "platform_api_keys"}
    with demo.engine.connect() as connection:
        report = listing(connection, Wanted(), MONTH, sort="email", rows=count)
        assert not any(table in _plan(connection, report, "email", "created_at") for table in tables)
        whole = _plan(connection, report, *(column.name for column in COLUMNS))
        assert all(table in whole for table in tables)


def test_a_page_looks_up_what_it_does_not_sort_by(demo: Database) -> None:
    """What only stands in the page is computed for its rows, what decides about them for everybody."""
    with demo.engine.connect() as connection:
        for sort, tier in ((None, None), ("-last_active", None), (None, "pro")):
            report = listing(connection, Wanted(tier=tier), MONTH, sort=sort, rows=50)
            sources = [str(part) for part in report.select.get_final_froms()]
            joined = {name for name in ("activity", "current") if f" AS {name} ON" in sources[0]}
            assert joined == ({"activity"} if sort else {"current"} if tier else set())


def test_filters_together_agree_with_a_recount(demo: Database) -> None:
    """Each filter, any two and all of them together find the accounts for which each of them holds."""
    since = DEMO_END - timedelta(days=40)
    with demo.engine.connect() as connection:
        recount = Recount(connection)
        accounts = {user["id"]: recount.account(user) for user in recount.users}
        months = recount.months
        holds: dict[str, Callable[[Row], object]] = {
            "tier": lambda a: a["tier"] == "free",
            "status": lambda a: a["status"] == "active",
            "signed_up_since": lambda a: a["created_at"] >= since,
            "active_since": lambda a: a["last_active"] and a["last_active"] >= since.date(),
            "storage_above": lambda a: (months.get(a["id"], {}).get("storage_bytes") or 0) > 1_000_000,
            "search": lambda a: "AN" in f"{a['email']}\n{a['name']}".upper(),
            "is_over_limit": lambda a: months.get(a["id"], {}).get("is_over_limit"),
            "lacks_subscription": lambda a: a["subscription"] is None,
        }
        values = {
            "tier": "free",
            "status": "active",
            "signed_up_since": since,
            "active_since": since,
            "storage_above": 1_000_000,
            "search": "An",
            "is_over_limit": True,
            "lacks_subscription": True,
        }
        sizes = Counter[int]()
        for chosen in ((), *((name,) for name in values), *combinations(values, 2), tuple(values)):
            wanted = Wanted(**{name: values[name] for name in chosen})  # type: ignore[arg-type]  # by name
            found = reported(connection, listing(connection, wanted, MONTH, sort=None, rows=50))
            assert found.keys() == {
                key for key, a in accounts.items() if all(holds[name](a) for name in chosen)
            }
            sizes[len(found)] += 1
        assert len(sizes) > 5


def test_who_is_inactive_agrees_with_a_recount(demo: Database) -> None:
    """They were there before, are not deleted, and have neither logged in nor done anything since."""
    cutoff = DEMO_END - timedelta(days=30)
    with demo.engine.connect() as connection:
        found = reported(connection, inactive(connection, cutoff, MONTH))
        recount = Recount(connection)
        expected = set()
        for user in recount.users:
            account = recount.account(user)
            login, day = (
                cast("datetime | None", account["last_login_at"]),
                cast("date | None", account["last_active"]),
            )
            if (
                account["status"] != "deleted"
                and user["created_at"] < cutoff
                and (login is None or login < cutoff)
                and (day is None or day < cutoff.date())
            ):
                expected.add(user["id"])
        assert found.keys() == expected
        assert 0 < len(expected) < len(recount.users)
        assert {key: row["is_paying"] for key, row in found.items()} == {
            key: recount.is_paying(key) for key in expected
        }


def test_who_shares_a_number_agrees_with_a_recount(demo: Database) -> None:
    """Telephone numbers that several profiles have are found, each with all its accounts."""
    with demo.engine.connect() as connection:
        recount = Recount(connection)
        numbers: dict[str, set[UUID]] = {}
        for profile in recount.profiles.values():
            if profile["phone"]:
                numbers.setdefault("".join(filter(str.isdigit, profile["phone"])), set()).add(profile["id"])
        found: dict[str, set[UUID]] = {}
        for row in connection.execute(duplicates(connection, MONTH).select).mappings():
            if row["reason"] == "phone":
                found.setdefault(row["shared"], set()).add(row["id"])
        assert found == {number: users for number, users in numbers.items() if len(users) > 1}


def test_each_page_agrees_with_a_recount(demo: Database) -> None:
    """What stands on an account's page is what its rows say."""
    with demo.engine.connect() as connection:
        recount = Recount(connection)
        stored = rows(connection, "avatarlab_admin.storage_daily")
        sessions = Counter(row["user_id"] for row in rows(connection, "auth.sessions"))
        latest = max(row["day"] for row in stored)
        for user in recount.users[::4]:
            key = user["id"]
            account = recount.account(user)
            (page,) = connection.execute(
                show(connection, UserName(key, user["email"]), MONTH).select
            ).mappings()
            alike = account.keys() & page.keys() - {"avatars", "api_keys", "subscription"}
            assert {name: page[name] for name in alike} == {name: account[name] for name in alike}
            assert page["avatars"] == Counter(a["status"] for a in recount.avatars if a["user_id"] == key)
            kinds = Counter[str]()
            for row in stored:
                if row["user_id"] == key and row["day"] == latest:
                    kinds[row["kind"]] += row["bytes"]
            assert (page["storage"], page["storage_bytes"]) == (kinds, kinds.total())
            month = recount.months.get(key, {})
            assert page["total_cost"] == month.get("total_cost")
            assert (page["costs"] or {}) == {
                name.removesuffix("_cost"): str(cost)
                for name, cost in month.items()
                if name.endswith("_cost") and name != "total_cost" and cost is not None
            }
            assert len(page["sessions"]) == min(sessions[key], 5)
            assert (page["tier_source"] == "subscription") == (recount.live(key) is not None)
