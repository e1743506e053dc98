"""One user's costs beside the month before, the users who cost most, and what no rate prices."""

from dataclasses import replace
from datetime import date, timedelta

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries import costs, usage
from avatarlab_cli.queries.costs import Month
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.rollup.metrics import KINDS, UNATTRIBUTED
from avatarlab_cli.rollup.rates import PLATFORM_KINDS
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.base import JSONB
from avatarlab_cli.schema.live import probe
from avatarlab_cli.timeframe import Window, month_window

# What a quantity without a rate is counted in, by its kind.
_COUNTED_IN = {
    "fine_tuning": "tokens",
    "inference": "tokens",
    "voice": "characters",
    "image": "images",
    "video": "videos",
    "storage": "bytes by day",
}
_UNSIZED = "objects_without_size"


def demand_kind(kind: str) -> str:
    """Return the kind of cost a user can have; raises UsageError for what is none."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a kind of cost", hint=f"kinds: {', '.join(KINDS)}")
    return kind


def user(connection: sa.Connection, user: UserName, month: date) -> Report:
    """Report what a user cost in the month, kind by kind, and in the month before."""
    previous = (month - timedelta(days=1)).replace(day=1)
    found = costs.computed_months(connection, Window(previous, month_window(month).end))
    every = costs.costs(found)
    mine = sa.select(every).where(every.c.user_id == user.id).subquery("mine")
    this, before = mine.alias("this"), mine.alias("before")
    same = sa.and_(before.c.kind == this.c.kind, before.c.month == previous)
    own = monthly_usage
    stored = sa.and_(own.c.user_id == user.id, own.c.usage_month == month)
    joined = this.outerjoin(before, same).join(own, stored)
    counted = _counted(connection, next((known for known in found if known.first == previous), None))
    unused = sa.cast(sa.case((this.c.kind.in_(counted), 0)), sa.Numeric(14, 6))
    had_row = sa.exists().where(own.c.user_id == user.id, own.c.usage_month == previous)
    before_cost = sa.case((had_row, before.c.cost), else_=unused)
    share = this.c.cost / sa.func.nullif(sa.func.sum(this.c.cost).over(), 0)
    select = sa.select(
        this.c.kind,
        sa.case((this.c.kind.in_(PLATFORM_KINDS), "platform"), else_="user").label("paid_by"),
        this.c.cost,
        before_cost.label("previous"),
        (this.c.cost - before_cost).label("change"),
        sa.func.round(share, 6).label("share"),
        sa.func.jsonb_extract_path(own.c.unpriced, this.c.kind, type_=JSONB).label("unpriced"),
    ).select_from(joined)
    return Report(
        select.where(this.c.month == month),
        (
            Column("kind", help="what was used"),
            Column("paid_by", help="users pay their providers, the platform its storage", wide=True),
            Column("cost", Kind.COST, "in the month", total=True),
            Column("previous", Kind.COST, "in the month before", total=True),
            Column("change", Kind.COST, "from that month to this", total=True),
            Column("share", Kind.PERCENT, "of what the user cost in the month", null="-"),
            Column("unpriced", Kind.JSON, "what has no rate, and how much of it", null="-"),
        ),
        sort="-cost,kind",
        empty=f"{user.email or user.id} has no cost in {month:%Y-%m}, or it was never computed.",
    )


def _counted(connection: sa.Connection, month: Month | None) -> list[str]:
    """Return the kinds of which a user without a row in the month used nothing: it was computed, and they can be counted."""
    if month is None:
        return []
    skipped = availability(probe(connection)).skipped
    return [
        kind
        for kind in KINDS
        if (month.is_storage_known if kind == "storage" else f"{kind}_cost" not in skipped)
    ]


def top(month: date, kind: str | None) -> Report:
    """Report the users who cost most in the month, altogether or of one kind; raises UsageError for an unknown kind."""
    measure = "total_cost" if kind is None else f"{demand_kind(kind)}_cost"
    ranked = usage.top(month, measure)
    columns = (
        replace(column, kind=Kind.COST, total=True) if column.name == measure else column
        for column in ranked.columns
    )
    return replace(ranked, columns=tuple(columns))


def unpriced(connection: sa.Connection, window: Window) -> Report:
    """Report what of the window's months no rate prices, how much of it, and for how many users."""
    bound = {
        "first": window.first,
        "end": window.end,
        "nobody": UNATTRIBUTED,
        "days": costs.DAYS_LACKING,
        "unsized": _UNSIZED,
    }
    rows = _UNPRICED.bindparams(**bound).columns(
        sa.column("kind", sa.Text),
        sa.column("item", sa.Text),
        sa.column("quantity", sa.Numeric),
        sa.column("users", sa.BigInteger),
        sa.column("first_day", sa.Date),
        sa.column("last_day", sa.Date),
    )
    found = rows.subquery("unpriced")
    of_storage = {costs.DAYS_LACKING: "days", _UNSIZED: "objects by day"}
    counted = sa.case(
        *(
            (sa.and_(found.c.kind == "storage", found.c.item == item), unit)
            for item, unit in of_storage.items()
        ),
        else_=sa.case(_COUNTED_IN, value=found.c.kind),
    )
    return Report(
        sa.select(
            found.c.kind,
            found.c.item,
            found.c.quantity,
            counted.label("counted_in"),
            found.c.users,
            found.c.first_day,
            found.c.last_day,
        ),
        (
            Column("kind", help="what was used"),
            Column("item", help="the name for which there is no rate"),
            Column("quantity", Kind.DECIMAL, "how much of it"),
            Column("counted_in", help="what that counts"),
            Column("users", Kind.INTEGER, "how many users it concerns"),
            Column("first_day", Kind.DATE, "the first day with any", null="-"),
            Column("last_day", Kind.DATE, "the last day with any", null="-"),
        ),
        sort="kind,-quantity,item",
        notes=_unmeasured(connection, window),
        empty="Everything that is counted has a price, or no cost was computed.",
    )


