"""The ledger of stored objects: each with its owner, kind, size and hash, and whether any row names it.

Two kinds of columns name objects. Those the platform attributes by say whose an object is too, those in MENTIONS
only that somebody may still show it. docs/decisions/storage.md says why URLs are read in more ways than one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from avatarlab_cli.rollup.availability import demand_access
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema import accounts, avatars, knowledge, media, memories, supabase, training, voice
from avatarlab_cli.schema.base import TIME, qualified
from avatarlab_cli.schema.live import LiveSchema

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
KINDS = (*dict.fromkeys(KIND_OF_BUCKET.values()), OTHER)
# An image's URL may be a data: URI of megabytes; no object's address is longer than this.
_LONGEST_URL = 4096
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


@dataclass(frozen=True)
class Naming:
    """A column that names objects of a bucket, by key or by URL; `since` and `owner` are columns of its table.

    Where `owner` is None the rows name an object without making it theirs.
    """

    bucket: str
    column: sa.Column[Any]
    since: str | None = "created_at"
    owner: str | None = "user_id"
    is_url: bool = True

    @property
    def table(self) -> sa.Table:
        """The table that is read."""
        table: sa.Table = self.column.table
        return table

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns that are read."""
        return tuple(name for name in (self.column.name, self.since, self.owner) if name is not None)


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
MENTIONS = tuple(
    Naming(bucket, column, since=None, owner=None)
    for bucket, column in (
        ("avatars", avatars.avatars.c.gallery_images),
        ("knowledge-base", knowledge.avatar_knowledge_files.c.link_url),
        ("avatar-memories", memories.avatar_memories.c.image_url),
        ("avatar-memories", memories.avatar_memories.c.thumbnail_url),
        ("avatar-memories", memories.memory_images.c.image_url),
        ("avatar-memories", memories.memory_images.c.thumbnail_url),
        ("generated-images", media.generated_images.c.thumbnail_url),
        ("generated-videos", media.generated_videos.c.thumbnail_url),
        ("voice-samples", voice.voice_clones.c.preview_url),
        ("voice-samples", voice.tts_voices.c.sample_url),
    )
)


def namings_in(live: LiveSchema) -> list[Naming]:
    """Return the columns that name objects here; raises NotPermittedError where one of them cannot be read."""
    found = [n for n in (*NAMINGS, *MENTIONS) if live.has(qualified(n.table), *n.columns)]
    demand_access(live, {qualified(naming.table) for naming in found})
    return found


def ledger(namings: Iterable[Naming], among: sa.FromClause | None = None) -> sa.Select[Any]:
    """Select each object, or those whose bucket_id and name are `among` the rows of a CTE.

    Columns: id, user_id (UNATTRIBUTED where it is nobody's), kind, bucket, key, bytes (NULL where they are not
    known), hash (likewise), created_at, and is_orphan: no row names it.
    """
    objects = supabase.objects
    account = supabase.users.alias("account")
    source: sa.FromClause = objects
    if among is not None:
        source = objects.join(among, among.c.id == objects.c.id)
    named = _oldest(namings, among)
    found = source.outerjoin(
        named, sa.and_(named.c.key == objects.c.name, named.c.bucket == objects.c.bucket_id)
    )
    owner = sa.case((named.c.is_owner, named.c.owner), else_=path_owner(objects.c.name))
    return sa.select(
        objects.c.id,
        sa.func.coalesce(account.c.id, UNATTRIBUTED).label("user_id"),
        *described(),
        named.c.key.is_(None).label("is_orphan"),
    ).select_from(found.outerjoin(account, account.c.id == owner))


def described() -> list[sa.Label[Any]]:
    """Return what an object's own row tells: kind, bucket, key, bytes, hash and created_at."""
    objects = supabase.objects
    size = objects.c.metadata["size"].astext
    return [
        kind_of(objects.c.bucket_id).label("kind"),
        sa.func.coalesce(objects.c.bucket_id, "").label("bucket"),
        objects.c.name.label("key"),
        sa.case((size.regexp_match(r"^\d{1,18}$"), sa.cast(size, sa.BigInteger))).label("bytes"),
        sa.func.nullif(sa.func.btrim(objects.c.metadata["eTag"].astext, '"'), "").label("hash"),
        objects.c.created_at.label("created_at"),
    ]


def kind_of(bucket: Expression) -> Expression:
    """Return a bucket's kind."""
    return sa.case(KIND_OF_BUCKET, value=bucket, else_=OTHER)


