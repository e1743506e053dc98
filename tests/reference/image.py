"""The reports on images and videos, recounted row by row."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from statistics import mean

from tests.database.watching import NOW, Tables, in_time
from tests.reference.rates import rounded
from tests.reference.source import Row

Key = Callable[[Row], object]
Fits = Callable[[Row], bool]


def every(_: Row) -> bool:
    """Want all rows."""
    return True


def place(url: str) -> str:
    """Tell where an image is."""
    if url.startswith("data:"):
        return "inline"
    return "bucket" if "/storage/v1/object/" in url else "elsewhere"


def model(row: Row) -> object:
    """Return an image's model."""
    return row["model_used"] if row["model"] is None else row["model"]


def of_provider(row: Row) -> object:
    """Return the provider in small letters."""
    return None if row["provider"] is None else row["provider"].lower()


def volume(name: str, key: Key) -> Callable[[Tables], Iterator[Row]]:
    """Recount the images made, by the value `key` gives."""

    def recount(tables: Tables) -> Iterator[Row]:
        for value, rows in grouped(in_time(tables["generated_images"], "created_at"), key).items():
            is_known = all("is_flagged" in row for row in rows)
            yield {
                **named(tables, name, value),
                "images": len(rows),
                "users": len({row["user_id"] for row in rows}),
                "favorites": sum(row["is_favorite"] is True for row in rows),
                "flagged": sum(row["is_flagged"] is True for row in rows) if is_known else None,
                "last_image": max(row["created_at"] for row in rows),
            }

    return recount


def videos(name: str, key: Key) -> Callable[[Tables], Iterator[Row]]:
    """Recount what became of the videos, by the value `key` gives."""

    def recount(tables: Tables) -> Iterator[Row]:
        for value, rows in grouped(in_time(tables["generated_videos"], "created_at"), key).items():
            took = [
                Fraction((row["completed_at"] - row["created_at"]) // timedelta(microseconds=1), 1_000_000)
                for row in rows
                if row["status"] == "completed" and row["completed_at"] is not None
            ]
            yield {
                **named(tables, name, value),
                **ends(rows),
                "average_seconds": rounded(mean(took), 3) if took else None,
            }

    return recount


def ends(rows: list[Row]) -> Row:
    """Recount the ends videos came to."""
    completed, failed, processing = (
        sum(row["status"] == status for row in rows) for status in ("completed", "failed", "processing")
    )
    finished = completed + failed
    return {
        "videos": len(rows),
        "completed": completed,
        "failed": failed,
        "processing": processing,
        "other": len(rows) - finished - processing,
        "finished": finished,
        "success_rate": Decimal(completed) / finished if finished else None,
    }


def began(row: Row) -> datetime | None:
    """Return when a video was ordered."""
    found: datetime | None = row["created_at"] or row["updated_at"]
    return found


def hanging(tables: Tables, before: datetime) -> list[Row]:
    """Return the videos in the making since before that time."""
    return [
        row
        for row in tables["generated_videos"]
        if row["status"] == "processing" and (start := began(row)) is not None and start < before
    ]


def stuck(tables: Tables) -> Iterator[Row]:
    """Recount the videos in the making for over a day."""
    emails = tables.emails()
    for row in hanging(tables, NOW - timedelta(hours=24)):
        start = began(row)
        assert start is not None
        yield {
            "id": row["id"],
            "email": emails[row["user_id"]],
            "provider": row["provider"],
            "progress": row["progress"],
            "began_at": start,
            "waiting_seconds": round((NOW - start).total_seconds()),
            "task_id": row["task_id"],
            "user_id": row["user_id"],
        }


def listing(wanted: Fits) -> Callable[[Tables], Iterator[Row]]:
    """Recount the images that are wanted."""

    def recount(tables: Tables) -> Iterator[Row]:
        for row in tables["generated_images"]:
            if wanted(row):
                yield {
                    "id": row["id"],
                    "email": tables.emails()[row["user_id"]],
                    "provider": row["provider"],
                    "model": model(row),
                    "type": row["generation_type"],
                    "place": place(row["image_url"]),
                    "moderation": row.get("moderation_status"),
                    "is_flagged": row.get("is_flagged"),
                    "flagged_reason": row.get("flagged_reason"),
                    "url_bytes": len(row["image_url"].encode()),
                    "prompt": row["prompt"][:200],
                    **{
                        name: row[name]
                        for name in ("created_at", "is_favorite", "width", "height", "user_id")
                    },
                }

    return recount


def waits(row: Row) -> bool:
    """Tell whether a row waits for a moderator."""
    return row.get("is_flagged") is True or row.get("moderation_status") in {"pending", "flagged"}


def queue(tables: Tables) -> Iterator[Row]:
    """Recount the images that wait."""
    for row in filter(waits, tables["generated_images"]):
        yield {
            "id": row["id"],
            "email": tables.emails()[row["user_id"]],
            "moderation": row["moderation_status"],
            "reason": row["flagged_reason"],
            "created_at": row["created_at"],
            "is_flagged": row["is_flagged"],
            "place": place(row["image_url"]),
            "prompt": row["prompt"][:200],
            "user_id": row["user_id"],
        }


def summary(tables: Tables) -> Iterator[Row]:
    """Recount everything."""
    images, films = tables["generated_images"], tables["generated_videos"]
    recent = in_time(images, "created_at")
    inline = [row["image_url"] for row in images if place(row["image_url"]) == "inline"]
    is_moderated = all("is_flagged" in row for row in images)
    became = ends(films)
    has_films = tables.has("generated_videos")
    of_films = {
        "videos": became["videos"],
        "videos_30d": len(in_time(films, "created_at")),
        **{
            f"videos_{name}": became[name]
            for name in ("completed", "failed", "processing", "other", "finished")
        },
        "video_success_rate": became["success_rate"],
        "videos_stuck": len(hanging(tables, NOW - timedelta(hours=24))),
    }
    yield {
        "images": len(images),
        "images_30d": len(recent),
        "users": len({row["user_id"] for row in images}),
        "users_30d": len({row["user_id"] for row in recent}),
        "in_bucket": sum(place(row["image_url"]) == "bucket" for row in images),
        "elsewhere": sum(place(row["image_url"]) == "elsewhere" for row in images),
        "inline": len(inline),
        "inline_bytes": sum(len(url) for url in inline),
        "favorites": sum(row["is_favorite"] is True for row in images),
        "flagged": sum(row["is_flagged"] is True for row in images) if is_moderated else None,
        "waiting": sum(map(waits, images)) if is_moderated else None,
        "collections": len(tables["image_collections"]),
        "collected": len({row["image_id"] for row in tables["image_collection_items"]}),
        **(of_films if has_films else dict.fromkeys(of_films)),
    }


def grouped(rows: Iterable[Row], key: Key) -> dict[object, list[Row]]:
    """Return the rows by what `key` gives."""
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def named(tables: Tables, name: str, value: object) -> Row:
    """Return what a report says of a group: the value, and of a user or an avatar a name beside the id."""
    if name == "user":
        return {"email": tables.emails()[value], "user_id": value}
    if name == "avatar":
        names = {row["id"]: row["name"] for row in tables["avatars"]}
        return {"avatar": names[value], "avatar_id": value}
    return {name: value}
