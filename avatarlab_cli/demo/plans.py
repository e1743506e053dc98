"""What the web panel's own tables say of the demo's people: tiers, subscriptions, bans, administrators."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.world import Avatar, User, World, document

DAY = timedelta(days=1)
TRIAL_DAYS = {"starter": 7, "pro": 14, "enterprise": 30}
ADMIN_ROLES = ("super_admin", "admin", "analyst")
PAID_EVERY = 3
BANNED_EVERY = 40
REQUEST_EVERY = 8
MIGRATED_AFTER = 0.6
"""Share of the demo's span after which the panel came; only accounts that existed got a free subscription."""


@dataclass(frozen=True)
class Standing:
    """What the administrators made of an account; `profile` holds the panel's extra columns."""

    profile: dict[str, object] = field(default_factory=dict)
    banned_until: datetime | None = None


@dataclass(frozen=True)
class Case:
    """One of the ways a paid subscription stands."""

    tier: str
    status: str = "active"
    cycle: str = "monthly"
    trial: Literal["", "running", "ended", "open"] = ""
    expires: Literal["", "past", "future"] = ""
    limits: dict[str, object] | None = None
    older_tier: str | None = None


CASES = (
    Case("starter"),
    Case("pro"),
    Case("starter", cycle="yearly"),
    Case("pro", limits={"max_avatars": 10}),
    Case("starter", "trial", trial="running"),
    Case("enterprise", cycle="yearly", limits={"max_avatars": -1, "images_generated": 5000}),
    Case("pro", older_tier="starter"),
    Case("pro", cycle="yearly"),
    Case("pro", "trial", trial="ended"),
    Case("starter", "cancelled", expires="future"),
    Case("pro", "cancelled"),
    Case("starter", "expired", expires="past"),
    Case("pro", "suspended", limits={"max_avatars": "many"}),
    Case("pro", trial="running"),
    Case("starter", expires="past"),
    Case("enterprise"),
    Case("starter", "trial", trial="open"),
    Case("enterprise", cycle="lifetime"),
)


def case_of(user: User) -> Case | None:
    """Return the account's subscription case: the cases take turns, so that even a small demo has each."""
    number, rest = divmod(user.index, PAID_EVERY)
    return None if rest else CASES[number % len(CASES)]


def migrated_at(world: World) -> datetime:
    """Return when the web panel's one-off migration ran."""
    span = world.until - world.options.start
    return (world.options.start + span * MIGRATED_AFTER).replace(microsecond=0)


def admin_id(world: World, number: int = 0) -> str:
    """Return the id of an administrator's row."""
    return world.dice("admins", number).uuid()


def standing_of(world: World, user: User) -> Standing:
    """Decide what tier, label and ban an account has; in the seed state only the ban can exist."""
    is_banned = user.takes_turn(BANNED_EVERY, 13)
    # Every other ban has run out.
    ban_days = -2 if user.index // BANNED_EVERY % 2 else 3650
    banned_until = world.until + ban_days * DAY if is_banned else None
    if not world.is_panel:
        return Standing(banned_until=banned_until)
    case = case_of(user)
    tier = case.tier if case and user.index % 2 else "free"
    profile: dict[str, object] = {
        "subscription_tier_id": world.tiers[tier] if user.signed_up_at < migrated_at(world) else None,
        "account_status": _label(user, is_banned=is_banned),
    }
    return Standing(profile | (_ban(world, user) if is_banned else {}), banned_until)


def write_admins(world: World, users: Sequence[User]) -> None:
    """Make the first accounts administrators."""
    for number, (user, role) in enumerate(zip(users, ADMIN_ROLES, strict=False)):
        world.rows.add(
            "admin_users",
            id=admin_id(world, number),
            user_id=user.id,
            role=role,
            is_active=True,
            last_login_at=world.until - DAY,
            created_at=migrated_at(world),
            updated_at=migrated_at(world),
            created_by=admin_id(world) if number else None,
        )


def write(world: World, user: User, avatars: Sequence[Avatar]) -> None:
    """Write the account's subscriptions, requests, and the usage row the panel's migration left."""
    dice = world.dice("plans", user.index)
    if user.signed_up_at < migrated_at(world):
        _write_migrated(world, dice, user, avatars)
    if case := case_of(user):
        _write_case(world, dice, user, case)
    if user.takes_turn(REQUEST_EVERY, 1):
        _write_request(world, dice, user)


