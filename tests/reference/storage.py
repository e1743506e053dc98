"""Whose the stored objects are: the ledger of bytes as storage.objects stands."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote_to_bytes
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
BUCKETS = (*KIND_OF_BUCKET, "avatar-files")
"""What the generator stores in; the last one is nobody's kind."""

KEY_COLUMNS = (
    ("knowledge-base", "avatar_knowledge_files", "user_id", "uploaded_at", "file_path"),
    ("training-files", "avatar_training_files", "user_id", "uploaded_at", "file_path"),
    ("avatar-memories", "avatar_memories", "user_id", "created_at", "image_path"),
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
MENTIONS = (
    ("avatars", "avatars", "gallery_images"),
    ("knowledge-base", "avatar_knowledge_files", "link_url"),
    ("avatar-memories", "avatar_memories", "image_url"),
    ("avatar-memories", "avatar_memories", "thumbnail_url"),
    ("avatar-memories", "memory_images", "image_url"),
    ("avatar-memories", "memory_images", "thumbnail_url"),
    ("generated-images", "generated_images", "thumbnail_url"),
    ("generated-videos", "generated_videos", "thumbnail_url"),
    ("voice-samples", "voice_clones", "preview_url"),
    ("voice-samples", "tts_voices", "sample_url"),
)
"""Bucket, table and column of URLs that show an object without saying whose it is."""
KEY_MENTIONS = (
    *((bucket, table, column) for bucket, table, _, _, column in KEY_COLUMNS),
    ("training-files", "avatar_training_files", "file_name"),
)
"""Bucket, table and column of keys that an object goes by, whether they say whose it is or not."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_AFTER_EVERYTHING = datetime.max.replace(tzinfo=UTC)


class Stored(NamedTuple):
    """One object; size, hash and whether it is an orphan are None where they are not known."""

    owner: UUID
    kind: str
    bucket: str
    key: str
    size: int | None
    hash: str | None
    created_at: datetime | None
    is_orphan: bool | None


class Cell(NamedTuple):
    """What one owner has in one bucket; an object whose size is not known adds no bytes."""

    bytes: int = 0
    objects: int = 0
    unsized: int = 0
    orphan_bytes: int = 0
    orphan_objects: int = 0


Ledger = dict[tuple[UUID, str, str], Cell]
"""Cells by owner, kind and bucket."""


def stored_objects(source: Source) -> list[Stored] | None:
    """Return every object, or None where storage.objects cannot be read."""
    objects = source.rows("storage.objects", "bucket_id", "name", "metadata")
    if objects is None:
        return None
    accounts, owners, mentioned = source.accounts(), _owners(source), set(_mentioned(source))
    undecided = undecided_buckets(source)
    found = []
    for row in objects:
        place = row["bucket_id"], row["name"]
        owner = owners[place][1] if place in owners else path_owner(row["name"])
        found.append(
            Stored(
                owner=owner if owner in accounts and owner is not None else UNATTRIBUTED,
                kind=KIND_OF_BUCKET.get(row["bucket_id"], OTHER),
                bucket=row["bucket_id"],
                key=row["name"],
                size=size_of(row["metadata"]),
                hash=hash_of(row["metadata"]),
                created_at=row.get("created_at"),
                is_orphan=None
                if row["bucket_id"] in undecided
                else place not in owners and place not in mentioned,
            )
        )
    return found


def undecided_buckets(source: Source) -> set[str]:
    """Return the buckets of which an object may be named by a column that is not there, or whose table is not."""
    keys = {bucket for bucket, table, *_, column in KEY_COLUMNS if source.rows(table, column) is None}
    urls = {bucket for bucket, table, *_, column in URL_COLUMNS if source.rows(table, column) is None}
    kinds = {KIND_OF_BUCKET[bucket] for bucket in urls}
    return keys | {bucket for bucket, kind in KIND_OF_BUCKET.items() if kind in kinds}


def storage_ledger(source: Source) -> Ledger | None:
    """Return the ledger, or None where storage.objects cannot be read."""
    objects = stored_objects(source)
    return None if objects is None else ledger_of(objects)


def ledger_of(objects: Iterable[Stored]) -> Ledger:
    """Sum objects up by owner, kind and bucket."""
    ledger: Ledger = {}
    for stored in objects:
        key = stored.owner, stored.kind, stored.bucket
        ledger[key] = _with(ledger.get(key, Cell()), stored.size, is_orphan=bool(stored.is_orphan))
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


def hash_of(metadata: object) -> str | None:
    """Return the eTag without its quotes, or None where there is none."""
    tag = metadata.get("eTag") if isinstance(metadata, dict) else None
    return str(tag).strip('"') or None if isinstance(tag, str | int) else None


def names_in_url(url: str | None, bucket: str) -> set[tuple[str, str]]:
    """Return every bucket and key a URL may mean.

    The key is what follows the column's own bucket at its first mention, else what follows the bucket a Storage API's
    URL tells.
    """
    if url is None or url.startswith("data:"):
        return set()
    if f"/{bucket}/" in url:
        return {(bucket, key) for key in readings(url.split(f"/{bucket}/", 1)[1])}
    parts = url.split("/")
    for number, part in enumerate(parts[1:-2], start=1):
        place, rest = parts[number + 1], "/".join(parts[number + 2 :])
        if part in {"public", "sign", "authenticated"} and place and "?" not in place and rest:
            return {(place, key) for key in readings(rest)}
    return set()


def readings(text: str) -> set[str]:
    """Return the keys a text may mean: as it stands, without a query, and percent-decoded."""
    before = text.partition("?")[0]
    found = {text, before}
    with suppress(UnicodeDecodeError):
        found.add(unquote_to_bytes(before).decode())
    return {key for key in found if key and "\0" not in key}


def shown_key(keys: set[str]) -> str:
    """Return the key a row means most likely: without a query, decoded if that can be."""
    return min(keys, key=lambda key: (len(key.encode()), key))


def _owners(source: Source) -> Mapping[tuple[str, str], tuple[datetime, UUID | None]]:
    """Return for each object that a row makes its own the oldest such row's time and owner."""
    oldest: dict[tuple[str, str], tuple[datetime, UUID | None]] = {}
    for place, moment, owner in _namings(source):
        if place not in oldest or moment < oldest[place][0]:
            oldest[place] = moment, owner
    return oldest


def _namings(source: Source) -> Iterator[tuple[tuple[str, str], datetime, UUID | None]]:
    for bucket, table, owner, time, column in KEY_COLUMNS:
        for row in source.rows_if_any(table, owner, column):
            for key in readings(row[column] or ""):
                yield (bucket, key), row.get(time) or _AFTER_EVERYTHING, row[owner]
    for bucket, table, owner, time, column in URL_COLUMNS:
        for row in source.rows_if_any(table, owner, column):
            for place in _places(row, column, bucket):
                if place[0] == bucket:
                    yield place, row.get(time) or _AFTER_EVERYTHING, row[owner]


def _mentioned(source: Source) -> Iterator[tuple[str, str]]:
    """Yield what URLs show, whether they say whose it is or not."""
    for bucket, table, column in KEY_MENTIONS:
        for row in source.rows_if_any(table, column):
            yield from ((bucket, key) for key in readings(row[column] or ""))
    columns = [*MENTIONS, *((bucket, table, column) for bucket, table, _, _, column in URL_COLUMNS)]
    for bucket, table, column in columns:
        for row in source.rows_if_any(table, column):
            yield from _places(row, column, bucket)


def _places(row: Row, column: str, bucket: str) -> Iterator[tuple[str, str]]:
    value = row[column]
    for url in value if isinstance(value, list) else [value]:
        yield from names_in_url(url, bucket)
