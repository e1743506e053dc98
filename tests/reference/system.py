"""The log of the system, picked out row by row."""

from collections.abc import Iterator

from tests.database.watching import Tables, in_time
from tests.reference.source import Row


def logs(
    tables: Tables, level: str | None = None, category: str | None = None, user: object = None
) -> Iterator[Row]:
    """Pick the entries of the time that are asked for."""
    for row in in_time(tables["system_logs"], "created_at"):
        wanted = ((level, row["level"]), (category, row["category"]), (user, row["user_id"]))
        if all(asked is None or asked == found for asked, found in wanted):
            kept = ("id", "created_at", "level", "category", "message", "metadata", "user_id", "session_id")
            yield {**{name: row[name] for name in kept}, "email": tables.emails().get(row["user_id"])}
