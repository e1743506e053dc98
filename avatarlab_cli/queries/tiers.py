"""Reports on the plans: what they are, who has them, what they earn."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from avatarlab_cli.queries.naming import Found, Naming
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import accounts, subscriptions
from avatarlab_cli.schema.admin import subscription_tiers
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import tier_price_history
from avatarlab_cli.tier_file import FIELDS

_STATE = sa.case(
    (subscription_tiers.c.archived_at.is_not(None), "archived"),
    (subscription_tiers.c.is_active, "active"),
    else_="inactive",
)
_NOTHING, _NONE = (sa.literal_column(text, JSONB) for text in ("'{}'::jsonb", "'[]'::jsonb"))
_OWN = (
    Column("tier", Kind.ID, "its name"),
    Column("display_name", help="as users see it"),
    Column("price_monthly", Kind.MONEY, "a month, USD"),
    Column("price_yearly", Kind.MONEY, "a year, USD"),
    Column("trial_days", Kind.INTEGER, "length of a trial; 0 for none"),
    Column("max_avatars", Kind.INTEGER, "avatars at a time; -1 is unlimited"),
    Column("limits", Kind.JSON, "metric -> most of it in a month"),
    Column("users", Kind.INTEGER, "who has it now, by subscription or else by profile"),
    Column("state", help="active, inactive or archived"),
)
_MORE = (
    Column("tier_id", Kind.TEXT, "its row", wide=True),
    Column("description", help="what it offers", wide=True, null="-"),
    Column("is_featured", Kind.BOOLEAN, "whether it is recommended", wide=True),
    Column("priority_support", Kind.BOOLEAN, "whether it has priority support", wide=True),
    Column("custom_branding", Kind.BOOLEAN, "whether it has its own branding", wide=True),
    Column("sort_order", Kind.INTEGER, "its place among the tiers", wide=True),
    Column("archived_at", Kind.TIME, "since when nobody can take it", wide=True, null="-"),
    Column("created_at", Kind.TIME, "since when there is the tier", wide=True),
    Column("updated_at", Kind.TIME, "when it last changed", wide=True),
)


TIER = Naming(
    "tier",
    "public.subscription_tiers",
    "public.subscription_tiers r",
    "r.name",
    names=("lower(r.name)",),
    prefixes=("lower(r.name)",),
    hint="`avatarlab tier list --archived` shows them all",
)


def today(connection: sa.Connection) -> date:
    """Return the database's present day, UTC."""
    day: date = connection.execute(sa.select(sa.func.current_date())).scalar_one()
    return day


def present(connection: sa.Connection) -> dict[str, Mapping[str, Any]]:
    """Return the tiers there are by name, each with the columns a tiers.yaml can set, id, and is_archived."""
    own = subscription_tiers.c
    select = sa.select(
        own.id, *(own[name] for name in FIELDS), own.archived_at.is_not(None).label("is_archived")
    )
    rows = connection.execute(select.order_by(own.sort_order, own.name)).mappings()
    return {row["name"]: dict(row) for row in rows}


def standing(live: LiveSchema, today: date) -> sa.CTE:
    """Select every account at the end of `today`, deleted ones left out: user_id, tier, cycle, arr_cents, flags.

    By the definitions of platform_statistics. `is_paused` is a suspended subscription with nothing live beside it:
    its user's tier is the profile's.
    """
    account = accounts.selected(live).cte("accounts_fresh")
    day = sa.cast(sa.bindparam("today", today), sa.Date)
    todo = sa.select(day.label("day"), sa.false().label("is_reconstructed")).cte("subscription_todo")
    kinds = {"user_id": sa.Uuid, "tier": sa.Text, "cycle": sa.Text, "arr_cents": sa.BigInteger}
    flags = {"is_trial": sa.Boolean, "is_paused": sa.Boolean}
    own = subscriptions.FRESH.columns(**kinds, **flags).subquery("own")
    end = sa.func.timezone("UTC", sa.cast(day + 1, sa.DateTime(timezone=False)))
    return (
        sa.select(
            account.c.id.label("user_id"),
            sa.case(
                (own.c.is_paused, account.c.tier), else_=sa.func.coalesce(own.c.tier, account.c.tier)
            ).label("tier"),
            sa.case((~own.c.is_paused, own.c.cycle)).label("cycle"),
            sa.func.coalesce(own.c.arr_cents, 0).label("arr_cents"),
            *(sa.func.coalesce(own.c[name], sa.false()).label(name) for name in flags),
        )
        .select_from(account.outerjoin(own, own.c.user_id == account.c.id))
        .where(sa.or_(account.c.created_at.is_(None), account.c.created_at < end))
        .where(sa.or_(account.c.deleted_at.is_(None), account.c.deleted_at >= end))
        .add_cte(account, todo)
        .cte("standing")
    )


