"""Forecasts and anomalies against the independent recount, over histories drawn day by day."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.queries import cost_anomalies, cost_forecast
from avatarlab_cli.queries.cost_anomalies import Bounds
from avatarlab_cli.rollup import rates
from avatarlab_cli.timeframe import Window
from tests.database.comparing import drop_temporary_tables, rolled_back
from tests.database.costing import Rows, shown
from tests.examples import examples
from tests.reference import costs
from tests.reference.costs import METHODS, MILLIONTH, Series
from tests.reference.source import UNATTRIBUTED, days_between, last_day, month_of

EXAMPLES = examples(6)
USER = UUID(int=0x1A << 120)
LONGEST = 130
todays = st.sampled_from([date(2025, 3, 1), date(2025, 3, 15), date(2025, 3, 31), date(2025, 5, 30)])
# Mostly alike, now and then nothing or very much: so that some days are far outside the others.
amounts = st.one_of(
    st.integers(90, 110), st.integers(90, 110), st.just(100), st.just(0), st.integers(0, 10**5)
)
histories = st.lists(amounts, min_size=1, max_size=LONGEST)
cents = st.integers(1, 10**5)


@pytest.fixture(scope="module")
def migrated(migrated_panel_template: str, server_conninfo: str) -> Any:  # noqa: ANN401 (a generator's type)
    """One state is enough: no source row is read."""
    from tests.conftest import created_database

    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        yield Database(conninfo)


def record(connection: sa.Connection, owner: UUID, days: Mapping[date, Fraction | None]) -> None:
    """Write what an owner's images cost on these days; where that is not known, they had no price."""
    version = rates.load().version
    statement = sa.text(
        "insert into avatarlab_admin.usage_daily (day, user_id, images_generated, image_cost, unpriced,"
        " definition_version, rate_card_version, trained_tokens, inference_input_tokens, inference_output_tokens,"
        " tts_characters, videos_generated)"
        " values (:day, :owner, 1, :cost, cast(:unpriced as jsonb), 2, :version, 0, 0, 0, 0, 0)"
    )
    for day, cost in days.items():
        values = {"day": day, "owner": owner, "version": version}
        unpriced = '{"image": {"unheard-of": 1}}' if cost is None else "{}"
        known = None if cost is None else Decimal(cost.numerator) / Decimal(cost.denominator)
        connection.execute(statement, values | {"cost": known, "unpriced": unpriced})


def series_of(history: list[int], last: date) -> Series:
    """Return a history that ends with a day, in dollars."""
    first = last - timedelta(len(history) - 1)
    return {first + timedelta(number): Fraction(cost, 100) for number, cost in enumerate(history)}


@EXAMPLES
@given(history=histories, today=todays, method=st.sampled_from(METHODS))
def test_forecast(migrated: Database, history: list[int], today: date, method: str) -> None:
    """Each month's forecast, what it came to, and by how much they differ are the recount's."""
    series = series_of(history, today)
    months = months_tried(min(series), today)
    with rolled_back(migrated) as connection:
        keep_card(connection)
        record(connection, UNATTRIBUTED, series)
        image = {row["kind"]: row for row in forecasts(connection, today, method)}["image"]
        so_far = costs.exact_sum([cost for day, cost in series.items() if day >= month_of(today)])
        expected = costs.expected(series, month_of(today), today.day - 1, method)
        assert image["so_far"] == so_far
        assert close(image["forecast"], None if expected is None else max(expected, so_far or Fraction(0)))
        assert image["method"] == method
        past = {
            row["month"]: row
            for row in forecasts(connection, today, method, is_past=True)
            if row["kind"] == "image"
        }
        assert list(past) == months or set(past) == set(months)
        errors = []
        for month, row in past.items():
            told, came = costs.expected(series, month, today.day - 1, method), costs.actual(series, month)
            assert close(row["forecast"], told)
            assert close(row["actual"], came)
            assert close(row["error"], None if told is None or not came else (told - came) / came)
            errors += [] if told is None or not came else [abs(told - came) / came]
        assert image["months_tested"] == len(errors)
        assert close(image["past_error"], sum(errors, Fraction(0)) / len(errors) if errors else None)


