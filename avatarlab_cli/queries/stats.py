"""Reports on platform_statistics."""

from datetime import date, datetime

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.admin import platform_statistics

_UNSHOWN = frozenset({"id", "created_at", "updated_at"})
_MONEY = frozenset({"mrr", "arr", "revenue_today", "estimated_cost_today"})
_NEVER = "No statistics are stored for that day; `avatarlab job run platform-statistics` computes them."


def kind_of(column: sa.Column[object]) -> Kind:
    """Return how a statistic is shown."""
    if column.name in _MONEY or column.name.startswith("mrr_"):
        return Kind.MONEY
    if column.name == "subscriber_churn_30d":
        return Kind.PERCENT
    if column.name == "storage_bytes":
        return Kind.BYTES
    kinds = {
        sa.Date: Kind.DATE,
        sa.DateTime: Kind.TIME,
        sa.Boolean: Kind.BOOLEAN,
        sa.Numeric: Kind.DECIMAL,
        sa.JSON: Kind.JSON,
    }
    return next((kind for base, kind in kinds.items() if isinstance(column.type, base)), Kind.INTEGER)


STATISTICS = tuple(column for column in platform_statistics.c if column.name not in _UNSHOWN)
# What can be followed over time.
TRENDS = tuple(
    column.name
    for column in STATISTICS
    if kind_of(column) in (Kind.INTEGER, Kind.MONEY, Kind.BYTES, Kind.PERCENT)
)


def show(day: date | None) -> Report:
    """Report all figures of a day, the latest stored one unless a day is named."""
    latest = sa.select(sa.func.max(platform_statistics.c.stat_date)).scalar_subquery()
    return Report(
        sa.select(*STATISTICS).where(platform_statistics.c.stat_date == (latest if day is None else day)),
        tuple(Column(str(column.name), kind_of(column)) for column in STATISTICS),
        single=True,
        empty=_NEVER,
    )


def trend(metric: str, since: datetime, until: datetime | None) -> Report:
    """Report one figure day by day with its change; raises UsageError for one that cannot be followed."""
    if metric not in TRENDS:
        raise UsageError(
            f"{metric!r} is not a statistic with a trend", hint=f"statistics: {', '.join(TRENDS)}"
        )
    own, before = platform_statistics, platform_statistics.alias("before")
    column = own.c[metric]
    wanted = (
        sa.select(
            own.c.stat_date.label("day"), column.label(metric), (column - before.c[metric]).label("change")
        )
        .select_from(own.outerjoin(before, before.c.stat_date == own.c.stat_date - 1))
        .where(own.c.stat_date >= since.date())
    )
    if until is not None:
        wanted = wanted.where(own.c.stat_date < until.date())
    kind = kind_of(column)
    return Report(
        wanted,
        (
            Column("day", Kind.DATE, "the day, UTC"),
            Column(metric, kind, "at the day's end, or on the day"),
            Column("change", kind, "since the day before"),
        ),
        sort="day",
        empty="No statistics are stored for these days.",
    )
