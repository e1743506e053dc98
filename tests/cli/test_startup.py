"""What the command line leaves alone until it is needed: each import would be paid by every command."""

import subprocess
import sys

import pytest

# Together they take several times as long as all the rest of a start.
HEAVY = (
    "alembic",
    "asyncio",
    "jinja2",
    "platformdirs",
    "prometheus_client",
    "psycopg",
    "pydantic",
    "rich",
    "sqlalchemy",
    "structlog",
    "tabulate",
    "urllib3",
    "yaml",
)
SCRIPT = """
import sys
from avatarlab_cli.__main__ import run
try:
    run(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


def imported_by(*arguments: str) -> set[str]:
    """Return the modules a process has imported at the end of a command."""
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return set(subprocess.run(command, capture_output=True, check=True, text=True).stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["usage", "--help"], ["usage", "top", "--help"], ["job", "run", "--help"]],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Neither help nor the version waits for the database's or the output's libraries."""
    assert not imported_by(*arguments) & set(HEAVY)


def test_help_imports_no_noun() -> None:
    """The list of nouns is told without the nouns' modules."""
    assert not [name for name in imported_by("--help") if name.startswith(("commands.", "jobs."))]


def test_a_noun_imports_itself_alone() -> None:
    """A noun's help loads that noun's commands and no other's."""
    loaded = {name for name in imported_by("usage", "--help") if name.startswith("commands.")}
    assert loaded <= {"commands.usage", "commands.options"}
    assert "commands.usage" in loaded
