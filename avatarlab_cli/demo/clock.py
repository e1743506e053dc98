"""When things happen on the demo platform: busy afternoons, quiet nights and weekends."""

import random
from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import accumulate

HOUR = timedelta(hours=1)
HOUR_MICROSECONDS = 3_600_000_000
RESOLUTION = timedelta(microseconds=1)
"""PostgreSQL's smallest step of time."""

WEEKDAY_WEIGHTS = (1.0, 1.1, 1.1, 1.05, 0.95, 0.55, 0.5)
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 12, 12, 14, 15, 15, 14, 13, 13, 12, 10, 7, 4)
BOUNDARY_SHARE = 1 / 400
"""Share of events put exactly on a month's first or last instant, where off-by-one errors show."""


class Clock:
    """Draws event times between `start`, a whole hour, and `until`."""

    def __init__(self, start: datetime, until: datetime) -> None:
        self.start = start
        self.until = until
        hours = (start + number * HOUR for number in range((until - start) // HOUR + 1))
        self._weights = [WEEKDAY_WEIGHTS[hour.weekday()] * HOUR_WEIGHTS[hour.hour] for hour in hours]
        self._cumulative = list(accumulate(self._weights, initial=0.0))

    def moments(self, rng: random.Random, count: int, since: datetime, until: datetime) -> list[datetime]:
        """Draw `count` times of [since, until) in order; none if that span is empty.

        Samples the inverse of the cumulative activity, so that one random number places an event.
        """
        if until <= since:
            return []
        low = self._position(since)
        width = self._position(until) - low
        last = until - RESOLUTION
        drawn = [
            min(max(self._moment(rng, low + rng.random() * width, since, until), since), last)
            for _ in range(count)
        ]
        drawn.sort()
        return drawn

    def _position(self, time: datetime) -> float:
        hour, rest = divmod(time - self.start, HOUR)
        if hour >= len(self._weights):
            return self._cumulative[-1]
        return self._cumulative[hour] + self._weights[hour] * (rest / HOUR)

    def _moment(self, rng: random.Random, position: float, since: datetime, until: datetime) -> datetime:
        hour = min(bisect_right(self._cumulative, position), len(self._weights)) - 1
        inside = (position - self._cumulative[hour]) / self._weights[hour]
        time = self.start + timedelta(microseconds=int((hour + inside) * HOUR_MICROSECONDS))
        return time if rng.random() > BOUNDARY_SHARE else _nearest_boundary(time, since, until)


def _nearest_boundary(time: datetime, since: datetime, until: datetime) -> datetime:
    """Move a time to an end of its month where that lies in [since, until)."""
    first = time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = month_after(first) - RESOLUTION
    if last < until:
        return last if time.day % 2 else last + RESOLUTION
    return first if first >= since else time


def month_after(first: datetime) -> datetime:
    """Return the first instant of the month after the one that starts at `first`."""
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def months_before(time: datetime, count: int) -> datetime:
    """Return the first instant of the month `count` months before that of `time`."""
    number = time.year * 12 + time.month - 1 - count
    return time.replace(
        year=number // 12, month=number % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
