"""When jobs and checks run by themselves: every hour or once a day, in UTC whatever the host's time zone is."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta


@dataclass(frozen=True)
class Schedule:
    """Slots at this minute of every hour or, with an `hour`, of that hour of every day; all in UTC."""

    minute: int
    hour: int | None = None

    def __post_init__(self) -> None:
        # Raises ValueError for what no clock shows.
        time(self.hour or 0, self.minute)

    @property
    def every(self) -> timedelta:
        """The time from one slot to the next."""
        return timedelta(hours=1) if self.hour is None else timedelta(days=1)

    def at_or_before(self, moment: datetime) -> datetime:
        """Return the latest slot up to a moment, which must have a time zone; itself where it is one."""
        slot = _utc(moment).replace(minute=self.minute, second=0, microsecond=0)
        if self.hour is not None:
            slot = slot.replace(hour=self.hour)
        return slot if slot <= moment else slot - self.every

    def after(self, moment: datetime) -> datetime:
        """Return the first slot later than a moment, which must have a time zone."""
        return self.at_or_before(moment) + self.every

    @property
    def calendar(self) -> str:
        """What systemd's OnCalendar= takes."""
        hour = "*" if self.hour is None else f"{self.hour:02}"
        return f"*-*-* {hour}:{self.minute:02}:00 UTC"


@dataclass(frozen=True)
class Scheduled:
    """Something that runs by itself: its name, the command after `avatarlab`, and its slots.

    `first` are commands to be done right before it, whose figures it looks at.
    """

    name: str
    words: tuple[str, ...]
    schedule: Schedule
    summary: str
    first: tuple[tuple[str, ...], ...] = ()


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC)
