"""What the documents say of the command line is true of it."""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from avatarlab_cli.errors import ExitCode
from avatarlab_cli.settings import SETTINGS
from tests.cli.tree import commands

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

VERBS = {" ".join(("avatarlab", *words)): command for words, command in commands()}


@pytest.mark.parametrize("script", ["generate_cli.py", "generate_requirements.py"])
def test_generated_pages_are_what_is_there(script: str) -> None:
    """Each is what `make docs` would write now; every command and test named among the requirements exists."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / script, "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", VERBS)
def test_command_is_documented(path: str) -> None:
    """A command's help says what it does, shows an example of it, explains each option, and is in the reference."""
    command = VERBS[path]
    examples = command.help.partition("Examples:\n")[2]
    assert re.search(rf"avatarlab (--profile demo )?{path.removeprefix('avatarlab ')}", examples)
    assert all(parameter.help for parameter in command.params)
    assert f"\n## {path}\n" in (ROOT / "docs" / "cli.md").read_text()


def _longest_first(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=len, reverse=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_commands_in_the_pages_exist(page: Path) -> None:
    """Every command shown in a block of code is one of the toolkit's, with options it has."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    shown = re.findall(r"\bavatarlab (?:--profile \S+ )?([a-z].*)", "\n".join(blocks))
    for rest in shown:
        path = next(
            (path for path in _longest_first(VERBS) if f"avatarlab {rest} ".startswith(f"{path} ")), None
        )
        assert path, rest
        known = {name for parameter in VERBS[path].params for name in [*parameter.opts, "--help"]}
        given = re.findall(r"(?<=\s)(?:--[a-z-]+|-[a-z]\b)", re.split(r"[|#&$]", rest)[0])
        assert set(given) <= known


def test_readme_lists_every_exit_code() -> None:
    """README's table has exactly the exit codes there are."""
    listed = re.findall(r"^\| (\d+) \|", README, re.MULTILINE)
    assert [int(code) for code in listed] == sorted(ExitCode)


def test_readme_names_every_setting() -> None:
    """README's table of settings has exactly those there are."""
    assert re.findall(r"^\| `([a-z_]+)` \|", README, re.MULTILINE) == [setting.name for setting in SETTINGS]


def test_links_lead_somewhere() -> None:
    """A link to a page of this project names a page that is there."""
    for page in [*PAGES, *sorted((ROOT / "docs" / "decisions").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
