"""The reports on the API, recounted row by row."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from tests.database.watching import TODAY, Tables, in_time
from tests.reference.rates import rounded
from tests.reference.source import Row

STATUSES = ("active", "expired", "inactive", "revoked")


def summary(tables: Tables) -> Iterator[Row]:
    """Recount the keys and the requests."""
    every, log = tables["platform_api_keys"], tables["api_request_logs"]
    recent = in_time(log, "created_at")
    times = [row["created_at"] for row in log if row["created_at"] is not None]
    uses = [row["request_count"] or 0 for row in every]
    yield {
        "keys": len(every),
        **{f"keys_{status}": [_status(key) for key in every].count(status) for status in STATUSES},
        "keys_other": sum(_status(key) not in STATUSES for key in every),
        "keys_never_used": sum(key["last_used_at"] is None and not key["request_count"] for key in every),
        "key_owners": len({key["user_id"] for key in every}),
        "counted_requests": sum(uses),
        "logged_requests": len(log),
        "undated_requests": len(log) - len(times),
        "first_request": min(times, default=None),
        "last_request": max(times, default=None),
        "requests_30d": len(recent),
        "requests_per_day_30d": rounded(Fraction(len(_before_today(recent)), 29), 2),
        "keys_used_30d": _different(recent, "api_key_id"),
        "users_30d": _different(recent, "user_id"),
        "endpoints_30d": _different(recent, "endpoint"),
        "average_ms_30d": _average(recent),
    }


def keys(tables: Tables) -> Iterator[Row]:
    """Recount each key's requests, and those without a key."""
    recent = in_time(tables["api_request_logs"], "created_at")
    groups = _grouped(recent, lambda row: row["api_key_id"])
    every = {key["id"]: key for key in tables["platform_api_keys"]}
    for name in every.keys() | groups.keys():
        key, rows = every.get(name, {}), groups.get(name, [])
        called = sorted({row["endpoint"] for row in rows}, key=str.encode)
        yield {
            "id": name,
            "email": tables.emails().get(key.get("user_id")),
            "prefix": key["api_key_prefix"] if key else "(no key)",
            "status": _status(key) if key else None,
            "requests": len(rows),
            "share": _share(rows, recent),
            "endpoints": len(called),
            "called": ", ".join(called),
            "last_request": max((row["created_at"] for row in rows), default=None),
            "user_id": key.get("user_id"),
            "name": key.get("key_name"),
            "created_at": key.get("created_at"),
            "last_used_at": key.get("last_used_at"),
        }


def endpoints(tables: Tables) -> Iterator[Row]:
    """Recount the calls of each endpoint and method."""
    recent = in_time(tables["api_request_logs"], "created_at")
    for (endpoint, method), rows in _grouped(recent, lambda row: (row["endpoint"], row["method"])).items():
        yield {
            "endpoint": endpoint,
            "method": method,
            "requests": len(rows),
            "share": _share(rows, recent),
            "users": _different(rows, "user_id"),
            "keys": _different(rows, "api_key_id"),
            "average_ms": _average(rows),
            "last_request": max(row["created_at"] for row in rows),
        }


def users(tables: Tables) -> Iterator[Row]:
    """Recount each user's calls: their own, else their key's owner's."""
    recent = in_time(tables["api_request_logs"], "created_at")
    owners = {key["id"]: key["user_id"] for key in tables["platform_api_keys"]}
    groups = _grouped(recent, lambda row: row["user_id"] or owners.get(row["api_key_id"]))
    for user, rows in groups.items():
        yield {
            "user_id": user,
            "email": "(unattributed)" if user is None else tables.emails().get(user),
            "requests": len(rows),
            "share": _share(rows, recent),
            "keys": _different(rows, "api_key_id"),
            "endpoints": _different(rows, "endpoint"),
            "last_request": max(row["created_at"] for row in rows),
        }


def gaps(tables: Tables, *, is_every: bool = False) -> Iterator[Row]:
    """Recount where keys and log differ."""
    groups = _grouped(tables["api_request_logs"], lambda row: row["api_key_id"])
    every = {key["id"]: key for key in tables["platform_api_keys"]}
    for name in every.keys() | groups.keys():
        key, rows = every.get(name), groups.get(name, [])
        counted = 0 if key is None else key["request_count"] or 0
        times = [row["created_at"] for row in rows if row["created_at"] is not None]
        found: dict[str, Any] = {
            "missing": None if key is None else max(counted - len(rows), 0),
            "surplus": None if key is None else max(len(rows) - counted, 0),
            "no_user": sum(row["user_id"] is None for row in rows),
            "no_time": len(rows) - len(times),
        }
        if is_every or key is None or any(found.values()):
            yield {
                "id": name,
                "email": tables.emails().get(key and key["user_id"]),
                "prefix": key["api_key_prefix"] if key else "(no key)",
                "counted": None if key is None else counted,
                "logged": len(rows),
                **found,
                "first_request": min(times, default=None),
                "user_id": key and key["user_id"],
            }


