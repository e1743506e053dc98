"""Which source rows count for which metric, and which quantities a provider charges for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from tests.reference import rates
from tests.reference.source import UNATTRIBUTED, Row, Source, day_of


@dataclass(frozen=True)
class Event:
    """A quantity of one metric, on the day it happened, for its owner."""

    owner: UUID
    day: date
    quantity: int


@dataclass(frozen=True)
class Charge:
    """A quantity a provider charges for, the names under which a rate may be found, and the model as it is written."""

    owner: UUID
    day: date
    unit: str
    names: tuple[str | None, ...]
    quantity: int
    model: str | None = None


MODELS = ("model", "base_model", "fine_tuned_model")
"""The columns that name a model; no table has two of them."""


class _Owners:
    """Decide whose a row is: the named user if that account exists, else nobody's."""

    def __init__(self, source: Source) -> None:
        self._accounts = source.accounts()

    def __call__(self, user_id: UUID | None) -> UUID:
        return user_id if user_id in self._accounts and user_id is not None else UNATTRIBUTED


def metric_events(source: Source) -> dict[str, list[Event] | None]:
    """Return each usage metric's events, storage aside; None where a source it needs does not exist."""
    return {
        "avatars_created": _counted(source, "avatars", "created_at"),
        "conversations_count": _conversations(source),
        "chat_messages_count": _feedback(source, "neutral"),
        "feedback_good": _feedback(source, "good"),
        "feedback_bad": _feedback(source, "bad"),
        "images_generated": _counted(source, "generated_images", "created_at"),
        "videos_generated": _having(source, "generated_videos", "status", "completed"),
        "memories_added": _counted(source, "avatar_memories", "created_at"),
        "knowledge_files_uploaded": _counted(source, "avatar_knowledge_files", "uploaded_at"),
        "training_jobs_created": _counted(source, "avatar_training_data", "created_at"),
        "fine_tune_jobs_created": _counted(source, "avatar_fine_tune_jobs", "created_at"),
        "trained_tokens": _summed(source, "avatar_fine_tune_jobs", "finished_at", "trained_tokens"),
        "inference_input_tokens": _summed(source, "avatar_fine_tune_usage", "usage_date", "input_tokens"),
        "inference_output_tokens": _summed(source, "avatar_fine_tune_usage", "usage_date", "output_tokens"),
        "voice_clones_created": _counted(source, "voice_clones", "created_at"),
        "tts_generations": _counted(source, "tts_generations", "created_at"),
        "tts_characters": _summed(source, "tts_generations", "created_at", "text", len),
        "api_requests_count": _api_requests(source),
        "rag_searches_count": _counted(source, "rag_search_logs", "created_at"),
    }


def _events(source: Source, rows: list[Row], time: str, quantity: Callable[[Row], int]) -> list[Event]:
    owner = _Owners(source)
    return [
        Event(owner(row["user_id"]), day_of(row[time]), quantity(row))
        for row in rows
        if row[time] is not None
    ]


def _counted(source: Source, table: str, time: str) -> list[Event] | None:
    rows = source.rows(table, "user_id", time)
    return None if rows is None else _events(source, rows, time, lambda _: 1)


def _having(source: Source, table: str, column: str, value: str) -> list[Event] | None:
    rows = source.rows(table, "user_id", "created_at", column)
    if rows is None:
        return None
    return _events(source, [row for row in rows if row[column] == value], "created_at", lambda _: 1)


def _feedback(source: Source, value: str) -> list[Event] | None:
    return _having(source, "conversation_feedback", "feedback", value)


def _summed(
    source: Source, table: str, time: str, column: str, measure: Callable[[Any], int] = int
) -> list[Event] | None:
    rows = source.rows(table, "user_id", time, column)
    if rows is None:
        return None
    measured = [row for row in rows if row[column] is not None]
    return _events(source, measured, time, lambda row: measure(row[column]))


