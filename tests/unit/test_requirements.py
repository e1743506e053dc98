"""What the page of requirements finds wrong with its source."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "generate_requirements.py"
EVERY = ["a list", "a set"]
HERE = "tests/unit/test_requirements.py::test_what_is_not_there_is_named"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("generate_requirements", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def problems(script: ModuleType, by: list[str], proof: list[str]) -> list[str]:
    areas = [{"area": "A", "needs": [{"need": "See it", "by": by, "proof": proof}]}]
    return list(script.problems(areas, EVERY, {"a list"}))


def test_what_is_not_there_is_named(script: ModuleType) -> None:
    """A command, a test, a recount that does not exist, a need without either, a command without a need."""
    assert problems(script, EVERY, [HERE, "watched: a list"]) == []
    assert problems(script, [*EVERY, "b"], [HERE]) == ["there is no command 'b'"]
    assert problems(script, ["a set"], [HERE]) == ["'a list' serves no need"]
    for lost in (f"{HERE}_x", f"x{HERE}", "tests", "watched: a set", "watched: "):
        assert problems(script, EVERY, [lost]) == [f"there is no test {lost!r}"]
    assert problems(script, EVERY, []) == ["'See it' names no proof"]
    assert problems(script, [], [HERE]) == [
        "'See it' names no by",
        "'a list' serves no need",
        "'a set' serves no need",
    ]


def test_the_page_links_to_commands_and_tests(script: ModuleType) -> None:
    """Each need is a line, with its commands in the reference and its tests in their files."""
    areas = [
        {"area": "A", "needs": [{"need": "See it", "by": ["a list"], "proof": [HERE, "watched: a list"]}]}
    ]
    assert script.page(areas).endswith(
        "## A\n\n| need | commands | proof |\n|---|---|---|\n"
        "| See it | [`a list`](cli.md#avatarlab-a-list) | [`test_what_is_not_there_is_named`]"
        "(../tests/unit/test_requirements.py)<br>`a list` recounted |\n"
    )
