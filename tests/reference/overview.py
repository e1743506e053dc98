"""The lines of the overview that the platform's own rows tell, recounted; what jobs store is as if none had run."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from tests.database.watching import NOW, TODAY, Tables
from tests.reference import api, avatar, image, rag, training, voice
from tests.reference.source import Row

MIDNIGHT = datetime.combine(TODAY, time(), UTC)
DAY = timedelta(days=1)
FIGURES = (
    ("new users", "new_users", "stats show"),
    ("active users", "daily_active_users", "stats show"),
    ("web chat messages", "chat_messages_today", "conversation volume"),
    ("WhatsApp/API exchanges", "conversations_today", "conversation volume"),
    ("images", "images_generated_today", "image volume"),
    ("videos", "videos_generated_today", "image videos"),
    ("texts spoken", "tts_generations_today", "voice tts"),
    ("API requests", "api_requests_today", "api endpoints"),
    ("estimated cost, USD", "estimated_cost_today", "cost report"),
    ("MRR, USD", "mrr", "stats show"),
    ("bytes stored", "storage_bytes", "storage summary"),
)
FAILING = (
    (
        "trainings failed",
        {"avatar_training_data": "created_at", "avatar_fine_tune_jobs": "created_at"},
        "status",
        "failed",
        "training jobs --status failed",
    ),
    (
        "training files failed",
        {"avatar_training_files": "uploaded_at"},
        "processing_status",
        "failed",
        "training files --by day",
    ),
    (
        "knowledge files failed",
        {"avatar_knowledge_files": "uploaded_at"},
        "processing_status",
        "error",
        "rag files",
    ),
    ("videos failed", {"generated_videos": "created_at"}, "status", "failed", "image videos"),
)


def overview(tables: Tables, jobs: int) -> Iterator[Row]:
    """Recount every line, of a database in which no job has run."""
    for position, line in enumerate(_lines(tables, jobs), 1):
        yield {**line, "position": position}


def _lines(tables: Tables, jobs: int) -> Iterator[Row]:
    for what, column, more in FIGURES:
        yield from _stored(tables, what, column, more)
    yield _line("over", what="users over a limit", value=None, more="tier check")
    yield from _stale(tables)
    yield _line("stale", "jobs that are late", jobs, "system health", state="bad")
    yield _line("failing", "runs of jobs failed", 0, "job history", before=Decimal(0))
    for what, whens, column, state, more in FAILING:
        begun = _failed(tables, whens, column, state)
        value, week = (
            None
            if begun is None
            else sum(MIDNIGHT - first * DAY <= moment < MIDNIGHT - end * DAY for moment in begun)
            for first, end in ((1, 0), (8, 1))
        )
        yield _line("failing", what, value, more, before=None if week is None else Decimal(week) / 7)
    yield _line("waiting", "images to moderate", _waiting(tables, "generated_images"), "image queue")
    yield _line("waiting", "avatars to moderate", _waiting(tables, "avatars"), "avatar queue")
    asked = sum(row["status"] == "pending" for row in tables["tier_upgrade_requests"])
    yield _line(
        "waiting",
        "upgrade requests",
        asked if tables.has("tier_upgrade_requests") else None,
        "tier requests list",
    )
    odd = len(list(api.unusual(tables, TODAY - DAY)))
    yield _line("unusual", "API keys", odd, "api unusual")
    yield _line("unusual", "costs", None, "cost anomalies")


def _stored(tables: Tables, what: str, column: str, more: str) -> Iterator[Row]:
    """Compare a stored figure of yesterday with its average of the week before."""
    days = {row["stat_date"]: row[column] for row in tables["platform_statistics"]}
    value = days.get(TODAY - DAY)
    week = [days.get(TODAY - n * DAY) for n in range(2, 9)]
    known = [figure for figure in week if figure is not None]
    before = sum(map(Decimal, known), Decimal(0)) / len(known) if known else None
    line = _line("yesterday", what, value, more, state="ok", before=before)
    yield line if value is not None else {**line, "more": "job run platform-statistics"}


def _line(
    section: str,
    what: str,
    value: Decimal | int | None,
    more: str,
    *,
    state: str = "warn",
    before: Decimal | None = None,
) -> Row:
    change = Decimal(value) / before - 1 if value is not None and before else None
    return {
        "section": section,
        "what": what,
        "value": value,
        "before": None if before is None else round(before, 2),
        "change": None if change is None else round(change, 6),
        "state": "unknown" if value is None else state if value else "ok",
        "more": more,
    }


def _stale(tables: Tables) -> Iterator[Row]:
    yield _line("stale", "trainings unfinished", len(list(training.stale(tables))), "training stale")
    clones = len(list(voice.clones(tables, stuck=True)))
    yield _line("stale", "voice clones stuck", clones, "voice clones --stuck")
    films = len(image.hanging(tables, NOW - DAY)) if tables.has("generated_videos") else None
    yield _line("stale", "videos stuck", films, "image stuck")
    overdue = sum(avatar.is_due(row, NOW) for row in tables["avatars"])
    yield _line("stale", "deleted avatars overdue", overdue, "avatar due")
    files = list(rag.files(tables, "user", NOW - DAY))
    yield _line("stale", "knowledge files stuck", sum(row["stuck"] for row in files), "rag files")


def _waiting(tables: Tables, table: str) -> int | None:
    rows = tables[table]
    return sum(map(image.waits, rows)) if not rows or "is_flagged" in rows[0] else None


def _failed(tables: Tables, whens: dict[str, str], column: str, state: str) -> list[datetime] | None:
    """Return when what failed was begun, as far as that is known."""
    if not all(map(tables.has, whens)):
        return None
    failed = (row[when] for table, when in whens.items() for row in tables[table] if row[column] == state)
    return [moment for moment in failed if moment is not None]
