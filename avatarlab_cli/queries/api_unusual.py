"""Keys whose day was far outside their own history: far more requests than usual, far fewer, or none any more."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.outliers import FEWEST_DAYS, SCORE, deviation, score
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.queries.pruned_notes import pruned_before
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.api import api_request_logs, platform_api_keys
from avatarlab_cli.schema.supabase import users

# A key has a history from when it was issued, or first used where that was before or is not known; days without a
# request count. A pause is what lies between two days of use. The bounds have names of their own: the statement becomes
# a part of others.
_JUDGED = f"""
    WITH began AS (
        SELECT c.key_id, greatest(least(min(c.day), k.made), :history_first) AS first
        FROM key_days c LEFT JOIN keys_made k ON k.key_id = c.key_id GROUP BY c.key_id, k.made
    ), each_day AS (
        SELECT b.key_id, s.day::date AS day, coalesce(c.requests, 0) AS requests
        FROM began b
        CROSS JOIN LATERAL generate_series(b.first::timestamp, CAST(:judged AS timestamp), interval '1 day') AS s (day)
        LEFT JOIN key_days c ON c.key_id = b.key_id AND c.day = s.day::date
    ), middle AS (
        SELECT key_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY requests) AS median,
               min(requests) AS lowest, max(requests) AS highest, count(*) AS days
        FROM each_day WHERE day < :judged GROUP BY key_id HAVING count(*) >= {FEWEST_DAYS}
    ), spread AS (
        SELECT m.key_id, {deviation("abs(e.requests - m.median)")} AS deviation
        FROM middle m JOIN each_day e ON e.key_id = m.key_id AND e.day < :judged GROUP BY m.key_id
    ), pauses AS (
        SELECT key_id, day, day - lag(day) OVER (PARTITION BY key_id ORDER BY day) - 1 AS pause FROM key_days
    ), silence AS (
        SELECT key_id, :judged - max(day) AS silent_days, coalesce(max(pause), 0) AS longest_pause
        FROM pauses GROUP BY key_id
    ), scored AS (
        SELECT *, {score("requests")} AS score
        FROM each_day JOIN middle USING (key_id) JOIN spread USING (key_id) JOIN silence USING (key_id)
        WHERE day = :judged AND greatest(requests, median) >= :fewest_requests
    ), found AS (
        SELECT *, CASE WHEN silent_days > longest_pause THEN 'silent'
                       WHEN requests > highest AND coalesce(score, :far) >= :far THEN 'above'
                       WHEN requests < lowest AND score <= -:far THEN 'below' END AS finding
        FROM scored
    )
    SELECT day, key_id, finding, requests, median, CASE WHEN finding = 'above' THEN highest ELSE lowest END AS farthest,
           round(abs(score), 2) AS score, silent_days, days
    FROM found WHERE finding IS NOT NULL
