"""Runs a job: one lock, one transaction or several in turn, one record of what happened."""

import sys
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import sqlalchemy as sa

from avatarlab_cli import migrations
from avatarlab_cli.database import Database, translated, try_lock, wait_for_lock
from avatarlab_cli.errors import (
    AvatarLabError,
    BusyError,
    ConfigurationError,
    UnavailableError,
    UsageError,
)
from avatarlab_cli.process import Ending, signals_deferred
from avatarlab_cli.queries import changes
from avatarlab_cli.rollup import LOCK, windows
from avatarlab_cli.schema.private import rollup_state
from avatarlab_cli.timeframe import Window
from jobs import records
from jobs.order import Order, Preview, Run
from jobs.patience import Patience, is_passing, is_unrecordable
from jobs.registry import Job
from jobs.result import Result
from jobs.slots import slot_of

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["Order", "Preview", "Run"]
_EVENTS = {status: f"job {status}" for status in ("succeeded", "skipped", "failed", "busy", "interrupted")}


def execute(database: Database, job: Job, order: Order) -> Run:
    """Run a job once and record it.

    Raises UsageError for days the job does not take, or that lie ahead; BusyError, naming the holder, where another
    run has the lock; ConfigurationError where the schema is not this version's; and whatever the job raises, after
    it is recorded. Nothing of a failed transaction is kept; those before it are whole by themselves. Told to end by a
    signal, the run ends after its current transaction.
    """
    # What cannot be meant is refused before there is a run to record.
    if order.window is not None and not job.takes_days:
        raise UsageError(f"{job.name} takes no days: {job.why_no_days}", hint="leave them out")
    with signals_deferred() as ending, database.kept() as kept:
        return _Work(kept, job, order, ending).run()


def demand_current_schema(connection: sa.Connection) -> None:
    """Raise ConfigurationError unless all migrations have run."""
    status = migrations.status(connection)
    if not status.is_current:
        missing = (
            "not been migrated" if status.current is None else f"been migrated to {status.current} alone"
        )
        raise ConfigurationError(f"the database has {missing}", hint="run: avatarlab db migrate")


def today_of(connection: sa.Connection, named: date | None = None) -> date:
    """Return the day a run is on: the database's, in UTC, unless one is named."""
    today: date = named or connection.execute(sa.text("SELECT current_date")).scalar_one()
    return today


