"""What each user, nobody, and the platform itself cost in each month, kind by kind: what reports on costs add up.

The amounts are those the jobs stored, each rounded to the millionth once. So every report of a month has the same
total, however it is divided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.daily import days_in_month
from avatarlab_cli.rollup.metrics import KINDS, QUANTITIES, UNATTRIBUTED
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.live import demand_all_rows
from avatarlab_cli.schema.private import database_daily, usage_daily
from avatarlab_cli.timeframe import Window

Expression = sa.ColumnElement[Any]

DATABASE = "database"
USER, NOBODY, PLATFORM = "user", "nobody", "platform"
"""To whom an amount belongs: an account, rows without an owner, or the platform as a whole."""
PLACES = 6
# Under this a user's month says how many of its days storage is not known of.
DAYS_LACKING = "days_without_snapshot"


def _is_whole(table: str, marker: str, begin: str = "m.month") -> str:
    """Return the SQL condition that each day of month m is in a table, up to the last that anything is on record of."""
    return f"""r.last >= m.month AND NOT EXISTS (
               SELECT FROM generate_series({begin}::timestamp, least(m.until - 1, r.last)::timestamp, interval '1 day') AS d (day)
               WHERE NOT EXISTS (SELECT FROM avatarlab_admin.{table} s WHERE s.day = d.day::date AND {marker}))"""


_OF_NOBODY = "s.user_id = :nobody"
# The first day on record is the platform's first, or the first of a subscription: nothing was earned before.
_SUBSCRIBED = "greatest(m.month, (SELECT min(day) FROM avatarlab_admin.subscription_daily))"
# SQL for the last day that anything is on record of: a table that is not kept up any more ends early. Rows may be
# dated ahead.
LAST_DAY = """(SELECT least(current_date, r.day) FROM (SELECT greatest(
        (SELECT max(day) FROM avatarlab_admin.usage_daily), (SELECT max(day) FROM avatarlab_admin.storage_daily),
        (SELECT max(day) FROM avatarlab_admin.database_daily), (SELECT max(day) FROM avatarlab_admin.subscription_daily))
    AS day) AS r WHERE r.day IS NOT NULL)"""
_MONTHS = sa.text(f"""
    WITH months AS (
        SELECT month::date AS month, (month + interval '1 month')::date AS until
        FROM generate_series(CAST(:first AS timestamp), CAST(:end AS timestamp) - interval '1 day', interval '1 month')
             AS series (month)
    )
    SELECT m.month, v.version,
           {_is_whole("storage_daily", f"{_OF_NOBODY} AND s.kind = 'other' AND s.bucket = ''")}
           AND NOT EXISTS (
               SELECT FROM public.monthly_usage u
               WHERE u.usage_month = m.month AND u.unpriced -> 'storage' ? :days_lacking) AS is_storage_known,
           {_is_whole("database_daily", "true")} AS is_database_known,
           {_is_whole("subscription_daily", _OF_NOBODY, _SUBSCRIBED)} AS is_revenue_known
    FROM months m
    CROSS JOIN (SELECT {LAST_DAY} AS last) AS r
    CROSS JOIN LATERAL (
        SELECT coalesce(
            (SELECT max(rate_card_version) FROM public.monthly_usage WHERE usage_month = m.month),
            (SELECT max(rate_card_version) FROM avatarlab_admin.usage_daily
             WHERE user_id = :nobody AND day >= m.month AND day < m.until)) AS version
    ) AS v
    WHERE v.version IS NOT NULL
    ORDER BY m.month
