"""One live subscription each and a profile that agrees, whatever rows there were before."""

from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.actions.act import Act, Item, Outcome
from avatarlab_cli.actions.engine import Order, carry_out
from avatarlab_cli.actions.subscription import Cancel, Set
from avatarlab_cli.actions.subscription_repair import Repair
from avatarlab_cli.database import Database
from avatarlab_cli.queries import subscriptions
from tests.database.comparing import drop_temporary_tables, rolled_back
from tests.examples import examples
from tests.reference.source import Row, read_source
from tests.reference.subscriptions import current_subscriptions, is_live, is_started

EXAMPLES = examples(10)
TIERS = ("free", "starter", "pro", "enterprise")
MOMENTS = st.sampled_from([None, -40, -1, 0, 1, 40])
HELD = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["active", "cancelled", "expired", "suspended", "trial"]),
        "billing_cycle": st.sampled_from(["monthly", "yearly", "lifetime"]),
        "started": st.sampled_from([-400, -40, -1, 0]),
        "expires": MOMENTS,
        "trial_ends": MOMENTS,
        "is_trial": st.booleans(),
    }
)
ROWS = st.dictionaries(st.sampled_from(TIERS), HELD)
PROFILE = st.sampled_from([None, *TIERS])


def account(connection: sa.Connection, held: dict[str, Row], profile: str | None) -> UUID:
    """Write a user with a subscription a tier; times are days from now, midnights moved by nothing."""
    user, now = uuid4(), datetime.now(UTC)
    run = connection.execute
    run(
        sa.text("insert into auth.users (id, email) values (:id, :email)"), {"id": user, "email": f"{user}@x"}
    )

    def moment(days: int | None) -> datetime | None:
        return None if days is None else now + timedelta(days=days)

    for tier, row in held.items():
        times = {name: moment(row[name]) for name in ("started", "expires", "trial_ends")}
        run(
            sa.text("""
                insert into user_subscriptions (user_id, tier_id, status, billing_cycle, started_at, expires_at,
                                                trial_ends_at, is_trial)
                select :user, id, :status, :billing_cycle, :started, :expires, :trial_ends, :is_trial
                from subscription_tiers where name = :tier
            """),
            {**row, **times, "user": user, "tier": tier},
        )
    if has_profile_tier(connection):
        run(
            sa.text("""
                update profiles set subscription_tier_id = (select id from subscription_tiers where name = :tier)
                where id = :user
            """),
            {"tier": profile, "user": user},
        )
    return user


def has_profile_tier(connection: sa.Connection) -> bool:
    columns = sa.inspect(connection).get_columns("profiles")
    return "subscription_tier_id" in {column["name"] for column in columns}


def do(connection: sa.Connection, act: Act, *users: UUID) -> Sequence[Outcome]:
    """Carry an act out as a new admin."""
    boss = uuid4()
    connection.execute(
        sa.text("insert into auth.users (id, email) values (:id, :email)"), {"id": boss, "email": f"{boss}@x"}
    )
    connection.execute(
        sa.text("insert into admin_users (user_id, role) values (:id, 'super_admin')"), {"id": boss}
    )
    items = [Item(number, str(user)) for number, user in enumerate(users, 1)]
    return carry_out(connection, act, items, Order(str(boss), "why", uuid4()))


def stands(connection: sa.Connection, user: UUID) -> tuple[list[str], list[str], str | None]:
    """Return the tiers of the user's live and paused subscriptions, and the profile's, by the reference."""
    today = connection.scalar(sa.text("select current_date"))
    source = read_source(connection)
    names = {row["id"]: row["name"] for row in source.rows_if_any("subscription_tiers")}
    own = [row for row in source.rows_if_any("user_subscriptions") if row["user_id"] == user]
    live = [names[row["tier_id"]] for row in own if is_live(row, today)]
    paused = [names[row["tier_id"]] for row in own if row["status"] == "suspended" and is_started(row, today)]
    profile = next(row for row in source.rows_if_any("profiles") if row["id"] == user)
    return live, paused, names.get(profile.get("subscription_tier_id"))


def current(connection: sa.Connection, user: UUID) -> Any:  # noqa: ANN401 (a tier's id, or None)
    today = connection.scalar(sa.text("select current_date"))
    found = current_subscriptions(read_source(connection), today).get(user)
    return found and found["tier_id"]


