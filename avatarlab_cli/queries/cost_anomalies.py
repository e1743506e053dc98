"""Days on which a user, or a kind of cost, was far outside its own history."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa

from avatarlab_cli.queries import cost_days, costs
from avatarlab_cli.queries.costs import PLACES
from avatarlab_cli.queries.outliers import FEWEST_DAYS, SCORE, deviation, score
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.metrics import QUANTITIES, UNATTRIBUTED
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Window, next_month

HISTORY_DAYS = 90
# What lies in storage costs a little each day, and would make every other day's spending an anomaly.
_SPENT = " + ".join(f"coalesce({{row}}.{kind}_cost, 0)" for kind in QUANTITIES)
# A kind has a history of days, those without any of it included; a user one of the days on which there was something.
_ANOMALIES = f"""
    WITH spent AS (
        SELECT 'user' AS subject, d.user_id, NULL::text AS kind, d.day,
               {_SPENT.format(row="d")} AS cost
        FROM avatarlab_admin.usage_daily d
        WHERE d.user_id <> :nobody AND d.day >= :back AND d.day < :window_end
        UNION ALL
        SELECT 'kind', NULL, kind, day, cost FROM days_by_kind WHERE cost > 0 OR NOT is_incomplete AND cost IS NOT NULL
    ), known AS (
        SELECT * FROM spent WHERE subject = 'kind' OR cost > 0
    ), checked AS (
        SELECT * FROM known WHERE day >= :window_first AND (cost >= :least OR subject = 'kind')
    ), history AS (
        SELECT c.subject, c.user_id, c.kind, c.day, c.cost, h.cost AS usual
        FROM checked c JOIN known h
          ON h.subject = c.subject AND coalesce(h.user_id, :nobody) = coalesce(c.user_id, :nobody)
         AND coalesce(h.kind, '') = coalesce(c.kind, '') AND h.day < c.day AND h.day >= c.day - {HISTORY_DAYS}
    ), middle AS (
        SELECT subject, user_id, kind, day, cost, percentile_disc(0.5) WITHIN GROUP (ORDER BY usual) AS median,
               min(usual) AS lowest, max(usual) AS highest, count(*) AS days
        FROM history GROUP BY subject, user_id, kind, day, cost
    ), spread AS (
        SELECT m.*, {deviation("abs(h.usual - m.median)")} AS deviation
        FROM middle m JOIN history h
          ON h.subject = m.subject AND coalesce(h.user_id, :nobody) = coalesce(m.user_id, :nobody)
         AND coalesce(h.kind, '') = coalesce(m.kind, '') AND h.day = m.day
        GROUP BY m.subject, m.user_id, m.kind, m.day, m.cost, m.median, m.lowest, m.highest, m.days
    ), scored AS (
        SELECT *, {score("cost")} AS score FROM spread
    )
    SELECT subject, user_id, kind, day, round(cost, {PLACES}) AS cost, round(median, {PLACES}) AS median,
           round(CASE WHEN cost > median THEN highest ELSE lowest END, {PLACES}) AS farthest, days,
           CASE WHEN cost > median THEN 'above' ELSE 'below' END AS direction, round(abs(score), 2) AS score
    FROM scored
    WHERE days >= {FEWEST_DAYS} AND greatest(cost, median) >= :least
      AND (cost > highest AND coalesce(score, :threshold) >= :threshold
           OR subject = 'kind' AND cost < lowest AND score <= -:threshold)
"""
_UNJUDGED = f"""
    SELECT count(DISTINCT d.user_id)
    FROM avatarlab_admin.usage_daily d
    WHERE d.user_id <> :nobody AND d.day >= :window_first AND d.day < :window_end
      AND {_SPENT.format(row="d")} >= :least
      AND (SELECT count(*) FROM avatarlab_admin.usage_daily h
           WHERE h.user_id = d.user_id AND h.day < d.day AND h.day >= d.day - {HISTORY_DAYS}
             AND {_SPENT.format(row="h")} > 0) < {FEWEST_DAYS}
"""


@dataclass(frozen=True)
class Bounds:
    """What is far outside: `score` deviations from the median, and an amount of at least `least`."""

    score: Decimal = SCORE
    least: Decimal = Decimal(1)


def anomalies(connection: sa.Connection, window: Window, bounds: Bounds) -> Report:
    """Report the users and kinds whose cost on a day of the window is far outside the 90 days before.

    It is beyond all of these days, and so many deviations from their median. A user is judged by what they spend at
    providers, on days with any of it; a kind by all days. Either needs seven. A few odd days do not move the median,
    nor the median deviation from it. Kinds that cost far less than usual are found too.
    """
    back = window.first - timedelta(days=HISTORY_DAYS)
    bound = {
        "nobody": UNATTRIBUTED,
        "window_first": window.first,
        "window_end": window.end,
        "least": bounds.least,
    }
    rows = (
        sa.text(_ANOMALIES)
        .bindparams(**bound, back=back, threshold=bounds.score)
        .columns(
            sa.column("subject", sa.Text),
            sa.column("user_id", sa.Uuid),
            sa.column("kind", sa.Text),
            sa.column("day", sa.Date),
            sa.column("cost", sa.Numeric),
            sa.column("median", sa.Numeric),
            sa.column("farthest", sa.Numeric),
            sa.column("days", sa.BigInteger),
            sa.column("direction", sa.Text),
            sa.column("score", sa.Numeric),
        )
        .subquery("anomalies")
    )
    began = cost_days.first_day(connection)
    # Before the first day on which anything was counted there is no history, not even one of nothing.
    history = Window(min(max(back, began or window.first), window.end), window.end)
    known = costs.computed_months(connection, Window(history.first.replace(day=1), next_month(window.first)))
    version = known[-1].version if known else ""
    unjudged = connection.scalar(sa.text(_UNJUDGED), bound) or 0
    return Report(
        sa.select(
            rows.c.day,
            rows.c.subject,
            rows.c.user_id,
            sa.func.coalesce(rows.c.kind, users.c.email).label("who"),
            *(rows.c[name] for name in ("direction", "cost", "median", "farthest", "score", "days")),
        )
        .select_from(rows.outerjoin(users, users.c.id == rows.c.user_id))
        .add_cte(cost_days.days_by_kind(history, version)),
        (
            Column("day", Kind.DATE, "the day, UTC"),
            Column("subject", help="user or kind"),
            Column("user_id", Kind.ID, "the user", wide=True, null="-"),
            Column("who", help="the user's e-mail address, or the kind of cost"),
            Column("direction", help="above or below what is usual"),
            Column("cost", Kind.COST, "on that day"),
            Column("median", Kind.COST, "on the days before"),
            Column("farthest", Kind.COST, "the farthest it had been on that side"),
            Column("score", Kind.DECIMAL, "how many deviations that is from the median", null="-"),
            Column("days", Kind.INTEGER, "how many days the history has", wide=True),
        ),
        sort="-day,-score,who",
        notes=(*_unjudged_notes(unjudged), *costs.stale_notes(connection, window.end)),
        empty="Nothing is far outside its own history.",
    )


def _unjudged_notes(users_without: int) -> tuple[str, ...]:
    if not users_without:
        return ()
    whom = "1 user" if users_without == 1 else f"{users_without} users"
    return (f"not judged, with less than {FEWEST_DAYS} days of history: {whom}",)
