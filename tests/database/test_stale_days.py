"""Statistics of the days that changed alone: after any changes and runs they are what a run from nothing gives."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.errors import RefusedError
from avatarlab_cli.rollup import capture, closing, dirty, rates
from avatarlab_cli.timeframe import Window, month_window
from tests.database import chaos, test_capture
from tests.database.test_capture import (
    ADA,
    PATIENT,
    SPOKEN,
    install_capture,
    judge_ada,
    late_under_closed_months,
    sql,
)
from tests.examples import examples

USAGE, STATISTICS = "monthly-usage", "platform-statistics"
LEFT_OUT = ("computed_at", "id", "created_at", "updated_at")
CARD = rates.load()
DEARER = replace(CARD, rates=tuple(replace(rate, price=rate.price * 2) for rate in CARD.rates))


@pytest.fixture
def database(migrated_panel_conninfo: str) -> Database:
    """A platform whose changes are captured, with something on some days, all of it counted."""
    chaos.populate(migrated_panel_conninfo)
    database = Database(migrated_panel_conninfo, PATIENT)
    install_capture(database)
    for days in (0, 1, 3, 29, 30, 31, 60, 80):
        sql(database, SPOKEN, user=chaos.USERS[days % 3], at=days_ago(days))
        snapshot(database, days_ago(days), days)
    run(database, USAGE)
    run(database, STATISTICS)
    return database


def days_ago(days: int) -> date:
    return chaos.NOW.date() - timedelta(days=days)


def run(database: Database, job: str, **more: Any) -> None:  # noqa: ANN401 (the rest of Order's fields)
    test_capture.run(database, job, **{"close_after_days": 0, **more})


def snapshot(database: Database, day: date, size: int) -> None:
    """Put down what was stored on a day, as a run of that day would have."""
    sql(
        database,
        "INSERT INTO avatarlab_admin.storage_daily (day, user_id, kind, bucket, bytes) VALUES"
        " (:day, :nobody, 'other', '', 0), (:day, :user, 'images', 'generated-images', 1000 * :size) ON CONFLICT DO NOTHING",
        day=day,
        nobody=UUID(int=0),
        user=ADA,
        size=size,
    )


def figures(database: Database) -> dict[date, dict[str, Any]]:
    """Return every row, with everything that is a figure."""
    with database.read() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT stat_date, to_jsonb(t) - CAST(:left_out AS text[]) AS figures FROM platform_statistics t"
            ),
            {"left_out": list(LEFT_OUT)},
        )
        return {day: found for day, found in rows}  # noqa: C416 (rows are no mapping)


def stale_days(database: Database) -> str | None:
    with database.read() as connection:
        found: str | None = connection.scalar(
            sa.text(
                "SELECT (stale_days - datemultirange(daterange(NULL, '1000-01-01'), daterange(:today, NULL, '()')))::text"
                " FROM avatarlab_admin.rollup_state"
            ),
            {"today": chaos.NOW.date()},
        )
        return found


def assert_exact(database: Database, **more: Any) -> None:  # noqa: ANN401 (the rest of Order's fields)
    """What is stored after a run is what one leaves that knows no usage and no statistics of an open day."""
    run(database, STATISTICS, **more)
    of_changed = figures(database)
    with database.write() as connection:
        capture.forget_state(connection)
        open_days = "WHERE stat_date > coalesce((SELECT max(month) + interval '1 month - 1 day' FROM avatarlab_admin.period_close WHERE reopened_at IS NULL), '-infinity')"
        connection.execute(sa.text(f"DELETE FROM platform_statistics {open_days}"))
        connection.execute(sa.text("UPDATE avatarlab_admin.rollup_state SET stale_days = DEFAULT"))
    run(database, STATISTICS, **more)
    of_all = figures(database)
    assert of_changed.keys() == of_all.keys()
    for day, expected in of_all.items():
        found = of_changed[day]
        # What an earlier run saw of logins is known to nobody else.
        assert found.pop("logins_today") >= expected.pop("logins_today")
        differing = {name: (found[name], value) for name, value in expected.items() if found[name] != value}
        assert differing == {}, f"{day}: found and expected {differing}"


def test_a_second_run_reads_no_day(database: Database) -> None:
    """Once set, no day up to today is stale; the next one is, before anything happens on it."""
    assert stale_days(database) == "{}"
    with database.read() as connection:
        later = sa.text("SELECT stale_days @> CAST(:day AS date) FROM avatarlab_admin.rollup_state")
        assert connection.scalar(later, {"day": days_ago(-1)})


def test_a_late_row_makes_thirty_days_stale(database: Database) -> None:
    """Its own day, and those whose active users look at it; the run over them leaves none."""
    sql(database, SPOKEN, user=chaos.USERS[7], at=days_ago(50))
    run(database, USAGE)
    assert stale_days(database) == f"{{[{days_ago(50)},{days_ago(20)})}}"
    run(database, STATISTICS)
    assert stale_days(database) == "{}"


def test_days_that_are_not_stale_are_not_computed(database: Database) -> None:
    """A figure somebody altered stays where nothing changed, and is set right where something did."""
    alter = "UPDATE platform_statistics SET tts_generations_today = 77, active_users = 77 WHERE stat_date IN (:late, :other)"
    sql(database, alter, late=days_ago(40), other=days_ago(5))
    sql(database, SPOKEN, user=ADA, at=days_ago(40))
    run(database, STATISTICS)
    found = figures(database)
    assert (found[days_ago(40)]["tts_generations_today"], found[days_ago(5)]["tts_generations_today"]) == (
        1,
        77,
    )
    assert found[days_ago(5)]["active_users"] == 77


@pytest.mark.parametrize(
    "altered", ["DELETE FROM platform_statistics", "UPDATE platform_statistics SET definition_version = NULL"]
)
def test_a_row_that_tells_nothing_is_computed(database: Database, altered: str) -> None:
    """One that is gone, or that nobody knows by which definitions it was made, counts as stale."""
    before = figures(database)
    sql(
        database,
        "UPDATE platform_statistics SET active_users = 77",
        f"{altered} WHERE stat_date < :day",
        day=days_ago(10),
    )
    run(database, STATISTICS)
    found = figures(database)
    assert {day: row for day, row in found.items() if day < days_ago(10)} == {
        day: row for day, row in before.items() if day < days_ago(10)
    }
    assert found[days_ago(9)]["active_users"] == 77


def test_a_snapshot_of_nothing_that_is_taken_away(database: Database) -> None:
    """What was 0 is n/a again, also where no user has a row of that day."""
    marker = "INSERT INTO avatarlab_admin.storage_daily (day, user_id, kind, bucket) VALUES (:day, :nobody, 'other', '')"
    day = days_ago(85)
    sql(database, marker, day=day, nobody=UUID(int=0))
    run(database, STATISTICS)
    assert figures(database)[day]["storage_bytes"] == 0
    sql(database, "DELETE FROM avatarlab_admin.storage_daily WHERE day = :day", day=day)
    run(database, STATISTICS)
    assert figures(database)[day]["storage_bytes"] is None
    assert_exact(database)


def test_another_card_for_a_while(database: Database) -> None:
    """Runs by other rates, over everything or over some days, leave nothing of them."""
    image = "INSERT INTO generated_images (user_id, prompt, image_url, provider, created_at) VALUES (:user, 'p', 'u', 'imagen4-ultra', :at)"
    sql(database, image, user=ADA, at=days_ago(40))
    run(database, STATISTICS)
    cheap = figures(database)[days_ago(40)]["estimated_cost_today"]
    for job in (USAGE, STATISTICS):
        run(database, job, rates=DEARER)
    assert figures(database)[days_ago(40)]["estimated_cost_today"] == 2 * cheap
    run(database, STATISTICS)
    assert figures(database)[days_ago(40)]["estimated_cost_today"] == cheap
    run(database, STATISTICS, rates=DEARER, window=Window(days_ago(41), days_ago(39)))
    assert_exact(database)


def test_a_source_that_was_away(database: Database) -> None:
    """Without its table a metric is n/a on every day; with it again it is counted."""
    sql(database, "ALTER TABLE tts_generations RENAME TO elsewhere")
    run(database, STATISTICS)
    assert {row["tts_generations_today"] for row in figures(database).values()} == {None}
    sql(database, "ALTER TABLE elsewhere RENAME TO tts_generations")
    assert_exact(database)


def test_a_source_that_was_away_for_a_part_of_a_run(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a later transaction of a run counted without a table is counted again by the next run, which has it."""
    monkeypatch.setattr(dirty, "BATCH", 1)
    for days in (40, 45):
        sql(database, SPOKEN, user=ADA, at=days_ago(days))

    def rename(transactions: int, _: int) -> None:
        if transactions == 1:
            sql(database, "ALTER TABLE tts_generations RENAME TO elsewhere")

    run(database, USAGE, progress=rename)
    sql(database, "ALTER TABLE elsewhere RENAME TO tts_generations")
    run(database, STATISTICS)
    found = figures(database)
    assert [found[days_ago(days)]["tts_generations_today"] for days in (40, 45)] == [1, 1]
    assert_exact(database)


