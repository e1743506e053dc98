"""Files in the demo platform's buckets, and the URLs that name them."""

from dataclasses import dataclass
from datetime import datetime

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.world import User, World, document, milliseconds

PUBLIC_URL = "https://avatarlab-demo.supabase.example/storage/v1/object/public"

# (typical bytes, spread of the logarithm, MIME type)
KINDS = {
    "avatars": (350_000, 0.7, "image/jpeg"),
    "knowledge-base": (900_000, 1.2, "application/pdf"),
    "training-files": (120_000, 1.0, "text/plain"),
    "avatar-memories": (1_800_000, 0.6, "image/jpeg"),
    "generated-images": (1_400_000, 0.5, "image/png"),
    "generated-videos": (14_000_000, 0.6, "video/mp4"),
    "voice-samples": (900_000, 1.1, "audio/mpeg"),
}
UNKNOWN_SIZE_SHARE = 0.02
MISSING_SHARE = 0.015
REMOVED_ACCOUNTS_PER_USER = 0.02
UNHASHED_SHARE = 0.03
REUPLOADED_SHARE = 0.04
POPULAR_FILES = 12
"""So many files of a bucket are uploaded again and again, by whoever likes them."""


@dataclass(frozen=True)
class File:
    """An upload; what the app's own server uploads has no `owner`, and only some rows tell the `size` in bytes."""

    bucket: str
    name: str
    created_at: datetime
    owner: str | None = None
    size: int | None = None


def typical_size(dice: Dice, bucket: str) -> int:
    """Draw a file's bytes."""
    middle, spread, _ = KINDS[bucket]
    return int(middle * dice.lognormvariate(0, spread)) + 1


def store(world: World, dice: Dice, file: File) -> str:
    """Put a file into its bucket and return its URL.

    A few objects have no size in their metadata, and a few are missing though their row will name them.
    """
    if not dice.chance(MISSING_SHARE):
        world.rows.add(
            "storage.objects",
            id=dice.uuid(),
            bucket_id=file.bucket,
            name=file.name,
            owner=file.owner,
            owner_id=file.owner,
            created_at=file.created_at,
            updated_at=file.created_at,
            metadata=_metadata(world, dice, file),
        )
    return f"{PUBLIC_URL}/{file.bucket}/{file.name}"


def store_photo(world: World, dice: Dice, user: User, time: datetime) -> str:
    """Store one picture of an avatar under one of the keys the app has used; return its URL."""
    form = dice.pick(("avatars/", "", "avatar-"))
    return store(world, dice, File("avatars", f"{user.id}/{form}{stamped(dice, time)}.jpg", time, user.id))


def stamped(dice: Dice, time: datetime) -> str:
    """Return the time and a few random characters, as the app names uploads."""
    return f"{milliseconds(time)}-{dice.token()}"


def write_removed_accounts(world: World) -> None:
    """Leave behind what accounts removed from the database never take with them: their objects."""
    dice = world.dice("removed accounts")
    for _ in range(1 + int(world.options.users * REMOVED_ACCOUNTS_PER_USER)):
        owner = dice.uuid()
        times = world.clock.moments(dice, 6, world.options.start, world.until)
        for bucket, time in zip(KINDS, times, strict=False):
            store(world, dice, File(bucket, f"{owner}/{stamped(dice, time)}", time))


def _metadata(world: World, dice: Dice, file: File) -> str:
    mimetype = KINDS[file.bucket][2]
    if dice.chance(UNKNOWN_SIZE_SHARE):
        return document(mimetype=mimetype)
    size = typical_size(dice, file.bucket) if file.size is None else file.size
    # Dice of the file's own: what others draw stays as it is.
    own = world.dice("content", f"{file.bucket}/{file.name}")
    if file.size is None and own.chance(REUPLOADED_SHARE):
        own = world.dice("popular", f"{file.bucket}/{own.randrange(POPULAR_FILES)}")
        size = typical_size(own, file.bucket)
    if own.chance(UNHASHED_SHARE):
        return document(mimetype=mimetype, size=size)
    return document(mimetype=mimetype, size=size, eTag=f'"{own.token(32)}"')
