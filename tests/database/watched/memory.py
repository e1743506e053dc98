"""The reports on memories."""

from avatarlab_cli.queries import memories
from tests.database.watching import SPAN, Case
from tests.reference import memory
from tests.reference.image import Fits, every


def _list(wanted: memories.Wanted, fits: Fits, label: str = "") -> Case:
    return Case(
        "memory list",
        lambda connection: memories.listing(connection, wanted),
        memory.listing(fits),
        label=label,
    )


CASES = (
    Case("memory summary", lambda connection: memories.summary(connection, SPAN), memory.summary),
    _list(memories.Wanted(), every),
    _list(memories.Wanted(has_problem=True), lambda row: row["problem"] is not None, "problems"),
)
