"""Reports on what users store."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.storage import share
from avatarlab_cli.queries.storage_ledger import Stored, known_sum, orphan_figures, unsized
from avatarlab_cli.queries.usage import NOBODY
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema.private import storage_daily
from avatarlab_cli.schema.supabase import users as accounts

Expression = sa.ColumnElement[Any]


def users(connection: sa.Connection, before: date) -> Report:
    """Report who stores how much, what belongs to nobody, and how that has grown since the day `before`."""
    stored = Stored.here(connection)
    now = _now(stored)
    then = _snapshot(before)
    is_taken = stored.namings is not None and _is_taken(connection, before)
    owner = sa.func.coalesce(now.c.user_id, then.c.user_id)
    own = sa.case((now.c.user_id.is_(None), 0), else_=now.c.bytes)
    orphans = sa.case((now.c.user_id.is_(None), 0), else_=now.c.orphan_bytes)
    growth = own - sa.func.coalesce(then.c.bytes, 0) if is_taken else sa.cast(sa.null(), sa.BigInteger)
    rows = (
        sa.select(
            owner.label("user_id"),
            own.label("bytes"),
            sa.func.coalesce(now.c.objects, 0).label("objects"),
            sa.func.coalesce(now.c.unsized_objects, 0).label("unsized_objects"),
            orphans.label("orphan_bytes"),
            growth.label("growth"),
        )
        .select_from(now.join(then, then.c.user_id == now.c.user_id, full=True))
        .where(
            sa.or_(now.c.user_id.is_not(None), then.c.bytes > 0) if is_taken else now.c.user_id.is_not(None)
        )
        .subquery("rows")
    )
    is_user = rows.c.user_id != UNATTRIBUTED
    rank = sa.func.rank().over(partition_by=is_user, order_by=rows.c.bytes.desc().nulls_last())
    return Report(
        sa.select(
            sa.case((is_user, rank)).label("rank"),
            sa.case((is_user, rows.c.user_id)).label("user_id"),
            sa.case((is_user, accounts.c.email), else_=NOBODY).label("email"),
            rows.c.bytes,
            share(rows.c.bytes).label("share"),
            rows.c.objects,
            rows.c.unsized_objects,
            rows.c.orphan_bytes,
            rows.c.growth,
        ).select_from(rows.outerjoin(accounts, accounts.c.id == rows.c.user_id)),
        (
            Column("rank", Kind.INTEGER, "1 for the most; none for what belongs to nobody", null="-"),
            Column("user_id", Kind.ID, "the user; NULL for what belongs to nobody", wide=True, null="-"),
            Column("email", Kind.TEXT, "the user's e-mail address", null="-"),
            Column("bytes", Kind.BYTES, "files of known size together", total=True),
            Column("share", Kind.PERCENT, "of what all rows have together"),
            Column("objects", Kind.INTEGER, "how many files", total=True),
            Column("unsized_objects", Kind.INTEGER, "files of unknown size", wide=True, total=True),
            Column("orphan_bytes", Kind.BYTES, "files that no row names", total=True),
            Column("growth", Kind.BYTES, f"bytes more than at the end of {before}", total=True),
        ),
        sort="rank,email",
        notes=(
            *stored.notes(connection),
            *_growth_notes(connection, before, is_taken=is_taken, stored=stored),
        ),
        empty=stored.nothing(),
    )


def _now(stored: Stored) -> sa.Subquery:
    each = stored.ledger()
    _, orphan_bytes = orphan_figures(each)
    return (
        sa.select(
            each.c.user_id,
            known_sum(each.c.bytes).label("bytes"),
            sa.func.count().label("objects"),
            unsized(each.c.bytes).label("unsized_objects"),
            orphan_bytes.label("orphan_bytes"),
        )
        .group_by(each.c.user_id)
        .subquery("now")
    )


def _snapshot(day: date) -> sa.Subquery:
    own = storage_daily
    return (
        sa.select(own.c.user_id, sa.cast(sa.func.sum(own.c.bytes), sa.BigInteger).label("bytes"))
        .where(own.c.day == day)
        .group_by(own.c.user_id)
        .subquery("then")
    )


def _is_taken(connection: sa.Connection, day: date) -> bool:
    return bool(connection.scalar(sa.select(sa.exists().where(storage_daily.c.day == day))))


def _growth_notes(connection: sa.Connection, day: date, *, is_taken: bool, stored: Stored) -> tuple[str, ...]:
    if stored.namings is None:
        return ("growth is not known: snapshots count more than these tables tell",)
    if not is_taken:
        return (f"growth is not known: there is no snapshot of {day}; the jobs take one a day",)
    own = storage_daily
    is_interpolated = sa.select(sa.exists().where(own.c.day == day, own.c.is_interpolated))
    return (f"the snapshot of {day} is interpolated",) if connection.scalar(is_interpolated) else ()


def user(connection: sa.Connection, who: UserName) -> Report:
    """Report what one user stores, by kind and bucket."""
    stored = Stored.here(connection)
    each = stored.of_user(who.id)
    orphan_objects, orphan_bytes = orphan_figures(each)
    return Report(
        sa.select(
            each.c.kind,
            each.c.bucket,
            sa.func.count().label("objects"),
            known_sum(each.c.bytes).label("bytes"),
            unsized(each.c.bytes).label("unsized_objects"),
            orphan_objects.label("orphan_objects"),
            orphan_bytes.label("orphan_bytes"),
            sa.func.min(each.c.created_at).label("oldest"),
            sa.func.max(each.c.created_at).label("newest"),
        ).group_by(each.c.kind, each.c.bucket),
        (
            Column("kind", Kind.TEXT, "of the files"),
            Column("bucket", Kind.ID, "where they are"),
            Column("objects", Kind.INTEGER, "how many", total=True),
            Column("bytes", Kind.BYTES, "those of known size together", total=True),
            Column("unsized_objects", Kind.INTEGER, "files of unknown size", total=True),
            Column("orphan_objects", Kind.INTEGER, "files that no row names", total=True),
            Column("orphan_bytes", Kind.BYTES, "their bytes", wide=True, total=True),
            Column("oldest", Kind.TIME, "when the first file came", wide=True, null="-"),
            Column("newest", Kind.TIME, "and the latest", null="-"),
        ),
        sort="kind,bucket",
        notes=stored.notes(connection) if stored.namings is None else stored.unclear_notes(connection),
        empty=stored.nothing(who.email or str(who.id)),
    )
