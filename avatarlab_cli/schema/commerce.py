import sqlalchemy as sa

from avatarlab_cli.schema.base import TIME, check, identifier, one_of, reference, stamp, table

AREA = "Commerce"

purchases = table(
    "purchases",
    identifier(),
    reference("user_id", "profiles.id", ondelete="CASCADE", nullable=False),
    reference("avatar_id", "avatars.id", nullable=False, index=True),
    sa.Column("price_paid", sa.Numeric(10, 2), check("price_paid", "price_paid >= 0"), nullable=False),
    sa.Column("currency", sa.Text, server_default="USD"),
    sa.Column("payment_method", sa.Text),
    sa.Column("transaction_id", sa.Text),
    sa.Column(
        "status",
        sa.Text,
        one_of("status", "pending", "completed", "refunded", "failed"),
        index=True,
        server_default="completed",
    ),
    stamp("purchased_at", index=True),
    sa.UniqueConstraint("user_id", "avatar_id"),
    area=AREA,
    used_for="marketplace revenue; rows block deleting the avatar",
    event_time="purchased_at",
)

tier_upgrade_requests = table(
    "tier_upgrade_requests",
    identifier(),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False, index=True),
    reference("requested_tier_id", "subscription_tiers.id", nullable=False),
    reference("current_tier_id", "subscription_tiers.id"),
    sa.Column(
        "status",
        sa.String(20),
        one_of("status", "pending", "approved", "rejected", "cancelled"),
        nullable=False,
        index=True,
        server_default="pending",
    ),
    sa.Column("reason", sa.Text),
    reference("reviewed_by", "admin_users.id"),
    sa.Column("reviewed_at", TIME),
    sa.Column("admin_notes", sa.Text),
    stamp("created_at", index=True),
    stamp("updated_at"),
    area=AREA,
    used_for="requests for another tier, to approve or reject",
    event_time="created_at",
    state="panel",
)
