"""Documents an avatar answers from, and their chunks."""

from datetime import datetime, timedelta
from functools import cache
from itertools import cycle, islice

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.storage import File, store, typical_size
from avatarlab_cli.demo.words import DOCUMENTS, PARAGRAPHS
from avatarlab_cli.demo.world import Avatar, World, milliseconds

FILES = 1.1
"""Uploads of an average user's month with an avatar that has knowledge."""

READING_SHARE = 0.4
STATUSES = (*("processed",) * 8, "error", "pending")
TYPICAL_CHUNKS = 16
EMBEDDED_SHARE = 0.03
"""Share of files with embeddings: one of a chunk weighs 6 kB, far more than the rest of the demo's row."""

LOST_SHARE = 0.1
"""Share of these files' chunks whose embedding is missing."""

BLANK_SHARE = 0.03
REPEATED_SHARE = 0.04
VECTORS = 8
"""Different embeddings there are: to draw them takes longer than to write them."""

DIMENSIONS = 1536
DELETED_SHARE = 0.04
MINUTE = timedelta(minutes=1)


def write(world: World, avatar: Avatar) -> datetime | None:
    """Write the avatar's documents; return since when chats search them, None if they never do."""
    dice = world.dice("knowledge", avatar.id)
    if not dice.chance(READING_SHARE):
        return None
    count = 1 + dice.poisson(FILES * avatar.workload)
    linked_since = None
    for time in world.clock.moments(dice, count, avatar.created_at, avatar.active_until):
        is_processed = _write_file(world, dice, avatar, time)
        if is_processed and linked_since is None:
            linked_since = time
    return linked_since


def _write_file(world: World, dice: Dice, avatar: Avatar, time: datetime) -> bool:
    """Write one upload and return whether it can be searched."""
    file_id, status = dice.uuid(), dice.pick(STATUSES)
    original = f"{dice.pick(DOCUMENTS)}-{dice.token(6)}.pdf"
    path = f"{avatar.user.id}/{avatar.id}/{milliseconds(time)}-{original}"
    size = typical_size(dice, "knowledge-base")
    store(world, dice, File("knowledge-base", path, time, avatar.user.id, size))
    is_deleted = dice.chance(DELETED_SHARE)
    world.rows.add(
        "avatar_knowledge_files",
        id=file_id,
        avatar_id=avatar.id,
        user_id=avatar.user.id,
        file_name=path.rsplit("/", 1)[1],
        original_name=original,
        file_path=path,
        file_size=size,
        content_type="application/pdf",
        extracted_text=dice.pick(PARAGRAPHS) if status == "processed" else None,
        processing_status=status,
        is_linked=dice.chance(0.85),
        status="deleted" if is_deleted else "active",
        deleted_at=dice.later(time, 3000 * MINUTE, world.until) if is_deleted else None,
        uploaded_at=time,
        updated_at=time,
    )
    if status == "processed":
        _write_chunks(world, dice, avatar, file_id, dice.later(time, MINUTE, world.until))
    return status == "processed"


def _write_chunks(world: World, dice: Dice, avatar: Avatar, file_id: str, time: datetime) -> None:
    is_embedded = dice.chance(EMBEDDED_SHARE)
    for index, text in enumerate(_texts(dice)):
        has_embedding = is_embedded and not dice.chance(LOST_SHARE)
        world.rows.add(
            "document_chunks",
            id=dice.uuid(),
            knowledge_file_id=file_id,
            user_id=avatar.user.id,
            avatar_id=avatar.id,
            chunk_text=text,
            chunk_index=index,
            chunk_size=len(text),
            embedding=_embedding(world, index % VECTORS) if has_embedding else None,
            created_at=time,
            updated_at=time,
        )


def _texts(dice: Dice) -> list[str]:
    """Draw what a file is cut into: of some a page is blank, or comes twice."""
    count = 1 + dice.poisson(dice.expovariate(1 / TYPICAL_CHUNKS))
    first = dice.randrange(len(PARAGRAPHS))
    texts = list(islice(cycle(PARAGRAPHS), first, first + count))
    if dice.chance(BLANK_SHARE):
        texts.append(" \n")
    if dice.chance(REPEATED_SHARE):
        texts.append(texts[0])
    return texts


@cache
def _numbers(seed: int, number: int) -> str:
    dice = Dice(f"{seed}/embedding/{number}")
    return ",".join(f"{dice.gauss(0, 0.03):.4f}" for _ in range(DIMENSIONS))


def _embedding(world: World, number: int) -> str:
    numbers = _numbers(world.options.seed, number)
    return f"[{numbers}]" if world.has_vectors else f"{{{numbers}}}"