@EXAMPLES
@given(held=ROWS, profile=PROFILE, tier=st.sampled_from(TIERS), cycle=st.sampled_from([None, "yearly"]))
def test_set_leaves_one_subscription(
    migrated: Database, held: dict[str, Row], profile: str | None, tier: str, cycle: str | None
) -> None:
    """After `set` the tier is the only live one, nothing is paused, and the profile has it; once more changes nothing."""
    with rolled_back(migrated) as connection:
        user = account(connection, held, profile)
        do(connection, Set(tier=tier, cycle=cycle), user)
        expected = tier if has_profile_tier(connection) else None
        assert stands(connection, user) == ([tier], [], expected)
        drop_temporary_tables(connection)
        (again,) = do(connection, Set(tier=tier, cycle=cycle), user)
        assert again.result == "unchanged"


@EXAMPLES
@given(held=ROWS, profile=PROFILE, trust=st.sampled_from(["subscription", "profile"]))
def test_repair_leaves_nothing_to_find(
    migrated: Database, held: dict[str, Row], profile: str | None, trust: str
) -> None:
    """After `repair` the account has one subscription, which the profile agrees with, and is found no more."""
    with rolled_back(migrated) as connection:
        user = account(connection, held, profile)
        before, was_current = stands(connection, user), current(connection, user)
        do(connection, Repair(trust=trust), user)
        live, paused, set_to = stands(connection, user)
        assert len(live + paused) == 1
        if live and has_profile_tier(connection):
            assert set_to == live[0]
        if was_current and (trust == "subscription" or before[2] is None):
            assert current(connection, user) == was_current
        if live and trust == "profile" and before[2] is not None:
            assert live == [before[2]]
        assert user not in {row.id for row in connection.execute(subscriptions.findings(connection).select)}


@EXAMPLES
@given(held=ROWS, profile=PROFILE)
def test_findings(migrated: Database, held: dict[str, Row], profile: str | None) -> None:
    """Each account is found for exactly what the reference finds wrong with it."""
    with rolled_back(migrated) as connection:
        user = account(connection, held, profile)
        live, paused, carried = stands(connection, user)
        is_free = carried in (None, "free")
        names = {row["id"]: row["name"] for row in read_source(connection).rows_if_any("subscription_tiers")}
        expected = {
            subscriptions.SEVERAL: len(live + paused) > 1,
            subscriptions.NONE: not live + paused and is_free,
            subscriptions.LAPSED: not live + paused and not is_free,
            subscriptions.DISAGREE: has_profile_tier(connection)
            and bool(live)
            and (carried or "free") != names[current(connection, user)],
        }
        rows = connection.execute(subscriptions.findings(connection).select).all()
        assert {row.finding for row in rows if row.id == user} == {
            name for name, is_found in expected.items() if is_found
        }


@EXAMPLES
@given(
    days=st.integers(0, 1600), seconds=st.integers(1, 86_399), cycle=st.sampled_from(["monthly", "yearly"])
)
def test_a_period_is_counted_from_its_start(migrated: Database, days: int, seconds: int, cycle: str) -> None:
    """What is cancelled ends at the first anniversary to come, whatever the lengths of the months between."""
    with rolled_back(migrated) as connection:
        user = account(connection, {}, None)
        now = connection.scalar(sa.text("select now()"))
        started = now - timedelta(days=days, seconds=seconds)
        connection.execute(
            sa.text("""
                insert into user_subscriptions (user_id, tier_id, billing_cycle, started_at)
                select :user, id, :cycle, :started from subscription_tiers where name = 'pro'
            """),
            {"user": user, "cycle": cycle, "started": started},
        )
        do(connection, Cancel(), user)
        ends = connection.scalar(
            sa.text("select expires_at from user_subscriptions where user_id = :id"), {"id": user}
        )
        months = 1 if cycle == "monthly" else 12
        anniversaries = (after(started, months * number) for number in range(2000))
        assert ends == next(moment for moment in anniversaries if moment > now)


def after(start: datetime, months: int) -> datetime:
    """Return the same time so many months later, on the month's last day where it has no such day."""
    years, month = divmod(start.month - 1 + months, 12)
    year, month = start.year + years, month + 1
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))
