"""What systemd's timers and crontabs have in common: they are installed, compared with what should be, and removed."""

from collections.abc import Iterator
from typing import Protocol

from avatarlab_cli.report import Column, Kind
from jobs.timers.program import Program

COLUMNS = (
    Column("what", Kind.ID, "the file, timer or crontab"),
    Column("state", help="what was done with it, or how it is"),
)
DIFFERENCES = (*COLUMNS, Column("more", help="what should be instead"))
Row = dict[str, object]


class Manager(Protocol):
    """One way to have jobs run by themselves, for the system or for one user.

    `name` is the option that chooses it. Each raises an AvatarLabError that says what to do.
    """

    name: str

    def places(self) -> list[str]:
        """Return what is there of ours."""

    def files(self, program: Program) -> dict[str, str]:
        """Return the text of every file by its path, as it should be."""

    def install(self, program: Program) -> Iterator[Row]:
        """Bring about what should be, and yield what was done; what is so already stays as it is."""

    def differences(self, program: Program) -> Iterator[Row]:
        """Yield what is not as it should be."""

    def remove(self) -> Iterator[Row]:
        """Take away all that is ours, and yield it."""

    def notes(self) -> Iterator[str]:
        """Yield what an installation still needs, as far as can be seen."""


def first_difference(found: str, wanted: str) -> str:
    """Return the first line that should be and is not, or the first that is and should not be."""
    there, due = found.splitlines(), wanted.splitlines()
    missing = next((line for line in due if line not in there), None)
    if missing is not None:
        return missing
    surplus = next((line for line in there if line not in due), None)
    return "the lines in another order" if surplus is None else f"without: {surplus}"
