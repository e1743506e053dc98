"""Closing months: in order, once their figures are verified, and reopening them, the last one first."""

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID, uuid4

import sqlalchemy as sa

from avatarlab_cli.database import try_lock
from avatarlab_cli.errors import BusyError, NotFoundError, RefusedError
from avatarlab_cli.rollup import (
    LOCK,
    accounts,
    capture,
    frozen,
    history,
    limits,
    monthly,
    rates,
    recounting,
    statistics,
    subscriptions,
    windows,
)
from avatarlab_cli.rollup.availability import Availability, availability
from avatarlab_cli.rollup.daily import Scope
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.private import rollup_state
from avatarlab_cli.timeframe import BEGINNING, month_window, next_month

_FIRST_WITH_FIGURES = sa.text("""
    SELECT least((SELECT min(usage_month) FROM public.monthly_usage WHERE usage_month >= :first),
                 (SELECT date_trunc('month', min(day)::timestamp)::date FROM avatarlab_admin.usage_daily WHERE day >= :first))
""")
# Of two closings of a month the earlier is history; it began and ended before the later one.
_TO_HISTORY = sa.text("""
    INSERT INTO avatarlab_admin.period_history
        (id, month, closed_at, closed_by, digest, reopened_at, reopened_by, reopen_reason)
    SELECT id, month, closed_at, closed_by, digest, reopened_at, reopened_by, reopen_reason
    FROM avatarlab_admin.period_close WHERE month = :month
""")
_CLOSE = sa.text("""
    INSERT INTO avatarlab_admin.period_close AS p (id, month, closed_by, digest) VALUES (:closing, :month, :by, '')
    ON CONFLICT (month) DO UPDATE SET id = excluded.id, closed_by = excluded.closed_by,
        closed_at = greatest(now(), p.reopened_at + interval '1 microsecond'),
        reopened_at = NULL, reopened_by = NULL, reopen_reason = NULL
""")
_SEAL = sa.text(f"""
    UPDATE avatarlab_admin.period_close p SET digest = {frozen.DIGEST} WHERE p.id = :closing RETURNING p.digest
""")
_MARK = sa.text("""
    UPDATE public.monthly_usage m SET closed_at = p.closed_at, digest = p.digest
    FROM avatarlab_admin.period_close p WHERE p.id = :closing AND m.usage_month = p.month
""")
_REOPEN = sa.text("""
    UPDATE avatarlab_admin.period_close
    SET reopened_at = greatest(now(), closed_at + interval '1 microsecond'), reopened_by = :by, reopen_reason = :reason
    WHERE month = :month
""")
_UNMARK = sa.text(
    "UPDATE public.monthly_usage SET closed_at = NULL, digest = NULL WHERE usage_month = :month"
)


@dataclass(frozen=True)
class Closed:
    """A month that was closed: how many users have figures in it, its digest, and how many rows were set before."""

    month: date
    users: int
    digest: str
    rows_written: int

    def facts(self) -> dict[str, object]:
        """Return what is put on record of it."""
        return {
            "month": f"{self.month:%Y-%m}",
            "users": self.users,
            "digest": self.digest,
            "set": self.rows_written,
        }


def lock(connection: sa.Connection) -> None:
    """Keep jobs, and other closings, away until the transaction ends; raises BusyError while one is under way.

    A job whose snapshot is older than this finds the row of rollup_state written since, and runs again.
    """
    if not try_lock(connection, LOCK):
        raise BusyError("a job is computing usage", hint="it is safe to try again later")
    connection.execute(sa.update(rollup_state).values(run_id=rollup_state.c.run_id))


def first_open_month(connection: sa.Connection) -> date | None:
    """Return the first month with figures that is not closed: the next one to close. None where there is none.

    A row dated before anybody can have meant it makes no month of its own: what lies before a closed month is closed with it.
    """
    first = max(windows.first_open(connection), BEGINNING)
    found: date | None = connection.scalar(_FIRST_WITH_FIGURES, {"first": first})
    return found


def next_due(connection: sa.Connection, today: date, days: int) -> date | None:
    """Return the month to close next, where it ended at least so many days ago."""
    month = first_open_month(connection)
    return month if month and next_month(month) + timedelta(days=days) <= today else None


