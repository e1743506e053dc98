"""What a figure of a statement hangs on: what it reads, and what decides which rows it is told of.

Followed through subqueries down to `ends`, elements at which nothing more is asked. A grouping decides only about what
does not add up: sums and counts of fewer groups come to the same. Of a union, the selects in which all that a figure
reads is constant have no part in it. The right side of an outer join decides about no row.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import elements, functions, operators, selectable, visitors

_SUMS = ("count", "sum", "coalesce")


@dataclass(frozen=True)
class Trace:
    """What is followed: down to the `ends`, past the selects that are `idle`, as long as groups may be fewer."""

    ends: Collection[sa.ClauseElement]
    idle: frozenset[sa.SelectBase] = frozenset()
    adds_up: bool = True
    # What has been followed already, and how: once is enough.
    seen: set[tuple[Any, ...]] = field(default_factory=set)

    def _is_new(self, *what: Any) -> bool:  # noqa: ANN401 (what is followed)
        step = (*map(id, what), self.idle, self.adds_up)
        is_new = step not in self.seen
        self.seen.add(step)
        return is_new

    def of(self, expression: sa.ClauseElement) -> Iterator[sa.ClauseElement]:
        """Yield the ends the expression reads, the columns of ends, and the ends that decide about its rows."""
        for element in visitors.iterate(expression):
            relation = relation_of(element)
            if element in self.ends or relation in self.ends:
                yield element  # type: ignore[misc]  # all that is visited here is a clause
            elif relation is not None:
                for part in _parts(relation):
                    if part not in self.idle and self._is_new(element, part):
                        yield from self.of_column(part, _column(relation, part, element))

    def of_column(self, select: sa.Select[Any], column: sa.ColumnElement[Any]) -> Iterator[sa.ClauseElement]:
        """Yield what one column of a select hangs on."""
        read = [found for found in visitors.iterate(column) if relation_of(found) is not None]
        inner = replace(self, idle=self.idle | self._idle(read), adds_up=self.adds_up and _adds_up(column))
        yield from inner.of(column)
        told = set() if _counts(column) else {relation_of(found) for found in read}
        yield from inner.of_rows(select, told)

    def _idle(self, read: list[Any]) -> frozenset[sa.SelectBase]:
        """Return the selects of unions in which none of the columns that are read is more than a constant."""
        parts = {part for column in read for part in _parts(relation_of(column))}
        busy = {
            part
            for column in read
            for part in _parts(relation_of(column))
            if not self._is_constant(_column(relation_of(column), part, column))
        }
        return frozenset(parts - busy) if busy else frozenset()

    def _is_constant(self, column: sa.ColumnElement[Any]) -> bool:
        return not any(
            isinstance(part, functions.FunctionElement)
            or part in self.ends
            or getattr(part, "table", None) is not None
            for part in visitors.iterate(column)
        )

    def of_rows(self, select: sa.Select[Any], told: set[Any]) -> Iterator[sa.ClauseElement]:
        """Yield what decides about a select's rows; what columns of the relations `told` hang on is known."""
        groups = () if self.adds_up else select._group_by_clauses  # noqa: SLF001 (nothing public tells them)
        conditions = (select.whereclause, *select._having_criteria, *groups)  # noqa: SLF001
        for condition in conditions:
            if condition is not None:
                yield from self.of(condition)
        for source in _froms(select):
            yield from self._of_source(source, told)

    def _of_source(self, source: Any, told: set[Any]) -> Iterator[sa.ClauseElement]:  # noqa: ANN401 (any relation)
        if source in self.ends:
            yield source
        elif isinstance(source, sa.Join):
            yield from self._of_source(source.left, told)
            if source.full or not source.isouter:
                yield from self._of_source(source.right, told)
            if not source.isouter and not source.full and source.onclause is not None:
                yield from self.of(source.onclause)
        elif source not in told:
            for part in _parts(source):
                if part not in self.idle and self._is_new(part):
                    yield from replace(self, adds_up=False).of_rows(part, set())


def relation_of(element: Any) -> Any:  # noqa: ANN401 (any element; what it is a column of, or None)
    """Return what the element is a column of, whatever its alias; None for anything else."""
    relation = getattr(element, "table", None)
    return relation.element if isinstance(relation, sa.Alias) else relation


def _parts(relation: Any) -> list[sa.Select[Any]]:  # noqa: ANN401 (any relation)
    """Return the selects whose rows a relation has, of a table none."""
    select = relation.element if isinstance(relation, selectable.AliasedReturnsRows) else relation
    if isinstance(select, sa.CompoundSelect):
        return [part for each in select.selects for part in _parts(each)]
    return [select] if isinstance(select, sa.Select) else []


def _froms(select: sa.Select[Any]) -> Sequence[sa.FromClause]:
    # What SQLAlchemy calls the final ones takes it long to tell.
    return select._from_obj or select.columns_clause_froms  # noqa: SLF001 (as above)


def _column(relation: Any, part: sa.Select[Any], column: Any) -> sa.ColumnElement[Any]:  # noqa: ANN401 (as above)
    return list(part.selected_columns)[list(relation.c.keys()).index(column.key)]


def _counts(column: sa.ColumnElement[Any]) -> bool:
    return any(isinstance(part, functions.count) for part in visitors.iterate(column))


def _adds_up(column: sa.ColumnElement[Any]) -> bool:
    """Tell whether the sum over all groups is the same, however many groups there are."""
    return not any(
        (isinstance(part, functions.FunctionElement) and getattr(part, "name", "") not in _SUMS)
        or isinstance(part, elements.Over)
        or getattr(part, "operator", None) in {operators.distinct_op, operators.truediv}
        for part in visitors.iterate(column)
    )
