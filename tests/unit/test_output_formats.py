"""Every format on a pipe and on a terminal, from the same rows."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.output.write import write_rows
from avatarlab_cli.report import Column, Kind
from tests.streams import Streams

COLUMNS = (
    Column("id", Kind.ID),
    Column("name", null="nobody"),
    Column("rows", Kind.INTEGER),
    Column("spend", Kind.MONEY),
    Column("size", Kind.BYTES),
    Column("share", Kind.PERCENT),
    Column("ok", Kind.BOOLEAN),
    Column("day", Kind.DATE),
    Column("month", Kind.MONTH),
    Column("at", Kind.TIME),
    Column("doc", Kind.JSON, wide=True),
)
FIRST: dict[str, object] = {
    "id": "u1",
    "name": '日本 "x", y',
    "rows": 12345678901234567890,
    "spend": Decimal("-1234.567800"),
    "size": 1_234_567_890,
    "share": Decimal("0.25"),
    "ok": True,
    "day": date(2026, 11, 21),
    "month": date(2026, 11, 1),
    "at": datetime(2026, 11, 21, 10, 0, 0, 120000, tzinfo=timezone(timedelta(hours=2))),
    "doc": {"a": [1, "ü"]},
}
UNKNOWN: dict[str, object] = dict.fromkeys(FIRST)
SECOND = UNKNOWN | {
    "id": "u2",
    "name": "=1+1|\x1b[31m\nnew\\",
    "rows": 0,
    "ok": False,
}
THIRD = UNKNOWN | {"id": "u3", "name": ""}

PIPE = {
    Format.TABLE: """\
