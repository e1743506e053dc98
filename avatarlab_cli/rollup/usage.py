"""Bringing usage_daily and monthly_usage up to date, by what the queue holds as far as changes are captured.

Of a source whose changes nobody puts down, every open day is computed anew. So is every source where what all days hang
on has changed: the definitions, the rates, or what the database can answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import sqlalchemy as sa

from avatarlab_cli.rollup import (
    accounts,
    adjusting,
    capture,
    dirty,
    fresh,
    limits,
    monthly,
    recounting,
    windows,
)
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.daily import EVERY_SOURCE, Scope
from avatarlab_cli.rollup.metrics import DEFINITION_VERSION, UNATTRIBUTED
from avatarlab_cli.rollup.recounting import DailyResult
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import rollup_state
from avatarlab_cli.timeframe import Window


@dataclass(frozen=True)
class Basis:
    """What every stored day of usage hangs on besides its source rows."""

    live: LiveSchema
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
    """What one transaction did, and whether entries are left for another.

    Of closed months some users' may have changed, named in dirty.LATE, or everybody's.
    """

    changes: int
    rows: int
    first: date | None
    undated: dict[str, int]
    entries: int
    is_last: bool
    has_late: bool = False
    is_everybody_late: bool = False
    invalid_limits: Mapping[str, int] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """Return what is put on record of it besides the counts every run has."""
        taken: dict[str, object] = {"changes_taken": self.entries} if self.entries else {}
        return taken | ({"invalid_limits": dict(self.invalid_limits)} if self.invalid_limits else {})


def recompute(connection: sa.Connection, window: Window, basis: Basis) -> Updated:
    """Set every day and month of the window, whole months, to what its sources say, whatever the queue holds."""
    invalid = _collect_limits(connection, basis)
    done = _everything(connection, window, basis)
    note_some_months(connection, basis)
    return replace(done, invalid_limits=invalid)


def recompute_days(connection: sa.Connection, window: Window, basis: Basis) -> Updated:
    """Set every day of the window, and leave its months, and the queue, to the job that sums them."""
    days = recounting.recompute(connection, Scope(window), basis.available, basis.rates, basis.rate_version)
    note_other_basis(connection, basis)
    return _updated(days.changes, days)


def catch_up(connection: sa.Connection, basis: Basis, step: int, most: int | None) -> Updated:
    """Set every open day and month to what its sources say: one transaction's share of it, the `step`-th's.

    Needs storage_daily as it is to be. Users whose limits are no number are of everybody, and so told by the first alone.
    """
    window = windows.resolve(connection, None, basis.today)
    state = connection.execute(sa.select(rollup_state)).mappings().one_or_none()
    marked = dirty.take_whole_sources(connection)
    behind = marked | (_behind(connection, state, basis) if step == 0 else frozenset())
    judging = _judging(connection, state, window, basis, is_some=not behind)
    invalid = {} if step else judging.invalid
    if behind >= EVERY_SOURCE:
        has_more = dirty.forget(connection, window)
        done = _everything(connection, window, basis)
        _remember(connection, basis, judging, is_whole=True)
        return replace(done, is_last=not has_more, is_everybody_late=bool(marked), invalid_limits=invalid)
    changes, whole = 0, None
    if behind:
        scope = Scope(window, behind & EVERY_SOURCE)
        whole = recounting.recompute(connection, scope, basis.available, basis.rates, basis.rate_version)
        changes += whole.changes
    else:
        connection.execute(_LOOK_UP)
    batch = dirty.take(connection, window, basis.available, most)
    some = None
    if batch.cells is not None and batch.cells.sources:
        scope = Scope(window, cells=batch.cells)
        some = recounting.recompute(connection, scope, basis.available, basis.rates, basis.rate_version)
        changes += some.changes
    months = monthly.Scope(window)
    if not behind:
        parts = [] if judging.is_known else [monthly.judged_again()]
        parts += [] if batch.cells is None else [_TOUCHED]
        months = _touched_months(connection, state, window, basis, parts)
    if judging.is_known:
        limits.recall(connection, basis.live, "SELECT user_id FROM usage_touched")
    changes += _months(connection, months, basis)
    connection.execute(_READ_AGAIN)
    _remember(connection, basis, judging, is_whole=False)
    if step:
        # It may have found another database than the first, which alone looks at all days.
        note_other_basis(connection, basis)
    done = _updated(changes, whole, some, entries=batch.entries, is_last=batch.is_last)
    return replace(done, has_late=batch.has_late, is_everybody_late=bool(marked), invalid_limits=invalid)


@dataclass(frozen=True)
class _Judging:
    """By what months are judged: a digest of it, and whether by the same as today's last run, of whom only some are asked."""

    digest: str
    invalid: Mapping[str, int]
    is_known: bool


def _judging(
    connection: sa.Connection, state: sa.RowMapping | None, window: Window, basis: Basis, *, is_some: bool
) -> _Judging:
    """Find out by what months are judged, of everybody unless nothing of it changed since the last run."""
    digest = limits.digest(connection, basis.live, basis.today)
    if is_some and state is not None and state["limits_digest"] == digest and _is_later(state, window, basis):
        return _Judging(digest, state["invalid_limits"] or {}, is_known=True)
    invalid = _collect_limits(connection, basis)
    limits.note_changed(connection)
    return _Judging(digest, invalid, is_known=False)


def _collect_limits(connection: sa.Connection, basis: Basis) -> dict[str, int]:
    accounts.collect(connection, basis.live)
    return limits.collect(connection, basis.live, basis.today)


