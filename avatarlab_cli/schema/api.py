import sqlalchemy as sa

from avatarlab_cli.schema.base import TEXTS, TIME, identifier, one_of, reference, stamp, table

AREA = "API"

platform_api_keys = table(
    "platform_api_keys",
    identifier(),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("key_name", sa.Text, nullable=False),
    sa.Column("api_key_hash", sa.Text, nullable=False, unique=True),
    sa.Column("api_key_prefix", sa.Text, nullable=False),
    sa.Column("scopes", TEXTS, server_default="{chat,config,knowledge}"),
    reference("avatar_id", "avatars.id", ondelete="CASCADE"),
    sa.Column("last_used_at", TIME),
    sa.Column("request_count", sa.Integer, server_default=sa.text("0")),
    sa.Column(
        "status",
        sa.Text,
        one_of("status", "active", "inactive", "revoked"),
        index=True,
        server_default="active",
    ),
    stamp("created_at", nullable=True),
    stamp("updated_at", nullable=True),
    sa.Column("expires_at", TIME),
    sa.Column("description", sa.Text),
    area=AREA,
    used_for="keys the platform issued: active, expired, revoked",
    event_time="created_at",
)

api_request_logs = table(
    "api_request_logs",
    identifier(),
    reference("api_key_id", "platform_api_keys.id", ondelete="CASCADE", index=True),
    reference("user_id", "auth.users.id", ondelete="CASCADE"),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("status_code", sa.Integer),
    sa.Column("ip_address", sa.Text),
    sa.Column("user_agent", sa.Text),
    sa.Column("request_duration_ms", sa.Integer),
    stamp("created_at", nullable=True, index=True),
    area=AREA,
    used_for="successful API calls",
    event_time="created_at",
)

user_api_keys = table(
    "user_api_keys",
    identifier(),
    reference("user_id", "profiles.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("service", sa.Text, nullable=False, index=True),
    sa.Column("api_key_encrypted", sa.Text, nullable=False),
    sa.Column("status", sa.Text, one_of("status", "active", "inactive"), index=True, server_default="active"),
    sa.Column("last_used_at", TIME),
    stamp("created_at"),
    stamp("updated_at"),
    area=AREA,
    used_for="users' own provider keys, without the secret itself",
    event_time="created_at",
)

n8n_integrations = table(
    "n8n_integrations",
    identifier(),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False),
    reference("avatar_id", "avatars.id", ondelete="CASCADE"),
    sa.Column("webhook_url", sa.Text),
    sa.Column("n8n_api_key", sa.Text),
    sa.Column("is_active", sa.Boolean, server_default=sa.true()),
    stamp("created_at", nullable=True),
    stamp("updated_at", nullable=True),
    area=AREA,
    used_for="unused by the app: nothing reads or writes it",
    event_time="created_at",
)
