import sqlalchemy as sa

from avatarlab_cli.schema.base import JSONB, TIME, identifier, one_of, reference, stamp, table

AREA = "System"

system_logs = table(
    "system_logs",
    identifier(),
    sa.Column("level", sa.Text, one_of("level", "debug", "info", "warn", "error"), nullable=False),
    sa.Column("category", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("metadata", JSONB),
    reference("user_id", "profiles.id"),
    reference("session_id", "user_sessions.id"),
    stamp("created_at"),
    area=AREA,
    used_for="unused by the app: nothing writes it",
    event_time="created_at",
    rls=False,
    policy=None,
)

ui_state_cache = table(
    "ui_state_cache",
    identifier(),
    reference("user_id", "profiles.id", ondelete="CASCADE", nullable=False),
    sa.Column("component_key", sa.Text, nullable=False),
    sa.Column("state_data", JSONB, nullable=False),
    sa.Column("expires_at", TIME, index=True),
    stamp("created_at"),
    stamp("updated_at"),
    sa.UniqueConstraint("user_id", "component_key"),
    area=AREA,
    used_for="unused by the app: nothing reads or writes it",
    event_time="updated_at",
)
