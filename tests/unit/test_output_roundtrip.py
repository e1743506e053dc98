"""Whatever the text, reading a machine format back gives it."""

import csv
import io
import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.output.write import write_rows
from avatarlab_cli.report import Column
from tests.streams import Streams

COLUMNS = (Column("first"), Column("second"))
# PostgreSQL stores neither NUL nor a lone surrogate.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
tables = st.lists(st.tuples(st.none() | texts, texts), max_size=5)
Table = list[tuple[str | None, str]]
_UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def written(rows: Table, form: Format, null: str = "") -> str:
    """Write rows to a pipe and return the text."""
    streams = Streams()
    records = [{"first": first, "second": second} for first, second in rows]
    write_rows(COLUMNS, records, OutputOptions(form, null=null), streams.environment)
    return streams.out


def unescaped(field: str) -> str | None:
    """Read one field of COPY's text form."""
    if field == r"\N":
        return None
    parts = iter(field)
    return "".join(_UNESCAPED[next(parts)] if char == "\\" else char for char in parts)


@given(tables)
def test_csv(rows: Table) -> None:
    """Python's csv module reads back every text; it knows no NULL, which reads as empty."""
    lines = list(csv.reader(io.StringIO(written(rows, Format.CSV), newline="")))
    assert lines == [["first", "second"], *([first or "", second] for first, second in rows)]


@given(tables)
def test_tsv(rows: Table) -> None:
    """A record is always one line, and NULL differs from every text when it is written as COPY does."""
    lines = written(rows, Format.TSV, null=r"\N").split("\n")[1:-1]
    assert [tuple(unescaped(field) for field in line.split("\t")) for line in lines] == rows


@given(tables)
def test_json(rows: Table) -> None:
    """JSON and NDJSON give back the very rows."""
    expected = [{"first": first, "second": second} for first, second in rows]
    assert json.loads(written(rows, Format.JSON)) == expected
    assert [json.loads(line) for line in written(rows, Format.NDJSON).split("\n")[:-1]] == expected


@given(tables)
def test_yaml(rows: Table) -> None:
    """A safe YAML loader gives back the very rows, none of them taken for a number or a date."""
    expected = [{"first": first, "second": second} for first, second in rows]
    assert yaml.safe_load(written(rows, Format.YAML)) == expected


@given(tables)
def test_a_table_has_one_line_a_row(rows: Table) -> None:
    """No text breaks a table's lines or reaches the terminal's controls."""
    lines = written(rows, Format.TABLE).split("\n")
    assert len(lines) == (len(rows) + 2 if rows else 1)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for line in lines for char in line)
