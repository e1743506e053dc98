"""Months that are closed: in which order, with what, and what late changes under them come to."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.errors import AvatarLabError, NotFoundError, RefusedError
from avatarlab_cli.queries import adjustments, closings
from avatarlab_cli.rollup import adjusting, closing, verifying
from avatarlab_cli.rollup.frozen import FIGURES
from avatarlab_cli.timeframe import Window, month_window
from jobs import close_month, monthly_usage
from tests.database.comparing import TODAY, rolled_back, shipped, stored, task
from tests.database.costing import compute, shown
from tests.database.test_monthly_usage import SOURCE_TABLES, add_avatar, add_user, expected_months
from tests.examples import examples
from tests.reference.generate import Dataset, datasets, insert

EXAMPLES = examples(2)
MOVABLE = (
    "conversation_feedback",
    "generated_images",
    "tts_generations",
    "api_request_logs",
    "avatars",
    "voice_clones",
)
JANUARY, FEBRUARY, MARCH = date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1)
_LATEST = """
    select distinct on (month, user_id, metric) month, user_id, metric, after from avatarlab_admin.usage_adjustment a
    order by month, user_id, metric, recorded_at desc
"""


def close(connection: sa.Connection, month: date, **more: Any) -> closing.Closed:  # noqa: ANN401 (the rest of what it takes)
    return closing.close(connection, month, today=TODAY, card=shipped(), by="ada", **more)


def arranged(connection: sa.Connection) -> UUID:
    """Write one user with an avatar in January and one in February, and compute all."""
    user = add_user(connection)
    for month in (JANUARY, FEBRUARY):
        connection.execute(
            sa.text("insert into avatars (user_id, name, created_at) values (:user, 'A', :at)"),
            {"user": user, "at": f"{month}T12:00Z"},
        )
    compute(connection)
    return user


def known(connection: sa.Connection) -> dict[Any, Any]:
    """Return each user's frozen figures with the latest adjustments on top."""
    months = {
        key: {name: row[name] for name in FIGURES}
        for key, row in stored(connection, "monthly_usage", ("user_id", "usage_month")).items()
    }
    for month, user, metric, after in connection.execute(sa.text(_LATEST)):
        if user != UUID(int=0):
            months.setdefault((user, month), {})[metric] = after
    return months


@EXAMPLES
@given(
    before=datasets(TODAY),
    moved=st.lists(st.tuples(st.sampled_from(MOVABLE), st.integers(-45, 45)), min_size=1, max_size=4),
    gone=st.sampled_from(SOURCE_TABLES),
)
def test_frozen_and_adjusted_is_from_scratch(
    migrated: Database, before: Dataset, moved: list[tuple[str, int]], gone: str
) -> None:
    """Whatever moves, under closed months and out of them, or vanishes: closed and adjusted make what a recount says."""
    with rolled_back(migrated) as connection:
        insert(connection, before)
        compute(connection)
        while month := closing.next_due(connection, TODAY, 3):
            close(connection, month)
        frozen = stored(connection, "monthly_usage", ("user_id", "usage_month"))
        for table, days in moved:
            shift = f"update {table} set created_at = created_at + interval '{days} days'"
            connection.execute(sa.text(f"{shift} where created_at < '2025-03-20'"))
        if connection.scalar(sa.text("select to_regclass(:name)"), {"name": f"public.{gone}"}):
            connection.execute(sa.text(f"truncate {gone} cascade"))
        months = [date(2024, 12, 1), JANUARY, FEBRUARY]
        adjusting.adjust(connection, TODAY, months=months)
        assert stored(connection, "monthly_usage", ("user_id", "usage_month")) == frozen
        assert adjusting.adjust(connection, TODAY, months=months).recorded == 0
        closed = {JANUARY, FEBRUARY} & set(
            connection.scalars(sa.text("select month from avatarlab_admin.period_close"))
        )
        expected = expected_months(connection)
        found = known(connection)
        for user, month in {key for key in (*found, *expected) if key[1] in closed}:
            row = expected.get((user, month), {})
            for name, value in found.get((user, month), {}).items():
                if name in row or value is not None:
                    assert (value or 0) == (row.get(name) or 0), (user, month, name)
            assert not row or (user, month) in found