""")


@dataclass(frozen=True)
class Month:
    """A month that was computed, with the rate card it was priced by, and whether all its days so far are on record.

    Storage is not known where it was not when the month was computed, whatever is on record since.
    """

    first: date
    version: str
    is_storage_known: bool
    is_database_known: bool
    is_revenue_known: bool


def last_day(connection: sa.Connection) -> date | None:
    """Return the last day that anything is on record of, None where nothing is."""
    day: date | None = connection.scalar(sa.text(f"SELECT {LAST_DAY}"))
    return day


def stale_notes(connection: sa.Connection, today: date) -> tuple[str, ...]:
    """Return what is to be said where no run has looked at yesterday."""
    last = last_day(connection)
    if last is None or last >= today - timedelta(days=1):
        return ()
    return (f"nothing is on record after {last}; `avatarlab job run monthly-usage` computes what came since",)


def computed_months(connection: sa.Connection, window: Window) -> list[Month]:
    """Return the window's months that a job has computed, in order; the window begins and ends with a month.

    Raises NotPermittedError where row security hides rows of what is stored.
    """
    demand_all_rows(connection, [monthly_usage.fullname])
    bound = {
        "first": window.first,
        "end": window.end,
        "nobody": UNATTRIBUTED,
        "days_lacking": DAYS_LACKING,
    }
    return [
        Month(row.month, row.version, row.is_storage_known, row.is_database_known, row.is_revenue_known)
        for row in connection.execute(_MONTHS, bound)
    ]


def costs(months: Sequence[Month]) -> sa.Subquery:
    """Return the stored cost of each month, owner and kind.

    Its columns are month, owner (user, nobody or platform), user_id (NULL but for a user), kind, cost (NULL where
    nothing of it could be priced) and is_incomplete (something of it could not).
    """
    known = _values(months)
    return sa.union_all(_of_users(known), _of_nobody(known), _of_platform(known)).subquery("costs")


def of_nobody(months: Sequence[Month]) -> sa.CTE:
    """Return of these what belongs to nobody."""
    return _of_nobody(_values(months)).cte("costs_of_nobody")


def _values(months: Sequence[Month]) -> sa.CTE:
    # A VALUES needs a row, and without a month none of them may be found.
    rows = [(m.first, m.version, m.is_storage_known, m.is_database_known) for m in months]
    listed = sa.values(
        sa.column("month", sa.Date),
        sa.column("version", sa.Text),
        sa.column("is_storage_known", sa.Boolean),
        sa.column("is_database_known", sa.Boolean),
        name="listed",
    ).data(rows or [(None, None, False, False)])
    columns = (sa.cast(column, column.type).label(column.name) for column in listed.c)
    return sa.select(*columns).where(listed.c.month.is_not(None)).cte("computed_months")


def _each_kind(values: Sequence[tuple[str, Expression, Expression]]) -> sa.Values:
    """Return a row a kind with its cost and whether that is incomplete."""
    columns = (
        sa.column("kind", sa.Text),
        sa.column("cost", sa.Numeric),
        sa.column("is_incomplete", sa.Boolean),
    )
    rows = [(sa.literal(kind), cost, is_incomplete) for kind, cost, is_incomplete in values]
    return sa.values(*columns, name="each").data(rows).lateral()


def _of_users(known: sa.CTE) -> sa.Select[Any]:
    own = monthly_usage
    each = _each_kind(
        [
            (
                kind,
                own.c[f"{kind}_cost"],
                sa.or_(
                    own.c[f"{kind}_cost"].is_(None), sa.func.coalesce(own.c.unpriced.has_key(kind), False)
                ),
            )
            for kind in KINDS
        ]
    )
    joined = known.join(own, own.c.usage_month == known.c.month).join(each, sa.true())
    columns = sa.literal(USER).label("owner"), own.c.user_id, each.c.kind, each.c.cost, each.c.is_incomplete
    return sa.select(known.c.month, *columns).select_from(joined).where(own.c.computed_at.is_not(None))


def month_of(day: Expression) -> Expression:
    """Return the SQL for the first day of a date's month."""
    return sa.cast(sa.func.date_trunc("month", sa.cast(day, sa.DateTime)), sa.Date)


