"""Which ledger of stored files serves here: that of the objects, or without rights on them what the tables tell."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from avatarlab_cli.errors import NotFoundError, UsageError
from avatarlab_cli.queries.objects import is_stored_here, objects_of
from avatarlab_cli.rollup.availability import STORAGE, demand_access
from avatarlab_cli.rollup.ledger import KIND_OF_BUCKET, KINDS, described, kind_of, ledger, unclear
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.names import Naming, namings_in
from avatarlab_cli.schema.base import TIME, qualified
from avatarlab_cli.schema.knowledge import avatar_knowledge_files
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.supabase import buckets, objects, users
from avatarlab_cli.schema.training import avatar_training_files
from avatarlab_cli.schema.voice import voice_samples

Expression = sa.ColumnElement[Any]


@dataclass(frozen=True)
class _Sized:
    """A table that holds the sizes of the files it names, in the column `size`."""

    files: str
    naming: Naming
    size: str

    @property
    def kind(self) -> str:
        """The kind of the files."""
        return KIND_OF_BUCKET[self.naming.bucket]

    def missing(self, live: LiveSchema) -> str | None:
        """Return the table, or the first of its columns, that is not there."""
        table = qualified(self.naming.table)
        if not live.has(table):
            return table
        columns = (*self.naming.columns, self.size)
        return next((f"{table}.{column}" for column in columns if not live.has(table, column)), None)


_SIZED = (
    _Sized(
        "knowledge files",
        Naming("knowledge-base", avatar_knowledge_files.c.file_path, "uploaded_at", is_url=False),
        "file_size",
    ),
    _Sized(
        "training files",
        Naming("training-files", avatar_training_files.c.file_path, "uploaded_at", is_url=False),
        "file_size",
    ),
    _Sized("uploaded voice samples", Naming("voice-samples", voice_samples.c.file_url), "file_size_bytes"),
)
# No table holds the sizes of the speech among them.
_NEVER_WHOLE = frozenset({"voice"})
_BY_TABLES = "storage.objects cannot be read here, so sizes are those in the tables, of {}: all else is not known, nor are orphans"
_LACKING = "what {} take is not known either: {} is missing"
_UNSIZED = (
    "some objects have no stored size: their bytes are not known and in no sum; unsized_objects counts them"
)


@dataclass(frozen=True)
class Stored:
    """What is known of stored files; without rights on the objects `namings` is None and the tables tell."""

    live: LiveSchema
    namings: tuple[Naming, ...] | None

    @classmethod
    def here(cls, connection: sa.Connection) -> "Stored":
        """Return it for this database and login; raises NotPermittedError where a table that names objects is closed."""
        live = probe(connection)
        return cls(live, tuple(namings_in(live)) if is_stored_here(live) else None)

    def notes(self, connection: sa.Connection) -> tuple[str, ...]:
        """Return what is to be said of sums of bytes."""
        if self.namings is None:
            return _table_notes(self.live)
        has_unsized = sa.select(sa.exists().where(described_bytes().is_(None)).select_from(objects))
        is_partial = connection.scalar(has_unsized)
        return (*((_UNSIZED,) if is_partial else ()), *self.unclear_notes(connection))

    def unclear_notes(self, connection: sa.Connection) -> tuple[str, ...]:
        """Return for each bucket with objects of which nobody can tell what is an orphan, why that is."""
        why = unclear(self.live)
        if self.namings is None or not why:
            return ()
        bucket = sa.column("bucket", sa.Text)
        asked = sa.values(bucket, name="asked").data([(name,) for name in why])
        has_objects = sa.exists().where(objects.c.bucket_id == asked.c.bucket)
        found = connection.scalars(sa.select(asked.c.bucket).where(has_objects).order_by(asked.c.bucket))
        return tuple(
            f"{why[name]} is missing, so which objects of {name} no row names is not known" for name in found
        )

    def known_kinds(self) -> frozenset[str]:
        """Return the kinds of which at least some files are told."""
        if self.namings is not None:
            return frozenset(KINDS)
        return frozenset(sized.kind for sized in _SIZED if not sized.missing(self.live))

    def whole_kinds(self) -> frozenset[str]:
        """Return the kinds of which every file is told."""
        if self.namings is not None:
            return frozenset(KINDS)
        partial = {sized.kind for sized in _SIZED if sized.missing(self.live)}
        return self.known_kinds() - partial - _NEVER_WHOLE

    def nothing(self, whose: str = "") -> str:
        """Return what is to be said where there is no file, of a user if one is named."""
        if self.namings is not None:
            return f"{whose} stores nothing." if whose else "Nothing is stored."
        return f"The tables that tell sizes name no file{f' of {whose}' if whose else ''}."

    def ledger(self) -> sa.Subquery:
        """Return every file, with the columns of rollup.ledger; is_orphan and hash are NULL where the tables tell."""
        select = _in_tables(self.live) if self.namings is None else ledger(self.live)
        return select.subquery("ledger")

    def demand_objects(self) -> tuple[Naming, ...]:
        """Return the columns that name objects, for what only the objects themselves can answer.

        Raises NotFoundError where there are none, NotPermittedError where the login may not read all of them.
        """
        if self.namings is not None:
            return self.namings
        demand_access(self.live, [STORAGE])
        raise NotFoundError(
            f"there is no {STORAGE} in this database", hint="only the objects themselves answer this"
        )

    def of_user(self, user: UUID) -> sa.Subquery:
        """Return the files of one user."""
        if self.namings is not None:
            return objects_of(self.live, [user]).subquery("ledger")
        each = _in_tables(self.live).subquery("each_file")
        return sa.select(each).where(each.c.user_id == user).subquery("ledger")


def demand_bucket(connection: sa.Connection, live: LiveSchema, name: str) -> None:
    """Raise NotFoundError unless there is, or may be, a bucket of this name."""
    known = set(KIND_OF_BUCKET)
    if live.readable("storage.buckets"):
        known |= set(connection.scalars(sa.select(buckets.c.id)))
    if name not in known:
        raise NotFoundError(f"there is no bucket {name!r}", hint=f"buckets: {', '.join(sorted(known))}")


def demand_clear(live: LiveSchema, bucket: str) -> None:
    """Raise NotFoundError where nobody can tell which objects of the bucket are orphans."""
    if missing := unclear(live).get(bucket):
        raise NotFoundError(
            f"{missing} is missing, so which objects of {bucket} no row names is not known",
            hint="what it named may be in use under another name; look before you delete anything",
        )


def demand_kind(name: str) -> None:
    """Raise UsageError unless it is a kind of files."""
    if name not in KINDS:
        raise UsageError(f"{name!r} is not a kind of files", hint=f"kinds: {', '.join(KINDS)}")


def described_bytes() -> Expression:
    """Return the size of the object of storage.objects that is looked at."""
    return next(column.element for column in described() if column.name == "bytes")


def known_sum(size: Expression, where: Expression | None = None) -> Expression:
    """Return the bytes of the grouped files: 0 for none, NULL where there are some and no size is known."""
    count, total = sa.func.count(), sa.func.sum(size)
    if where is not None:
        count, total = count.filter(where), total.filter(where)  # type: ignore[assignment]  # still aggregates
    return sa.cast(sa.case((count > 0, total), else_=0), sa.BigInteger)


def orphan_figures(each: sa.Subquery) -> tuple[Expression, Expression]:
    """Return how many of the grouped files are orphans, and their bytes; NULL where that is not known of one of them."""
    is_told = sa.func.count(each.c.is_orphan) == sa.func.count()
    count = sa.func.count().filter(each.c.is_orphan)
    return sa.case((is_told, count)), sa.case((is_told, known_sum(each.c.bytes, each.c.is_orphan)))


def unsized(size: Expression) -> Expression:
    """Return how many of the grouped files have no known size."""
    return sa.func.count() - sa.func.count(size)


def _table_notes(live: LiveSchema) -> tuple[str, ...]:
    missing = {sized.files: sized.missing(live) for sized in _SIZED}
    told = [files for files, lack in missing.items() if not lack]
    lacking = tuple(_LACKING.format(files, lack) for files, lack in missing.items() if lack)
    return (_BY_TABLES.format(", ".join(told)), *lacking)


def _in_tables(live: LiveSchema) -> sa.Select[Any]:
    """Select each file that a table tells the size of, once, however many rows name it."""
    found = [(sized.naming, sized.size) for sized in _SIZED if not sized.missing(live)]
    if not found:
        raise NotFoundError(f"neither {STORAGE} nor a table with sizes of files is there to be read")
    demand_access(live, {qualified(naming.table) for naming, _ in found})
    rows = sa.union_all(*(_rows(naming, size) for naming, size in found)).subquery("file_rows")
    owners = sa.func.array_agg(
        postgresql.aggregate_order_by(rows.c.owner, rows.c.since.nulls_last(), rows.c.owner)
    )
    files = (
        sa.select(
            rows.c.bucket,
            rows.c.key,
            sa.cast(owners, sa.ARRAY(sa.Uuid)).label("owners"),
            sa.func.max(rows.c.bytes).label("bytes"),
            sa.func.min(rows.c.since).label("created_at"),
        )
        .group_by(rows.c.bucket, rows.c.key)
        .subquery("files")
    )
    return sa.select(
        sa.cast(sa.null(), sa.Uuid).label("id"),
        sa.func.coalesce(users.c.id, UNATTRIBUTED).label("user_id"),
        kind_of(files.c.bucket).label("kind"),
        files.c.bucket,
        files.c.key,
        sa.cast(files.c.bytes, sa.BigInteger).label("bytes"),
        sa.cast(sa.null(), sa.Text).label("hash"),
        sa.cast(files.c.created_at, TIME).label("created_at"),
        sa.cast(sa.null(), sa.Boolean).label("is_orphan"),
    ).select_from(files.outerjoin(users, users.c.id == files.c.owners[1]))


def _rows(naming: Naming, size: str) -> sa.Select[Any]:
    own = naming.table.c
    key: Expression = sa.cast(naming.column, sa.Text)
    wanted: Expression = key != ""
    if naming.is_url:
        folder = f"/{naming.bucket}/"
        wanted = sa.and_(key.not_like("data:%"), sa.func.strpos(key, folder) > 0)
        after = sa.func.substr(key, sa.func.strpos(key, folder) + len(folder))
        key = sa.func.split_part(after, "?", 1)
    return sa.select(
        sa.literal(naming.bucket).label("bucket"),
        key.label("key"),
        own[str(naming.owner)].label("owner"),
        own[str(naming.since)].label("since"),
        own[size].label("bytes"),
    ).where(wanted)
