"""What is told of an account: its name, status and tier, and what it has and did; the same in every report."""

from collections.abc import Collection
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from avatarlab_cli.queries.account_status import status
from avatarlab_cli.queries.usage import MEASURES
from avatarlab_cli.rollup.accounts import FREE
from avatarlab_cli.rollup.subscriptions import LATEST, LIVE
from avatarlab_cli.schema.accounts import profiles
from avatarlab_cli.schema.admin import monthly_usage, subscription_tiers, user_subscriptions
from avatarlab_cli.schema.api import platform_api_keys
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import usage_daily
from avatarlab_cli.schema.supabase import users

Expression = sa.ColumnElement[Any]

# The end of today decides what is live. As a subquery it is computed once, not for each row.
TODAY_ENDS = "(SELECT date_trunc('day', now(), 'UTC') + interval '1 day')"
IS_LIVE = LIVE.format(end=TODAY_ENDS)
# What a value comes from when it does not stand in the account's own row.
SOURCES = {
    "tier": "subscription",
    "subscription": "subscription",
    "is_paying": "subscription",
    "last_active": "activity",
    "avatars": "avatars",
    "api_keys": "keys",
    "is_over_limit": "usage",
    **dict.fromkeys(MEASURES, "usage"),
}


def has_live_subscription() -> Expression:
    """Return whether the account has a live subscription, in a form PostgreSQL can estimate well."""
    own = user_subscriptions.alias("s")
    return sa.exists().where(own.c.user_id == users.c.id, sa.text(IS_LIVE))


def usage_notes(connection: sa.Connection, wanted: Expression, when: str) -> tuple[str, ...]:
    """Return the note that no usage is stored for then, unless a row fulfils what is wanted."""
    if connection.scalar(sa.select(sa.exists().where(wanted))):
        return ()
    return (f"no usage is stored {when}; `avatarlab job run monthly-usage` computes it",)


