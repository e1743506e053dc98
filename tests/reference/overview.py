"""The lines of the overview that the platform's own rows tell, recounted; what jobs store is as if none had run."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from tests.database.watching import NOW, TODAY, Tables
from tests.reference import api
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
TRAINING, FINE_TUNES = "avatar_training_data", "avatar_fine_tune_jobs"
FILES, VIDEOS = "avatar_knowledge_files", "generated_videos"
STUCK = (
    ("training runs stuck", TRAINING, "status", ("pending", "processing"), "created_at", "training stale"),
    (
        "fine-tunes stuck",
        FINE_TUNES,
        "status",
        ("validating_files", "queued", "running"),
        "created_at",
        "training stale",
    ),
    ("voice clones stuck", "voice_clones", "status", ("training",), "created_at", "voice clones --stuck"),
    ("videos stuck", VIDEOS, "status", ("processing",), "created_at", "image stuck"),
    ("knowledge files pending", FILES, "processing_status", ("pending",), "uploaded_at", "rag files"),
)
FAILING = (
    ("training runs failed", TRAINING, "status", "failed", "created_at", "training errors"),
    ("fine-tunes failed", FINE_TUNES, "status", "failed", "created_at", "training errors"),
    ("knowledge files failed", FILES, "processing_status", "error", "uploaded_at", "rag files"),
    ("videos failed", VIDEOS, "status", "failed", "created_at", "image videos"),
)
WAITING = (
    ("images to moderate", "generated_images", "moderation_status", ("pending", "flagged"), "image queue"),
    ("avatars to moderate", "avatars", "moderation_status", ("pending", "flagged"), "avatar queue"),
    ("upgrade requests", "tier_upgrade_requests", "status", ("pending",), "tier requests list"),
)


def overview(tables: Tables, jobs: int) -> Iterator[Row]:
    """Recount every line, of a database in which no job has run."""
    for position, line in enumerate(_lines(tables, jobs), 1):
        yield {**line, "position": position}


def _lines(tables: Tables, jobs: int) -> Iterator[Row]:
    for what, column, more in FIGURES:
        yield from _stored(tables, what, column, more)
    yield _line("over", what="users over a limit", value=None, more="tier check")
    for what, table, column, states, when, more in STUCK:
        old = _counter(column, states, when, lambda moment: moment < NOW - DAY)
        yield _line("stale", what, _count(tables, table, column, old), more)
    yield _line("stale", "jobs that are late", jobs, "system health", state="bad")
    yield _line("failing", "runs of jobs failed", 0, "job history", before=Decimal(0))
    for what, table, column, state, when, more in FAILING:
        value, week = (
            _count(tables, table, column, _counter(column, (state,), when, lies))
            for lies in (
                lambda moment: MIDNIGHT - DAY <= moment < MIDNIGHT,
                lambda moment: MIDNIGHT - 8 * DAY <= moment < MIDNIGHT - DAY,
            )
        )
        yield _line("failing", what, value, more, before=None if week is None else Decimal(week) / 7)
    for what, table, column, states, more in WAITING:
        open_ = _count(tables, table, column, lambda row, c=column, s=states: row[c] in s)  # type: ignore[misc]
        yield _line("waiting", what, open_, more)
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
    yield line if value is not None else {**line, "more": "avatarlab job run platform-statistics"}


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
        "more": f"avatarlab {more}",
    }


def _counter(
    column: str, states: tuple[str, ...], when: str, lies: Callable[[datetime], bool]
) -> Callable[[Row], bool]:
    return lambda row: row[column] in states and row[when] is not None and lies(row[when])


def _count(tables: Tables, table: str, column: str, fits: Callable[[Row], bool]) -> int | None:
    rows = tables[table]
    if not tables.has(table) or (rows and column not in rows[0]):
        return None
    return sum(map(fits, rows))