def _ban(world: World, user: User) -> dict[str, object]:
    dice = world.dice("bans", user.index)
    return {
        "banned_reason": "Sent unsolicited messages",
        "banned_at": dice.later(user.signed_up_at, 90 * DAY, world.until),
        "banned_by": admin_id(world),
    }


def _label(user: User, *, is_banned: bool) -> str:
    """Return the profile's label; a deleted account may carry any, and some are deleted by label alone."""
    if is_banned:
        return "banned"
    if user.takes_turn(40, 27):
        return "suspended"
    if user.takes_turn(60, 44) or (user.deleted_at and user.takes_turn(4, 3)):
        return "deleted"
    return "active"


def _write_migrated(world: World, dice: Dice, user: User, avatars: Sequence[Avatar]) -> None:
    """Write the free subscription for life, and a usage row that counts every avatar there was."""
    time = migrated_at(world)
    _subscribe(world, dice, user, time, tier_id=world.tiers["free"], billing_cycle="lifetime")
    world.rows.add(
        "monthly_usage",
        id=dice.uuid(),
        user_id=user.id,
        usage_month=time.date().replace(day=1),
        avatars_created=sum(avatar.created_at < time for avatar in avatars),
        created_at=time,
        updated_at=time,
    )


def _write_case(world: World, dice: Dice, user: User, case: Case) -> None:
    started = dice.later(user.signed_up_at, 60 * DAY, world.until)
    if case.trial == "running":
        days = dice.random() * (TRIAL_DAYS[case.tier] - 1)
        started = max(user.signed_up_at, world.until - days * DAY)
    elapsed = world.until - started
    trial_ends = {
        "running": started + TRIAL_DAYS[case.tier] * DAY,
        "ended": started + min(TRIAL_DAYS[case.tier] * DAY, elapsed / 2),
    }.get(case.trial)
    expires = {
        "past": started + elapsed * 0.7,
        "future": (world.until + 12 * DAY).replace(hour=0, minute=0, second=0, microsecond=0),
    }.get(case.expires)
    cancelled = started + elapsed * 0.6 if case.status == "cancelled" else None
    _subscribe(
        world,
        dice,
        user,
        started,
        tier_id=world.tiers[case.tier],
        status=case.status,
        billing_cycle=case.cycle,
        expires_at=expires,
        cancelled_at=cancelled,
        cancellation_reason="Not needed any more" if cancelled else None,
        payment_method="card",
        external_subscription_id=f"sub_{dice.token(14)}",
        is_trial=bool(case.trial),
        trial_ends_at=trial_ends,
        custom_limits=document(**case.limits) if case.limits else None,
    )
    if case.older_tier:
        older = dice.later(user.signed_up_at, DAY, started)
        _subscribe(world, dice, user, older, tier_id=world.tiers[case.older_tier], billing_cycle="monthly")


def _subscribe(world: World, dice: Dice, user: User, started: datetime, **columns: object) -> None:
    world.rows.add(
        "user_subscriptions",
        id=dice.uuid(),
        user_id=user.id,
        started_at=started,
        created_at=started,
        updated_at=started,
        **columns,
    )


def _write_request(world: World, dice: Dice, user: User) -> None:
    status = ("pending", "approved", "rejected", "cancelled")[user.index // REQUEST_EVERY % 4]
    created = dice.later(user.signed_up_at, 90 * DAY, world.until)
    is_reviewed = status in {"approved", "rejected"}
    reviewed = dice.later(created, 5 * DAY, world.until) if is_reviewed else None
    world.rows.add(
        "tier_upgrade_requests",
        id=dice.uuid(),
        user_id=user.id,
        requested_tier_id=world.tiers[dice.pick(("starter", "pro"))],
        current_tier_id=world.tiers["free"] if user.signed_up_at < migrated_at(world) else None,
        status=status,
        reviewed_by=admin_id(world, 1) if is_reviewed and world.options.users > 1 else None,
        reviewed_at=reviewed,
        created_at=created,
        updated_at=reviewed or created,
    )