def _conversations(source: Source) -> list[Event] | None:
    rows = source.rows("conversations", "avatar_id", "timestamp")
    avatars = source.rows("avatars", "id", "user_id")
    if rows is None or avatars is None:
        return None
    owner_of = {avatar["id"]: avatar["user_id"] for avatar in avatars}
    owned = [{**row, "user_id": owner_of.get(row["avatar_id"])} for row in rows]
    return _events(source, owned, "timestamp", lambda _: 1)


def _api_requests(source: Source) -> list[Event] | None:
    rows = source.rows("api_request_logs", "user_id", "api_key_id", "created_at")
    keys = source.rows("platform_api_keys", "id", "user_id")
    if rows is None or keys is None:
        return None
    owner_of = {key["id"]: key["user_id"] for key in keys}
    owned = [{**row, "user_id": row["user_id"] or owner_of.get(row["api_key_id"])} for row in rows]
    return _events(source, owned, "created_at", lambda _: 1)


def charges(source: Source) -> dict[str, list[Charge] | None]:
    """Return what is charged for, by kind of cost, storage aside; None where a source does not exist."""
    return {
        "fine_tuning": _fine_tuning(source),
        "inference": _inference(source),
        "voice": _voice(source),
        "image": _images(source),
        "video": _videos(source),
    }


def _charges(
    source: Source, rows: list[Row], time: str, pricing: tuple[str, ...], quantity: Callable[[Row], int]
) -> list[Charge]:
    """Charge each dated row; `pricing` is the unit, then the columns that may name the rate."""
    owner, (unit, *columns) = _Owners(source), pricing
    found = [
        Charge(
            owner(row["user_id"]),
            day_of(row[time]),
            unit,
            tuple(row[name] for name in columns),
            quantity(row),
            next((row[name] for name in MODELS if name in row), None),
        )
        for row in rows
        if row[time] is not None
    ]
    return [charge for charge in found if charge.quantity != 0]


def _fine_tuning(source: Source) -> list[Charge] | None:
    rows = source.rows("avatar_fine_tune_jobs", "user_id", "finished_at", "trained_tokens", "base_model")
    if rows is None:
        return None
    pricing = (rates.TRAINED, "base_model")
    return _charges(source, rows, "finished_at", pricing, lambda row: row["trained_tokens"] or 0)


def _inference(source: Source) -> list[Charge] | None:
    table, model = "avatar_fine_tune_usage", "fine_tuned_model"
    rows = source.rows(table, "user_id", "usage_date", "input_tokens", "output_tokens", model)
    if rows is None:
        return None
    into = _charges(source, rows, "usage_date", (rates.INPUT, model), lambda row: row["input_tokens"] or 0)
    out = _charges(source, rows, "usage_date", (rates.OUTPUT, model), lambda row: row["output_tokens"] or 0)
    return into + out


def _voice(source: Source) -> list[Charge] | None:
    rows = source.rows("tts_generations", "user_id", "created_at", "text")
    if rows is None:
        return None
    # Speech has one provider, which no column names.
    named = [{**row, "provider": "elevenlabs"} for row in rows]
    pricing = (rates.CHARACTERS, "provider")
    return _charges(source, named, "created_at", pricing, lambda row: len(row["text"] or ""))


def _images(source: Source) -> list[Charge] | None:
    rows = source.rows("generated_images", "user_id", "created_at", "provider", "model")
    if rows is None:
        return None
    return _charges(source, rows, "created_at", (rates.IMAGE, "provider", "model"), lambda _: 1)


def _videos(source: Source) -> list[Charge] | None:
    rows = source.rows("generated_videos", "user_id", "created_at", "status", "provider", "model")
    if rows is None:
        return None
    completed = [row for row in rows if row["status"] == "completed"]
    return _charges(source, completed, "created_at", (rates.VIDEO, "provider", "model"), lambda _: 1)
