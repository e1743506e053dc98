"""One account on one page."""

from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries import limits
from avatarlab_cli.queries.accounts import IS_LIVE, Accounts, Expression
from avatarlab_cli.queries.audit import belongings
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.daily import COSTS
from avatarlab_cli.rollup.subscriptions import LATEST
from avatarlab_cli.schema.admin import (
    admin_audit_logs,
    admin_users,
    monthly_usage,
    subscription_tiers,
    user_subscriptions,
)
from avatarlab_cli.schema.api import platform_api_keys
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.base import JSONB
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.private import storage_daily
from avatarlab_cli.schema.supabase import sessions, users

LATEST_SESSIONS = 5
LATEST_ACTS = 10
_SESSIONS = "auth.sessions"
COLUMNS = (
    Column("id", Kind.ID, "the account"),
    Column("email", Kind.TEXT, "its e-mail address", null="-"),
    Column("name", Kind.TEXT, "its owner's name", null="-"),
    Column("phone", Kind.TEXT, "the profile's telephone number", null="-"),
    Column("status", Kind.TEXT, "active, suspended, banned or deleted"),
    Column("banned_until", Kind.TIME, "when the ban on logging in ends", null="-"),
    Column("banned_at", Kind.TIME, "when it was labelled banned", null="-"),
    Column("banned_reason", Kind.TEXT, "and why", null="-"),
    Column("deleted_at", Kind.TIME, "when it was deleted", null="-"),
    Column("created_at", Kind.TIME, "when it signed up"),
    Column("last_login_at", Kind.TIME, "when it last logged in", null="-"),
    Column("last_active", Kind.DATE, "the last day it did something", null="-"),
    Column("tier", Kind.TEXT, "its tier"),
    Column("tier_source", Kind.TEXT, "what says so: subscription, profile, or default for neither"),
    Column("subscription", Kind.JSON, "the live one, else the latest", null="-"),
    Column("limits", Kind.JSON, "metric -> limit in force, its source, and this month's use"),
    Column("avatars", Kind.JSON, "status -> how many"),
    Column("api_keys", Kind.JSON, "status -> how many platform keys"),
    Column("storage_bytes", Kind.BYTES, "what is stored, as last counted"),
    Column("storage", Kind.JSON, "kind -> bytes"),
    Column("storage_day", Kind.DATE, "when that was counted"),
    Column("total_cost", Kind.MONEY, "estimated provider spend and storage of this month"),
    Column("costs", Kind.JSON, "kind -> how much of it"),
    Column("unpriced", Kind.JSON, "kind -> key -> quantity without a rate", null="-"),
    Column("sessions", Kind.JSON, f"the latest {LATEST_SESSIONS}"),
    Column("admin_acts", Kind.JSON, f"the latest {LATEST_ACTS} acts of admins on it and its own"),
)


def show(connection: sa.Connection, user: UserName, month: date) -> Report:
    """Report all about one account, with the use and cost of the month."""
    live = probe(connection)
    accounts = Accounts(live, month)
    judged = limits.of_user(connection, user)
    parts = {
        "tier_source": accounts.tier_source,
        "banned_until": users.c.banned_until,
        "deleted_at": users.c.deleted_at,
        "subscription": _subscription(),
        "limits": _limits(judged),
        "avatars": _avatars(live),
        "api_keys": _keys(live),
        **_storage(),
        "costs": _costs(month),
        "unpriced": _of_month(monthly_usage.c.unpriced, month),
        "sessions": _sessions(live),
        "admin_acts": _acts(user.id, live),
    }
    values = [
        parts[column.name].label(column.name) if column.name in parts else accounts.value(column.name)
        for column in COLUMNS
    ]
    return Report(
        sa.select(*values).select_from(accounts.source).where(users.c.id == user.id),
        COLUMNS,
        single=True,
        notes=(*accounts.notes, *judged.notes, *_session_notes(live)),
    )


def _limits(judged: Report) -> Expression:
    rows = judged.select.subquery("judged")
    shown = [part for name in ("used", "limit", "left", "source") for part in (name, rows.c[name])]
    return _object(rows.c.metric, sa.func.jsonb_build_object(*shown))


def _subscription() -> Expression:
    own, tier = user_subscriptions.alias("s"), subscription_tiers.alias("t")
    found = (
        sa.select(
            tier.c.name.label("tier"),
            own.c.status,
            own.c.billing_cycle,
            _moment(own.c.started_at).label("started_at"),
            _moment(own.c.expires_at).label("expires_at"),
            _moment(own.c.cancelled_at).label("cancelled_at"),
            _moment(own.c.trial_ends_at).label("trial_ends_at"),
            sa.literal_column(f"({IS_LIVE})", sa.Boolean).label("is_live"),
        )
        .join(tier, tier.c.id == own.c.tier_id)
        .where(own.c.user_id == users.c.id)
        .order_by(sa.text(f"({IS_LIVE}) DESC, {LATEST}"))
        .limit(1)
        .correlate(users)
        .subquery("subscription")
    )
    return sa.select(_row(found)).scalar_subquery()