"""
_TYPES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "day": sa.Date,
    "key_id": sa.Uuid,
    "finding": sa.Text,
    "score": sa.Numeric,
    **dict.fromkeys(("requests", "median", "farthest", "silent_days", "days"), sa.BigInteger),
}
_COLUMNS = (
    Column("day", Kind.DATE, "the day, UTC"),
    Column("id", Kind.ID, "the key", wide=True),
    Column("email", help="its owner's e-mail address", null="-"),
    Column("prefix", help="how it begins"),
    Column("finding", help="above or below what is usual, or silent: longer without a request than ever"),
    Column("requests", Kind.INTEGER, "on that day"),
    Column("median", Kind.INTEGER, "on the days before"),
    Column("farthest", Kind.INTEGER, "the farthest it had been on that side"),
    Column("score", Kind.DECIMAL, "how many deviations that is from the median", null="-"),
    Column("silent_days", Kind.INTEGER, "days without a request, that day included", wide=True),
    Column("days", Kind.INTEGER, "how many days the history has", wide=True),
    Column("user_id", Kind.ID, "the owner", wide=True, null="-"),
)


@dataclass(frozen=True)
class Bounds:
    """What is far outside: `score` deviations from the median of `days` days, and at least so many requests."""

    days: int = 28
    at_least: int = 20
    score: Decimal = SCORE


def unusual(connection: sa.Connection, day: date, bounds: Bounds) -> Report:
    """Report the keys whose requests on a day are far outside their history, as `cost anomalies` judges costs.

    Above and below are beyond all days of the history, and so many deviations from their median. Silent is a key that
    has now been without a request longer than between any two days of use. The usual, or the day, must come to
    `at_least` requests.
    """
    platform = Platform(connection)
    begins = history_begins(connection, day, bounds)
    select = found(platform, day, bounds, begins)
    # Who sees nothing unusual because a column is missing has seen nothing.
    blind = platform.notes(select)
    return platform.report(
        select,
        _COLUMNS,
        sort="-score,email,prefix",
        notes=(
            *pruned_notes(day, bounds, begins),
            *_too_new(platform, day, bounds, begins),
        ),
        unjudged=blind,
        empty="No key is far outside its own history" + (" that could be judged." if blind else "."),
    )


def found(platform: Platform, day: date, bounds: Bounds, begins: date) -> sa.Select[Any]:
    """Select the keys that `unusual` reports, by histories that begin on that day."""
    log, keys, owner = platform[api_request_logs], platform[platform_api_keys], platform[users]
    made = sa.select(keys.c.id.label("key_id"), _day(keys.c.created_at).label("made")).cte("keys_made")
    rows = _judged(day, begins, bounds)
    return (
        sa.select(
            rows.c.day,
            rows.c.key_id.label("id"),
            owner.c.email,
            keys.c.api_key_prefix.label("prefix"),
            *(rows.c[name] for name in ("finding", "requests", "median", "farthest", "score")),
            rows.c.silent_days,
            rows.c.days,
            keys.c.user_id,
        )
        .select_from(
            rows.outerjoin(keys, keys.c.id == rows.c.key_id).outerjoin(owner, owner.c.id == keys.c.user_id)
        )
        .add_cte(_key_days(log, begins, day), made)
    )


def history_begins(connection: sa.Connection, day: date, bounds: Bounds) -> date:
    """Return the first day of the histories: of the days whose requests were pruned nothing is known."""
    pruned = pruned_before(connection, api_request_logs)
    return max(day - timedelta(days=bounds.days), pruned or date.min)


def is_too_short(day: date, begins: date) -> bool:
    """Tell whether no key has a history to judge a day by, as so much was pruned."""
    return begins > day - timedelta(days=FEWEST_DAYS)


def pruned_notes(day: date, bounds: Bounds, begins: date) -> tuple[str, ...]:
    """Return what is to be said where histories begin only after what was pruned."""
    if begins <= day - timedelta(days=bounds.days):
        return ()
    return (f"{api_request_logs.name} was pruned: histories begin on {begins}",)


def _judged(day: date, first: date, bounds: Bounds) -> sa.Subquery:
    bound = {"judged": day, "history_first": first, "fewest_requests": bounds.at_least, "far": bounds.score}
    columns: list[sa.ColumnClause[Any]] = [sa.column(name, kind) for name, kind in _TYPES.items()]
    return sa.text(_JUDGED).bindparams(**bound).columns(*columns).subquery("judged")


def _key_days(log: sa.FromClause, first: date, day: date) -> sa.CTE:
    """Return how many requests each key made on each day on which it made any."""
    on = _day(log.c.created_at)
    return (
        sa.select(log.c.api_key_id.label("key_id"), on.label("day"), sa.func.count().label("requests"))
        .where(log.c.api_key_id.is_not(None), *_within(log, first, day + timedelta(days=1)))
        .group_by(log.c.api_key_id, on)
        .cte("key_days")
    )


def _too_new(platform: Platform, day: date, bounds: Bounds, begins: date) -> tuple[str, ...]:
    """Return what is to be said of keys that were used enough on the day, but have too short a history."""
    log, keys = platform[api_request_logs], platform[platform_api_keys]
    judged_from = day - timedelta(days=FEWEST_DAYS)
    earlier = log.alias("earlier")
    used = (
        sa.select(log.c.api_key_id.label("key_id"))
        .where(log.c.api_key_id.is_not(None), *_within(log, day, day + timedelta(days=1)))
        .group_by(log.c.api_key_id)
        .having(sa.func.count() >= bounds.at_least)
        .subquery("used")
    )
    made = _day(keys.c.created_at)
    has_history = sa.exists().where(
        earlier.c.api_key_id == used.c.key_id, *_within(earlier, begins, judged_from + timedelta(days=1))
    )
    is_new = sa.true() if is_too_short(day, begins) else sa.or_(made.is_(None), made > judged_from)
    select: sa.Select[Any] = (
        sa.select(sa.func.count())
        .select_from(used.outerjoin(keys, keys.c.id == used.c.key_id))
        .where(is_new, ~has_history)
    )
    count = platform.connection.scalar(select) or 0
    which = "1 key" if count == 1 else f"{count} keys"
    return (f"not judged, with less than {FEWEST_DAYS} days of history: {which}",) if count else ()


def _day(moment: Expression) -> sa.Cast[date]:
    return sa.cast(sa.func.timezone("UTC", moment), sa.Date)


def _within(log: sa.FromClause, first: date, end: date) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions that a request lies on these days, the last not included."""
    begin, until = (datetime.combine(each, time(), UTC) for each in (first, end))
    return log.c.created_at >= begin, log.c.created_at < until
