"""The parts of Supabase's own schemas that the toolkit reads; the real tables have further columns."""

import sqlalchemy as sa

from avatarlab_cli.schema.base import INET, JSONB, TIME, identifier, reference, stamp, table

AREA = "Supabase"

users = table(
    "users",
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("email", sa.String(255)),
    sa.Column("last_sign_in_at", TIME),
    sa.Column("raw_app_meta_data", JSONB),
    sa.Column("raw_user_meta_data", JSONB),
    sa.Column("created_at", TIME),
    sa.Column("updated_at", TIME),
    sa.Column("banned_until", TIME),
    sa.Column("deleted_at", TIME),
    sa.Column("is_anonymous", sa.Boolean, nullable=False, index=True, server_default=sa.false()),
    schema="auth",
    area=AREA,
    used_for="accounts, their e-mail addresses, bans and deletions",
    event_time="created_at",
    policy=None,
)

sessions = table(
    "sessions",
    sa.Column("id", sa.Uuid, primary_key=True),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("created_at", TIME),
    sa.Column("updated_at", TIME),
    sa.Column("not_after", TIME, index=True),
    sa.Column("refreshed_at", sa.TIMESTAMP),
    sa.Column("user_agent", sa.Text),
    sa.Column("ip", INET),
    schema="auth",
    area=AREA,
    used_for="who is logged in, and since when",
    event_time="created_at",
    policy=None,
)

buckets = table(
    "buckets",
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("public", sa.Boolean, server_default=sa.false()),
    stamp("created_at", nullable=True),
    stamp("updated_at", nullable=True),
    schema="storage",
    area=AREA,
    used_for="names of the storage areas",
    event_time="created_at",
    policy=None,
)

objects = table(
    "objects",
    identifier(),
    sa.Column("bucket_id", sa.Text, sa.ForeignKey("storage.buckets.id")),
    sa.Column("name", sa.Text),
    sa.Column("owner", sa.Uuid),
    sa.Column("owner_id", sa.Text),
    stamp("created_at", nullable=True),
    stamp("updated_at", nullable=True),
    sa.Column("metadata", JSONB),
    sa.UniqueConstraint("bucket_id", "name"),
    schema="storage",
    area=AREA,
    used_for="stored files and their bytes",
    event_time="created_at",
    policy=None,
)
