"""Seeded choices that lean towards the moments and values where aggregations go wrong."""

import random
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar
from uuid import UUID

Value = TypeVar("Value")

DAYS = 75
"""How far back data may reach: two whole months before today's."""
MICROSECOND = timedelta(microseconds=1)


class Chance:
    """The choices for one row: the same for the same name, whatever the other rows are."""

    def __init__(self, name: str, today: date) -> None:
        self._random = random.Random(name)  # noqa: S311 - test data, not a secret
        self._today = today

    def pick(self, *options: Value) -> Value:
        """Return one of the options."""
        return self._random.choice(options)

    def happens(self, share: float) -> bool:
        """Tell whether something with this probability happens."""
        return self._random.random() < share

    def maybe(self, value: Value, share: float = 0.75) -> Value | None:
        """Return the value or, in the remaining share of cases, None."""
        return value if self.happens(share) else None

    def number(self, most: int) -> int:
        """Return a number from 0 to the most."""
        return self._random.randint(0, most)

    def uuid(self) -> UUID:
        """Return a new identifier."""
        return UUID(int=self._random.getrandbits(128), version=4)

    def day(self) -> date:
        """Return a day up to today, often one at the edge of a window or month."""
        if self.happens(0.3):
            return self._today - timedelta(days=self.number(DAYS))
        return self._random.choice(edges(self._today))

    def moment(self) -> datetime:
        """Return a moment up to today's end, often the first or last of a day."""
        midnight = datetime.combine(self.day(), time(), UTC)
        return self.pick(
            midnight,
            midnight - MICROSECOND,
            midnight + timedelta(days=1) - MICROSECOND,
            midnight + timedelta(microseconds=self.number(86_399_999_999)),
        )

    def end(self) -> datetime:
        """Return a moment at which something ends, which may lie ahead."""
        tomorrow = datetime.combine(self._today, time(), UTC) + timedelta(days=1)
        ahead = self.pick(tomorrow, tomorrow + MICROSECOND, tomorrow + timedelta(days=20))
        return ahead if self.happens(0.4) else self.moment()

    def expiry_of_override(self) -> datetime:
        """Return a moment clearly before or after today, since how late today a limit is judged may vary."""
        today = datetime.combine(self._today, time(), UTC)
        return self.pick(today - MICROSECOND, today - timedelta(days=9), today + timedelta(days=1, hours=1))


def edges(today: date) -> list[date]:
    """Return the days at the edges of the trailing windows, and the first days of three months."""
    first = today.replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    trailing = [today - timedelta(days=days) for days in (0, 0, 1, 6, 7, 29, 30, 31)]
    return [*trailing, first, before, before - timedelta(days=1)]
