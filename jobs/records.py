"""The records of runs: begun before anything is done, and completed by the transaction that does the last of it."""

import os
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from avatarlab_cli import __version__
from avatarlab_cli.database import Database
from avatarlab_cli.errors import BusyError
from avatarlab_cli.process import host, os_user
from avatarlab_cli.rollup.metrics import DEFINITION_VERSION
from avatarlab_cli.schema.private import job_runs
from jobs.order import Order
from jobs.registry import JOBS, Job
from jobs.result import Result

_GONE = "it left no word of its end: the process died, or could not reach the database any more"


class Stand(NamedTuple):
    """How far a run is on record: its transactions, None without a record, and which run has done its slot."""

    transactions: int | None
    done_by: UUID | None


def begin(database: Database, job: Job, order: Order, slot: datetime) -> None:
    """Record that a run begins, in a transaction of its own: it must be seen while the run is under way."""
    row = {
        "id": order.run_id,
        "job": job.name,
        "slot": slot,
        "is_scheduled": order.is_scheduled,
        "status": "running",
        "covers_outstanding": order.window is None,
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
        "attempts": 0,
        "transactions": 0,
    }
    with database.write() as connection:
        # Where only the word of the commit was lost the record is there.
        connection.execute(insert(job_runs).values(row).on_conflict_do_nothing(index_elements=["id"]))


def done_by(connection: sa.Connection, job: Job, slot: datetime) -> UUID | None:
    """Return the timer's run that succeeded for a slot, None where none has."""
    return connection.execute(_success_of(job, slot)).scalar_one_or_none()


def stand(connection: sa.Connection, job: Job, order: Order, slot: datetime) -> Stand:
    """Return how far the run is, as of this snapshot."""
    own = sa.select(job_runs.c.transactions).where(job_runs.c.id == order.run_id).scalar_subquery()
    other = _success_of(job, slot).scalar_subquery() if order.is_scheduled else sa.null()
    return Stand(*connection.execute(sa.select(own, other)).one())


def _success_of(job: Job, slot: datetime) -> sa.Select[UUID]:
    own = job_runs.c
    is_success = sa.and_(own.status == "succeeded", own.is_scheduled)
    return sa.select(own.id).where(own.job == job.name, own.slot == slot, is_success)


def write(connection: sa.Connection, run_id: UUID, values: dict[str, Any]) -> None:
    """Complete a run's record, unless it says already that the run's work is done: the word of that may be lost."""
    is_open = sa.and_(job_runs.c.id == run_id, job_runs.c.status.not_in(["succeeded", "skipped"]))
    connection.execute(sa.update(job_runs).where(is_open).values(values))


def progress(result: Result) -> dict[str, Any]:
    """Return the values of a run that goes on, or that was thought dead and goes on."""
    return {"status": "running", "finished_at": None, "error_message": None, **_done(result)}


def success(result: Result) -> dict[str, Any]:
    """Return the values of a run that has done its work."""
    return {**_ended("succeeded"), "error_class": None, "error_message": None, **_done(result)}


def skip(other: UUID) -> dict[str, Any]:
    """Return the values of a run whose slot another one has done."""
    return {**_ended("skipped"), "error_class": None, "error_message": f"run {other} has done this slot"}


def failure(error: BaseException) -> dict[str, Any]:
    """Return the values of a run that this error ended."""
    status = status_of(error)
    # What ends a process says nothing itself.
    message = str(error) or f"{status} before its end"
    return {**_ended(status), "error_class": type(error).__name__, "error_message": message}


def status_of(error: BaseException) -> str:
    """Return how a run ended that this error ended."""
    if isinstance(error, KeyboardInterrupt | BrokenPipeError):
        return "interrupted"
    return "busy" if isinstance(error, BusyError) else "failed"


def _ended(status: str) -> dict[str, Any]:
    return {"status": status, "finished_at": sa.func.clock_timestamp()}


def _done(result: Result) -> dict[str, Any]:
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


def rivals(job: Job, run_id: UUID) -> sa.ColumnElement[bool]:
    """Return the condition for other runs under way, by their records, of jobs with the same lock."""
    return sa.and_(
        job_runs.c.job.in_([other.name for other in JOBS if other.lock == job.lock]),
        job_runs.c.status == "running",
        job_runs.c.id != run_id,
    )


def close_dead(database: Database, connection: sa.Connection, job: Job, run_id: UUID) -> list[UUID]:
    """Close the records of runs whose lock the caller's transaction has now; returns their ids."""
    left = list(connection.scalars(sa.select(job_runs.c.id).where(rivals(job, run_id))))
    if left:
        # Apart from the run: a rival that has only just begun and finds the lock taken must not wait to say so.
        with database.write() as other:
            dead = sa.and_(job_runs.c.id.in_(left), job_runs.c.status == "running")
            other.execute(sa.update(job_runs).where(dead).values(**_ended("crashed"), error_message=_GONE))
    return left


def holder(connection: sa.Connection, job: Job, run_id: UUID) -> str:
    """Say which run has the lock."""
    # Those that died the holder has closed, and those that began after it are as busy as this one.
    first = sa.select(job_runs).where(rivals(job, run_id)).order_by(job_runs.c.started_at).limit(1)
    found = connection.execute(first).mappings().one_or_none()
    if found is None:
        return "another run is in progress"
    return (
        f"another run is in progress: {found['job']}, process {found['pid']} on {found['host']},"
        f" since {found['started_at']:%Y-%m-%d %H:%M:%S}Z (run {found['id']})"
    )
