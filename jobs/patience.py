"""How long a run tries again what failed for no fault of its own."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from avatarlab_cli.database import ATTEMPTS, Database, cause_of, is_connection_lost, is_transient
from avatarlab_cli.errors import AvatarLabError, ConfigurationError, NotPermittedError
from avatarlab_cli.logs import Log
from avatarlab_cli.process import Ending
from jobs.order import Order
from jobs.registry import Job

# Each wait is drawn from nothing up to a bound that doubles.
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 15.0

# A server or pooler that refuses will do so again; what it says is often text alone, as of a connection that was lost.
_REFUSALS = (ConfigurationError, NotPermittedError)

T = TypeVar("T")


class Patience:
    """Tries again for so many seconds after the first failure; once something succeeds, all of them are left again.

    Each new attempt has a new connection, perhaps to another server. `has_lost` tells whether a connection was lost since: the
    server may still be at what it was told.
    """

    def __init__(
        self, database: Database, seconds: float, ending: Ending, log: Log, *, is_scheduled: bool = False
    ) -> None:
        self._database, self._seconds, self._ending, self._log = database, seconds, ending, log
        self._is_scheduled = is_scheduled
        self._until: float | None = None
        self.has_lost = False

    @classmethod
    def of(cls, database: Database, job: Job, order: Order, ending: Ending) -> "Patience":
        """Return the patience an order allows."""
        log = order.log.bind(job=job.name, run=str(order.run_id))
        return cls(database, order.retry_seconds, ending, log, is_scheduled=order.is_scheduled)

    def is_out_of_reach(self, error: AvatarLabError, _number: int) -> bool:
        """Tell whether the database may come within reach: at night it may be starting; by hand that is told at once."""
        return self._is_scheduled and is_lost(error)

    def borne(self, attempt: Callable[[], T], is_worth: Callable[[AvatarLabError, int], bool]) -> T:
        """Return what an attempt returns, the first or a later one; raises the error of the last.

        Told to end, it does not try again but raises what the signal stands for.
        """
        number = 1
        while True:
            try:
                result = attempt()
            except AvatarLabError as error:
                self.has_lost = self.has_lost or is_lost(error)
                if not is_worth(error, number):
                    raise
                self._rest(error, number)
            else:
                self._until, self.has_lost = None, False
                return result
            number += 1

    def _rest(self, error: AvatarLabError, number: int) -> None:
        """Wait for the next attempt; raises the error where that would come too late."""
        bound = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(number, 30))
        wait = random.uniform(0, bound)  # noqa: S311 (a jitter, not a secret)
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        if time.monotonic() + wait > self._until:
            raise error
        self._log.warning("trying again", error=error.message, failures=number, wait_seconds=round(wait, 3))
        self._database.let_go()
        self._ending.rest(wait)


def is_lost(error: AvatarLabError, _number: int = 1) -> bool:
    """Tell whether the connection was lost, or could not be had."""
    cause = cause_of(error)
    return cause is not None and not isinstance(error, _REFUSALS) and is_connection_lost(cause)


def is_passing(error: AvatarLabError, number: int) -> bool:
    """Tell whether the same transaction may succeed later: a race or connection was lost, or a lock did not come.

    A row in the way is one that the snapshot did not show; where it is there again and again it is a fault.
    """
    cause = cause_of(error)
    if cause is None:
        return False
    if cause.sqlstate == "23505":
        return number < ATTEMPTS
    return cause.sqlstate == "55P03" or is_transient(cause) or is_lost(error)


def is_unrecordable(error: AvatarLabError, _number: int) -> bool:
    """Tell whether a record that could not be written now may be written later: the server may only read for a while."""
    cause = cause_of(error)
    return cause is not None and (is_lost(error) or cause.sqlstate in {"25006", "55P03", "40001"})
