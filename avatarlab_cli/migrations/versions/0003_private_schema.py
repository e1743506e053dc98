"""The private schema's tables."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import JSONB, NAMING_CONVENTION, TEXTS, TIME, check, identifier, one_of, stamp

revision = "0003"
down_revision = "0002"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")

ACTIONS = (
    "avatars_created",
    "conversations_count",
    "chat_messages_count",
    "feedback_good",
    "feedback_bad",
    "images_generated",
    "videos_generated",
    "memories_added",
    "knowledge_files_uploaded",
    "training_jobs_created",
    "fine_tune_jobs_created",
    "inference_input_tokens",
    "inference_output_tokens",
    "voice_clones_created",
    "tts_generations",
    "tts_characters",
    "api_requests_count",
    "rag_searches_count",
)
COSTS = ("fine_tuning_cost", "inference_cost", "voice_cost", "image_cost", "video_cost", "storage_cost")


def upgrade() -> None:
    """Create the tables that are missing, and what is missing of them."""
    for table in (
        _job_runs(),
        *_usage(),
        *_closing(),
        *_subscriptions(),
        _storage_daily(),
        _rate_card(),
        _dropped_policy(),
    ):
        ops.adopt(table)


def _job_runs() -> sa.Table:
    states = one_of("status", "running", "succeeded", "failed", "busy", "interrupted", "crashed")
    table = sa.Table(
        "job_runs",
        metadata,
        identifier(),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("slot", TIME),
        sa.Column("status", sa.Text, states, nullable=False),
        stamp("started_at"),
        sa.Column("finished_at", TIME),
        sa.Column("window_from", sa.Date),
        sa.Column("window_to", sa.Date),
        _flag("is_dry_run"),
        sa.Column("rows_read", sa.BigInteger),
        sa.Column("rows_written", sa.BigInteger),
        *(_object(name) for name in ("metrics_skipped", "undated", "details")),
        *(sa.Column(name, sa.Text) for name in ("error_class", "error_message", "host")),
        sa.Column("pid", sa.Integer),
        sa.Column("os_user", sa.Text),
        sa.Column("version", sa.Text),
        sa.Column("definition_version", sa.Integer),
        sa.Column("rate_card_version", sa.Text),
        sa.Column("server_version", sa.Text),
    )
    sa.Index("job_runs_job_started_at_idx", table.c.job, table.c.started_at.desc())
    return table


def _usage() -> tuple[sa.Table, sa.Table]:
    is_active = f"COALESCE({' OR '.join(f'{name} > 0' for name in ACTIONS)}, false)"
    daily = sa.Table(
        "usage_daily",
        metadata,
        *_key(day=sa.Date(), user_id=sa.Uuid()),
        *(sa.Column(name, sa.BigInteger) for name in (*ACTIONS, "trained_tokens", "storage_bytes")),
        *(sa.Column(name, sa.Numeric) for name in COSTS),
        _object("unpriced"),
        sa.Column("is_active", sa.Boolean, sa.Computed(is_active, persisted=True), nullable=False),
        sa.Column("definition_version", sa.Integer, nullable=False),
        sa.Column("rate_card_version", sa.Text),
        stamp("computed_at"),
        sa.Index(None, "user_id", "day"),
    )
    dirty = sa.Table(
        "usage_dirty",
        metadata,
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("user_id", sa.Uuid),
        stamp("enqueued_at"),
        sa.UniqueConstraint("source", "day", "user_id", postgresql_nulls_not_distinct=True),
    )
    return daily, dirty


def _closing() -> tuple[sa.Table, sa.Table]:
    close = sa.Table(
        "period_close",
        metadata,
        sa.Column("month", sa.Date, _first_day(), primary_key=True),
        stamp("closed_at"),
        sa.Column("closed_by", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("reopened_at", TIME),
        sa.Column("reopened_by", sa.Text),
        sa.Column("reopen_reason", sa.Text),
    )
    adjustment = sa.Table(
        "usage_adjustment",
        metadata,
        identifier(),
        sa.Column("month", sa.Date, _first_day(), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        stamp("recorded_at"),
        sa.Column("before", sa.Numeric),
        sa.Column("after", sa.Numeric),
        sa.Column("reason", sa.Text),
        sa.Index(None, "month", "user_id"),
    )
    return close, adjustment


def _subscriptions() -> tuple[sa.Table, sa.Table]:
    daily = sa.Table(
        "subscription_daily",
        metadata,
        *_key(day=sa.Date(), user_id=sa.Uuid()),
        *(sa.Column(name, sa.Text) for name in ("tier", "status", "cycle")),
        _count("arr_cents"),
        *(_flag(name) for name in ("is_trial", "is_paused", "is_reconstructed")),
        stamp("computed_at"),
        sa.Index(None, "user_id", "day"),
    )
    prices = sa.Table(
        "tier_price_history",
        metadata,
        *_key(tier_id=sa.Uuid(), valid_from=TIME),
        sa.Column("price_monthly", sa.Numeric(10, 2), nullable=False),
        sa.Column("price_yearly", sa.Numeric(10, 2), nullable=False),
        stamp("recorded_at"),
    )
    return daily, prices


def _storage_daily() -> sa.Table:
    return sa.Table(
        "storage_daily",
        metadata,
        *_key(day=sa.Date(), user_id=sa.Uuid(), kind=sa.Text(), bucket=sa.Text()),
        *map(_count, ("bytes", "objects", "unsized_objects", "orphan_bytes", "orphan_objects")),
        stamp("computed_at"),
    )


def _rate_card() -> sa.Table:
    return sa.Table(
        "rate_card",
        metadata,
        *_key(version=sa.Text()),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("card", JSONB, nullable=False),
        stamp("loaded_at"),
    )


def _dropped_policy() -> sa.Table:
    return sa.Table(
        "dropped_policy",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("schema_name", "table_name", "policy_name")),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("roles", TEXTS, nullable=False),
        sa.Column("using_condition", sa.Text),
        sa.Column("check_condition", sa.Text),
        sa.Column("statement", sa.Text, nullable=False),
        stamp("dropped_at"),
    )


def _key(**columns: sa.types.TypeEngine[Any]) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, primary_key=True) for name, kind in columns.items()]


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _object(name: str) -> sa.Column[Any]:
    return sa.Column(name, JSONB, nullable=False, server_default="{}")


def _first_day() -> sa.CheckConstraint:
    return check("month", "extract(day FROM month) = 1")
