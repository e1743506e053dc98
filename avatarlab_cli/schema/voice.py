import sqlalchemy as sa

from avatarlab_cli.schema.base import JSONB, identifier, one_of, reference, stamp, table

AREA = "Voice"

tts_voices = table(
    "tts_voices",
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("accent", sa.Text),
    sa.Column("sample_url", sa.Text),
    sa.Column("voice_type", sa.Text, one_of("voice_type", "male", "female", "neutral")),
    sa.Column("language", sa.Text, nullable=False, server_default="en-US"),
    sa.Column("is_active", sa.Boolean, nullable=False, index=True, server_default=sa.true()),
    stamp("created_at"),
    stamp("updated_at"),
    area=AREA,
    used_for="catalogue of stock voices",
    event_time="created_at",
    policy="auth.uid() IS NOT NULL",
)

tts_generations = table(
    "tts_generations",
    identifier(),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False),
    reference("voice_clone_id", "voice_clones.id", ondelete="SET NULL"),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("audio_url", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("settings", JSONB),
    sa.Column("status", sa.Text, nullable=False, server_default="completed"),
    stamp("created_at"),
    area=AREA,
    used_for="speech generated: characters and estimated spend",
    event_time="created_at",
)

voice_clones = table(
    "voice_clones",
    identifier(),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("elevenlabs_voice_id", sa.Text, nullable=False),
    sa.Column("preview_url", sa.Text),
    sa.Column("status", sa.Text, nullable=False, server_default="training"),
    sa.Column("sample_count", sa.Integer, server_default=sa.text("0")),
    stamp("created_at"),
    stamp("updated_at"),
    area=AREA,
    used_for="voice clones made",
    event_time="created_at",
)

voice_samples = table(
    "voice_samples",
    identifier(),
    reference("voice_clone_id", "voice_clones.id", ondelete="CASCADE"),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("file_url", sa.Text, nullable=False),
    sa.Column("file_size_bytes", sa.BigInteger),
    sa.Column("duration_seconds", sa.Numeric),
    sa.Column("status", sa.Text, nullable=False, server_default="uploaded"),
    stamp("created_at"),
    area=AREA,
    used_for="voice recordings and their bytes, two rows a recording",
    event_time="created_at",
)