class Accounts:
    """All accounts; `source` is what to select from, `value` what to select.

    Each of SOURCES has at most one row a user. One that is `joined` is computed for everybody, which is best for a
    filter, an order, or a list of all. Of others a value is looked up row by row, which PostgreSQL leaves until
    it has found the page that is shown.
    """

    def __init__(self, live: LiveSchema, month: date, joined: Collection[str] = ()) -> None:
        self._live = live
        self._joined = joined
        self._sources = {
            "subscription": _current_subscriptions(),
            "activity": _last_days(),
            "avatars": _count(avatars, avatars.c.status.is_distinct_from("deleted"), "avatars"),
            "keys": _count(platform_api_keys, _is_valid_key(), "api_keys"),
            "usage": monthly_usage.alias("usage"),
        }
        self._month = month

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not told of anybody, because its table is not there."""
        tables = {
            "profiles": "names, labels and tiers of profiles are",
            "avatars": "the number of avatars is",
            "platform_api_keys": "the number of keys is",
        }
        return tuple(
            f"public.{name} is missing, so {what} not known"
            for name, what in tables.items()
            if not self._live.has(name)
        )

    @property
    def source(self) -> sa.FromClause:
        """The accounts, joined with their profiles and with what is to be joined."""
        source: sa.FromClause = users
        if self._live.has("profiles"):
            source = source.outerjoin(profiles, profiles.c.id == users.c.id)
        if self._live.has("profiles", "subscription_tier_id"):
            source = source.outerjoin(
                subscription_tiers, subscription_tiers.c.id == profiles.c.subscription_tier_id
            )
        for name in sorted(self._joined):
            if self._is_there(name):
                source = source.outerjoin(self._sources[name], self._is_own(name))
        return source

    def value(self, name: str) -> Expression:
        """Return what `name` is of an account; NULL where this database cannot tell."""
        own = {
            "id": users.c.id,
            "email": users.c.email,
            "created_at": users.c.created_at,
            "status": sa.literal_column(status(self._live, users.fullname, profiles.fullname), sa.Text),
            "tier": self._tier,
            "last_login_at": sa.func.greatest(self.profile("last_login"), users.c.last_sign_in_at),
        }
        if name in own:
            return own[name].label(name)
        if name not in SOURCES:
            return self.profile(name).label(name)
        found = self._found(name)
        # Nothing to count is 0, nothing paid is not paying; other unknown values are unknown.
        empty = {"avatars": 0, "api_keys": 0, "is_paying": False}.get(name)
        is_known = empty is not None and self._is_there(SOURCES[name])
        return (sa.func.coalesce(found, empty) if is_known else found).label(name)

    def profile(self, name: str) -> Expression:
        """Return a column of the profile, NULL where this database does not have it."""
        column: Expression = profiles.c[name]
        return column if self._live.has("profiles", name) else sa.cast(sa.null(), column.type)

    @property
    def tier_source(self) -> Expression:
        """Where the tier comes from: subscription, profile or default."""
        return sa.case(
            (self._found("tier").is_not(None), "subscription"),
            (self._profile_tier.is_not(None), "profile"),
            else_="default",
        )

    @property
    def _tier(self) -> Expression:
        return sa.func.coalesce(self._found("tier"), self._profile_tier, FREE)

    @property
    def _profile_tier(self) -> Expression:
        has_tier = self._live.has("profiles", "subscription_tier_id")
        return subscription_tiers.c.name if has_tier else sa.cast(sa.null(), sa.Text)

    def _is_there(self, source: str) -> bool:
        table = {"avatars": "avatars", "keys": "platform_api_keys"}.get(source)
        return table is None or self._live.has(table)

    def _found(self, name: str) -> Expression:
        """Return the value as its source has it, joined or looked up."""
        source = self._sources[SOURCES[name]]
        if not self._is_there(SOURCES[name]):
            return sa.cast(sa.null(), source.c[name].type)
        if SOURCES[name] in self._joined:
            return source.c[name]
        return sa.select(source.c[name]).where(self._is_own(SOURCES[name])).correlate(users).scalar_subquery()

    def _is_own(self, source: str) -> Expression:
        found = self._sources[source]
        is_own = found.c.user_id == users.c.id
        return sa.and_(is_own, found.c.usage_month == self._month) if source == "usage" else is_own


def _current_subscriptions() -> sa.Subquery:
    """Return each user's latest live subscription with its tier's name."""
    own, tier = user_subscriptions.alias("s"), subscription_tiers.alias("t")
    cycles = {"monthly": tier.c.price_monthly, "yearly": tier.c.price_yearly}
    price = sa.case(cycles, value=own.c.billing_cycle, else_=0)
    ends = sa.literal_column(TODAY_ENDS, own.c.trial_ends_at.type)
    is_trial = sa.or_(
        own.c.status == "trial", sa.and_(own.c.is_trial, sa.func.coalesce(own.c.trial_ends_at >= ends, False))
    )
    return (
        sa.select(
            own.c.user_id,
            tier.c.name.label("tier"),
            own.c.status.label("subscription"),
            sa.and_(price > 0, sa.not_(is_trial)).label("is_paying"),
        )
        .join(tier, tier.c.id == own.c.tier_id)
        .where(sa.text(IS_LIVE))
        .ext(distinct_on(own.c.user_id))
        .order_by(own.c.user_id, sa.text(LATEST))
        .subquery("current")
    )


def _last_days() -> sa.Subquery:
    """Return the last day on which each user did something."""
    own = usage_daily
    last = sa.func.max(own.c.day).label("last_active")
    return sa.select(own.c.user_id, last).where(own.c.is_active).group_by(own.c.user_id).subquery("activity")


def _count(table: sa.Table, condition: Expression, name: str) -> sa.Subquery:
    """Return how many of a table's rows each user has."""
    number = sa.func.count().label(name)
    return (
        sa.select(table.c.user_id, number).where(condition).group_by(table.c.user_id).subquery(f"{name}_now")
    )


def _is_valid_key() -> Expression:
    own = platform_api_keys
    ends = own.c.expires_at
    return sa.and_(own.c.status == "active", sa.or_(ends.is_(None), ends > sa.func.now()))
