"""The ledger of stored objects: each with its owner, kind, size and hash, and whether any row names it."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.names import NAMINGS, Naming, names, namings_in
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.base import fenced, qualified
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
# PostgreSQL's bigint has 19.
_MOST_DIGITS = 18
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def unclear(live: LiveSchema) -> dict[str, str]:
    """Return the buckets of which nobody can tell what is an orphan: bucket -> the table or column that is missing.

    What is gone, or has another name here, named objects of its bucket; a URL may name one of any bucket of the kind.
    """
    found: dict[str, str] = {}
    for naming in NAMINGS:
        table = qualified(naming.table)
        if not live.has(table, naming.column.name):
            kind = KIND_OF_BUCKET[naming.bucket]
            concerned = [bucket for bucket in KIND_OF_BUCKET if KIND_OF_BUCKET[bucket] == kind]
            missing = f"{table}.{naming.column.name}" if live.has(table) else table
            for bucket in concerned if naming.is_url else [naming.bucket]:
                found.setdefault(bucket, missing)
    return found


def ledger(live: LiveSchema, among: sa.FromClause | None = None) -> sa.Select[Any]:
    """Select each object, or those whose bucket_id and name are `among` the rows of a CTE.

    Columns: id, user_id (UNATTRIBUTED where it is nobody's), kind, bucket, key, bytes (NULL where they are not
    known), hash (likewise), created_at, and is_orphan: no row names it (NULL in a bucket that is `unclear`). Raises
    NotPermittedError where a table that names objects cannot be read.
    """
    objects = supabase.objects
    account = supabase.users.alias("account")
    source: sa.FromClause = objects
    if among is not None:
        source = objects.join(among, among.c.id == objects.c.id)
    named = _oldest(namings_in(live), among)
    found = source.outerjoin(
        named, sa.and_(named.c.key == objects.c.name, named.c.bucket == objects.c.bucket_id)
    )
    owner = sa.case((named.c.is_owner, named.c.owner), else_=path_owner(objects.c.name))
    return sa.select(
        objects.c.id,
        sa.func.coalesce(account.c.id, UNATTRIBUTED).label("user_id"),
        *described(),
        _is_orphan(live, named).label("is_orphan"),
    ).select_from(found.outerjoin(account, account.c.id == owner))


def _is_orphan(live: LiveSchema, named: sa.Subquery) -> Expression:
    buckets = list(unclear(live))
    is_unnamed = named.c.key.is_(None)
    if not buckets:
        return is_unnamed
    is_unclear = sa.func.coalesce(supabase.objects.c.bucket_id, "").in_(buckets)
    return sa.case((is_unclear, sa.cast(sa.null(), sa.Boolean)), else_=is_unnamed)


def described() -> list[sa.Label[Any]]:
    """Return what an object's own row tells: kind, bucket, key, bytes, hash and created_at."""
    objects = supabase.objects
    return _described(objects, objects.c.metadata["size"].astext)


def _described(objects: sa.FromClause, size: Expression) -> list[sa.Label[Any]]:
    # Digits counted by the pattern itself would cost three times as much.
    is_size = sa.and_(size.regexp_match("^[0-9]+$"), sa.func.length(size) <= _MOST_DIGITS)
    return [
        kind_of(objects.c.bucket_id).label("kind"),
        sa.func.coalesce(objects.c.bucket_id, "").label("bucket"),
        objects.c.name.label("key"),
        sa.case((is_size, sa.cast(size, sa.BigInteger))).label("bytes"),
        sa.func.nullif(sa.func.btrim(objects.c.metadata["eTag"].astext, '"'), "").label("hash"),
        objects.c.created_at.label("created_at"),
    ]


def kind_of(bucket: Expression) -> Expression:
    """Return a bucket's kind."""
    return sa.case(KIND_OF_BUCKET, value=bucket, else_=OTHER)


def each_object(*wanted: Expression) -> sa.Subquery:
    """Return what the rows of the objects that are `wanted` tell: id, and the columns of `described`."""
    own = supabase.objects.c
    size = own.metadata["size"].astext.label("size")
    columns = (own.id, own.bucket_id, own.name, own.metadata, own.created_at)
    # Else a size would be read anew wherever it is told, and carried along with all of the metadata.
    read = fenced(sa.select(*columns, size).where(*wanted), "read")
    return fenced(sa.select(read.c.id, *_described(read, read.c.size)), "each_object")


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
    # Where nothing is stored, no row is looked at.
    select = sa.select(each).where(each.c.key != "", sa.exists().select_from(supabase.objects))
    if among is not None:
        select = select.join(among, sa.and_(among.c.bucket_id == each.c.bucket, among.c.name == each.c.key))
    # Bytes sort several times as fast as a language's letters.
    key = each.c.key.collate("C")
    order = (key, each.c.bucket, each.c.is_owner.desc(), each.c.since.nulls_last(), each.c.owner)
    return select.ext(distinct_on(key, each.c.bucket)).order_by(*order).subquery("named")
