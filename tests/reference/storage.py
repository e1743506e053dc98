"""Whose the stored objects are: the ledger of bytes as storage.objects stands."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from tests.reference.source import UNATTRIBUTED, Row, Source

KIND_OF_BUCKET = {
    "generated-images": "images",
    "avatar-memories": "images",
    "avatars": "images",
    "knowledge-base": "documents",
    "training-files": "documents",
    "voice-samples": "voice",
    "generated-videos": "video",
}
OTHER = "other"

KEY_COLUMNS = (
    ("knowledge-base", "avatar_knowledge_files", "user_id", "uploaded_at", "file_path"),
    ("training-files", "avatar_training_files", "user_id", "uploaded_at", "file_path"),
    ("avatar-memories", "memory_images", "user_id", "created_at", "image_path"),
)
"""Bucket, table, owner, time and the column that holds the object's key itself."""
URL_COLUMNS = (
    ("avatars", "avatars", "user_id", "created_at", "avatar_images"),
    ("avatars", "profiles", "id", "created_at", "avatar_url"),
    ("generated-images", "generated_images", "user_id", "created_at", "image_url"),
    ("generated-images", "generated_images", "user_id", "created_at", "original_image_url"),
    ("generated-videos", "generated_videos", "user_id", "created_at", "video_url"),
    ("voice-samples", "voice_samples", "user_id", "created_at", "file_url"),
    ("voice-samples", "tts_generations", "user_id", "created_at", "audio_url"),
)
"""Bucket, table, owner, time and the column that holds a URL of the object, or several."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_AFTER_EVERYTHING = datetime.max.replace(tzinfo=UTC)


class Cell(NamedTuple):
    """What one owner has in one bucket; an object whose size is not known adds no bytes."""

    bytes: int = 0
    objects: int = 0
    unsized: int = 0
    orphan_bytes: int = 0
    orphan_objects: int = 0


Ledger = dict[tuple[UUID, str, str], Cell]
"""Cells by owner, kind and bucket."""


def storage_ledger(source: Source) -> Ledger | None:
    """Return the ledger, or None where storage.objects cannot be read."""
    objects = source.rows("storage.objects", "bucket_id", "name", "metadata")
    if objects is None:
        return None
    accounts, naming = source.accounts(), _naming(source)
    ledger: Ledger = {}
    for stored in objects:
        bucket, name = stored["bucket_id"], stored["name"]
        named_by = naming.get((bucket, name))
        owner = path_owner(name) if named_by is None else named_by[1]
        owner = owner if owner in accounts and owner is not None else UNATTRIBUTED
        key = owner, KIND_OF_BUCKET.get(bucket, OTHER), bucket
        ledger[key] = _with(ledger.get(key, Cell()), size_of(stored["metadata"]), is_orphan=named_by is None)
    return ledger


def bytes_by_user(ledger: Ledger) -> dict[UUID, int]:
    """Return the bytes of each owner."""
    totals: dict[UUID, int] = {}
    for (owner, _, _), cell in ledger.items():
        totals[owner] = totals.get(owner, 0) + cell.bytes
    return totals


def bytes_by_kind(ledger: Ledger) -> dict[str, int]:
    """Return the bytes of each kind."""
    totals: dict[str, int] = {}
    for (_, kind, _), cell in ledger.items():
        totals[kind] = totals.get(kind, 0) + cell.bytes
    return totals


def _with(cell: Cell, size: int | None, *, is_orphan: bool) -> Cell:
    return Cell(
        bytes=cell.bytes + (size or 0),
        objects=cell.objects + 1,
        unsized=cell.unsized + (size is None),
        orphan_bytes=cell.orphan_bytes + (size or 0) * is_orphan,
        orphan_objects=cell.orphan_objects + is_orphan,
    )


def size_of(metadata: object) -> int | None:
    """Return the stored size, or None unless it is a whole number of bytes."""
    size = metadata.get("size") if isinstance(metadata, dict) else None
    is_scalar = isinstance(size, int | str) and not isinstance(size, bool)
    return int(str(size)) if is_scalar and re.fullmatch("[0-9]+", str(size)) else None


def path_owner(name: str) -> UUID | None:
    """Return the user a key's path speaks of: its first segment, or the second's beginning under `profiles`."""
    first, _, rest = name.partition("/")
    found = _UUID.match(rest) if first == "profiles" else _UUID.fullmatch(first)
    return UUID(found.group()) if found else None


def key_in_url(url: str | None, bucket: str) -> str | None:
    """Return the object's key: what follows the bucket's first mention, up to the query."""
    if url is None or url.startswith("data:") or f"/{bucket}/" not in url:
        return None
    return url.split(f"/{bucket}/", 1)[1].split("?", 1)[0]


def _naming(source: Source) -> Mapping[tuple[str, str], tuple[datetime, UUID | None]]:
    oldest: dict[tuple[str, str], tuple[datetime, UUID | None]] = {}
    for bucket, key, moment, owner in _mentions(source):
        if (bucket, key) not in oldest or moment < oldest[bucket, key][0]:
            oldest[bucket, key] = moment, owner
    return oldest


def _mentions(source: Source) -> Iterator[tuple[str, str, datetime, UUID | None]]:
    for bucket, table, owner, time, column in KEY_COLUMNS:
        for row in source.rows_if_any(table, owner, time, column):
            if row[column] is not None:
                yield bucket, row[column], row[time] or _AFTER_EVERYTHING, row[owner]
    for bucket, table, owner, time, column in URL_COLUMNS:
        for row in source.rows_if_any(table, owner, time, column):
            for url in _urls(row, column):
                key = key_in_url(url, bucket)
                if key is not None:
                    yield bucket, key, row[time] or _AFTER_EVERYTHING, row[owner]


def _urls(row: Row, column: str) -> list[Any]:
    value = row[column]
    return value if isinstance(value, list) else [value]
