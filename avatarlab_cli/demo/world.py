"""What every part of the demo platform shares: its options, people, avatars, clock and dice."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from avatarlab_cli.demo.clock import RESOLUTION, Clock, months_before
from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.rows import Rows
from avatarlab_cli.errors import UsageError

MONTH = timedelta(days=30)
MOST_MONTHS = 240
EARLIEST_YEAR = 2000


@dataclass(frozen=True)
class DemoOptions:
    """What to invent: the same options give the same rows.

    `months` counts calendar months, the one of `until` included; no event lies at or after `until` (UTC).
    """

    users: int
    months: int
    seed: int
    state: Literal["seed", "panel"]
    until: datetime

    def __post_init__(self) -> None:
        if self.users < 1 or not 1 <= self.months <= MOST_MONTHS:
            raise UsageError(f"The demo needs at least one user, and between 1 and {MOST_MONTHS} months.")
        if self.until.year < EARLIEST_YEAR + MOST_MONTHS // 12:
            raise UsageError(f"The demo's end, {self.until:%Y-%m-%d}, lies too far back.")
        if self.until.utcoffset() != timedelta(0):
            raise UsageError("The demo's end must be a time in UTC.")

    @property
    def start(self) -> datetime:
        """The first instant of the first month."""
        return months_before(self.until - RESOLUTION, self.months - 1)


@dataclass(frozen=True)
class User:
    """An account; `weight` is its activity relative to the average of 1.

    Nothing of it is dated at or after `active_until`: the day it lost interest, or the demo's end.
    """

    index: int
    id: str
    name: str
    email: str
    weight: float
    signed_up_at: datetime
    active_until: datetime
    deleted_at: datetime | None

    @property
    def months(self) -> float:
        """How long the account is in use."""
        return (self.active_until - self.signed_up_at) / MONTH

    def takes_turn(self, every: int, turn: int) -> bool:
        """Whether the account is the one of `every` that gets some rare shape: dealt out, a small demo has it too."""
        return self.index % every == turn


@dataclass(frozen=True)
class Avatar:
    """An avatar with an owner, and the span in which it is used."""

    id: str
    user: User
    name: str
    number: int
    share: float
    created_at: datetime
    active_until: datetime
    base_model: str
    tuned_model: str | None
    tuned_at: datetime

    @property
    def workload(self) -> float:
        """How much happens with it: average users' months."""
        return self.user.weight * self.share * ((self.active_until - self.created_at) / MONTH)


@dataclass(frozen=True)
class World:
    """The platform under construction."""

    options: DemoOptions
    rows: Rows
    clock: Clock
    tiers: dict[str, str]
    has_vectors: bool

    @property
    def is_panel(self) -> bool:
        """Whether the web panel's migrations have run."""
        return self.options.state == "panel"

    @property
    def until(self) -> datetime:
        """The demo's end."""
        return self.options.until

    def dice(self, area: str, owner: object = "") -> Dice:
        """Return the dice of an area and owner; the same ones each time."""
        return Dice(f"{self.options.seed}/{area}/{owner}")


def document(**fields: object) -> str:
    """Write a JSON value."""
    return json.dumps(fields)


def milliseconds(time: datetime) -> int:
    """Return the time as JavaScript counts it, which is how object keys carry it."""
    return int(time.timestamp() * 1000)
