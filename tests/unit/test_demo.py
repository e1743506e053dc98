"""What the demo's clock and dice promise, without a database."""

from datetime import UTC, datetime, timedelta
from statistics import mean

import pytest

from avatarlab_cli.demo.clock import RESOLUTION, Clock, month_after, months_before
from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.load import DemoOptions
from avatarlab_cli.errors import UsageError

START = datetime(2025, 1, 1, tzinfo=UTC)
UNTIL = datetime(2025, 6, 18, 14, 35, 7, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    """Make a clock of half a year that ends within an hour."""
    return Clock(START, UNTIL)


def options(*, users: int = 1, months: int = 1, until: datetime = UNTIL) -> DemoOptions:
    return DemoOptions(users=users, months=months, seed=1, state="seed", until=until)


@pytest.mark.parametrize(
    ("until", "months", "start"),
    [
        (UNTIL, 1, datetime(2025, 6, 1, tzinfo=UTC)),
        (UNTIL, 12, datetime(2024, 7, 1, tzinfo=UTC)),
        (datetime(2025, 6, 1, tzinfo=UTC), 1, datetime(2025, 5, 1, tzinfo=UTC)),
    ],
)
def test_demo_starts_with_the_first_of_its_calendar_months(
    until: datetime, months: int, start: datetime
) -> None:
    """A month counts if the demo touches it; an end on a boundary touches the month before."""
    assert options(months=months, until=until).start == start


@pytest.mark.parametrize(
    "wrong",
    [{"users": 0}, {"months": 0}, {"months": 241}, {"until": datetime(2025, 6, 18)}],  # noqa: DTZ001 - the point
)
def test_options_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    """No users, no months, too many months and a time without zone end as usage errors."""
    with pytest.raises(UsageError):
        options(**wrong)  # type: ignore[arg-type]  # deliberately of any type


def test_months_are_counted_across_years() -> None:
    """Stepping over a turn of the year keeps the first instant of the month."""
    december = datetime(2024, 12, 1, tzinfo=UTC)
    assert month_after(december) == START
    assert months_before(UNTIL, 6) == december


def test_moments_lie_inside_their_span_in_order(clock: Clock) -> None:
    """Every time lies in the half-open span, also when that span is a few minutes."""
    since = datetime(2025, 3, 31, 23, 58, tzinfo=UTC)
    for until in (since + timedelta(minutes=3), UNTIL):
        drawn = clock.moments(Dice("span"), 5_000, since, until)
        assert drawn == sorted(drawn)
        assert since <= drawn[0]
        assert drawn[-1] < until


def test_an_empty_span_has_no_moments(clock: Clock) -> None:
    """Nothing can happen between a time and itself."""
    assert clock.moments(Dice("none"), 5, UNTIL, UNTIL) == []


def test_moments_follow_the_week_and_the_day(clock: Clock) -> None:
    """A weekend day is quieter than a working day, and night quieter than the afternoon."""
    drawn = clock.moments(Dice("rhythm"), 20_000, START, UNTIL)
    weekend = sum(time.weekday() >= 5 for time in drawn) / 2
    working = sum(time.weekday() < 5 for time in drawn) / 5
    assert 0.4 < weekend / working < 0.65
    assert sum(time.hour < 5 for time in drawn) * 5 < sum(13 <= time.hour < 18 for time in drawn)


def test_some_moments_stand_on_the_edges_of_a_month(clock: Clock) -> None:
    """Both the first instant of a month and the last one occur."""
    drawn = clock.moments(Dice("edges"), 20_000, START, UNTIL)
    assert any(time == months_before(time, 0) for time in drawn)
    assert any(time + RESOLUTION == month_after(months_before(time, 0)) for time in drawn)


@pytest.mark.parametrize("expected", [0.4, 7, 200])
def test_poisson_counts_have_their_mean(expected: float) -> None:
    """Both ways of drawing a count meet the mean asked for."""
    dice = Dice("poisson")
    assert mean(dice.poisson(expected) for _ in range(4_000)) == pytest.approx(expected, rel=0.05)


def test_dice_of_one_name_repeat_themselves() -> None:
    """The same name gives the same draws, another name others."""
    first, second, other = Dice("1/chat/7"), Dice("1/chat/7"), Dice("1/chat/8")
    drawn = [first.uuid(), first.token(), first.pick("abcdef"), first.several(["a", "b", "c", "d"])]
    assert drawn == [
        second.uuid(),
        second.token(),
        second.pick("abcdef"),
        second.several(["a", "b", "c", "d"]),
    ]
    assert other.uuid() != drawn[0]
