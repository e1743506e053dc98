"""How many distinct users there were on the last so many days."""

from collections.abc import Mapping

DAYS = 30
"""How far a day's figures look back: monthly active users and 30-day churn."""


def users(pairs: str, days: str, widths: Mapping[str, int]) -> str:
    """Return SQL for each of the days with a column a width: how many users there were on that day and those before it.

    `pairs` selects day and user_id, each pair once; `days` is a relation d (day). A day without a user has no row.

    A user's day counts until their next one, or until the width is over: so nobody counts twice, and the days to the
    next one, found in one sort, serve every width.
    """
    widest = max(widths.values())
    counts = ", ".join(
        f"coalesce(sum(g.users) FILTER (WHERE d.day - g.day < least(g.gap, {width})), 0)::bigint AS {name}"
        for name, width in widths.items()
    )
    return f"""
        WITH gaps AS (
            SELECT day, gap, count(*) AS users
            FROM (
                SELECT day, least(lead(day) OVER (PARTITION BY user_id ORDER BY day) - day, {widest}) AS gap
                FROM ({pairs}) AS pairs
            ) AS each
            GROUP BY day, gap
        )
        SELECT d.day, {counts}
        FROM {days}
        CROSS JOIN generate_series(0, {widest - 1}) AS back (days)
        JOIN gaps g ON g.day = d.day - back.days
        GROUP BY d.day"""
