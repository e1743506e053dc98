"""Days, months and moments as users write them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import (
    Window,
    month_window,
    next_month,
    parse_day,
    parse_moment,
    parse_month,
    parse_span,
)

NOW = datetime(2026, 3, 15, 12, 30, tzinfo=UTC)


def test_day() -> None:
    """A day of the calendar is read, the leap day of a leap year too."""
    assert parse_day("2024-02-29") == date(2024, 2, 29)


@pytest.mark.parametrize(
    "text",
    [
        *("2025-02-30", "2025-02-29", "2025-13-01", "2025-2-3", "20250203", "2025-W05-1", "today", ""),
        *("0001-01-01", "9999-12-32", "2025-02-03T00:00", " 2025-02-03", "\uff12025-02-03"),
    ],
)
def test_day_no_calendar_has(text: str) -> None:
    """What is no day is named in the message, with the form it should have."""
    with pytest.raises(UsageError, match="is not a day") as refused:
        parse_day(text)
    assert repr(text) in refused.value.message
    assert "YYYY-MM-DD" in str(refused.value.hint)


def test_month() -> None:
    """A month is its first day."""
    assert parse_month("2026-03") == date(2026, 3, 1)


@pytest.mark.parametrize(
    "text", ["2025-13", "2025-00", "2025-1", "2025", "2025-01-01", "0001-01", "march", ""]
)
def test_month_no_calendar_has(text: str) -> None:
    """What is no month is named in the message, with the form it should have."""
    with pytest.raises(UsageError, match="is not a month") as refused:
        parse_month(text)
    assert repr(text) in refused.value.message
    assert "YYYY-MM" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T06:00", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("2026-03-01T06:00Z", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("2026-03-01T06:00:00.000001+05:30", datetime(2026, 3, 1, 0, 30, 0, 1, tzinfo=UTC)),
    ],
)
def test_moment(text: str, expected: datetime) -> None:
    """A moment is an age, or ISO 8601 in UTC unless it names another offset."""
    moment = parse_moment(text, NOW)
    assert (moment, moment.utcoffset()) == (expected, timedelta(0))


@pytest.mark.parametrize(
    "text", ["yesterday", "7", "d", "-7d", "2025-02-30", "99999m", "0001-01-01T00:00+14:00", ""]
)
def test_no_moment(text: str) -> None:
    """What names no moment, or one before the calendar begins, is refused."""
    with pytest.raises(UsageError, match="is not a time"):
        parse_moment(text, NOW)


def test_windows_are_half_open() -> None:
    """A month's window ends with the next month's first day, and is written with the last day in it."""
    window = month_window(date(2024, 2, 1))
    assert window == Window(date(2024, 2, 1), date(2024, 3, 1))
    assert str(window) == "2024-02-01 to 2024-02-29"


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2025, 12, 31), date(2026, 1, 1)),
        (date(2025, 1, 31), date(2025, 2, 1)),
        (date(2024, 2, 1), date(2024, 3, 1)),
    ],
)
def test_next_month(day: date, expected: date) -> None:
    """The next month begins on a first, from whichever day it is asked."""
    assert next_month(day) == expected


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-10-01", "9999-12-31"),
        (None, "9999-12-31T23:59:59.999999"),
        (None, "0001-01-02"),
        ("0001-01-01", None),
    ],
)
def test_a_span_has_neighbours(since: str | None, until: str | None) -> None:
    """A span that touches the calendar's ends is refused: reports look at the days around it."""
    with pytest.raises(UsageError, match="is too far away"):
        parse_span(since, until, NOW)
    span = parse_span("1000-01-01", "2999-12-31T23:59", NOW)
    assert next_month(span.days.end) == date(3000, 2, 1)
