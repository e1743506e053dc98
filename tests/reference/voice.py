"""The reports on voices, recounted row by row."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.database.watching import NOW, SPAN, Tables, in_time
from tests.reference.rates import CHARACTERS, Rate, match, rounded
from tests.reference.source import Row, day_of
from tests.reference.storage import names_in_url, size_of

BEFORE = NOW - timedelta(days=1)
BUCKET = "voice-samples"


def decimal(value: Fraction | None) -> Decimal | None:
    """Return a fraction to many digits."""
    return None if value is None else Decimal(value.numerator) / Decimal(value.denominator)


def total(values: Iterable[Any]) -> Any:  # noqa: ANN401 (of whatever they are)
    """Return the sum of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def most(values: Iterable[Any]) -> Any:  # noqa: ANN401
    """Return the largest of what is known."""
    return max((value for value in values if value is not None), default=None)


def least(values: Iterable[Any]) -> Any:  # noqa: ANN401
    """Return the smallest of what is known."""
    return min((value for value in values if value is not None), default=None)


def grouped(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    """Return rows by the values of some columns: of one, the value itself."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        key = tuple(row[name] for name in names)
        groups.setdefault(key if len(names) > 1 else key[0], []).append(row)
    return groups


def _file(rows: Sequence[Row]) -> Row:
    first = min(rows, key=lambda row: (row["created_at"], row["id"]))
    return {
        "id": first["id"],
        "user_id": first["user_id"],
        "filename": first["filename"],
        "file_url": first["file_url"],
        "rows": len(rows),
        "bytes": most(row["file_size_bytes"] for row in rows),
        "seconds": most(row["duration_seconds"] for row in rows),
        "uploaded_at": first["created_at"],
        "is_used": any(row["voice_clone_id"] for row in rows),
    }


def files(tables: Tables) -> list[Row]:
    """Return each recording once."""
    return [_file(rows) for rows in grouped(tables["voice_samples"], "file_url").values()]


def files_of_clones(tables: Tables) -> dict[Any, list[Row]]:
    """Return the recordings of each clone."""
    found = grouped(tables["voice_samples"], "voice_clone_id", "file_url")
    clones: dict[Any, list[Row]] = {}
    for (clone, _), rows in found.items():
        if clone is not None:
            clones.setdefault(clone, []).append(_file(rows))
    return clones


def is_stuck(clone: Row) -> bool:
    """Tell whether a clone has been in training for more than a day."""
    return bool(clone["status"] == "training" and clone["created_at"] < BEFORE)


def by_status(tables: Tables) -> Iterator[Row]:
    """Recount the clones of each status, and the recordings without one."""
    made = files_of_clones(tables)
    for status, clones in grouped(tables["voice_clones"], "status").items():
        samples = [len(made.get(clone["id"], ())) for clone in clones]
        yield {
            "status": status,
            "clones": len(clones),
            "users": len({clone["user_id"] for clone in clones}),
            "stuck": sum(map(is_stuck, clones)),
            "samples": sum(samples),
            "samples_per_clone": rounded(Fraction(sum(samples), len(samples)), 3),
            "without_samples": samples.count(0),
            "oldest": least(clone["created_at"] for clone in clones),
            "newest": most(clone["created_at"] for clone in clones),
        }
    lone = [file for file in files(tables) if not file["is_used"]]
    if lone:
        yield {
            "status": "(no clone)",
            "clones": 0,
            "users": len({file["user_id"] for file in lone}),
            "stuck": 0,
            "samples": len(lone),
            "samples_per_clone": None,
            "without_samples": 0,
            "oldest": least(file["uploaded_at"] for file in lone),
            "newest": most(file["uploaded_at"] for file in lone),
        }


def clones(tables: Tables, *, stuck: bool = False) -> Iterator[Row]:
    """Recount each clone."""
    made, emails = files_of_clones(tables), tables.emails()
    for clone in tables["voice_clones"]:
        own = made.get(clone["id"], [])
        if is_stuck(clone) or not stuck:
            yield {
                "id": clone["id"],
                "name": clone["name"],
                "user_id": clone["user_id"],
                "email": emails[clone["user_id"]],
                "status": clone["status"],
                "is_stuck": is_stuck(clone),
                "age_seconds": seconds(clone["created_at"], NOW),
                "declared_samples": clone["sample_count"],
                "samples": len(own),
                "audio_seconds": total(file["seconds"] for file in own),
                "bytes": total(file["bytes"] for file in own),
                "created_at": clone["created_at"],
            }


def seconds(begin: datetime | None, end: datetime | None) -> Decimal | None:
    """Return how long something took, to the microsecond."""
    if begin is None or end is None:
        return None
    return Decimal((end - begin) // timedelta(microseconds=1)) / 10**6


def samples(tables: Tables, by: str) -> Iterator[Row]:
    """Recount the recordings by use, user or day."""
    emails = tables.emails()
    found = files(tables)
    for file in found:
        file["use"] = "in a clone" if file["is_used"] else "without clone"
        file["day"] = day_of(file["uploaded_at"])
    for key, each in grouped(found, "user_id" if by == "user" else by).items():
        yield {
            **({"user_id": key, "email": emails[key]} if by == "user" else {by: key}),
            "files": len(each),
            "rows": sum(file["rows"] for file in each),
            "bytes": total(file["bytes"] for file in each),
            "unsized_files": sum(file["bytes"] is None for file in each),
            "audio_seconds": total(file["seconds"] for file in each),
            "oldest": least(file["uploaded_at"] for file in each),
            "newest": most(file["uploaded_at"] for file in each),
        }


def recordings(tables: Tables, *, unused: bool = False) -> Iterator[Row]:
    """Recount each recording."""
    emails = tables.emails()
    for file in files(tables):
        if not (unused and file["is_used"]):
            yield {
                **{name: file[name] for name in ("id", "user_id", "filename", "is_used", "bytes", "rows")},
                "email": emails[file["user_id"]],
                "audio_seconds": file["seconds"],
                "uploaded_at": file["uploaded_at"],
            }


def spoken(rows: Iterable[Row], card: Sequence[Rate]) -> Row:
    """Return what speech came to."""
    characters, unpriced, cost, is_priced = 0, 0, Fraction(0), False
    found = list(rows)
    for row in found:
        length = len(row["text"] or "")
        _, price = match(card, "voice", CHARACTERS, ["elevenlabs"], day_of(row["created_at"]))
        characters += length
        if price is None:
            unpriced += length
        elif length:
            is_priced = True
            cost += Fraction(price) * length / 1000
    return {
        "generations": len(found),
        "characters": characters,
        "cost": decimal(cost) if is_priced or not characters else None,
        "unpriced": unpriced,
    }


def speech(tables: Tables, card: Sequence[Rate], by: str) -> Iterator[Row]:
    """Recount what was spoken, divided."""
    names = tables.emails() if by == "user" else {row["id"]: row["name"] for row in tables["voice_clones"]}
    column = {"user": "user_id", "voice": "voice_clone_id"}.get(by, by)
    rows = [
        {**row, "day": day_of(row["created_at"]), "provider": "elevenlabs"}
        for row in in_time(tables["tts_generations"], "created_at")
    ]
    for key, each in grouped(rows, column).items():
        told: Row = {column: key}
        if by in {"user", "voice"}:
            told["email" if by == "user" else by] = "(no clone)" if key is None else names[key]
        yield {**told, **spoken(each, card)}


def storage(tables: Tables) -> Iterator[Row]:
    """Recount the objects of the bucket, and what the tables name."""
    sample_keys = {key for row in tables["voice_samples"] for key in _keys(row["file_url"])}
    speech_keys = {key for row in tables["tts_generations"] for key in _keys(row["audio_url"])}
    recorded = files(tables)
    uses: dict[str, list[Row]] = {"samples": [], "speech": [], "other": []}
    for stored in tables["storage.objects"]:
        if stored["bucket_id"] == BUCKET:
            name = stored["name"]
            use = "samples" if name in sample_keys else "speech" if name in speech_keys else "other"
            uses[use].append(stored)
    urls = {row["audio_url"] for row in tables["tts_generations"]} - {None}
    sized = [file["bytes"] for file in recorded if file["bytes"] is not None]
    for use, stored_here in uses.items():
        sizes = [size_of(stored["metadata"]) for stored in stored_here]
        known = [size for size in sizes if size is not None]
        yield {
            "use": use,
            "objects": len(sizes),
            "bytes": sum(known) if known or not sizes else None,
            "unsized_objects": len(sizes) - len(known),
            "coverage": rounded(Fraction(len(known), len(sizes)), 6) if sizes else None,
            "files": {"samples": len(recorded), "speech": len(urls)}.get(use),
            "table_bytes": (sum(sized) if sized or not recorded else None) if use == "samples" else None,
            "table_coverage": rounded(Fraction(len(sized), len(recorded)), 6)
            if recorded and use == "samples"
            else None,
        }


def _keys(url: str | None) -> set[str]:
    return {key for bucket, key in names_in_url(url, BUCKET) if bucket == BUCKET}


def summary(tables: Tables, card: Sequence[Rate]) -> Iterator[Row]:
    """Recount the page of figures."""
    own, made, found = tables["voice_clones"], files_of_clones(tables), files(tables)
    speech_rows = tables["tts_generations"]
    recent = spoken(in_time(speech_rows, "created_at"), card)
    sized = [file["bytes"] for file in found if file["bytes"] is not None]
    yield {
        "clones": len(own),
        "active_clones": sum(clone["status"] == "active" for clone in own),
        "clones_in_training": sum(clone["status"] == "training" for clone in own),
        "clones_stuck": sum(map(is_stuck, own)),
        "clones_without_samples": sum(clone["id"] not in made for clone in own),
        "clones_30d": len(in_time(own, "created_at")),
        "samples": len(found),
        "sample_bytes": sum(sized) if sized or not found else None,
        "unsized_samples": len(found) - len(sized),
        "samples_without_clone": sum(not file["is_used"] for file in found),
        "samples_30d": len([f for f in found if SPAN.since <= f["uploaded_at"] < SPAN.until]),
        "generations": len(speech_rows),
        "characters": sum(len(row["text"]) for row in speech_rows),
        "generations_30d": recent["generations"],
        "characters_30d": recent["characters"],
        "cost_30d": recent["cost"],
        "unpriced_30d": recent["unpriced"],
    }