def _avatars(live: LiveSchema) -> Expression:
    own = avatars
    return _counts(own, own.c.status) if live.has("avatars") else _nothing()


def _keys(live: LiveSchema) -> Expression:
    own = platform_api_keys
    is_expired = sa.and_(own.c.status == "active", own.c.expires_at <= sa.func.now())
    status = sa.case((is_expired, "expired"), else_=own.c.status)
    return _counts(own, status) if live.has("platform_api_keys") else _nothing()


def _storage() -> dict[str, Expression]:
    """Return what is stored by the latest snapshot; that of a day without any of the user's objects is 0."""
    own = storage_daily
    day = sa.select(sa.func.max(own.c.day)).scalar_subquery()
    kinds = (
        sa.select(own.c.kind, sa.func.sum(own.c.bytes).label("bytes"))
        .where(own.c.user_id == users.c.id, own.c.day == day)
        .group_by(own.c.kind)
        .correlate(users)
        .subquery("stored")
    )
    total = sa.select(sa.func.coalesce(sa.func.sum(kinds.c.bytes), 0)).scalar_subquery()
    return {
        "storage_bytes": sa.case((day.is_not(None), total)),
        "storage": _object(kinds.c.kind, kinds.c.bytes),
        "storage_day": day,
    }


def _costs(month: date) -> Expression:
    """Return the month's costs by kind, exact and so as text; a kind whose cost is not known is left out."""
    pairs = [
        part
        for name in COSTS
        for part in (name.removesuffix("_cost"), sa.cast(monthly_usage.c[name], sa.Text))
    ]
    return _of_month(sa.func.jsonb_strip_nulls(sa.func.jsonb_build_object(*pairs), type_=JSONB), month)


def _of_month(value: Expression, month: date) -> Expression:
    own = monthly_usage
    select = sa.select(value).where(own.c.user_id == users.c.id, own.c.usage_month == month)
    return select.correlate(users).scalar_subquery()


def _sessions(live: LiveSchema) -> Expression:
    if not live.readable(_SESSIONS):
        return _nothing()
    own = sessions
    return _array(
        sa.select(
            _moment(own.c.created_at).label("created_at"),
            _moment(own.c.refreshed_at).label("refreshed_at"),
            sa.func.host(own.c.ip).label("ip"),
            own.c.user_agent,
        )
        .where(own.c.user_id == users.c.id)
        .order_by(own.c.created_at.desc().nulls_last(), own.c.id)
        .limit(LATEST_SESSIONS)
        .correlate(users)
    )


def _session_notes(live: LiveSchema) -> tuple[str, ...]:
    if live.readable(_SESSIONS):
        return ()
    why = "cannot be read by this login" if live.has(_SESSIONS) else "is missing"
    return (f"{_SESSIONS} {why}, so sessions are not known",)


def _acts(user: UUID, live: LiveSchema) -> Expression:
    own, account = admin_audit_logs, users.alias("admin_account")
    admin = own.outerjoin(admin_users, admin_users.c.id == own.c.admin_user_id)
    return _array(
        sa.select(
            _moment(own.c.created_at).label("at"),
            own.c.action,
            account.c.email.label("admin"),
            own.c.justification.label("reason"),
            own.c.id,
        )
        .select_from(admin.outerjoin(account, account.c.id == admin_users.c.user_id))
        .where(own.c.resource_id.in_(belongings(user, live)))
        .order_by(own.c.seq.desc())
        .limit(LATEST_ACTS)
        .correlate(users)
    )


def _counts(table: sa.Table, key: Expression) -> Expression:
    rows = (
        sa.select(sa.func.coalesce(key, "unknown").label("key"), sa.func.count().label("number"))
        .where(table.c.user_id == users.c.id)
        .group_by(sa.text("1"))
        .correlate(users)
        .subquery("counted")
    )
    return _object(rows.c.key, rows.c.number)


def _object(key: Expression, value: Expression) -> Expression:
    found = sa.func.jsonb_object_agg(key, value, type_=JSONB)
    return sa.select(sa.func.coalesce(found, sa.text("'{}'::jsonb"), type_=JSONB)).scalar_subquery()


def _array(ordered: sa.Select[Any]) -> Expression:
    """Return a list of objects, in the order of the SELECT."""
    listed = sa.func.jsonb_agg(_row(ordered.subquery("listed")), type_=JSONB)
    return sa.select(sa.func.coalesce(listed, sa.text("'[]'::jsonb"), type_=JSONB)).scalar_subquery()


def _row(rows: sa.Subquery) -> Expression:
    return sa.func.to_jsonb(rows.table_valued(), type_=JSONB)


def _moment(time: Expression) -> Expression:
    """Write a time within JSON as every column does; a time without zone is UTC already."""
    is_zoned = getattr(time.type, "timezone", False)
    local = sa.func.timezone("UTC", time) if is_zoned else time
    return sa.func.to_char(local, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')


def _nothing() -> Expression:
    return sa.cast(sa.null(), JSONB)
