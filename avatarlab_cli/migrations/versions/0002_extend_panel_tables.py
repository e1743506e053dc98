"""This project's own columns on the six tables."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import JSONB, NAMING_CONVENTION, TIME, check, reference

revision = "0002"
down_revision = "0001"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

MONTHLY_COUNTS = (
    "videos_generated",
    "chat_messages_count",
    "feedback_good",
    "feedback_bad",
    "fine_tune_jobs_created",
    "trained_tokens",
    "inference_input_tokens",
    "inference_output_tokens",
    "tts_generations",
    "tts_characters",
    "api_requests_count",
    "rag_searches_count",
    "storage_bytes",
    "storage_byte_days",
)
MONTHLY_COSTS = (
    "fine_tuning_cost",
    "inference_cost",
    "voice_cost",
    "image_cost",
    "video_cost",
    "storage_cost",
    "total_cost",
)
DAILY_COUNTS = (
    "daily_active_users",
    "weekly_active_users",
    "logins_today",
    "api_requests_today",
    "chat_messages_today",
    "videos_generated_today",
    "tts_generations_today",
    "tts_characters_today",
    "rag_searches_today",
    "feedback_good_today",
    "feedback_bad_today",
    "storage_bytes",
    "paying_users",
    "trialing_users",
    "paused_users",
    "arr_cents",
    "churned_users",
)
DAILY_AMOUNTS = (
    "mrr_new",
    "mrr_reactivation",
    "mrr_expansion",
    "mrr_contraction",
    "mrr_churn",
    "subscriber_churn_30d",
)


def upgrade() -> None:
    """Add the columns that are missing."""
    for table in (_tiers(), _subscriptions(), _monthly_usage(), _admins(), _audit_log(), _statistics()):
        ops.adopt(table)


def _tiers() -> sa.Table:
    is_object = check("limits", "jsonb_typeof(limits) = 'object'")
    return sa.Table(
        "subscription_tiers",
        metadata,
        sa.Column("limits", JSONB, is_object, nullable=False, server_default="{}"),
        sa.Column("archived_at", TIME),
    )


def _subscriptions() -> sa.Table:
    return sa.Table("user_subscriptions", metadata, sa.Column("override_expires_at", TIME))


def _monthly_usage() -> sa.Table:
    return sa.Table(
        "monthly_usage",
        metadata,
        *(sa.Column(name, sa.BigInteger) for name in MONTHLY_COUNTS),
        *(sa.Column(name, sa.Numeric(14, 6)) for name in MONTHLY_COSTS),
        sa.Column("unpriced", JSONB),
        sa.Column("is_over_limit", sa.Boolean),
        sa.Column("exceeded_limits", JSONB),
        sa.Column("definition_version", sa.Integer),
        sa.Column("rate_card_version", sa.Text),
        sa.Column("computed_at", TIME),
        sa.Column("closed_at", TIME),
        sa.Column("digest", sa.Text),
    )


def _admins() -> sa.Table:
    return sa.Table(
        "admin_users",
        metadata,
        sa.Column("db_role", sa.Text, unique=True),
        sa.Column("is_service", sa.Boolean, nullable=False, server_default=sa.false()),
    )


def _audit_log() -> sa.Table:
    return sa.Table(
        "admin_audit_logs",
        metadata,
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), unique=True, nullable=False),
        sa.Column("batch_id", sa.Uuid, index=True),
        sa.Column("prev_hash", sa.Text),
        sa.Column("hash", sa.Text),
        sa.Column("actor_host", sa.Text),
        sa.Column("actor_os_user", sa.Text),
        reference("undone_by", "admin_audit_logs.id"),
    )


def _statistics() -> sa.Table:
    return sa.Table(
        "platform_statistics",
        metadata,
        *(sa.Column(name, sa.BigInteger) for name in DAILY_COUNTS),
        *(sa.Column(name, sa.Numeric) for name in DAILY_AMOUNTS),
        sa.Column("storage_by_kind", JSONB),
        sa.Column("estimated_cost_today", sa.Numeric(14, 6)),
        sa.Column("cost_by_kind", JSONB),
        sa.Column("unattributed", JSONB),
        sa.Column("revenue_other", JSONB),
        sa.Column("is_reconstructed", sa.Boolean),
        sa.Column("definition_version", sa.Integer),
        sa.Column("computed_at", TIME),
    )
