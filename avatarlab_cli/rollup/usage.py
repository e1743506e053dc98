"""Bringing usage_daily and monthly_usage up to date, by what the queue holds as far as changes are captured.

Of a source whose changes nobody puts down, every open day is computed anew. So is every source where what all days hang
on has changed: the definitions, the rates, or what the database can answer.
"""

from dataclasses import dataclass, replace
from datetime import date

import sqlalchemy as sa

from avatarlab_cli.rollup import adjusting, capture, daily, dirty, fresh, monthly, windows
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.daily import EVERY_SOURCE, DailyResult, Scope
from avatarlab_cli.rollup.metrics import DEFINITION_VERSION, UNATTRIBUTED
from avatarlab_cli.schema.private import rollup_state
from avatarlab_cli.timeframe import Window


@dataclass(frozen=True)
class Basis:
    """What every stored day of usage hangs on besides its source rows."""

    available: Availability
    rates: sa.Table
    rate_version: str
    today: date

    def stored(self) -> dict[str, object]:
        """Return it as rollup_state keeps it."""
        return {
            "definition_version": DEFINITION_VERSION,
            "rate_card_version": self.rate_version,
            "skipped": dict(self.available.skipped),
        }


@dataclass(frozen=True)
class Updated:
    """What one transaction did, whether entries are left for another, and whether some are of closed months."""

    changes: fresh.Changes
    rows: int
    first: date | None
    undated: dict[str, int]
    entries: int
    is_last: bool
    has_late: bool = False


def recompute(connection: sa.Connection, window: Window, basis: Basis) -> Updated:
    """Set every day and month of the window, whole months, to what its sources say, whatever the queue holds.

    Needs the temporary tables of accounts and limits.
    """
    days = daily.recompute(connection, Scope(window), basis.available, basis.rates, basis.rate_version)
    months = _months(connection, window, basis)
    note_other_basis(connection, basis)
    return _updated(days.changes + months, days)


def catch_up(connection: sa.Connection, basis: Basis, step: int, most: int | None) -> Updated:
    """Set every open day and month to what its sources say: one transaction's share of it, the `step`-th's.

    Needs the temporary tables of accounts and limits, and storage_daily as it is to be.
    """
    window = windows.resolve(connection, None, basis.today)
    state = connection.execute(sa.select(rollup_state)).mappings().one_or_none()
    behind = dirty.take_whole_sources(connection)
    if step == 0:
        behind |= _behind(connection, state, basis)
    if behind >= EVERY_SOURCE:
        has_more = dirty.forget(connection, window)
        days = daily.recompute(connection, Scope(window), basis.available, basis.rates, basis.rate_version)
        months = _months(connection, window, basis)
        _remember(connection, basis, is_whole=True)
        return _updated(days.changes + months, days, is_last=not has_more)
    changes, whole = fresh.Changes(0, 0), None
    if behind:
        scope = Scope(window, behind & EVERY_SOURCE)
        whole = daily.recompute(connection, scope, basis.available, basis.rates, basis.rate_version)
        changes += whole.changes
    batch = dirty.take(connection, window, basis.available, most)
    some = None
    if batch.cells is not None and batch.cells.sources:
        scope = Scope(window, cells=batch.cells)
        some = daily.recompute(connection, scope, basis.available, basis.rates, basis.rate_version)
        changes += some.changes
    if behind:
        changes += _months(connection, window, basis)
    else:
        since = _whole_from(connection, state, window, basis, has_cells=batch.cells is not None)
        changes += _months(connection, window, basis, since)
    _remember(connection, basis, is_whole=False)
    done = _updated(changes, whole, some, entries=batch.entries, is_last=batch.is_last)
    return replace(done, has_late=batch.has_late)


