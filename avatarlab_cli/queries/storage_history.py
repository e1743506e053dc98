"""What was stored day by day, from the snapshots that the jobs took."""

from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.ledger import KIND_OF_BUCKET, KINDS
from avatarlab_cli.schema.private import storage_daily

GROUPS = ("kind", "bucket")
Expression = sa.ColumnElement[Any]


def growth(connection: sa.Connection, first: date, last: date, by: str | None = None) -> Report:
    """Report the bytes of each day from `first` to `last`, in all or by kind or bucket; raises UsageError.

    A day without a snapshot has no figures.
    """
    if by is not None and by not in GROUPS:
        raise UsageError(f"nothing grows by {by!r}", hint=f"by: {', '.join(GROUPS)}")
    own, days = storage_daily, _days(first - timedelta(days=1), last)
    taken = _taken(first - timedelta(days=1), last)
    group = sa.literal("") if by is None else own.c[by]
    sums = (
        sa.select(
            own.c.day,
            group.label("name"),
            sa.func.sum(own.c.bytes).label("bytes"),
            sa.func.sum(own.c.objects).label("objects"),
        )
        .where(own.c.day.between(first - timedelta(days=1), last))
        .group_by(own.c.day, group)
        .subquery("sums")
    )
    names = _names(first - timedelta(days=1), last, by)
    grid = days.join(names, sa.true()).outerjoin(taken, taken.c.day == days.c.day)
    grid = grid.outerjoin(sums, sa.and_(sums.c.day == days.c.day, sums.c.name == names.c.name))
    # A day that was taken holds 0 of what it has no row of.
    figure = {
        name: sa.cast(sa.case((taken.c.day.is_not(None), sa.func.coalesce(sums.c[name], 0))), sa.BigInteger)
        for name in ("bytes", "objects")
    }
    before = sa.func.lag(figure["bytes"]).over(partition_by=names.c.name, order_by=days.c.day)
    rows = (
        sa.select(
            days.c.day,
            *([names.c.name.label(by)] if by else []),
            figure["bytes"].label("bytes"),
            (figure["bytes"] - before).label("change"),
            figure["objects"].label("objects"),
            taken.c.is_interpolated,
        )
        .select_from(grid)
        .subquery("growth")
    )
    groups = (Column(by, Kind.TEXT, f"the {by} of the files"),) if by else ()
    return Report(
        sa.select(rows).where(rows.c.day >= first),
        (
            Column("day", Kind.DATE, "the day, UTC"),
            *groups,
            Column("bytes", Kind.BYTES, "stored at the day's end, or now"),
            Column("change", Kind.BYTES, "since the day before"),
            Column("objects", Kind.INTEGER, "how many files"),
            Column("is_interpolated", Kind.BOOLEAN, "whether it was told from the days around"),
        ),
        sort=f"day,{by}" if by else "day",
        notes=_notes(connection, first, last),
    )


def _notes(connection: sa.Connection, first: date, last: date) -> tuple[str, ...]:
    taken = _taken(first, last)
    lacking = (last - first).days + 1 - (connection.scalar(sa.select(sa.func.count(taken.c.day))) or 0)
    if not lacking:
        return ()
    return (f"without a snapshot: {lacking} of the days; each run of the jobs takes that of its day",)


def _days(first: date, last: date) -> sa.Subquery:
    series = sa.func.generate_series(first, last, sa.text("interval '1 day'")).column_valued("series")
    return sa.select(sa.cast(series, sa.Date).label("day")).subquery("days")


def _taken(first: date, last: date) -> sa.Subquery:
    own = storage_daily
    return (
        sa.select(own.c.day, sa.func.bool_or(own.c.is_interpolated).label("is_interpolated"))
        .where(own.c.day.between(first, last))
        .group_by(own.c.day)
        .subquery("taken")
    )


def _names(first: date, last: date, by: str | None) -> sa.Subquery:
    """Return what there is a row of for each day: every kind, or each bucket that is known or was seen.

    An empty name stands for the objects in no bucket, if there were any.
    """
    known = {None: ("",), "kind": KINDS, "bucket": tuple(KIND_OF_BUCKET)}[by]
    name = sa.column("name", sa.Text)
    values = sa.values(name, name="known").data([(each,) for each in known])
    rows: sa.Select[Any] | sa.CompoundSelect[Any] = sa.select(values.c.name)
    if by == "bucket":
        own = storage_daily
        # Each day's marker is a row without a bucket too.
        is_seen = sa.or_(own.c.bucket != "", own.c.objects > 0)
        seen = sa.select(own.c.bucket).where(own.c.day.between(first, last), is_seen)
        rows = sa.union(rows, seen)
    return rows.subquery("names")
