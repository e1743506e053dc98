"""Reports on who has which tier: requests for another one, and accounts whose records contradict each other."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.accounts import IS_LIVE, TODAY_ENDS
from avatarlab_cli.queries.naming import Naming
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import accounts
from avatarlab_cli.rollup.accounts import FREE
from avatarlab_cli.rollup.subscriptions import LATEST, PAUSED
from avatarlab_cli.schema.accounts import profiles
from avatarlab_cli.schema.admin import admin_users, subscription_tiers, user_subscriptions
from avatarlab_cli.schema.commerce import tier_upgrade_requests
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.supabase import users

PENDING = "pending"
REQUEST_STATES = (PENDING, "approved", "rejected", "cancelled")
ALL = "all"
NO_REQUESTS = f"users cannot ask for a tier here: there is no table {tier_upgrade_requests.name}"
# What is wrong with an account's subscriptions, and what `tier repair` does about it.
SEVERAL, NONE, LAPSED, DISAGREE = (
    "several_subscriptions",
    "without_subscription",
    "lapsed_subscription",
    "tiers_disagree",
)
# Of a subscription s: whether it is live or paused, so that beside it there should be no other.
IS_HELD = f"(({IS_LIVE}) OR ({PAUSED.format(end=TODAY_ENDS)}))"
REQUEST = Naming(
    "request",
    "public.tier_upgrade_requests",
    "public.tier_upgrade_requests r",
    "r.id::text",
    prefixes=("r.id::text",),
    hint="`avatarlab tier requests list` shows them",
)


def requests(connection: sa.Connection, status: str = PENDING) -> Report:
    """Report the users' requests for another tier, of one status or `all`; raises UsageError for another."""
    if status not in {*REQUEST_STATES, ALL}:
        raise UsageError(
            f"{status!r} is not the status of a request", hint=f"one of: {', '.join((*REQUEST_STATES, ALL))}"
        )
    is_present = probe(connection).has(tier_upgrade_requests.name)
    select = _requests() if is_present else _no_requests()
    if is_present and status != ALL:
        select = select.where(tier_upgrade_requests.c.status == status)
    return Report(
        select,
        _REQUEST_COLUMNS,
        sort="created_at",
        empty="There is no such request.",
        notes=() if is_present else (NO_REQUESTS,),
    )


_REQUEST_COLUMNS = (
    Column("id", Kind.ID, "the request"),
    Column("user_id", Kind.TEXT, "the user who asks", wide=True),
    Column("email", Kind.TEXT, "and the user's e-mail address", null="-"),
    Column("status", Kind.TEXT, "pending, approved, rejected or cancelled"),
    Column("current_tier", Kind.TEXT, "the tier at the time", null="-"),
    Column("requested_tier", Kind.TEXT, "the tier asked for"),
    Column("reason", Kind.TEXT, "what for", null="-"),
    Column("created_at", Kind.TIME, "when the user asked"),
    Column("reviewed_at", Kind.TIME, "when an admin answered", wide=True, null="-"),
    Column("reviewed_by", Kind.TEXT, "which one", wide=True, null="-"),
    Column("admin_notes", Kind.TEXT, "and why", wide=True, null="-"),
)


def _no_requests() -> sa.Select[Any]:
    blank: list[sa.ColumnElement[Any]] = [
        sa.cast(sa.null(), sa.Text).label(column.name) for column in _REQUEST_COLUMNS
    ]
    return sa.select(*blank).where(sa.false())


def _requests() -> sa.Select[Any]:
    asked, answerer = tier_upgrade_requests, users.alias("answerer")
    current, requested = subscription_tiers.alias("current"), subscription_tiers.alias("requested")
    columns: list[sa.ColumnElement[Any]] = [
        asked.c.id,
        asked.c.user_id,
        users.c.email,
        asked.c.status,
        current.c.name.label("current_tier"),
        requested.c.name.label("requested_tier"),
        asked.c.reason,
        asked.c.created_at,
        asked.c.reviewed_at,
        answerer.c.email.label("reviewed_by"),
        asked.c.admin_notes,
    ]
    return sa.select(*columns).select_from(
        asked.join(users, users.c.id == asked.c.user_id)
        .join(requested, requested.c.id == asked.c.requested_tier_id)
        .outerjoin(current, current.c.id == asked.c.current_tier_id)
        .outerjoin(admin_users, admin_users.c.id == asked.c.reviewed_by)
        .outerjoin(answerer, answerer.c.id == admin_users.c.user_id)
    )


