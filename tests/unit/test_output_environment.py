"""What streams and variables say about colour, width and paging."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

from avatarlab_cli.output.environment import Environment
from tests.streams import Streams


def environment(variables: Mapping[str, str], *, terminal: bool = True, color: str = "auto") -> Environment:
    """Describe a terminal or a pipe with these variables."""
    return Streams(terminal=terminal, color=color, env=variables).environment


@pytest.mark.parametrize(
    ("variables", "color", "terminal", "expected"),
    [
        ({}, "auto", True, True),
        ({}, "auto", False, False),
        ({"NO_COLOR": "1"}, "auto", True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, "auto", True, False),
        ({"NO_COLOR": ""}, "auto", True, True),
        ({"FORCE_COLOR": "1"}, "auto", False, True),
        ({"FORCE_COLOR": "0"}, "auto", False, False),
        ({"TERM": "dumb"}, "auto", True, False),
        ({"NO_COLOR": "1"}, "always", False, True),
        ({"FORCE_COLOR": "1"}, "never", True, False),
    ],
)
def test_colour(variables: Mapping[str, str], color: str, terminal: bool, expected: bool) -> None:
    """The flag decides, then NO_COLOR, then FORCE_COLOR, then whether a terminal is there."""
    assert environment(variables, color=color).use_color(terminal) is expected


def test_width_is_what_columns_says() -> None:
    """COLUMNS and LINES win over the terminal's own size; nonsense does not."""
    assert environment({"COLUMNS": "120", "LINES": "7"}).width == 120
    assert environment({"COLUMNS": "120", "LINES": "7"}).height == 7
    assert environment({"COLUMNS": "wide"}).width == 80


@pytest.mark.parametrize(
    ("variables", "terminal", "expected"),
    [
        ({"PAGER": "more -s"}, True, "more -s"),
        ({"PAGER": "more"}, False, None),
        ({"PAGER": "more", "CI": "true"}, True, None),
        ({"PAGER": "more", "TERM": "dumb"}, True, None),
        ({"PAGER": ""}, True, None),
        ({"PAGER": "cat"}, True, None),
        ({"PATH": "/nonexistent"}, True, None),
    ],
)
def test_pager(variables: Mapping[str, str], terminal: bool, expected: str | None) -> None:
    """Only a person at a capable terminal reads pages; without PAGER, less where it is installed."""
    assert environment(variables, terminal=terminal).pager == expected


def test_the_process_describes_itself() -> None:
    """The default environment is made of the process's streams, which here are no terminals."""
    described = Environment.create({"COLUMNS": "99"}, color="always", quiet=True)
    assert described.stdout is sys.stdout
    assert (described.stdout_is_tty, described.width, described.quiet) == (sys.stdout.isatty(), 99, True)


def test_notices_are_harmless_and_can_be_silenced() -> None:
    """A notice shows control characters as escapes; quiet leaves it out, and not what was asked for."""
    loud, quiet = Streams(), Streams(quiet=True)
    for streams in (loud, quiet):
        streams.environment.say("a\x1b[2Jb\u202ec")
        streams.environment.show("SELECT 1")
    assert loud.err == "a\\x1b[2Jb\\u202ec\nSELECT 1\n"
    assert quiet.err == "SELECT 1\n"


def test_options_and_environment_load_nothing_heavy() -> None:
    """What a help page imports must not bring in the database or the renderers."""
    script = (
        "import sys, avatarlab_cli.report, avatarlab_cli.output.options, avatarlab_cli.output.environment;"
        "print({'sqlalchemy', 'psycopg', 'tabulate', 'yaml', 'wcwidth'} & sys.modules.keys())"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_a_process_without_stdin_has_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes a command's stdin gets the command all the same."""
    monkeypatch.setattr("sys.stdin", None)
    environment = Environment.create({})
    assert (environment.stdin.read(), environment.stdin_is_tty) == ("", False)
