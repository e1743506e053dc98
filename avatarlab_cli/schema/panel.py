"""The six administration tables as the web panel leaves them: what a migration finds and must adopt."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.schema.base import (
    INET,
    JSONB,
    NAMING_CONVENTION,
    TEXTS,
    TIME,
    identifier,
    one_of,
    reference,
    stamp,
    table,
)

AREA = "Administration"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

_PERMISSIONS = (
    '{"tiers": {"read": true, "write": false, "delete": false},'
    ' "users": {"read": true, "write": true, "delete": false},'
    ' "avatars": {"read": true, "write": true, "delete": false},'
    ' "settings": {"read": true, "write": false, "delete": false},'
    ' "financial": {"read": false, "write": false, "delete": false},'
    ' "moderation": {"read": true, "write": true, "delete": false}}'
)


def _counters(*names: str) -> list[sa.Column[Any]]:
    zero = sa.text("0")
    return [sa.Column(name, sa.Integer, nullable=False, server_default=zero) for name in names]


def _amounts(*names: str) -> list[sa.Column[Any]]:
    zero = sa.text("0")
    return [sa.Column(name, sa.Numeric(10, 2), nullable=False, server_default=zero) for name in names]


subscription_tiers = table(
    "subscription_tiers",
    identifier(),
    sa.Column("name", sa.String(50), nullable=False, unique=True),
    sa.Column("display_name", sa.String(100), nullable=False),
    sa.Column("description", sa.Text),
    *_amounts("price_monthly", "price_yearly"),
    *_counters("trial_days"),
    sa.Column("max_avatars", sa.Integer, nullable=False, server_default=sa.text("1")),
    sa.Column("priority_support", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("custom_branding", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("is_active", sa.Boolean, nullable=False, index=True, server_default=sa.true()),
    sa.Column("is_featured", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("sort_order", sa.Integer, nullable=False, index=True, server_default=sa.text("0")),
    stamp("created_at"),
    stamp("updated_at"),
    into=metadata,
    area=AREA,
    used_for="the plans: prices and limits",
    event_time="created_at",
    policy=None,
)

user_subscriptions = table(
    "user_subscriptions",
    identifier(),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False),
    reference("tier_id", "subscription_tiers.id", nullable=False, index=True),
    sa.Column(
        "status",
        sa.String(20),
        one_of("status", "active", "cancelled", "expired", "suspended", "trial"),
        nullable=False,
        index=True,
        server_default="active",
    ),
    sa.Column(
        "billing_cycle",
        sa.String(20),
        one_of("billing_cycle", "monthly", "yearly", "lifetime"),
        nullable=False,
        server_default="monthly",
    ),
    stamp("started_at"),
    sa.Column("expires_at", TIME),
    sa.Column("cancelled_at", TIME),
    sa.Column("cancellation_reason", sa.Text),
    sa.Column("payment_method", sa.String(50)),
    sa.Column("external_subscription_id", sa.String(255)),
    sa.Column("next_billing_date", sa.Date),
    sa.Column("is_trial", sa.Boolean, nullable=False, index=True, server_default=sa.false()),
    sa.Column("trial_ends_at", TIME),
    sa.Column("custom_limits", JSONB),
    sa.Column("metadata", JSONB),
    stamp("created_at"),
    stamp("updated_at"),
    sa.UniqueConstraint("user_id", "tier_id"),
    into=metadata,
    area=AREA,
    used_for="who has which plan: effective tier, trials, recurring revenue",
    event_time="started_at",
    policy=None,
)

monthly_usage = table(
    "monthly_usage",
    identifier(),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False),
    sa.Column(
        "usage_month",
        sa.Date,
        nullable=False,
        index=True,
        server_default=sa.text("date_trunc('month', now())::date"),
    ),
    *_counters(
        "avatars_created",
        "conversations_count",
        "images_generated",
        "memories_added",
        "knowledge_files_uploaded",
        "training_jobs_created",
        "voice_clones_created",
    ),
    sa.Column("is_over_avatar_limit", sa.Boolean, nullable=False, index=True, server_default=sa.false()),
    stamp("created_at"),
    stamp("updated_at"),
    sa.UniqueConstraint("user_id", "usage_month"),
    into=metadata,
    area=AREA,
    used_for="what each user did in each month, written by the job monthly-usage",
    event_time="usage_month",
    policy=None,
)

admin_users = table(
    "admin_users",
    identifier(),
    reference("user_id", "auth.users.id", ondelete="CASCADE", nullable=False),
    sa.Column(
        "role",
        sa.String(20),
        one_of("role", "super_admin", "admin", "moderator", "support", "analyst"),
        nullable=False,
        index=True,
        server_default="admin",
    ),
    sa.Column(
        "permissions",
        JSONB,
        nullable=False,
        server_default=_PERMISSIONS,
    ),
    sa.Column("two_factor_enabled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("two_factor_secret", sa.String(255)),
    sa.Column("backup_codes", TEXTS),
    sa.Column("is_active", sa.Boolean, nullable=False, index=True, server_default=sa.true()),
    sa.Column("last_login_at", TIME),
    *_counters("failed_login_attempts"),
    sa.Column("locked_until", TIME),
    stamp("created_at"),
    stamp("updated_at"),
    reference("created_by", "admin_users.id"),
    sa.Column(
        "default_dashboard",
        sa.String(20),
        one_of("default_dashboard", "user", "admin"),
        server_default="user",
    ),
    sa.UniqueConstraint("user_id"),
    into=metadata,
    area=AREA,
    used_for="who may act as an admin",
    event_time="created_at",
    policy=None,
)

admin_audit_logs = table(
    "admin_audit_logs",
    identifier(),
    reference("admin_user_id", "admin_users.id", nullable=False, index=True),
    sa.Column("action", sa.String(100), nullable=False, index=True),
    sa.Column("resource_type", sa.String(50), nullable=False, index=True),
    sa.Column("resource_id", sa.Uuid),
    sa.Column("description", sa.Text),
    sa.Column("changes", JSONB),
    sa.Column("ip_address", INET),
    sa.Column("user_agent", sa.Text),
    sa.Column("justification", sa.Text),
    sa.Column(
        "severity",
        sa.String(20),
        one_of("severity", "info", "warning", "critical"),
        nullable=False,
        index=True,
        server_default="info",
    ),
    stamp("created_at", index=True),
    into=metadata,
    area=AREA,
    used_for="what admins did",
    event_time="created_at",
    policy=None,
)

platform_statistics = table(
    "platform_statistics",
    identifier(),
    sa.Column("stat_date", sa.Date, nullable=False, unique=True, server_default=sa.text("CURRENT_DATE")),
    *_counters(
        "total_users",
        "active_users",
        "new_users",
        "deleted_users",
        "total_avatars",
        "active_avatars",
        "avatars_created_today",
        "conversations_today",
        "images_generated_today",
        "memories_added_today",
        "training_jobs_today",
        "voice_clones_today",
    ),
    *_amounts("revenue_today", "mrr", "arr"),
    sa.Column("users_by_tier", JSONB, nullable=False, server_default="{}"),
    stamp("created_at"),
    stamp("updated_at"),
    into=metadata,
    area=AREA,
    used_for="the platform day by day, written by the job platform-statistics",
    event_time="stat_date",
    policy=None,
)

_ADMIN = "EXISTS (SELECT FROM public.admin_users a WHERE a.user_id = auth.uid() AND a.is_active)"

POLICIES = (
    ("subscription_tiers", "FOR SELECT USING (true)"),
    ("subscription_tiers", f"FOR ALL USING ({_ADMIN})"),
    ("user_subscriptions", "FOR SELECT USING (auth.uid() = user_id)"),
    ("user_subscriptions", f"FOR ALL USING ({_ADMIN})"),
    ("monthly_usage", "FOR SELECT USING (auth.uid() = user_id)"),
    ("monthly_usage", "FOR ALL USING (true)"),
    ("admin_users", "FOR SELECT USING (auth.uid() = user_id)"),
    ("admin_users", "FOR UPDATE USING (auth.uid() = user_id)"),
    ("admin_audit_logs", f"FOR SELECT USING ({_ADMIN})"),
    ("admin_audit_logs", "FOR INSERT WITH CHECK (true)"),
    ("platform_statistics", f"FOR SELECT USING ({_ADMIN})"),
    ("platform_statistics", "FOR ALL USING (true)"),
)
"""The panel's own policies; those with `true` let anyone write, which the toolkit's migrations close."""

DEFAULT_TIERS = tuple(
    {
        "name": name,
        "display_name": name.capitalize(),
        "price_monthly": monthly,
        "price_yearly": yearly,
        "trial_days": trial_days,
        "max_avatars": max_avatars,
        "sort_order": sort_order,
    }
    for sort_order, (name, monthly, yearly, trial_days, max_avatars) in enumerate(
        (
            ("free", "0", "0", 0, 1),
            ("starter", "9.99", "99.99", 7, 2),
            ("pro", "29.99", "299.99", 14, 3),
            ("enterprise", "299", "2999", 30, -1),
        ),
        start=1,
    )
)
"""The rows the panel's migration inserts; -1 avatars means unlimited."""
