"""The schema avatarlab_admin: what the toolkit keeps for itself, out of reach of the platform's HTTP interface.

No table here has a foreign key into the platform: the figures of a user or tier outlive the row they came from.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import DATEMULTIRANGE

from avatarlab_cli.schema.base import JSONB, TEXTS, TIME, check, identifier, metadata, one_of, stamp

SCHEMA = "avatarlab_admin"

job_runs = sa.Table(
    "job_runs",
    metadata,
    identifier(),
    sa.Column("job", sa.Text, nullable=False),
    # The moment of its schedule a timer's run is for, or the one at which a run by hand began.
    sa.Column("slot", TIME),
    sa.Column("is_scheduled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column(
        "status",
        sa.Text,
        one_of("status", "running", "succeeded", "failed", "busy", "interrupted", "crashed", "skipped"),
        nullable=False,
    ),
    stamp("started_at"),
    sa.Column("finished_at", TIME),
    sa.Column("window_from", sa.Date),
    sa.Column("window_to", sa.Date),
    sa.Column("is_dry_run", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("rows_read", sa.BigInteger),
    sa.Column("rows_written", sa.BigInteger),
    sa.Column("metrics_skipped", JSONB, nullable=False, server_default="{}"),
    sa.Column("undated", JSONB, nullable=False, server_default="{}"),
    sa.Column("details", JSONB, nullable=False, server_default="{}"),
    sa.Column("error_class", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("host", sa.Text),
    sa.Column("pid", sa.Integer),
    sa.Column("os_user", sa.Text),
    sa.Column("version", sa.Text),
    sa.Column("definition_version", sa.Integer),
    sa.Column("rate_card_version", sa.Text),
    sa.Column("server_version", sa.Text),
    # How often its transactions were tried, and how many are committed; not known of runs before these columns.
    sa.Column("attempts", sa.Integer),
    sa.Column("transactions", sa.Integer),
    # Whether it was over all that was outstanding, no days named; not known of runs before this column.
    sa.Column("covers_outstanding", sa.Boolean),
    schema=SCHEMA,
)
sa.Index("job_runs_job_started_at_idx", job_runs.c.job, job_runs.c.started_at.desc())
sa.Index(
    "job_runs_job_slot_idx",
    job_runs.c.job,
    job_runs.c.slot,
    unique=True,
    postgresql_where=sa.text("status = 'succeeded' AND is_scheduled"),
)

usage_daily = sa.Table(
    "usage_daily",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("avatars_created", sa.BigInteger),
    sa.Column("conversations_count", sa.BigInteger),
    sa.Column("chat_messages_count", sa.BigInteger),
    sa.Column("feedback_good", sa.BigInteger),
    sa.Column("feedback_bad", sa.BigInteger),
    sa.Column("images_generated", sa.BigInteger),
    sa.Column("videos_generated", sa.BigInteger),
    sa.Column("memories_added", sa.BigInteger),
    sa.Column("knowledge_files_uploaded", sa.BigInteger),
    sa.Column("training_jobs_created", sa.BigInteger),
    sa.Column("fine_tune_jobs_created", sa.BigInteger),
    sa.Column("trained_tokens", sa.BigInteger),
    sa.Column("inference_input_tokens", sa.BigInteger),
    sa.Column("inference_output_tokens", sa.BigInteger),
    sa.Column("voice_clones_created", sa.BigInteger),
    sa.Column("tts_generations", sa.BigInteger),
    sa.Column("tts_characters", sa.BigInteger),
    sa.Column("api_requests_count", sa.BigInteger),
    sa.Column("rag_searches_count", sa.BigInteger),
    sa.Column("storage_bytes", sa.BigInteger),
    sa.Column("fine_tuning_cost", sa.Numeric),
    sa.Column("inference_cost", sa.Numeric),
    sa.Column("voice_cost", sa.Numeric),
    sa.Column("image_cost", sa.Numeric),
    sa.Column("video_cost", sa.Numeric),
    sa.Column("storage_cost", sa.Numeric),
    sa.Column("unpriced", JSONB, nullable=False, server_default="{}"),
    sa.Column(
        "is_active",
        sa.Boolean,
        # Training is finished by a provider and storage merely lies there: neither is something the user did.
        sa.Computed(
            "COALESCE(avatars_created > 0 OR conversations_count > 0 OR chat_messages_count > 0"
            " OR feedback_good > 0 OR feedback_bad > 0 OR images_generated > 0 OR videos_generated > 0"
            " OR memories_added > 0 OR knowledge_files_uploaded > 0 OR training_jobs_created > 0"
            " OR fine_tune_jobs_created > 0 OR inference_input_tokens > 0 OR inference_output_tokens > 0"
            " OR voice_clones_created > 0 OR tts_generations > 0 OR tts_characters > 0"
            " OR api_requests_count > 0 OR rag_searches_count > 0, false)",
            persisted=True,
        ),
        nullable=False,
    ),
    sa.Column("definition_version", sa.Integer, nullable=False),
    sa.Column("rate_card_version", sa.Text),
    stamp("computed_at"),
    sa.Index(None, "user_id", "day"),
    schema=SCHEMA,
)

# Whoever writes a source adds rows here, and never waits for another who does: so nothing is unique but their number.
usage_dirty = sa.Table(
    "usage_dirty",
    metadata,
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("user_id", sa.Uuid),
    stamp("enqueued_at"),
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("via_id", sa.Uuid),
    schema=SCHEMA,
)

remembered_owner = sa.Table(
    "remembered_owner",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("user_id", sa.Uuid, primary_key=True),
    schema=SCHEMA,
)

rollup_state = sa.Table(
    "rollup_state",
    metadata,
    sa.Column(
        "is_state", sa.Boolean, check("is_state", "is_state"), primary_key=True, server_default=sa.true()
    ),
    sa.Column("run_id", sa.Uuid),
    sa.Column("failures_seen", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("definition_version", sa.Integer),
    sa.Column("rate_card_version", sa.Text),
    sa.Column("skipped", JSONB),
    sa.Column("summed_on", sa.Date),
    sa.Column("limits_digest", sa.Text),
    sa.Column("invalid_limits", JSONB),
    # Of platform_statistics: the days under which usage may have changed since, all that nobody set among them.
    sa.Column(
        "stale_days", DATEMULTIRANGE, nullable=False, server_default=sa.text("'{(,)}'::datemultirange")
    ),
    schema=SCHEMA,
)

# By which limits the open months were judged last.
judged_limits = sa.Table(
    "judged_limits",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("maximum", JSONB, nullable=False),
    stamp("computed_at"),
    schema=SCHEMA,
)

period_close = sa.Table(
    "period_close",
    metadata,
    sa.Column("month", sa.Date, check("month", "extract(day FROM month) = 1"), primary_key=True),
    stamp("closed_at"),
    sa.Column("closed_by", sa.Text),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("reopened_at", TIME),
    sa.Column("reopened_by", sa.Text),
    sa.Column("reopen_reason", sa.Text),
    sa.Column("id", sa.Uuid, nullable=False, unique=True, server_default=sa.text("gen_random_uuid()")),
    schema=SCHEMA,
)

# Closings that were reopened, and closed again since.
period_history = sa.Table(
    "period_history",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("month", sa.Date, check("month", "extract(day FROM month) = 1"), nullable=False),
    sa.Column("closed_at", TIME, nullable=False),
    sa.Column("closed_by", sa.Text),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("reopened_at", TIME, nullable=False),
    sa.Column("reopened_by", sa.Text),
    sa.Column("reopen_reason", sa.Text),
    schema=SCHEMA,
)

period_figures = sa.Table(
    "period_figures",
    metadata,
    sa.Column("closing_id", sa.Uuid, primary_key=True),
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("figures", JSONB, nullable=False),
    schema=SCHEMA,
)

usage_adjustment = sa.Table(
    "usage_adjustment",
    metadata,
    identifier(),
    sa.Column("month", sa.Date, check("month", "extract(day FROM month) = 1"), nullable=False),
    sa.Column("user_id", sa.Uuid, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    stamp("recorded_at"),
    sa.Column("before", sa.Numeric),
    sa.Column("after", sa.Numeric),
    sa.Column("reason", sa.Text),
    sa.Column("rate_card_version", sa.Text),
    sa.Index(None, "month", "user_id"),
    schema=SCHEMA,
)

subscription_daily = sa.Table(
    "subscription_daily",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("tier", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("cycle", sa.Text),
    sa.Column("arr_cents", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("is_trial", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("is_paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("is_reconstructed", sa.Boolean, nullable=False, server_default=sa.false()),
    stamp("computed_at"),
    sa.Index(None, "user_id", "day"),
    schema=SCHEMA,
)

tier_price_history = sa.Table(
    "tier_price_history",
    metadata,
    sa.Column("tier_id", sa.Uuid, primary_key=True),
    sa.Column("valid_from", TIME, primary_key=True),
    sa.Column("price_monthly", sa.Numeric(10, 2), nullable=False),
    sa.Column("price_yearly", sa.Numeric(10, 2), nullable=False),
    stamp("recorded_at"),
    schema=SCHEMA,
)

storage_daily = sa.Table(
    "storage_daily",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Text, primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("objects", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("unsized_objects", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("orphan_bytes", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("orphan_objects", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    stamp("computed_at"),
    sa.Column("is_interpolated", sa.Boolean, nullable=False, server_default=sa.false()),
    schema=SCHEMA,
)

database_daily = sa.Table(
    "database_daily",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("area", sa.Text, primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("is_interpolated", sa.Boolean, nullable=False, server_default=sa.false()),
    stamp("computed_at"),
    schema=SCHEMA,
)

pruned = sa.Table(
    "pruned",
    metadata,
    identifier(),
    sa.Column("table_name", sa.Text, nullable=False, unique=True),
    sa.Column("before", sa.Date),
    sa.Column("rows", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("pruned_at", TIME),
    schema=SCHEMA,
)

pruned_daily = sa.Table(
    "pruned_daily",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("definition_version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("conversations_count", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("chat_messages_count", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("feedback_good", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("feedback_bad", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("api_requests_count", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("rag_searches_count", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    stamp("computed_at"),
    schema=SCHEMA,
)

rate_card = sa.Table(
    "rate_card",
    metadata,
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("card", JSONB, nullable=False),
    stamp("loaded_at"),
    schema=SCHEMA,
)

audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("is_head", sa.Boolean, check("is_head", "is_head"), primary_key=True, server_default=sa.true()),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    schema=SCHEMA,
)

dropped_policy = sa.Table(
    "dropped_policy",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("schema_name", sa.Text, nullable=False),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("policy_name", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("roles", TEXTS, nullable=False),
    sa.Column("using_condition", sa.Text),
    sa.Column("check_condition", sa.Text),
    sa.Column("statement", sa.Text, nullable=False),
    stamp("dropped_at"),
    schema=SCHEMA,
)