def test_a_closed_month_and_the_days_after_it(database: Database) -> None:
    """Closing sets its own month alone; what came late is in the active users of the next one as of a run from nothing."""
    late_under_closed_months(database)
    assert_exact(database)
    with database.write() as connection:
        closing.lock(connection)
        closing.reopen(connection, closing_month(), by="ada", reason="a row came late")
    assert_exact(database)


def closing_month() -> date:
    return (chaos.NOW.date().replace(day=1) - timedelta(days=1)).replace(day=1)


def test_some_users_days_set_by_an_act(database: Database) -> None:
    """What an act counts anew of one user's month is in the statistics of the next run."""
    sql(database, SPOKEN, user=ADA, at=chaos.NOW)
    judge_ada(database)
    sql(database, "DELETE FROM avatarlab_admin.usage_dirty")
    assert_exact(database)


# What happens besides a writer's statements; each takes the database, a chance and the day it is.
Act = Callable[[Database, random.Random, date], object]


def _window(chance: random.Random, today: date) -> Window:
    first = today - timedelta(days=chance.choice([0, 1, 5, 29, 30, 45, 60]))
    return Window(first, first + timedelta(days=chance.choice([1, 2, 20, 40])))


def _month(chance: random.Random, today: date) -> Window:
    return month_window(today - timedelta(days=chance.choice([0, 31, 62])))


