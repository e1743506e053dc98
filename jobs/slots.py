"""Which moment of its schedule a run is for: a host's clock is believed as far as the database's agrees."""

from datetime import UTC, datetime, timedelta

from jobs.schedule import Schedule

BELIEVED, AHEAD = timedelta(hours=1), timedelta(minutes=5)
"""How far a host's clock may be from the database's, and how far before it."""
VARIABLE = "TRIGGER_TIMER_REALTIME_USEC"
"""In which systemd tells what a timer starts when that was, in microseconds."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def slot_of(schedule: Schedule, told: datetime, now: datetime) -> datetime:
    """Return the latest slot up to the moment a timer told, or up to the database's `now` where that is not credible.

    A timer's moment is right at its slot: a clock a little ahead must not make it the slot before, which is done.
    """
    is_credible = now - BELIEVED <= told <= now + AHEAD
    moment = told if is_credible else now
    return schedule.at_or_before(moment)


def told_by_systemd(microseconds: str | None) -> datetime | None:
    """Return the moment that systemd's variable holds, None where there is none or it is none."""
    try:
        return _EPOCH + timedelta(microseconds=int(microseconds or ""))
    except (ValueError, OverflowError):
        return None
