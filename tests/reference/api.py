"""The reports on the API, recounted row by row."""

from collections.abc import Iterator
from statistics import mean

from tests.database.watching import Tables, in_time
from tests.reference.source import Row


def endpoints(tables: Tables) -> Iterator[Row]:
    """Recount the calls of each endpoint and method."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in in_time(tables["api_request_logs"], "created_at"):
        groups.setdefault((row["endpoint"], row["method"]), []).append(row)
    for (endpoint, method), rows in groups.items():
        times = [row["request_duration_ms"] for row in rows if row["request_duration_ms"] is not None]
        yield {
            "endpoint": endpoint,
            "method": method,
            "requests": len(rows),
            "users": len({row["user_id"] for row in rows} - {None}),
            "keys": len({row["api_key_id"] for row in rows} - {None}),
            "average_ms": mean(times) if times else None,
            "last_request": max(row["created_at"] for row in rows),
        }
