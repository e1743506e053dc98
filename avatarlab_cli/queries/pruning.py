"""What pruning a log would delete, and whether it may: every row that goes must have been counted."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import NotFoundError, RefusedError
from avatarlab_cli.queries.naming import Naming
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import windows
from avatarlab_cli.rollup.availability import availability, demand_access
from avatarlab_cli.rollup.metrics import Source
from avatarlab_cli.rollup.pricing import Extract, owned_rows
from avatarlab_cli.rollup.pruned import demand_kept, is_before, kept, source_of
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.logs import PRUNABLE, time_of
from avatarlab_cli.schema.private import usage_daily
from avatarlab_cli.timeframe import Window

LOG = Naming(
    "table",
    "avatarlab_admin.pruned",
    "avatarlab_admin.pruned r",
    "r.table_name",
    names=("r.table_name",),
    hint="`avatarlab db migrate --repair` restores the toolkit's own tables",
)


def prunable(name: str) -> sa.Table:
    """Return the log of this name; raises NotFoundError for what is none."""
    found = next((table for table in PRUNABLE if table.name == name.removeprefix("public.")), None)
    if found is None:
        names = ", ".join(table.name for table in PRUNABLE)
        raise NotFoundError(f"{name!r} is no log that can be pruned", hint=f"these can be: {names}")
    return found


def demand_countable(live: LiveSchema, table: sa.Table) -> None:
    """Raise an AvatarLabError unless all rows of a log can be seen, and counted before they go."""
    if not live.has(table.name, "id", time_of(table).name):
        raise NotFoundError(f"{qualified(table)} is missing here, or its column {time_of(table).name}")
    demand_access(live, [qualified(table)])
    source, skipped = source_of(table), availability(live).skipped
    for metric in source.measures if source else ():
        if metric in skipped:
            raise RefusedError(
                f"the rows of {table.name} cannot be counted as {metric}: {skipped[metric]}",
                hint="what is deleted without being counted is lost to every figure",
            )


def demand_aggregated(connection: sa.Connection, table: sa.Table, before: date) -> None:
    """Raise RefusedError unless usage_daily has what a log's rows before the day say now; closed months are final.

    Raises ConfigurationError where it is not known what was pruned before.
    """
    source = source_of(table)
    if source is None:
        return
    demand_kept(connection)
    days, first = connection.execute(_unaggregated(source, windows.first_open(connection), before)).one()
    if days:
        raise RefusedError(
            f"{days} {'day' if days == 1 else 'days'} of users before {before} are not aggregated as the rows are now,"
            f" the first is {first}",
            hint="run `avatarlab job run monthly-usage` first: only what is aggregated is pruned",
        )


def _unaggregated(source: Source, first: date, before: date) -> sa.Select[Any]:
    window, metrics = Window(first, before), tuple(source.measures)
    owned = owned_rows(source, metrics, Extract(window), None)
    rows = sa.select(owned.c.day, owned.c.user_id, *(owned.c[metric] for metric in metrics))
    every = sa.union_all(rows.where(owned.c.day.is_not(None)), kept(window, metrics)).subquery("every")
    sums = (sa.func.sum(every.c[metric]).label(metric) for metric in metrics)
    counted = sa.select(every.c.day, every.c.user_id, *sums).group_by(every.c.day, every.c.user_id).subquery()
    own = usage_daily.c
    stored = sa.select(usage_daily).where(own.day >= first, own.day < before).subquery("stored")
    is_same = sa.and_(stored.c.day == counted.c.day, stored.c.user_id == counted.c.user_id)
    differs = (
        sa.func.coalesce(counted.c[metric], 0) != sa.func.coalesce(stored.c[metric], 0) for metric in metrics
    )
    return (
        sa.select(sa.func.count(), sa.func.min(sa.func.coalesce(counted.c.day, stored.c.day)))
        .select_from(counted.join(stored, is_same, full=True))
        .where(sa.or_(*differs))
    )


def count(connection: sa.Connection, table: sa.Table, before: date) -> tuple[int, int]:
    """Return how many rows would go, and how many have no time and stay."""
    is_due, undated = is_before(table, before), time_of(table).is_(None)
    counts = (sa.func.count().filter(condition) for condition in (is_due, undated))
    found = connection.execute(sa.select(*counts).where(sa.or_(is_due, undated))).one()
    return found[0], found[1]


def listing(table: sa.Table, before: date, undated: int) -> Report:
    """Report what would go, month by month."""
    local = sa.func.timezone("UTC", time_of(table))
    day, month = sa.cast(local, sa.Date), sa.cast(sa.func.date_trunc("month", local), sa.Date)
    figures: list[sa.Label[Any]] = [
        month.label("month"),
        sa.literal(table.name).label("table"),
        sa.func.count().label("rows"),
        sa.func.count(day.distinct()).label("days"),
        sa.func.min(time_of(table)).label("oldest"),
        sa.func.max(time_of(table)).label("newest"),
    ]
    stay = f"{undated} {'row' if undated == 1 else 'rows'} without a time: not to be pruned at any age"
    return Report(
        sa.select(*figures).where(is_before(table, before)).group_by(month),
        (
            Column("month", Kind.MONTH, "when the rows are of, UTC"),
            Column("table", help="what would be pruned"),
            Column("rows", Kind.INTEGER, "how many would go", total=True),
            Column("days", Kind.INTEGER, "of how many days"),
            Column("oldest", Kind.TIME, "the earliest"),
            Column("newest", Kind.TIME, "the latest"),
        ),
        sort="month",
        empty=f"No row of {table.name} is older than {before}.",
        notes=(stay,) if undated else (),
    )