id  name                                 rows         spend        size  share  ok     day         month    at
u1  日本 "x", y          12345678901234567890  -1234.567800  1234567890   0.25  true   2026-11-21  2026-11  2026-11-21T08:00:00.12Z
u2  =1+1|\\x1b[31m\\nnew\\                     0           n/a         n/a    n/a  false  n/a         n/a      n/a
u3                                        n/a           n/a         n/a    n/a  n/a    n/a         n/a      n/a
""",
    Format.CSV: """\
id,name,rows,spend,size,share,ok,day,month,at,doc
u1,"日本 ""x"", y",12345678901234567890,-1234.567800,1234567890,0.25,true,2026-11-21,2026-11,2026-11-21T08:00:00.12Z,"{""a"": [1, ""ü""]}"
u2,"=1+1|\x1b[31m
new\\",0,,,,false,,,,
u3,"",,,,,,,,,
""",
    Format.TSV: """\
id\tname\trows\tspend\tsize\tshare\tok\tday\tmonth\tat\tdoc
u1\t日本 "x", y\t12345678901234567890\t-1234.567800\t1234567890\t0.25\ttrue\t2026-11-21\t2026-11\t2026-11-21T08:00:00.12Z\t{"a": [1, "ü"]}
u2\t=1+1|\x1b[31m\\nnew\\\\\t0\t\t\t\tfalse\t\t\t\t
u3\t\t\t\t\t\t\t\t\t\t
""",
    Format.JSON: """\
[
  {"id": "u1", "name": "日本 \\"x\\", y", "rows": 12345678901234567890, "spend": "-1234.567800", "size": 1234567890, "share": "0.25", "ok": true, "day": "2026-11-21", "month": "2026-11", "at": "2026-11-21T08:00:00.12Z", "doc": {"a": [1, "ü"]}},
  {"id": "u2", "name": "=1+1|\\u001b[31m\\nnew\\\\", "rows": 0, "spend": null, "size": null, "share": null, "ok": false, "day": null, "month": null, "at": null, "doc": null},
  {"id": "u3", "name": "", "rows": null, "spend": null, "size": null, "share": null, "ok": null, "day": null, "month": null, "at": null, "doc": null}
]
""",
    Format.NDJSON: """\
{"id": "u1", "name": "日本 \\"x\\", y", "rows": 12345678901234567890, "spend": "-1234.567800", "size": 1234567890, "share": "0.25", "ok": true, "day": "2026-11-21", "month": "2026-11", "at": "2026-11-21T08:00:00.12Z", "doc": {"a": [1, "ü"]}}
{"id": "u2", "name": "=1+1|\\u001b[31m\\nnew\\\\", "rows": 0, "spend": null, "size": null, "share": null, "ok": false, "day": null, "month": null, "at": null, "doc": null}
{"id": "u3", "name": "", "rows": null, "spend": null, "size": null, "share": null, "ok": null, "day": null, "month": null, "at": null, "doc": null}
""",
    Format.YAML: """\
- id: u1
  name: 日本 "x", y
  rows: 12345678901234567890
  spend: '-1234.567800'
  size: 1234567890
  share: '0.25'
  ok: true
  day: '2026-11-21'
  month: 2026-11
  at: '2026-11-21T08:00:00.12Z'
  doc:
    a:
    - 1
    - ü
- id: u2
  name: "=1+1|\\e[31m\\nnew\\\\"
  rows: 0
  spend: null
  size: null
  share: null
  ok: false
  day: null
  month: null
  at: null
  doc: null
- id: u3
  name: ''
  rows: null
  spend: null
  size: null
  share: null
  ok: null
  day: null
  month: null
  at: null
  doc: null
""",
    Format.MARKDOWN: """\
| id | name | rows | spend | size | share | ok | day | month | at | doc |
| --- | --- | ---: | ---: | ---: | ---: | --- | --- | --- | --- | --- |
| u1 | 日本 "x", y | 12345678901234567890 | -1234.567800 | 1234567890 | 0.25 | true | 2026-11-21 | 2026-11 | 2026-11-21T08:00:00.12Z | {"a": [1, "ü"]} |
| u2 | =1+1\\|\\x1b[31m<br>new\\\\ | 0 | n/a | n/a | n/a | false | n/a | n/a | n/a | n/a |
| u3 |  | n/a | n/a | n/a | n/a | n/a | n/a | n/a | n/a | n/a |
""",
    Format.IDS: "u1\nu2\nu3\n",
    Format.COUNT: "3\n",
}
TERMINAL = PIPE | {
    Format.TABLE: """\
id  name                                rows      spend    size   share  ok   day         month    at
u1  日本 "x", y   12,345,678,901,234,567,890  -1,234.57  1.2 GB  25.0 %  yes  2026-11-21  2026-11  2026-11-21 08:00
u2  =1+1|\\x1b[3…                           0        n/a     n/a     n/a  no   n/a         n/a      n/a
u3                                       n/a        n/a     n/a     n/a  n/a  n/a         n/a      n/a
""",
    Format.CSV: PIPE[Format.CSV].replace("\x1b", r"\x1b"),
    Format.TSV: PIPE[Format.TSV].replace("\x1b", r"\x1b"),
}
ROWS = (FIRST, SECOND, THIRD)


@pytest.mark.parametrize("form", Format)
def test_a_pipe_gets_machine_values(form: Format) -> None:
    """Off a terminal every value is whole, exact and raw, and stdout carries data alone."""
    streams = Streams()
    assert write_rows(COLUMNS, ROWS, OutputOptions(form), streams.environment) == 3
    assert streams.out == PIPE[form]
    assert streams.err == ""


@pytest.mark.parametrize("form", Format)
def test_a_terminal_gets_readable_and_harmless_values(form: Format) -> None:
    """On a terminal a table fits and has human units; no format passes an escape sequence on."""
    streams = Streams(terminal=True, size=(110, 50))
    write_rows(COLUMNS, ROWS, OutputOptions(form), streams.environment)
    assert streams.out == TERMINAL[form]
    assert "\x1b" not in streams.out


def test_colour_stresses_the_header_and_fades_the_unknown() -> None:
    """With colour on, the header is bold and NULL is dim; the columns stay aligned."""
    streams = Streams(terminal=True, color="always")
    columns = (Column("name"), Column("n", Kind.INTEGER))
    write_rows(
        columns, [{"name": "a", "n": 1000}, {"name": None, "n": 2}], OutputOptions(), streams.environment
    )
    assert streams.out == (
        "\x1b[1mname\x1b[0m      \x1b[1mn\x1b[0m\na     1,000\n\x1b[2mn/a\x1b[0m       2\n"
    )


@pytest.mark.parametrize(
    ("form", "some", "none"),
    [
        (Format.TABLE, "name  a\nsize  1500\n", ""),
        (Format.JSON, '{\n  "name": "a",\n  "size": 1500\n}\n', "null\n"),
        (Format.YAML, "name: a\nsize: 1500\n", "null\n"),
        (Format.CSV, "name,size\na,1500\n", "name,size\n"),
    ],
)
def test_a_single_row_is_one_object(form: Format, some: str, none: str) -> None:
    """A single report is a list of fields, or one object, and null where there is no row."""
    columns = (Column("name"), Column("size", Kind.BYTES, wide=True))
    row: dict[str, object] = {"name": "a", "size": 1500}
    for rows, expected in (([row], some), ([], none)):
        streams = Streams()
        assert write_rows(columns, rows, OutputOptions(form), streams.environment, single=True) == len(rows)
        assert streams.out == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Format.TABLE, ""),
        (Format.CSV, "a,b\n"),
        (Format.TSV, "a\tb\n"),
        (Format.JSON, "[]\n"),
        (Format.NDJSON, ""),
        (Format.YAML, "[]\n"),
        (Format.MARKDOWN, "| a | b |\n| --- | --- |\n"),
        (Format.IDS, ""),
        (Format.COUNT, "0\n"),
    ],
)
def test_an_empty_list_is_still_well_formed(form: Format, expected: str) -> None:
    """Zero rows give a header or an empty list; only a table says so in words, on stderr."""
    streams = Streams()
    write_rows((Column("a"), Column("b")), [], OutputOptions(form), streams.environment, empty="No one.")
    assert streams.out == expected
    assert streams.err == ("No one.\n" if form in ("table", "markdown") else "")


def test_csv_options_change_the_frame_and_not_the_data() -> None:
    """A byte order mark, no header, another NULL, and formulas in text made harmless; numbers stay numbers."""
    columns = (Column("name"), Column("n", Kind.INTEGER))
    rows: list[dict[str, object]] = [
        {"name": "-1", "n": -1},
        {"name": "NA", "n": None},
        {"name": None, "n": 2},
        {"name": "\tx", "n": 3},
    ]
    options = OutputOptions(Format.CSV, headers=False, bom=True, null="NA", csv_safe=True)
    streams = Streams()
    write_rows(columns, rows, options, streams.environment)
    assert streams.out == "\ufeff'-1,-1\n\"NA\",NA\nNA,2\n'\tx,3\n"


def test_a_table_without_header() -> None:
    """A table and a list for scripts can go without names."""
    streams = Streams()
    write_rows((Column("a"),), [{"a": "x"}], OutputOptions(headers=False), streams.environment)
    assert streams.out == "x\n"


def test_the_widest_text_gives_way_and_numbers_never() -> None:
    """A narrow terminal shortens the widest text first, by display columns; numbers and ids stay whole."""
    columns = (Column("id", Kind.ID), Column("short"), Column("long"), Column("n", Kind.INTEGER))
    row: dict[str, object] = {"id": "i" * 20, "short": "日" * 8, "long": "x" * 60, "n": 10**9}
    streams = Streams(terminal=True, size=(72, 24))
    write_rows(columns, [row], OutputOptions(), streams.environment)
    header, line = streams.out.splitlines()
    assert line == f"{'i' * 20}  {'日' * 8}  {'x' * 16}…  1,000,000,000"
    assert len(header) == 72


def test_numbers_wider_than_the_terminal_stay_whole() -> None:
    """Where nothing can give way, the line is longer than the terminal."""
    streams = Streams(terminal=True, size=(5, 24))
    write_rows((Column("n", Kind.INTEGER),), [{"n": 10**6}], OutputOptions(), streams.environment)
    assert streams.out == "        n\n1,000,000\n"


def test_a_wide_column_shows_when_it_is_named() -> None:
    """A table leaves a wide column out; naming it brings it in, in the order asked for."""
    columns = (Column("a"), Column("b", wide=True))
    streams = Streams()
    write_rows(columns, [{"a": "1", "b": "2"}], OutputOptions(fields=("b", "a", "b")), streams.environment)
    assert streams.out == "b  a\n2  1\n"


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (Kind.MONEY, Decimal("0.005000"), "0.005"),
        (Kind.MONEY, Decimal("0.125"), "0.13"),
        (Kind.MONEY, Decimal(0), "0.00"),
        (Kind.BYTES, 999, "999 B"),
        (Kind.BYTES, 999_950, "1.0 MB"),
        (Kind.BYTES, -1500, "-1.5 kB"),
        (Kind.BYTES, 10**22, "10,000.0 EB"),
        (Kind.DECIMAL, Decimal("1234.50"), "1,234.50"),
        (Kind.DECIMAL, Decimal("NaN"), "NaN"),
        (Kind.PERCENT, Decimal("0.12345"), "12.3 %"),
        (Kind.TIME, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02 03:04"),
        (Kind.TIME, "infinity", "infinity"),
    ],
)
def test_human_units(kind: Kind, value: object, shown: str) -> None:
    """Units are decimal, money rounds half away from zero, and what is below a cent is not nothing."""
    streams = Streams(terminal=True)
    write_rows((Column("v", kind),), [{"v": value}], OutputOptions(headers=False), streams.environment)
    assert streams.out == f"{shown}\n"


SUMMED = (
    Column("name"),
    Column("cost", Kind.COST, total=True),
    Column("bytes", Kind.BYTES, total=True),
    Column("other", Kind.COST, null="-", total=True),
    Column("n", Kind.INTEGER),
)
PARTS: tuple[dict[str, object], ...] = (
    {"name": "a", "cost": Decimal("1234.000001"), "bytes": 1500, "other": None, "n": 1},
    {"name": "b", "cost": Decimal("0.999999"), "bytes": None, "other": None, "n": 2},
)


def test_a_table_ends_with_the_exact_sum_of_its_rows() -> None:
    """The total is that of the rows shown, to the last digit; what is not known is named in it, not counted as 0."""
    streams = Streams(terminal=True)
    write_rows(SUMMED, PARTS, OutputOptions(), streams.environment)
    assert streams.out == (
        "name           cost         bytes  other  n\n"
        "a      1,234.000001        1.5 kB      -  1\n"
        "b          0.999999           n/a      -  2\n"
        "total  1,235.000000  1.5 kB + n/a      -\n"
    )


def test_a_cut_list_says_whose_total_it_shows() -> None:
    """Of a list that goes on, the total is that of the rows above it, and the notice says so."""
    rows: list[dict[str, object]] = [
        {"name": str(number), "cost": Decimal("1e-20") * number} for number in (1, 2, 10**30)
    ]
    streams = Streams()
    write_rows(SUMMED[:2], rows, OutputOptions(limit=2), streams.environment)
    assert streams.out.splitlines()[-1].split() == ["total", "0.00000000000000000003"]
    assert "first 2 rows shown, and the total of these" in streams.err
    streams = Streams()
    write_rows(SUMMED[:2], rows, OutputOptions(), streams.environment)
    assert streams.out.splitlines()[-1].split() == ["total", "10000000000.00000000000000000003"]


@pytest.mark.parametrize("form", [form for form in Format if form is not Format.TABLE])
def test_only_a_table_has_a_total(form: Format) -> None:
    """No other format has a row that is not data."""
    streams = Streams()
    write_rows(SUMMED, PARTS, OutputOptions(form), streams.environment)
    assert "total" not in streams.out
    assert "1235" not in streams.out


@pytest.mark.parametrize(
    ("count", "fields"), [(1, ()), (2, ("cost",)), (2, ("name", "n")), (2, ("cost", "name"))]
)
def test_a_total_that_would_say_nothing_is_left_out(count: int, fields: tuple[str, ...]) -> None:
    """One row is its own total, and a sum needs something to add and a place for its name."""
    streams = Streams()
    write_rows(SUMMED, PARTS[:count], OutputOptions(fields=fields), streams.environment)
    assert len(streams.out.splitlines()) == 1 + count


def test_exact_decimals_stay_exact() -> None:
    """No format writes an exponent or rounds, whatever the number of digits; nested ones in YAML included."""
    columns = (Column("v", Kind.DECIMAL), Column("doc", Kind.JSON))
    rows: list[dict[str, object]] = [
        {"v": Decimal("0E-20"), "doc": None},
        {"v": Decimal("123456789012345678901234.50"), "doc": 0.5},
    ]
    streams = Streams()
    write_rows(columns, rows, OutputOptions(Format.NDJSON), streams.environment)
    assert streams.out == (
        '{"v": "0.00000000000000000000", "doc": null}\n{"v": "123456789012345678901234.50", "doc": 0.5}\n'
    )
