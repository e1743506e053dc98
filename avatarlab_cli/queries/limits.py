"""Reports on limits: what each user may do this month, and who has done as much or more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.naming import find
from avatarlab_cli.queries.tiers import TIER
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import accounts, limits
from avatarlab_cli.rollup.daily import COUNTS
from avatarlab_cli.rollup.limits import AVATAR_LIMIT, LIMITABLE
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.base import JSONB, TIME
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.supabase import users

NEAR_PERCENT = 90
# A daily run may be a little late.
_FRESH_FOR = timedelta(hours=26)
_COMPUTE = "`avatarlab job run monthly-usage` computes it"
_LATEST_RUN = sa.text("""
    SELECT current_date AS today, now() AS moment, latest.*
    FROM (VALUES (true)) AS always
    LEFT JOIN LATERAL (
        SELECT started_at AS computed_at, metrics_skipped AS skipped FROM avatarlab_admin.job_runs
        WHERE job = 'monthly-usage' AND status = 'succeeded' AND NOT is_dry_run
          AND window_to > date_trunc('month', current_date::timestamp)
        ORDER BY started_at DESC LIMIT 1
    ) AS latest ON true
""")
# What rollup.limits.found yields.
FOUND = (
    sa.column("user_id", sa.Uuid),
    sa.column("name", sa.Text),
    sa.column("maximum", JSONB),
    sa.column("is_number", sa.Boolean),
    sa.column("tier", sa.Text),
    sa.column("is_override", sa.Boolean),
    sa.column("override_expires_at", TIME),
)


@dataclass(frozen=True)
class Judged:
    """What this month's use is judged by: the tables there are, and the latest run that counted the month.

    Without such a run `computed_at` is None. `skipped` holds the metrics it could not count.
    """

    live: LiveSchema
    today: date
    moment: datetime
    computed_at: datetime | None
    skipped: Mapping[str, str]

    @classmethod
    def now(cls, connection: sa.Connection) -> "Judged":
        """Return it for today, by the database's clock."""
        row = connection.execute(_LATEST_RUN).one()
        return cls(probe(connection), row.today, row.moment, row.computed_at, row.skipped or {})

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of figures that are not fresh."""
        if self.computed_at is None:
            return (f"the usage of {self.today:%Y-%m} was never computed: {_COMPUTE}",)
        if self.moment - self.computed_at > _FRESH_FOR:
            return (f"usage was last computed at {self.computed_at:%Y-%m-%d %H:%M}Z: {_COMPUTE} anew",)
        return ()


def of_user(connection: sa.Connection, user: UserName) -> Report:
    """Report each limit in force for a user, with the use of this month and what is left."""
    judged = Judged.now(connection)
    found = _found(judged, user)
    used = _used(found, judged)
    limit = found.c.limit
    select = _joined(found, judged).add_columns(
        found.c.name.label("metric"),
        limit,
        used.label("used"),
        (limit - used).label("left"),
        _ratio(used, limit).label("percent"),
        _source(found).label("source"),
        found.c.tier,
        sa.case((found.c.is_override, found.c.override_expires_at)).label("override_expires_at"),
    )
    return Report(
        select.where(found.c.name.in_(LIMITABLE)),
        (
            Column("metric", Kind.ID, "what is limited"),
            Column("limit", Kind.DECIMAL, "how much is allowed in a month, or at a time", null="unlimited"),
            Column("used", Kind.DECIMAL, "how much was used, as last computed; of avatars, now"),
            Column("left", Kind.DECIMAL, "how much is left; below 0 where the limit is exceeded", null="-"),
            Column("percent", Kind.PERCENT, "of the limit that is used", null="-"),
            Column("source", Kind.TEXT, "the tier, or the user's own override, which wins"),
            Column("tier", Kind.TEXT, "the user's tier", wide=True),
            Column("override_expires_at", Kind.TIME, "when the override ends", wide=True, null="-"),
        ),
        sort="metric",
        notes=(*judged.notes, *_malformed(connection, found)),
        empty=f"Nothing limits {user.email or user.id}.",
    )


def check(
    connection: sa.Connection,
    *,
    near_percent: int = NEAR_PERCENT,
    metric: str | None = None,
    tier: str | None = None,
) -> Report:
    """Report who is above a limit, at it, or has used `near_percent` of it; judged by today's limits.

    Who has used nothing is near nothing, even where the limit is 0. `unjudged` are limits for which the use of somebody is
    not known. Raises UsageError for an unknown metric, NotFoundError for an unknown tier.
    """
    if metric is not None:
        demand_limitable(metric)
    judged = Judged.now(connection)
    found = _found(judged)
    used = _used(found, judged)
    limit = found.c.limit
    asked = [] if metric is None else [found.c.name == metric]
    asked += [] if tier is None else [found.c.tier == find(connection, TIER, tier).label]
    unjudged = _unjudged(connection, found, judged, asked)
    state = sa.case((used > limit, "over"), (used == limit, "at"), else_="near")
    select = _joined(found, judged).add_columns(
        found.c.user_id.label("id"),
        users.c.email,
        found.c.tier,
        found.c.name.label("metric"),
        used.label("value"),
        limit,
        _ratio(used, limit).label("percent"),
        state.label("state"),
    )
    return Report(
        select.join(users, users.c.id == found.c.user_id).where(
            *asked, used > 0, used >= limit * near_percent / 100
        ),
        (
            Column("id", Kind.ID, "the user", wide=True),
            Column("email", Kind.TEXT, "the user's e-mail address", null="-"),
            Column("tier", Kind.TEXT, "the user's tier"),
            Column("metric", Kind.TEXT, "what is limited"),
            Column("value", Kind.DECIMAL, "how much of it was used this month; of avatars, now"),
            Column("limit", Kind.DECIMAL, "how much is allowed, by tier or override"),
            Column("percent", Kind.PERCENT, "of the limit that is used", null="-"),
            Column("state", Kind.TEXT, "over, at or near the limit"),
        ),
        sort="-percent,email,metric",
        notes=(*judged.notes, *_not_checked(unjudged, judged)),
        empty="Nobody is near a limit" + (" that could be checked." if unjudged else "."),
        unjudged=unjudged,
    )


def over(connection: sa.Connection) -> tuple[list[str], tuple[str, ...]]:
    """Return the ids of those whom `check` reports over a limit, and its notes."""
    report = check(connection, near_percent=100)
    found = report.select.subquery("found")
    ids = sa.select(sa.cast(found.c.id, sa.Text)).where(found.c.state == "over").distinct()
    return list(connection.scalars(ids.order_by(sa.cast(found.c.id, sa.Text)))), report.notes


def _unjudged(
    connection: sa.Connection, found: sa.Subquery, judged: Judged, asked: list[sa.ColumnElement[bool]]
) -> tuple[str, ...]:
    """Return the metrics asked for that limit somebody whose use of them is not known."""
    is_unknown = sa.and_(found.c.limit.is_not(None), _used(found, judged).is_(None))
    names = _joined(found, judged).add_columns(found.c.name).where(is_unknown, *asked)
    return tuple(connection.scalars(names.distinct().order_by(found.c.name)))


def _not_checked(unjudged: tuple[str, ...], judged: Judged) -> tuple[str, ...]:
    names = ", ".join(unjudged)
    return (f"not known for {judged.today:%Y-%m}, and so not checked: {names}",) if unjudged else ()


def demand_limitable(metric: str) -> None:
    """Raise UsageError unless a tier may limit the metric."""
    if metric not in LIMITABLE:
        import difflib

        near = difflib.get_close_matches(metric, LIMITABLE, 1)
        raise UsageError(
            f"{metric!r} cannot be limited{f'; did you mean {near[0]}?' if near else ''}",
            hint=f"what can be: {', '.join(LIMITABLE)}",
        )


def _found(judged: Judged, user: UserName | None = None) -> sa.Subquery:
    """Return what limits whom: a row a user, or of one user, and name; `limit` is NULL where nothing is limited."""
    account = accounts.selected(judged.live)
    if user is not None:
        account = account.where(users.c.id == user.id)
    rows = (
        limits.FOUND.bindparams(today=judged.today, known=list(LIMITABLE)).columns(*FOUND).subquery("found")
    )
    number = sa.literal_column(limits.NUMBER, sa.Numeric)
    limit = sa.case((sa.literal_column(limits.IS_LIMIT, sa.Boolean), number))
    is_invalid = sa.literal_column(limits.IS_INVALID, sa.Boolean)
    # The statement of the limits finds the accounts under this name.
    named = account.cte("accounts_fresh")
    return (
        sa.select(rows, limit.label("limit"), is_invalid.label("is_invalid"))
        .join(named, named.c.id == rows.c.user_id)
        .where(named.c.deleted_at.is_(None) if user is None else sa.true())
        .subquery("limited")
    )


def _joined(found: sa.Subquery, judged: Judged) -> sa.Select[Any]:
    """Return the SELECT, still without columns, of limits beside this month's use."""
    own, month = monthly_usage, judged.today.replace(day=1)
    # A row without a time of computing is the web panel's, which counted something else.
    stored = sa.and_(
        own.c.user_id == found.c.user_id, own.c.usage_month == month, own.c.computed_at.is_not(None)
    )
    joined = found.outerjoin(own, stored)
    if limits.has_avatars(judged.live):
        joined = joined.outerjoin(_AVATARS, _AVATARS.c.user_id == found.c.user_id)
    return sa.select().select_from(joined)


