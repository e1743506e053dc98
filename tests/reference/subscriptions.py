"""Who subscribes to what at the end of a day, and what that is worth in exact cents a year."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from tests.reference.source import Row, Source, day_of, days_between, end_of

FREE = "free"
"""The tier of everyone who has no other."""


@dataclass(frozen=True)
class Price:
    """What a tier costs a month and a year, from a day or moment on."""

    tier_id: UUID
    valid_from: date | datetime
    monthly: Decimal
    yearly: Decimal


@dataclass(frozen=True)
class Movements:
    """How the yearly revenue moved between two days' ends, each in cents and none negative."""

    new: int = 0
    reactivation: int = 0
    expansion: int = 0
    contraction: int = 0
    churn: int = 0
    churned_users: int = 0


def is_gone(account: Row, label: str | None, end: datetime) -> bool:
    """Tell whether an account is deleted by then; one labelled so without a date always was."""
    if account["deleted_at"] is not None:
        return bool(account["deleted_at"] < end)
    return label == "deleted"


def gone_accounts(source: Source, day: date) -> set[UUID]:
    """Return the accounts deleted by the end of the day."""
    profiles = source.rows_if_any("profiles", "id", "account_status")
    labels = {profile["id"]: profile["account_status"] for profile in profiles}
    accounts = source.rows_if_any("auth.users", "id", "deleted_at")
    return {row["id"] for row in accounts if is_gone(row, labels.get(row["id"]), end_of(day))}


def is_started(subscription: Row, day: date) -> bool:
    """Tell whether the day's end lies within the subscription's dates."""
    expires = subscription["expires_at"]
    return bool(subscription["started_at"] < end_of(day) and (expires is None or expires >= end_of(day)))


def is_live(subscription: Row, day: date) -> bool:
    """Tell whether the subscription, of an account that is not deleted, is live at the end of the day."""
    if not is_started(subscription, day):
        return False
    trial_end = subscription["trial_ends_at"]
    match subscription["status"]:
        case "active":
            return True
        case "cancelled":
            return subscription["expires_at"] is not None
        case "trial":
            return trial_end is None or bool(trial_end >= end_of(day))
        case _:
            return False


def is_trial(subscription: Row, day: date) -> bool:
    """Tell whether a live subscription is still on trial at the end of the day."""
    trial_end = subscription["trial_ends_at"]
    running = trial_end is not None and trial_end >= end_of(day)
    return bool(subscription["status"] == "trial" or (subscription["is_trial"] and running))


def _subscriptions(source: Source) -> list[Row]:
    return source.rows_if_any("user_subscriptions", "user_id", "tier_id", "status", "started_at")


def current_subscriptions(source: Source, day: date) -> dict[UUID, Row]:
    """Return each user's current subscription: the latest started of those live at the end of the day."""
    gone = gone_accounts(source, day)
    live = [row for row in _subscriptions(source) if row["user_id"] not in gone and is_live(row, day)]
    live.sort(key=lambda row: (row["started_at"], row["created_at"], row["id"]))
    return {row["user_id"]: row for row in live}


def paused_users(source: Source, day: date) -> set[UUID]:
    """Return the users whose subscription is suspended while nothing else of theirs is live."""
    suspended = {
        row["user_id"]
        for row in _subscriptions(source)
        if row["status"] == "suspended" and is_started(row, day)
    }
    return suspended - set(current_subscriptions(source, day)) - gone_accounts(source, day)


def effective_tiers(source: Source, day: date) -> dict[UUID, Row | None]:
    """Return each account's tier: the current subscription's, else the profile's, else free."""
    tiers = source.rows_if_any("subscription_tiers", "id", "name")
    by_id = {tier["id"]: tier for tier in tiers}
    free = next((tier for tier in tiers if tier["name"] == FREE), None)
    profiles = source.rows_if_any("profiles", "id", "subscription_tier_id")
    chosen = {profile["id"]: profile["subscription_tier_id"] for profile in profiles}
    chosen |= {user: row["tier_id"] for user, row in current_subscriptions(source, day).items()}
    return {user: by_id.get(chosen.get(user), free) for user in source.accounts()}


def price_on(source: Source, prices: Sequence[Price], tier_id: UUID, day: date) -> tuple[Decimal, Decimal]:
    """Return a tier's monthly and yearly price in force at the end of the day.

    A day before the history begins has its first price; without any history it is the tier's present one.
    """
    history = sorted((price for price in prices if price.tier_id == tier_id), key=_begins)
    in_force = [price for price in history if _begins(price) <= day]
    if history:
        price = in_force[-1] if in_force else history[0]
        return price.monthly, price.yearly
    tiers = source.rows_if_any("subscription_tiers", "id", "price_monthly", "price_yearly")
    tier = next(row for row in tiers if row["id"] == tier_id)
    return tier["price_monthly"], tier["price_yearly"]


def _begins(price: Price) -> date:
    return day_of(price.valid_from)


def arr_cents(source: Source, prices: Sequence[Price], day: date) -> dict[UUID, int]:
    """Return what each paying user is worth a year, in cents, at the end of the day."""
    worth = {}
    for user, subscription in current_subscriptions(source, day).items():
        monthly, yearly = price_on(source, prices, subscription["tier_id"], day)
        cents = {"monthly": monthly * 100 * 12, "yearly": yearly * 100, "lifetime": Decimal(0)}
        value = int(cents[subscription["billing_cycle"]])
        if value > 0 and not is_trial(subscription, day):
            worth[user] = value
    return worth


def movements(source: Source, prices: Sequence[Price], day: date) -> Movements:
    """Return how revenue moved from the end of the day before to the end of the day."""
    before = arr_cents(source, prices, day - timedelta(days=1))
    after = arr_cents(source, prices, day)
    change = {user: after.get(user, 0) - before.get(user, 0) for user in before.keys() | after.keys()}
    started = after.keys() - before.keys()
    stopped = before.keys() - after.keys()
    returned = {user for user in started if _has_ever_paid(source, prices, user, day)}
    stayed = before.keys() & after.keys()
    return Movements(
        new=sum(change[user] for user in started - returned),
        reactivation=sum(change[user] for user in returned),
        expansion=sum(change[user] for user in stayed if change[user] > 0),
        contraction=-sum(change[user] for user in stayed if change[user] < 0),
        churn=-sum(change[user] for user in stopped),
        churned_users=len(stopped),
    )


def _has_ever_paid(source: Source, prices: Sequence[Price], user: UUID, before: date) -> bool:
    own = [row for row in _subscriptions(source) if row["user_id"] == user]
    first = min(day_of(row["started_at"]) for row in own)
    return any(
        user in arr_cents(source, prices, day) for day in days_between(first, before - timedelta(days=1))
    )


def churn_of_30_days(source: Source, prices: Sequence[Price], day: date) -> tuple[int, int]:
    """Return how many of those who paid at any day's end of the last 30 do no longer, and how many paid."""
    paid: set[UUID] = set()
    for earlier in days_between(day - timedelta(days=30), day):
        paid |= arr_cents(source, prices, earlier).keys()
    return len(paid - arr_cents(source, prices, day).keys()), len(paid)


def override_of(subscription: Row | None, today: date) -> Mapping[str, object]:
    """Return the user's own limits of the current subscription, unless they have expired."""
    if subscription is None or not isinstance(subscription["custom_limits"], dict):
        return {}
    expires = subscription["override_expires_at"]
    return subscription["custom_limits"] if expires is None or expires >= end_of(today) else {}
