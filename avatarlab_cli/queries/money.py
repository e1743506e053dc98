"""Recurring revenue by month: what moved it, and what was lost.

All sums are exact, in cents of ARR; a twelfth of them, rounded once to cents, is shown as MRR.
"""

from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.kinds import type_of
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.statistics import MOVEMENTS
from avatarlab_cli.schema.admin import platform_statistics
from avatarlab_cli.schema.live import demand_all_rows
from avatarlab_cli.timeframe import Window, next_month

Types = dict[str, sa.types.TypeEngine[Any]]

EMPTY = "No revenue is stored for these months; `avatarlab job run platform-statistics` computes it."
# The months asked for of which anything is known. A day is on record where its statistics are and who subscribed to
# what. Before the first one, and before the first day anybody paid on, revenue is known: there was none.
MONTHS = f"""
    on_record AS (
        SELECT s.stat_date AS day, s.arr_cents, s.paying_users, s.is_reconstructed,
               {", ".join(f"round(1200 * s.mrr_{kind}) AS {kind}" for kind in MOVEMENTS)}
        FROM public.platform_statistics s
        JOIN avatarlab_admin.subscription_daily taken ON taken.day = s.stat_date AND taken.user_id = :nobody
        WHERE s.arr_cents IS NOT NULL
    ), history AS (
        SELECT least(min(day), (SELECT min(day) FROM avatarlab_admin.subscription_daily WHERE arr_cents > 0)) AS first,
               max(day) AS last
        FROM on_record
    ), months AS (
        SELECT g.month::date AS month, h.first AS beginning, greatest(g.month::date, h.first) AS first,
               least((g.month + interval '1 month - 1 day')::date, h.last) AS last
        FROM history h
        CROSS JOIN LATERAL generate_series(
            greatest(CAST(:first AS timestamp), date_trunc('month', h.first::timestamp)),
            least(CAST(:end AS date) - 1, h.last)::timestamp, interval '1 month') AS g (month)
        WHERE h.last IS NOT NULL
    )"""
# Each month with what stood at its start and its end; the movements of a month with a day missing are not known.
_MOVED = f"""
    moved AS (
        SELECT m.month, m.last AS last_day, m.last - m.first + 1 - count(d.day) AS missing_days,
               bool_or(d.is_reconstructed) AS is_reconstructed,
               {", ".join(f"sum(d.{kind})::bigint AS {kind}" for kind in MOVEMENTS)}
        FROM months m LEFT JOIN on_record d ON d.day BETWEEN m.first AND m.last
        GROUP BY m.month, m.first, m.last
    ), flows AS (
        SELECT m.month, m.last_day, m.missing_days, m.is_reconstructed,
               CASE WHEN m.month <= h.first THEN 0 ELSE b.arr_cents END AS arr_start, e.arr_cents AS arr_end,
               CASE WHEN m.month <= h.first THEN 0 ELSE b.paying_users END AS payers_start,
               e.paying_users AS payers_end,
               {", ".join(f"CASE WHEN m.missing_days = 0 THEN m.{kind} END AS {kind}" for kind in MOVEMENTS)}
        FROM moved m CROSS JOIN history h
        LEFT JOIN on_record b ON b.day = m.month - 1
        LEFT JOIN on_record e ON e.day = m.last_day
    )"""
_CENTS = ("start", *MOVEMENTS, "end")
_WATERFALL = f"""
    WITH {MONTHS}, {_MOVED}
    SELECT month, arr_start AS start_cents, {", ".join(f"{kind} AS {kind}_cents" for kind in MOVEMENTS)},
           arr_end AS end_cents,
           arr_end - arr_start - new - reactivation - expansion + contraction + churn AS unexplained,
           missing_days, is_reconstructed, last_day
    FROM flows"""
# A user is looked up before the months asked for only where they were not yet paying when those began.
_CHURN = f"""
    WITH {MONTHS}, {_MOVED}, paid AS (
        SELECT user_id, date_trunc('month', day::timestamp)::date AS month, max(day) AS last
        FROM avatarlab_admin.subscription_daily
        WHERE arr_cents > 0 AND day >= CAST(:first AS date) - 1 AND day < :end GROUP BY 1, 2
    ), told AS (
        SELECT user_id, month, lag(month) OVER earlier IS NULL AS is_earliest,
               coalesce(lag(last) OVER earlier = month - 1, false) AS is_kept
        FROM paid WINDOW earlier AS (PARTITION BY user_id ORDER BY month)
    ), came AS (
        SELECT t.month, t.is_earliest AND NOT EXISTS (
                   SELECT FROM avatarlab_admin.subscription_daily o
                   WHERE o.user_id = t.user_id AND o.day < CAST(:first AS date) - 1 AND o.arr_cents > 0) AS is_new
        FROM told t WHERE NOT t.is_kept
    ), counted AS (
        SELECT month, count(*) FILTER (WHERE is_new) AS new, count(*) FILTER (WHERE NOT is_new) AS reactivated
        FROM came GROUP BY month
    ), subscribers AS (
        SELECT f.*, CASE WHEN f.missing_days = 0 THEN coalesce(c.new, 0) END AS new_users,
               CASE WHEN f.missing_days = 0 THEN coalesce(c.reactivated, 0) END AS reactivated
        FROM flows f LEFT JOIN counted c USING (month)
    )
    SELECT month, payers_start AS start, new_users AS new, reactivated,
           payers_start + new_users + reactivated - payers_end AS churned, payers_end AS "end",
           payers_start + new_users + reactivated AS subscribers,
           round((payers_start + new_users + reactivated - payers_end)::numeric
               / nullif(payers_start + new_users + reactivated, 0), 6) AS subscriber_churn,
           round(arr_start / 1200.0, 2) AS mrr_start,
           round((churn + contraction)::numeric / nullif(arr_start, 0), 6) AS gross_mrr_churn,
           round((churn + contraction - expansion - reactivation)::numeric / nullif(arr_start, 0), 6) AS net_mrr_churn,
           round(arr_end / 1200.0, 2) AS mrr_end, round(arr_end / (1200.0 * nullif(payers_end, 0)), 2) AS arpu,
           missing_days, is_reconstructed, last_day
    FROM subscribers"""
