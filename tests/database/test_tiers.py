"""The reports on tiers against a recount in Python, over random data and both starting states."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.queries import naming, tiers
from avatarlab_cli.queries.tier_plans import WhatIf
from avatarlab_cli.rollup import rates
from avatarlab_cli.schema.live import probe
from avatarlab_cli.tier_file import Tier
from jobs import monthly_usage
from jobs.registry import COMPUTING
from jobs.runner import Order, execute
from tests.conftest import DEMO_END
from tests.database.comparing import TODAY, drop_temporary_tables, rolled_back, task
from tests.examples import examples
from tests.reference.generate import Dataset, datasets, insert
from tests.reference.limits import MAX_AVATARS, Limits, limits_on
from tests.reference.source import Source, Table, end_of, read_source
from tests.reference.subscriptions import (
    Price,
    arr_cents,
    current_subscriptions,
    effective_tiers,
    gone_accounts,
    is_trial,
    paused_users,
)

EXAMPLES = examples(12)
MONTHS = (date(2025, 3, 1), date(2025, 2, 1), date(2025, 1, 1))
Figures = dict[str, dict[str, Any]]
# A file's tiers: some of those there are, and one there is not.
PLANS = st.lists(
    st.builds(
        Tier,
        st.sampled_from(["free", "starter", "pro", "enterprise", "team"]),
        st.fixed_dictionaries(
            {},
            optional={
                "price_monthly": st.decimals(0, 500, places=2),
                "price_yearly": st.decimals(0, 5000, places=2),
                "max_avatars": st.integers(-1, 2),
                "limits": st.dictionaries(
                    st.sampled_from(
                        ["avatars_created", "images_generated", "tts_characters", "storage_bytes"]
                    ),
                    st.integers(-1, 2),
                ),
            },
        ),
    ),
    unique_by=lambda tier: tier.name,
)


def rows_of(connection: sa.Connection, select: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(select).mappings()]


def users_of(source: Source) -> dict[UUID, str]:
    """Return the tier of each account that is there at the end of today."""
    gone = gone_accounts(source, TODAY)
    late = {
        row["id"]
        for row in source.rows_if_any("auth.users", "id")
        if row["created_at"] is not None and row["created_at"] >= end_of(TODAY)
    }
    names = {user: tier["name"] if tier else "free" for user, tier in effective_tiers(source, TODAY).items()}
    return {user: name for user, name in names.items() if user not in gone | late}


def with_plan(source: Source, plan: Sequence[Tier]) -> Source:
    """Return the source as it would be once the plan were applied."""
    wanted = {tier.name: tier.values for tier in plan}
    table = source.tables["subscription_tiers"]
    rows = [{**row, **wanted.get(row["name"], {})} for row in table.rows]
    return Source({**source.tables, "subscription_tiers": Table(table.columns, rows)})


def prices_of(connection: sa.Connection) -> list[Price]:
    history = (
        "select tier_id, valid_from, price_monthly, price_yearly from avatarlab_admin.tier_price_history"
    )
    return [Price(*row) for row in connection.execute(sa.text(f"{history} where isfinite(valid_from)"))]


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def exceeded_of(
    connection: sa.Connection, source: Source, limits: Limits, month: date
) -> dict[UUID, set[str]]:
    """Return the limits each account exceeds by the month's stored usage and its present avatars."""
    stored = connection.execute(
        sa.text("select * from monthly_usage where usage_month = :month and computed_at is not null"),
        {"month": month},
    )
    usage: Mapping[UUID, dict[str, Any]] = {row["user_id"]: dict(row) for row in stored.mappings()}
    return {
        user: set(limits.exceeded(user, {**usage.get(user, {}), MAX_AVATARS: limits.avatars.get(user)}))
        for user in users_of(source)
    }


def expected_distribution(source: Source, prices: Sequence[Price]) -> Figures:
    worth = arr_cents(source, prices, TODAY)
    current = current_subscriptions(source, TODAY)
    paused = paused_users(source, TODAY)
    found: Figures = defaultdict(Counter)
    for user, tier in users_of(source).items():
        figures = found[tier]
        figures["users"] += 1
        figures["paying"] += user in worth
        figures["trialing"] += user in current and is_trial(current[user], TODAY)
        figures["paused"] += user in paused
        figures["cents"] += worth.get(user, 0)
    return found