def _alter_snapshots(database: Database, chance: random.Random, today: date) -> None:
    snapshot(database, today - timedelta(days=chance.randint(0, 60)), chance.randint(0, 9))
    altered = chance.choice(
        [
            "UPDATE avatarlab_admin.storage_daily SET bytes = bytes + 1000 WHERE day = :day",
            "UPDATE avatarlab_admin.storage_daily SET kind = 'voices' WHERE day = :day AND kind = 'images'",
            "UPDATE avatarlab_admin.storage_daily SET is_interpolated = NOT is_interpolated WHERE day = :day",
            "DELETE FROM avatarlab_admin.storage_daily WHERE day = :day",
        ]
    )
    sql(database, altered, day=today - timedelta(days=chance.randint(0, 60)))


def _alter_accounts(database: Database, chance: random.Random, today: date) -> None:
    altered = chance.choice(
        [
            "UPDATE auth.users SET deleted_at = CASE WHEN deleted_at IS NULL THEN CAST(:at AS timestamptz) END WHERE id = :user",
            "UPDATE auth.users SET created_at = :at WHERE id = :user",
            "UPDATE auth.users SET last_sign_in_at = :at WHERE id = :user",
            "UPDATE profiles SET account_status = 'deleted' WHERE id = :user",
            "INSERT INTO storage.objects (bucket_id, name, metadata, created_at) VALUES ('generated-images', :user || '/' || :at || '.png', '{\"size\": 1000}', :at) ON CONFLICT DO NOTHING",
        ]
    )
    sql(database, altered, user=chance.choice(chaos.USERS), at=today - timedelta(days=chance.randint(0, 95)))


