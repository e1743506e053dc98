"""What a job works on and what it reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.timeframe import Window


@dataclass(frozen=True)
class Task:
    """One transaction's order: the day it runs on, the days to recompute (None: all that are open), and the rates.

    A month may be closed so many days after its end, and is verified once in so many. `step` counts the transactions of the run before this one. With `is_at_once` there is to be no other.
    """

    today: date
    rates: RateCard
    window: Window | None = None
    close_after_days: int = 3
    verify_within_days: int = 30
    step: int = 0
    is_at_once: bool = False

    def after(self) -> "Task":
        """Return the order for the transaction after this one."""
        return replace(self, step=self.step + 1)


@dataclass(frozen=True)
class Result:
    """What was done; it becomes the run record. `then` is what is left for another transaction."""

    window: Window
    rows_read: int
    rows_written: int
    skipped: dict[str, str] = field(default_factory=dict)
    undated: dict[str, int] = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)
    then: Task | None = None

    def __add__(self, later: "Result") -> "Result":
        """Return the result of both; what is left is what the later one leaves.

        What `details` count adds up, and what they list is joined. What is undated is counted of a whole source, so the
        later count of a metric is the newer one.
        """
        return Result(
            window=Window(min(self.window.first, later.window.first), max(self.window.end, later.window.end)),
            rows_read=self.rows_read + later.rows_read,
            rows_written=self.rows_written + later.rows_written,
            skipped=self.skipped | later.skipped,
            undated=self.undated | later.undated,
            details=_joined(self.details, later.details),
            then=later.then,
        )


def _joined(first: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return both: numbers added, lists one after the other, mappings likewise, and of anything else the later one."""
    both = {name: _both(first[name], later[name]) for name in first if name in later}
    return {**first, **later, **both}


def _both(first: object, later: object) -> object:
    if isinstance(first, Mapping) and isinstance(later, Mapping):
        return _joined(first, later)
    if isinstance(first, list) and isinstance(later, list):
        return [*first, *later]
    if isinstance(first, int) and isinstance(later, int):
        return first + later
    return later