def demand_closable(connection: sa.Connection, month: date, today: date) -> None:
    """Raise RefusedError unless the month is over, and the next one to close; NotFoundError where it has no figures."""
    if next_month(month) > today:
        raise RefusedError(
            f"{month:%Y-%m} is not over: it can be closed from {next_month(month)} on",
            hint=f"today is {today} (UTC)",
        )
    if month < windows.first_open(connection):
        raise RefusedError(f"{month:%Y-%m} is closed already")
    first = first_open_month(connection)
    if first is None or first > month:
        raise NotFoundError(
            f"no figures are stored for {month:%Y-%m}",
            hint=f"`avatarlab job run monthly-usage --month {month:%Y-%m}` computes them",
        )
    if first < month:
        raise RefusedError(f"{first:%Y-%m} must be closed before {month:%Y-%m}: months are closed in order")


def close(  # noqa: PLR0913 - who closes what, by which prices
    connection: sa.Connection,
    month: date,
    *,
    today: date,
    card: RateCard,
    by: str,
    closing: UUID | None = None,
    recompute: bool = False,
) -> Closed:
    """Close a month in the caller's transaction, which holds the jobs' lock, after computing it anew from its sources.

    `closing` is the id it will have. Raises RefusedError where the month may not be closed yet, or where its figures
    differ from what they are made of, unless told to `recompute`: then they are set first.
    """
    demand_closable(connection, month, today)
    live = probe(connection)
    available = availability(live)
    written = _recompute(connection, month, today, card, live=live, available=available)
    if sum(written.values()) and not recompute:
        raise RefusedError(_unverified(month, written), hint=_HINT)
    identity = closing or uuid4()
    bound = {"closing": identity, "month": month, "by": by}
    users = frozen.keep(connection, identity, month, today=today, available=available, version=card.version)
    connection.execute(_TO_HISTORY, {"month": month})
    connection.execute(_CLOSE, bound)
    digest = connection.execute(_SEAL, {"closing": identity}).scalar_one()
    connection.execute(_MARK, {"closing": identity})
    return Closed(month, users, digest, sum(written.values()))


_HINT = (
    "run: avatarlab job run monthly-usage && avatarlab job run platform-statistics;"
    " or `avatarlab period close --recompute` sets them"
)


def _unverified(month: date, written: dict[str, int]) -> str:
    parts = ", ".join(f"{rows} of {table}" for table, rows in written.items() if rows)
    return f"{month:%Y-%m} cannot be closed: rows differ from what they are made of now ({parts})"


def _recompute(  # noqa: PLR0913 - what the jobs' own steps take
    connection: sa.Connection,
    month: date,
    today: date,
    card: RateCard,
    *,
    live: LiveSchema,
    available: Availability,
) -> dict[str, int]:
    """Set the month's figures as the jobs do; returns how many rows of each table that changed."""
    window = month_window(month)
    filled = history.fill_gaps(connection, history.STORAGE, today)
    prices = rates.collect(connection, card)
    accounts.collect(connection, live)
    limits.collect(connection, live, today)
    days = recounting.recompute(connection, Scope(window), available, prices, card.version).changes
    scope = monthly.Scope(window)
    months = monthly.recompute(connection, scope, available, today=today, rate_version=card.version)
    known = statistics.known_days(connection, window, today)
    money = subscriptions.recompute(connection, known, today)
    platform = statistics.recompute(connection, window, known, available, live)
    return {
        "storage_daily": filled,
        "usage_daily": days,
        "monthly_usage": months,
        "subscription_daily": money,
        "platform_statistics": platform,
    }


def demand_reopenable(connection: sa.Connection, month: date) -> None:
    """Raise RefusedError unless the month is the last closed one, NotFoundError where none is closed."""
    first = windows.first_open(connection)
    if first == date.min:
        raise NotFoundError("no month is closed", hint="`avatarlab period list` shows the months")
    last = (first - timedelta(days=1)).replace(day=1)
    if month > last:
        raise RefusedError(f"{month:%Y-%m} is open")
    if month < last:
        raise RefusedError(
            f"{last:%Y-%m} must be reopened before {month:%Y-%m}: the last closed month comes first"
        )


def reopen(connection: sa.Connection, month: date, *, by: str, reason: str) -> None:
    """Reopen the last closed month in the caller's transaction, which holds the jobs' lock; what it was closed with stays on record.

    The next run computes every open day: what changed while the month was closed is in the queue no more.
    """
    demand_reopenable(connection, month)
    connection.execute(_REOPEN, {"month": month, "by": by, "reason": reason})
    connection.execute(_UNMARK, {"month": month})
    capture.forget_state(connection)