def findings(connection: sa.Connection) -> Report:
    """Report each account, not deleted, with no subscription, with several, or whose two tiers disagree.

    A subscription counts while it is live or paused. A profile without a tier counts as free.
    """
    live = probe(connection)
    account = accounts.selected(live).cte("account")
    held, current = _held(), subscription_tiers.alias("current")
    profile_tier = account.c.tier if _has_profile_tier(live) else sa.cast(sa.null(), sa.Text)
    found = _judged(live, account, held, current)
    return Report(
        sa.select(
            account.c.id,
            users.c.email,
            found.c.finding,
            profile_tier.label("profile_tier"),
            current.c.name.label("subscription_tier"),
            found.c.repair,
        )
        .select_from(
            account.join(users, users.c.id == account.c.id)
            .outerjoin(held, held.c.user_id == account.c.id)
            .outerjoin(current, current.c.id == held.c.tier_id)
            .join(found, found.c.is_found)
        )
        .where(account.c.deleted_at.is_(None)),
        (
            Column("id", Kind.ID, "the user", wide=True),
            Column("email", Kind.TEXT, "the user's e-mail address", null="-"),
            Column("finding", Kind.TEXT, f"{SEVERAL}, {NONE}, {LAPSED} or {DISAGREE}"),
            Column("profile_tier", Kind.TEXT, "the tier the profile carries"),
            Column("subscription_tier", Kind.TEXT, "the tier of the current subscription", null="-"),
            Column("repair", Kind.TEXT, "what `tier repair` does about it"),
        ),
        sort="email,finding",
        empty="Every account has one subscription, and its profile agrees.",
    )


def repairable(connection: sa.Connection, *, is_trusting: bool) -> list[str]:
    """Return the ids of the accounts `findings` has and a repair would change; with trust the lapsed ones too."""
    found = findings(connection).select.subquery("found")
    select = sa.select(sa.cast(found.c.id, sa.Text)).distinct()
    return list(connection.scalars(select if is_trusting else select.where(found.c.finding != LAPSED)))


def _has_profile_tier(live: LiveSchema) -> bool:
    return live.has("profiles", "subscription_tier_id")


def _held() -> sa.Subquery:
    """Return each user's subscriptions that are live or paused: how many, and the tier of the current one."""
    s = user_subscriptions.alias("s")
    is_live = sa.literal_column(f"({IS_LIVE})", sa.Boolean)
    tiers = sa.text(f"(array_agg(s.tier_id ORDER BY {LATEST}) FILTER (WHERE {IS_LIVE}))[1]")
    return (
        sa.select(
            s.c.user_id,
            sa.func.count().label("held"),
            sa.func.count().filter(is_live).label("live"),
            sa.literal_column(tiers.text, sa.Uuid).label("tier_id"),
        )
        .where(sa.text(IS_HELD))
        .group_by(s.c.user_id)
        .subquery("held")
    )


def _judged(live: LiveSchema, account: sa.CTE, held: sa.Subquery, current: sa.FromClause) -> sa.FromClause:
    """Return, beside an account, each thing that may be wrong, whether it is, and what repairs it."""
    others = sa.cast(held.c.held - 1, sa.Text)
    has_none = held.c.user_id.is_(None)
    is_free = account.c.tier == FREE
    disagrees: sa.ColumnElement[bool] = sa.false()
    if _has_profile_tier(live):
        has_profile = sa.exists().where(profiles.c.id == account.c.id)
        disagrees = sa.and_(account.c.tier != current.c.name, has_profile)
    return (
        sa.values(
            sa.column("finding", sa.Text),
            sa.column("is_found", sa.Boolean),
            sa.column("repair", sa.Text),
            name="finding",
        )
        .data(
            [
                (SEVERAL, held.c.held > 1, sa.literal("end ") + others + " older"),
                (NONE, sa.and_(has_none, is_free), sa.literal("start a free one")),
                (LAPSED, sa.and_(has_none, ~is_free), sa.literal("none without --trust")),
                (DISAGREE, disagrees, sa.literal("set the profile to ") + current.c.name),
            ]
        )
        .lateral()
    )