def adjust_late(connection: sa.Connection, done: Updated, today: date) -> dict[str, object]:
    """Record what changed under closed months, and return it for the run record.

    Comes last in a transaction: it replaces the temporary tables of rates, accounts and limits.
    """
    if not done.has_late:
        return {}
    late = sa.table(dirty.LATE, sa.column("month", sa.Date), sa.column("user_id", sa.Uuid))
    return {"adjustments": adjusting.adjust(connection, today, cells=late).recorded}


def is_captured(connection: sa.Connection) -> bool:
    """Tell whether every change of every source is put down, so that a run may read the queue instead of the sources."""
    return capture.captured(connection) >= EVERY_SOURCE


def _behind(connection: sa.Connection, state: sa.RowMapping | None, basis: Basis) -> frozenset[str]:
    """Return the sources of which the queue does not tell all that changed since the last run."""
    captured = capture.captured(connection)
    if not captured or state is None or any(state[name] != value for name, value in basis.stored().items()):
        return EVERY_SOURCE
    failures = capture.failures(connection) or 0
    if failures > state["failures_seen"]:
        return EVERY_SOURCE
    return EVERY_SOURCE - captured


def _remember(connection: sa.Connection, basis: Basis, *, is_whole: bool) -> None:
    values: dict[str, object] = {"summed_on": basis.today}
    if is_whole:
        values |= basis.stored()
    connection.execute(sa.update(rollup_state).values(values))


def note_other_basis(connection: sa.Connection, basis: Basis) -> None:
    """Where some days now hang on other rates or definitions than the rest, have the next run compute all of them."""
    differs = sa.or_(
        rollup_state.c.rate_card_version != basis.rate_version,
        rollup_state.c.definition_version != DEFINITION_VERSION,
        rollup_state.c.skipped != sa.cast(dict(basis.available.skipped), rollup_state.c.skipped.type),
    )
    connection.execute(sa.update(rollup_state).where(differs).values(rate_card_version=None))


def _months(
    connection: sa.Connection, window: Window, basis: Basis, whole_from: date | None = None
) -> fresh.Changes:
    return monthly.recompute(
        connection,
        monthly.Scope(window, whole_from),
        basis.available,
        today=basis.today,
        rate_version=basis.rate_version,
    )


def _whole_from(
    connection: sa.Connection, state: sa.RowMapping | None, window: Window, basis: Basis, *, has_cells: bool
) -> date:
    """Return the first month all of whose rows are to be summed, and name in usage_touched those of earlier ones.

    With each day the running month grows for everybody, and so did every month since the last run.
    """
    summed_on = state["summed_on"] if state is not None else None
    since = max(window.first, min(summed_on or window.first, basis.today).replace(day=1))
    source = _TOUCHED if has_cells else _UNTOUCHED
    fresh.temporary(connection, "usage_touched", source, since=since, nobody=UNATTRIBUTED)
    return since


# A snapshot of a day completes its month for everybody.
_TOUCHED = sa.text(f"""
    SELECT user_id, date_trunc('month', day::timestamp)::date AS month
    FROM {dirty.CELLS} WHERE day < :since AND user_id <> :nobody
    UNION
    SELECT d.user_id, m.month
    FROM (SELECT DISTINCT date_trunc('month', day::timestamp)::date AS month
          FROM {dirty.CELLS} WHERE day < :since AND source = 'storage') AS m
    JOIN avatarlab_admin.usage_daily d
      ON d.day >= m.month AND d.day < m.month + interval '1 month' AND d.user_id <> :nobody
""")
_UNTOUCHED = sa.text(
    "SELECT CAST(NULL AS uuid) AS user_id, CAST(:since AS date) AS month WHERE false AND :nobody IS NULL"
)


def _updated(
    changes: fresh.Changes, *parts: DailyResult | None, entries: int = 0, is_last: bool = True
) -> Updated:
    done = [part for part in parts if part is not None]
    undated: dict[str, int] = {}
    for part in done:
        undated |= part.undated
    first = min((part.first for part in done if part.first is not None), default=None)
    return Updated(changes, sum(part.rows for part in done), first, undated, entries, is_last)
