"""Months and their closing: which are closed, with what, and whether their figures are still that."""

import sqlalchemy as sa

from avatarlab_cli.queries.kinds import type_of
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.adjusting import SINCE
from avatarlab_cli.rollup.frozen import DIGEST, IDLE, IMAGE, IS_GONE
from avatarlab_cli.rollup.metrics import UNATTRIBUTED

_MONTHS = f"""
    SELECT m.month, CASE WHEN p.month IS NOT NULL AND p.reopened_at IS NULL THEN 'closed'
               WHEN m.month <= last.month THEN 'closed' WHEN p.month IS NOT NULL THEN 'reopened' ELSE 'open' END AS state,
           p.closed_at, p.closed_by, p.reopened_at, p.reopened_by, p.reopen_reason, m.users,
           left(p.digest, 12) AS digest,
           CASE WHEN p.reopened_at IS NULL AND p.digest IS NOT NULL
                THEN CASE WHEN {DIGEST} = p.digest THEN 'intact' ELSE 'altered' END END AS figures,
           CASE WHEN p.reopened_at IS NULL AND p.month IS NOT NULL THEN
               (SELECT count(*) FROM avatarlab_admin.period_figures f
                WHERE f.closing_id = p.id AND {IS_GONE}) END AS accounts_gone,
           (SELECT count(*) FROM avatarlab_admin.usage_adjustment a WHERE a.month = m.month AND {SINCE}) AS adjustments,
           (SELECT count(*) FROM avatarlab_admin.period_history h WHERE h.month = m.month)
               + (p.month IS NOT NULL)::int AS closings
    FROM (
        SELECT month, sum(users)::bigint AS users FROM (
            SELECT usage_month AS month, count(*) AS users FROM public.monthly_usage GROUP BY usage_month
            UNION ALL SELECT month, 0 FROM avatarlab_admin.period_close
        ) AS each GROUP BY month
    ) AS m
    LEFT JOIN avatarlab_admin.period_close p ON p.month = m.month
    CROSS JOIN (SELECT max(month) AS month FROM avatarlab_admin.period_close WHERE reopened_at IS NULL) AS last
"""
_ALTERED = f"""
    SELECT p.month, p.closed_at, p.closed_by, p.digest, p.found,
           (SELECT count(*) FROM (SELECT user_id, figures FROM avatarlab_admin.period_figures WHERE closing_id = p.id) AS f
            FULL JOIN (SELECT m.user_id, {IMAGE} AS figures FROM public.monthly_usage m WHERE m.usage_month = p.month) AS m
                USING (user_id)
            WHERE f.figures IS DISTINCT FROM m.figures AND user_id NOT IN ('{UNATTRIBUTED}', '{IDLE}')
              AND (m.user_id IS NOT NULL OR NOT {IS_GONE})) AS users_altered
    FROM (SELECT p.*, {DIGEST} AS found FROM avatarlab_admin.period_close p WHERE p.reopened_at IS NULL) AS p
    WHERE p.found <> p.digest
"""


def months() -> Report:
    """Report every month with figures, the latest first: its state, by whom and with what it was closed."""
    columns = (
        Column("month", Kind.MONTH, "the month, UTC"),
        Column("state", help="open, closed or reopened; what lies before a closed month is closed with it"),
        Column("closed_at", Kind.TIME, "when it was closed last", null="-"),
        Column("closed_by", help="who closed it", null="-"),
        Column("users", Kind.INTEGER, "who has figures in it"),
        Column("digest", help="the first digits of what it was closed with", null="-"),
        Column("figures", help="intact: still what it was closed with; altered: not", null="-"),
        Column(
            "accounts_gone",
            Kind.INTEGER,
            "deleted since for good; their figures are kept",
            null="-",
            wide=True,
        ),
        Column("adjustments", Kind.INTEGER, "how many figures were adjusted since"),
        Column("closings", Kind.INTEGER, "how often it was closed", wide=True),
        Column("reopened_at", Kind.TIME, "when it was reopened", null="-", wide=True),
        Column("reopened_by", help="who reopened it", null="-", wide=True),
        Column("reopen_reason", help="why", null="-", wide=True),
    )
    return Report(_selected(_MONTHS, columns), columns, sort="-month", empty="No month has figures yet.")


def altered() -> Report:
    """Report closed months whose stored rows do not give their digest any more."""
    columns = (
        Column("month", Kind.MONTH, "the closed month, UTC"),
        Column("closed_at", Kind.TIME, "when it was closed"),
        Column("closed_by", help="by whom", null="-"),
        Column("digest", help="of what it was closed with"),
        Column("found", help="of what is stored now"),
        Column("users_altered", Kind.INTEGER, "whose row differs, is gone or new; 0: the days of nobody do"),
    )
    return Report(
        _selected(_ALTERED, columns),
        columns,
        sort="month",
        empty="Every closed month is what it was closed with.",
    )


def _selected(sql: str, columns: tuple[Column, ...]) -> sa.Select[tuple[object, ...]]:
    typed = (sa.column(column.name, type_of(column.kind)) for column in columns)
    rows = sa.text(sql).columns(*typed).subquery("rows")
    return sa.select(*(rows.c[column.name] for column in columns))
