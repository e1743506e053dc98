"""What belongs to nobody: marketplace avatars, templates, stock voices; and who bought what."""

from datetime import timedelta

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.words import AVATAR_NAMES, CATEGORIES, PERSONALITIES, STUDIOS, TOPICS, TRAITS
from avatarlab_cli.demo.world import User, World, document

ITEMS = 14
BUYING_SHARE = 0.22
STATUSES = (*("completed",) * 8, "refunded", "pending", "failed")
EURO_SHARE = 0.08
DAY = timedelta(days=1)
VOICES = (
    ("aria", "female", "American"),
    ("bram", "male", "British"),
    ("cosmo", "neutral", "American"),
    ("dina", "female", "Irish"),
    ("edgar", "male", "Australian"),
    ("flora", "female", "British"),
)


def write_catalogue(world: World) -> None:
    """Write everything that the platform itself offers, made before the first account."""
    dice = world.dice("catalogue")
    for number in range(ITEMS):
        _write_item(world, dice, number)
    for kind in ("backstory", "hidden_rules"):
        for topic in TOPICS[:4]:
            _write_template(world, dice, kind, topic)
    for name, kind, accent in VOICES:
        _write_voice(world, name, kind, accent)


def write_purchases(world: World, user: User) -> None:
    """Let some accounts buy one or two marketplace avatars."""
    dice = world.dice("purchases", user.index)
    if not dice.chance(BUYING_SHARE):
        return
    numbers = dice.sample(range(ITEMS), 1 + dice.chance(0.3))
    times = world.clock.moments(dice, len(numbers), user.signed_up_at, user.active_until)
    for number, time in zip(numbers, times, strict=True):
        is_euro = dice.chance(EURO_SHARE)
        world.rows.add(
            "purchases",
            id=dice.uuid(),
            user_id=user.id,
            avatar_id=_item_id(world, number),
            price_paid=_price(number),
            currency="EUR" if is_euro else "USD" if dice.chance(0.95) else None,
            status=dice.pick(STATUSES),
            purchased_at=time,
        )


def _item_id(world: World, number: int) -> str:
    return world.dice("marketplace", number).uuid()


def _price(number: int) -> str:
    return f"{4 + number * 2}.99"


def _write_item(world: World, dice: Dice, number: int) -> None:
    created = dice.later(world.options.start, DAY, world.until)
    name = AVATAR_NAMES[number]
    world.rows.add(
        "avatars",
        id=_item_id(world, number),
        user_id=None,
        name=name,
        description=f"{name}, ready to use",
        age=dice.randrange(19, 80),
        gender=dice.pick(("female", "male")),
        mbti_type=dice.pick(PERSONALITIES),
        personality_traits=dice.several(TRAITS),
        price=_price(number),
        rating=f"{3.5 + number % 4 / 3:.1f}",
        is_marketplace_item=True,
        is_public=True,
        creator_studio=dice.pick(STUDIOS),
        total_sales=dice.randrange(20, 900),
        category=dice.pick(CATEGORIES),
        system_prompt=f"You are {name}.",
        status="active",
        created_at=created,
        updated_at=created,
    )


def _write_template(world: World, dice: Dice, kind: str, topic: str) -> None:
    world.rows.add(
        "avatar_templates",
        id=dice.uuid(),
        title=topic.capitalize(),
        content=document(text=f"Likes to talk about {topic}."),
        category=dice.pick(CATEGORIES),
        template_type=kind,
        is_public=True,
        created_at=world.options.start,
        updated_at=world.options.start,
    )


def _write_voice(world: World, name: str, kind: str, accent: str) -> None:
    world.rows.add(
        "tts_voices",
        id=name,
        name=name.capitalize(),
        accent=accent,
        voice_type=kind,
        created_at=world.options.start,
        updated_at=world.options.start,
    )