def test_months_close_in_order_and_reopen_backwards(migrated: Database) -> None:
    """An earlier month comes first, one that is not over or has nothing is refused, and only the last one reopens."""
    with rolled_back(migrated) as connection:
        arranged(connection)
        with pytest.raises(RefusedError, match="2025-01 must be closed before 2025-02"):
            close(connection, FEBRUARY)
        for month in (MARCH, date(2025, 4, 1)):
            with pytest.raises(RefusedError, match="is not over"):
                close(connection, month)
        with pytest.raises(NotFoundError, match="no figures are stored for 2024-12"):
            close(connection, date(2024, 12, 1))
        close(connection, JANUARY)
        close(connection, FEBRUARY)
        with pytest.raises(RefusedError, match="2025-01 is closed already"):
            close(connection, JANUARY)
        with pytest.raises(RefusedError, match="2025-02 must be reopened before 2025-01"):
            closing.reopen(connection, JANUARY, by="ada", reason="late")
        with pytest.raises(RefusedError, match="2025-01 is closed"):
            monthly_usage.run(connection, task(window=month_window(JANUARY)))
        closing.reopen(connection, FEBRUARY, by="ada", reason="late")
        assert closing.first_open_month(connection) == FEBRUARY


def test_a_row_of_the_year_1_is_no_month_to_close(migrated: Database) -> None:
    """It is closed with the first month since 2000, adjusted like that, and verification has no turn for its centuries."""
    with rolled_back(migrated) as connection:
        user = arranged(connection)
        add_avatar(connection, user, datetime(1, 1, 5, tzinfo=UTC))
        compute(connection)
        assert closing.first_open_month(connection) == JANUARY
        assert verifying.share(connection, TODAY, 1) == [JANUARY, FEBRUARY, MARCH]
        close(connection, JANUARY)
        assert closing.first_open_month(connection) == FEBRUARY
        add_avatar(connection, user, datetime(1, 1, 6, tzinfo=UTC))
        assert adjusting.adjust(connection, TODAY, months=[date(1, 1, 1)]).recorded == 1


def test_an_unverified_month_is_refused_or_set(migrated: Database) -> None:
    """Where a row came since the last run the refusal counts what differs; told to, closing sets it first."""
    with rolled_back(migrated) as connection:
        user = arranged(connection)
        add_avatar(connection, user, datetime(2025, 1, 9, tzinfo=UTC))
        with connection.begin_nested() as savepoint:
            with pytest.raises(AvatarLabError, match=r"2025-01 cannot be closed: .* of monthly_usage"):
                close(connection, JANUARY)
            savepoint.rollback()
        assert close(connection, JANUARY, recompute=True).rows_written > 0


def test_closed_again_it_keeps_its_former_closing_and_has_one_digest(migrated: Database) -> None:
    """The same figures give the same digest; the former closing and what it froze stay on record."""
    with rolled_back(migrated) as connection:
        arranged(connection)
        first = close(connection, JANUARY).digest
        closing.reopen(connection, JANUARY, by="eve", reason="to look")
        assert close(connection, JANUARY).digest == first
        history = connection.execute(
            sa.text("select digest, reopened_by, reopen_reason from avatarlab_admin.period_history")
        ).all()
        assert [tuple(row) for row in history] == [(first, "eve", "to look")]
        kept = "select count(distinct closing_id) from avatarlab_admin.period_figures"
        assert connection.scalar(sa.text(kept)) == 2


def test_the_job_closes_what_is_due(migrated: Database) -> None:
    """Months that ended long enough ago are closed in order, the others not, and a second run has nothing to do."""
    with rolled_back(migrated) as connection:
        arranged(connection)
        assert close_month.run(connection, task(close_after_days=15)).rows_written == 1
        assert close_month.run(connection, task(close_after_days=14)).rows_written == 1
        assert close_month.run(connection, task()).rows_written == 0


