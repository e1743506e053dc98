import sqlalchemy as sa

from avatarlab_cli.schema.base import INET, JSONB, PANEL, TIME, identifier, one_of, reference, stamp, table

AREA = "Accounts"

profiles = table(
    "profiles",
    sa.Column("id", sa.Uuid, sa.ForeignKey("auth.users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("email", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text),
    sa.Column("avatar_url", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column(
        "referral_code", sa.Text, unique=True, server_default=sa.text("substr(md5(random()::text), 1, 8)")
    ),
    reference("referrer_id", "profiles.id"),
    stamp("created_at"),
    stamp("updated_at"),
    sa.Column("last_login", TIME, index=True),
    sa.Column(
        "status",
        sa.Text,
        one_of("status", "active", "suspended", "deleted"),
        index=True,
        server_default="active",
    ),
    reference("subscription_tier_id", "subscription_tiers.id", index=True, info=PANEL),
    sa.Column(
        "account_status",
        sa.String(20),
        one_of("account_status", "active", "suspended", "banned", "deleted"),
        index=True,
        server_default="active",
        info=PANEL,
    ),
    sa.Column("banned_reason", sa.Text, info=PANEL),
    sa.Column("banned_at", TIME, index=True, info=PANEL),
    reference("banned_by", "admin_users.id", info=PANEL),
    area=AREA,
    used_for="who the users are, their status and tier, when they last logged in",
    event_time="created_at",
    policy="auth.uid() = id",
)

user_sessions = table(
    "user_sessions",
    identifier(),
    reference("user_id", "profiles.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("token_hash", sa.Text, nullable=False, index=True),
    sa.Column("expires_at", TIME, nullable=False, index=True),
    stamp("created_at"),
    stamp("last_accessed"),
    sa.Column("ip_address", INET),
    sa.Column("user_agent", sa.Text),
    area=AREA,
    used_for="unused by the app: sessions live in auth.sessions",
    event_time="created_at",
    policy=None,
)

user_activities = table(
    "user_activities",
    identifier(),
    reference("user_id", "profiles.id", index=True),
    reference("session_id", "user_sessions.id"),
    sa.Column("activity_type", sa.Text, nullable=False, index=True),
    sa.Column("entity_type", sa.Text, index=True),
    sa.Column("entity_id", sa.Uuid),
    sa.Column("metadata", JSONB),
    sa.Column("ip_address", INET),
    sa.Column("user_agent", sa.Text),
    stamp("created_at", index=True),
    area=AREA,
    used_for="unused by the app: nothing writes it; rows would block deleting their user",
    event_time="created_at",
    policy=None,
)

user_preferences = table(
    "user_preferences",
    identifier(),
    reference("user_id", "profiles.id", ondelete="CASCADE", nullable=False),
    sa.Column("preference_key", sa.Text, nullable=False),
    sa.Column("preference_value", JSONB),
    stamp("created_at"),
    stamp("updated_at"),
    sa.UniqueConstraint("user_id", "preference_key"),
    area=AREA,
    used_for="unused by the app: only an experiment in the browser wrote it",
    event_time="updated_at",
)

user_favorites = table(
    "user_favorites",
    identifier(),
    reference("user_id", "profiles.id", ondelete="CASCADE", nullable=False),
    sa.Column("entity_type", sa.Text, one_of("entity_type", "avatar", "image", "template"), nullable=False),
    sa.Column("entity_id", sa.Uuid, nullable=False),
    stamp("created_at"),
    sa.UniqueConstraint("user_id", "entity_type", "entity_id"),
    area=AREA,
    used_for="unused by the app: no policy lets a user reach it",
    event_time="created_at",
    policy=None,
)