_AVATARS = limits.AVATARS.columns(
    sa.column("user_id", sa.Uuid), sa.column("avatars", sa.BigInteger)
).subquery("avatars_now")


def _used(found: sa.Subquery, judged: Judged) -> sa.ColumnElement[Any]:
    """Return how much of what a limit limits was used; NULL where that is not known."""
    own = monthly_usage
    # Whoever did nothing has no row, once the month was computed.
    idle = None if judged.computed_at is None else 0
    counts: dict[str, sa.ColumnElement[Any]] = {
        name: sa.case(
            (own.c.user_id.is_(None), sa.literal(idle, sa.Numeric)), else_=sa.cast(own.c[name], sa.Numeric)
        )
        for name in COUNTS
        if name not in judged.skipped
    }
    if limits.has_avatars(judged.live):
        counts[AVATAR_LIMIT] = sa.cast(sa.func.coalesce(_AVATARS.c.avatars, 0), sa.Numeric)
    return sa.case(counts, value=found.c.name, else_=sa.null())


def _ratio(used: sa.ColumnElement[Any], limit: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.round(used / sa.func.nullif(limit, 0), 6)


def _source(found: sa.Subquery) -> sa.ColumnElement[str]:
    until = sa.func.to_char(found.c.override_expires_at, ' "until" YYYY-MM-DD"T"HH24:MI:SS"Z"')
    return sa.case(
        (found.c.is_override, sa.literal("override") + sa.func.coalesce(until, "")),
        else_=sa.literal("tier ") + found.c.tier,
    )


def _malformed(connection: sa.Connection, found: sa.Subquery) -> list[str]:
    rows = connection.execute(
        sa.select(found.c.name, sa.cast(found.c.maximum, sa.Text), _source(found))
        .where(found.c.is_invalid)
        .order_by(found.c.name)
    )
    return [
        f"{name} {written} of the {source} is not a limit, so it limits nothing"
        for name, written, source in rows
    ]
