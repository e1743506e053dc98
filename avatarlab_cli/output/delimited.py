"""CSV and TSV, written as PostgreSQL's COPY writes them, so that a file looks the same wherever it was made.

The csv module cannot stand in: it writes NULL and the empty string alike.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from avatarlab_cli.output.machine import Row
from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.report import Column, Kind

# A spreadsheet runs a cell that begins so; an apostrophe makes it text.
FORMULA_START = "^[=+@\t\r-]"
FORMULA_KINDS = frozenset({Kind.TEXT, Kind.ID})
BYTE_ORDER_MARK = "\ufeff"
_QUOTED = re.compile('[",\r\n]')
_ESCAPES = str.maketrans(
    {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
)


def header(columns: Sequence[Column], options: OutputOptions) -> str:
    """Return what stands before the first row."""
    mark = BYTE_ORDER_MARK if options.bom else ""
    names = [column.name for column in columns]
    return mark + (delimited_line(names, options) if options.headers else "")


def delimited_line(row: Row, options: OutputOptions) -> str:
    """Return one record with its line end, a bare newline as COPY writes it."""
    write = _csv_field if options.resolved_format is Format.CSV else _tsv_field
    separator = "," if options.resolved_format is Format.CSV else "\t"
    return separator.join(write(text, options.null) for text in row) + "\n"


def delimited(columns: Sequence[Column], rows: Iterable[Row], options: OutputOptions) -> Iterator[str]:
    """Render rows made in Python; a SELECT's rows come from COPY in this form."""
    yield header(columns, options)
    for row in rows:
        cells = _escaped(columns, row) if options.escapes_formulas else row
        yield delimited_line(cells, options)


def _escaped(columns: Sequence[Column], row: Row) -> Row:
    return [
        f"'{text}" if text and column.kind in FORMULA_KINDS and re.match(FORMULA_START, text) else text
        for column, text in zip(columns, row, strict=True)
    ]


def _csv_field(text: str | None, null: str) -> str:
    if text is None:
        return null
    if text == null or _QUOTED.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _tsv_field(text: str | None, null: str) -> str:
    return null if text is None else text.translate(_ESCAPES)
