"""The accounts of the platform with the dates that count, however much of the database there is."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh
from avatarlab_cli.schema import accounts, supabase
from avatarlab_cli.schema.admin import admin_audit_logs, subscription_tiers
from avatarlab_cli.schema.live import LiveSchema

FREE = "free"
# The act under which an admin's deletion of an account is audited.
DELETE_ACTION = "user.delete"


def collect(connection: sa.Connection, live: LiveSchema) -> sa.Table:
    """Create the temporary table `accounts_fresh` of all accounts, as `selected` has them."""
    return fresh.temporary(connection, "accounts_fresh", selected(live))


def selected(live: LiveSchema) -> sa.Select[Any]:
    """Return the SELECT of all accounts: id, created_at, deleted_at, last_login_at, tier.

    `deleted_at` is -infinity for an account labelled deleted on an unknown date. `tier` is the name of the tier
    the profile carries, `free` without one: what holds for a user without a live subscription.
    """
    user, profile = supabase.users, accounts.profiles
    has_profile = live.readable("profiles")
    source = user.outerjoin(profile, profile.c.id == user.c.id) if has_profile else user

    def optional(name: str, kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
        return profile.c[name] if has_profile and live.has("profiles", name) else sa.cast(sa.null(), kind)

    audited = (
        sa.select(sa.func.min(admin_audit_logs.c.created_at))
        .where(admin_audit_logs.c.action == DELETE_ACTION, admin_audit_logs.c.resource_id == user.c.id)
        .scalar_subquery()
    )
    labelled = optional("account_status", sa.Text()) == "deleted"
    unknown = sa.literal_column("timestamptz '-infinity'", user.c.created_at.type)
    tier = subscription_tiers
    source = source.outerjoin(tier, tier.c.id == optional("subscription_tier_id", sa.Uuid()))
    return sa.select(
        user.c.id,
        user.c.created_at,
        sa.func.coalesce(user.c.deleted_at, sa.case((labelled, sa.func.coalesce(audited, unknown)))).label(
            "deleted_at"
        ),
        sa.func.greatest(optional("last_login", user.c.created_at.type), user.c.last_sign_in_at).label(
            "last_login_at"
        ),
        sa.func.coalesce(tier.c.name, FREE).label("tier"),
    ).select_from(source)
