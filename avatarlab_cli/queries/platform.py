"""The platform's tables as far as this database has them, to be selected from as if all of them were there.

What is missing is NULL, never 0: a column that is not there reads as NULL, a table as one without rows, and
`known` turns into NULL what cannot be computed without them. A report's notes name what was missed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from avatarlab_cli.report import Column, Report
from avatarlab_cli.rollup.availability import demand_access
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.timeframe import Span

Expression = sa.ColumnElement[Any]


class Platform:
    """What one database has of the platform.

    `platform[table]` is the table where it is whole, else a stand-in with the same columns. It raises
    NotPermittedError where this login may not read all of it.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.live: LiveSchema = probe(connection)
        self._relations: dict[sa.Table, sa.FromClause] = {}
        # The columns each stand-in lacks.
        self._lacking: dict[sa.FromClause, frozenset[str]] = {}
        self._missed: dict[str, None] = {}

    def __getitem__(self, table: sa.Table) -> sa.FromClause:
        if table not in self._relations:
            demand_access(self.live, [qualified(table)])
            self._relations[table] = self._relation(table)
        return self._relations[table]

    def _relation(self, table: sa.Table) -> sa.FromClause:
        name = qualified(table)
        if not self.live.has(name):
            self._missed[name] = None
            return self._stand_in(table, sa.select(*map(_nothing, table.c)).where(sa.false()), table.c)
        lacking = [column for column in table.c if not self.live.has(name, column.name)]
        if not lacking:
            return table
        columns = (_nothing(column) if column in set(lacking) else column for column in table.c)
        return self._stand_in(table, sa.select(*columns), lacking)

    def _stand_in(self, table: sa.Table, select: sa.Select[Any], lacking: Any) -> sa.FromClause:  # noqa: ANN401 (columns, in a list or a collection)
        found = select.subquery(table.name)
        self._lacking[found] = frozenset(column.name for column in lacking)
        return found

    def known(self, expression: Expression, *reads: sa.ClauseElement) -> Expression:
        """Return the expression, or NULL of its type where a column is missing that it, or one of `reads`, reads.

        `reads` is what the expression hangs on without naming it: the time by which rows were chosen, for instance.
        """
        lacking = [name for part in (expression, *reads) for name in self._missing(part)]
        if not lacking:
            return expression
        self._missed.update(dict.fromkeys(lacking))
        return unknown(expression)

    def count(self, of: Expression, *conditions: Expression) -> Expression:
        """Return how many rows of a group have `of` and fulfil the conditions; NULL where that is not known."""
        counted = sa.func.count(of)
        return self.known(counted.filter(*conditions) if conditions else counted)

    def per(self, by: Expression, **figures: Expression) -> tuple[sa.Subquery, dict[str, Expression]]:
        """Return a table's rows counted by `by`, to be joined by the column of that name; and the figures.

        Read from an outer join, a figure is 0 where no row is counted.
        """
        each = (figure.label(name) for name, figure in figures.items())
        rows = sa.select(by.label("by"), *each).where(by.is_not(None)).group_by(by).subquery()
        return rows, {name: sa.case((rows.c.by.is_(None), 0), else_=rows.c[name]) for name in figures}

    def row(self, **figures: Expression) -> sa.Subquery:
        """Return one row of figures over all rows of a table, NULL where they are not known."""
        return _one(sa.select(*(self.known(figure).label(name) for name, figure in figures.items())))

    def average(self, of: Expression, *reads: sa.ClauseElement) -> Expression:
        """Return the average of what is known of a group, to three digits; NULL where it cannot be told."""
        return self.known(average(of), *reads)

    def _missing(self, expression: sa.ClauseElement) -> Iterator[str]:
        """Yield what the expression reads and this database lacks, tables rather than all of their columns.

        What it reads from a subquery is what the subquery makes it of.
        """
        for element in visitors.iterate(expression):
            relation = getattr(element, "table", None)
            if isinstance(relation, sa.Alias):
                relation = relation.element
            if relation is not None and element.name in self._lacking.get(relation, ()):  # type: ignore[attr-defined]  # only columns have a table
                name = next(qualified(t) for t, found in self._relations.items() if found is relation)
                yield name if not self.live.has(name) else f"{name}.{element.name}"  # type: ignore[attr-defined]
            elif isinstance(relation, sa.Subquery):
                for base in element.proxy_set - {element}:  # type: ignore[attr-defined]
                    yield from self._missing(base)

    def report(self, select: sa.Select[*tuple[Any, ...]], columns: tuple[Column, ...], **more: Any) -> Report:  # noqa: ANN401 (the rest of Report's fields)
        """Return the report, whose notes begin with what is missing of what it reads."""
        missed = self.notes(select)
        if missed:
            # That nothing is wrong cannot be told by who did not see all.
            more["empty"] = "Nothing was found in what could be looked at."
        return Report(select, columns, notes=(*missed, *more.pop("notes", ())), **more)

    def page(self, parts: Sequence[sa.Select[Any]], columns: tuple[Column, ...], **more: Any) -> Report:  # noqa: ANN401 (the rest of Report's fields)
        """Return the report of one row with the figures of several selects, each of which sums up all of its rows."""
        return self.report(beside(*map(_one, parts)), columns, single=True, **more)

    def notes(self, select: sa.Select[Any]) -> tuple[str, ...]:
        """Return a sentence for each table and column the report would have read."""
        self._missed.update(dict.fromkeys(self._missing(select)))
        return tuple(f"{name} is missing here: what it would tell is not known" for name in self._missed)


def _one(select: sa.Select[Any]) -> sa.Subquery:
    # Where none of its figures is known, nothing else would make it one row.
    return select.having(sa.true()).subquery()


def beside(*rows: sa.Subquery) -> sa.Select[Any]:
    """Select all columns of single rows as one."""
    source: sa.FromClause = rows[0]
    for row in rows[1:]:
        source = source.join(row, sa.true())
    return sa.select(*(column for row in rows for column in row.c)).select_from(source)


def within(time: Expression, span: Span) -> Expression:
    """Tell whether a time lies in the span."""
    return sa.and_(time >= span.since, time < span.until)


def share(part: Expression, whole: Expression) -> Expression:
    """Return a part of a whole, to six digits; NULL of nothing."""
    return sa.func.round(sa.cast(part, sa.Numeric) / sa.func.nullif(whole, 0), 6)


def average(of: Expression, *conditions: Expression) -> Expression:
    """Return the average to three digits, of the rows that fulfil the conditions."""
    # Halves of binary numbers are rounded either way, so those are averaged as decimals.
    mean = sa.func.avg(sa.cast(of, sa.Numeric) if isinstance(of.type, sa.Float) else of)
    return sa.func.round(mean.filter(*conditions) if conditions else mean, 3)


def unknown(expression: Expression) -> Expression:
    """Return NULL of the expression's type."""
    # SQLAlchemy does not know what an average is; what it has no type for is a number.
    is_typed = not isinstance(expression.type, sa.types.NullType)
    return sa.cast(sa.null(), expression.type if is_typed else sa.Numeric())


def _nothing(column: sa.Column[Any]) -> sa.Label[Any]:
    return sa.cast(sa.null(), column.type).label(column.name)
