import sqlalchemy as sa

from avatarlab_cli.schema.base import OWN_AVATAR, TEXTS, identifier, one_of, reference, stamp, table

AREA = "Conversations"

conversations = table(
    "conversations",
    identifier(),
    reference("avatar_id", "avatars.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("phone_number", sa.String(15), nullable=False, index=True),
    sa.Column("text", sa.Text, nullable=False),
    stamp("timestamp"),
    area=AREA,
    used_for="exchanges over WhatsApp and the API",
    event_time="timestamp",
    rls=False,
    policy=OWN_AVATAR,
)

conversation_feedback = table(
    "conversation_feedback",
    identifier(),
    reference("avatar_id", "avatars.id", ondelete="CASCADE", nullable=False, index=True),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False),
    sa.Column("user_message", sa.Text, nullable=False),
    sa.Column("avatar_response", sa.Text, nullable=False),
    sa.Column("feedback", sa.Text, one_of("feedback", "good", "bad", "neutral")),
    sa.Column("session_id", sa.Text),
    stamp("created_at", nullable=True, index=True),
    area=AREA,
    used_for="web chat messages (neutral) and their ratings (good, bad)",
    event_time="created_at",
)

conversation_patterns = table(
    "conversation_patterns",
    identifier(),
    reference("avatar_id", "avatars.id", ondelete="CASCADE", nullable=False, index=True),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False),
    sa.Column("trigger_words", TEXTS, nullable=False, server_default="{}"),
    sa.Column("response_pattern", sa.Text, nullable=False),
    sa.Column("examples", TEXTS, nullable=False, server_default="{}"),
    sa.Column("usage_count", sa.Integer, server_default=sa.text("1")),
    sa.Column("success_rate", sa.Numeric(3, 2), index=True, server_default=sa.text("0.8")),
    sa.Column(
        "pattern_type",
        sa.Text,
        one_of("pattern_type", "greeting", "question", "casual", "formal", "general"),
        index=True,
        server_default="general",
    ),
    stamp("created_at", nullable=True),
    stamp("updated_at", nullable=True),
    sa.Index(None, "trigger_words", postgresql_using="gin"),
    area=AREA,
    used_for="learned answers of an avatar",
    event_time="updated_at",
)
