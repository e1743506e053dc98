"""The reports on avatars, recounted row by row."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from tests.database.watching import NOW, Tables, in_time
from tests.reference.image import Fits, waits
from tests.reference.source import Row


def owner(tables: Tables, row: Row) -> str | None:
    """Return what a report calls an avatar's owner."""
    return "(unattributed)" if row["user_id"] is None else tables.emails()[row["user_id"]]


def is_due(row: Row, before: datetime) -> bool:
    """Tell whether a deleted avatar should be gone before that time."""
    day = row["scheduled_hard_delete_at"]
    return row["status"] == "deleted" and day is not None and day < before


def listing(wanted: Fits) -> Callable[[Tables], Iterator[Row]]:
    """Recount the avatars that are wanted."""

    def recount(tables: Tables) -> Iterator[Row]:
        for row in tables["avatars"]:
            if wanted(row):
                yield {
                    "email": owner(tables, row),
                    "moderation": row.get("moderation_status"),
                    "is_flagged": row.get("is_flagged"),
                    "fine_tuned_model": row["active_fine_tuned_model"]
                    if row["use_fine_tuned_model"]
                    else None,
                    **{name: row[name] for name in ("id", "name", "status", "created_at", "is_public")},
                    **{
                        name: row[name]
                        for name in ("is_marketplace_item", "base_model", "deleted_at", "user_id")
                    },
                }

    return recount


def summary(tables: Tables) -> Iterator[Row]:
    """Recount everything."""
    rows, templates = tables["avatars"], tables["avatar_templates"]
    statuses = Counter(row["status"] for row in rows)
    is_moderated = all("is_flagged" in row for row in rows)
    yield {
        "avatars": len(rows),
        **{status: statuses[status] for status in ("active", "archived", "deleted")},
        "without_status": statuses[None],
        "overdue": sum(is_due(row, NOW) for row in rows),
        "created_30d": len(in_time(rows, "created_at")),
        "owners": len({row["user_id"] for row in rows} - {None}),
        "without_owner": sum(row["user_id"] is None for row in rows),
        "public": sum(row["is_public"] is True for row in rows),
        "marketplace_items": sum(row["is_marketplace_item"] is True for row in rows),
        "fine_tuned": sum(row["use_fine_tuned_model"] is True for row in rows),
        "flagged": sum(row["is_flagged"] is True for row in rows) if is_moderated else None,
        "waiting": sum(map(waits, rows)) if is_moderated else None,
        "templates": len(templates),
        "templates_active": sum(row["is_active"] is True for row in templates),
    }


def due(tables: Tables) -> Iterator[Row]:
    """Recount the deleted avatars due within 30 days."""
    sold = Counter(row["avatar_id"] for row in tables["purchases"])
    for row in tables["avatars"]:
        if is_due(row, NOW + timedelta(days=30)):
            yield {
                "id": row["id"],
                "name": row["name"],
                "email": owner(tables, row),
                "due_at": row["scheduled_hard_delete_at"],
                "is_overdue": row["scheduled_hard_delete_at"] < NOW,
                "purchases": sold[row["id"]],
                "deleted_at": row["deleted_at"],
                "reason": row["deletion_reason"],
                "user_id": row["user_id"],
            }


def queue(tables: Tables) -> Iterator[Row]:
    """Recount the avatars that wait."""
    admins = {row["id"]: row["user_id"] for row in tables["admin_users"]}
    for row in filter(waits, tables["avatars"]):
        yield {
            "id": row["id"],
            "name": row["name"],
            "email": owner(tables, row),
            "moderation": row["moderation_status"],
            "reason": row["flagged_reason"],
            "flagged_by": tables.emails()[admins[row["flagged_by"]]] if row["flagged_by"] else None,
            "waiting_since": row["flagged_at"] or row["created_at"],
            "is_flagged": row["is_flagged"],
            "status": row["status"],
            "notes": row["moderation_notes"],
            "user_id": row["user_id"],
        }
