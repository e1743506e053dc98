"""Options: what is refused, which columns and rows are chosen, and what a cut list says."""

import pytest

from avatarlab_cli.errors import UsageError
from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.output.write import write_rows
from avatarlab_cli.report import Column, Kind
from tests.streams import Streams

COLUMNS = (Column("email"), Column("spend", Kind.INTEGER), Column("doc", Kind.JSON))
ROWS: list[dict[str, object]] = [
    {"email": "c", "spend": 2, "doc": 1},
    {"email": "a", "spend": None, "doc": 1},
    {"email": "b", "spend": 10, "doc": 1},
    {"email": "d", "spend": 2, "doc": 1},
]


def emails(options: OutputOptions, streams: Streams) -> str:
    """Write the rows and return their e-mails in one word."""
    write_rows(COLUMNS, ROWS, options, streams.environment)
    return streams.out.replace("\n", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": -1}, "--limit -1 is negative"),
        ({"offset": -2}, "--offset -2 is negative"),
        ({"all": True, "limit": 1}, "--all and --limit contradict each other"),
        ({"format": Format.CSV, "null": ","}, "--null ',' has a character that separates fields"),
        ({"format": Format.TSV, "null": "\t"}, r"--null '\\t' has a character that separates fields"),
    ],
)
def test_contradictions_are_usage_errors(options: dict[str, object], message: str) -> None:
    """An option that cannot be meant is refused before anything runs."""
    with pytest.raises(UsageError, match=message):
        OutputOptions(**options)  # type: ignore[arg-type]  # a mapping of mixed values


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            OutputOptions(fields=("emial",)),
            "there is no field 'emial' here",
            "one of: email, spend, doc; did you mean email?",
        ),
        (OutputOptions(sort="-xyz"), "there is no sort column 'xyz' here", "one of: email, spend"),
        (OutputOptions(sort="doc"), "there is no sort column 'doc' here", "one of: email, spend"),
    ],
)
def test_an_unknown_column_is_named_with_the_valid_ones(
    options: OutputOptions, message: str, hint: str
) -> None:
    """A mistyped name tells what would be right, and nothing is written."""
    streams = Streams()
    with pytest.raises(UsageError) as caught:
        write_rows(COLUMNS, ROWS, options, streams.environment)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert streams.out == ""


@pytest.mark.parametrize(
    ("sort", "expected"),
    [(None, "cabd"), ("spend,email", "cdba"), ("-spend,-email", "bdca"), ("-spend,email", "bcda")],
)
def test_sort_puts_the_unknown_last(sort: str | None, expected: str) -> None:
    """Each key has its direction, and NULL stands last in both."""
    assert emails(OutputOptions(Format.IDS, sort=sort), Streams()) == expected


def test_limit_and_offset_choose_a_page_and_say_so() -> None:
    """A cut list tells on stderr how to see the rest; the last page tells nothing."""
    streams = Streams()
    assert emails(OutputOptions(Format.IDS, limit=2, offset=1), streams) == "ab"
    assert streams.err == "first 2 rows shown; --all shows everything, --limit N more\n"
    streams = Streams()
    assert emails(OutputOptions(Format.IDS, limit=2, offset=2), streams) == "bd"
    assert streams.err == ""


def test_a_terminal_shows_fifty_rows_unless_told_otherwise() -> None:
    """Only a table on a terminal has a limit of its own; --all, a pipe and a file have none."""
    rows: list[dict[str, object]] = [{"email": str(number), "spend": 1, "doc": 1} for number in range(51)]
    for options, terminal, lines in (
        (OutputOptions(), True, 51),
        (OutputOptions(all=True), True, 52),
        (OutputOptions(), False, 52),
        (OutputOptions(Format.NDJSON), True, 51),
    ):
        streams = Streams(terminal=terminal, quiet=True)
        write_rows(COLUMNS, rows, options, streams.environment)
        assert streams.out.count("\n") == lines
        assert streams.err == ""


def test_count_ignores_the_page() -> None:
    """A count is of all the rows there are, whatever limit and offset say."""
    assert emails(OutputOptions(Format.COUNT, limit=1, offset=2), Streams()) == "4"


def test_ids_take_the_id_column_and_skip_the_unknown() -> None:
    """What another command reads from --ids-from has no empty line."""
    columns = (Column("name"), Column("user", Kind.ID))
    rows: list[dict[str, object]] = [{"name": "a", "user": "u1"}, {"name": "b", "user": None}]
    streams = Streams()
    write_rows(columns, rows, OutputOptions(Format.IDS), streams.environment)
    assert streams.out == "u1\n"