def every(live: LiveSchema, today: date, *, archived: bool) -> Report:
    """Report the tiers, those archived too where asked."""
    user = standing(live, today)
    users = sa.select(user.c.tier, sa.func.count().label("users")).group_by(user.c.tier).subquery("users")
    own = subscription_tiers
    joined = own.outerjoin(users, users.c.tier == own.c.name)
    select = sa.select(*_columns(), sa.func.coalesce(users.c.users, 0).label("users")).select_from(joined)
    return Report(
        select if archived else select.where(own.c.archived_at.is_(None)),
        (*_OWN, *_MORE),
        sort="sort_order,tier",
        empty="There is no tier.",
    )


def _columns() -> list[sa.ColumnElement[Any]]:
    names = {"tier": "name", "tier_id": "id"}
    shown = [column.name for column in (*_OWN, *_MORE) if column.name not in ("users", "state")]
    return [
        *(subscription_tiers.c[names.get(name, name)].label(name) for name in shown),
        _STATE.label("state"),
    ]


def show(tier: Found, live: LiveSchema, today: date) -> Report:
    """Report everything about one tier: its prices over time and its users by billing cycle too."""
    user = standing(live, today)
    own, price = subscription_tiers, tier_price_history
    cycle = sa.func.coalesce(user.c.cycle, "none")
    cycles = (
        sa.select(cycle.label("cycle"), sa.func.count().label("users"))
        .where(user.c.tier == own.c.name)
        .group_by(cycle)
        .correlate(own)
        .lateral("cycles")
    )
    by_cycle = sa.select(sa.func.jsonb_object_agg(cycles.c.cycle, cycles.c.users)).scalar_subquery()
    users = sa.select(sa.func.count()).where(user.c.tier == own.c.name).scalar_subquery()
    entry = sa.func.jsonb_build_object(
        "from",
        sa.case((sa.func.isfinite(price.c.valid_from), price.c.valid_from)),
        "monthly",
        price.c.price_monthly,
        "yearly",
        price.c.price_yearly,
    )
    history = sa.select(sa.func.jsonb_agg(aggregate_order_by(entry, price.c.valid_from)))
    return Report(
        sa.select(
            *_columns(),
            users.label("users"),
            sa.func.coalesce(by_cycle, _NOTHING).label("users_by_cycle"),
            sa.func.coalesce(history.where(price.c.tier_id == own.c.id).scalar_subquery(), _NONE).label(
                "prices"
            ),
        ).where(own.c.id == tier.id),
        (
            *_OWN,
            Column("users_by_cycle", Kind.JSON, "billing cycle -> users; none has no live subscription"),
            Column("prices", Kind.JSON, "each price and when it began, null for before it was kept"),
            *_MORE,
        ),
        single=True,
    )


def distribution(live: LiveSchema, today: date) -> Report:
    """Report each tier's users and what they bring in, by the definitions of platform_statistics."""
    user, own = standing(live, today), subscription_tiers
    counts = _distributed(user).group_by(user.c.tier).subquery("counts")
    tier = sa.func.coalesce(counts.c.tier, own.c.name)
    users = sa.func.coalesce(counts.c.users, 0)
    arr = sa.func.coalesce(counts.c.arr_cents, 0)
    counted = [sa.func.coalesce(counts.c[name], 0).label(name) for name in ("paying", "trialing", "paused")]
    return Report(
        sa.select(
            tier.label("tier"),
            users.label("users"),
            sa.func.round(users / sa.func.nullif(sa.func.sum(users).over(), 0), 6).label("share"),
            *counted,
            sa.func.round(arr / sa.literal_column("1200.0"), 2).label("mrr"),
            sa.func.round(arr / sa.literal_column("100.0"), 2).label("arr"),
        )
        .select_from(own.join(counts, counts.c.tier == own.c.name, full=True))
        .where(sa.or_(counts.c.users > 0, own.c.archived_at.is_(None))),
        (
            Column("tier", Kind.ID, "what users have by subscription, or else by profile"),
            Column("users", Kind.INTEGER, "who has it now"),
            Column("share", Kind.PERCENT, "of all users"),
            Column("paying", Kind.INTEGER, "of them, who pays for it"),
            Column("trialing", Kind.INTEGER, "who is on trial"),
            Column("paused", Kind.INTEGER, "whose subscription is suspended, with nothing live beside it"),
            Column("mrr", Kind.MONEY, "revenue a month, rounded; rounded figures need not sum to the total"),
            Column("arr", Kind.MONEY, "revenue a year, exact"),
        ),
        sort="-users,tier",
        empty="There is neither a tier nor a user.",
    )


def _distributed(user: sa.CTE) -> sa.Select[Any]:
    count = sa.func.count()
    return sa.select(
        user.c.tier,
        count.label("users"),
        count.filter(user.c.arr_cents > 0).label("paying"),
        count.filter(user.c.is_trial).label("trialing"),
        count.filter(user.c.is_paused).label("paused"),
        sa.func.sum(user.c.arr_cents).label("arr_cents"),
    )
