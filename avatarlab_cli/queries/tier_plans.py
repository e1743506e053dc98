"""Reports on a tiers.yaml beside the database: how they differ, and what would be if the file were applied."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.limits import FOUND
from avatarlab_cli.queries.tiers import standing
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import limits
from avatarlab_cli.rollup.daily import COUNTS
from avatarlab_cli.rollup.limits import AVATAR_LIMIT, LIMITABLE
from avatarlab_cli.rollup.subscriptions import WORTH
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.base import JSONB
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.tier_file import Change, Tier, Values, reached

DIFFERENCES = (
    Column("tier", Kind.ID, "the tier"),
    Column("change", help="create, update or archive"),
    Column("field", help="what of it"),
    Column("before", Kind.JSON, "as the database has it", null="-"),
    Column("after", Kind.JSON, "as the file has it", null="-"),
)
_PLANNED = (
    sa.column("id", sa.Uuid),
    sa.column("name", sa.Text),
    sa.column("price_monthly", sa.Numeric),
    sa.column("price_yearly", sa.Numeric),
    sa.column(AVATAR_LIMIT, sa.Integer),
    sa.column("limits", JSONB),
)
_NOTHING = sa.literal_column("'{}'::jsonb", JSONB)


def differences(changes: Iterable[Change]) -> Iterator[dict[str, object]]:
    """Yield one row for each value that differs."""
    for change in changes:
        for name, after in change.after.items():
            row = {"field": name, "before": change.before.get(name), "after": after}
            yield {"tier": change.tier, "change": change.kind, **row}


class WhatIf:
    """Every user judged twice by one month's stored usage: by the tiers there are, and by those a file wants.

    Users keep their tier and their own overrides; deleted accounts are left out. Avatars are those there are now.
    """

    def __init__(
        self,
        live: LiveSchema,
        wanted: Sequence[Tier],
        present: Mapping[str, Values],
        *,
        month: date,
        today: date,
    ) -> None:
        self._live, self._month, self._today = live, month, today
        named = [*present.values(), *(tier.values for tier in wanted)]
        self._metrics_named = {metric for values in named for metric in values.get("limits") or ()}
        tiers = [
            {
                "name": name,
                **{column.name: values.get(column.name) for column in _PLANNED if column.name != "name"},
            }
            for name, values in reached(wanted, present)
        ]
        rows = sa.func.jsonb_to_recordset(sa.cast(sa.literal(json.dumps(tiers, default=str), sa.Text), JSONB))
        self._planned = sa.select(rows.table_valued(*_PLANNED).render_derived(with_types=True)).cte("planned")
        self._standing = standing(live, today)
        self._judged = self._judge()

    def _judge(self) -> sa.CTE:
        """Return a row for each limit that a user exceeds now or would exceed then."""
        now, then = self._limited("public.subscription_tiers", "now"), self._limited("planned", "then")
        both = now.join(then, sa.and_(now.c.user_id == then.c.user_id, now.c.name == then.c.name), full=True)
        name = sa.func.coalesce(now.c.name, then.c.name)
        user, own = self._standing, monthly_usage
        joined = both.join(user, user.c.user_id == sa.func.coalesce(now.c.user_id, then.c.user_id)).outerjoin(
            own, sa.and_(own.c.user_id == user.c.user_id, _is_computed(self._month))
        )
        values = {metric: sa.cast(own.c[metric], sa.Numeric) for metric in COUNTS}
        if limits.has_avatars(self._live):
            avatars = limits.AVATARS.columns(user_id=sa.Uuid, avatars=sa.BigInteger).subquery("avatars_now")
            joined = joined.outerjoin(avatars, avatars.c.user_id == user.c.user_id)
            values[AVATAR_LIMIT] = sa.cast(avatars.c.avatars, sa.Numeric)
        value = sa.case(values, value=name)
        is_over, would_be = (sa.func.coalesce(value > side.c.maximum, sa.false()) for side in (now, then))
        return (
            sa.select(
                user.c.user_id,
                user.c.tier,
                name.label("metric"),
                value.label("value"),
                now.c.maximum.label("limit_now"),
                then.c.maximum.label("limit_then"),
                is_over.label("is_over"),
                would_be.label("would_be"),
            )
            .select_from(joined)
            .where(sa.or_(is_over, would_be))
            .add_cte(self._planned)
            .cte("judged")
        )

    def _limited(self, tiers: str, name: str) -> sa.Subquery:
        """Return the limits in force by the tiers of a relation: user_id, name, maximum."""
        query = limits.found(tiers).bindparams(today=self._today, known=list(LIMITABLE))
        rows = query.columns(*FOUND).subquery(f"found_{name}")
        number = sa.literal_column(limits.NUMBER, sa.Numeric)
        is_limit = sa.literal_column(limits.IS_LIMIT, sa.Boolean)
        return sa.select(rows.c.user_id, rows.c.name, number.label("maximum")).where(is_limit).subquery(name)

    def by_tier(self, notes: tuple[str, ...] = ()) -> Report:
        """Report of each tier how many users are and would be over a limit, and what it earns and would earn."""
        people, metrics, money = self._people(), self._metrics(), self._money()
        joined = money.outerjoin(people, people.c.tier == money.c.tier)
        joined = joined.outerjoin(metrics, metrics.c.tier == money.c.tier)
        counts = [
            sa.func.coalesce(people.c[name], 0).label(name)
            for name in ("over_now", "over_then", "newly_over")
        ]
        limited = [
            sa.func.coalesce(metrics.c[name], _NOTHING).label(name)
            for name in ("exceeded_now", "exceeded_then")
        ]
        now, then = money.c.arr_now, money.c.arr_then
        earned = {"mrr_now": now, "mrr_then": then, "mrr_change": then - now}
        yearly = {"arr_now": now, "arr_then": then}
        return Report(
            sa.select(
                money.c.tier,
                money.c.users,
                *counts,
                *limited,
                *(_amount(cents, "1200.0").label(name) for name, cents in earned.items()),
                *(_amount(cents, "100.0").label(name) for name, cents in yearly.items()),
            ).select_from(joined),
            (
                Column("tier", Kind.ID, "what users have by subscription, or else by profile"),
                Column("users", Kind.INTEGER, "who has it now"),
                Column("over_now", Kind.INTEGER, "who exceeds a limit of today"),
                Column("over_then", Kind.INTEGER, "who would exceed one of the file"),
                Column("newly_over", Kind.INTEGER, "who would exceed one that is not exceeded today"),
                Column("exceeded_now", Kind.JSON, "metric -> users over its limit today", wide=True),
                Column("exceeded_then", Kind.JSON, "metric -> users over its limit in the file"),
                Column("mrr_now", Kind.MONEY, "revenue a month at today's prices, rounded"),
                Column("mrr_then", Kind.MONEY, "revenue a month at the file's prices, rounded"),
                Column("mrr_change", Kind.MONEY, "the difference, rounded"),
                Column("arr_now", Kind.MONEY, "revenue a year at today's prices, exact", wide=True),
                Column("arr_then", Kind.MONEY, "revenue a year at the file's prices, exact", wide=True),
            ),
            sort="-users,tier",
            notes=notes,
            empty="There is no user.",
        )

    def _people(self) -> sa.Subquery:
        row = self._judged.c
        user = sa.func.count(sa.distinct(row.user_id))
        newly = sa.and_(row.would_be, sa.not_(row.is_over))
        return (
            sa.select(
                row.tier,
                user.filter(row.is_over).label("over_now"),
                user.filter(row.would_be).label("over_then"),
                user.filter(newly).label("newly_over"),
            )
            .group_by(row.tier)
            .subquery("people")
        )

    def _metrics(self) -> sa.Subquery:
        row, count = self._judged.c, sa.func.count()
        counts = (
            sa.select(
                row.tier,
                row.metric,
                count.filter(row.is_over).label("now"),
                count.filter(row.would_be).label("then"),
            )
            .group_by(row.tier, row.metric)
            .subquery("counts")
        )
        sides = {"exceeded_now": counts.c.now, "exceeded_then": counts.c.then}
        objects = [
            sa.func.jsonb_object_agg(counts.c.metric, users).filter(users > 0).label(name)
            for name, users in sides.items()
        ]
        return sa.select(counts.c.tier, *objects).group_by(counts.c.tier).subquery("metrics")

    def _money(self) -> sa.Subquery:
        user, planned = self._standing, self._planned
        worth = WORTH.format(monthly="planned.price_monthly", yearly="planned.price_yearly")
        pays = sa.not_(sa.or_(user.c.is_trial, user.c.is_paused))
        then = sa.case((pays, sa.literal_column(f"({worth})", sa.BigInteger)), else_=0)
        return (
            sa.select(
                user.c.tier,
                sa.func.count().label("users"),
                sa.func.sum(user.c.arr_cents).label("arr_now"),
                sa.func.sum(sa.func.coalesce(then, 0)).label("arr_then"),
            )
            .select_from(user.outerjoin(planned, planned.c.name == user.c.tier))
            .group_by(user.c.tier)
            .subquery("money")
        )

    def newly_over(self, notes: tuple[str, ...] = ()) -> Report:
        """Report each limit that a user does not exceed today and would exceed then."""
        row = self._judged.c
        return Report(
            sa.select(
                row.user_id, users.c.email, row.tier, row.metric, row.value, row.limit_now, row.limit_then
            )
            .select_from(self._judged.join(users, users.c.id == row.user_id))
            .where(row.would_be, sa.not_(row.is_over)),
            (
                Column("user_id", Kind.ID, "the user", wide=True),
                Column("email", Kind.TEXT, "the user's e-mail address", null="-"),
                Column("tier", Kind.TEXT, "the user's tier"),
                Column("metric", Kind.TEXT, "what is limited"),
                Column("value", Kind.DECIMAL, "how much of it was used in the month; of avatars, now"),
                Column("limit_now", Kind.DECIMAL, "how much is allowed today", null="-"),
                Column("limit_then", Kind.DECIMAL, "how much the file would allow"),
            ),
            sort="email,metric",
            notes=notes,
            empty="Nobody would be over a limit who is not over it today.",
        )

    def notes(self, connection: sa.Connection) -> tuple[str, ...]:
        """Return what is to be said beside the figures: what all tiers together earn, and usage that is not known."""
        money = self._money().c
        totals = sa.select(*(_amount(sa.func.sum(arr), "1200.0") for arr in (money.arr_now, money.arr_then)))
        now, then = connection.execute(totals).one()
        earned = () if now is None else (f"all tiers together: an MRR of {now} now, {then} then",)
        return (*earned, *self._unknown(connection))

    def _unknown(self, connection: sa.Connection) -> tuple[str, ...]:
        own, month = monthly_usage.c, f"{self._month:%Y-%m}"
        counts = [sa.func.count(own[name]).label(name) for name in COUNTS]
        stored = sa.select(sa.func.count().label("rows"), *counts).where(_is_computed(self._month))
        known = connection.execute(stored).mappings().one()
        if not known["rows"]:
            run = f"`avatarlab job run monthly-usage --month {month}`"
            return (f"no usage is stored for {month}, so only avatars are judged; {run} computes it",)
        missing = [name for name in COUNTS if name in self._metrics_named and not known[name]]
        return (f"not available in {month}, and so not judged: {', '.join(missing)}",) if missing else ()


def _is_computed(month: date) -> sa.ColumnElement[bool]:
    """Return the condition on a row of the month; one without a time of computing is the web panel's."""
    own = monthly_usage.c
    return sa.and_(own.usage_month == month, own.computed_at.is_not(None))


def _amount(cents: sa.ColumnElement[Any], divisor: str) -> sa.ColumnElement[Any]:
    return sa.func.round(cents / sa.literal_column(divisor), 2)
