"""The source rows behind chosen cells: a user's are looked up by owner and time, and nobody's by the day alone."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.rollup.dirty import Cells
from avatarlab_cli.rollup.metrics import UNATTRIBUTED, Expression, Priced, Source
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.base import TEXTS, looked_up


def has(cells: Cells, day: Expression, user_id: Expression, source: str | None = None) -> Expression:
    """Return the condition that there is a cell of the day and user, of any source or of one."""
    own = cells.table.alias()
    found = sa.select(sa.literal(1)).where(own.c.day == day, own.c.user_id == user_id)
    return (found if source is None else found.where(own.c.source == source)).exists()


def days(cells: Cells) -> sa.Select[Any]:
    """Return each day and user that has a cell, some of them more than once."""
    return sa.select(cells.table.c.day, cells.table.c.user_id)


def touched(cells: Cells) -> sa.Subquery:
    """Return each day and user that has a cell, and the sources it has one of."""
    own = cells.table
    sources = sa.func.array_agg(own.c.source, type_=TEXTS).label("sources")
    return sa.select(own.c.day, own.c.user_id, sources).group_by(own.c.day, own.c.user_id).subquery("touched")


def rows(
    source: Source,
    metrics: Sequence[str],
    pricing: Priced | None,
    cells: Cells,
    indexed: Collection[sa.Column[Any]],
) -> sa.Subquery:
    """Return the source's rows that make up its cells, each once, with the columns its metrics and prices read.

    They are looked up by whichever of owner, key or time is `indexed`; else the planner finds a way.
    """
    read = source.own_columns(metrics, is_priced=pricing is not None)
    parts = []
    if source.table.name in cells.of_users:
        parts += list(_of_users(source, read, cells, indexed))
    if source.table.name in cells.of_nobody:
        parts.append(_of_nobody(source, read, cells, indexed))
    return sa.union_all(*parts).subquery(f"touched_{metrics[0]}")


def _of_users(
    source: Source, read: Sequence[sa.Column[Any]], cells: Cells, indexed: Collection[sa.Column[Any]]
) -> Iterator[sa.Select[Any]]:
    """Yield the rows whose owner is there: by their own owner, and by the avatar or key that has one."""
    cell, account = cells.table.alias("cell"), supabase.users.alias("present")
    wanted = cell.join(account, account.c.id == cell.c.user_id)
    is_of_source = cell.c.source == source.table.name
    at = _on(source.time, cell.c.day)
    if source.owner is not None:
        by_owner = sa.select(*read).where(source.owner == cell.c.user_id, at)
        found, own = _beside(wanted, source, by_owner, is_indexed=source.owner in indexed)
        yield sa.select(*own).select_from(found).where(is_of_source)
    if source.via is not None:
        target = source.via.target.table.alias("reached")
        linked = wanted.join(target, target.c[source.via.owner.name] == cell.c.user_id)
        is_free = sa.true() if source.owner is None else source.owner.is_(None)
        by_key = sa.select(*read).where(source.via.key == target.c[source.via.target.name], is_free, at)
        found, own = _beside(linked, source, by_key, is_indexed=source.via.key in indexed)
        yield sa.select(*own).select_from(found).where(is_of_source)


def _of_nobody(
    source: Source, read: Sequence[sa.Column[Any]], cells: Cells, indexed: Collection[sa.Column[Any]]
) -> sa.Select[Any]:
    """Return the rows of the days whose owner is not there."""
    cell, account = cells.table.alias("cell"), supabase.users.alias("absent")
    is_wanted = sa.and_(cell.c.source == source.table.name, cell.c.user_id == UNATTRIBUTED)
    on_day = sa.select(*read).where(_on(source.time, cell.c.day))
    found, own = _beside(cell, source, on_day, is_indexed=source.time in indexed)
    owner: Expression | None = None if source.owner is None else own[source.owner.name]
    if source.via is not None:
        target = source.via.target.table.alias("reached")
        found = found.outerjoin(target, target.c[source.via.target.name] == own[source.via.key.name])
        reached = target.c[source.via.owner.name]
        owner = reached if owner is None else sa.func.coalesce(owner, reached)
    found = found.outerjoin(account, account.c.id == owner)
    return sa.select(*own).select_from(found).where(is_wanted, account.c.id.is_(None))


def _beside(
    wanted: sa.FromClause, source: Source, rows: sa.Select[Any], *, is_indexed: bool
) -> tuple[sa.FromClause, sa.ColumnCollection[str, sa.ColumnElement[Any]]]:
    """Return what is wanted joined with the source's rows that belong to it, and the columns of these.

    Where an index knows them they are looked up; without one each look-up would read the whole log.
    """
    if is_indexed:
        own = looked_up(rows, "own")
        return wanted.join(own, sa.true()), own.c
    return wanted.join(source.table, rows.whereclause), rows.selected_columns


def _on(time: sa.Column[Any], day: Expression) -> Expression:
    """Return the condition that a time lies on the day, in a form an index on it serves."""
    if isinstance(time.type, sa.Date):
        return time == day
    begin = sa.cast(day, sa.TIMESTAMP)
    end = begin + sa.text("interval '1 day'")
    return sa.and_(time >= sa.func.timezone("UTC", begin), time < sa.func.timezone("UTC", end))
