"""The first rows of a list found first, and only those completed by what is joined with them.

PostgreSQL joins every row before it sorts them and keeps fifty. Where each join keeps all rows of a first table, and that
table alone says which rows are wanted and in which order, its own first rows are enough.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import elements, operators, visitors

Expression = sa.ColumnElement[Any]
# Of more rows, looking up what is joined with each takes longer than joining them all.
MOST = 1000


def first_rows(
    select: sa.Select[Any],
    names: Sequence[str],
    order: Callable[[Mapping[str, Expression]], Sequence[Expression]],
    rows: int,
) -> sa.Select[Any]:
    """Return a select whose first so many rows are the same, in an `order` of columns of these names.

    That is the select itself where what is joined has a part in the order or the choice.
    """
    base, joins = _joined(select)
    by = {name: _bare(select.selected_columns[name]) for name in names}
    if not joins or rows > MOST or not isinstance(base, sa.Table) or len(base.primary_key.columns) != 1:
        return select
    if _sums_up(select) or not all(
        isinstance(each, sa.Column) and each.table is base for each in by.values()
    ):
        return select
    conditions = [] if select.whereclause is None else [select.whereclause]
    if not all(_reads_only(condition, base) for condition in conditions):
        return select
    (key,) = base.primary_key.columns
    page = sa.select(key.label("key")).where(*conditions).order_by(*order(by)).limit(rows).cte("page")
    wanted = sa.select(page.c.key)
    fewer = {join.right: found for join in joins if (found := _only(join, key, wanted)) is not None}
    return _with(select, fewer).where(key.in_(wanted))


def _joined(select: sa.Select[Any]) -> tuple[sa.FromClause | None, list[sa.Join]]:
    """Return the relation all of whose rows are kept, and the joins that keep them; None where there is not one."""
    sources = select.get_final_froms()
    base, joins = sources[0] if len(sources) == 1 else None, []
    while isinstance(base, sa.Join) and base.isouter and not base.full:
        joins.append(base)
        base = base.left
    return base, joins


def _bare(column: Expression) -> Expression:
    return column.element if isinstance(column, sa.Label) else column


def _sums_up(select: sa.Select[Any]) -> bool:
    """Tell whether a row is made of several, so that fewer would make it another."""
    # There is no other way to ask a Select for these.
    clauses = select._group_by_clauses, select._having_criteria, select._distinct, select._limit_clause  # noqa: SLF001
    is_cut = any(clause is not None and clause is not False and clause != () for clause in clauses)
    # A subquery of one value finds its rows by those around it, which would be others.
    return is_cut or any(
        isinstance(part, elements.Over | sa.ScalarSelect) for part in visitors.iterate(select)
    )


def _reads_only(condition: Expression, base: sa.Table) -> bool:
    parts = [*visitors.iterate(condition)]
    columns = [part for part in parts if isinstance(part, sa.ColumnClause) and part.table is not None]
    return all(column.table is base for column in columns) and not any(
        isinstance(part, sa.SelectBase) for part in parts
    )


def _only(join: sa.Join, key: Expression, wanted: sa.Select[Any]) -> sa.Subquery | None:
    """Return what is joined by the key for the wanted ones alone, where it is rows counted by that key."""
    found, on = join.right, join.onclause
    if not isinstance(found, sa.Subquery) or not isinstance(found.element, sa.Select):
        return None
    if not isinstance(on, elements.BinaryExpression) or on.operator is not operators.eq:
        return None
    counted: list[Any] = [side for side in (on.left, on.right) if getattr(side, "table", None) is found]
    if len(counted) != 1 or not any(side is key for side in (on.left, on.right)):
        return None
    by = _bare(found.element.selected_columns[counted[0].key])
    groups = found.element._group_by_clauses  # noqa: SLF001 (there is no other way to ask)
    if not any(by is group for group in groups):
        return None
    return found.element.where(by.in_(wanted)).subquery(found.name)


def _with(select: sa.Select[Any], others: Mapping[sa.FromClause, sa.FromClause]) -> sa.Select[Any]:
    """Return the select with other relations in the place of some."""

    def other(part: Any, **_: Any) -> Any:  # noqa: ANN401 (any part of an expression)
        if isinstance(part, sa.ColumnClause) and part.table is not None and part.table in others:
            return others[part.table].c[part.key]
        # What is inside of the others stays as it is.
        is_whole = isinstance(part, sa.FromClause) and not isinstance(part, sa.Join)
        return others.get(part, part) if is_whole else None

    if not others:
        return select
    replaced: sa.Select[Any] = visitors.replacement_traverse(select, {}, other)  # type: ignore[call-overload]  # selects are traversed too
    return replaced
