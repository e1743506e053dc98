"""Which slot a run is for, whatever the clock of its host says."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.schedule import Schedule
from jobs.slots import AHEAD, BELIEVED, slot_of, told_by_systemd

NOW = datetime(2026, 3, 1, 12, 20, 30, tzinfo=UTC)
HOURLY, DAILY = Schedule(7), Schedule(27, hour=4)
SCHEDULES = st.builds(Schedule, st.integers(0, 59), st.one_of(st.none(), st.integers(0, 23)))
MOMENTS = st.integers(0, 10**8).map(lambda seconds: NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("told", "slot"),
    [
        (timedelta(0), "12:07"),
        # The run began late, or the timer fired late.
        (timedelta(minutes=-14), "11:07"),
        (timedelta(minutes=-60), "11:07"),
        # A clock that is a little ahead is still at its timer's slot; one that is further ahead brings no slot to come.
        (timedelta(minutes=4), "12:07"),
        (timedelta(minutes=50), "12:07"),
        # Clocks that are off by more than an hour.
        (timedelta(minutes=-61), "12:07"),
        (timedelta(days=-1), "12:07"),
        (timedelta(days=1), "12:07"),
    ],
)
def test_a_hosts_clock_is_believed_within_bounds(told: timedelta, slot: str) -> None:
    """What the timer says counts where the database's clock agrees: within an hour before it, and minutes after."""
    found = slot_of(HOURLY, NOW + told, NOW)
    assert f"{found:%H:%M}" == slot
    assert found.date() == NOW.date()


@given(SCHEDULES, MOMENTS, st.timedeltas(timedelta(days=-3), timedelta(days=3)))
def test_a_slot_is_the_schedules_latest(schedule: Schedule, now: datetime, off: timedelta) -> None:
    """No other slot lies between it and the moment that counts, and it stays the slot of itself."""
    slot = slot_of(schedule, now + off, now)
    counts = now + off if -BELIEVED <= off <= AHEAD else now
    assert slot <= counts < slot + schedule.every
    assert (slot.minute, slot.second, slot.microsecond) == (schedule.minute, 0, 0)
    assert slot_of(schedule, slot, slot) == slot


@pytest.mark.parametrize(
    ("variable", "moment"),
    [
        (str(int(NOW.timestamp()) * 1_000_000 + 5), NOW + timedelta(microseconds=5)),
        (None, None),
        ("", None),
        ("soon", None),
        ("9" * 30, None),
    ],
)
def test_what_systemd_tells(variable: str | None, moment: datetime | None) -> None:
    """Its variable counts microseconds; what is no number is as good as none."""
    assert told_by_systemd(variable) == moment


def test_a_daily_slot_is_yesterdays_until_its_hour() -> None:
    """Before its hour a daily job is late for the day before."""
    assert slot_of(DAILY, NOW.replace(hour=4, minute=26), NOW.replace(hour=4, minute=26)) == datetime(
        2026, 2, 28, 4, 27, tzinfo=UTC
    )


def test_a_daily_slot_is_todays_where_the_hosts_clock_is_ahead() -> None:
    """A timer that comes seconds early, by the database's clock, is not for the slot of yesterday, which is done."""
    slot = NOW.replace(hour=4, minute=27, second=0, microsecond=0)
    assert slot_of(DAILY, slot + timedelta(seconds=1), slot - timedelta(seconds=2)) == slot
