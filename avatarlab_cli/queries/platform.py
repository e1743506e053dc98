"""The platform's tables as far as this database has them, to be selected from as if all of them were there.

What is missing is NULL, never 0: a column that is not there reads as NULL, a table as one without rows, and
`known` turns into NULL what cannot be computed without them. A report's notes name what was missed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.never_null import never_null
from avatarlab_cli.queries.parts import parts_of
from avatarlab_cli.queries.tracing import Trace, relation_of
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.availability import demand_access
from avatarlab_cli.schema.base import Vector, qualified
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.timeframe import Span

Expression = sa.ColumnElement[Any]
_NUMBERS = {Kind.INTEGER, Kind.DECIMAL, Kind.MONEY, Kind.COST, Kind.BYTES, Kind.PERCENT}


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
        # What each NULL lacks that stands for something else.
        self._unknown: dict[sa.ClauseElement, tuple[str, ...]] = {}
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
        nothing = unknown(expression)
        self._unknown[nothing] = tuple(lacking)
        return nothing

    def nothing(self, found: Expression, column: Column) -> Column:
        """Return the column of what was found, whose `null` means that nothing was, where that can be known."""
        return replace(column, null=Column.null) if any(self._missing(found)) else column

    def count(self, of: Expression, *conditions: Expression) -> Expression:
        """Return how many rows of a group have `of` and fulfil the conditions; NULL where that is not known."""
        counted = sa.func.count(of)
        return self.known(counted.filter(*conditions) if conditions else counted)

    def per(
        self, by: Expression, whose: Expression, *, of_most: bool = False, **figures: Expression
    ) -> tuple[sa.FromClause, dict[str, Expression]]:
        """Return a table's rows counted by `by`, to be joined with `whose` by the column of that name; and the figures.

        Read from an outer join, a figure is 0 where no row is counted, and NULL where that is not known. Where `of_most`
        groups the figures are wanted, they are counted once and not by each worker of a parallel plan.
        """
        each = (figure.label(name) for name, figure in figures.items())
        counted = sa.select(by.label("by"), *each).where(by.is_not(None)).group_by(by)
        rows = counted.cte().prefix_with("MATERIALIZED") if of_most else counted.subquery()
        told = {name: sa.case((rows.c.by.is_(None), 0), else_=rows.c[name]) for name in figures}
        return rows, {name: self.known(figure, whose) for name, figure in told.items()}

    def row(self, **figures: Expression) -> sa.Subquery:
        """Return one row of figures over all rows of a table, NULL where they are not known."""
        return one_row(sa.select(*(self.known(figure).label(name) for name, figure in figures.items())))

    def average(self, of: Expression, *reads: sa.ClauseElement) -> Expression:
        """Return the average of what is known of a group, to three digits; NULL where it cannot be told."""
        return self.known(average(of), *reads)

    def _missing(self, expression: sa.ClauseElement) -> Iterator[str]:
        """Yield what the expression hangs on and this database lacks, tables rather than all of their columns."""
        if self._lacking:
            yield from self._named(self._trace.of(expression))

    @property
    def _trace(self) -> Trace:
        return Trace({*self._lacking, *self._unknown})

    def _named(self, found: Iterable[Any]) -> Iterator[str]:
        for element in found:
            yield from self._unknown.get(element, ())
            column = element if relation_of(element) is not None else None
            relation = element if column is None else relation_of(column)
            if relation in self._lacking:
                name = next(qualified(t) for t, each in self._relations.items() if each is relation)
                if not self.live.has(name):
                    yield name
                elif column is not None and column.name in self._lacking[relation]:
                    yield f"{name}.{column.name}"

    def report(
        self,
        select: sa.Select[*tuple[Any, ...]],
        columns: tuple[Column, ...],
        *,
        of_lines: bool = False,
        **more: Any,  # noqa: ANN401 (the rest of Report's fields)
    ) -> Report:
        """Return the report, whose notes begin with what is missing of what it reads.

        A number that hangs on any of that, by the rows it is told of too, is NULL in every row; not so `of_lines`, each
        of which is a figure of its own.
        """
        missed = self.notes(select)
        if missed:
            # That nothing is wrong cannot be told by who did not see all.
            more["empty"] = "Nothing was found in what could be looked at."
        notes = (*missed, *more.pop("notes", ()))
        known = select if of_lines else self._without_unknown(select, columns)
        certain = never_null(known, self.live)
        return Report(known, columns, notes=notes, never_null=certain, **more)

    def _without_unknown(
        self, select: sa.Select[*tuple[Any, ...]], columns: tuple[Column, ...]
    ) -> sa.Select[*tuple[Any, ...]]:
        if not self._lacking:
            return select
        numbers = {column.name for column in columns if column.kind in _NUMBERS}
        lost = {
            column.name
            for column in select.selected_columns
            if column.name in numbers and any(self._named(self._trace.of_column(select, column)))
        }
        if not lost:
            return select
        rows = select.subquery("rows")
        return sa.select(*(unknown(c).label(c.name) if c.name in lost else c for c in rows.c))

    def page(self, parts: Sequence[sa.Select[Any]], columns: tuple[Column, ...], **more: Any) -> Report:  # noqa: ANN401 (the rest of Report's fields)
        """Return the report of one row with the figures of several selects, each of which sums up all of its rows."""
        return self.report(beside(*map(one_row, parts)), columns, single=True, of_lines=True, **more)

    def notes(self, select: sa.Select[Any]) -> tuple[str, ...]:
        """Return a sentence for each table and column the report would have read."""
        if self._lacking:
            self._missed.update(dict.fromkeys(self._named(parts_of(select))))
        return tuple(f"{name} is missing here: what it would tell is not known" for name in self._missed)


def one_row(select: sa.Select[Any]) -> sa.Subquery:
    """Return a select that sums up all of its rows as one row, also where nothing it tells is known."""
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
    # Without the extension its type is missing too; of a vector is asked only whether it is there.
    kind = sa.Text() if isinstance(column.type, Vector) else column.type
    return sa.cast(sa.null(), kind).label(column.name)
