"""What checks found, counted, with a digest that is another where other users are concerned: nobody's row is fetched."""

from datetime import date
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from avatarlab_cli.queries.platform import Expression


class Over(NamedTuple):
    """How many users are over a limit, and a digest of who is over which limits, not by how much."""

    users: int
    digest: str


def over_limits(connection: sa.Connection, day: date) -> Over:
    """Return who is over a limit in the month of a day."""
    return Over(*connection.execute(_OVER, {"day": day}).one())


# How much of a user's use is over a limit changes with every run, which limits it is over seldom.
_OVER = sa.text("""
    SELECT count(*), md5(coalesce(string_agg(user_id || ' ' || array_to_string(
        ARRAY(SELECT key FROM jsonb_object_keys(exceeded_limits) key ORDER BY key), ' '), ',' ORDER BY user_id), ''))
    FROM public.monthly_usage
    WHERE usage_month = date_trunc('month', CAST(:day AS timestamp))::date AND is_over_limit
""")


def budgets(connection: sa.Connection, found: sa.Select[Any]) -> list[sa.Row[Any]]:
    """Return of what `cost budget check` reports each line and state once: line, kind, state, is_of_all, percent, users, digest.

    `percent` is of a budget for everybody together; `users` are as many as have the budget each by themselves.
    """
    row = found.subquery("found")
    is_of_all = row.c.user_id.is_(None)
    by = row.c.line, sa.func.coalesce(row.c.kind, "all"), row.c.state, is_of_all
    return list(
        connection.execute(
            sa.select(
                row.c.line,
                by[1].label("kind"),
                row.c.state,
                is_of_all.label("is_of_all"),
                sa.func.max(row.c.percent).label("percent"),
                sa.func.count(row.c.user_id).label("users"),
                _digest(row.c.user_id).label("digest"),
            )
            .group_by(*by)
            .order_by(*by)
        )
    )


def anomalies(connection: sa.Connection, found: sa.Select[Any]) -> list[sa.Row[Any]]:
    """Return of what `cost anomalies` reports each kind's days, and all users' in one row: kind, day, cost, median, users, digest.

    In the row of users kind and day are NULL.
    """
    row = found.subquery("found")
    is_kind = row.c.subject == "kind"
    by = sa.case((is_kind, row.c.who)), sa.case((is_kind, row.c.day))
    return list(
        connection.execute(
            sa.select(
                by[0].label("kind"),
                by[1].label("day"),
                sa.func.max(row.c.cost).label("cost"),
                sa.func.max(row.c.median).label("median"),
                sa.func.count(row.c.user_id.distinct()).label("users"),
                _digest(row.c.day, row.c.user_id, row.c.direction).label("digest"),
            )
            .group_by(*by)
            .order_by(by[1].desc(), by[0])
        )
    )


def _digest(*values: Expression) -> Expression:
    """Return a digest of these of all rows, in their own order."""
    each = sa.func.concat_ws(" ", *values)
    return sa.func.md5(sa.func.string_agg(each, aggregate_order_by(sa.literal(","), each)))
