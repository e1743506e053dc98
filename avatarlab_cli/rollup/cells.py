"""The source rows behind chosen cells: a user's are looked up by owner and time, and nobody's by the day alone."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.rollup.dirty import Cells
from avatarlab_cli.rollup.metrics import UNATTRIBUTED, Expression, Priced, Source
from avatarlab_cli.rollup.pricing import moved, named
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.base import TEXTS, looked_up


def has(cells: Cells, day: Expression, user_id: Expression, source: str) -> Expression:
    """Return the condition that there is a cell of the day, user and source."""
    own = cells.table.alias()
    is_same = sa.and_(own.c.day == day, own.c.user_id == user_id, own.c.source == source)
    return sa.select(sa.literal(1)).where(is_same).exists()


def touched(cells: Cells) -> sa.Select[Any]:
    """Return each day and user that has a cell, and the sources it has one of."""
    own = cells.table
    sources = sa.func.array_agg(own.c.source, type_=TEXTS).label("sources")
    return sa.select(own.c.day, own.c.user_id, sources).group_by(own.c.day, own.c.user_id)


def owned(
    source: Source,
    metrics: Sequence[str],
    pricing: Priced | None,
    cells: Cells,
    indexed: Collection[sa.Column[Any]],
) -> sa.CTE:
    """Return the source's measures of its cells as `pricing.owned_rows` does: by day, user and what may name a rate.

    Rows are looked up by whichever of owner, key or time is `indexed`; else the planner finds a way. Whose they are the
    cell knows.
    """
    rows = _rows(source, metrics, pricing, cells, indexed)
    by = [rows.c.cell_day.label("day"), rows.c.cell_user.label("user_id")]
    by += [rows.c[name.name].label(label) for label, name in named(pricing).items()]
    measures = [moved(source.measures[metric], rows).label(metric) for metric in metrics]
    conditions = [] if source.where is None else [moved(source.where, rows)]
    select = sa.select(*by, *measures).where(*conditions).group_by(*(label.element for label in by))
    cte = select.cte(f"owned_{metrics[0]}")
    return cte.prefix_with("MATERIALIZED") if pricing is not None else cte


def _rows(
    source: Source,
    metrics: Sequence[str],
    pricing: Priced | None,
    cells: Cells,
    indexed: Collection[sa.Column[Any]],
) -> sa.Subquery:
    """Return the rows that make up the source's cells, each once, with the cell's day and user."""
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
    cell = cells.table.alias("cell")
    is_wanted = sa.and_(cell.c.source == source.table.name, cell.c.is_present)
    at = _on(source.time, cell.c.day)
    if source.owner is not None:
        by_owner = sa.select(*read).where(source.owner == cell.c.user_id, at)
        found, own = _beside(cell, source, by_owner, is_indexed=source.owner in indexed)
        yield sa.select(*_cell(cell), *own).select_from(found).where(is_wanted)
    if source.via is not None:
        target = source.via.target.table.alias("reached")
        linked = cell.join(target, target.c[source.via.owner.name] == cell.c.user_id)
        is_free = sa.true() if source.owner is None else source.owner.is_(None)
        by_key = sa.select(*read).where(source.via.key == target.c[source.via.target.name], is_free, at)
        found, own = _beside(linked, source, by_key, is_indexed=source.via.key in indexed)
        yield sa.select(*_cell(cell), *own).select_from(found).where(is_wanted)


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
    return sa.select(*_cell(cell), *own).select_from(found).where(is_wanted, account.c.id.is_(None))


def _cell(cell: sa.FromClause) -> tuple[Expression, Expression]:
    return cell.c.day.label("cell_day"), cell.c.user_id.label("cell_user")


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
