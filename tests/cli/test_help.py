"""What `--help` promises: every command says what it does, and every example can be typed."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from avatarlab_cli.cli import Command
from avatarlab_cli.main import app
from avatarlab_cli.registry import NOUNS
from tests.cli.invoking import invoke
from tests.cli.tree import commands

GLOBAL = {
    "--profile demo": {"profile": "demo"},
    "--config x.yaml": {"config": "x.yaml"},
    "-o json": {"output": "json"},
    "--output json": {"output": "json"},
    "--json": {"output": "json"},
    "--csv": {"output": "csv"},
    "--color never": {"color": "never"},
    "--log-format json": {"log_format": "json"},
    "--no-input": {"no_input": True},
    "-q": {"quiet": True},
    "-v": {"verbose": True},
    "--debug": {"debug": True},
}


VERBS = tuple(words for words, _ in commands())


def help_of(*words: str) -> str:
    shown = invoke(None, *words, "--help")
    assert (shown.code, shown.err) == (0, "")
    return shown.out


def examples() -> list[str]:
    """Return every line of any help that is a command."""
    pages = [help_of(), *(help_of(noun) for noun in NOUNS), *(help_of(*verb) for verb in VERBS)]
    return re.findall(r"^ {4}(avatarlab .+)$", "".join(pages), re.MULTILINE)


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_loads(noun: str) -> None:
    """A noun's module is there, its help begins with what it is, and the root's line says the same."""
    summary = NOUNS[noun][1]
    assert " ".join(help_of(noun).split("\n\n")[1].split()) == summary
    assert re.search(rf"^  {noun} +{re.escape(summary)}$", help_of(), re.MULTILINE)


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_verb_says_what_it_does_and_shows_examples(words: tuple[str, ...]) -> None:
    """The first sentence tells what the verb does, and an example shows it."""
    usage, summary, *rest = help_of(*words).split("\n\n")
    assert usage.startswith(f"Usage: avatarlab {' '.join(words)} [OPTIONS]")
    assert re.match(r"  [A-Z][a-z]+ .+[.]$", summary, re.DOTALL)
    shown = next(part for part in rest if part.startswith("  Examples:\n"))
    lines = shown.splitlines()[1:]
    assert all("    avatarlab " in line for line in lines)
    assert any(f" {' '.join(words)}" in line for line in lines)


@pytest.mark.parametrize("example", examples())
def test_every_example_can_be_typed(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example's nouns, verbs, options and values are understood; the command itself is left out."""
    monkeypatch.setattr(Command, "invoke", lambda *_: None)
    words = shlex.split(re.split(r" (?:[|<]|>>?) ", example)[0])
    typed = CliRunner().invoke(app, words[1:])
    assert (typed.exit_code, typed.output) == (0, "")


@pytest.mark.parametrize("option", GLOBAL)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_global_options_are_taken_everywhere(
    option: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A global option is understood before the noun, before the verb and after it, and means the same."""
    seen = []
    monkeypatch.setattr(
        Command, "invoke", lambda _, context: seen.append(dict(context.find_root().obj.flags))
    )
    words = ["job", "list"]
    typed = CliRunner().invoke(app, [*words[:place], *option.split(), *words[place:]])
    assert typed.exit_code == 0
    assert seen == [GLOBAL[option]]


def test_help_lists_own_options_before_shared_ones() -> None:
    """What is special about a command stands before what all have."""
    text = help_of("job", "run")
    titles = re.findall(r"^([A-Z][a-z ]+):$", text, re.MULTILINE)
    assert titles == ["Arguments", "Options", "Output options", "Global options"]


@pytest.mark.parametrize("words", [(), ("usage",)])
def test_nothing_to_do_shows_the_help(words: tuple[str, ...]) -> None:
    """A noun alone is a question."""
    shown = invoke(None, *words)
    assert help_of(*words) in (shown.out, shown.err)


def test_version() -> None:
    """The version is one line that begins with the name."""
    assert re.fullmatch(r"avatarlab \d+\.\d+\.\d+\S*\n", invoke(None, "--version").out)
    assert invoke(None, "-V").code == 0


def test_near_names_are_proposed() -> None:
    """A typing error in a noun or verb is met with the name that was meant."""
    assert "usage" in invoke(None, "usge").err
    assert "top" in invoke(None, "usage", "tpo").err


def test_no_abbreviations() -> None:
    """A shortened option or verb is refused: a script would break with the next option."""
    assert invoke(None, "job", "lis").code == 2
    assert invoke(None, "--prof", "demo", "job", "list").code == 2
