"""Writes docs/requirements.md, what an admin needs and what proves it, from requirements.yaml.

`python docs/generate_requirements.py` writes the page; with `--check` it fails where the page is stale. Both fail where a
command or test is named that there is not, and where a command serves no need.
"""  # noqa: INP001 (a script beside what it writes, not part of a package)

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SOURCE, PAGE = Path(__file__).with_name("requirements.yaml"), Path(__file__).with_name("requirements.md")
WATCHED = "watched: "
HARNESS = "tests/database/test_watched.py"
INTRODUCTION = f"""# What an admin needs

Each need with the commands that serve it and the tests that prove it, written by `make docs` from `requirements.yaml`.
*Recounted* means that [every figure]({Path("..") / HARNESS}) of the report is counted a second time, from all rows, on the
demo, on invented platforms and on an empty one; that each table and column is taken away in turn; and that no secret,
embedding or image is read.
"""
Areas = list[Mapping[str, Any]]


def page(areas: Areas) -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *(_section(area) for area in areas)])


def _section(area: Mapping[str, Any]) -> str:
    rows = (
        f"| {need['need']} | {_listed(map(_command, need['by']))} | {_listed(map(_test, need['proof']))} |"
        for need in area["needs"]
    )
    return "\n".join([f"## {area['area']}\n", "| need | commands | proof |", "|---|---|---|", *rows, ""])


def _listed(items: Iterator[str]) -> str:
    return "<br>".join(items)


def _command(name: str) -> str:
    return f"[`{name}`](cli.md#avatarlab-{name.replace(' ', '-')})"


def _test(name: str) -> str:
    if name.startswith(WATCHED):
        return f"`{name.removeprefix(WATCHED)}` recounted"
    path, _, function = name.partition("::")
    return f"[`{function}`](../{path})"


def problems(areas: Areas, commands: Collection[str], watched: Collection[str]) -> Iterator[str]:
    """Yield what is named and is not there, and the commands that serve no need."""
    served: set[str] = set()
    for area in areas:
        for need in area["needs"]:
            served |= {*need["by"]}
            yield from (f"{need['need']!r} names no {what}" for what in ("by", "proof") if not need[what])
            yield from (f"there is no command {name!r}" for name in need["by"] if name not in commands)
            yield from (f"there is no test {name!r}" for name in need["proof"] if not _exists(name, watched))
    yield from (f"{name!r} serves no need" for name in sorted(set(commands) - served))


def _exists(name: str, watched: Collection[str]) -> bool:
    if name.startswith(WATCHED):
        return name.removeprefix(WATCHED) in watched
    path, _, function = name.partition("::")
    return function in _functions(ROOT / path)


def _functions(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    return {
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }


def _found(areas: Areas) -> list[str]:
    sys.path.insert(0, str(ROOT))
    from tests.cli.tree import commands
    from tests.database.watching import cases

    known = [" ".join(words) for words, _ in commands()]
    return list(problems(areas, known, {case.command for case in cases()}))


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it; returns the exit code."""
    areas: Areas = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    text, found = page(areas), _found(areas)
    if arguments != ["--check"]:
        PAGE.write_text(text, encoding="utf-8")
    elif not (PAGE.exists() and PAGE.read_text(encoding="utf-8") == text):
        found.append(f"{PAGE.name} is stale: run `make docs`")
    sys.stderr.writelines(f"{SOURCE.name}: {line}\n" for line in found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