def test_known_at_a_time(migrated: Database) -> None:
    """Before a month was closed nothing of it is known, then what was closed, then that with its adjustments."""
    with rolled_back(migrated) as connection:
        user = arranged(connection)
        close(connection, JANUARY)
        closed_at = connection.scalar(sa.text("select closed_at from avatarlab_admin.period_close"))
        add_avatar(connection, user, datetime(2025, 1, 9, tzinfo=UTC))
        assert adjusting.adjust(connection, TODAY, months=[JANUARY]).recorded == 1
        for after, known_then in ((-1, []), (0, [1]), (1, [2])):
            at = closed_at + timedelta(microseconds=after)
            report = adjustments.as_known_at(connection, at, JANUARY)
            rows = connection.execute(report.select).mappings().all()
            assert [row["avatars_created"] for row in rows if row["user_id"]] == known_then
            assert bool(report.notes) == (not known_then)
        assert len(shown(connection, adjustments.adjustments(JANUARY, user))) == 1
        assert "1 adjustments since then" in adjustments.notes(connection, [JANUARY], user)[0]


def test_the_digest_tells_of_an_alteration_and_outlives_an_account(migrated: Database) -> None:
    """Figures stay intact where an account is deleted for good, and are altered where somebody writes into them."""
    with rolled_back(migrated) as connection:
        user = arranged(connection)
        close(connection, JANUARY)
        (row,) = (row for row in shown(connection, closings.months()) if row["month"] == JANUARY)
        assert (row["state"], row["figures"], row["accounts_gone"]) == ("closed", "intact", 0)
        with connection.begin_nested() as savepoint:
            connection.execute(sa.text("update monthly_usage set images_generated = images_generated + 1"))
            (found,) = shown(connection, closings.altered())
            assert (found["month"], found["users_altered"]) == (JANUARY, 1)
            savepoint.rollback()
        connection.execute(sa.text("delete from avatars"))
        connection.execute(sa.text("delete from auth.users where id = :user"), {"user": user})
        (row,) = (row for row in shown(connection, closings.months()) if row["month"] == JANUARY)
        assert (row["figures"], row["accounts_gone"]) == ("intact", 1)
        assert shown(connection, closings.altered()) == []


def test_many_months_hold_no_more_locks_than_few(migrated: Database) -> None:
    """However many months are verified, adjusted or closed in a transaction, its locks are no more than for two of each."""
    with rolled_back(migrated) as connection:
        arranged(connection)
        for closed in (None, JANUARY):
            if closed:
                close(connection, closed)
            firsts = (date(2024, 12, 1), date(2023, 9, 1))
            few, many = (locks_of_verifying(connection, first) for first in firsts)
            assert few == many
        close(connection, FEBRUARY)
        assert locks(connection) == few


def locks_of_verifying(connection: sa.Connection, first: date) -> int:
    """Verify the months from one on to February, and return how many locks the transaction has then."""
    verifying.compare(connection, verifying.months_of(Window(first, MARCH)), TODAY, shipped())
    return locks(connection)


def locks(connection: sa.Connection) -> int:
    """Return how many tables and the like the transaction has locked."""
    held = "select count(distinct (relation, classid, objid)) from pg_locks where pid = pg_backend_pid()"
    return int(connection.scalar(sa.text(held)) or 0)


def test_a_missing_table_leaves_its_figures_as_they_are_known(migrated: Database) -> None:
    """What cannot be counted any more is named and not taken for nothing; what can be is adjusted."""
    with rolled_back(migrated) as connection:
        user = arranged(connection)
        speech = (
            "insert into tts_generations (user_id, text, created_at) values (:user, 'hello', '2025-01-05Z')"
        )
        connection.execute(sa.text(speech), {"user": user})
        compute(connection)
        close(connection, JANUARY)
        connection.execute(sa.text("drop table tts_generations cascade"))
        add_avatar(connection, user, datetime(2025, 1, 9, tzinfo=UTC))
        done = adjusting.adjust(connection, TODAY, months=[JANUARY])
        assert (done.recorded, {"tts_generations", "tts_characters", "voice_cost"} - done.skipped.keys()) == (
            1,
            set(),
        )
        assert known(connection)[user, JANUARY]["avatars_created"] == 2
        assert known(connection)[user, JANUARY]["tts_characters"] == 5
        assert adjusting.adjust(connection, TODAY, months=[JANUARY]).recorded == 0


