"""This process: what it says of itself in run records and audit entries, and when it is told to end."""

import getpass
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from avatarlab_cli.errors import Terminated

_GENTLY = b"\navatarlab: ends after what is under way; Ctrl-C once more ends at once\n"


def host() -> str:
    """Return the name of this machine."""
    return platform.node()


def os_user() -> str:
    """Return the operating system's user, by number where the number has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


class Ending:
    """Whether this process was told to end by SIGINT or SIGTERM; a second signal takes effect at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._is_resting = False
        self._before = {
            number: handler
            for number in (signal.SIGINT, signal.SIGTERM)
            # What a shell has its background jobs ignore stays ignored.
            if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
        }

    def is_told(self) -> bool:
        """Tell whether a signal came."""
        return self.number is not None

    def heed(self) -> None:
        """Raise what the signal stands for, KeyboardInterrupt or Terminated, if one came."""
        if self.number is not None:
            raise KeyboardInterrupt if self.number == signal.SIGINT else Terminated

    def rest(self, seconds: float) -> None:
        """Sleep; a signal ends it, now or then, as `heed` does."""
        self._is_resting = True
        try:
            self.heed()
            time.sleep(seconds)
        finally:
            self._is_resting = False

    def begin(self) -> None:
        """Take the signals over."""
        for number in self._before:
            signal.signal(number, self.note)

    def end(self) -> None:
        """Leave the signals to whoever had them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Remember a signal; the second one goes to whoever had them before."""
        if self.is_told():
            self.end()
            signal.raise_signal(number)
            return
        self.number = number
        if self._is_resting:
            self.heed()
        elif number == signal.SIGINT and os.isatty(2):
            # The stream itself may be in the middle of a line.
            os.write(2, _GENTLY)


@contextmanager
def signals_deferred() -> Iterator[Ending]:
    """Let what is begun be finished: the block can ask whether SIGINT or SIGTERM came, and it takes effect at its end.

    A block within another is part of it. Python gives signals to the main thread alone, so elsewhere none comes.
    """
    outer = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if isinstance(outer, Ending) or threading.current_thread() is not threading.main_thread():
        yield outer if isinstance(outer, Ending) else Ending()
        return
    ending = Ending()
    ending.begin()
    try:
        yield ending
    finally:
        ending.end()
    if ending.number is not None:
        signal.raise_signal(ending.number)
