"""Keys of both kinds, WhatsApp exchanges, and the log of the platform's API."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.words import DIALOGUES
from avatarlab_cli.demo.world import Avatar, User, World

SERVICES = (
    "openai",
    "OpenAI",
    "openai",
    "elevenlabs",
    "kie-ai",
    "anthropic",
    "stability",
    "heygen",
    "replicate",
)
EXCHANGES = 65
"""WhatsApp exchanges of an average user's month with a connected avatar."""

CALLING_SHARE = 0.4
UNOWNED_SHARE = 0.03
KEYLESS_SHARE = 0.004
UNDATED_SHARE = 0.0008
PRUNED_SHARE = 0.3
CUSTOMERS = 100
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
OTHER_CALLS = (("/avatar-config", "GET"), ("/avatar-prompt", "GET"), ("/avatar-chat", "POST"))
KEY_STATUSES = (*("active",) * 5, "inactive", "revoked", "expired", "expired")


@dataclass
class Use:
    """A platform key, and what the log says of it."""

    key: str
    user: User
    requests: int = 0
    last_used_at: datetime | None = None


def write(world: World, user: User, avatars: Sequence[Avatar]) -> None:
    """Write the account's keys, and what its connected avatars answered through them."""
    dice = world.dice("api", user.index)
    _write_provider_keys(world, dice, user)
    if not dice.chance(CALLING_SHARE):
        return
    use = Use(dice.uuid(), user)
    for avatar in avatars[:2]:
        _write_exchanges(world, dice, avatar, use)
    _write_platform_key(world, dice, use)
    if dice.chance(PRUNED_SHARE):
        _write_platform_key(world, dice, Use(dice.uuid(), user))


def _write_exchanges(world: World, dice: Dice, avatar: Avatar, use: Use) -> None:
    """Write the WhatsApp exchanges; the API logs each, and the reading of configuration now and then."""
    count = dice.poisson(EXCHANGES * avatar.workload)
    prefix = f"+1{dice.randrange(201, 990)}55501"
    known_customers = 1 + min(count // 12, CUSTOMERS - 1)
    for time in world.clock.moments(dice, count, avatar.created_at, avatar.active_until):
        question, answer = dice.pick(DIALOGUES)
        world.rows.add(
            "conversations",
            id=dice.uuid(),
            avatar_id=avatar.id,
            phone_number=f"{prefix}{int(dice.random() * known_customers):02}",
            text=f"user: {question} | assistant: {answer}",
            timestamp=time,
        )
        logged = dice.later(time, SECOND, world.until)
        if dice.chance(0.35):
            _write_request(world, dice, use, dice.pick(OTHER_CALLS), time)
        _write_request(world, dice, use, ("/avatar-conversations", "POST"), logged)


def _write_request(world: World, dice: Dice, use: Use, call: tuple[str, str], time: datetime) -> None:
    endpoint, method = call
    luck = dice.random()
    world.rows.add(
        "api_request_logs",
        id=dice.uuid(),
        api_key_id=None if luck < KEYLESS_SHARE else use.key,
        user_id=None if luck < UNOWNED_SHARE else use.user.id,
        endpoint=endpoint,
        method=method,
        status_code=200,
        created_at=time if luck < 1 - UNDATED_SHARE else None,
    )
    use.requests += 1
    use.last_used_at = time


def _write_platform_key(world: World, dice: Dice, use: Use) -> None:
    secret = f"pk_live_{dice.token(64)}"
    created = dice.later(use.user.signed_up_at, SECOND, use.user.active_until)
    status = dice.pick(KEY_STATUSES)
    end = dice.later(created, world.until - created, world.until)
    world.rows.add(
        "platform_api_keys",
        id=use.key,
        user_id=use.user.id,
        key_name=dice.pick(("n8n", "WhatsApp bridge", "Test", "Production")),
        api_key_hash=hashlib.sha256(secret.encode()).hexdigest(),
        api_key_prefix=f"{secret[:15]}...",
        last_used_at=use.last_used_at,
        # Pruned logs are still counted.
        request_count=use.requests + (dice.randrange(1, 500) if dice.chance(PRUNED_SHARE) else 0),
        status="active" if status == "expired" else status,
        created_at=created,
        updated_at=end if status in {"inactive", "revoked"} else use.last_used_at or created,
        expires_at=end if status == "expired" else world.until + 90 * DAY if dice.chance(0.1) else None,
    )


def _write_provider_keys(world: World, dice: Dice, user: User) -> None:
    for service in dice.sample(SERVICES, min(dice.poisson(0.9), len(SERVICES))):
        created = dice.later(user.signed_up_at, 10 * DAY, user.active_until)
        secret = f"demo-{service.lower()}-{dice.token(32)}"
        world.rows.add(
            "user_api_keys",
            id=dice.uuid(),
            user_id=user.id,
            name=f"My {service} key",
            service=service,
            api_key_encrypted=base64.b64encode(secret.encode()).decode(),
            status="active" if dice.chance(0.9) else "inactive",
            last_used_at=dice.later(created, 60 * DAY, user.active_until) if dice.chance(0.8) else None,
            created_at=created,
            updated_at=created,
        )