def test_what_was_recorded_before_is_no_difference_now(migrated: Database) -> None:
    """Of two adjustments in one transaction, the second of them within a savepoint, a verification tells its own alone."""
    with rolled_back(migrated) as connection:
        user = arranged(connection)
        close(connection, JANUARY)
        for day in (8, 9):
            add_avatar(connection, user, datetime(2025, 1, day, tzinfo=UTC))
            with connection.begin_nested():
                assert verifying.compare(connection, [JANUARY], TODAY, shipped()) == 1
            (found,) = connection.execute(sa.text(f"select stored, actual from {verifying.DIFFERENCES}"))
            assert tuple(found) == (day - 7, day - 6)


def test_a_month_of_several_cards_has_the_one_loaded_last(migrated: Database) -> None:
    """Which card prices it is a matter of when a card was loaded, and not of what its version spells."""
    card = "insert into avatarlab_admin.rate_card (version, currency, card, loaded_at) values (:version, 'USD', '{}', :at)"
    with rolled_back(migrated) as connection:
        user = arranged(connection)
        for version, at in (("zz", "2020-01-01"), ("00", "2099-01-01"), ("zzz", "2099-01-02")):
            connection.execute(sa.text(card), {"version": version, "at": at})
        month = (
            "update monthly_usage set rate_card_version = 'zz' where (user_id, usage_month) = (:user, :month)"
        )
        connection.execute(sa.text(month), {"user": user, "month": JANUARY})
        assert adjusting.card_version(connection, JANUARY) == shipped().version
        days = "update avatarlab_admin.usage_daily set rate_card_version = '00' where day < '2025-02-01'"
        connection.execute(sa.text(days))
        assert adjusting.card_version(connection, JANUARY) == "00"


def test_what_belongs_to_nobody_is_adjusted(migrated: Database) -> None:
    """A row without an owner that came late is nobody's difference, and so is one that went; both are told once."""
    with rolled_back(migrated) as connection:
        arranged(connection)
        add_avatar(connection, None, datetime(2025, 1, 3, tzinfo=UTC))
        compute(connection)
        close(connection, JANUARY)
        for days, expected in ((7, (1, 2)), (8, (2, 3))):
            add_avatar(connection, None, datetime(2025, 1, days, tzinfo=UTC))
            assert adjusting.adjust(connection, TODAY, months=[JANUARY]).recorded == 1
            assert of_nobody(connection)[-1] == expected
        connection.execute(sa.text("delete from avatars where user_id is null"))
        assert adjusting.adjust(connection, TODAY, months=[JANUARY]).recorded == 1
        assert of_nobody(connection) == [(1, 2), (2, 3), (3, 0)]
        assert adjusting.adjust(connection, TODAY, months=[JANUARY]).recorded == 0
        rows = connection.execute(adjustments.adjustments(JANUARY, UUID(int=0)).select).mappings().all()
        assert {(row["email"], row["user_id"], row["metric"]) for row in rows} == {
            ("(unattributed)", None, "avatars_created")
        }


def of_nobody(connection: sa.Connection) -> list[tuple[int, int]]:
    """Return what was recorded of nobody's avatars, before and after, the earliest first."""
    found = connection.execute(
        sa.text(
            "select before, after from avatarlab_admin.usage_adjustment"
            " where user_id = :nobody and metric = 'avatars_created' order by recorded_at"
        ),
        {"nobody": UUID(int=0)},
    )
    return [(int(row.before), int(row.after)) for row in found]
