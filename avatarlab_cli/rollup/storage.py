"""storage_daily: the objects in the buckets as they stand, by owner, kind and bucket."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from avatarlab_cli.rollup import fresh
from avatarlab_cli.rollup.availability import Availability, demand_access
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema import accounts, avatars, knowledge, media, memories, supabase, training, voice
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import storage_daily
from avatarlab_cli.timeframe import Window

Expression = sa.ColumnElement[Any]

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
# An image's URL may be a data: URI of megabytes; no object's address is longer than this.
_LONGEST_URL = 2048
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


@dataclass(frozen=True)
class Naming:
    """A column that names objects of a bucket, by key or by URL; `since` and `owner` are columns of its table."""

    bucket: str
    column: sa.Column[Any]
    since: str = "created_at"
    owner: str = "user_id"
    is_url: bool = True

    @property
    def columns(self) -> tuple[str, str, str]:
        """The names of all columns that are read."""
        return self.column.name, self.since, self.owner


NAMINGS = (
    Naming("avatars", avatars.avatars.c.avatar_images),
    Naming("avatars", accounts.profiles.c.avatar_url, owner="id"),
    Naming("knowledge-base", knowledge.avatar_knowledge_files.c.file_path, "uploaded_at", is_url=False),
    Naming("training-files", training.avatar_training_files.c.file_path, "uploaded_at", is_url=False),
    Naming("avatar-memories", memories.avatar_memories.c.image_path, is_url=False),
    Naming("avatar-memories", memories.memory_images.c.image_path, is_url=False),
    Naming("generated-images", media.generated_images.c.image_url),
    Naming("generated-images", media.generated_images.c.original_image_url),
    Naming("generated-videos", media.generated_videos.c.video_url),
    Naming("voice-samples", voice.voice_samples.c.file_url),
    Naming("voice-samples", voice.tts_generations.c.audio_url),
)


def snapshot(
    connection: sa.Connection, window: Window, today: date, live: LiveSchema, available: Availability
) -> fresh.Changes:
    """Set storage_daily for today, where the window holds it, to what storage.objects holds now.

    A row of nobody's in the kind `other`, with an empty bucket, marks the day as taken even where nothing is
    stored. Raises NotPermittedError where a table that names objects cannot be read.
    """
    if not (available.has("storage_bytes") and window.first <= today < window.end):
        return fresh.Changes(0, 0)
    table = fresh.temporary(connection, "storage_daily_fresh", _select(today, ledger(live)))
    keys = ["day", "user_id", "kind", "bucket"]
    return fresh.replace(connection, storage_daily, table, keys, window=storage_daily.c.day == today)


def ledger(live: LiveSchema, *more: sa.Column[Any]) -> sa.Subquery:
    """Return each object as `_ledger` has it, with `more` columns of storage.objects.

    Raises NotPermittedError where a table that names objects cannot be read.
    """
    namings = [n for n in NAMINGS if live.has(qualified(n.column.table), *n.columns)]
    demand_access(live, {qualified(naming.column.table) for naming in namings})
    return _ledger(namings, *more)


def figures(ledger: sa.Subquery) -> tuple[sa.Label[Any], ...]:
    """Return the figures of storage_daily over the objects of a ledger."""
    is_orphan = ledger.c.is_orphan
    return (
        _bytes(ledger.c.bytes).label("bytes"),
        sa.func.count().label("objects"),
        sa.func.count().filter(ledger.c.bytes.is_(None)).label("unsized_objects"),
        _bytes(ledger.c.bytes, where=is_orphan).label("orphan_bytes"),
        sa.func.count().filter(is_orphan).label("orphan_objects"),
    )


def _select(today: date, ledger: sa.Subquery) -> sa.CompoundSelect[Any]:
    by = [ledger.c.user_id, ledger.c.kind, ledger.c.bucket]
    day = sa.literal(today, sa.Date).label("day")
    selected = sa.select(day, *by, *figures(ledger), sa.false().label("is_interpolated"))
    cells = selected.group_by(*by).cte("cells")
    # An object in no bucket is in the marker's own cell.
    is_marked = sa.exists().where(
        cells.c.user_id == UNATTRIBUTED, cells.c.kind == OTHER, cells.c.bucket == ""
    )
    zero = sa.literal(0, sa.BigInteger)
    marker = sa.select(
        sa.literal(today, sa.Date),
        sa.literal(UNATTRIBUTED, sa.Uuid),
        sa.literal(OTHER),
        sa.literal(""),
        *[zero] * 5,
        sa.false(),
    ).where(~is_marked)
    return sa.union_all(sa.select(cells), marker)


def _bytes(column: Expression, where: Expression | None = None) -> Expression:
    total = sa.func.sum(column)
    chosen = total if where is None else total.filter(where)
    return sa.cast(sa.func.coalesce(chosen, 0), sa.BigInteger)


def _ledger(namings: list[Naming], *more: sa.Column[Any]) -> sa.Subquery:
    """Return each object with its owner, kind, bucket, size (NULL where it is unknown) and whether a row names it."""
    objects = supabase.objects
    named = _oldest(namings)
    account = supabase.users.alias("account")
    size = objects.c.metadata["size"].astext
    path_owner = sa.case(
        (owner_in_path(objects.c.name).regexp_match(_UUID), sa.cast(owner_in_path(objects.c.name), sa.Uuid))
    )
    owner = sa.case((named.c.bucket.is_not(None), named.c.owner), else_=path_owner)
    found = objects.outerjoin(
        named, sa.and_(named.c.bucket == objects.c.bucket_id, named.c.key == objects.c.name)
    )
    return (
        sa.select(
            sa.func.coalesce(account.c.id, UNATTRIBUTED).label("user_id"),
            sa.case(KIND_OF_BUCKET, value=objects.c.bucket_id, else_=OTHER).label("kind"),
            sa.func.coalesce(objects.c.bucket_id, "").label("bucket"),
            sa.case((size.regexp_match(r"^\d{1,18}$"), sa.cast(size, sa.BigInteger))).label("bytes"),
            named.c.bucket.is_(None).label("is_orphan"),
            *more,
        )
        .select_from(found.outerjoin(account, account.c.id == owner))
        .subquery("ledger")
    )


def owner_in_path(name: Expression) -> Expression:
    """Return the part of an object's key that holds the owner's id: the first segment, or in profiles/ the second."""
    in_profiles = sa.func.left(sa.func.split_part(name, "/", 2), 36)
    first = sa.func.split_part(name, "/", 1)
    return sa.func.lower(sa.case((first == "profiles", in_profiles), else_=first))


def _oldest(namings: list[Naming]) -> sa.Subquery:
    """Return for each named object the owner of the oldest row that names it."""
    each = sa.union_all(*(names_of(naming) for naming in namings)).subquery("named_objects")
    return (
        sa.select(each)
        .where(each.c.key != "")
        .ext(distinct_on(each.c.bucket, each.c.key))
        .order_by(each.c.bucket, each.c.key, each.c.since.nulls_last(), each.c.owner)
        .subquery("named")
    )


def names_of(naming: Naming) -> sa.Select[Any]:
    """Select what the rows of one source name: bucket, key, owner, and since when."""
    value: Expression = naming.column
    source: sa.FromClause = naming.column.table
    if isinstance(naming.column.type, sa.ARRAY):
        element = sa.func.unnest(naming.column).table_valued("url", name="element").render_derived()
        value, source = element.c.url, source.join(element, sa.true())
    return (
        sa.select(
            sa.literal(naming.bucket).label("bucket"),
            (_key(value, naming.bucket) if naming.is_url else value).label("key"),
            naming.column.table.c[naming.owner].label("owner"),
            naming.column.table.c[naming.since].label("since"),
        )
        .select_from(source)
        .where(value.is_not(None))
    )


def _key(url: Expression, bucket: str) -> Expression:
    """Return the object's key in a URL: what follows the bucket, up to a query; empty for any other URL."""
    start = sa.func.substr(url, 1, _LONGEST_URL)
    folder = f"/{bucket}/"
    position = sa.func.strpos(start, folder)
    after = sa.func.substr(start, position + len(folder))
    is_named = sa.and_(start.like("http%"), position > 0)
    return sa.case((is_named, sa.func.split_part(after, "?", 1)), else_="")