@EXAMPLES
@given(data=datasets(TODAY))
def test_distribution_agrees_with_a_recount(migrated: Database, data: Dataset) -> None:
    """Users, payers, trials, pauses and revenue of each tier are those that counting one by one finds."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        expected = expected_distribution(read_source(connection), prices_of(connection))
        report = tiers.distribution(probe(connection), TODAY)
        shown = {row["tier"]: row for row in rows_of(connection, report.select)}
        assert expected.keys() <= shown.keys()
        for tier, row in shown.items():
            figures = expected[tier]
            assert [row[name] for name in ("users", "paying", "trialing", "paused")] == [
                figures[name] for name in ("users", "paying", "trialing", "paused")
            ]
            assert row["arr"] == Decimal(figures["cents"]) / 100
            assert row["mrr"] == rounded(Decimal(figures["cents"]) / 1200)
        listed = rows_of(connection, tiers.every(probe(connection), TODAY, archived=True).select)
        assert {row["tier"]: row["users"] for row in listed} == {
            row["tier"]: expected[row["tier"]]["users"] for row in listed
        }


@EXAMPLES
@given(data=datasets(TODAY), plan=PLANS, month=st.sampled_from(MONTHS))
def test_what_if_agrees_with_a_recount(
    migrated: Database, data: Dataset, plan: list[Tier], month: date
) -> None:
    """Who would be over which limit, and what would be earned, is what judging one by one finds."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        monthly_usage.run(connection, task())
        drop_temporary_tables(connection)
        source = read_source(connection)
        then = with_plan(source, plan)
        over_now = exceeded_of(connection, source, limits_on(source, TODAY), month)
        over_then = exceeded_of(connection, source, limits_on(then, TODAY), month)
        worth_now = arr_cents(source, prices_of(connection), TODAY)
        worth_then = arr_cents(then, [], TODAY)
        what_if = WhatIf(probe(connection), plan, tiers.present(connection), month=month, today=TODAY)
        shown = rows_of(connection, what_if.by_tier().select)
        named = rows_of(connection, what_if.newly_over().select)

        users = users_of(source)
        assert {row["tier"] for row in shown} == set(users.values())
        for row in shown:
            own = {user for user, tier in users.items() if tier == row["tier"]}
            assert row["users"] == len(own)
            assert row["over_now"] == sum(bool(over_now[user]) for user in own)
            assert row["over_then"] == sum(bool(over_then[user]) for user in own)
            assert row["newly_over"] == sum(bool(over_then[user] - over_now[user]) for user in own)
            assert row["exceeded_now"] == Counter(name for user in own for name in over_now[user])
            assert row["exceeded_then"] == Counter(name for user in own for name in over_then[user])
            assert row["arr_now"] * 100 == sum(worth_now.get(user, 0) for user in own)
            assert row["arr_then"] * 100 == sum(worth_then.get(user, 0) for user in own)
            assert row["mrr_then"] == rounded(row["arr_then"] / 12)
        assert {(row["user_id"], row["metric"]) for row in named} == {
            (user, name) for user in users for name in over_then[user] - over_now[user]
        }


def test_distribution_sums_to_the_platform(demo_conninfo: str) -> None:
    """The tiers together have the users, payers, trials, pauses and revenue of platform_statistics."""
    database, today = Database(demo_conninfo), DEMO_END.date()
    for job in COMPUTING:
        execute(database, job, Order(rates.load(), today=today))
    with database.read() as connection:
        rows = rows_of(connection, tiers.distribution(probe(connection), today).select)
        stored = sa.text(
            "select total_users, paying_users, trialing_users, paused_users, arr, users_by_tier"
            " from platform_statistics where stat_date = :today"
        )
        *platform, by_tier = connection.execute(stored, {"today": today}).one()
    names = ("users", "paying", "trialing", "paused", "arr")
    assert [sum(row[name] for row in rows) for name in names] == platform
    assert {row["tier"]: row["users"] for row in rows if row["users"]} == by_tier
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=Decimal("0.00001"))
    assert platform[4] > 0


def test_a_price_change_is_kept(migrated_panel_conninfo: str) -> None:
    """A tier's history has its former price and the new one, each from when it held."""
    with Database(migrated_panel_conninfo).write() as connection:
        connection.execute(sa.text("update subscription_tiers set price_monthly = 39.99 where name = 'pro'"))
        connection.execute(sa.text("update subscription_tiers set display_name = 'Plus' where name = 'pro'"))
        pro = naming.find(connection, tiers.TIER, "pro")
        (row,) = rows_of(connection, tiers.show(pro, probe(connection), TODAY).select)
    assert [(price["monthly"], price["yearly"]) for price in row["prices"]] == [
        (29.99, 299.99),
        (39.99, 299.99),
    ]
    assert row["prices"][0]["from"] is None
    assert row["prices"][1]["from"] is not None


@pytest.mark.parametrize("missing", ["avatars", "profiles"])
def test_a_missing_table(migrated_panel_conninfo: str, missing: str) -> None:
    """Without avatars nobody has too many, and without profiles nobody's tier is the profile's."""
    with Database(migrated_panel_conninfo).write() as connection:
        connection.execute(
            sa.text("insert into auth.users (id, email) values (gen_random_uuid(), 'a@example.com')")
        )
        connection.execute(sa.text(f"drop table {missing} cascade"))
        plan = [Tier("free", {MAX_AVATARS: 0})]
        live = probe(connection)
        what_if = WhatIf(
            live, plan, tiers.present(connection), month=MONTHS[0], today=TODAY.replace(year=2999)
        )
        (row,) = rows_of(connection, what_if.by_tier().select)
    assert (row["tier"], row["users"], row["over_then"]) == ("free", 1, 0)
