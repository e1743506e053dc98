"""What was pruned from the logs: the rows are gone, and what they counted for is kept by user and day.

A day's figure is what its rows say and what the rows that went said. Both change in one transaction, so that every
snapshot has each row once: a job may run at any time, rows that come late are counted, and nothing is frozen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.rollup.metrics import (
    DEFINITION_VERSION,
    SOURCES,
    UNATTRIBUTED,
    Expression,
    Source,
)
from avatarlab_cli.rollup.pricing import Extract, owned_rows
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.logs import PRUNABLE, time_of
from avatarlab_cli.schema.private import pruned_daily
from avatarlab_cli.timeframe import Window

METRICS: tuple[str, ...] = tuple(
    metric for source in SOURCES if source.table in PRUNABLE for metric in source.measures
)
# By the definition as well: what it was counted by cannot be counted anew by another.
_KEYS = ["day", "user_id", "definition_version"]


@dataclass(frozen=True)
class Batch:
    """What one transaction deleted. `last_id` is where the next one goes on, None where nothing was left to delete.

    The days are as PostgreSQL writes them: some of its days no calendar of Python has.
    """

    rows: int
    first_day: str | None
    last_day: str | None
    last_id: UUID | None


def source_of(table: sa.Table) -> Source | None:
    """Return the definition of the metrics a log feeds, None where it feeds none."""
    return next((source for source in SOURCES if source.table is table), None)


def is_before(table: sa.Table, before: date) -> sa.ColumnElement[bool]:
    """Return the condition that a log's row is dated before the day; one without a time never is."""
    return time_of(table) < datetime.combine(before, time(), UTC)


def demand_kept(connection: sa.Connection) -> None:
    """Raise ConfigurationError where there is no record of what pruned rows counted for."""
    name = qualified(pruned_daily)
    if connection.scalar(sa.select(sa.func.to_regclass(name))) is None:
        raise ConfigurationError(
            f"{name} is missing: what pruned rows counted for is not known, and figures without it are too small",
            hint="restore it from a backup; where nothing was ever pruned, run: avatarlab db migrate --repair",
        )


def kept(window: Window, metrics: Iterable[str] = METRICS) -> sa.Select[Any]:
    """Return what pruned rows counted for in the window: day, user_id, metrics; several rows for some.

    What an account had on record is nobody's once the account is gone.
    """
    own, account = pruned_daily, supabase.users.alias("account")
    user_id = sa.func.coalesce(account.c.id, UNATTRIBUTED).label("user_id")
    return (
        sa.select(own.c.day, user_id, *(own.c[metric] for metric in metrics))
        .select_from(own.outerjoin(account, account.c.id == own.c.user_id))
        .where(own.c.day >= window.first, own.c.day < window.end)
    )


def delete_some(
    connection: sa.Connection, table: sa.Table, before: date, after: UUID | None, most: int
) -> Batch:
    """Delete the first rows before the day whose id comes after `after`, at most so many, and keep what they counted for.

    One statement: what it deletes is what it counts, whoever changes the rows meanwhile.
    """
    is_due = is_before(table, before)
    is_next = sa.true() if after is None else table.c.id > after
    chosen = sa.select(table.c.id).where(is_due, is_next).order_by(table.c.id).limit(most).cte("batch")
    source = source_of(table)
    own = [] if source is None else source.own_columns(source.measures, is_priced=False)
    read = {column.name: column for column in (*own, time_of(table))}
    gone = (
        sa.delete(table)
        .where(table.c.id.in_(sa.select(chosen.c.id)), is_due)
        .returning(*read.values())
        .cte("gone")
    )
    moment = gone.c[time_of(table).name]
    last_id = sa.select(chosen.c.id).order_by(chosen.c.id.desc()).limit(1).scalar_subquery()
    first, last = _day(sa.func.min(moment)), _day(sa.func.max(moment))
    figures: list[Expression] = [sa.func.count(), first, last, last_id]
    told = sa.select(*figures)
    if source is not None:
        told = told.add_cte(_keeping(source, gone, before))
    row = connection.execute(told).one()
    return Batch(row[0], row[1], row[2], row[3])


def _day(moment: Expression) -> Expression:
    return sa.cast(sa.cast(sa.func.timezone("UTC", moment), sa.Date), sa.Text)


def _keeping(source: Source, gone: sa.CTE, before: date) -> sa.CTE:
    """Return the statement that adds what the rows counted for to what is kept."""
    metrics = tuple(source.measures)
    owned = owned_rows(source, metrics, Extract(Window(date.min, before), rows=gone), None)
    by = [owned.c.day, owned.c.user_id]
    sums = [sa.cast(sa.func.sum(owned.c[metric]), sa.BigInteger) for metric in metrics]
    # In one order, so that two who prune do not wait for each other in a circle.
    version = sa.literal(DEFINITION_VERSION, sa.Integer)
    counted = sa.select(*by, version, *sums).group_by(*by).order_by(*by)
    adding = insert(pruned_daily).from_select([*_KEYS, *metrics], counted)
    added = {metric: pruned_daily.c[metric] + adding.excluded[metric] for metric in metrics}
    return (
        adding.on_conflict_do_update(index_elements=_KEYS, set_={**added, "computed_at": sa.func.now()})
        .returning(pruned_daily.c.day)
        .cte("kept")
    )
