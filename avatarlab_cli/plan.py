"""The file --plan writes and `apply` reads: an act, and for each target the rows it would change, before and after.

JSON, one object a line: first the act, then the targets.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from avatarlab_cli.actions.act import Change, Expected, Item
from avatarlab_cli.errors import UsageError
from avatarlab_cli.output.sink import private_file

VERSION = 1


@dataclass(frozen=True)
class Plan:
    """What was planned; `path` holds the targets."""

    path: Path
    act: str
    parameters: Mapping[str, Any]
    reason: str | None
    targets: int

    def items(self) -> Iterator[Item]:
        """Yield each target with what is to change; raises UsageError where a line cannot be read."""
        with self.path.open(encoding="utf-8") as stream:
            next(stream, None)
            for number, line in enumerate(stream, start=2):
                record = _parsed(line, self.path, number)
                try:
                    changes = tuple(Change(**change) for change in record["changes"])
                    expected = Expected(datetime.fromisoformat(record["at"]), changes)
                    yield Item(number - 1, str(record["id"]), expected=expected)
                except (KeyError, TypeError, ValueError) as error:
                    raise _unreadable(self.path, number) from error


def write_plan(path: str, head: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> None:
    """Write the file whole or not at all, readable by its owner alone: a row's contents are in it."""
    with private_file(Path(path)) as sink:
        for record in chain([{"plan": VERSION, **head}], items):
            sink.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")


def read_plan(path: str) -> Plan:
    """Read what was planned; raises UsageError for a file that is no plan."""
    source = Path(path)
    try:
        with source.open(encoding="utf-8") as stream:
            head = _parsed(stream.readline(), source, 1)
            targets = sum(1 for _ in stream)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if head.get("plan") != VERSION:
        raise UsageError(f"{path} is not a plan", hint="a plan is written by a changing verb's --plan FILE")
    try:
        found = Plan(source, head["act"], dict(head["parameters"]), head["reason"], targets)
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(source, 1) from error
    if not isinstance(found.reason, str | None):
        raise _unreadable(source, 1)
    return found


def _parsed(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line, parse_float=str)
    except ValueError as error:
        raise _unreadable(path, number) from error
    if not isinstance(record, dict):
        raise _unreadable(path, number)
    return record


def _unreadable(path: Path, number: int) -> UsageError:
    return UsageError(f"{path}, line {number}: this is not part of a plan")
