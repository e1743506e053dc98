"""The six public tables of administration as all migrations leave them: the web panel's columns, and this project's."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.schema import panel
from avatarlab_cli.schema.base import JSONB, TIME, check, metadata, reference


def _extended(table: sa.Table, *added: sa.Column[Any]) -> sa.Table:
    copy = table.to_metadata(metadata)
    for column in added:
        copy.append_column(column)
    return copy


subscription_tiers = _extended(
    panel.subscription_tiers,
    sa.Column(
        "limits",
        JSONB,
        check("limits", "jsonb_typeof(limits) = 'object'"),
        nullable=False,
        server_default="{}",
    ),
    sa.Column("archived_at", TIME),
)

user_subscriptions = _extended(panel.user_subscriptions, sa.Column("override_expires_at", TIME))

monthly_usage = _extended(
    panel.monthly_usage,
    sa.Column("videos_generated", sa.BigInteger),
    sa.Column("chat_messages_count", sa.BigInteger),
    sa.Column("feedback_good", sa.BigInteger),
    sa.Column("feedback_bad", sa.BigInteger),
    sa.Column("fine_tune_jobs_created", sa.BigInteger),
    sa.Column("trained_tokens", sa.BigInteger),
    sa.Column("inference_input_tokens", sa.BigInteger),
    sa.Column("inference_output_tokens", sa.BigInteger),
    sa.Column("tts_generations", sa.BigInteger),
    sa.Column("tts_characters", sa.BigInteger),
    sa.Column("api_requests_count", sa.BigInteger),
    sa.Column("rag_searches_count", sa.BigInteger),
    sa.Column("storage_bytes", sa.BigInteger),
    sa.Column("storage_byte_days", sa.BigInteger),
    sa.Column("fine_tuning_cost", sa.Numeric(14, 6)),
    sa.Column("inference_cost", sa.Numeric(14, 6)),
    sa.Column("voice_cost", sa.Numeric(14, 6)),
    sa.Column("image_cost", sa.Numeric(14, 6)),
    sa.Column("video_cost", sa.Numeric(14, 6)),
    sa.Column("storage_cost", sa.Numeric(14, 6)),
    sa.Column("total_cost", sa.Numeric(14, 6)),
    sa.Column("unpriced", JSONB),
    sa.Column("is_over_limit", sa.Boolean),
    sa.Column("exceeded_limits", JSONB),
    sa.Column("definition_version", sa.Integer),
    sa.Column("rate_card_version", sa.Text),
    sa.Column("computed_at", TIME),
    sa.Column("closed_at", TIME),
    sa.Column("digest", sa.Text),
    sa.Column("storage_days_interpolated", sa.Integer),
)

admin_users = _extended(
    panel.admin_users,
    sa.Column("db_role", sa.Text, unique=True),
    sa.Column("is_service", sa.Boolean, nullable=False, server_default=sa.false()),
)

admin_audit_logs = _extended(
    panel.admin_audit_logs,
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), unique=True, nullable=False),
    sa.Column("batch_id", sa.Uuid, index=True),
    sa.Column("prev_hash", sa.Text),
    sa.Column("hash", sa.Text),
    sa.Column("actor_host", sa.Text),
    sa.Column("actor_os_user", sa.Text),
    reference("undone_by", "admin_audit_logs.id"),
)

platform_statistics = _extended(
    panel.platform_statistics,
    sa.Column("daily_active_users", sa.BigInteger),
    sa.Column("weekly_active_users", sa.BigInteger),
    sa.Column("logins_today", sa.BigInteger),
    sa.Column("api_requests_today", sa.BigInteger),
    sa.Column("chat_messages_today", sa.BigInteger),
    sa.Column("videos_generated_today", sa.BigInteger),
    sa.Column("tts_generations_today", sa.BigInteger),
    sa.Column("tts_characters_today", sa.BigInteger),
    sa.Column("rag_searches_today", sa.BigInteger),
    sa.Column("feedback_good_today", sa.BigInteger),
    sa.Column("feedback_bad_today", sa.BigInteger),
    sa.Column("storage_bytes", sa.BigInteger),
    sa.Column("storage_by_kind", JSONB),
    sa.Column("estimated_cost_today", sa.Numeric(14, 6)),
    sa.Column("cost_by_kind", JSONB),
    sa.Column("paying_users", sa.BigInteger),
    sa.Column("trialing_users", sa.BigInteger),
    sa.Column("paused_users", sa.BigInteger),
    sa.Column("arr_cents", sa.BigInteger),
    sa.Column("mrr_new", sa.Numeric),
    sa.Column("mrr_reactivation", sa.Numeric),
    sa.Column("mrr_expansion", sa.Numeric),
    sa.Column("mrr_contraction", sa.Numeric),
    sa.Column("mrr_churn", sa.Numeric),
    sa.Column("churned_users", sa.BigInteger),
    sa.Column("subscriber_churn_30d", sa.Numeric),
    sa.Column("unattributed", JSONB),
    sa.Column("revenue_other", JSONB),
    sa.Column("is_reconstructed", sa.Boolean),
    sa.Column("definition_version", sa.Integer),
    sa.Column("computed_at", TIME),
    sa.Column("is_storage_interpolated", sa.Boolean),
)
