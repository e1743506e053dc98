"""Runs a job: one lock, one transaction or several in turn, one record of what happened."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import import_module
from typing import Any, NoReturn
from uuid import UUID, uuid4

import sqlalchemy as sa

from avatarlab_cli import __version__, migrations
from avatarlab_cli.database import (
    Database,
    cause_of,
    is_transient,
    retried,
    translated,
    try_lock,
    wait_for_lock,
)
from avatarlab_cli.errors import AvatarLabError, BusyError, ConfigurationError, UsageError
from avatarlab_cli.process import host, os_user
from avatarlab_cli.queries import changes
from avatarlab_cli.report import Report
from avatarlab_cli.rollup import LOCK, windows
from avatarlab_cli.rollup.metrics import DEFINITION_VERSION
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema.private import job_runs, rollup_state
from avatarlab_cli.timeframe import Window
from jobs.registry import JOBS, Job
from jobs.result import Result, Task

# A run that lost a race for a row is run again.
FIRST_WAIT_SECONDS = 0.2

Preview = Callable[[sa.Connection, Result, Report], None]


@dataclass(frozen=True)
class Order:
    """What a caller wants of a job. With a `preview` nothing is kept: it sees the outcome before it is undone.

    A timer's run has a `slot`, the moment of the job's schedule it is for; a run by hand has none. Each order is for
    one run, whose id it gives.
    """

    rates: RateCard
    window: Window | None = None
    today: date | None = None
    preview: Preview | None = None
    close_after_days: int = 3
    verify_within_days: int = 30
    slot: datetime | None = None
    run_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True)
class Run:
    """A finished run: who it was, what it did, and how many attempts its transactions took together.

    `status` is succeeded, or skipped where another run had done the slot: then `result` is what it did before it saw that.
    """

    run_id: UUID
    result: Result
    seconds: float
    status: str = "succeeded"
    slot: datetime | None = None
    attempts: int = 1


def execute(database: Database, job: Job, order: Order) -> Run:
    """Run a job once and record it.

    Raises UsageError for days the job does not take, or that lie ahead; BusyError, naming the holder, where another
    run has the lock; ConfigurationError where the schema is not this version's; and whatever the job raises, after
    it is recorded. Nothing of a failed transaction is kept; those before it are whole by themselves.
    """
    started = time.monotonic()
    # What cannot be meant is refused before there is a run to record.
    if order.window is not None and not job.takes_days:
        raise UsageError(f"{job.name} takes no days: {job.why_no_days}", hint="leave them out")
    with database.read() as connection:
        demand_current_schema(connection)
        today = today_of(connection, order.today)
        if not job.takes_closed_months:
            windows.resolve(connection, order.window, today)
        elif order.window is not None:
            windows.demand_begun(order.window, today)
    run_id = _begin(database, job, order)
    try:
        result = _transactions(database, job, order, run_id)
    except BaseException as error:
        _record_failure(database, run_id, error)
        raise
    if order.preview is not None:
        _record(database, run_id, _success(result))
    return Run(run_id, result, time.monotonic() - started)


def demand_current_schema(connection: sa.Connection) -> None:
    """Raise ConfigurationError unless all migrations have run."""
    status = migrations.status(connection)
    if not status.is_current:
        missing = (
            "not been migrated" if status.current is None else f"been migrated to {status.current} alone"
        )
        raise ConfigurationError(f"the database has {missing}", hint="run: avatarlab db migrate")


def _transactions(database: Database, job: Job, order: Order, run_id: UUID) -> Result:
    """Work until nothing is left, and return the result of all transactions; one that lost a race is run again."""
    done = _raced(database, job, order, run_id, None)
    while done.then is not None:
        done = _raced(database, job, order, run_id, done)
    return done


def _raced(database: Database, job: Job, order: Order, run_id: UUID, before: Result | None) -> Result:
    return retried(lambda: _attempt(database, job, order, run_id, before), _is_lost_race, FIRST_WAIT_SECONDS)


def _attempt(database: Database, job: Job, order: Order, run_id: UUID, before: Result | None) -> Result:
    """Run one transaction, the first or what the one before left; returns the result of all so far."""
    module = import_module(job.module)
    with translated(), database.engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin() as transaction:
            _lock(database, connection, job, run_id, is_first=before is None)
            task = before.then if before is not None else None
            if task is None:
                today = today_of(connection, order.today)
                task = Task(
                    today,
                    order.rates,
                    order.window,
                    order.close_after_days,
                    order.verify_within_days,
                    is_at_once=order.preview is not None,
                )
            if order.preview is not None:
                changes.remember(connection, module.TARGET)
            own: Result = module.run(connection, task)
            result = own if before is None else before + own
            if order.preview is not None:
                order.preview(connection, result, changes.changes(module.TARGET, module.KEYS))
                transaction.rollback()
            else:
                values = _success(result) if result.then is None else _progress(result)
                connection.execute(sa.update(job_runs).where(job_runs.c.id == run_id).values(values))
    return result


def today_of(connection: sa.Connection, named: date | None = None) -> date:
    """Return the day a run is on: the database's, in UTC, unless one is named."""
    today: date = named or connection.execute(sa.text("SELECT current_date")).scalar_one()
    return today


