"""Photo memories of an avatar."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.storage import File, stamped, store
from avatarlab_cli.demo.words import FOODS, HOBBIES, MOODS, PEOPLE, PLACES
from avatarlab_cli.demo.world import Avatar, World

REMEMBERING_SHARE = 0.4
MEMORIES = 4
"""Memories of an average user's month with an avatar that has some."""

FORGOTTEN_SHARE = 0.05
REMOVED_OWNER_SHARE = 0.02
PRIVATE_SHARE = 0.1
FAVORITE_SHARE = 0.1
LOST_IMAGES_SHARE = 0.02
WRONG_PRIMARY_SHARE = 0.03
"""Share of memories of whose images none is the primary one, or each."""
DAY = timedelta(days=1)


def write(world: World, avatar: Avatar) -> None:
    """Write the avatar's memories with their photos."""
    dice = world.dice("memories", avatar.id)
    if not dice.chance(REMEMBERING_SHARE):
        return
    count = dice.poisson(MEMORIES * avatar.workload)
    for time in world.clock.moments(dice, count, avatar.created_at, avatar.active_until):
        photos = [_store(world, dice, avatar, time) for _ in range(1 + dice.chance(0.25))]
        # The app deletes a forgotten memory's rows alone; what it stored stays.
        if not dice.chance(FORGOTTEN_SHARE):
            _write_memory(world, dice, avatar, time, photos)


def _store(world: World, dice: Dice, avatar: Avatar, time: datetime) -> tuple[str, str]:
    """Store a photo; return its key and its URL."""
    path = f"{avatar.user.id}/{avatar.id}/{stamped(dice, time)}.jpg"
    return path, store(world, dice, File("avatar-memories", path, time, avatar.user.id))


def _write_memory(
    world: World, dice: Dice, avatar: Avatar, time: datetime, photos: list[tuple[str, str]]
) -> None:
    memory, place, who = dice.uuid(), dice.pick(PLACES), dice.pick(PEOPLE)
    # No foreign key keeps a memory's owner in existence.
    owner = dice.uuid() if dice.chance(REMOVED_OWNER_SHARE) else avatar.user.id
    path, url = photos[0]
    world.rows.add(
        "avatar_memories",
        id=memory,
        avatar_id=avatar.id,
        user_id=owner,
        title=f"A day at {place}",
        memory_date=(time - dice.random() * 900 * DAY).date(),
        image_url=url,
        image_path=path,
        memory_description=f"{avatar.name} and a {who} at {place}.",
        location=place,
        people_present=[who],
        activities=dice.several(HOBBIES, 1),
        food_items=dice.several(FOODS, 1),
        mood=dice.pick(MOODS),
        memory_summary=f"{avatar.name} remembers {place}.",
        conversational_hooks=[f"Ask about {place}"],
        is_private=dice.chance(PRIVATE_SHARE),
        is_favorite=dice.chance(FAVORITE_SHARE),
        created_at=time,
        updated_at=time,
    )
    if not dice.chance(LOST_IMAGES_SHARE):
        for image in _images(photos, is_wrong=dice.chance(WRONG_PRIMARY_SHARE)):
            world.rows.add(
                "memory_images",
                id=dice.uuid(),
                memory_id=memory,
                user_id=owner,
                created_at=time,
                updated_at=time,
                **image,
            )


def _images(photos: list[tuple[str, str]], *, is_wrong: bool) -> Iterator[dict[str, object]]:
    for order, (path, url) in enumerate(photos):
        is_primary = len(photos) > 1 if is_wrong else order == 0
        yield {"image_url": url, "image_path": path, "image_order": order, "is_primary": is_primary}
