"""JSON, NDJSON and YAML: row by row, so that memory does not grow with the report."""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from avatarlab_cli.output.machine import Row
from avatarlab_cli.report import Column, Kind

if TYPE_CHECKING:
    import yaml

_INTEGER_KINDS = frozenset({Kind.INTEGER, Kind.BYTES})
# json.dumps would make a new encoder for each text, and take twice as long.
_quoted = json.JSONEncoder(ensure_ascii=False).encode
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")


def json_array(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """Render an array with one object a line."""
    separator = "[\n  "
    for row in rows:
        yield separator + _json_object(columns, row)
        separator = ",\n  "
    yield "[]\n" if separator[0] == "[" else "\n]\n"


def json_single(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """Render the only row as an object with one field a line, null where there is no row."""
    objects = [_json_object(columns, row, ("{\n  ", ",\n  ", "\n}")) for row in rows]
    yield f"{objects[0] if objects else 'null'}\n"


def ndjson(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """Render one object a line."""
    for row in rows:
        yield _json_object(columns, row) + "\n"


def yaml_list(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """Render a sequence of mappings."""
    is_empty = True
    for row in rows:
        is_empty = False
        yield _yaml([_mapping(columns, row)])
    if is_empty:
        yield "[]\n"


def yaml_single(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """Render the only row as a mapping, null where there is no row."""
    mappings = [_yaml(_mapping(columns, row)) for row in rows]
    yield mappings[0] if mappings else "null\n"


def _json_object(columns: Sequence[Column], row: Row, layout: tuple[str, str, str] = ("{", ", ", "}")) -> str:
    opening, separator, closing = layout
    members = (
        f"{_quoted(column.name)}: {_json_value(column.kind, text)}"
        for column, text in zip(columns, row, strict=True)
    )
    return opening + separator.join(members) + closing


def _json_value(kind: Kind, text: str | None) -> str:
    """Write a machine text as JSON; numbers and nested JSON pass as they are, so no digit is lost."""
    if text is None:
        return "null"
    if kind in (Kind.BOOLEAN, Kind.JSON) or (kind in _INTEGER_KINDS and _INTEGER.fullmatch(text)):
        return text
    return _quoted(text)


def _mapping(columns: Sequence[Column], row: Row) -> dict[str, object]:
    return {
        column.name: json.loads(_json_value(column.kind, text), parse_float=Decimal)
        for column, text in zip(columns, row, strict=True)
    }


def _yaml(value: object) -> str:
    import yaml

    # A folded line would be read back the same, but grep and diff work on lines.
    return yaml.dump(value, Dumper=_exact_dumper(), sort_keys=False, allow_unicode=True, width=2**31)


@functools.cache
def _exact_dumper() -> "type[yaml.SafeDumper]":
    import yaml

    class ExactDumper(yaml.SafeDumper):
        """The safe dumper, which writes a decimal's own digits."""

    def decimal(dumper: yaml.SafeDumper, value: Decimal) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:float", str(value))

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # Line ends beyond \n are lost in any other style, and quoted a text keeps to one line.
        has_lines = len(f"{value}.".splitlines()) > 1
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if has_lines else None)

    ExactDumper.add_representer(Decimal, decimal)
    ExactDumper.add_representer(str, text)
    return ExactDumper
