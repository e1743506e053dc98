"""The reports on conversations, recounted row by row."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import sqrt
from typing import Any

from tests.database.watching import SPAN, Tables, in_time
from tests.reference.source import Row

NOBODY = "(unattributed)"
Rows = Iterable[Row]


def summary(tables: Tables) -> Iterator[Row]:
    """Recount exchanges, ratings and patterns."""
    sent, chat = tables["conversations"], exchanges(tables)
    recently, chatted = in_time(sent, "timestamp"), in_time(chat, "created_at")
    good, bad = (_rated(tables["conversation_feedback"], word) for word in ("good", "bad"))
    good_30d, bad_30d = in_time(good, "created_at"), in_time(bad, "created_at")
    patterns = tables["conversation_patterns"]
    yield {
        "api_exchanges": len(sent),
        "api_exchanges_30d": len(recently),
        "customers": _distinct(sent, "phone_number"),
        "customers_30d": _distinct(recently, "phone_number"),
        "last_api_exchange": _last(sent, "timestamp"),
        "web_exchanges": len(chat),
        "web_exchanges_30d": len(chatted),
        "web_users_30d": _distinct(chatted, "user_id"),
        "last_web_exchange": _last(chat, "created_at"),
        "good": len(good),
        "bad": len(bad),
        "rate": share(len(good), len(good) + len(bad)),
        "good_30d": len(good_30d),
        "bad_30d": len(bad_30d),
        "rate_30d": share(len(good_30d), len(good_30d) + len(bad_30d)),
        "patterns": len(patterns),
        "patterns_used_30d": len(in_time(patterns, "updated_at")),
    }


def exchanges(tables: Tables) -> list[Row]:
    """Return the web chat's exchanges: each has one neutral row, whatever else was clicked."""
    return _rated(tables["conversation_feedback"], "neutral")


def volume(tables: Tables, by: str, avatar: object = None) -> Iterator[Row]:
    """Recount the exchanges of the time."""
    sent = _of(in_time(tables["conversations"], "timestamp"), avatar)
    chat = _of(in_time(exchanges(tables), "created_at"), avatar)
    if by == "channel":
        for name, rows, when, person in (
            ("api", sent, "timestamp", "phone_number"),
            ("web", chat, "created_at", "user_id"),
        ):
            yield {
                "channel": name,
                "exchanges": len(rows),
                "people": _distinct(rows, person),
                "avatars": _distinct(rows, "avatar_id"),
                "first": min((row[when] for row in rows), default=None),
                "last": _last(rows, when),
            }
        return
    owners = {row["id"]: row["user_id"] for row in tables["avatars"]}
    sent = [{**row, "user_id": owners.get(row["avatar_id"])} for row in sent]
    by_api, by_web = grouped(sent, by, "timestamp"), grouped(chat, by, "created_at")
    for key in {*by_api, *by_web, *periods(by)}:
        api, web = by_api.get(key, []), by_web.get(key, [])
        yield {
            **named(tables, by, key),
            "api": len(api),
            "web": len(web),
            "exchanges": len(api) + len(web),
            "customers": _distinct(api, "phone_number"),
            "chatters": _distinct(web, "user_id"),
        }


def feedback(tables: Tables, by: str, avatar: object = None) -> Iterator[Row]:
    """Recount the ratings of the time."""
    rows = _of(in_time(tables["conversation_feedback"], "created_at"), avatar)
    models = {row["id"]: _model(row) for row in tables["avatars"]}
    rows = [{**row, "model": models.get(row["avatar_id"])} for row in rows]
    groups = grouped(rows, by, "created_at")
    for key in {*groups, *periods(by)}:
        counts = {word: len(_rated(groups.get(key, []), word)) for word in ("good", "bad", "neutral")}
        rated = counts["good"] + counts["bad"]
        if by in {"day", "week"} or any(counts.values()):
            yield {**named(tables, by, key), **counts, "rated": rated, "rate": share(counts["good"], rated)}


def _model(avatar: Row) -> object:
    tuned = avatar["active_fine_tuned_model"] if avatar["use_fine_tuned_model"] else None
    return tuned or avatar["base_model"]


def quality(tables: Tables, least: int) -> Iterator[Row]:
    """Rank the avatars by Wilson's lower bound, as the textbook writes it."""
    found = []
    for key, rows in grouped(in_time(tables["conversation_feedback"], "created_at"), "avatar", "").items():
        good, bad = len(_rated(rows, "good")), len(_rated(rows, "bad"))
        if good + bad >= least:
            lower, upper = wilson(good, good + bad)
            figures = {"rated": good + bad, "good": good, "rate": share(good, good + bad)}
            found.append({**named(tables, "avatar", key), **figures, "lower": lower, "upper": upper})
    for row in found:
        yield {**row, "rank": 1 + sum(other["lower"] > row["lower"] for other in found)}


def wilson(good: int, rated: int) -> tuple[float, float]:
    """Return the 95 % score interval: the shares that lie 1.96 standard deviations from the one observed."""
    z, rate = 1.959963984540054, good / rated
    middle = (rate + z * z / (2 * rated)) / (1 + z * z / rated)
    margin = z / (1 + z * z / rated) * sqrt(rate * (1 - rate) / rated + z * z / (4 * rated * rated))
    return round(max(middle - margin, 0), 6), round(min(middle + margin, 1), 6)


