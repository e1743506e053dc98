"""Reports on single objects: the largest ones, and those that are there twice."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.storage_ledger import Stored, demand_bucket, demand_kind, described_bytes
from avatarlab_cli.queries.usage import NOBODY
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.ledger import described, each_object, kind_of, ledger
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema.supabase import objects, users

Expression = sa.ColumnElement[Any]

_OBJECT = (
    Column("bucket", Kind.TEXT, "where it is"),
    Column("key", Kind.TEXT, "its name there"),
)
_OWNED = (
    Column("user_id", Kind.TEXT, "whose it is", wide=True, null="-"),
    Column("user", Kind.TEXT, "the e-mail address", null="-"),
    Column("is_orphan", Kind.BOOLEAN, "whether no row names it"),
    Column("created_at", Kind.TIME, "when it came", wide=True),
    Column("id", Kind.ID, "its row in storage.objects", wide=True),
)


def top(
    connection: sa.Connection, *, kind: str | None = None, bucket: str | None = None, rows: int | None = None
) -> Report:
    """Report objects by size; `rows` (None for all) is how many will be shown of that order.

    Raises UsageError for an unknown kind, NotFoundError for an unknown bucket.
    """
    stored = Stored.here(connection)
    if kind is not None:
        demand_kind(kind)
    if bucket is not None:
        demand_bucket(connection, stored.live, bucket)
    each = stored.ledger() if rows is None or stored.namings is None else _largest(stored, kind, bucket, rows)
    wanted = [each.c.kind == kind] if kind is not None else []
    wanted += [each.c.bucket == bucket] if bucket is not None else []
    unknown = _count_unsized(connection, stored, kind, bucket)
    return Report(
        _with_user(each, each.c.bucket, each.c.key, each.c.bytes).where(each.c.bytes.is_not(None), *wanted),
        (*_OBJECT, Column("bytes", Kind.BYTES, "its size"), *_OWNED),
        sort="-bytes,bucket,key",
        notes=(
            *(stored.notes(connection) if stored.namings is None else stored.unclear_notes(connection)),
            *((f"left out, as their size is not known: {unknown:,}",) if unknown else ()),
        ),
        empty="There is nothing of known size.",
    )


def _with_user(each: sa.Subquery, *columns: Expression) -> sa.Select[Any]:
    is_owned = each.c.user_id != UNATTRIBUTED
    return sa.select(
        *columns,
        sa.case((is_owned, each.c.user_id)).label("user_id"),
        sa.case((is_owned, users.c.email), else_=NOBODY).label("user"),
        each.c.is_orphan,
        each.c.created_at,
        each.c.id,
    ).select_from(each.outerjoin(users, users.c.id == each.c.user_id))


def _largest(stored: Stored, kind: str | None, bucket: str | None, rows: int) -> sa.Subquery:
    """Return the ledger of the largest objects alone: whose all the others are need not be found out."""
    size = described_bytes()
    wanted = [kind_of(objects.c.bucket_id) == kind] if kind is not None else []
    wanted += [objects.c.bucket_id == bucket] if bucket is not None else []
    page = (
        sa.select(objects.c.id, objects.c.bucket_id, objects.c.name)
        .where(size.is_not(None), *wanted)
        .order_by(size.desc(), objects.c.bucket_id, objects.c.name)
        .limit(rows)
        .cte("page")
    )
    return ledger(stored.live, among=page).subquery("ledger")


def _count_unsized(connection: sa.Connection, stored: Stored, kind: str | None, bucket: str | None) -> int:
    each = stored.ledger() if stored.namings is None else each_object()
    count = sa.select(sa.func.count()).where(each.c.bytes.is_(None))
    if kind is not None:
        count = count.where(each.c.kind == kind)
    if bucket is not None:
        count = count.where(each.c.bucket == bucket)
    return int(connection.scalar(count) or 0)


def duplicates(connection: sa.Connection) -> Report:
    """Report each content that is stored more than once; raises NotFoundError or NotPermittedError without the objects."""
    stored = Stored.here(connection)
    each = _copies(stored)
    owner = sa.case((each.c.user_id != UNATTRIBUTED, each.c.user_id))
    place = sa.func.concat(each.c.bucket, "/", each.c.key)
    return Report(
        sa.select(
            each.c.hash,
            each.c.bytes,
            sa.func.count().label("copies"),
            (each.c.bytes * (sa.func.count() - 1)).label("wasted_bytes"),
            sa.func.count(owner.distinct()).label("users"),
            sa.func.min(place).label("example"),
        ).group_by(each.c.hash, each.c.bytes),
        (
            Column("hash", Kind.ID, "the eTag of the content"),
            Column("bytes", Kind.BYTES, "the size of each copy"),
            Column("copies", Kind.INTEGER, "how many there are", total=True),
            Column("wasted_bytes", Kind.BYTES, "what all copies but one take", total=True),
            Column("users", Kind.INTEGER, "how many users have one"),
            Column("example", Kind.TEXT, "one of them: bucket/key"),
        ),
        sort="-wasted_bytes,hash",
        notes=_not_compared(connection),
        empty="Nothing is stored twice.",
    )


def copies(connection: sa.Connection) -> Report:
    """Report every copy of what is stored more than once; raises as `duplicates` does."""
    stored = Stored.here(connection)
    each = _copies(stored)
    return Report(
        _with_user(each, each.c.hash, each.c.bytes, each.c.bucket, each.c.key),
        (
            Column("hash", Kind.TEXT, "the eTag of the content"),
            Column("bytes", Kind.BYTES, "its size"),
            *_OBJECT,
            *_OWNED,
        ),
        sort="-bytes,hash,bucket,key",
        notes=(*stored.unclear_notes(connection), *_not_compared(connection)),
        empty="Nothing is stored twice.",
    )


def _copies(stored: Stored) -> sa.Subquery:
    """Return the ledger of the objects of which another one has the same hash and size."""
    stored.demand_objects()
    each = sa.select(objects.c.id, objects.c.bucket_id, objects.c.name, *described()).subquery("each_object")
    count = sa.func.count().over(partition_by=(each.c.hash, each.c.bytes)).label("copies")
    counted = (
        sa.select(each.c.id, each.c.bucket_id, each.c.name, count)
        .where(each.c.hash.is_not(None), each.c.bytes.is_not(None))
        .subquery("counted")
    )
    page = (
        sa.select(counted.c.id, counted.c.bucket_id, counted.c.name).where(counted.c.copies > 1).cte("page")
    )
    return ledger(stored.live, among=page).subquery("ledger")


def _not_compared(connection: sa.Connection) -> tuple[str, ...]:
    each = each_object()
    unknown = sa.or_(each.c.hash.is_(None), each.c.bytes.is_(None))
    count = connection.scalar(sa.select(sa.func.count()).where(unknown)) or 0
    return (f"not compared, without a hash or a size: {count:,}",) if count else ()
