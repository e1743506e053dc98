"""What reports on storage must say: sums over the objects, rows whose object is gone, files as the tables tell them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple, TypeVar
from uuid import UUID

from tests.reference.source import UNATTRIBUTED, Source
from tests.reference.storage import (
    BUCKETS,
    KEY_COLUMNS,
    URL_COLUMNS,
    Stored,
    names_in_url,
    readings,
    shown_key,
)

Key = TypeVar("Key", bound=Hashable)
SIZED_TABLES = (
    ("knowledge-base", "avatar_knowledge_files", "uploaded_at", "file_path", "file_size"),
    ("training-files", "avatar_training_files", "uploaded_at", "file_path", "file_size"),
    ("voice-samples", "voice_samples", "created_at", "file_url", "file_size_bytes"),
)


class Figures(NamedTuple):
    """Of some objects; bytes are None where no size is known of any, orphans where of one it cannot be told."""

    objects: int = 0
    bytes: int | None = 0
    unsized: int = 0
    orphans: int | None = 0
    orphan_bytes: int | None = 0


def figures(objects: Iterable[Stored]) -> Figures:
    """Sum up objects."""
    found = list(objects)
    lost = [stored for stored in found if stored.is_orphan]
    unsized = sum(stored.size is None for stored in found)
    if any(stored.is_orphan is None for stored in found):
        return Figures(len(found), _bytes(found), unsized, None, None)
    return Figures(len(found), _bytes(found), unsized, len(lost), _bytes(lost))


def _bytes(objects: list[Stored]) -> int | None:
    sizes = [stored.size for stored in objects if stored.size is not None]
    return sum(sizes) if sizes or not objects else None


def grouped(objects: Iterable[Stored], by: Callable[[Stored], Key]) -> dict[Key, list[Stored]]:
    """Return the objects by some key."""
    groups: dict[Key, list[Stored]] = defaultdict(list)
    for stored in objects:
        groups[by(stored)].append(stored)
    return dict(groups)


def duplicates(objects: Iterable[Stored]) -> dict[tuple[str, int], list[Stored]]:
    """Return the copies of everything that is stored more than once, by hash and size."""
    known = [
        (stored.hash, stored.size, stored)
        for stored in objects
        if stored.hash is not None and stored.size is not None
    ]
    groups: dict[tuple[str, int], list[Stored]] = defaultdict(list)
    for tag, size, stored in known:
        groups[tag, size].append(stored)
    return {key: copies for key, copies in groups.items() if len(copies) > 1}


def missing(source: Source, objects: Iterable[Stored]) -> Counter[tuple[str, str, str, str]]:
    """Count the rows whose object is gone, by table, column, bucket and key."""
    there = {(stored.bucket, stored.key) for stored in objects}
    return Counter(
        (table, column, bucket, shown_key(names))
        for table, column, bucket, names in _named(source)
        if bucket in BUCKETS and not there & {(bucket, name) for name in names}
    )


def _named(source: Source) -> Iterator[tuple[str, str, str, set[str]]]:
    for bucket, table, _, _, column in KEY_COLUMNS:
        for row in source.rows_if_any(table, column):
            if row[column]:
                yield table, column, bucket, readings(row[column])
    for bucket, table, _, _, column in URL_COLUMNS:
        for row in source.rows_if_any(table, column):
            for url in row[column] if isinstance(row[column], list) else [row[column]]:
                names = names_in_url(url, bucket)
                if names:
                    ((place, *_),) = {(place,) for place, _ in names}
                    yield table, column, place, {key for _, key in names}


def files_in_tables(source: Source) -> dict[tuple[str, str], tuple[UUID, int | None]]:
    """Return owner and size of each file a table tells the size of, by bucket and key."""
    rows = defaultdict(list)
    for bucket, table, time, column, size in SIZED_TABLES:
        for row in source.rows_if_any(table, "user_id", time, column, size):
            url = row[column]
            if bucket != "voice-samples":
                rows[bucket, url].append((row[time], row["user_id"], row[size]))
            elif not url.startswith("data:") and f"/{bucket}/" in url:
                key = url.split(f"/{bucket}/", 1)[1].partition("?")[0]
                rows[bucket, key].append((row[time], row["user_id"], row[size]))
    accounts = source.accounts()
    return {place: _file(found, accounts) for place, found in rows.items()}


def _file(rows: list[tuple[object, UUID, int | None]], accounts: set[UUID]) -> tuple[UUID, int | None]:
    _, owner, _ = min(rows, key=lambda row: row[0])  # type: ignore[arg-type, return-value]  # moments
    sizes = [size for _, _, size in rows if size is not None]
    return owner if owner in accounts else UNATTRIBUTED, max(sizes, default=None)