def each_object(*wanted: Expression) -> sa.Subquery:
    """Return what the rows of the objects that are `wanted` tell: id, and the columns of `described`."""
    # Without the OFFSET a size would be read anew for each sum, and carried along with all of the metadata.
    select = sa.select(supabase.objects.c.id, *described()).where(*wanted)
    return select.offset(sa.literal_column("bigint '0'")).subquery("each_object")


def is_named(namings: Iterable[Naming], each: sa.Subquery) -> Expression:
    """Return whether any row names the one of `each_object` that is looked at.

    An anti-join on its negation costs a fraction of the ledger, which must find out the oldest row.
    """
    named = names(namings)
    return sa.exists().where(named.c.key == each.c.key, named.c.bucket == each.c.bucket)


def path_owner(name: Expression) -> Expression:
    """Return the id in an object's key, NULL where there is none."""
    text = owner_in_path(name)
    return sa.case((text.regexp_match(_UUID), sa.cast(text, sa.Uuid)))


def owner_in_path(name: Expression) -> Expression:
    """Return the part of an object's key that holds the owner's id: the first segment, or in profiles/ the second."""
    in_profiles = sa.func.left(sa.func.split_part(name, "/", 2), 36)
    first = sa.func.split_part(name, "/", 1)
    return sa.func.lower(sa.case((first == "profiles", in_profiles), else_=first))


def _oldest(namings: Iterable[Naming], among: sa.FromClause | None) -> sa.Subquery:
    """Return each named object with the owner of the oldest row that makes it its own, if any does."""
    each = names(namings)
    select = sa.select(each).where(each.c.key != "")
    if among is not None:
        select = select.join(among, sa.and_(among.c.bucket_id == each.c.bucket, among.c.name == each.c.key))
    # Bytes sort several times as fast as a language's letters.
    key = each.c.key.collate("C")
    order = (key, each.c.bucket, each.c.is_owner.desc(), each.c.since.nulls_last(), each.c.owner)
    return select.ext(distinct_on(key, each.c.bucket)).order_by(*order).subquery("named")


def names(namings: Iterable[Naming], *, owners: Sequence[UUID] | None = None) -> sa.Subquery:
    """Return what the rows name, or only the rows of these owners: bucket, key, owner, since and is_owner.

    `is_owner` tells whether the row makes the object its own; where no row of the column does, owner and since are NULL.
    """
    wanted = "true" if owners is None else "{owner} = ANY (CAST(:owners AS uuid[]))"
    each = "UNION ALL".join(_named_by(naming, wanted) for naming in namings)
    text = sa.text(_READ.format(each=each, decoded=_DECODED))
    bound = text if owners is None else text.bindparams(owners=list(owners))
    return bound.columns(*_NAMES).subquery("each_name")


_NAMES = (
    sa.column("bucket", sa.Text),
    sa.column("owner", sa.Uuid),
    sa.column("since", TIME),
    sa.column("is_owner", sa.Boolean),
    sa.column("key", sa.Text),
)
_KEYS = """
    SELECT '{bucket}', {column}, {owner}, {since}, {is_owner}{row}
    FROM {table} WHERE {wanted}
"""
# OFFSET leaves out nothing: without it PostgreSQL would compute each part anew wherever it is used. Only where it is
# written as a bigint does the planner see at once that it is 0, and reads in parallel.
_URLS = """
    SELECT CASE WHEN place > 0 THEN '{bucket}' ELSE elsewhere[2] END,
           CASE WHEN place > 0 THEN substr(url, place + {length}) ELSE elsewhere[3] END,
           owner, since, place > 0 AND {is_owner}{told}
    FROM (SELECT *, CASE WHEN place = 0 THEN regexp_match(url, '/(public|sign|authenticated)/([^/?]+)/(.+)$') END AS elsewhere
          FROM (SELECT *, strpos(url, '/{bucket}/') AS place
                FROM (SELECT substr({value}, 1, {longest}) AS url, {owner} AS owner, {since} AS since{row}
                      FROM {source} WHERE {wanted} AND {value} IS NOT NULL OFFSET bigint '0') AS beginning
                WHERE url NOT LIKE 'data:%' OFFSET bigint '0') AS placed OFFSET bigint '0') AS address
"""
# What stands behind the bucket may be the key as it is, up to a query, or percent-encoded.
_READ = """
    SELECT bucket, owner, since, is_owner,
           unnest(CASE WHEN strpos(rest, '%') = 0 AND strpos(rest, '?') = 0 THEN ARRAY[rest]
                       ELSE ARRAY[rest, plain, {decoded}] END) AS key
    FROM (SELECT *, split_part(rest, '?', 1) AS plain
          FROM ({each}) AS named (bucket, rest, owner, since, is_owner) WHERE rest IS NOT NULL) AS named
"""
# Characters, and percent-encoded ones as UTF-8 has them: PostgreSQL would refuse to decode anything else.
_DECODABLE = (
    "^([^%]|%(?![0-9a-f]{2})|%(0[1-9a-f]|[1-7][0-9a-f])|%(c[2-9a-f]|d[0-9a-f])%[89ab][0-9a-f]"
    "|%(e0%[ab]|e[1-9a-cef]%[89ab]|ed%[89])[0-9a-f]%[89ab][0-9a-f]"
    "|%(f0%[9ab]|f[1-3]%[89ab]|f4%8)[0-9a-f](%[89ab][0-9a-f]){2})*$"
)
# No subquery, which could not be computed in parallel: each byte is taken for a character of LATIN1, and what follows a
# percent sign for the number of one, as JSON writes it.
_DECODED = f"""CASE WHEN plain ~* '{_DECODABLE}' THEN convert_from(convert_to(CAST(
    regexp_replace(CAST(to_json(convert_from(convert_to(plain, 'UTF8'), 'LATIN1')) AS text),
                   '%([0-9a-fA-F]{{2}})', '\\\\u00\\1', 'g') AS jsonb) #>> '{{}}', 'LATIN1'), 'UTF8') END"""


