"""Days and months, always UTC and half-open, and the words users write for them."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from avatarlab_cli.errors import UsageError

# Other centuries are typing errors, and the calendar's first and last days have no neighbours to reckon with.
BEGINNING = date(2000, 1, 1)
_MONTH = re.compile(r"(2\d{3})-(\d{2})", re.ASCII)
_DAY = re.compile(r"2\d{3}-\d{2}-\d{2}", re.ASCII)
_AGO = re.compile(r"(\d{1,5})([hdwm])")
_DURATION = re.compile(r"(\d{1,15})(ms|s|min|h|d)?", re.ASCII)
_MILLISECONDS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_HOURS = {"h": 1, "d": 24, "w": 24 * 7, "m": 24 * 30}
# A report looks at the days around its ends as well, which the calendar must have.
_YEARS = range(1000, 3000)


@dataclass(frozen=True, order=True)
class Window:
    """The days from `first` to before `end`."""

    first: date
    end: date

    def __str__(self) -> str:
        return f"{self.first} to {self.end - timedelta(days=1)}"


def earliest(today: date) -> date:
    """Return the first day a series of days may begin on: a date nobody can have meant must not cost a row a day."""
    return today - timedelta(days=20 * 365)


def parse_day(text: str) -> date:
    """Return the day written YYYY-MM-DD; raises UsageError for a day no calendar has."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(
        f"{text!r} is not a day", hint="write a day of the calendar, since 2000, as YYYY-MM-DD: 2026-03-31"
    )


def parse_month(text: str) -> date:
    """Return the first day of the month written YYYY-MM; raises UsageError."""
    match = _MONTH.fullmatch(text)
    try:
        if match:
            return date(int(match[1]), int(match[2]), 1)
    except ValueError:
        pass
    raise UsageError(f"{text!r} is not a month", hint="write a month since 2000 as YYYY-MM: 2026-03")


def parse_duration(text: str) -> timedelta:
    """Return how long 26h, 90min or 2d is, without a unit in milliseconds, as PostgreSQL has it; raises UsageError."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise UsageError(f"{text!r} is not a duration", hint="write a number and ms, s, min, h or d: 26h")
    try:
        return timedelta(milliseconds=int(match[1]) * _MILLISECONDS[match[2] or "ms"])
    except OverflowError:
        return timedelta.max


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the moment an ISO 8601 text (UTC unless it says otherwise) or an age such as 7d or 24h names."""
    try:
        if match := _AGO.fullmatch(text):
            return now - timedelta(hours=int(match[1]) * _HOURS[match[2]])
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a time",
            hint="write ISO 8601, 2026-03-31 or 2026-03-31T12:00Z, or an age: 7d, 24h",
        ) from None


def parse_coming(text: str, now: datetime) -> datetime:
    """Return the moment an ISO 8601 text names, or one so far ahead as 30d or 48h says; raises UsageError."""
    moment = parse_moment(text, now)
    return now + (now - moment) if _AGO.fullmatch(text) else moment


def next_month(month: date) -> date:
    """Return the first day of the month after the one `month` lies in."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def month_window(month: date) -> Window:
    """Return the days of the month that begins on `month`."""
    return Window(month, next_month(month))


@dataclass(frozen=True)
class Span:
    """The time from `since` to before `until`."""

    since: datetime
    until: datetime

    @property
    def days(self) -> Window:
        """The days it touches, the first and the last perhaps in part."""
        return Window(self.since.date(), (self.until - timedelta(microseconds=1)).date() + timedelta(days=1))


def parse_span(since: str | None, until: str | None, now: datetime, days: int = 30) -> Span:
    """Return the time two options name: by default so many whole days, today included, up to now.

    Raises UsageError where the end is not after the beginning, and for other years than 1000 to 2999.
    """
    end = now if until is None else _parse_end(until, now)
    if since is None:
        midnight = (end - timedelta(microseconds=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return Span(midnight - timedelta(days=days - 1), end)
    begin = _parse_end(since, now)
    if begin >= end:
        raise UsageError(
            f"nothing lies between {begin:%Y-%m-%dT%H:%MZ} and {end:%Y-%m-%dT%H:%MZ}",
            hint="--since comes before --until",
        )
    return Span(begin, end)


def _parse_end(text: str, now: datetime) -> datetime:
    moment = parse_moment(text, now)
    if moment.year not in _YEARS:
        raise UsageError(
            f"{text!r} is too far away", hint=f"write a time from {_YEARS[0]:04} to the end of {_YEARS[-1]}"
        )
    return moment
