"""Which ledger of stored files serves here: that of the objects, or without rights on them what the tables tell."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from avatarlab_cli.errors import NotFoundError, UsageError
from avatarlab_cli.queries.objects import is_stored_here, objects_of
from avatarlab_cli.rollup.availability import STORAGE, demand_access
from avatarlab_cli.rollup.ledger import KIND_OF_BUCKET, KINDS, described, kind_of, ledger
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.names import Naming, namings_in
from avatarlab_cli.schema.base import TIME, qualified
from avatarlab_cli.schema.knowledge import avatar_knowledge_files
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.supabase import buckets, objects, users
from avatarlab_cli.schema.training import avatar_training_files
from avatarlab_cli.schema.voice import voice_samples

Expression = sa.ColumnElement[Any]

# The tables that hold sizes of their own, with the column that does.
_FILES = (
    (Naming("knowledge-base", avatar_knowledge_files.c.file_path, "uploaded_at", is_url=False), "file_size"),
    (Naming("training-files", avatar_training_files.c.file_path, "uploaded_at", is_url=False), "file_size"),
    (Naming("voice-samples", voice_samples.c.file_url), "file_size_bytes"),
)
KINDS_IN_TABLES = frozenset(KIND_OF_BUCKET[naming.bucket] for naming, _ in _FILES)
_BY_TABLES = (
    "storage.objects cannot be read here, so sizes are those in the tables: of documents and uploaded voice samples."
    " What images, videos, avatars and generated speech take is not known, nor are orphans."
)
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
            return (_BY_TABLES,)
        has_unsized = sa.select(sa.exists().where(described_bytes().is_(None)).select_from(objects))
        return (_UNSIZED,) if connection.scalar(has_unsized) else ()

    def ledger(self) -> sa.Subquery:
        """Return every file, with the columns of rollup.ledger; is_orphan and hash are NULL where the tables tell."""
        select = _in_tables(self.live) if self.namings is None else ledger(self.namings)
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


def unsized(size: Expression) -> Expression:
    """Return how many of the grouped files have no known size."""
    return sa.func.count() - sa.func.count(size)


def _in_tables(live: LiveSchema) -> sa.Select[Any]:
    """Select each file that a table tells the size of, once, however many rows name it."""
    found = [(n, size) for n, size in _FILES if live.has(qualified(n.table), *n.columns, size)]
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
