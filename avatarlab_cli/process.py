"""This process: what it says of itself in run records and audit entries, and when it is told to end."""

import getpass
import os
import platform
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def host() -> str:
    """Return the name of this machine."""
    return platform.node()


def os_user() -> str:
    """Return the operating system's user, by number where the number has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@contextmanager
def signals_deferred() -> Iterator[Callable[[], bool]]:
    """Let what is begun be finished: the block can ask whether SIGINT or SIGTERM came, and it takes effect at its end.

    A second signal takes effect at once.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    arrived: list[int] = []

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(arrived)
    finally:
        restore()
    if arrived:
        signal.raise_signal(arrived[0])