def _without_triggers(database: Database, chance: random.Random, today: date) -> None:
    sql(database, "ALTER TABLE tts_generations DISABLE TRIGGER USER")
    of_somebody = SPOKEN.replace(
        "VALUES (:user, 'abc', :at)", "SELECT id, 'abc', :at FROM auth.users WHERE id = :user"
    )
    sql(
        database,
        of_somebody,
        user=chance.choice(chaos.USERS),
        at=today - timedelta(days=chance.randint(0, 60)),
    )
    run(database, chance.choice([USAGE, STATISTICS]), today=today)
    install_capture(database)


def _close(database: Database, _: random.Random, today: date) -> None:
    """Close a month after a run of each job: then nothing of it differs from what a count of everything gives."""
    for job in (USAGE, STATISTICS, "close-month"):
        try:
            run(database, job, today=today)
        except RefusedError as refusal:
            pytest.fail(str(refusal))


def _reopen(database: Database, _: random.Random, __: date) -> None:
    with database.write() as connection:
        last = connection.scalar(
            sa.text("SELECT max(month) FROM avatarlab_admin.period_close WHERE reopened_at IS NULL")
        )
        if last is not None:
            closing.lock(connection)
            closing.reopen(connection, last, by="ada", reason="a row came late")


ACTS: tuple[tuple[int, Act], ...] = (
    (4, lambda database, _, today: run(database, USAGE, today=today)),
    (4, lambda database, _, today: run(database, STATISTICS, today=today)),
    (1, lambda database, _, today: run(database, "storage-snapshot", today=today)),
    (2, lambda database, chance, today: run(database, STATISTICS, today=today, window=_window(chance, today))),
    (1, lambda database, chance, today: run(database, USAGE, today=today, window=_month(chance, today))),
    (1, lambda database, chance, today: run(database, chance.choice([USAGE, STATISTICS]), today=today, rates=DEARER)),
    (1, _close),
    (1, _reopen),
    (1, lambda database, _, __: judge_ada(database)),
    (1, _without_triggers),
    (1, lambda database, _, __: sql(database, "TRUNCATE tts_generations")),
    (4, _alter_snapshots),
    (4, _alter_accounts),
)  # fmt: skip


@examples(6)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 10), batch=st.sampled_from([dirty.BATCH, 3]))
def test_any_changes_and_runs_in_any_order(database: Database, seed: int, steps: int, batch: int) -> None:
    """Whatever is written, and whatever runs in between and over which days, no figure is other than from nothing."""
    chance = random.Random(seed)  # noqa: S311 (a test's choice, not a secret)
    statements = [statement for weight, statement in chaos.WRITES for _ in range(weight)]
    acts = [act for weight, act in ACTS for _ in range(weight)]
    today = latest_day(database)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(dirty, "BATCH", batch)
        for _ in range(steps):
            today += timedelta(days=chance.choice([0, 0, 0, 1]))
            with psycopg.connect(database.conninfo, autocommit=True) as connection:
                for _ in range(chance.randint(0, 4)):
                    with suppress(psycopg.errors.IntegrityError):
                        connection.execute(chance.choice(statements), chaos._given(chance))
            # Days of closed months are refused.
            with suppress(RefusedError):
                chance.choice(acts)(database, chance, today)
        assert_exact(database, today=today)


def latest_day(database: Database) -> date:
    """Return the day of the latest run: days only go on."""
    return max(figures(database), default=chaos.NOW.date())
