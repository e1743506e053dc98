"""The reference's statistics and subscription revenue, on examples small enough to work out by hand."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.reference.examples import (
    ANN,
    BOB,
    CARD,
    FREE,
    PRO,
    STARTER,
    TODAY,
    at,
    platform,
    subscription,
)
from tests.reference.rates import rounded
from tests.reference.source import UNATTRIBUTED, Row, Source
from tests.reference.statistics import platform_statistics
from tests.reference.subscriptions import Movements, Price, arr_cents, churn_of_30_days, is_live, movements


def live_row(**columns: Any) -> Row:  # noqa: ANN401 - columns of any type
    absent = dict.fromkeys(["expires_at", "trial_ends_at"])
    return absent | subscription(**columns)


def statistics(source: Source, day: date = TODAY, **known: Any) -> dict[str, Any]:  # noqa: ANN401 - snapshots and prices
    return platform_statistics(
        source,
        CARD,
        day,
        snapshots=known.get("snapshots", {}),
        kinds=known.get("kinds", {}),
        prices=known.get("prices", []),
    )


def test_a_yearly_plan_keeps_its_cents() -> None:
    """99.99 a year is an ARR of 99.99 and an MRR of 8.33."""
    row = statistics(platform(user_subscriptions=[subscription(billing_cycle="yearly")]))
    assert (row["arr_cents"], row["arr"], row["mrr"]) == (9999, Decimal("99.99"), Decimal("8.33"))


@pytest.mark.parametrize(
    ("value", "result"), [("1/2", "1"), ("-1/2", "-1"), ("5/2", "3"), ("49/100", "0"), ("-1/3", "0")]
)
def test_halves_are_rounded_away_from_zero(value: str, result: str) -> None:
    """As PostgreSQL rounds numerics."""
    assert rounded(Fraction(value), 0) == Decimal(result)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, True),
        ({"started": "2025-06-16"}, False),
        ({"started": "2025-06-15T23:59:59.999999"}, True),
        ({"expires_at": at("2025-06-16")}, True),
        ({"expires_at": at("2025-06-15T23:59:59.999999")}, False),
        ({"status": "cancelled"}, False),
        ({"status": "cancelled", "expires_at": at("2025-06-20")}, True),
        ({"status": "trial"}, True),
        ({"status": "trial", "trial_ends_at": at("2025-06-16")}, True),
        ({"status": "trial", "trial_ends_at": at("2025-06-15T23:00")}, False),
        ({"trial_ends_at": at("2025-06-01")}, True),
        ({"status": "suspended"}, False),
        ({"status": "expired"}, False),
    ],
)
def test_liveness_at_the_end_of_a_day(columns: dict[str, Any], expected: bool) -> None:
    """The end of a day is its next midnight, and what ends exactly then is still live."""
    assert is_live(live_row(**columns), TODAY) is expected


@pytest.mark.parametrize(
    ("columns", "is_paying", "is_trialing"),
    [
        ({}, True, False),
        ({"status": "trial"}, False, True),
        ({"is_trial": True, "trial_ends_at": at("2025-06-16")}, False, True),
        ({"is_trial": True, "trial_ends_at": at("2025-06-15")}, True, False),
        ({"is_trial": True}, True, False),
        ({"billing_cycle": "lifetime"}, False, False),
        ({"tier_id": FREE}, False, False),
    ],
)
def test_who_pays_and_who_tries(columns: dict[str, Any], is_paying: bool, is_trialing: bool) -> None:
    """Trials, lifetime plans and free tiers bring no revenue."""
    row = statistics(platform(user_subscriptions=[subscription(**columns)]))
    assert (row["paying_users"], row["trialing_users"]) == (int(is_paying), int(is_trialing))


def test_the_latest_started_subscription_is_current() -> None:
    """An earlier one does not count beside it."""
    rows = [subscription(PRO, "2025-06-02"), subscription(STARTER, "2025-06-01")]
    assert arr_cents(platform(user_subscriptions=rows), [], TODAY) == {ANN: 36000}


ENDING: Row = {"status": "cancelled", "expires_at": at("2025-06-15T12:00")}
MOVED = {
    "new": ([subscription(started="2025-06-15")], Movements(new=11988)),
    "reactivation": (
        [
            subscription(STARTER, "2025-03-01", status="cancelled", expires_at=at("2025-03-09")),
            subscription(PRO, "2025-06-15"),
        ],
        Movements(reactivation=36000),
    ),
    "expansion": (
        [subscription(STARTER), subscription(PRO, "2025-06-15")],
        Movements(expansion=24012),
    ),
    "contraction": (
        [subscription(STARTER), subscription(PRO, "2025-06-01", **ENDING)],
        Movements(contraction=24012),
    ),
    "churn": ([subscription(**ENDING)], Movements(churn=11988, churned_users=1)),
    "end of a trial": (
        [subscription(is_trial=True, trial_ends_at=at("2025-06-15T12:00"))],
        Movements(new=11988),
    ),
}


@pytest.mark.parametrize("kind", MOVED)
def test_movements(kind: str) -> None:
    """Each change between two days' ends is of one kind."""
    subscriptions, expected = MOVED[kind]
    assert movements(platform(user_subscriptions=subscriptions), [], TODAY) == expected


