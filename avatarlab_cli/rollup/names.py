"""What the platform's rows name of the stored objects, and how a URL names one.

Two kinds of columns do. Those the platform attributes by say whose an object is too, those in MENTIONS only that
somebody may still show it. docs/decisions/storage.md says why URLs are read in more ways than one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.rollup.availability import demand_access
from avatarlab_cli.schema import accounts, avatars, knowledge, media, memories, training, voice
from avatarlab_cli.schema.base import TIME, qualified
from avatarlab_cli.schema.live import LiveSchema

# An image's URL may be a data: URI of megabytes; no object's address is longer than this.
_LONGEST_URL = 4096


@dataclass(frozen=True)
class Naming:
    """A column that names objects of a bucket, by key or by URL; `since` and `owner` are columns of its table.

    Where `owner` is None the rows name an object without making it theirs; those of a mention never do.
    """

    bucket: str
    column: sa.Column[Any]
    since: str | None = "created_at"
    owner: str | None = "user_id"
    is_url: bool = True
    is_mention: bool = False

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
    Naming(bucket, column, since=None, owner=None, is_url=is_url, is_mention=True)
    for bucket, column, is_url in (
        ("avatars", avatars.avatars.c.gallery_images, True),
        ("knowledge-base", knowledge.avatar_knowledge_files.c.link_url, True),
        ("training-files", training.avatar_training_files.c.file_name, False),
        ("avatar-memories", memories.avatar_memories.c.image_url, True),
        ("avatar-memories", memories.avatar_memories.c.thumbnail_url, True),
        ("avatar-memories", memories.memory_images.c.image_url, True),
        ("avatar-memories", memories.memory_images.c.thumbnail_url, True),
        ("generated-images", media.generated_images.c.thumbnail_url, True),
        ("generated-videos", media.generated_videos.c.thumbnail_url, True),
        ("voice-samples", voice.voice_clones.c.preview_url, True),
        ("voice-samples", voice.tts_voices.c.sample_url, True),
    )
)


def namings_in(live: LiveSchema) -> list[Naming]:
    """Return the columns that name objects here; raises NotPermittedError where one of them cannot be read.

    Where a column's rows have no time or no owner, since or owner is None: what they name is named all the same.
    """
    found = [n for n in (*NAMINGS, *MENTIONS) if live.has(qualified(n.table), n.column.name)]
    demand_access(live, {qualified(naming.table) for naming in found})
    return [_as_there(naming, live) for naming in found]


def _as_there(naming: Naming, live: LiveSchema) -> Naming:
    there = {name for name in naming.columns if live.has(qualified(naming.table), name)}
    return replace(
        naming,
        since=naming.since if naming.since in there else None,
        owner=naming.owner if naming.owner in there else None,
    )


def names(namings: Iterable[Naming], *, owners: Sequence[UUID] | None = None) -> sa.Subquery:
    """Return what the rows name, or only the rows of these owners: bucket, key, owner, since and is_owner.

    `is_owner` tells whether the row makes the object its own; where no row of the column does, owner and since are NULL.
    """
    wanted = "true" if owners is None else "{owner} = ANY (CAST(:owners AS uuid[]))"
    each = "UNION ALL".join(_named_by(naming, wanted) for naming in namings) or _NOTHING
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
# Where none of the tables is there.
_NOTHING = " SELECT '', '', CAST(NULL AS uuid), CAST(NULL AS timestamptz), false WHERE false "
# OFFSET leaves out nothing: without it PostgreSQL would compute each part anew wherever it is used. Only where it is
# written as a bigint does the planner see at once that it is 0, and reads in parallel.
# split_part looks for bytes, substr counts characters, which takes several times as long: it is left to the few URLs that
# are too long, or name the bucket twice.
_URLS = """
    SELECT CASE WHEN place > 0 THEN '{bucket}' ELSE elsewhere[2] END,
           CASE WHEN place = 0 THEN elsewhere[3]
                WHEN url = head || '/{bucket}/' || tail THEN tail
                ELSE substr(url, place + {length}) END,
           owner, since, place > 0 AND {is_owner}{told}
    FROM (SELECT *, CASE WHEN place = 0 THEN regexp_match(url, '/(public|sign|authenticated)/([^/?]+)/(.+)$') END AS elsewhere,
                 split_part(url, '/{bucket}/', 1) AS head, split_part(url, '/{bucket}/', 2) AS tail
          FROM (SELECT *, strpos(url, '/{bucket}/') AS place
                FROM (SELECT CASE WHEN octet_length({value}) > {longest} THEN substr({value}, 1, {longest}) ELSE {value} END AS url,
                             {owner} AS owner, {since} AS since{row}
                      FROM {source} WHERE {wanted} AND {value} IS NOT NULL OFFSET bigint '0') AS beginning
                WHERE url NOT LIKE 'data:%' OFFSET bigint '0') AS placed OFFSET bigint '0') AS address
"""
# What stands behind the bucket may be the key as it is, up to a query, or percent-encoded.
_READ = """
    SELECT bucket, owner, since, is_owner,
           unnest(CASE WHEN strpos(rest, '%') = 0 AND strpos(rest, '?') = 0 THEN ARRAY[rest]
                       ELSE ARRAY[rest, plain, {decoded}] END) AS key
    FROM (SELECT *, split_part(rest, '?', 1) AS plain
          FROM ({each} OFFSET bigint '0') AS named (bucket, rest, owner, since, is_owner) WHERE rest IS NOT NULL) AS named
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
                FROM ({each} OFFSET bigint '0') AS named (bucket, rest, owner, since, is_owner, {told}) WHERE rest <> '') AS named
         ) AS named
    WHERE NOT EXISTS (SELECT FROM storage.objects AS o WHERE o.bucket_id = named.bucket AND o.name = plain)
      AND NOT ((strpos(rest, '%') > 0 OR strpos(rest, '?') > 0) AND EXISTS (
          SELECT FROM storage.objects AS o WHERE o.bucket_id = named.bucket AND o.name IN (rest, decoded)))
"""


def missing(namings: Iterable[Naming]) -> sa.Subquery:
    """Return the rows that name an object which is not there: table_name, column_name, row_id, bucket, key, owner, since.

    Also those that name one in a bucket which never was.
    """
    parts = [_named_by(naming, "true", tells_row=True) for naming in namings]
    each = "UNION ALL".join(parts) or _NOTHING.replace("WHERE", ", '', '', CAST(NULL AS uuid) WHERE")
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