def _is_later(state: sa.RowMapping | None, window: Window, basis: Basis) -> bool:
    """Tell whether a run of the same day has summed the window's months, the running one too, before this one."""
    return (
        state is not None and state["summed_on"] == basis.today and basis.today.replace(day=1) >= window.first
    )


def _everything(connection: sa.Connection, window: Window, basis: Basis) -> Updated:
    days = recounting.recompute(connection, Scope(window), basis.available, basis.rates, basis.rate_version)
    return _updated(days.changes + _months(connection, monthly.Scope(window), basis), days)


def adjust_late(connection: sa.Connection, done: Updated, today: date) -> dict[str, object]:
    """Record what changed under closed months, and return it for the run record.

    Comes last in a transaction: it replaces the temporary tables of rates, accounts and limits.
    """
    months = adjusting.closed_months(connection) if done.is_everybody_late else []
    if not (done.has_late or months):
        return {}
    late = sa.table(dirty.LATE, sa.column("month", sa.Date), sa.column("user_id", sa.Uuid))
    cells = late if done.has_late else None
    return {"adjustments": adjusting.adjust(connection, today, months=months, cells=cells).recorded}


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


def _remember(connection: sa.Connection, basis: Basis, judging: _Judging, *, is_whole: bool) -> None:
    more = basis.stored() if is_whole else {}
    limits.remember(connection, judging.digest, judging.invalid, summed_on=basis.today, **more)


def note_some_months(connection: sa.Connection, basis: Basis) -> None:
    """Where some months now hang on other limits, rates or definitions than the rest, have the next run look at all of them."""
    limits.note_others(connection)
    note_other_basis(connection, basis)


def note_other_basis(connection: sa.Connection, basis: Basis) -> None:
    """Where some days now hang on other rates or definitions than the rest, have the next run compute all of them."""
    differs = sa.or_(
        rollup_state.c.rate_card_version != basis.rate_version,
        rollup_state.c.definition_version != DEFINITION_VERSION,
        rollup_state.c.skipped != sa.cast(dict(basis.available.skipped), rollup_state.c.skipped.type),
    )
    connection.execute(sa.update(rollup_state).where(differs).values(rate_card_version=None))


def _months(connection: sa.Connection, scope: monthly.Scope, basis: Basis) -> int:
    return monthly.recompute(
        connection, scope, basis.available, today=basis.today, rate_version=basis.rate_version
    )


def _touched_months(
    connection: sa.Connection,
    state: sa.RowMapping | None,
    window: Window,
    basis: Basis,
    parts: Sequence[str],
) -> monthly.Scope:
    """Return which months are to be summed, and name in usage_touched those that are not everybody's: what `parts` select.

    With each day the running month grows for everybody, and so did every month since the last run. Of the others, and on
    a later run of the same day of all, what changed of a user is in the queue, and whom other limits concern is looked for.
    """
    summed_on = state["summed_on"] if state is not None else None
    running = basis.today.replace(day=1)
    is_later = _is_later(state, window, basis)
    since = running if is_later else max(window.first, min(summed_on or window.first, running).replace(day=1))
    bound = {"first": window.first, "before": window.end if is_later else since, "month": running}
    bound |= {"today": basis.today, "nobody": UNATTRIBUTED}
    # In order, so that what is looked up of one user comes at once.
    touched = sa.text(f"{' UNION '.join((_NOBODY, *parts))} ORDER BY user_id, month")
    fresh.temporary(connection, "usage_touched", touched, **bound)
    return monthly.Scope(window, since, of_everybody=not is_later)


# A batch's rows are few, each looked up once, in memory most often: so nothing is gained by reading a whole table or
# index instead, nor by remembering what was found, nor by compiling statements of so many columns, which takes longer than
# they do.
_LOOKING_UP = {
    "random_page_cost": "1.1",
    "enable_mergejoin": "off",
    "enable_memoize": "off",
    "jit": "off",
}
_LOOK_UP = sa.text("; ".join(f"SET LOCAL {name} = {value}" for name, value in _LOOKING_UP.items()))
_READ_AGAIN = sa.text("; ".join(f"SET LOCAL {name} TO DEFAULT" for name in _LOOKING_UP))
_NOBODY = "SELECT NULL::uuid AS user_id, NULL::date AS month WHERE false"
# A snapshot of a day completes its month for everybody.
_TOUCHED = f"""
    SELECT user_id, date_trunc('month', day::timestamp)::date AS month
    FROM {dirty.CELLS} WHERE day < :before AND user_id <> :nobody
    UNION
    SELECT d.user_id, m.month
    FROM (SELECT DISTINCT date_trunc('month', day::timestamp)::date AS month
          FROM {dirty.CELLS} WHERE day < :before AND source = 'storage') AS m
    CROSS JOIN LATERAL (
        SELECT user_id FROM avatarlab_admin.usage_daily
        WHERE day >= m.month AND day < m.month + interval '1 month' AND user_id <> :nobody
        UNION SELECT user_id FROM public.monthly_usage WHERE usage_month = m.month
    ) AS d
"""


def _updated(changes: int, *parts: DailyResult | None, entries: int = 0, is_last: bool = True) -> Updated:
    done = [part for part in parts if part is not None]
    undated: dict[str, int] = {}
    for part in done:
        undated |= part.undated
    first = min((part.first for part in done if part.first is not None), default=None)
    return Updated(changes, sum(part.rows for part in done), first, undated, entries, is_last)