def test_a_new_price_moves_revenue() -> None:
    """A day is valued at the price in force at its end."""
    prices = [
        Price(STARTER, at("2025-01-01"), Decimal("9.99"), Decimal("99.99")),
        Price(STARTER, at("2025-06-15T23:59"), Decimal("10.99"), Decimal("99.99")),
    ]
    source = platform(user_subscriptions=[subscription()])
    assert movements(source, prices, TODAY) == Movements(expansion=1200)


def test_a_deleted_account_churns() -> None:
    """Nothing of it is live from the end of the day on which it was deleted."""
    gone = {"id": ANN, "created_at": at("2025-01-01"), "deleted_at": at("2025-06-15T08:00")}
    source = platform(**{"auth.users": [gone], "user_subscriptions": [subscription()]})
    row = statistics(source)
    assert (row["mrr_churn"], row["deleted_users"], row["total_users"]) == (Decimal("9.99"), 1, 0)
    assert statistics(source, TODAY - timedelta(days=1))["total_users"] == 1


def test_churn_looks_back_thirty_days() -> None:
    """One who stopped 30 days ago is out of sight the day after."""
    left = subscription(status="cancelled", expires_at=at("2025-05-17"))
    stayed = subscription(PRO) | {"user_id": BOB}
    source = platform(user_subscriptions=[left, stayed])
    assert churn_of_30_days(source, [], TODAY) == (1, 2)
    assert churn_of_30_days(source, [], TODAY + timedelta(days=1)) == (0, 1)


def test_the_suspended_are_paused_unless_something_else_is_live() -> None:
    """Paused users pay nothing and are counted apart."""
    suspended = subscription(status="suspended")
    paused = statistics(platform(user_subscriptions=[suspended]))
    both = statistics(platform(user_subscriptions=[suspended, subscription(PRO)]))
    assert (paused["paused_users"], paused["paying_users"]) == (1, 0)
    assert (both["paused_users"], both["paying_users"]) == (0, 1)


def test_tiers_sum_to_the_total() -> None:
    """A subscription's tier comes before the profile's, which comes before free."""
    profiles: list[Row] = [
        {"id": ANN, "subscription_tier_id": PRO},
        {"id": BOB, "subscription_tier_id": None},
    ]
    by_profile = statistics(platform(profiles=profiles))
    by_subscription = statistics(platform(profiles=profiles, user_subscriptions=[subscription()]))
    assert by_profile["users_by_tier"] == {"pro": 1, "free": 1}
    assert by_subscription["users_by_tier"] == {"starter": 1, "free": 1}


def test_active_users_trail() -> None:
    """An action counts on its day and for the windows of 7 and 30 days that end with it or later."""
    times = {ANN: "2025-06-08T23:59:59.999999", BOB: "2025-06-09"}
    source = platform(
        voice_clones=[{"user_id": user, "created_at": at(time)} for user, time in times.items()]
    )
    row = statistics(source)
    assert (row["daily_active_users"], row["weekly_active_users"], row["active_users"]) == (0, 1, 2)


def test_the_later_login_counts() -> None:
    """Of the two places that keep a login, the later decides the day."""
    accounts = [
        {"id": ANN, "created_at": at("2025-01-01"), "last_sign_in_at": at("2025-06-15")},
        {"id": BOB, "created_at": at("2025-01-01"), "last_sign_in_at": at("2025-06-15")},
    ]
    profiles = [{"id": BOB, "last_login": at("2025-06-16")}]
    assert statistics(platform(**{"auth.users": accounts, "profiles": profiles}))["logins_today"] == 1


def test_avatars_at_the_end_of_the_day() -> None:
    """One deleted later was still there; one deleted at an unknown time never counts."""
    made = {"user_id": ANN, "created_at": at("2025-06-01")}
    avatars = [
        made | {"status": "active"},
        made | {"status": "deleted", "deleted_at": at("2025-06-16")},
        made | {"status": "deleted", "deleted_at": at("2025-06-15")},
        made | {"status": "deleted"},
    ]
    row = statistics(platform(avatars=avatars))
    assert (row["total_avatars"], row["active_avatars"]) == (2, 1)


def test_revenue_is_of_completed_dollars() -> None:
    """No currency means dollars; others and refunds are not revenue."""
    bought = {"price_paid": Decimal("5.00"), "purchased_at": at("2025-06-15"), "status": "completed"}
    purchases = [
        bought,
        bought | {"currency": "USD"},
        bought | {"currency": "EUR"},
        bought | {"status": "refunded"},
    ]
    assert statistics(platform(purchases=purchases))["revenue_today"] == Decimal("10.00")


def test_a_day_costs_its_share_of_storage() -> None:
    """Unattributed bytes included, and named."""
    row = statistics(
        platform(),
        snapshots={TODAY: {ANN: 10**9, UNATTRIBUTED: 10**9}},
        kinds={TODAY: {"images": 2 * 10**9, "other": 0}},
    )
    assert (row["storage_bytes"], row["storage_by_kind"]) == (2 * 10**9, {"images": 2 * 10**9})
    assert row["cost_by_kind"]["storage"] == row["estimated_cost_today"] == Decimal("0.0014")
    assert row["unattributed"] == {"storage_bytes": 10**9}