_MONTH = Column("month", Kind.MONTH, "the month, UTC")
_KNOWN = (
    Column("missing_days", Kind.INTEGER, "days so far without statistics; what hangs on them is n/a"),
    Column("is_reconstructed", Kind.BOOLEAN, "whether a day was told by subscriptions' dates alone"),
    Column("last_day", Kind.DATE, "up to which day", wide=True),
)
_MEANING = {
    "start": "MRR at the end of the month before",
    "new": "of users who had never paid before",
    "reactivation": "of users who had paid before and came back",
    "expansion": "of users who pay more",
    "contraction": "of users who pay less",
    "churn": "of users who stopped paying",
    "end": "MRR at the end of the month, or of its last day stored",
}


def mrr(connection: sa.Connection, window: Window) -> Report:
    """Report the recurring revenue at each month's start and end, and the movements in between; whole months."""
    cents = [(name, f"{name}_cents") for name in _CENTS]
    types: Types = {"month": sa.Date(), "unexplained": sa.BigInteger(), **_TYPES}
    types |= {name: sa.BigInteger() for _, name in cents}
    found = selected(_WATERFALL, types, window)
    shown = {name: sa.func.round(found.c[exact] / sa.literal(1200, sa.Numeric), 2) for name, exact in cents}
    columns = (
        _MONTH,
        *(Column(name, Kind.MONEY, _MEANING[name]) for name in _CENTS),
        Column("unexplained", Kind.INTEGER, "cents of ARR by which the movements miss the end; must be 0"),
        *_KNOWN,
        *(
            Column(exact, Kind.INTEGER, f"{name}, exactly, in cents of ARR", wide=True)
            for name, exact in cents
        ),
    )
    select = sa.select(
        *(shown[c.name].label(c.name) if c.name in shown else found.c[c.name] for c in columns)
    )
    return _report(connection, select, columns, window)


def churn(connection: sa.Connection, window: Window) -> Report:
    """Report who came, came back and left in each month, and what share of subscribers and revenue was lost."""
    types = {column.name: type_of(column.kind) for column in _CHURN_COLUMNS}
    found = selected(_CHURN, types, window)
    return _report(connection, sa.select(*found.c), _CHURN_COLUMNS, window)


def selected(sql: str, types: Types, window: Window) -> sa.Subquery:
    """Return what the SQL selects of the window's months, its columns being of these types."""
    bound = {"first": window.first, "end": window.end, "nobody": UNATTRIBUTED}
    columns: list[sa.ColumnClause[Any]] = [sa.column(name, kind) for name, kind in types.items()]
    return sa.text(sql).bindparams(**bound).columns(*columns).subquery("by_month")


def notes(connection: sa.Connection, window: Window) -> tuple[str, ...]:
    """Return what is to be said where the last month asked for is told in part.

    Raises NotPermittedError where row security hides statistics.
    """
    demand_all_rows(connection, [platform_statistics.fullname])
    day = platform_statistics.c.stat_date
    last = connection.scalar(sa.select(sa.func.max(day)).where(platform_statistics.c.arr_cents.is_not(None)))
    if last is None or last >= window.end - timedelta(days=1) or last < window.first:
        return ()
    is_whole = next_month(last) == last + timedelta(days=1)
    return (f"nothing is stored after {last}" if is_whole else f"{last:%Y-%m} is told up to {last}, so far",)


def _report(
    connection: sa.Connection, select: sa.Select[Any], columns: tuple[Column, ...], window: Window
) -> Report:
    return Report(select, columns, sort="month", empty=EMPTY, notes=notes(connection, window))


def window_of(first: date, last: date) -> Window:
    """Return the whole months from the one `first` lies in to the one `last` lies in."""
    return Window(first.replace(day=1), next_month(last))


def latest(months: int, today: date) -> Window:
    """Return so many whole months, today's being the last."""
    index = today.year * 12 + today.month - months
    return window_of(date(index // 12, index % 12 + 1, 1), today)


_TYPES = {column.name: type_of(column.kind) for column in _KNOWN}
_CHURN_COLUMNS = (
    _MONTH,
    Column("start", Kind.INTEGER, "who paid at the end of the month before"),
    Column("new", Kind.INTEGER, "who paid for the first time ever"),
    Column("reactivated", Kind.INTEGER, "who paid again, after having stopped in an earlier month"),
    Column("churned", Kind.INTEGER, "who of all these does not pay at the end"),
    Column("end", Kind.INTEGER, "who pays at the end of the month, or of its last day stored"),
    Column("subscribers", Kind.INTEGER, "start, new and reactivated: what subscriber_churn is a share of"),
    Column("subscriber_churn", Kind.PERCENT, "churned of subscribers"),
    Column("mrr_start", Kind.MONEY, "MRR at the start: what MRR churn is a share of"),
    Column("gross_mrr_churn", Kind.PERCENT, "churn and contraction, of mrr_start"),
    Column("net_mrr_churn", Kind.PERCENT, "the same less expansion and reactivation; below 0 is growth"),
    Column("mrr_end", Kind.MONEY, "MRR at the end", wide=True),
    Column("arpu", Kind.MONEY, "MRR at the end by who pays then"),
    *_KNOWN,
)
