"""Reports on a real PostgreSQL: COPY and the renderers in Python agree, pages, orders, errors."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import JSONB

from avatarlab_cli.errors import UsageError
from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.output.write import write, write_rows
from avatarlab_cli.report import Column, Kind, Report
from tests.examples import examples
from tests.streams import Streams

TABLE = sa.table(
    "people",
    sa.column("id", sa.Integer),
    sa.column("name", sa.Text),
    sa.column("rows", sa.Numeric),
    sa.column("spend", sa.Numeric),
    sa.column("share", sa.Numeric),
    sa.column("ok", sa.Boolean),
    sa.column("day", sa.Date),
    sa.column("month", sa.Date),
    sa.column("at", sa.DateTime(timezone=True)),
    sa.column("doc", JSONB(none_as_null=True)),
)
COLUMNS = (
    Column("id", Kind.ID),
    Column("name"),
    Column("rows", Kind.INTEGER),
    Column("spend", Kind.MONEY),
    Column("share", Kind.DECIMAL),
    Column("ok", Kind.BOOLEAN),
    Column("day", Kind.DATE),
    Column("month", Kind.MONTH),
    Column("at", Kind.TIME),
    Column("doc", Kind.JSON, wide=True),
)
REPORT = Report(sa.select(TABLE), COLUMNS, sort="id")
UNKNOWN: dict[str, Any] = {column.name: None for column in COLUMNS}
ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "name": '日本 "x", y',
        "rows": 12345678901234567890,
        "spend": Decimal("-1234.567800"),
        "share": Decimal("0.00000000000000000001"),
        "ok": True,
        "day": date(2026, 11, 21),
        "month": date(2026, 11, 1),
        "at": datetime(2026, 11, 21, 8, 0, 0, 120000, tzinfo=UTC),
        "doc": {"a": [1, "ü\n"]},
    },
    UNKNOWN | {"id": 2, "name": "=1+1|\x1b[31m\nnew\\", "ok": False, "doc": []},
    UNKNOWN | {"id": 3, "name": "", "at": datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)},
    UNKNOWN | {"id": 4, "at": datetime(2026, 1, 1, tzinfo=UTC), "doc": "x"},
]


@pytest.fixture
def connection(empty_database: sa.Engine) -> Iterator[sa.Connection]:
    """Open a database with one table of four people, in a session that is not in UTC."""
    with empty_database.connect() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE people (id int, name text, rows numeric, spend numeric(14,6), share numeric, ok boolean,"
            " day date, month date, at timestamptz, doc jsonb)"
        )
        connection.execute(sa.insert(TABLE), ROWS)
        connection.exec_driver_sql("SET TIME ZONE 'Asia/Kolkata'")
        yield connection


def written(report: Report, connection: sa.Connection, options: OutputOptions | None = None) -> str:
    """Write a report to a pipe and return what arrived."""
    streams = Streams()
    write(report, connection, options or OutputOptions(), streams.environment)
    return streams.out


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("terminal", [False, True])
def test_a_select_and_rows_made_in_python_look_the_same(
    connection: sa.Connection, form: Format, terminal: bool
) -> None:
    """Each format shows the same values the same way, whichever way they came."""
    options = OutputOptions(form, csv_safe=True, bom=True)
    copied, made = (Streams(terminal=terminal, size=(200, 50)) for _ in range(2))
    assert write(REPORT, connection, options, copied.environment) == 4
    assert write_rows(COLUMNS, ROWS, options, made.environment) == 4
    assert copied.out == made.out
    assert copied.err == made.err == ""


def test_csv(connection: sa.Connection) -> None:
    """The exact text of a CSV export: times in UTC with Z, NULL and the empty string distinct."""
    assert written(REPORT, connection, OutputOptions(Format.CSV)) == (
        "id,name,rows,spend,share,ok,day,month,at,doc\n"
        '1,"日本 ""x"", y",12345678901234567890,-1234.567800,0.00000000000000000001,true,2026-11-21,2026-11,'
        '2026-11-21T08:00:00.12Z,"{""a"": [1, ""ü\\n""]}"\n'
        '2,"=1+1|\x1b[31m\nnew\\",,,,false,,,,[]\n'
        '3,"",,,,,,,1999-12-31T23:59:59.999999Z,\n'
        '4,,,,,,,,2026-01-01T00:00:00Z,"""x"""\n'
    )


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@examples(20)
@given(
    names=st.lists(st.none() | text, min_size=1, max_size=8), null=st.sampled_from(["", "NA", r"\N", "%s'"])
)
def test_any_text_is_copied_as_python_writes_it(
    connection: sa.Connection, names: list[str | None], null: str
) -> None:
    """COPY's CSV, TSV and rows agree with the renderers for every text and every way to write NULL."""
    rows: list[dict[str, object]] = [{"n": n, "name": name} for n, name in enumerate(names)]
    values = sa.values(sa.column("n", sa.Integer), sa.column("name", sa.Text), name="v")
    select = sa.select(values.data([(n, name) for n, name in enumerate(names)]))
    columns = (Column("n", Kind.INTEGER), Column("name"))
    for form in (Format.CSV, Format.TSV, Format.NDJSON):
        options = OutputOptions(form, null=null, csv_safe=True)
        streams = Streams()
        write_rows(columns, rows, options, streams.environment)
        assert written(Report(select, columns, sort="n"), connection, options) == streams.out


