"""The definition of each usage metric: its source rows, their time, their owner, and the measure.

The rollup, and whatever explains or verifies it, reads the definitions here.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from avatarlab_cli.schema import api, avatars, conversations, knowledge, media, memories, training, voice

Expression = sa.ColumnElement[Any]

# Raised whenever a figure's meaning changes; stored with every row.
DEFINITION_VERSION = 2
# The owner of rows that nobody owns, or nobody any more.
UNATTRIBUTED = uuid.UUID(int=0)
# What is stored counts beside the sources, by the day's snapshot.
STORAGE = "storage"


@dataclass(frozen=True)
class Via:
    """How a row without an owner of its own reaches one: row.key -> target -> owner."""

    key: sa.Column[Any]
    target: sa.Column[Any]
    owner: sa.Column[Any]


@dataclass(frozen=True)
class Priced:
    """How a source's quantities become money.

    `candidates` are the columns, or the fixed text, that may name a rate, the first choice first;
    `quantities` maps a rate's unit to the metric it prices. Who is paid, and for which model, is told by
    `provider` and `model`.
    """

    kind: str
    candidates: tuple[sa.Column[Any] | str, ...]
    quantities: Mapping[str, str]
    provider: sa.Column[Any] | str
    model: sa.Column[Any]


@dataclass(frozen=True)
class Source:
    """Rows of one table, dated by one column, with the metrics measured over them."""

    time: sa.Column[Any]
    measures: Mapping[str, Expression]
    owner: sa.Column[Any] | None = None
    via: Via | None = None
    where: Expression | None = None
    priced: Priced | None = None

    @property
    def table(self) -> sa.Table:
        """The table that is read."""
        table: sa.Table = self.time.table
        return table

    def base_columns(self) -> Iterator[sa.Column[Any]]:
        """Yield the columns without which none of the metrics can be computed."""
        yield self.time
        if self.owner is not None:
            yield self.owner
        if self.via is not None:
            yield from (self.via.key, self.via.target, self.via.owner)
        if self.where is not None:
            yield from columns_of(self.where)

    def own_columns(self, metrics: Iterable[str], *, is_priced: bool) -> list[sa.Column[Any]]:
        """Return the columns of its own table that these metrics, and where wanted their prices, hang on, each once."""
        measured = (column for metric in metrics for column in columns_of(self.measures[metric]))
        priced = self.price_columns() if is_priced else ()
        found = (*self.base_columns(), *measured, *priced)
        return list(dict.fromkeys(column for column in found if column.table is self.table))

    def price_columns(self) -> Iterator[sa.Column[Any]]:
        """Yield the columns without which the quantities cannot be priced."""
        if self.priced is not None:
            yield from (column for column in self.priced.candidates if not isinstance(column, str))


def columns_of(expression: Expression) -> Iterator[sa.Column[Any]]:
    """Yield the table columns an expression reads."""
    return (element for element in visitors.iterate(expression) if isinstance(element, sa.Column))


def _owned(table: sa.Table, time: str, measures: Mapping[str, Expression], **more: Any) -> Source:  # noqa: ANN401 (the rest of Source's fields)
    return Source(table.c[time], measures, owner=table.c.user_id, **more)


def _sum(quantity: Expression) -> Expression:
    # Columns with a default may still hold NULL.
    return sa.func.coalesce(sa.func.sum(quantity), 0)


_ROWS = sa.func.count()
_feedback = conversations.conversation_feedback
_jobs = training.avatar_fine_tune_jobs
_inference = training.avatar_fine_tune_usage
_images = media.generated_images
_videos = media.generated_videos
_speech = voice.tts_generations
_requests = api.api_request_logs
_exchanges = conversations.conversations

SOURCES: tuple[Source, ...] = (
    _owned(avatars.avatars, "created_at", {"avatars_created": _ROWS}),
    Source(
        _exchanges.c.timestamp,
        {"conversations_count": _ROWS},
        via=Via(_exchanges.c.avatar_id, avatars.avatars.c.id, avatars.avatars.c.user_id),
    ),
    _owned(
        _feedback,
        "created_at",
        {
            "chat_messages_count": _ROWS.filter(_feedback.c.feedback == "neutral"),
            "feedback_good": _ROWS.filter(_feedback.c.feedback == "good"),
            "feedback_bad": _ROWS.filter(_feedback.c.feedback == "bad"),
        },
    ),
    _owned(
        _images,
        "created_at",
        {"images_generated": _ROWS},
        priced=Priced(
            "image",
            (_images.c.provider, _images.c.model),
            {"image": "images_generated"},
            _images.c.provider,
            _images.c.model,
        ),
    ),
    _owned(
        _videos,
        "created_at",
        {"videos_generated": _ROWS},
        where=_videos.c.status == "completed",
        priced=Priced(
            "video",
            (_videos.c.provider, _videos.c.model),
            {"video": "videos_generated"},
            _videos.c.provider,
            _videos.c.model,
        ),
    ),
    _owned(memories.avatar_memories, "created_at", {"memories_added": _ROWS}),
    _owned(knowledge.avatar_knowledge_files, "uploaded_at", {"knowledge_files_uploaded": _ROWS}),
    _owned(training.avatar_training_data, "created_at", {"training_jobs_created": _ROWS}),
    _owned(_jobs, "created_at", {"fine_tune_jobs_created": _ROWS}),
    _owned(
        _jobs,
        "finished_at",
        {"trained_tokens": _sum(_jobs.c.trained_tokens)},
        where=_jobs.c.trained_tokens.is_not(None),
        priced=Priced(
            "fine_tuning",
            (_jobs.c.base_model,),
            {"1M trained tokens": "trained_tokens"},
            "openai",
            _jobs.c.base_model,
        ),
    ),
    _owned(
        _inference,
        "usage_date",
        {
            "inference_input_tokens": _sum(_inference.c.input_tokens),
            "inference_output_tokens": _sum(_inference.c.output_tokens),
        },
        priced=Priced(
            "inference",
            (_inference.c.fine_tuned_model,),
            {"1M input tokens": "inference_input_tokens", "1M output tokens": "inference_output_tokens"},
            "openai",
            _inference.c.fine_tuned_model,
        ),
    ),
    _owned(voice.voice_clones, "created_at", {"voice_clones_created": _ROWS}),
    _owned(
        _speech,
        "created_at",
        {"tts_generations": _ROWS, "tts_characters": _sum(sa.func.length(_speech.c.text))},
        priced=Priced(
            "voice", ("elevenlabs",), {"1k characters": "tts_characters"}, "elevenlabs", _speech.c.model
        ),
    ),
    _owned(
        _requests,
        "created_at",
        {"api_requests_count": _ROWS},
        via=Via(_requests.c.api_key_id, api.platform_api_keys.c.id, api.platform_api_keys.c.user_id),
    ),
    _owned(knowledge.rag_search_logs, "created_at", {"rag_searches_count": _ROWS}),
)

METRICS: tuple[str, ...] = tuple(metric for source in SOURCES for metric in source.measures)
# Metrics the web panel's monthly_usage already had: NOT NULL there, so unavailable shows as 0.
ADOPTED: tuple[str, ...] = (
    "avatars_created",
    "conversations_count",
    "images_generated",
    "memories_added",
    "knowledge_files_uploaded",
    "training_jobs_created",
    "voice_clones_created",
)
# Every kind of cost, in the order they are shown; storage is priced from snapshots, not from a source's rows.
KINDS: tuple[str, ...] = ("fine_tuning", "inference", "voice", "image", "video", "storage")
# The metrics whose quantity each kind of cost is made of.
QUANTITIES: Mapping[str, tuple[str, ...]] = {
    source.priced.kind: tuple(source.priced.quantities.values()) for source in SOURCES if source.priced
}
