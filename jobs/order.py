"""What a caller wants of a job, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID, uuid4

import sqlalchemy as sa

from avatarlab_cli.logs import Log, Silence
from avatarlab_cli.report import Report
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.timeframe import Window
from jobs.result import Result, Task

Preview = Callable[[sa.Connection, Result, Report], None]
# What is told after each transaction: how many there were, and the rows they have written.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Order:
    """What a caller wants of a job. With a `preview` nothing is kept: it sees the outcome before it is undone.

    A timer's run has a `slot`: the moment it was started, by the caller's clock, which is for the job's latest slot
    up to then; a run by hand has none. Each order is for one run, whose id it gives. What passes is borne for so long. `permit` raises what forbids the run to whoever calls.
    """

    rates: RateCard
    window: Window | None = None
    today: date | None = None
    preview: Preview | None = None
    close_after_days: int = 3
    verify_within_days: int = 30
    slot: datetime | None = None
    run_id: UUID = field(default_factory=uuid4)
    retry_seconds: float = 300.0
    log: Log = field(default_factory=Silence)
    progress: Progress | None = None
    permit: Callable[[], None] = lambda: None

    @property
    def is_scheduled(self) -> bool:
        """Whether the run is for a slot, which it does once and for all."""
        return self.slot is not None and self.preview is None

    def task(self, today: date) -> Task:
        """Return the order for the first transaction."""
        return Task(
            today,
            self.rates,
            self.window,
            self.close_after_days,
            self.verify_within_days,
            is_at_once=self.preview is not None,
        )


@dataclass(frozen=True)
class Run:
    """A finished run: who it was, what it did, and how many attempts its transactions took together.

    `status` is succeeded, or skipped where another run, `done_by`, had done the slot: then `result` is what it did
    before it saw that. One that saw it before it began has no record, and made no attempt.
    """

    run_id: UUID
    result: Result
    seconds: float
    status: str = "succeeded"
    slot: datetime | None = None
    attempts: int = 1
    transactions: int = 1
    done_by: UUID | None = None

    @property
    def record(self) -> UUID:
        """The run whose record tells of it: another one's where it has none."""
        return self.run_id if self.attempts or self.done_by is None else self.done_by