@pytest.mark.parametrize(
    ("kind", "expression", "expected"),
    [
        (Kind.TIME, "timestamptz 'infinity'", "infinity"),
        (Kind.TIME, "timestamptz '-infinity'", "-infinity"),
        (Kind.TIME, "timestamp '2026-01-01 05:30:00'", "2026-01-01T00:00:00Z"),
        (Kind.DATE, "timestamp '2026-01-01 05:30:00'", "2026-01-01"),
        (Kind.MONTH, "timestamp '2026-01-01 05:30:00'", "2026-01"),
        (Kind.JSON, """'{"a":\n 1.10}'::json""", '"{""a"": 1.10}"'),
        (Kind.JSON, "ARRAY['x']", '"[""x""]"'),
        (Kind.DECIMAL, "'NaN'::numeric", "NaN"),
        (Kind.ID, "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ],
)
def test_the_machine_form_of_unusual_types(
    connection: sa.Connection, kind: Kind, expression: str, expected: str
) -> None:
    """A column's kind decides its form even where the SELECT knows nothing of its type."""
    report = Report(sa.select(sa.literal_column(expression).label("v")), (Column("v", kind),))
    assert written(report, connection, OutputOptions(Format.CSV, headers=False)) == f"{expected}\n"


def test_nested_decimals_keep_their_digits(connection: sa.Connection) -> None:
    """A number inside a JSON column passes through JSON and YAML digit by digit."""
    select = sa.select(sa.literal_column("""'{"cost": 0.12345678901234567890}'::jsonb""", JSONB).label("doc"))
    report = Report(select, (Column("doc", Kind.JSON),), single=True)
    assert '{"cost": 0.12345678901234567890}' in written(report, connection, OutputOptions(Format.JSON))
    assert "cost: 0.12345678901234567890\n" in written(report, connection, OutputOptions(Format.YAML))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (OutputOptions(sort="-at"), [1, 4, 3, 2]),
        (OutputOptions(sort="at"), [3, 4, 1, 2]),
        (OutputOptions(sort="-ok"), [1, 2, 3, 4]),
        (OutputOptions(sort="-id", limit=2, offset=1), [3, 2]),
        (OutputOptions(limit=0), []),
        (OutputOptions(offset=9), []),
    ],
)
def test_order_and_page(connection: sa.Connection, options: OutputOptions, expected: list[int]) -> None:
    """NULL stands last in both directions, equal rows follow their id, and a page is cut from that order."""
    out = written(REPORT, connection, replace(options, format=Format.IDS))
    assert [int(line) for line in out.split()] == expected


@pytest.mark.parametrize("form", [Format.CSV, Format.TSV, Format.JSON, Format.TABLE])
def test_a_cut_list_says_so(connection: sa.Connection, form: Format) -> None:
    """Whatever the format, a list that goes on says so on stderr, and the connection serves the next."""
    streams = Streams()
    assert write(REPORT, connection, OutputOptions(form, limit=3), streams.environment) == 3
    assert streams.err == "first 3 rows shown; --all shows everything, --limit N more\n"
    assert written(REPORT, connection, OutputOptions(Format.COUNT, limit=1)) == "4\n"


def test_a_terminal_fetches_no_more_than_it_shows(connection: sa.Connection) -> None:
    """On a terminal a long list is cut in SQL at fifty rows, and --all lifts that."""
    series = sa.select(sa.func.generate_series(1, 60).label("n"))
    report = Report(series, (Column("n", Kind.INTEGER),), sort="n")
    streams = Streams(terminal=True)
    assert write(report, connection, OutputOptions(show_sql=True), streams.environment) == 50
    assert "LIMIT 51" in streams.err
    assert "first 50 rows shown" in streams.err
    assert write(report, connection, OutputOptions(all=True), Streams(terminal=True).environment) == 60


