"""Reports on what is stored, by kind and by bucket."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.storage_ledger import Stored, known_sum, unsized
from avatarlab_cli.queries.storage_tables import bytes_of_area
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.ledger import KINDS, each_object, is_named, kind_of, unclear
from avatarlab_cli.schema.supabase import buckets as bucket_table
from avatarlab_cli.schema.training import AREA as TRAINING

Expression = sa.ColumnElement[Any]

_TRAINING_NOTE = (
    "training is what its tables take in the database; it counts in the total and in the shares,"
    " and uploaded training files are documents"
)
_COUNTS = ("objects", "bytes", "unsized_objects", "orphan_objects", "orphan_bytes")


def summary(connection: sa.Connection) -> Report:
    """Report what each kind of files takes, and the training data in the database."""
    stored = Stored.here(connection)
    found, known, whole = _by_kind(stored), stored.known_kinds(), stored.whole_kinds()
    kind = sa.values(
        sa.column("kind", sa.Text),
        sa.column("position", sa.Integer),
        sa.column("is_known", sa.Boolean),
        sa.column("is_whole", sa.Boolean),
        name="kinds",
    ).data([(k, i, k in known, k in whole) for i, k in enumerate(KINDS)])
    source = "tables" if stored.namings is None else "objects"
    files = sa.select(
        kind.c.kind,
        sa.literal(source).label("source"),
        *(_told(name, found, kind.c.is_known, stored) for name in _COUNTS),
        kind.c.position,
        kind.c.is_whole,
    ).select_from(kind.outerjoin(found, found.c.kind == kind.c.kind))
    zero = sa.literal(0, sa.BigInteger)
    training = sa.select(
        sa.literal("training"),
        sa.literal("database"),
        zero,
        bytes_of_area(TRAINING),
        *[zero] * 3,
        sa.literal(len(KINDS)),
        sa.true(),
    )
    rows = sa.union_all(files, training).subquery("rows")
    return Report(
        sa.select(
            *(column for column in rows.c if column.name != "is_whole"),
            share(rows.c.bytes).label("share"),
            sa.case((rows.c.is_whole, _coverage(rows.c.objects, rows.c.unsized_objects))).label("coverage"),
        ),
        (
            Column("kind", Kind.ID, f"{', '.join(KINDS)}, or training"),
            Column(
                "source", Kind.TEXT, "objects: the buckets; tables: sizes in tables; database: its tables"
            ),
            Column("objects", Kind.INTEGER, "how many files", total=True),
            Column("bytes", Kind.BYTES, "those of known size together", total=True),
            Column("share", Kind.PERCENT, "of all bytes that are known"),
            Column("unsized_objects", Kind.INTEGER, "files of unknown size", wide=True, total=True),
            Column(
                "coverage",
                Kind.PERCENT,
                "the share of the files whose size is known",
                # Without files there is none; where the tables tell, there may be more files.
                null="n/a" if stored.namings is None else "-",
            ),
            Column("orphan_objects", Kind.INTEGER, "files that no row names", wide=True, total=True),
            Column("orphan_bytes", Kind.BYTES, "their bytes", total=True),
            Column("position", Kind.INTEGER, "the order of the kinds", wide=True),
        ),
        sort="position",
        notes=(*stored.notes(connection), _TRAINING_NOTE),
    )


def _told(name: str, found: sa.Subquery, is_known: Expression, stored: Stored) -> Expression:
    """Return a figure of a kind: 0 where it has no files, NULL where nothing tells."""
    if stored.namings is None and name.startswith("orphan"):
        return sa.cast(sa.null(), sa.BigInteger).label(name)
    return sa.case((found.c.kind.is_not(None), found.c[name]), (is_known, 0)).label(name)


def share(size: Expression) -> Expression:
    """Return what part of the bytes of all rows these are."""
    return sa.func.round(size / sa.func.nullif(sa.func.sum(size).over(), 0), 6)


def _coverage(count: Expression, unsized_count: Expression) -> Expression:
    return sa.func.round(1 - sa.cast(unsized_count, sa.Numeric) / sa.func.nullif(count, 0), 6)


def _by_kind(stored: Stored) -> sa.Subquery:
    if stored.namings is not None:
        return _by("kind", stored)
    each = stored.ledger()
    return (
        sa.select(
            each.c.kind,
            sa.func.count().label("objects"),
            known_sum(each.c.bytes).label("bytes"),
            unsized(each.c.bytes).label("unsized_objects"),
        )
        .group_by(each.c.kind)
        .subquery("by_kind")
    )


def _by(group: str, stored: Stored) -> sa.Subquery:
    """Return, by kind or by bucket, objects, bytes, unsized and orphan figures, oldest and newest of all objects.

    The orphans are counted apart, by an anti-join: for each object's owner nobody asks here.
    """
    namings = stored.demand_objects()
    each, lost = each_object(), each_object()
    totals = _by_bucket(each).subquery("totals")
    orphans = _by_bucket(lost).where(~is_named(namings, lost)).subquery("orphans")
    sides = totals.outerjoin(orphans, orphans.c.bucket == totals.c.bucket)
    is_clear = sa.func.bool_and(totals.c.bucket.not_in(list(unclear(stored.live))))
    key = totals.c.bucket if group == "bucket" else kind_of(totals.c.bucket)
    return (
        sa.select(
            key.label(group),
            _whole(sa.func.sum(totals.c.objects)).label("objects"),
            _known(totals).label("bytes"),
            _whole(sa.func.sum(totals.c.objects - totals.c.sized)).label("unsized_objects"),
            _whole(sa.case((is_clear, sa.func.coalesce(sa.func.sum(orphans.c.objects), 0)))).label(
                "orphan_objects"
            ),
            sa.case((is_clear, _known(orphans))).label("orphan_bytes"),
            sa.func.min(totals.c.oldest).label("oldest"),
            sa.func.max(totals.c.newest).label("newest"),
        )
        .select_from(sides)
        .group_by(key)
        .subquery("found")
    )


def _by_bucket(each: sa.Subquery) -> sa.Select[Any]:
    return sa.select(
        each.c.bucket,
        sa.func.count().label("objects"),
        sa.func.count(each.c.bytes).label("sized"),
        sa.func.sum(each.c.bytes).label("bytes"),
        sa.func.min(each.c.created_at).label("oldest"),
        sa.func.max(each.c.created_at).label("newest"),
    ).group_by(each.c.bucket)


def _known(sums: sa.Subquery) -> Expression:
    """Return the bytes of several buckets as `known_sum` gives those of one."""
    has_objects = sa.func.sum(sums.c.objects) > 0
    return _whole(sa.case((has_objects, sa.func.sum(sums.c.bytes)), else_=0))


def _whole(number: Expression) -> Expression:
    return sa.cast(number, sa.BigInteger)


def buckets(connection: sa.Connection) -> Report:
    """Report each bucket, empty ones too; raises NotFoundError or NotPermittedError without the objects."""
    stored = Stored.here(connection)
    live = stored.live
    found = _by("bucket", stored)
    is_listed = live.has("storage.buckets", "id", "public") and live.readable("storage.buckets")
    notes = () if is_listed else ("storage.buckets cannot be read here: empty buckets are not shown",)
    source: sa.FromClause = found
    bucket: Expression = found.c.bucket
    public: Expression = sa.cast(sa.null(), sa.Boolean)
    if is_listed:
        own = bucket_table
        source = found.join(own, own.c.id == found.c.bucket, full=True)
        bucket, public = sa.func.coalesce(own.c.id, found.c.bucket), own.c.public
    return Report(
        sa.select(
            bucket.label("bucket"),
            kind_of(bucket).label("kind"),
            public.label("public"),
            *(_or_nothing(found, name) for name in _COUNTS),
            found.c.oldest,
            found.c.newest,
        ).select_from(source),
        (
            Column("bucket", Kind.ID, "its name"),
            Column("kind", Kind.TEXT, "of the files in it"),
            Column("public", Kind.BOOLEAN, "whether anybody may read it who knows the URL"),
            Column("objects", Kind.INTEGER, "how many files", total=True),
            Column("bytes", Kind.BYTES, "those of known size together", total=True),
            Column("unsized_objects", Kind.INTEGER, "files of unknown size", wide=True, total=True),
            Column("orphan_objects", Kind.INTEGER, "files that no row names", wide=True, total=True),
            Column("orphan_bytes", Kind.BYTES, "their bytes", total=True),
            Column("oldest", Kind.TIME, "when its first file came", wide=True, null="-"),
            Column("newest", Kind.TIME, "and its latest", wide=True, null="-"),
        ),
        sort="bucket",
        notes=(*stored.notes(connection), *notes),
    )


def _or_nothing(found: sa.Subquery, name: str) -> Expression:
    return sa.case((found.c.bucket.is_(None), 0), else_=found.c[name]).label(name)
