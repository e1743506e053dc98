"""A list that may be long, kept outside memory: what a bulk command was given, and what became of it."""

import json
import tempfile
from collections.abc import Iterator
from typing import Any, Self

# Most commands stay far below it, and touch no disk.
_IN_MEMORY = 16 * 1024**2


class Spool:
    """JSON values in the order they were added; they may be read again and again until it is closed.

    A `secret` one never reaches a disk.
    """

    def __init__(self, *, secret: bool = False) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 (closed with the spool)
            max_size=0 if secret else _IN_MEMORY, mode="w+", encoding="utf-8"
        )
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)
        self._file.seek(0, 2)

    def add(self, value: Any) -> None:  # noqa: ANN401 (whatever JSON can hold)
        """Add a value; what JSON does not know becomes text."""
        self._file.write(json.dumps(value, default=str) + "\n")
        self._count += 1
