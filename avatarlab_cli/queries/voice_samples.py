"""The recordings voices are made from, each file once: its row is written at the upload, and again with the clone."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from avatarlab_cli.queries.dimensions import USER, period, plain
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.voice import voice_samples

TWICE = "a recording has a row of its upload and one more of each clone made from it: it counts once"
IN_CLONE, UNUSED = "in a clone", "without clone"
DIMENSIONS = {
    "use": plain("use", f"{IN_CLONE}, or {UNUSED}"),
    "user": USER,
    "day": plain("day", "when they were uploaded, UTC", Kind.DATE),
}


def files(platform: Platform, *by: Expression) -> sa.Subquery:
    """Return each recording once, or once for each value of `by`; what its rows tell differently, the first tells.

    Columns: those of `by`, file_url, id, user_id, filename, rows, bytes, seconds, uploaded_at and is_used (a row of it
    names a clone). Of the sizes and lengths the largest counts.
    """
    own = platform[voice_samples].c
    order = own.created_at.nulls_last(), own.id

    def first(column: Any) -> sa.Label[Any]:  # noqa: ANN401 (a column)
        ordered = postgresql.aggregate_order_by(column, *order)
        told: Expression = sa.func.array_agg(ordered, type_=postgresql.ARRAY(column.type))[1]
        return told.label(column.name)

    return (
        sa.select(
            *by,
            own.file_url,
            *map(first, (own.id, own.user_id, own.filename)),
            sa.func.count().label("rows"),
            sa.func.max(own.file_size_bytes).label("bytes"),
            sa.func.max(own.duration_seconds).label("seconds"),
            sa.func.min(own.created_at).label("uploaded_at"),
            sa.type_coerce(sa.func.bool_or(own.voice_clone_id.is_not(None)), sa.Boolean).label("is_used"),
        )
        .group_by(*by, own.file_url)
        .subquery("files")
    )


def samples(connection: sa.Connection, by: str, user: UUID | None = None) -> Report:
    """Report how many recordings there are and what they take, of one user or all, divided by one of DIMENSIONS."""
    platform = Platform(connection)
    own, file = platform[voice_samples].c, files(platform)
    keys = {
        "use": platform.known(
            sa.case((file.c.is_used, sa.literal(IN_CLONE)), else_=sa.literal(UNUSED)), own.voice_clone_id
        ),
        "user": file.c.user_id,
        "day": period(file.c.uploaded_at, "day"),
    }
    grouped = (
        sa.select(keys[by].label("key"), *_figures(platform, file))
        .where(*([file.c.user_id == user] if user else []))
        .group_by(keys[by])
        .subquery("grouped")
    )
    groups, source = DIMENSIONS[by].shown(platform, grouped)
    figures = [column for column in grouped.c if column.name != "key"]
    return platform.report(
        sa.select(*groups, *figures).select_from(source),
        (*DIMENSIONS[by].columns, *_FIGURES),
        sort="day" if by == "day" else f"-files,{DIMENSIONS[by].columns[0].name}",
        notes=(TWICE,),
        empty="There are no recordings.",
    )


def _figures(platform: Platform, file: sa.Subquery) -> list[sa.Label[Any]]:
    own, size = platform[voice_samples].c, file.c.bytes
    return [
        platform.known(sa.func.count(), own.file_url).label("files"),
        platform.known(sa.cast(sa.func.sum(file.c.rows), sa.BigInteger), own.file_url).label("rows"),
        platform.known(sa.cast(sa.func.sum(size), sa.BigInteger), own.file_url).label("bytes"),
        platform.known(sa.func.count() - sa.func.count(size), own.file_url, own.file_size_bytes).label(
            "unsized_files"
        ),
        sa.func.sum(file.c.seconds).label("audio_seconds"),
        sa.func.min(file.c.uploaded_at).label("oldest"),
        sa.func.max(file.c.uploaded_at).label("newest"),
    ]


_FIGURES = (
    Column("files", Kind.INTEGER, "recordings", total=True),
    Column("rows", Kind.INTEGER, "rows that name them", wide=True, total=True),
    Column("bytes", Kind.BYTES, "those of known size together", total=True),
    Column("unsized_files", Kind.INTEGER, "recordings of unknown size", total=True),
    Column("audio_seconds", Kind.DECIMAL, "how long those of known length are", total=True),
    Column("oldest", Kind.TIME, "the first upload", wide=True),
    Column("newest", Kind.TIME, "the latest upload"),
)


def recordings(connection: sa.Connection, *, unused: bool = False, user: UUID | None = None) -> Report:
    """Report each recording, of one user or all; only those no clone was made from, if asked."""
    platform = Platform(connection)
    own, file = platform[voice_samples].c, files(platform)
    # Without the column that would tell it, nobody knows which are unused.
    wanted = [platform.known(sa.not_(file.c.is_used), own.voice_clone_id)] if unused else []
    wanted += [file.c.user_id == user] if user else []
    whose, source = USER.shown(platform, file, "user_id")
    return platform.report(
        sa.select(
            file.c.id,
            file.c.filename,
            *whose,
            platform.known(file.c.is_used, own.voice_clone_id).label("is_used"),
            file.c.bytes,
            file.c.seconds.label("audio_seconds"),
            file.c.rows,
            file.c.uploaded_at,
        )
        .select_from(source)
        .where(*wanted),
        (
            Column("id", Kind.ID, "the first row that names it", wide=True),
            Column("filename", Kind.TEXT, "as it was called"),
            *USER.columns,
            Column("is_used", Kind.BOOLEAN, "whether a clone was made from it"),
            Column("bytes", Kind.BYTES, "its size", total=True),
            Column("audio_seconds", Kind.DECIMAL, "how long it is"),
            Column("rows", Kind.INTEGER, "rows that name it", wide=True),
            Column("uploaded_at", Kind.TIME, "when it came"),
        ),
        sort="-uploaded_at,id",
        notes=(TWICE,),
        empty="There are no such recordings.",
    )
