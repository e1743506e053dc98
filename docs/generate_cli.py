"""Writes docs/cli.md, the reference of every command, from the commands' own help.

`python docs/generate_cli.py` writes the page; with `--check` it fails where the page is stale.
"""  # noqa: INP001 (a script beside what it writes, not part of a package)

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from avatarlab_cli.main import app

PAGE = Path(__file__).with_name("cli.md")
# Fixed, so that the page is the same whatever terminal it is made on.
WIDTH = 100
# Sections that many commands share; the page shows each of them once.
CHANGE, OUTPUT, GLOBAL = "Change options", "Output options", "Global options"
SHARED = (CHANGE, OUTPUT, GLOBAL)
INTRODUCTION = """# Every command

This page is what `--help` says, written by `make docs`. Each command takes the [global options](#global-options),
before or after its name; one that shows a report takes the [output options](#output-options) too, and one that
changes something the [change options](#change-options).
"""


def page() -> str:
    """Return the whole page."""
    root = get_command(app)
    commands = list(_commands(root, _context(root, "avatarlab", None)))
    sections = [_section(path, _own(text), _notes(text)) for path, text in commands]
    sections += [_section(title, _shared(_fullest(commands, title), title), "") for title in SHARED]
    return "\n".join([INTRODUCTION, *sections])


def _fullest(commands: list[tuple[str, str]], title: str) -> str:
    """Return the help whose section of this title is the longest: a command may take a part of it."""
    return max((text for _, text in commands), key=lambda text: len(_shared(text, title)))


def _notes(text: str) -> str:
    taken = [
        f"[{title.lower()}](#{title.lower().replace(' ', '-')})"
        for title in (CHANGE, OUTPUT)
        if f"\n{title}:" in text
    ]
    return f"\nTakes the {' and the '.join(taken)}.\n" if taken else ""


def _commands(command: Any, context: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 (typer's types are private)
    """Yield each command's path and help, a group before what it holds."""
    yield context.command_path, command.get_help(context)
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            yield from _commands(child, _context(child, name, context))


def _context(command: Any, name: str, parent: Any) -> Any:  # noqa: ANN401 (typer's types are private)
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return command.context_class(command, info_name=name, parent=parent, **settings)


def _own(text: str) -> str:
    for title in SHARED:
        text = text.partition(f"\n{title}:\n")[0]
    return text


def _shared(text: str, title: str) -> str:
    return text.partition(f"\n{title}:\n")[2].partition("\n\n")[0]


def _section(title: str, text: str, notes: str) -> str:
    return f"## {title}\n\n```text\n{text.rstrip()}\n```\n{notes}"


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it; returns the exit code."""
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write(f"{PAGE.name} is stale: run `make docs`\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
