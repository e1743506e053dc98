"""The accounts of the demo platform: a long tail of little users, growth, and churn."""

import math
from datetime import timedelta

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.plans import Standing
from avatarlab_cli.demo.storage import File, store
from avatarlab_cli.demo.words import FIRST_NAMES, LAST_NAMES
from avatarlab_cli.demo.world import User, World, document, milliseconds

GROWTH_PER_MONTH = 0.09
WEIGHT_SPREAD = 1.3
MOST_WEIGHT = 40.0
STAFF = 3
"""The first accounts: they signed up at the start, never left, and administer the panel."""

ADMIN = "admin@example.com"
"""The first account's address, whatever the seed: the demo profile acts under it."""

BOUNCE_SHARE = 0.15
LEAVING_SHARE = 0.35
TYPICAL_STAY_DAYS = 75
DELETED_EVERY = 30
SCATTER = 2_654_435_761
"""Odd, so that multiplying by it modulo a power of two maps no two numbers to one."""

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def invent(world: World, index: int) -> User:
    """Draw one account, from dice of its own."""
    dice = world.dice("people", index)
    user_id = dice.uuid()
    first, last = dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES)
    domain = dice.pick(("example.com", "example.org"))
    spread = dice.gauss(-(WEIGHT_SPREAD**2) / 2, WEIGHT_SPREAD)
    signed_up_at = world.options.start + _growth(dice, world, index) * (world.until - world.options.start)
    stay = min(_stay(dice, index) or world.until - signed_up_at, world.until - signed_up_at)
    is_leaving = index % DELETED_EVERY == DELETED_EVERY // 2
    active_until = signed_up_at + stay * (0.8 if is_leaving else 1.0)
    return User(
        index=index,
        id=user_id,
        name=f"{first} {last}",
        email=f"{first}.{last}.{index}@{domain}".lower() if index else ADMIN,
        weight=min(math.exp(spread), MOST_WEIGHT),
        signed_up_at=signed_up_at,
        active_until=active_until,
        deleted_at=dice.later(active_until, 20 * DAY, world.until) if is_leaving else None,
    )


def write(world: World, user: User, standing: Standing, referrer: User) -> None:
    """Write the account, its session and its profile; `standing` is what admins made of it."""
    dice = world.dice("accounts", user.index)
    last_login = dice.later(user.signed_up_at, user.active_until - user.signed_up_at, user.active_until)
    _write_login(world, dice, user, standing)
    picture = dice.later(user.signed_up_at, DAY, user.active_until)
    is_referred = dice.chance(0.2) and referrer.signed_up_at < user.signed_up_at
    name = f"profiles/{user.id}-{milliseconds(picture)}.jpg"
    world.rows.add(
        "profiles",
        id=user.id,
        email=user.email,
        name=user.name,
        avatar_url=store(world, dice, File("avatars", name, picture, user.id)) if dice.chance(0.25) else None,
        phone=f"+120255501{dice.randrange(100):02}" if dice.chance(0.2) else None,
        referral_code=_referral_code(user.index),
        referrer_id=referrer.id if is_referred else None,
        created_at=user.signed_up_at,
        updated_at=last_login,
        last_login=last_login if dice.chance(0.95) else None,
        **standing.profile,
    )


def _referral_code(index: int) -> str:
    """Scatter the index over eight hexadecimal digits; drawn codes would collide sooner or later."""
    return f"{index * SCATTER % 2**32:08x}"


def _growth(dice: Dice, world: World, index: int) -> float:
    """Draw a moment of signing up as a share of the demo's span: each month brings more than the last."""
    if index < STAFF:
        return 0.0
    growth = GROWTH_PER_MONTH * world.options.months
    return math.log1p(dice.random() * math.expm1(growth)) / growth


def _stay(dice: Dice, index: int) -> timedelta | None:
    """Draw how long the account stays in use; None if to the demo's end."""
    luck = dice.random()
    if index < STAFF:
        return None
    if luck < BOUNCE_SHARE:
        return HOUR + dice.random() * 5 * HOUR
    if luck < BOUNCE_SHARE + LEAVING_SHARE:
        return DAY + dice.expovariate(1 / TYPICAL_STAY_DAYS) * DAY
    return None


def _write_login(world: World, dice: Dice, user: User, standing: Standing) -> None:
    signed_in = dice.later(user.signed_up_at, user.active_until - user.signed_up_at, user.active_until)
    world.rows.add(
        "auth.users",
        id=user.id,
        # A changed address does not reach the profile.
        email=f"new.{user.email}" if dice.chance(0.03) and user.index else user.email,
        last_sign_in_at=None if dice.chance(0.02) else signed_in,
        raw_app_meta_data=document(provider="email", providers=["email"]),
        raw_user_meta_data=document(name=user.name),
        created_at=user.signed_up_at,
        updated_at=signed_in,
        banned_until=standing.banned_until,
        deleted_at=user.deleted_at,
        is_anonymous=False,
    )
    if dice.chance(0.3):
        world.rows.add(
            "auth.sessions",
            id=dice.uuid(),
            user_id=user.id,
            created_at=signed_in,
            updated_at=signed_in,
            not_after=None,
            refreshed_at=signed_in.replace(tzinfo=None),
            user_agent="Mozilla/5.0 (X11; Linux x86_64)",
            ip=f"203.0.113.{dice.randrange(1, 255)}",
        )
