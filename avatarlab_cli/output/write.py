"""The way out for every list and figure: from a Report, or from rows made in Python."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from avatarlab_cli.output.delimited import header
from avatarlab_cli.output.environment import Environment
from avatarlab_cli.output.machine import machine
from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.output.render import rendered
from avatarlab_cli.output.selection import selected, sort_keys
from avatarlab_cli.output.sink import is_terminal, opened
from avatarlab_cli.report import Column, Kind, Report

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.output.copying import Statement

TERMINAL_LIMIT = 50

Item = TypeVar("Item")


class Cut(Generic[Item]):
    """The first `limit` items of a stream (None: all); once they are read, how many there were and if it had more."""

    def __init__(self, items: Iterable[Item], limit: int | None) -> None:
        self.shown = 0
        self.has_more = False
        self._items = items
        self._limit = limit

    def __iter__(self) -> Iterator[Item]:
        items, counter = iter(self._items), count()
        # Counting a million rows in a Python loop would cost as much as fetching them.
        yield from map(itemgetter(0), zip(islice(items, self._limit), counter, strict=False))
        self.shown = next(counter)
        self.has_more = next(items, None) is not None


def write(
    report: Report, connection: "sa.Connection", options: OutputOptions, environment: Environment
) -> int:
    """Run the report and write its rows; returns how many were written (for a count: how many there are).

    Raises UsageError for an unknown field before anything is run, AvatarLabError where the file cannot be
    written, and what the driver raises.
    """
    from avatarlab_cli.output import copying
    from avatarlab_cli.output.projection import count_select, machine_select

    columns = selected(report.columns, options, single=report.single)
    if options.resolved_format is Format.COUNT:
        statement = _statement(count_select(report), connection, options, environment)
        return _write_count(statement, connection, options, environment)
    limit = _limit(options, environment, single=report.single)
    # One row more than is shown tells whether there are more.
    select = machine_select(report, columns, options, None if limit is None else limit + 1)
    statement = _statement(select, connection, options, environment)
    with opened(options, environment) as sink:
        if options.resolved_format in (Format.CSV, Format.TSV):
            sink.write(header(columns, options))
            with copying.records(statement, connection, options) as records:
                cut: Cut[Any] = Cut(records, limit)
                sink.write_blocks(cut)
        else:
            with copying.rows(statement, connection) as rows:
                cut = Cut(rows, limit)
                sink.write_all(rendered(columns, cut, options, environment, single=report.single))
    _tell(columns, cut, report.empty, report.notes, options, environment)
    return cut.shown


def write_rows(  # noqa: PLR0913 (what a Report bundles, given singly)
    columns: Sequence[Column],
    rows: Iterable[Mapping[str, object]],
    options: OutputOptions,
    environment: Environment,
    *,
    single: bool = False,
    empty: str = Report.empty,
) -> int:
    """Write rows made in Python by the same rules, each with a value for every column; returns how many."""
    shown = selected(columns, options, single=single)
    ordered = _sorted(columns, rows, options)
    is_count = options.resolved_format is Format.COUNT
    texts = (
        [machine(row[column.name], column.kind) for column in shown]
        for row in islice(ordered, 0 if is_count else options.offset, None)
    )
    cut = Cut(texts, _limit(options, environment, single=single))
    with opened(options, environment) as sink:
        sink.write_all(rendered(shown, cut, options, environment, single=single))
    _tell(shown, cut, empty, (), options, environment)
    return cut.shown


def _statement(
    select: "sa.Select[Any]", connection: "sa.Connection", options: OutputOptions, environment: Environment
) -> "Statement":
    from avatarlab_cli.output.copying import compiled, readable

    statement = compiled(select, connection)
    if options.show_sql:
        environment.show(f"{readable(statement, connection)};")
    return statement


def _write_count(
    statement: "Statement", connection: "sa.Connection", options: OutputOptions, environment: Environment
) -> int:
    from avatarlab_cli.output.copying import rows

    with opened(options, environment) as sink, rows(statement, connection) as result:
        ((number,),) = result
        sink.write(f"{number}\n")
    return int(number or 0)


def _limit(options: OutputOptions, environment: Environment, *, single: bool) -> int | None:
    if options.resolved_format is Format.COUNT:
        return None
    is_screen = options.resolved_format is Format.TABLE and is_terminal(options, environment)
    if options.limit is None and is_screen and not (options.all or single):
        return TERMINAL_LIMIT
    return options.limit


def _sorted(
    columns: Sequence[Column], rows: Iterable[Mapping[str, object]], options: OutputOptions
) -> Iterable[Mapping[str, object]]:
    # Python's sort keeps the order of equals: sorting by the last key first leaves the first one decisive.
    for column, descending in reversed(sort_keys(columns, options.sort or "")):
        listed = list(rows)
        known = [row for row in listed if row[column.name] is not None]
        known.sort(key=lambda row: _comparable(row, column), reverse=descending)
        rows = known + [row for row in listed if row[column.name] is None]
    return rows


def _comparable(row: Mapping[str, object], column: Column) -> Any:  # noqa: ANN401 (any type with an order)
    value = row[column.name]
    return str(value) if column.kind is Kind.TEXT else value


def _tell(  # noqa: PLR0913, PLR0917 (what both ways out know)
    columns: Sequence[Column],
    cut: Cut[Any],
    empty: str,
    notes: Iterable[str],
    options: OutputOptions,
    environment: Environment,
) -> None:
    """Say on stderr what the output itself cannot: nothing there, cut short, or to be read with care."""
    if cut.has_more:
        has_total = options.resolved_format is Format.TABLE and any(column.total for column in columns)
        rows = f"first {cut.shown} rows shown" + (", and the total of these" if has_total else "")
        environment.say(f"{rows}; --all shows everything, --limit N more")
    elif not cut.shown and options.resolved_format in (Format.TABLE, Format.MARKDOWN):
        environment.say(empty)
    for note in notes:
        environment.say(f"note: {note}")
