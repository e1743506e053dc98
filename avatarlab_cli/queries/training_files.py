"""The files that were uploaded for training: how they were processed, and what they take, each file once."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries import grouping
from avatarlab_cli.queries.dimensions import USER, period, plain
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.queries.statuses import demand_status
from avatarlab_cli.queries.training_jobs import rate
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.training import avatar_training_files

PROCESSED, FAILED = "completed", "failed"
STATUSES = ("pending", "processing", PROCESSED, FAILED)
DIMENSIONS = {
    "status": plain("status", "how far its processing is"),
    "type": plain("type", "the type of the content"),
    "user": USER,
    "day": plain("day", "when they were uploaded, UTC", Kind.DATE),
}
NO_REASON = (
    "why a file failed is not recorded with it: `avatarlab training errors` shows what sessions logged"
)


def bytes_once(platform: Platform) -> Expression:
    """Return a row's size if it is the first to name its file, else NULL."""
    own = platform[avatar_training_files].c
    number = sa.func.row_number().over(
        partition_by=own.file_path, order_by=(own.uploaded_at.nulls_last(), own.id)
    )
    return sa.case((number == 1, own.file_size))


def known_bytes(platform: Platform, each: sa.FromClause) -> Expression:
    """Return the sum of `bytes_once` over rows that carry it as `bytes`; NULL where it cannot be told."""
    total = sa.func.coalesce(sa.func.sum(each.c.bytes), 0)
    return platform.known(sa.cast(total, sa.BigInteger), bytes_once(platform))


def files(connection: sa.Connection, by: str, user: UUID | None = None) -> Report:
    """Report how many files were uploaded and what became of them, of one user or all, by one of DIMENSIONS."""
    platform = Platform(connection)
    own = platform[avatar_training_files].c
    day = period(own.uploaded_at, "day")
    key = {"status": own.processing_status, "type": own.content_type, "user": own.user_id, "day": day}[by]
    each = (
        sa.select(
            *([] if by == "user" else [key.label("key")]),
            own.user_id,
            own.processing_status.label("status"),
            bytes_once(platform).label("bytes"),
            sa.extract("epoch", own.processed_at - own.uploaded_at).label("seconds"),
        )
        .where(*([own.user_id == user] if user else []))
        .subquery("each_file")
    )
    group = each.c.user_id if by == "user" else each.c.key
    figures = _figures(platform, each, group)
    grouped = sa.select(group.label("key"), *figures).group_by(group).subquery("grouped")
    groups, source = DIMENSIONS[by].shown(platform, grouped)
    return platform.report(
        sa.select(*groups, *(column for column in grouped.c if column.name != "key")).select_from(source),
        (
            *DIMENSIONS[by].columns,
            Column("uploads", Kind.INTEGER, "files uploaded", total=True),
            Column("users", Kind.INTEGER, "by how many users"),
            Column("bytes", Kind.BYTES, "what they take, each file once", total=True),
            Column("processed", Kind.INTEGER, "of them", total=True),
            Column("failed", Kind.INTEGER, "of them", total=True),
            Column("success_rate", Kind.PERCENT, "processed, of those processed or failed", null="-"),
            Column(
                "average_seconds", Kind.DECIMAL, "from upload to the end of processing", wide=True, null="-"
            ),
        ),
        sort="day" if by == "day" else f"-uploads,{DIMENSIONS[by].columns[0].name}",
        notes=(NO_REASON,),
        empty="No file was uploaded.",
    )


def _figures(platform: Platform, each: sa.Subquery, key: Expression) -> list[sa.Label[Any]]:
    own = platform[avatar_training_files].c
    processed, failed = (
        platform.known(sa.func.count().filter(each.c.status == status), own.processing_status)
        for status in (PROCESSED, FAILED)
    )
    return [
        sa.func.count().label("uploads"),
        platform.known(grouping.distinct(each.c.user_id, key), own.user_id).label("users"),
        known_bytes(platform, each).label("bytes"),
        processed.label("processed"),
        failed.label("failed"),
        platform.known(rate(processed, failed), own.processing_status).label("success_rate"),
        platform.average(each.c.seconds).label("average_seconds"),
    ]


def uploads(connection: sa.Connection, *, status: str | None = None, user: UUID | None = None) -> Report:
    """Report each uploaded file, of a status or user if one is given; raises UsageError for a status there is not."""
    platform = Platform(connection)
    file = platform[avatar_training_files]
    own = file.c
    demand_status(connection, status, STATUSES, own.processing_status)
    wanted = [own.processing_status == status] if status is not None else []
    wanted += [own.user_id == user] if user is not None else []
    whose, source = USER.shown(platform, file, "user_id")
    return platform.report(
        sa.select(
            own.id,
            own.original_name.label("name"),
            *whose,
            own.training_data_id.label("run"),
            own.processing_status.label("status"),
            own.content_type.label("type"),
            own.file_size.label("bytes"),
            sa.extract("epoch", own.processed_at - own.uploaded_at).label("seconds"),
            own.uploaded_at,
        )
        .select_from(source)
        .where(*wanted),
        (
            Column("id", Kind.ID, "the upload", wide=True),
            Column("name", Kind.TEXT, "as its user calls it"),
            *USER.columns,
            Column("run", Kind.TEXT, "the session it was uploaded for", wide=True),
            Column("status", Kind.TEXT, "how far its processing is"),
            Column("type", Kind.TEXT, "the type of the content", wide=True),
            Column("bytes", Kind.BYTES, "its size"),
            Column("seconds", Kind.DECIMAL, "from upload to the end of processing", null="-"),
            Column("uploaded_at", Kind.TIME, "when it came"),
        ),
        sort="-uploaded_at,id",
        notes=(NO_REASON,),
        empty="There are no such files.",
    )
