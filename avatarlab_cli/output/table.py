"""Tables for people: on a terminal, in a pipe, and as Markdown."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from avatarlab_cli.output.human import NUMBER_KINDS, human
from avatarlab_cli.output.machine import Row
from avatarlab_cli.output.text import visible_line
from avatarlab_cli.report import Column, Kind

GAP = 2
NARROWEST = 12
ELLIPSIS = "…"
BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_SHORTENED = frozenset({Kind.TEXT, Kind.JSON})


@dataclass(frozen=True)
class Style:
    """How a table is drawn; `width` is the terminal's in columns, None off a terminal: machine values, whole."""

    width: int | None = None
    color: bool = False
    headers: bool = True

    def bold(self, text: str) -> str:
        """Stress a text where colour is on."""
        return f"{BOLD}{text}{PLAIN}" if self.color else text

    def dim(self, text: str) -> str:
        """Fade a text where colour is on."""
        return f"{DIM}{text}{PLAIN}" if self.color else text

    def cell(self, text: str | None, column: Column) -> str:
        """Write one value, harmless and on one line."""
        if text is None:
            return column.null
        return visible_line(text if self.width is None else human(text, column.kind))


def table(columns: Sequence[Column], rows: Iterable[Row], style: Style) -> Iterator[str]:
    """Render a list; a table without rows is nothing at all."""
    data = list(rows)
    if not data:
        return
    lines = [[style.cell(text, column) for text, column in zip(row, columns, strict=True)] for row in data]
    names = [column.name for column in columns]
    total = _total(columns, data, style)
    if total:
        lines.append(total)
    if style.width is not None:
        _fit(columns, [names, *lines] if style.headers else lines, style.width)
    if total:
        total[:] = map(style.bold, total)
    for row, line in zip(data, lines, strict=False):
        line[:] = [style.dim(cell) if text is None else cell for text, cell in zip(row, line, strict=True)]
    if style.headers:
        lines.insert(0, [style.bold(name) for name in names])
    yield _aligned(lines, ["right" if column.kind in NUMBER_KINDS else "left" for column in columns])


def _total(columns: Sequence[Column], data: Sequence[Row], style: Style) -> list[str]:
    """Return the line of totals: exactly the sum of the rows above it, with a mark where one of them is not known.

    Nothing is returned for a single row, without a column to sum, and without one that could say what the line is.
    """
    if len(data) == 1 or columns[0].total or not any(column.total for column in columns):
        return []
    label = "total"
    line = []
    for column, cells in zip(columns, zip(*data, strict=True), strict=True):
        if column.total:
            line.append(_sum(cells, column, style))
        else:
            line.append(label)
            label = ""
    return line


def _sum(cells: Sequence[str | None], column: Column, style: Style) -> str:
    known = [Decimal(text) for text in cells if text is not None]
    if not known:
        return column.null
    # The default context would round what has more than 28 digits.
    with localcontext(prec=200):
        total = style.cell(format(sum(known, Decimal(0)), "f"), column)
    is_partial = len(known) < len(cells) and column.null == Column.null
    return f"{total} + {column.null}" if is_partial else total


def fields(columns: Sequence[Column], rows: Iterable[Row], style: Style) -> Iterator[str]:
    """Render the only row as a list of fields, nothing where there is no row."""
    for row in rows:
        lines = [
            [style.bold(column.name) if number == 0 else "", line]
            for column, text in zip(columns, row, strict=True)
            for number, line in enumerate(_field(text, column, style))
        ]
        yield _aligned(lines, ["left", "left"])


def _field(text: str | None, column: Column, style: Style) -> list[str]:
    """Write one field; on a terminal each item of a JSON value has a line of its own."""
    if text is None:
        return [style.dim(column.null)]
    if column.kind is not Kind.JSON or style.width is None:
        return [style.cell(text, column)]
    value = json.loads(text, parse_float=str)
    items = [f"{name}: {_inline(item)}" for name, item in value.items()] if isinstance(value, dict) else value
    lines = items if isinstance(items, list) else [items]
    return [visible_line(_inline(line)) for line in lines] or [style.dim("-")]


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_inline(item)}" for name, item in value.items() if item is not None)
    if isinstance(value, list):
        return ", ".join(map(_inline, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def markdown(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """Render a table as GitHub reads it; the header cannot be left out there."""
    yield _markdown_line([column.name for column in columns])
    yield _markdown_line(["---:" if column.kind in NUMBER_KINDS else "---" for column in columns])
    for row in rows:
        cells = (column.null if text is None else text for text, column in zip(row, columns, strict=True))
        yield _markdown_line([_markdown_cell(cell) for cell in cells])


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _markdown_cell(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("|", "\\|")
    return visible_line(escaped.replace("\r\n", "\n").replace("\n", "<br>"))


def _aligned(lines: list[list[str]], alignment: Sequence[str]) -> str:
    import tabulate

    # The header goes as a line like others: as a header, tabulate would widen its column by two.
    text = tabulate.tabulate(
        lines, tablefmt="plain", colalign=alignment, disable_numparse=True, preserve_whitespace=True
    )
    return "".join(f"{line.rstrip()}\n" for line in text.split("\n"))


def _fit(columns: Sequence[Column], lines: list[list[str]], width: int) -> None:
    """Shorten the cells of text columns until a line fits the terminal's width, where that can be done."""
    from wcwidth import width as display_width

    widths = [max(map(display_width, cells)) for cells in zip(*lines, strict=True)]
    for index, target in _targets(columns, widths, width).items():
        for line in lines:
            line[index] = _shortened(line[index], target)


def _targets(columns: Sequence[Column], widths: Sequence[int], width: int) -> dict[int, int]:
    """Return the width each text column may have: always the widest gives way."""
    targets = {
        index: min(widths[index], width) for index, column in enumerate(columns) if column.kind in _SHORTENED
    }
    fixed = sum(size for index, size in enumerate(widths) if index not in targets)
    room = width - fixed - GAP * (len(columns) - 1)
    while sum(targets.values()) > room and max(targets.values(), default=0) > NARROWEST:
        targets[max(targets, key=targets.__getitem__)] -= 1
    return targets


def _shortened(text: str, width: int) -> str:
    from wcwidth import clip
    from wcwidth import width as display_width

    return text if display_width(text) <= width else clip(text, 0, width - 1) + ELLIPSIS