class _Work:
    """A run under way: `done` is what its transactions have committed, `tried` what the last attempt was to commit."""

    def __init__(self, database: Database, job: Job, order: Order, ending: Ending) -> None:
        self.database, self.job, self.order, self.ending = database, job, order, ending
        self.log = order.log.bind(job=job.name, run=str(order.run_id))
        self.patience = Patience.of(database, job, order, ending)
        self.started = time.monotonic()
        self.done: Result | None = None
        self.tried: Result | None = None
        self.attempts = self.transactions = 0
        self.skipped_for: UUID | None = None
        self.is_begun = self.is_on_record = False
        # Known once it has looked.
        self.slot: datetime
        self.today: date

    def run(self) -> Run:
        """Work until nothing is left, and return what was done."""
        self.ending.heed()
        try:
            self.patience.borne(self._look, self.patience.is_out_of_reach)
            if not self._is_over():
                self._begin()
            while not self._is_over():
                self.ending.heed()
                self.patience.borne(self._transaction, is_passing)
                if self.order.progress is not None and self.done is not None:
                    self.order.progress(self.transactions, self.done.rows_written)
            if self.order.preview is not None and self.done is not None:
                self._write(records.success(self.done))
        except BaseException as error:
            self._fail(error)
            raise
        return self._ended()

    def _begin(self) -> None:
        """Put the run on record."""
        # Else an interrupt might leave a record that nobody completes.
        self.is_begun = self.is_on_record = True
        try:
            self.patience.borne(
                lambda: records.begin(self.database, self.job, self.order, self.slot), is_passing
            )
        except AvatarLabError:
            # Nobody should wait for a replica to complete what it would not take.
            self.is_on_record = False
            raise

    def _is_over(self) -> bool:
        """Tell whether nothing is left: all is done, or another run has done it."""
        return self.skipped_for is not None or (self.done is not None and self.done.then is None)

    def _look(self) -> None:
        """Look whether there is anything to do; raises what forbids it."""
        order, job = self.order, self.job
        order.permit()
        with self.database.read() as connection:
            demand_current_schema(connection)
            self.today = today_of(connection, order.today)
            now: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
            self.slot = slot_of(job.schedule, order.slot, now) if order.slot is not None else now
            self.log = self.log.bind(slot=f"{self.slot:%Y-%m-%dT%H:%M:%SZ}")
            if order.window is not None and job.takes_closed_months:
                windows.demand_begun(order.window, self.today)
            elif order.window is not None:
                windows.resolve(connection, order.window, self.today)
            self.skipped_for = records.done_by(connection, job, self.slot) if order.is_scheduled else None

    def _transaction(self) -> None:
        """Try one transaction, the first or what the one before left."""
        self.attempts += 1
        with translated(), self.database.engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin() as transaction:
                self._lock(connection)
                stand = records.stand(connection, self.job, self.order, self.slot)
                if stand.transactions == self.transactions:
                    self._attempt(connection, stand)
                elif self.tried is None or stand.transactions != self.transactions + 1:
                    raise UnavailableError(
                        "the database has lost what this run had committed",
                        hint="a server that was behind has taken over: the next run does what is missing",
                    )
                # Else only the word of the last attempt's commit was lost.
                if self.order.preview is not None:
                    transaction.rollback()
        if self.skipped_for is None:
            self.done, self.tried = self.tried, None
            self.transactions += self.order.preview is None

    def _attempt(self, connection: sa.Connection, stand: records.Stand) -> None:
        """Do the work of a transaction, unless another run has done the slot."""
        if stand.done_by is not None:
            records.write(connection, self.order.run_id, self._counted(records.skip(stand.done_by), 0))
            self.skipped_for = stand.done_by
            return
        module = import_module(self.job.module)
        task = self.done.then if self.done is not None else None
        if self.order.preview is not None:
            changes.remember(connection, module.TARGET)
        own: Result = module.run(connection, task or self.order.task(today_of(connection, self.order.today)))
        self.tried = own if self.done is None else self.done + own
        if self.order.preview is not None:
            self.order.preview(connection, self.tried, changes.changes(module.TARGET, module.KEYS))
        else:
            is_last = self.tried.then is None
            values = records.success(self.tried) if is_last else records.progress(self.tried)
            records.write(connection, self.order.run_id, self._counted(values, 1))

    def _lock(self, connection: sa.Connection) -> None:
        """Take the job's lock until the transaction ends, and close the records of runs that died holding it.

        Only at its first transaction does a run give way; later it waits, as long as `lock_timeout` allows, and so it
        does for its own former attempt, whose connection was lost.
        """
        run_id, is_first = self.order.run_id, self.transactions == 0
        if not is_first or self.patience.has_lost:
            wait_for_lock(connection, self.job.lock)
        elif not try_lock(connection, self.job.lock):
            raise BusyError(
                records.holder(connection, self.job, run_id), hint="it is safe to try again later"
            )
        if self.job.lock == LOCK:
            # The snapshot is older than the lock. Who had it before wrote this row too: where that is not seen, this
            # fails as a lost race, and is run again.
            connection.execute(sa.update(rollup_state).values(run_id=run_id))
        if is_first:
            for dead in records.close_dead(self.database, connection, self.job, run_id):
                self.log.warning("closed the record of a run that left no word of its end", closed=str(dead))

    def _counted(self, values: Mapping[str, Any], more: int) -> dict[str, Any]:
        return {**values, "attempts": self.attempts, "transactions": self.transactions + more}

    def _write(self, values: Mapping[str, Any]) -> None:
        """Complete the record, in a transaction of its own."""

        def attempt() -> None:
            with self.database.write() as connection:
                records.write(connection, self.order.run_id, {**values, "attempts": self.attempts})

        self.patience.borne(attempt, is_unrecordable)

    def _fail(self, error: BaseException) -> None:
        """Record why the run ended, if it had begun; where even that fails, the next run closes the record."""
        # Whatever it was that failed, another server may have taken over.
        self.database.let_go()
        try:
            if self.is_on_record:
                self._write(records.failure(error))
        except (AvatarLabError, KeyboardInterrupt) as other:
            self.log.warning("the run's end is not recorded", error=str(other) or type(other).__name__)
        if not (self.is_begun or self.order.is_scheduled):
            # By hand what is raised says it all.
            return
        status = records.status_of(error)
        say = self.log.error if status == "failed" else self.log.warning
        what = {"error_class": type(error).__name__, "error": str(error)}
        say(_EVENTS[status], **self._summary(status), **what, is_summary=True)

    def _ended(self) -> Run:
        """Return the finished run, and log what it did."""
        status = "succeeded" if self.skipped_for is None else "skipped"
        other = {} if self.skipped_for is None else {"done_by": str(self.skipped_for)}
        self.log.info(_EVENTS[status], **self._summary(status), **other, is_summary=True)
        return Run(
            self.order.run_id,
            self.done or Result(Window(self.today, self.today), 0, 0),
            time.monotonic() - self.started,
            status,
            self.slot,
            self.attempts,
            self.transactions,
            self.skipped_for,
        )

    def _summary(self, status: str) -> dict[str, object]:
        """Return everything that was counted, as it is committed."""
        done = self.done
        counted: dict[str, object] = {
            "status": status,
            "seconds": round(time.monotonic() - self.started, 3),
            "attempts": self.attempts,
            "transactions": self.transactions,
        }
        if done is None:
            return counted
        first, last = done.window.first, done.window.end - timedelta(days=1)
        return counted | {
            # All days have no first one, and a run without anything to do has none.
            "window": [None if first == date.min else f"{first}", f"{last}"] if first <= last else None,
            "rows_read": done.rows_read,
            "rows_written": done.rows_written,
            "skipped": done.skipped,
            "undated": done.undated,
            "details": done.details,
        }


def main(name: str) -> NoReturn:
    """Run a job as `python -m jobs.<module>` does: the same command under another name."""
    from avatarlab_cli.__main__ import run

    run(["job", "run", name, *sys.argv[1:]])