# Which row it is that names an object.
_TOLD = ("table_name", "column_name", "row_id")
_MISSING = """
    SELECT table_name, column_name, row_id, bucket, coalesce(decoded, plain) AS key, owner, since
    FROM (SELECT *, {decoded} AS decoded
          FROM (SELECT *, split_part(rest, '?', 1) AS plain
                FROM ({each}) AS named (bucket, rest, owner, since, is_owner, {told}) WHERE rest <> '') AS named
         ) AS named
    WHERE NOT EXISTS (SELECT FROM storage.objects AS o WHERE o.bucket_id = named.bucket AND o.name = plain)
      AND NOT ((strpos(rest, '%') > 0 OR strpos(rest, '?') > 0) AND EXISTS (
          SELECT FROM storage.objects AS o WHERE o.bucket_id = named.bucket AND o.name IN (rest, decoded)))
"""


def missing(namings: Iterable[Naming]) -> sa.Subquery:
    """Return the rows that name an object which is not there: table_name, column_name, row_id, bucket, key, owner, since.

    Also those that name one in a bucket which never was.
    """
    each = "UNION ALL".join(_named_by(naming, "true", tells_row=True) for naming in namings)
    text = sa.text(_MISSING.format(each=each, decoded=_DECODED, told=", ".join(_TOLD)))
    told = (sa.column("table_name", sa.Text), sa.column("column_name", sa.Text), sa.column("row_id", sa.Uuid))
    bucket, owner, since, _, key = _NAMES
    return text.columns(*told, bucket, key, owner, since).subquery("missing")


def _named_by(naming: Naming, wanted: str, *, tells_row: bool = False) -> str:
    """Write the SELECT of what the rows of one column name; `wanted` is a condition on {owner}."""
    columns = naming.table.c
    own = {
        "owner": f"{naming.table.name}.{columns[naming.owner].name}"
        if naming.owner
        else "CAST(NULL AS uuid)",
        "since": naming.since or "CAST(NULL AS timestamptz)",
        "is_owner": "true" if naming.owner else "false",
        "bucket": naming.bucket,
        "row": "",
        "told": "",
    }
    table, column = qualified(naming.table), f"{naming.table.name}.{naming.column.name}"
    if tells_row:
        values = (f"'{naming.table.name}'", f"'{naming.column.name}'", f"{naming.table.name}.id")
        pairs = (f", {value} AS {name}" for value, name in zip(values, _TOLD, strict=True))
        own |= {"row": "".join(pairs), "told": "".join(f", {name}" for name in _TOLD)}
    wanted = wanted.format(**own)
    if not naming.is_url:
        return _KEYS.format(**own, table=table, column=column, wanted=wanted)
    is_list = isinstance(naming.column.type, sa.ARRAY)
    return _URLS.format(
        **own,
        source=f"{table} CROSS JOIN unnest({column}) AS element (url)" if is_list else table,
        value="element.url" if is_list else column,
        wanted=wanted,
        length=len(naming.bucket) + 2,
        longest=_LONGEST_URL,
    )