def _lock(database: Database, connection: sa.Connection, job: Job, run_id: UUID, *, is_first: bool) -> None:
    """Take the job's lock until the transaction ends, and close the records of runs that died holding it.

    Only at its first transaction does a run give way; later it waits, as long as `lock_timeout` allows.
    """
    rivals = sa.and_(
        job_runs.c.job.in_([other.name for other in JOBS if other.lock == job.lock]),
        job_runs.c.status == "running",
        job_runs.c.id != run_id,
    )
    if not is_first:
        wait_for_lock(connection, job.lock)
    elif not try_lock(connection, job.lock):
        raise BusyError(_busy_message(connection, rivals), hint="it is safe to try again later")
    if job.lock == LOCK:
        # The snapshot is older than the lock. Who had it before wrote this row too: where that is not seen, this fails
        # as a lost race, and is run again.
        connection.execute(sa.update(rollup_state).values(run_id=run_id))
    if is_first and connection.scalar(sa.select(sa.exists().where(rivals))):
        crashed = {"status": "crashed", "finished_at": sa.func.now(), "error_message": "the process died"}
        # Apart from the run: a rival that has only just begun and finds the lock taken must not wait to say so.
        with database.write() as other:
            other.execute(sa.update(job_runs).where(rivals).values(crashed))


def _busy_message(connection: sa.Connection, rivals: sa.ColumnElement[bool]) -> str:
    # Those that died the holder has closed, and those that began after it are as busy as this one.
    first = sa.select(job_runs).where(rivals).order_by(job_runs.c.started_at).limit(1)
    holder = connection.execute(first).mappings().one_or_none()
    if holder is None:
        return "another run is in progress"
    return (
        f"another run is in progress: {holder['job']}, process {holder['pid']} on {holder['host']},"
        f" since {holder['started_at']:%Y-%m-%d %H:%M:%S}Z (run {holder['id']})"
    )


def _is_lost_race(error: AvatarLabError) -> bool:
    cause = cause_of(error)
    return cause is not None and is_transient(cause)


def _begin(database: Database, job: Job, order: Order) -> UUID:
    """Record that a run begins, in a transaction of its own: it must be seen while the run is under way."""
    row = {
        "id": order.run_id,
        "job": job.name,
        "status": "running",
        "window_from": order.window and order.window.first,
        "window_to": order.window and order.window.end,
        "is_dry_run": order.preview is not None,
        "host": host(),
        "pid": os.getpid(),
        "os_user": os_user(),
        "version": __version__,
        "definition_version": DEFINITION_VERSION,
        "rate_card_version": order.rates.version,
        "server_version": sa.func.current_setting("server_version"),
    }
    with database.write() as connection:
        connection.execute(sa.insert(job_runs).values(row))
    return order.run_id


def _success(result: Result) -> dict[str, Any]:
    return {
        "status": "succeeded",
        "finished_at": sa.func.clock_timestamp(),
        **_progress(result),
        "error_class": None,
        "error_message": None,
    }


def _progress(result: Result) -> dict[str, Any]:
    return {
        # A run without any row to count has no first day.
        "window_from": None if result.window.first == date.min else result.window.first,
        "window_to": result.window.end,
        "rows_read": result.rows_read,
        "rows_written": result.rows_written,
        "metrics_skipped": result.skipped,
        "undated": result.undated,
        "details": result.details,
    }


def _record_failure(database: Database, run_id: UUID, error: BaseException) -> None:
    """Record why a run ended; where even that fails, the next run closes the record."""
    interrupted = isinstance(error, KeyboardInterrupt | BrokenPipeError)
    status = "interrupted" if interrupted else "busy" if isinstance(error, BusyError) else "failed"
    with suppress(AvatarLabError):
        _record(
            database,
            run_id,
            {
                "status": status,
                "error_class": type(error).__name__,
                # What ends a process says nothing itself.
                "error_message": str(error) or f"{status} before its end",
            },
        )


def _record(database: Database, run_id: UUID, values: dict[str, Any]) -> None:
    ended = {"finished_at": sa.func.clock_timestamp(), **values}
    with database.write() as connection:
        connection.execute(sa.update(job_runs).where(job_runs.c.id == run_id).values(ended))


def main(name: str) -> NoReturn:
    """Run a job as `python -m jobs.<module>` does: the same command under another name."""
    from avatarlab_cli.__main__ import run

    run(["job", "run", name, *sys.argv[1:]])
