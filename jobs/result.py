"""What a job works on and what it reports."""

from dataclasses import dataclass, field
from datetime import date

from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.timeframe import Window


@dataclass(frozen=True)
class Task:
    """One run's order: the day it runs on, the days to recompute (None: all that are open), and the rates.

    A month may be closed so many days after its end.
    """

    today: date
    rates: RateCard
    window: Window | None = None
    close_after_days: int = 3


@dataclass(frozen=True)
class Result:
    """What one run did; it becomes the run record."""

    window: Window
    rows_read: int
    rows_written: int
    skipped: dict[str, str] = field(default_factory=dict)
    undated: dict[str, int] = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)