def _status(key: Row) -> str | None:
    ends = key["expires_at"]
    is_over = key["status"] == "active" and ends is not None and ends <= datetime.now(UTC)
    return "expired" if is_over else key["status"]


def _grouped(rows: list[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _before_today(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["created_at"].astimezone(UTC).date() < TODAY]


def _different(rows: list[Row], column: str) -> int:
    return len({row[column] for row in rows} - {None})


def _share(part: list[Row], whole: list[Row]) -> Decimal | None:
    return round(Decimal(len(part)) / len(whole), 6) if whole else None


def _average(rows: list[Row]) -> Decimal | None:
    times = [row["request_duration_ms"] for row in rows if row["request_duration_ms"] is not None]
    return rounded(Fraction(sum(times), len(times)), 3) if times else None


def unusual(
    tables: Tables, day: date, days: int = 28, at_least: int = 20, threshold: Decimal = Decimal(6)
) -> Iterator[Row]:
    """Judge each key's day anew, by sorting what it did on each day before."""
    first = day - timedelta(days=days)
    every = {key["id"]: key for key in tables["platform_api_keys"]}
    for name, counts in _by_day(tables, first, day).items():
        key = every.get(name, {})
        history = _history(key, counts, first, day)
        finding = _finding(history, counts, day, at_least, threshold) if len(history) >= 7 else None
        if finding is not None:
            yield {
                "day": day,
                "id": name,
                "email": tables.emails().get(key.get("user_id")),
                "prefix": key.get("api_key_prefix"),
                "finding": finding,
                "requests": counts.get(day, 0),
                "median": _middle(history),
                "farthest": max(history) if finding == "above" else min(history),
                "score": _score(history, counts.get(day, 0)),
                "silent_days": (day - max(counts)).days,
                "days": len(history),
                "user_id": key.get("user_id"),
            }


def too_new(tables: Tables, day: date, days: int = 28, at_least: int = 20) -> int:
    """Count the keys that a day of enough requests cannot be judged of."""
    first = day - timedelta(days=days)
    every = {key["id"]: key for key in tables["platform_api_keys"]}
    return sum(
        counts.get(day, 0) >= at_least and len(_history(every.get(name, {}), counts, first, day)) < 7
        for name, counts in _by_day(tables, first, day).items()
    )


def _by_day(tables: Tables, first: date, last: date) -> dict[Any, Counter[date]]:
    found: dict[Any, Counter[date]] = {}
    for row in tables["api_request_logs"]:
        on = row["created_at"] and row["created_at"].astimezone(UTC).date()
        if row["api_key_id"] is not None and on is not None and first <= on <= last:
            found.setdefault(row["api_key_id"], Counter())[on] += 1
    return found


def _history(key: Row, counts: Counter[date], first: date, day: date) -> list[int]:
    made = key.get("created_at")
    begin = min([*counts, *([made.astimezone(UTC).date()] if made else [])])
    begin = max(begin, first)
    return [counts.get(begin + timedelta(days=n), 0) for n in range((day - begin).days)]


def _finding(
    history: list[int], counts: Counter[date], day: date, at_least: int, threshold: Decimal
) -> str | None:
    requests, used = counts.get(day, 0), sorted(counts)
    score = _score(history, requests)
    pauses = [(after - before).days - 1 for before, after in pairwise(used)]
    if max(requests, _middle(history)) < at_least:
        return None
    if (day - used[-1]).days > max(pauses, default=0):
        return "silent"
    if requests > max(history) and (score is None or score >= threshold):
        return "above"
    return "below" if requests < min(history) and score is not None and score >= threshold else None


def _middle(values: list[Any]) -> Any:  # noqa: ANN401 (of whatever they are)
    return sorted(values)[(len(values) - 1) // 2]


def _score(history: list[int], requests: int) -> Decimal | None:
    median = _middle(history)
    usual = Decimal("1.4826") * _middle([abs(each - median) for each in history])
    distance = max(usual, Decimal(median) / 10)
    return round(abs(requests - median) / distance, 2) if distance else None
