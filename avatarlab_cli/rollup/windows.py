"""Which days a run recomputes when nobody says which."""

from datetime import date, timedelta

import sqlalchemy as sa

from avatarlab_cli.errors import RefusedError, UsageError
from avatarlab_cli.schema.private import period_close, usage_daily
from avatarlab_cli.timeframe import Window, next_month


def resolve(connection: sa.Connection, window: Window | None, today: date) -> Window:
    """Return the days to recompute: those asked for, or all since the last closed month.

    Raises UsageError where the window lies in the future, RefusedError where it touches a closed month. What lies
    before a closed month is closed with it.
    """
    if window is None:
        return Window(first_open(connection), next_month(today))
    demand_begun(window, today)
    first = first_open(connection)
    if window.first < first:
        closed = min(window.end, first) - timedelta(days=1)
        raise RefusedError(
            f"the month {closed:%Y-%m} is closed: its figures are final",
            hint="`avatarlab usage adjustments` lists what has changed since; `avatarlab period reopen` reopens the last closed one",
        )
    return window


def demand_begun(window: Window, today: date) -> None:
    """Raise UsageError where the window lies in the future."""
    if window.first > today:
        raise UsageError(f"{window.first} lies in the future", hint=f"today is {today} (UTC)")


def first_open(connection: sa.Connection) -> date:
    """Return the first day after the last closed month."""
    last = connection.scalar(_CLOSED)
    return next_month(last) if last else date.min


def open_months(connection: sa.Connection, today: date) -> tuple[int, date | None]:
    """Return how many months are open up to this one, and the first day with usage in them, None without any."""
    first = connection.scalar(
        sa.select(sa.func.min(usage_daily.c.day)).where(usage_daily.c.day >= first_open(connection))
    )
    months = 0 if first is None else (today.year - first.year) * 12 + today.month - first.month + 1
    return months, first


_CLOSED = sa.select(sa.func.max(period_close.c.month)).where(
    period_close.c.closed_at.is_not(None), period_close.c.reopened_at.is_(None)
)
