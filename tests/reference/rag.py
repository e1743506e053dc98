"""The reports on retrieval, recounted row by row."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from fractions import Fraction
from statistics import median
from typing import Any

from tests.database.watching import Tables, in_time
from tests.reference.conversation import exactly, grouped, mean, named, periods, share
from tests.reference.source import Row

STATUSES = {"processed": "processed", "pending": "pending", "errors": "error"}


def summary(tables: Tables) -> Iterator[Row]:
    """Recount searches, files and chunks."""
    logged, files, chunks = (
        tables[name] for name in ("rag_search_logs", "avatar_knowledge_files", "document_chunks")
    )
    recent = in_time(logged, "created_at")
    counted = [row["chunks_found"] for row in recent if row["chunks_found"] is not None]
    yield {
        "searches": len(logged),
        "searches_30d": len(recent),
        "without_result_30d": counted.count(0),
        "empty_rate_30d": share(counted.count(0), len(counted)),
        "average_results_30d": mean(counted),
        "average_similarity_30d": _similarity(recent),
        "last_search": max((row["created_at"] for row in logged), default=None),
        "files": len(files),
        "files_30d": len(in_time(files, "uploaded_at")),
        **_by_status(files),
        "bytes": sum(row["file_size"] for row in files),
        "chunks": len(chunks),
        "without_embedding": sum(not row["embedding"] for row in chunks),
    }


def searches(tables: Tables, by: str, avatar: object = None) -> Iterator[Row]:
    """Recount the searches of the time."""
    rows = in_time(tables["rag_search_logs"], "created_at")
    groups = grouped([row for row in rows if avatar is None or row["avatar_id"] == avatar], by, "created_at")
    for key in {*groups, *periods(by)}:
        found = groups.get(key, [])
        counted = [row["chunks_found"] for row in found if row["chunks_found"] is not None]
        yield {
            **named(tables, by, key),
            "searches": len(found),
            "counted": len(counted),
            "results": sum(counted),
            "average_results": mean(counted),
            "without_result": counted.count(0),
            "empty_rate": share(counted.count(0), len(counted)),
            "similar": sum(_score(row) is not None for row in found),
            "similarity": _similarity(found),
        }


def slow(tables: Tables) -> Iterator[Row]:
    """Recount how long the API's requests took."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in in_time(tables["api_request_logs"], "created_at"):
        groups[row["endpoint"], row["method"]].append(row)
    for (endpoint, method), rows in groups.items():
        times = sorted(row["request_duration_ms"] for row in rows if row["request_duration_ms"] is not None)
        yield {
            "endpoint": endpoint,
            "method": method,
            "requests": len(rows),
            "timed": len(times),
            "median_ms": _quantile(times, Fraction(1, 2)),
            "p95_ms": _quantile(times, Fraction(19, 20)),
            "longest_ms": max(times, default=None),
        }


def _quantile(ordered: list[int], part: Fraction) -> object:
    """Return the value that so great a part lies below, between two in proportion."""
    if not ordered:
        return None
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return exactly(ordered[below] + (place - below) * (ordered[above] - ordered[below]), 3)


def files(tables: Tables, by: str, pending_before: datetime, user: object = None) -> Iterator[Row]:
    """Recount the files by their status."""
    column = {
        "user": "user_id",
        "avatar": "avatar_id",
        "status": "processing_status",
        "error": "processing_error",
    }
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in tables["avatar_knowledge_files"]:
        if user is None or row["user_id"] == user:
            groups[row[column[by]]].append(row)
    for key, rows in groups.items():
        waiting = [row["uploaded_at"] for row in rows if row["processing_status"] == "pending"]
        yield {
            **named(tables, by, key),
            "files": len(rows),
            **_by_status(rows),
            "stuck": sum(moment < pending_before for moment in waiting),
            "other": sum(row["processing_status"] not in STATUSES.values() for row in rows),
            "with_message": sum(row["processing_error"] is not None for row in rows),
            "bytes": sum(row["file_size"] for row in rows),
            "oldest_pending": min(waiting, default=None),
        }


def chunks(
    tables: Tables, *, only_problems: bool = False, user: object = None, avatar: object = None
) -> Iterator[Row]:
    """Look at every chunk of every file."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in tables["document_chunks"]:
        groups[row["knowledge_file_id"]].append(row)
    for file in tables["avatar_knowledge_files"]:
        if (user is None or file["user_id"] == user) and (avatar is None or file["avatar_id"] == avatar):
            found = _chunked(groups[file["id"]])
            if found["problems"] or not only_problems:
                names = named(tables, "avatar", file["avatar_id"])
                yield {
                    "file_id": file["id"],
                    "file": file["original_name"],
                    "avatar": names["avatar"],
                    "avatar_id": file["avatar_id"],
                    "email": tables.emails().get(file["user_id"]),
                    "status": file["processing_status"],
                    **found,
                }


def _chunked(rows: list[Row]) -> Row:
    texts = [row["chunk_text"] for row in rows]
    sizes = [len(text) for text in texts]
    empty = sum(not text.strip(" \t\r\n") for text in texts)
    duplicated = len(texts) - len(set(texts))
    bare = sum(not row["embedding"] for row in rows)
    said = ((empty, "empty"), (duplicated, "duplicated"), (bare, "without embedding"))
    problems = ["no chunk"] if not rows else [f"{count} {word}" for count, word in said if count]
    return {
        "chunks": len(rows),
        "smallest": min(sizes, default=None),
        "median": median(sizes) if sizes else None,
        "largest": max(sizes, default=None),
        "empty": empty,
        "duplicated": duplicated,
        "without_embedding": bare,
        "problems": ", ".join(problems) or None,
    }


def _by_status(rows: Iterable[Row]) -> Row:
    found = [row["processing_status"] for row in rows]
    return {name: found.count(status) for name, status in STATUSES.items()}


def _similarity(rows: Iterable[Row]) -> object:
    return mean(map(_score, rows))


def _score(row: Row) -> float | None:
    score = row["top_similarity_score"]
    return score if score and math.isfinite(score) else None
