"""When timers run: slots at or before a moment and after it, in UTC, and the words of systemd and cron for them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.registry import BY_NAME, JOBS, SCHEDULED
from jobs.schedule import Schedule

SCHEDULES = st.builds(Schedule, st.integers(0, 59), st.none() | st.integers(0, 23))
ZONES = st.builds(
    lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-12 * 60, 14 * 60).filter(bool)
)
MOMENTS = st.datetimes(datetime(2000, 1, 2), datetime(2999, 1, 1), timezones=st.just(UTC) | ZONES)  # noqa: DTZ001 (hypothesis adds the zone)


def is_slot(schedule: Schedule, moment: datetime) -> bool:
    return (
        (moment.second, moment.microsecond) == (0, 0)
        and moment.minute == schedule.minute
        and (schedule.hour is None or moment.hour == schedule.hour)
    )


@given(SCHEDULES, MOMENTS)
def test_slots_around_a_moment(schedule: Schedule, moment: datetime) -> None:
    """The slot at or before a moment and the one after it are slots in UTC, with the moment and no other slot between."""
    before, after = schedule.at_or_before(moment), schedule.after(moment)
    assert before <= moment < after
    assert before.tzinfo is UTC
    walked = [before + timedelta(minutes=n) for n in range(int((after - before) / timedelta(minutes=1)) + 1)]
    assert [each for each in walked if is_slot(schedule, each)] == [before, after]


@given(SCHEDULES, MOMENTS)
def test_a_slot_is_its_own(schedule: Schedule, moment: datetime) -> None:
    """A run that begins exactly at its slot runs for it."""
    slot = schedule.after(moment)
    assert schedule.at_or_before(slot) == slot
    assert schedule.at_or_before(slot - timedelta(microseconds=1)) < slot


@pytest.mark.parametrize(
    ("schedule", "calendar"),
    [
        (Schedule(7), "*-*-* *:07:00 UTC"),
        (Schedule(50, hour=23), "*-*-* 23:50:00 UTC"),
        (Schedule(0, hour=0), "*-*-* 00:00:00 UTC"),
    ],
)
def test_words(schedule: Schedule, calendar: str) -> None:
    """Systemd is told the minute and the hour, in UTC."""
    assert schedule.calendar == calendar


@pytest.mark.parametrize(("minute", "hour"), [(60, None), (-1, 3), (0, 24), (0, -1)])
def test_no_clock_shows_it(minute: int, hour: int | None) -> None:
    """A minute or hour that does not exist is no schedule."""
    with pytest.raises(ValueError, match="must be in"):
        Schedule(minute, hour)


def test_moment_without_zone() -> None:
    """A moment without a time zone is nobody's slot."""
    with pytest.raises(ValueError, match="no time zone"):
        Schedule(7).at_or_before(datetime(2026, 3, 1))  # noqa: DTZ001 (that is what is tried)


def test_everything_is_scheduled_apart() -> None:
    """Each job and check has one entry, and no two have the same minute: they would wait for one lock."""
    assert {entry.name for entry in SCHEDULED} > set(BY_NAME)
    assert len({entry.name for entry in SCHEDULED}) == len(SCHEDULED)
    assert len({entry.schedule.minute for entry in SCHEDULED}) == len(SCHEDULED)


def test_what_a_job_follows() -> None:
    """A job that compares with what others left is run by a timer right after them."""
    first = {entry.name: [words[2] for words in entry.first] for entry in SCHEDULED}
    assert first["verify"] == ["monthly-usage", "platform-statistics"]
    assert all(first[job.name] == list(job.follows) for job in JOBS)