def keep_card(connection: sa.Connection) -> None:
    rates.collect(connection, rates.load())
    drop_temporary_tables(connection)


def months_tried(began: date, today: date) -> list[date]:
    """Return the months a forecast is tried on, of the six before today's."""
    month, found = month_of(today), []
    for _ in range(6):
        month = month_of(month - timedelta(1))
        if today.day - 1 < last_day(month).day and month - timedelta(7) >= began:
            found.append(month)
    return sorted(found)


def forecasts(connection: sa.Connection, today: date, method: str, *, is_past: bool = False) -> Rows:
    return shown(connection, cost_forecast.forecast(connection, today, method, is_past=is_past))


def close(found: Decimal | None, expected: Fraction | None) -> bool:
    """Tell whether a figure is the expected one, as far as an average without end can tell."""
    if found is None or expected is None:
        return found is None and expected is None
    return abs(Fraction(found) - expected) <= MILLIONTH


@EXAMPLES
@given(history=histories, today=todays)
def test_the_method_is_the_one_that_missed_least(migrated: Database, history: list[int], today: date) -> None:
    """Left to itself, the forecast is that of the method with the smaller error in the past, of equals the first."""
    with rolled_back(migrated) as connection:
        keep_card(connection)
        record(connection, UNATTRIBUTED, series_of(history, today))
        by_method = {}
        for method in (*METHODS, "auto"):
            rows = forecasts(connection, today, method)
            by_method[method] = {row["kind"]: row for row in rows}
        for kind, chosen in by_method["auto"].items():
            tried = [by_method[method][kind] for method in METHODS]
            known = [row["past_error"] for row in tried if row["past_error"] is not None]
            assert chosen in tried
            assert chosen["past_error"] == min(known, default=None)


def test_a_month_that_nothing_told_of_is_not_forecast(migrated: Database) -> None:
    """On its first day the month so far tells nothing, an unpriced kind has no forecast, and neither passes for 0."""
    march = days_between(date(2025, 2, 1), date(2025, 3, 1))
    with rolled_back(migrated) as connection:
        keep_card(connection)
        record(connection, UNATTRIBUTED, dict.fromkeys(march, Fraction(2)))
        rows = {row["kind"]: row for row in forecasts(connection, date(2025, 3, 1), METHODS[1])}
        assert (rows["image"]["so_far"], rows["image"]["forecast"]) == (2, None)
        rows = {row["kind"]: row for row in forecasts(connection, date(2025, 3, 1), METHODS[0])}
        assert rows["image"]["forecast"] == 2 * 31
        assert rows["voice"]["forecast"] == 0
        assert (rows["storage"]["forecast"], rows["database"]["forecast"]) == (None, None)
        assert forecasts(connection, date(2025, 4, 20), METHODS[0]) == []


def test_what_has_no_price_has_no_forecast(migrated: Database) -> None:
    """A kind of which nothing has a price came to nothing that is known, this month and in the past."""
    days = days_between(date(2025, 1, 20), date(2025, 3, 15))
    with rolled_back(migrated) as connection:
        keep_card(connection)
        record(connection, UNATTRIBUTED, dict.fromkeys(days))
        row = {row["kind"]: row for row in forecasts(connection, date(2025, 3, 15), "auto")}["image"]
        assert (row["so_far"], row["forecast"], row["previous"], row["past_error"]) == (None,) * 4
        assert row["is_incomplete"]
        past = [
            row
            for row in forecasts(connection, date(2025, 3, 15), METHODS[0], is_past=True)
            if row["kind"] == "image"
        ]
        assert [(row["forecast"], row["actual"], row["error"]) for row in past] == [(None, None, None)]


