"""Streams in memory, in the place of the process's own."""

import io
import os
from collections.abc import Mapping

from avatarlab_cli.output.environment import Environment


class Streams:
    """An Environment whose output can be read: a terminal of a given size, or a pipe."""

    def __init__(
        self,
        *,
        terminal: bool = False,
        size: tuple[int, int] = (80, 24),
        color: str = "never",
        quiet: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._out = io.BytesIO()
        self._err = io.BytesIO()
        self.environment = Environment(
            io.TextIOWrapper(io.BytesIO(), "utf-8"),
            io.TextIOWrapper(self._out, "utf-8", write_through=True),
            io.TextIOWrapper(self._err, "utf-8", write_through=True),
            env={"PAGER": "cat"} if env is None else env,
            stdin_is_tty=terminal,
            stdout_is_tty=terminal,
            stderr_is_tty=terminal,
            color=color,
            quiet=quiet,
            size=os.terminal_size(size),
        )

    @property
    def out(self) -> str:
        """What was written to stdout."""
        return self._out.getvalue().decode()

    @property
    def err(self) -> str:
        """What was written to stderr."""
        return self._err.getvalue().decode()
