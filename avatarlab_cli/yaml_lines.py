"""YAML read node by node, so that whatever is wrong with a file can be told with its line."""

import re
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple, TypeVar

import yaml

from avatarlab_cli.errors import AvatarLabError

# What people write by hand is a few kilobytes; whatever is larger was named by mistake.
LARGEST = 500_000
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
# Bounded, so that no number needs more memory than it has digits.
_NUMBER = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})(e[+-]?[0-9]{1,2})?", re.IGNORECASE)
_FLOAT = "tag:yaml.org,2002:float"

T = TypeVar("T")


class FaultError(Exception):
    """What is wrong, and the line it stands in; None where that cannot be said."""

    def __init__(self, message: str, at: yaml.Node | int | None) -> None:
        super().__init__(message)
        self.line = at.start_mark.line + 1 if isinstance(at, yaml.Node) else at

    def within(self, origin: str) -> str:
        """Return the sentence with the file and line before it."""
        return f"{origin}:{self.line}: {self}" if self.line else f"{origin}: {self}"


def shown(value: object) -> str:
    """Write a value for a message: by aliases a short file can hold one without end."""
    return _SHORT.repr(value)


def text_of(source: str | Traversable, failure: Callable[[str], AvatarLabError]) -> str:
    """Return a file's text, `-` is stdin; raises what `failure` makes of the reason why it cannot be read.

    Of a file that is too large so much is returned that `root` refuses it.
    """
    try:
        if source == "-":
            return sys.stdin.read(LARGEST + 1)
        path = Path(source) if isinstance(source, str) else source
        with path.open(encoding="utf-8") as file:
            return file.read(LARGEST + 1)
    except UnicodeDecodeError as error:
        raise failure("it is not UTF-8") from error
    except (OSError, ValueError) as error:
        raise failure(getattr(error, "strerror", None) or str(error)) from error


def root(text: str) -> yaml.Node | None:
    """Return the text's one document, None where it is empty; raises FaultError for what is not YAML."""
    if len(text) > LARGEST:
        raise FaultError(f"the file is larger than {LARGEST:,} characters", 1)
    try:
        return yaml.SafeLoader(text).get_single_node()
    except yaml.YAMLError as error:
        raise _not_yaml(error) from error
    except RecursionError:
        raise FaultError("this is nested too deeply", 1) from None


Report = Callable[[FaultError], None]
"""Takes a fault: raises it, or keeps it and lets the reading go on."""


def raised(fault: FaultError) -> None:
    """Let the first fault be the last."""
    raise fault


def pairs(node: yaml.MappingNode, report: Report = raised) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Yield a mapping's keys and values; YAML itself would take the last of two equal keys and say nothing.

    A key that cannot be one is given to `report` and left out, where that returns.
    """
    seen: set[str] = set()
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value not in seen:
            seen.add(key.value)
            yield key, value
            continue
        is_word = isinstance(key, yaml.ScalarNode)
        report(FaultError(f"{key.value} stands here twice" if is_word else "a key must be a word", key))


class Field(NamedTuple):
    """A key of a mapping and its value. An alias has the line of what it stands for, so the key's line is told."""

    key: yaml.ScalarNode
    value: yaml.Node


def fields(
    node: yaml.MappingNode, known: Sequence[str], report: Report, refused: Mapping[str, str] | None = None
) -> dict[str, Field]:
    """Return a mapping's fields by name; a key that is unknown, or stands there twice, is reported.

    `refused` says of keys somebody may expect why they are unknown.
    """
    found: dict[str, Field] = {}
    for key, value in pairs(node, report):
        if key.value in known:
            found[key.value] = Field(key, value)
        else:
            unknown = f"{shown(key.value)} is no field here; fields: {', '.join(known)}"
            report(FaultError((refused or {}).get(key.value, unknown), key))
    return found


def checked_field(
    found: Mapping[str, Field], name: str, check: Callable[[yaml.ScalarNode], T], report: Report
) -> T | None:
    """Return a field as `check` has it; None where it is not there, or faulty (a ValueError), which is reported."""
    if name not in found:
        return None
    key, value = found[name]
    if isinstance(value, yaml.ScalarNode):
        try:
            return check(value)
        except ValueError as error:
            report(FaultError(f"{name} {error}", key))
    else:
        report(FaultError(f"{name} must be a single value", key))
    return None


def items_of(field: Field | None, most: int, report: Report) -> list[yaml.Node]:
    """Return a list's items; what is no list, or has more than `most`, is reported and has none."""
    if field is None:
        return []
    if not isinstance(field.value, yaml.SequenceNode):
        report(FaultError(f"{field.key.value} must be a list", field.key))
        return []
    items: list[yaml.Node] = field.value.value
    if len(items) > most:
        report(FaultError(f"{len(items):,} {field.key.value} are too many: at most {most:,}", field.key))
        return []
    return items


def number_of(node: yaml.ScalarNode) -> Decimal:
    """Return a number exactly as it is written, in quotes or not; raises ValueError."""
    text = node.value.strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{shown(node.value)} is not a number")
    number = Decimal(text)
    # Without quotes 0.30 is YAML's number 0.3, and is kept like that.
    plain = Decimal(str(float(text))) if node.tag == _FLOAT else number
    return plain if plain == number else number


def value_of(node: yaml.Node) -> object:
    """Return what a node says, with everything in it; raises ValueError, or FaultError for what YAML cannot say."""
    try:
        return yaml.constructor.SafeConstructor().construct_object(node, deep=True)
    except yaml.YAMLError as error:
        raise _not_yaml(error) from error
    except (AttributeError, LookupError, TypeError, RecursionError) as error:
        # PyYAML's own stumbling over a tag and a text that do not fit: !!timestamp soon.
        raise ValueError(f"is no {node.tag.rpartition(':')[2]}") from error


def _not_yaml(error: yaml.YAMLError) -> FaultError:
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None)
    return FaultError(f"this is not YAML: {reason}", mark.line + 1 if mark else None)
