"""A job that does what a test says, in place of a real one."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.rollup import rates
from avatarlab_cli.timeframe import Window
from jobs.order import Order
from jobs.registry import BY_NAME, Job
from jobs.result import Result, Task
from jobs.runner import execute
from tests.conftest import DEMO_END

TODAY = DEMO_END.date()
MONTHLY = BY_NAME["monthly-usage"]
PROBE = Job("monthly-usage", "tests.probe_job", "stands in for a job", MONTHLY.lock, MONTHLY.schedule)
RESULT = Result(Window(date(2025, 6, 1), date(2025, 7, 1)), rows_read=3, rows_written=2, skipped={"a": "why"})
# A test that fails must not wait for locks as long as a job does.
PATIENT = {"lock_timeout": "0", "statement_timeout": "60s"}
Body = Callable[[sa.Connection, Task], Result]
Probe = Callable[[Body], Job]


def order(**more: Any) -> Order:  # noqa: ANN401 (the order's own fields)
    """Return an order for the demo's last day, which tries again for a few seconds at most."""
    return Order(rates.load(), **{"today": TODAY, "retry_seconds": 5.0, **more})


def write_tier(connection: sa.Connection, _: Task) -> Result:
    """Change something that is seen, and say what was done."""
    connection.execute(sa.text("UPDATE subscription_tiers SET description = 'changed'"))
    return RESULT


@contextmanager
def under_way(database: Database, probe: Probe) -> Iterator[None]:
    """Have a run under way in another thread for the time of the block."""
    begun, done = threading.Event(), threading.Event()

    def body(_: sa.Connection, __: Task) -> Result:
        begun.set()
        assert done.wait(30)
        return RESULT

    thread = threading.Thread(target=execute, args=(database, probe(body), order()))
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        done.set()
        thread.join()


class Lines:
    """A log that keeps its lines: level, event and values. `at` an event it does something, too."""

    def __init__(self, at: Callable[[str], object] = lambda _: None) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []
        self._at = at
        self._bound: dict[str, object] = {}

    def bind(self, **values: object) -> "Lines":
        """Return a log of the same lines."""
        bound = Lines(self._at)
        bound.lines, bound._bound = self.lines, self._bound | values
        return bound

    def info(self, event: str, **values: object) -> None:
        """Keep a line."""
        self._keep("info", event, values)

    def warning(self, event: str, **values: object) -> None:
        """Keep a line."""
        self._keep("warning", event, values)

    def error(self, event: str, **values: object) -> None:
        """Keep a line."""
        self._keep("error", event, values)

    def events(self) -> list[str]:
        """Return the events in turn."""
        return [event for _, event, _ in self.lines]

    def _keep(self, level: str, event: str, values: dict[str, object]) -> None:
        self.lines.append((level, event, self._bound | values))
        self._at(event)