def test_fields_choose_columns_in_sql(connection: sa.Connection) -> None:
    """Only the named columns are computed, in their order; sorting by another one still works."""
    options = OutputOptions(Format.CSV, fields=("name", "id"), sort="-id", limit=1, show_sql=True)
    streams = Streams()
    write(REPORT, connection, options, streams.environment)
    assert streams.out == "name,id\n,4\n"
    assert streams.err.startswith("SELECT report.name, report.id \nFROM")


def test_an_unknown_field_runs_nothing(connection: sa.Connection) -> None:
    """A mistyped field is found before the statement runs and before a file is touched."""
    with pytest.raises(UsageError, match="there is no field 'nmae' here"):
        written(REPORT, connection, OutputOptions(fields=("nmae",)))


def test_a_single_report(connection: sa.Connection) -> None:
    """One row is one object, and no row is null."""
    report = replace(
        REPORT, select=REPORT.select.where(TABLE.c.id == 3), columns=COLUMNS[:2], single=True, sort=""
    )
    assert written(report, connection) == "id    3\nname\n"
    assert json.loads(written(report, connection, OutputOptions(Format.JSON))) == {"id": "3", "name": ""}
    none = replace(report, select=REPORT.select.where(sa.false()))
    assert written(none, connection, OutputOptions(Format.JSON)) == "null\n"


def test_notes_and_emptiness_go_to_stderr(connection: sa.Connection) -> None:
    """What is missing or partial is said beside the data, and not at all under --quiet."""
    report = replace(
        REPORT, select=REPORT.select.where(sa.false()), empty="No one.", notes=("No storage\x1b.",)
    )
    streams = Streams()
    write(report, connection, OutputOptions(), streams.environment)
    assert (streams.out, streams.err) == ("", "No one.\nnote: No storage\\x1b.\n")
    quiet = Streams(quiet=True)
    write(report, connection, OutputOptions(Format.CSV, fields=("id",)), quiet.environment)
    assert (quiet.out, quiet.err) == ("id\n", "")


def test_values_are_bound_and_shown(connection: sa.Connection) -> None:
    """Lists, JSON, quotes and percent signs reach COPY as values; --show-sql shows the statement whole."""
    select = REPORT.select.where(
        TABLE.c.id.in_([1, 2]),
        TABLE.c.doc.contains({"a": [1]}),
        TABLE.c.name.not_in(["it's 100%", "%s"]),
        TABLE.c.name.like("%x%"),
    )
    streams = Streams()
    options = OutputOptions(Format.IDS, show_sql=True)
    assert write(replace(REPORT, select=select), connection, options, streams.environment) == 1
    assert streams.out == "1\n"
    for part in ("IN (1::INTEGER, 2::INTEGER)", """'{"a": [1]}'""", "'it''s 100%'", "LIKE '%x%'"):
        assert part in streams.err


def test_a_failing_statement_leaves_the_old_file(connection: sa.Connection, tmp_path: Path) -> None:
    """When the server gives up midway, what the driver raises passes and the file stays as it was."""
    path = tmp_path / "out.csv"
    path.write_text("old")
    divided = sa.select((sa.literal_column("1") / (TABLE.c.id - 4)).label("v")).select_from(TABLE)
    with pytest.raises(Exception, match="division by zero"):
        written(Report(divided, (Column("v"),)), connection, OutputOptions(Format.CSV, out=str(path)))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", [Format.CSV, Format.NDJSON])
def test_a_closed_pipe_cancels_the_statement(connection: sa.Connection, form: Format) -> None:
    """When the reader goes, the statement is cancelled at once and the connection can be used again."""

    class Closed(io.BytesIO):
        def write(self, _: object) -> int:
            raise BrokenPipeError

        def writelines(self, lines: Any) -> None:  # noqa: ANN401 (any buffer)
            next(iter(lines))
            raise BrokenPipeError

    endless = sa.select(sa.func.generate_series(1, 10**12).label("n"))
    environment = replace(Streams().environment, stdout=io.TextIOWrapper(Closed(), "utf-8"))
    options = OutputOptions(form, headers=False)
    with pytest.raises(BrokenPipeError):
        write(Report(endless, (Column("n", Kind.INTEGER),)), connection, options, environment)
    connection.rollback()
    assert connection.scalar(sa.text("SELECT 1")) == 1


def test_the_transaction_begins_the_way_sqlalchemy_begins_it(empty_database: sa.Engine) -> None:
    """What an engine sets at the beginning of each transaction holds for a report too."""

    @sa.event.listens_for(empty_database, "begin")
    def _limit(connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET LOCAL application_name = 'reporting'")

    select = sa.select(sa.func.current_setting("application_name").label("v"))
    with empty_database.connect() as connection:
        out = written(Report(select, (Column("v"),)), connection, OutputOptions(headers=False))
    assert out == "reporting\n"
