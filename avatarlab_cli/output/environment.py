"""The streams a command talks to and what they are connected to; tests put their own in its place."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO, TextIOWrapper
from typing import TextIO

from avatarlab_cli.output.text import visible

DEFAULT_SIZE = os.terminal_size((80, 24))


@dataclass(frozen=True)
class Environment:
    """Standard streams, variables, and what follows from them: colour, width, pager.

    stdout and stdin have a `buffer` for bytes, as the process's own have. `color` is auto, always or never.
    """

    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    env: Mapping[str, str] = field(default_factory=dict)
    stdin_is_tty: bool = False
    stdout_is_tty: bool = False
    stderr_is_tty: bool = False
    color: str = "auto"
    quiet: bool = False
    size: os.terminal_size = DEFAULT_SIZE

    @classmethod
    def create(
        cls, env: Mapping[str, str] | None = None, *, color: str = "auto", quiet: bool = False
    ) -> "Environment":
        """Describe the process's own streams as they are now."""
        # A process may be started without one: it has nothing to say.
        stdin = sys.stdin or TextIOWrapper(BytesIO())
        return cls(
            stdin,
            sys.stdout,
            sys.stderr,
            env=os.environ if env is None else env,
            stdin_is_tty=stdin.isatty(),
            stdout_is_tty=sys.stdout.isatty(),
            stderr_is_tty=sys.stderr.isatty(),
            color=color,
            quiet=quiet,
            size=_terminal_size(),
        )

    def use_color(self, is_tty: bool) -> bool:
        """Tell whether to colour what goes to a stream: the flag, then NO_COLOR, then FORCE_COLOR decide."""
        if self.color != "auto":
            return self.color == "always"
        if self.env.get("NO_COLOR"):
            return False
        if self.env.get("FORCE_COLOR", "0") not in ("", "0"):
            return True
        return is_tty and not self.is_dumb

    @property
    def is_dumb(self) -> bool:
        """Whether the terminal understands no escape sequences."""
        return self.env.get("TERM") == "dumb"

    @property
    def width(self) -> int:
        """Columns of the terminal; COLUMNS wins."""
        return _positive(self.env.get("COLUMNS")) or self.size.columns

    @property
    def height(self) -> int:
        """Lines of the terminal; LINES wins."""
        return _positive(self.env.get("LINES")) or self.size.lines

    @property
    def pager(self) -> str | None:
        """The command long tables are read in; nobody pages off a terminal, in CI or on a dumb terminal."""
        if not (self.stdout_is_tty and self.stdin_is_tty) or self.is_dumb or self.env.get("CI"):
            return None
        command = self.env.get("PAGER", "less").strip()
        if command == "less" and not shutil.which("less", path=self.env.get("PATH")):
            return None
        return None if command in ("", "cat") else command

    def say(self, message: str) -> None:
        """Write a notice to stderr, unless notices are off."""
        if not self.quiet:
            self.show(message)

    def show(self, message: str) -> None:
        """Write to stderr what was asked for, notices off or on."""
        self.stderr.write(f"{visible(message)}\n")


def _positive(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


def _terminal_size() -> os.terminal_size:
    for stream in (sys.__stdout__, sys.__stderr__, sys.__stdin__):
        try:
            size = os.get_terminal_size(stream.fileno()) if stream else None
        except (OSError, ValueError):
            continue
        if size and size.columns and size.lines:
            return size
    return DEFAULT_SIZE
