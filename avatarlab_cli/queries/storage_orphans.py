"""Objects that no row names, and rows whose object is gone."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.storage_ledger import Stored, demand_bucket, demand_clear, known_sum, unsized
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import names
from avatarlab_cli.rollup.ledger import KIND_OF_BUCKET, each_object, is_named, path_owner, unclear
from avatarlab_cli.schema.base import TIME
from avatarlab_cli.schema.supabase import buckets, objects, users

Expression = sa.ColumnElement[Any]

# The first day of each band, counted back from now, and its name.
BANDS = (
    (0, "under a day"),
    (1, "1 to 7 days"),
    (7, "7 to 30 days"),
    (30, "30 to 90 days"),
    (90, "90 to 365 days"),
    (365, "over a year"),
)
UNKNOWN_AGE = "unknown"
_UPLOADS = (
    "what is younger than a day may belong to an upload under way, whose row is still to come:"
    " --older-than 1d leaves it out"
)


def orphans(
    connection: sa.Connection,
    now: datetime,
    *,
    bucket: str | None = None,
    before: datetime | None = None,
) -> Report:
    """Report each object that no row names, only of a bucket, or only those that came `before` a moment.

    Buckets of which that is not known are left out. Raises NotFoundError for one of these, or an unknown one; that or
    NotPermittedError without the objects.
    """
    stored = Stored.here(connection)
    each = _orphans(connection, stored, bucket, before)
    age = sa.extract("epoch", sa.literal(now, TIME) - each.c.created_at) / 86_400
    return Report(
        sa.select(
            each.c.bucket,
            each.c.key,
            each.c.bytes,
            each.c.created_at,
            sa.case((sa.func.isfinite(each.c.created_at), sa.cast(sa.func.floor(age), sa.Integer))).label(
                "age_days"
            ),
            users.c.email.label("user"),
            each.c.id,
        ).select_from(each.outerjoin(users, users.c.id == each.c.owner)),
        (
            Column("bucket", Kind.TEXT, "where it is"),
            Column("key", Kind.TEXT, "its name there"),
            Column("bytes", Kind.BYTES, "its size", total=True),
            Column("created_at", Kind.TIME, "when it came", wide=True),
            Column("age_days", Kind.INTEGER, "how many days ago that was"),
            Column("user", Kind.TEXT, "whose id stands in its key", null="-"),
            Column("id", Kind.ID, "its row in storage.objects", wide=True),
        ),
        sort="bucket,created_at,key",
        notes=(*stored.unclear_notes(connection), *_upload_notes(now, before)),
        empty="No object is without a row.",
    )


def by_age(
    connection: sa.Connection,
    now: datetime,
    *,
    bucket: str | None = None,
    before: datetime | None = None,
) -> Report:
    """Report how many such objects there are by bucket and age, and their bytes; raises as `orphans` does."""
    stored = Stored.here(connection)
    each = _orphans(connection, stored, bucket, before)
    bands = dict(BANDS)
    # The oldest band first: each object is in the first one that it is old enough for.
    starts = sa.case(
        *(
            (each.c.created_at <= now - timedelta(days=days), days)
            for days in sorted(bands, reverse=True)
            if days
        ),
        (each.c.created_at.is_not(None), 0),
    )
    return Report(
        sa.select(
            each.c.bucket,
            sa.case(bands, value=starts, else_=UNKNOWN_AGE).label("age"),
            sa.func.count().label("objects"),
            known_sum(each.c.bytes).label("bytes"),
            unsized(each.c.bytes).label("unsized_objects"),
            starts.label("from_days"),
        ).group_by(each.c.bucket, starts),
        (
            Column("bucket", Kind.TEXT, "where they are"),
            Column("age", Kind.TEXT, "how long ago they came"),
            Column("objects", Kind.INTEGER, "how many", total=True),
            Column("bytes", Kind.BYTES, "those of known size together", total=True),
            Column("unsized_objects", Kind.INTEGER, "objects of unknown size", total=True),
            Column("from_days", Kind.INTEGER, "the least age in days", wide=True),
        ),
        sort="bucket,from_days",
        notes=(*stored.unclear_notes(connection), *_upload_notes(now, before)),
        empty="No object is without a row.",
    )


def _upload_notes(now: datetime, before: datetime | None) -> tuple[str, ...]:
    return (_UPLOADS,) if before is None or before > now - timedelta(days=1) else ()


def _orphans(
    connection: sa.Connection, stored: Stored, bucket: str | None, before: datetime | None
) -> sa.Subquery:
    namings = stored.demand_objects()
    wanted: list[Expression] = []
    if bucket is not None:
        demand_bucket(connection, stored.live, bucket)
        demand_clear(stored.live, bucket)
        wanted.append(objects.c.bucket_id == bucket)
    if before is not None:
        wanted.append(objects.c.created_at < before)
    each = each_object(*wanted)
    owner = path_owner(each.c.key).label("owner")
    is_clear = each.c.bucket.not_in(list(unclear(stored.live)))
    return sa.select(each, owner).where(is_clear, ~is_named(namings, each)).subquery("orphans")


def missing(connection: sa.Connection, *, bucket: str | None = None) -> Report:
    """Report the rows that name an object of a bucket of ours which is not there; raises as `orphans` does."""
    stored = Stored.here(connection)
    namings = [naming for naming in stored.demand_objects() if not naming.is_mention]
    each = names.missing(namings)
    ours: Expression = each.c.bucket.in_(list(KIND_OF_BUCKET))
    if stored.live.readable("storage.buckets"):
        ours = sa.or_(ours, each.c.bucket.in_(sa.select(buckets.c.id)))
    if bucket is not None:
        demand_bucket(connection, stored.live, bucket)
        ours = each.c.bucket == bucket
    return Report(
        sa.select(
            each.c.table_name.label("table"),
            each.c.column_name.label("column"),
            each.c.row_id.label("id"),
            each.c.bucket,
            each.c.key,
            users.c.email.label("user"),
            each.c.since,
        )
        .select_from(each.outerjoin(users, users.c.id == each.c.owner))
        .where(ours),
        (
            Column("table", Kind.TEXT, "where the row is"),
            Column("column", Kind.TEXT, "what names the object"),
            Column("id", Kind.ID, "the row"),
            Column("bucket", Kind.TEXT, "where the object should be"),
            Column("key", Kind.TEXT, "its name there"),
            Column("user", Kind.TEXT, "whose row it is", null="-"),
            Column("since", Kind.TIME, "the row's time", wide=True, null="-"),
        ),
        sort="table,column,since,id",
        empty="Every object that a row names is there.",
    )
