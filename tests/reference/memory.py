"""The reports on memories, recounted row by row."""

from collections.abc import Callable, Iterator

from tests.database.watching import Tables, in_time
from tests.reference.image import Fits, grouped
from tests.reference.source import Row


def problem(images: list[Row]) -> str | None:
    """Tell what is wrong with a memory's images."""
    if not images:
        return "no image"
    primaries = sum(image["is_primary"] for image in images)
    return {0: "no primary image", 1: None}.get(primaries, "several primary images")


def listing(wanted: Fits) -> Callable[[Tables], Iterator[Row]]:
    """Recount the memories that are wanted; `wanted` sees the row with its problem."""

    def recount(tables: Tables) -> Iterator[Row]:
        images = grouped(tables["memory_images"], lambda image: image["memory_id"])
        names = {row["id"]: row["name"] for row in tables["avatars"]}
        for row in tables["avatar_memories"]:
            own = images.get(row["id"], [])
            if wanted(row | {"problem": problem(own)}):
                yield {
                    "avatar": names[row["avatar_id"]],
                    "email": tables.emails().get(row["user_id"]),
                    "images": len(own),
                    "problem": problem(own),
                    "is_user_gone": row["user_id"] not in tables.emails(),
                    "title": None if row["is_private"] else row["title"][:80],
                    **{name: row[name] for name in ("id", "memory_date", "is_private", "created_at")},
                    **{name: row[name] for name in ("is_favorite", "avatar_id", "user_id")},
                }

    return recount


def summary(tables: Tables) -> Iterator[Row]:
    """Recount everything."""
    rows, images = tables["avatar_memories"], tables["memory_images"]
    of_memory = grouped(images, lambda image: image["memory_id"])
    problems = [problem(of_memory.get(row["id"], [])) for row in rows]
    yield {
        "memories": len(rows),
        "memories_30d": len(in_time(rows, "created_at")),
        "users": len({row["user_id"] for row in rows}),
        "avatars": len({row["avatar_id"] for row in rows}),
        "private": sum(row["is_private"] for row in rows),
        "favorites": sum(row["is_favorite"] for row in rows),
        "user_gone": sum(row["user_id"] not in tables.emails() for row in rows),
        "without_image": problems.count("no image"),
        "without_primary": problems.count("no primary image"),
        "several_primary": problems.count("several primary images"),
        "images": len(images),
        "captioned": sum(bool(row["caption"]) for row in images),
    }