def _of_nobody(known: sa.CTE) -> sa.Select[Any]:
    days = usage_daily
    sums: dict[str, Expression] = {kind: _settled(kind) for kind in QUANTITIES}
    rate = rates.stored().subquery("rate_of_storage")
    amount = month_cost(days.c.day, days.c.storage_bytes, rate.c.price)
    unused = sa.case((sa.func.coalesce(sa.func.sum(days.c.storage_bytes), 0) == 0, 0))
    sums["storage"] = sa.case((sa.func.bool_and(known.c.is_storage_known), sa.func.coalesce(amount, unused)))
    totals = (
        sa.select(
            known.c.month,
            *(sa.func.round(sums[kind], PLACES).label(kind) for kind in KINDS),
            *(
                sa.func.coalesce(sa.func.bool_or(days.c.unpriced.has_key(kind)), False).label(f"{kind}_lacks")
                for kind in KINDS
            ),
        )
        .select_from(
            known.join(days, month_of(days.c.day) == known.c.month).outerjoin(
                rate, _in_force(known, rate, "storage", days.c.day)
            )
        )
        .where(
            days.c.user_id == UNATTRIBUTED,
            # The month is an expression; the days let an index in.
            days.c.day >= sa.select(sa.func.min(known.c.month)).scalar_subquery(),
        )
        .group_by(known.c.month)
        .subquery("totals")
    )
    each = _each_kind(
        [
            (kind, totals.c[kind], sa.or_(totals.c[kind].is_(None), totals.c[f"{kind}_lacks"]))
            for kind in KINDS
        ]
    )
    nobody = sa.cast(sa.null(), sa.Uuid).label("user_id")
    columns = (
        totals.c.month,
        sa.literal(NOBODY).label("owner"),
        nobody,
        each.c.kind,
        each.c.cost,
        each.c.is_incomplete,
    )
    return sa.select(*columns).select_from(totals.join(each, sa.true()))


def _settled(kind: str) -> Expression:
    """Return a kind's priced part; without one, 0 where nothing was used, else NULL."""
    used = sum((sa.func.sum(usage_daily.c[metric]) for metric in QUANTITIES[kind]), sa.literal(0))
    return sa.func.coalesce(sa.func.sum(usage_daily.c[f"{kind}_cost"]), sa.case((used == 0, 0)))


def _in_force(known: sa.CTE, rate: sa.FromClause, kind: str, day: Expression) -> Expression:
    """Return the condition that a rate of the month's card is in force on the day."""
    return sa.and_(rate.c.version == known.c.version, rates.in_force(rate, kind, day))


def storage_cost(day: Expression, stored: Expression, price: Expression) -> Expression:
    """Return the day's share of what a month of these bytes costs."""
    return sa.cast(stored * price, sa.Numeric(60, 20)) / days_in_month(day)


def month_cost(day: Expression, stored: Expression, price: Expression) -> Expression:
    """Return what the days of a group, all of one month, cost together.

    It is divided once: the sum of shares that have no end would miss what lies in the middle of two millionths.
    """
    return sa.func.sum(sa.cast(stored * price, sa.Numeric(60, 20))) / sa.func.max(days_in_month(day))


def _of_platform(known: sa.CTE) -> sa.Select[Any]:
    """Return what the database itself cost; a month of which a day is not on record has no cost."""
    rate = rates.stored().subquery("rate")
    sizes = (
        sa.select(database_daily.c.day, sa.func.sum(database_daily.c.bytes).label("bytes"))
        .group_by(database_daily.c.day)
        .subquery("sizes")
    )
    joined = known.outerjoin(sizes, month_of(sizes.c.day) == known.c.month).outerjoin(
        rate, _in_force(known, rate, DATABASE, sizes.c.day)
    )
    amount = month_cost(sizes.c.day, sizes.c.bytes, rate.c.price)
    is_whole = sa.and_(known.c.is_database_known, sa.func.count(rate.c.price) == sa.func.count())
    return (
        sa.select(
            known.c.month,
            sa.literal(PLATFORM),
            sa.cast(sa.null(), sa.Uuid),
            sa.literal(DATABASE),
            sa.case((is_whole, sa.func.round(amount, PLACES))),
            sa.not_(is_whole),
        )
        .select_from(joined)
        .group_by(known.c.month, known.c.is_database_known)
    )


def total(cost: Expression, where: Expression | None = None) -> Expression:
    """Return the sum of what is known; NULL, not 0, where nothing was and something is not."""
    known, counted, rows = sa.func.sum(cost), sa.func.count(cost), sa.func.count()
    if where is None:
        return sa.case((sa.or_(known != 0, counted == rows), known))
    known_there = known.filter(where)
    return sa.case((sa.or_(known_there != 0, counted.filter(where) == rows.filter(where)), known_there))
