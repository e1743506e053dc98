import sqlalchemy as sa

from avatarlab_cli.schema.base import JSONB, TEXTS, identifier, reference, stamp, table

AREA = "Memories"

avatar_memories = table(
    "avatar_memories",
    identifier(),
    reference("avatar_id", "avatars.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("user_id", sa.Uuid, nullable=False, index=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("memory_date", sa.Date, nullable=False, index=True),
    sa.Column("image_url", sa.Text, nullable=False),
    sa.Column("image_path", sa.Text, nullable=False),
    sa.Column("thumbnail_url", sa.Text),
    sa.Column("memory_description", sa.Text, nullable=False),
    sa.Column("location", sa.Text),
    sa.Column("people_present", TEXTS),
    sa.Column("activities", TEXTS),
    sa.Column("food_items", TEXTS),
    sa.Column("objects_visible", TEXTS),
    sa.Column("mood", sa.Text),
    sa.Column("tags", TEXTS),
    sa.Column("memory_summary", sa.Text, nullable=False),
    sa.Column("conversational_hooks", TEXTS),
    sa.Column("is_favorite", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("is_private", sa.Boolean, nullable=False, server_default=sa.false()),
    stamp("created_at"),
    stamp("updated_at"),
    sa.Index(None, "tags", postgresql_using="gin"),
    area=AREA,
    used_for="memories added",
    event_time="created_at",
)

memory_images = table(
    "memory_images",
    identifier(),
    reference("memory_id", "avatar_memories.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("user_id", sa.Uuid, nullable=False, index=True),
    sa.Column("image_url", sa.Text, nullable=False),
    sa.Column("image_path", sa.Text, nullable=False),
    sa.Column("thumbnail_url", sa.Text),
    sa.Column("image_order", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("is_primary", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("caption", sa.Text),
    sa.Column("image_description", sa.Text),
    sa.Column("extracted_details", JSONB),
    stamp("created_at"),
    stamp("updated_at"),
    area=AREA,
    used_for="which stored objects belong to a memory",
    event_time="created_at",
)

memory_categories = table(
    "memory_categories",
    identifier(),
    sa.Column("user_id", sa.Uuid, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("icon", sa.Text),
    sa.Column("color", sa.Text),
    stamp("created_at"),
    sa.UniqueConstraint("user_id", "name"),
    area=AREA,
    used_for="unused by the app: no screen calls it; rows survive their user",
    event_time="created_at",
)

memory_category_mappings = table(
    "memory_category_mappings",
    identifier(),
    reference("memory_id", "avatar_memories.id", ondelete="CASCADE", nullable=False),
    reference("category_id", "memory_categories.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("user_id", sa.Uuid, nullable=False),
    stamp("created_at"),
    sa.UniqueConstraint("memory_id", "category_id"),
    area=AREA,
    used_for="unused by the app: no screen calls it",
    event_time="created_at",
)
