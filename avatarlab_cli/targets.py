"""What a changing verb is done to: the names on the command line, in a list of ids, or in a list's own CSV."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.naming import Naming
from avatarlab_cli.spool import Spool


def read_targets(
    naming: Naming, names: Sequence[str], ids_from: str | None, from_csv: str | None, into: Spool
) -> None:
    """Add each name and whether it was typed; raises UsageError where none is, or a file cannot be understood.

    A file that names nobody is an empty list.
    """
    for name in dict.fromkeys(_name(naming, each) for each in names):
        into.add((name, True))
    if ids_from is not None:
        _add_all(naming, _lines, ids_from, into)
    if from_csv is not None:
        _add_all(naming, _csv_names, from_csv, into)
    if not (names or ids_from or from_csv):
        hint = "name one or more, or give --ids-from FILE or --from-csv FILE (- is stdin)"
        raise UsageError(f"no {naming.noun} is named", hint=hint)


def _name(naming: Naming, text: str) -> str:
    name = naming.read(text)
    if not name or "\0" in name:
        raise UsageError(f"the name of {naming.one} is empty, or no text")
    return name


def _lines(stream: Iterable[str], naming: Naming) -> Iterator[str]:  # noqa: ARG001 (as the other way to read)
    return (line.strip() for line in stream if line.strip())


def _csv_names(stream: Iterable[str], naming: Naming) -> Iterator[str]:
    """Yield the column that names such a row: a list of keys names its users in user_id, a list of users in id."""
    rows = csv.DictReader(stream)
    wanted = (f"{naming.noun}_id", "id", naming.noun, "email", "name")
    column = next((name for name in wanted if name in (rows.fieldnames or ())), None)
    if column is None:
        raise UsageError(
            f"the CSV has no column that names {naming.one}", hint=f"it takes one of: {', '.join(wanted)}"
        )
    for row in rows:
        name = (row[column] or "").strip()
        if not name:
            raise UsageError(f"line {rows.line_num} of the CSV has no {column}")
        yield name


def _add_all(
    naming: Naming, parse: Callable[[Iterable[str], Naming], Iterator[str]], path: str, into: Spool
) -> None:
    with _opened(path) as stream:
        for name in parse(stream, naming):
            into.add((_name(naming, name), False))


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    try:
        if path == "-":
            if sys.stdin is None:
                raise UsageError("stdin is closed")
            # Windows begins a text with a mark, which is part of nobody's name.
            stream = TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
            yield stream
            stream.detach()
        else:
            with Path(path).open(encoding="utf-8-sig", newline="") as stream:
                yield stream
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {_shown(path)}: {why}") from error


def _shown(path: str | None) -> str:
    return "stdin" if path == "-" else str(path)