def patterns(tables: Tables, avatar: object = None) -> Iterator[Row]:
    """Recount nothing: list them."""
    emails, names = tables.emails(), _names(tables)
    for row in _of(tables["conversation_patterns"], avatar):
        yield {
            "pattern_id": row["id"],
            "triggers": ", ".join(row["trigger_words"]),
            "type": row["pattern_type"],
            "avatar": names.get(row["avatar_id"]),
            "avatar_id": row["avatar_id"],
            "email": emails.get(row["user_id"]),
            "uses": row["usage_count"],
            "success_rate": row["success_rate"],
            "created_at": row["created_at"],
            "last_used": row["updated_at"],
        }


def divided_patterns(tables: Tables, by: str, avatar: object = None) -> Iterator[Row]:
    """Recount patterns by avatar or type."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in _of(tables["conversation_patterns"], avatar):
        groups[row["avatar_id" if by == "avatar" else "pattern_type"]].append(row)
    for key, rows in groups.items():
        uses = [row["usage_count"] for row in rows if row["usage_count"] is not None]
        yield {
            **named(tables, by, key),
            "patterns": len(rows),
            "uses": sum(uses) if uses else None,
            "new": len(in_time(rows, "created_at")),
            "used": len(in_time(rows, "updated_at")),
            "average_success": mean([row["success_rate"] for row in rows], 6),
            "last_used": _last(rows, "updated_at"),
        }


def weeks_of_patterns(tables: Tables) -> Iterator[Row]:
    """Recount by week which were learned, and which used last."""
    rows = tables["conversation_patterns"]
    new, used = (grouped(in_time(rows, when), "week", when) for when in ("created_at", "updated_at"))
    for key in periods("week"):
        yield {"week": key, "new": len(new.get(key, [])), "used": len(used.get(key, []))}


def search(tables: Tables, text: str) -> Iterator[Row]:
    """Look for the text in every exchange of the time."""
    names = _names(tables)
    found = [
        *(
            (row, row["timestamp"], "api", (row["text"],))
            for row in in_time(tables["conversations"], "timestamp")
        ),
        *(
            (row, row["created_at"], "web", (row["user_message"], row["avatar_response"]))
            for row in in_time(exchanges(tables), "created_at")
        ),
    ]
    hits = [
        (row, when, channel, next((s for s in said if text.lower() in s.lower()), None))
        for row, when, channel, said in found
    ]
    hits = [hit for hit in hits if hit[3] is not None]
    for row, when, channel, said in hits:
        place = str(said).lower().index(text.lower())
        begin = max(place - 300, 0)
        yield {
            "exchange_id": row["id"],
            "time": when,
            "channel": channel,
            "avatar_id": row["avatar_id"],
            "avatar": names.get(row["avatar_id"]),
            "phone_number": row.get("phone_number"),
            "passage": str(said)[begin : begin + 600 + len(text)],
            "position": place - begin + 1,
            "found": len(hits),
        }


def grouped(rows: Rows, by: str, when: str) -> dict[Any, list[Row]]:
    """Return the rows by a dimension's key."""
    keys: Mapping[str, Callable[[Row], Any]] = {
        "day": lambda row: row[when].date(),
        "week": lambda row: row[when].date() - timedelta(days=row[when].weekday()),
        "month": lambda row: row[when].date().replace(day=1),
        "avatar": lambda row: row["avatar_id"],
        "user": lambda row: row["user_id"],
        "model": lambda row: row["model"],
    }
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[keys[by](row)].append(row)
    return groups


def periods(by: str) -> set[date]:
    """Return each day, Monday or first of a month the time touches; of other dimensions nothing."""
    if by not in {"day", "week", "month"}:
        return set()
    day, found = SPAN.since.date(), set()
    while day <= SPAN.until.date():
        found.add({"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[by])
        day += timedelta(days=1)
    return found


def named(tables: Tables, by: str, key: Any) -> Row:  # noqa: ANN401 (whatever a dimension's key is)
    """Return the columns that name a key."""
    emails = tables.emails()
    if by == "user":
        return {"user_id": key, "email": NOBODY if key is None else emails.get(key)}
    if by == "avatar":
        owners = {row["id"]: row["user_id"] for row in tables["avatars"]}
        return {
            "avatar_id": key,
            "avatar": _names(tables).get(key),
            "owner": emails.get(owners.get(key)),
        }
    return {by: key}


def share(part: int, whole: int) -> Decimal | None:
    """Return part of whole to six digits, halves rounded up."""
    return exactly(Fraction(part, whole), 6) if whole else None


def mean(values: Iterable[Any], digits: int = 3) -> Decimal | None:
    """Return the mean of the values that are known, to so many digits."""
    known = [Fraction(str(value)) for value in values if value is not None]
    return exactly(sum(known, Fraction(0)) / len(known), digits) if known else None


def exactly(value: Fraction, digits: int) -> Decimal:
    """Return a number that is not negative to so many digits, halves rounded up."""
    return Decimal(int(value * 10**digits + Fraction(1, 2))).scaleb(-digits)


def _rated(rows: Rows, word: str) -> list[Row]:
    return [row for row in rows if row["feedback"] == word]


def _of(rows: Rows, avatar: object) -> list[Row]:
    return [row for row in rows if avatar is None or row["avatar_id"] == avatar]


def _distinct(rows: Rows, column: str) -> int:
    return len({row[column] for row in rows} - {None})


def _last(rows: Rows, column: str) -> Any:  # noqa: ANN401 (a time, or nothing)
    return max((row[column] for row in rows if row[column] is not None), default=None)


def _names(tables: Tables) -> dict[Any, str]:
    return {row["id"]: row["name"] for row in tables["avatars"]}
