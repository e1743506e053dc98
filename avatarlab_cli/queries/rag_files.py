"""Knowledge files: how far they are processed, and whether the chunks they were cut into can be found."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import demand
from avatarlab_cli.queries.dividing import Counted, divided, labels
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.knowledge import avatar_knowledge_files, document_chunks
from avatarlab_cli.schema.supabase import users

DIMENSIONS = ("user", "avatar", "status", "error")
STATUSES = (("processed", "processed"), ("pending", "pending"), ("errors", "error"))
_NOT_TIMED = "when a file was processed is not recorded: how long it took cannot be told"
_BLANKS = " \t\r\n"
_OF_CHUNKS = ("chunks", "smallest", "median", "largest", "empty", "duplicated", "without_embedding")


def files(
    connection: sa.Connection, by: str, pending_before: datetime, user_id: UUID | None = None
) -> Report:
    """Report the files by processing status; those uploaded before that moment and still pending are stuck.

    Raises UsageError for an unknown dimension.
    """
    demand(by, DIMENSIONS, "files")
    platform = Platform(connection)
    own = platform[avatar_knowledge_files]
    status = own.c.processing_status
    counts: dict[str, Expression] = {
        name: sa.func.count().filter(status == value) for name, value in STATUSES
    }
    is_other = sa.func.coalesce(status, "").not_in([value for _, value in STATUSES])
    is_stuck = sa.and_(status == "pending", own.c.uploaded_at < pending_before)
    counts |= {
        "files": sa.func.count(),
        "other": sa.func.count().filter(is_other),
        "stuck": sa.func.count().filter(is_stuck),
        "with_message": sa.func.count(own.c.processing_error),
        "bytes": sa.func.coalesce(sa.func.sum(own.c.file_size), 0),
    }
    keys = {
        "user": own.c.user_id,
        "avatar": own.c.avatar_id,
        "status": status,
        "error": own.c.processing_error,
    }
    of_user = () if user_id is None else (own.c.user_id == user_id,)
    oldest = {"oldest_pending": sa.func.min(own.c.uploaded_at).filter(status == "pending")}
    figures = divided(platform, Counted(own, keys[by], of_user, counts, oldest))
    named = labels(platform, by, figures)
    columns = (
        Column("files", Kind.INTEGER, "knowledge files", total=True),
        Column("processed", Kind.INTEGER, "of which can be searched", total=True, wide=True),
        Column("pending", Kind.INTEGER, "not processed yet", total=True),
        Column("stuck", Kind.INTEGER, "of these, for too long", total=True),
        Column("errors", Kind.INTEGER, "whose processing failed", total=True),
        Column("other", Kind.INTEGER, "in no status the platform knows", total=True, wide=True),
        Column("with_message", Kind.INTEGER, "with an error message, which the app never writes", wide=True),
        Column("bytes", Kind.BYTES, "their size, as their rows say", total=True),
        Column("oldest_pending", Kind.TIME, "since when the oldest waits", null="-"),
    )
    return platform.report(
        sa.select(*named.select, *(figures.c[column.name] for column in columns)).select_from(named.rows),
        (*named.columns, *columns),
        sort=f"-stuck,-errors,-files,{by if by in {'status', 'error'} else f'{by}_id'}",
        notes=(_NOT_TIMED,),
        empty="There are no knowledge files.",
    )


def chunks(
    connection: sa.Connection,
    *,
    only_problems: bool = False,
    user_id: UUID | None = None,
    avatar_id: UUID | None = None,
) -> Report:
    """List the files with what they were cut into; those with a problem alone where that is wanted."""
    platform = Platform(connection)
    own = platform[avatar_knowledge_files]
    mine = [
        *([] if user_id is None else [own.c.user_id == user_id]),
        *([] if avatar_id is None else [own.c.avatar_id == avatar_id]),
    ]
    cut = _cut(platform, *([sa.select(own.c.id).where(*mine)] if mine else []))
    avatar, owner = platform[avatars], platform[users]
    piece = platform[document_chunks]
    joined = (piece.c.id, piece.c.knowledge_file_id, own.c.id)
    zero = platform.known(sa.literal_column("0", sa.BigInteger), *joined)
    counts: dict[str, Expression] = {
        name: sa.case((cut.c.key.is_(None), zero), else_=cut.c[name]).label(name)
        if name in {"chunks", "empty", "duplicated", "without_embedding"}
        else cut.c[name]
        for name in _OF_CHUNKS
    }
    problems = _problems(counts)
    rows = (
        own.join(cut, cut.c.key == own.c.id, full=True)
        .outerjoin(avatar, avatar.c.id == own.c.avatar_id)
        .outerjoin(owner, owner.c.id == own.c.user_id)
    )
    conditions = [
        *([problems != ""] if only_problems else []),
        *mine,
    ]
    select = sa.select(
        sa.func.coalesce(own.c.id, cut.c.key).label("file_id"),
        own.c.original_name.label("file"),
        avatar.c.name.label("avatar"),
        own.c.avatar_id,
        owner.c.email,
        own.c.processing_status.label("status"),
        *counts.values(),
        sa.func.nullif(problems, "").label("problems"),
    )
    return platform.report(
        select.select_from(rows).where(*conditions),
        (*_CHUNK_COLUMNS, platform.nothing(problems, _PROBLEMS)),
        sort="-without_embedding,-duplicated,-empty,chunks,file_id",
        empty="No file has a problem." if only_problems else "There are no knowledge files.",
    )


def _cut(platform: Platform, *of_files: sa.Select[Any]) -> sa.FromClause:
    """Return what is told of each file's chunks, of all or some files.

    Their embeddings are looked at only for whether they are there.
    """
    own = platform[document_chunks]
    text = own.c.chunk_text
    size = sa.func.length(text)
    # All of a text is looked at only where its beginning is blank.
    is_empty = sa.and_(*(sa.func.btrim(part, _BLANKS) == "" for part in (sa.func.left(text, 64), text)))
    median = sa.cast(sa.func.percentile_cont(0.5).within_group(size), sa.Numeric)
    return divided(
        platform,
        Counted(
            own,
            own.c.knowledge_file_id,
            tuple(own.c.knowledge_file_id.in_(some) for some in of_files),
            {
                "chunks": sa.func.count(),
                "empty": sa.func.count().filter(is_empty),
                "duplicated": sa.func.count(text) - sa.func.count(sa.func.md5(text).distinct()),
                "without_embedding": sa.func.count().filter(own.c.embedding.is_(None)),
            },
            {
                "smallest": sa.func.min(size),
                "median": sa.func.trim_scale(median),
                "largest": sa.func.max(size),
            },
        ),
    )


def _problems(counts: dict[str, Expression]) -> Expression:
    """Return what is wrong with a file in words, an empty text where nothing is."""
    said = (
        (counts[name] > 0, sa.func.concat(counts[name], f" {word}"))
        for name, word in (
            ("empty", "empty"),
            ("duplicated", "duplicated"),
            ("without_embedding", "without embedding"),
        )
    )
    return sa.func.concat_ws(
        ", ", sa.case((counts["chunks"] == 0, "no chunk")), *(sa.case(each) for each in said)
    )


_CHUNK_COLUMNS = (
    Column("file_id", Kind.ID, "the file", wide=True),
    Column("file", Kind.TEXT, "its name when it was uploaded"),
    Column("avatar", Kind.TEXT, "the avatar that knows it", wide=True),
    Column("avatar_id", Kind.ID, "its UUID", wide=True),
    Column("email", Kind.TEXT, "whose it is", wide=True, null="-"),
    Column("status", Kind.TEXT, "pending, processed or error"),
    Column("chunks", Kind.INTEGER, "how many there are", total=True),
    Column("smallest", Kind.INTEGER, "characters of the shortest", wide=True, null="-"),
    Column("median", Kind.DECIMAL, "characters of the one in the middle", null="-"),
    Column("largest", Kind.INTEGER, "characters of the longest", wide=True, null="-"),
    Column("empty", Kind.INTEGER, "chunks of blanks alone", total=True, wide=True),
    Column(
        "duplicated", Kind.INTEGER, "chunks whose text another of the file has already", total=True, wide=True
    ),
    Column("without_embedding", Kind.INTEGER, "chunks no search can find", total=True, wide=True),
)
_PROBLEMS = Column("problems", Kind.TEXT, "what is wrong with them", null="-")