def _unmeasured(connection: sa.Connection, window: Window) -> tuple[str, ...]:
    """Return of which kinds of cost not even the quantity is known, and why."""
    skipped = availability(probe(connection)).skipped
    notes = [f"{kind} has no cost: {skipped[f'{kind}_cost']}" for kind in KINDS if f"{kind}_cost" in skipped]
    stored = costs.costs(costs.computed_months(connection, window))
    is_lacking = sa.and_(stored.c.kind == costs.DATABASE, stored.c.cost.is_(None))
    months = connection.scalars(sa.select(stored.c.month).where(is_lacking).order_by(stored.c.month)).all()
    if months:
        named = ", ".join(f"{month:%Y-%m}" for month in months)
        notes.append(
            f"the database has no cost in {named}: its size is not on record for each day, or has no rate"
        )
    return tuple(notes)


_UNPRICED = sa.text("""
    SELECT k.key AS kind, q.key AS item, sum(q.value::numeric) AS quantity,
           count(DISTINCT d.user_id) FILTER (WHERE d.user_id <> :nobody) AS users,
           min(d.day) AS first_day, max(d.day) AS last_day
    FROM avatarlab_admin.usage_daily d, jsonb_each(d.unpriced) k, jsonb_each_text(k.value) q
    WHERE d.day >= :first AND d.day < :end AND d.unpriced <> '{}'
    GROUP BY 1, 2
    UNION ALL
    -- Of storage, days are missing rather than a price; they are the same for everybody.
    SELECT 'storage', :days, sum(days), max(users), NULL, NULL
    FROM (
        SELECT max((m.unpriced #>> ARRAY['storage', :days])::int) AS days, count(*) AS users
        FROM public.monthly_usage m
        WHERE m.usage_month >= :first AND m.usage_month < :end AND m.unpriced -> 'storage' ? :days
        GROUP BY m.usage_month
    ) AS months
    HAVING count(*) > 0
    UNION ALL
    SELECT 'storage', :unsized, sum(unsized_objects), count(DISTINCT user_id) FILTER (WHERE user_id <> :nobody),
           min(day), max(day)
    FROM avatarlab_admin.storage_daily WHERE day >= :first AND day < :end AND unsized_objects > 0
    HAVING count(*) > 0
""")