@EXAMPLES
@given(
    history=st.lists(amounts, min_size=1, max_size=LONGEST),
    own=st.lists(st.one_of(amounts, st.none()), min_size=1, max_size=LONGEST),
    days=st.integers(1, 40),
    bounds=st.builds(
        Bounds,
        st.sampled_from([Decimal(2), Decimal(6), Decimal("3.5")]),
        st.sampled_from([Decimal("0.01"), Decimal(1), Decimal(2)]),
    ),
)
def test_anomalies(
    migrated: Database, history: list[int], own: list[int | None], days: int, bounds: Bounds
) -> None:
    """Exactly the days that plain Python finds far outside are listed, of the user and of the kind."""
    last = date(2025, 5, 20)
    nobody, user = series_of(history, last), series_of([cost or 0 for cost in own], last)
    with rolled_back(migrated) as connection:
        keep_card(connection)
        connection.execute(
            sa.text("insert into auth.users (id, email) values (:id, 'a@example.com')"), {"id": USER}
        )
        record(connection, UNATTRIBUTED, nobody)
        record(connection, USER, user)
        window = Window(last - timedelta(days - 1), last + timedelta(1))
        rows = shown(connection, cost_anomalies.anomalies(connection, window, bounds))
    limits = Fraction(bounds.score), Fraction(bounds.least)
    nothing = Fraction(0)
    kind: Series = {day: (nobody.get(day) or nothing) + (user.get(day) or nothing) for day in nobody | user}
    spent: Series = {day: cost for day, cost in user.items() if cost}
    expected = {}
    for day in days_between(window.first, last):
        for name, series in (("user", spent), ("kind", kind)):
            if found := costs.anomaly(series, day, *limits, is_kind=name == "kind"):
                expected[name, day] = found
    listed = {(row["subject"], row["day"]): row for row in rows}
    assert len(listed) == len(rows)
    assert listed.keys() == expected.keys()
    for key, found in expected.items():
        row = listed[key]
        assert row["who"] == ("a@example.com" if key[0] == "user" else "image")
        assert (row["cost"], row["median"], row["farthest"]) == (found.cost, found.median, found.farthest)
        assert row["days"] == found.days
        assert row["direction"] == ("above" if found.cost > found.median else "below")
        assert (
            row["score"] is None
            if found.score is None
            else abs(Fraction(row["score"]) - found.score) <= Fraction(1, 200)
        )


@pytest.mark.parametrize(("days_ago", "is_found"), [(90, False), (91, True)])
def test_a_history_is_90_days_long(migrated: Database, days_ago: int, is_found: bool) -> None:
    """A day as dear as the one looked at excuses it, if it is one of the 90 before."""
    last = date(2025, 5, 20)
    days = days_between(last - timedelta(100), last)
    series = dict.fromkeys(days, Fraction(2)) | dict.fromkeys(
        (last - timedelta(days_ago), last), Fraction(100)
    )
    with rolled_back(migrated) as connection:
        keep_card(connection)
        record(connection, UNATTRIBUTED, series)
        window = Window(last, last + timedelta(1))
        rows = shown(connection, cost_anomalies.anomalies(connection, window, Bounds()))
    assert [row["who"] for row in rows] == ["image"] * is_found


@pytest.mark.parametrize("better", METHODS)
def test_either_method_is_chosen_where_it_is_the_better(migrated: Database, better: str) -> None:
    """A level that lasts from the middle of a month on is for the last days, a dear week for the month so far."""
    today = date(2025, 5, 15)
    change: Series = {}
    for month in (date(2025, 3, 1), date(2025, 4, 1)):
        lasts = last_day(month).day if better == METHODS[0] else 14
        change |= dict.fromkeys(days_between(month.replace(day=8), month.replace(day=lasts)), Fraction(9))
    series = dict.fromkeys(days_between(date(2025, 2, 1), today), Fraction(1)) | change
    with rolled_back(migrated) as connection:
        keep_card(connection)
        record(connection, UNATTRIBUTED, series)
        image = {row["kind"]: row for row in forecasts(connection, today, "auto")}["image"]
    assert (image["method"], image["months_tested"]) == (better, 2)
