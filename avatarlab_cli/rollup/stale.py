"""The days of platform_statistics that are stale: under which usage may have changed since they were set.

They stand in rollup_state. Whoever writes usage_daily adds them in the same transaction, as whoever writes storage_daily
has a writer of usage_daily do; whoever sets platform_statistics takes them away. A day that nobody ever set is stale, so
one just begun is too.
"""

import sqlalchemy as sa

from avatarlab_cli.rollup import trailing
from avatarlab_cli.timeframe import Window


def add(connection: sa.Connection, window: Window, cells: sa.Table | None) -> None:
    """Add every day whose figures look at the window's days, or at those of the cells alone."""
    if cells is None:
        bound = {"first": window.first, "end": window.end, "reach": trailing.DAYS}
        connection.execute(_ADD_WINDOW, bound)
    else:
        connection.execute(sa.text(_ADD_DAYS.format(cells=cells.name)), {"reach": trailing.DAYS})


def take(connection: sa.Connection, window: Window) -> None:
    """Take the window's days away, because the caller sets all of them."""
    connection.execute(_TAKE, {"first": window.first, "end": window.end})


# A day's own users count as active on it, and on those after it as far as these look back.
_ADD_WINDOW = sa.text("""
    UPDATE avatarlab_admin.rollup_state
    SET stale_days = stale_days + datemultirange(daterange(:first, CAST(:end AS date) + :reach - 1))
""")
_ADD_DAYS = """
    UPDATE avatarlab_admin.rollup_state
    SET stale_days = stale_days + coalesce(
        (SELECT range_agg(daterange(day, day + :reach)) FROM (SELECT DISTINCT day FROM {cells}) AS each), '{{}}')
"""
_TAKE = sa.text("""
    UPDATE avatarlab_admin.rollup_state SET stale_days = stale_days - datemultirange(daterange(:first, :end))
""")
