"""Who is over, at or near a limit, against the independent reference and known rows."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given

from avatarlab_cli.database import Database
from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries import limits
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.rollup.limits import LIMITABLE
from jobs import monthly_usage
from tests.database.comparing import rolled_back, stored, task
from tests.examples import examples
from tests.reference.generate import Dataset, datasets, insert
from tests.reference.limits import MAX_AVATARS, limits_on
from tests.reference.source import month_of, read_source
from tests.reference.subscriptions import gone_accounts

EXAMPLES = examples(6)
NEAR_PERCENT = 60


def count_now(connection: sa.Connection) -> set[str]:
    """Let the job count up to the database's own day; return what it could not count."""
    skipped = dict(monthly_usage.run(connection, task(today_of(connection))).skipped)
    connection.execute(
        sa.text(
            "insert into avatarlab_admin.job_runs (job, status, started_at, window_to, metrics_skipped)"
            " values ('monthly-usage', 'succeeded', now(), current_date + 1, cast(:skipped as jsonb))"
        ),
        {"skipped": json.dumps(skipped)},
    )
    return set(skipped)


def today_of(connection: sa.Connection) -> Any:  # noqa: ANN401 (a date, as the driver gives it)
    return connection.scalar(sa.text("select current_date"))


def expected(
    connection: sa.Connection, skipped: set[str]
) -> tuple[set[tuple[UUID, str, int, int, str]], set[str]]:
    """Recount who has used how much of which limit, and which limits somebody cannot be held against."""
    today = today_of(connection)
    source = read_source(connection)
    in_force, gone = limits_on(source, today), gone_accounts(source, today)
    months = stored(connection, "monthly_usage", ("user_id", "usage_month"))
    idle = dict.fromkeys(set(LIMITABLE) - skipped, 0)
    found, unknown = set(), set()
    for user, own in in_force.by_user.items():
        figures = months.get((user, month_of(today)), idle) | {MAX_AVATARS: in_force.avatars.get(user, 0)}
        for name, limit in own.items():
            value = None if name in skipped else figures.get(name)
            if user not in gone and value is None and name in LIMITABLE:
                unknown.add(name)
            if user not in gone and value and value * 100 >= limit * NEAR_PERCENT:
                state = "over" if value > limit else "at" if value == limit else "near"
                found.add((user, name, int(value), limit, state))
    return found, unknown


@EXAMPLES
@given(data=datasets(datetime.now(UTC).date()))
def test_everyone_near_a_limit_is_found(migrated: Database, data: Dataset) -> None:
    """The check, and each user's own limits, are the reference's, whatever tiers, overrides and usage there are."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        skipped = count_now(connection)
        report = limits.check(connection, near_percent=NEAR_PERCENT)
        rows = connection.execute(report.select).all()
        found = {(row.id, row.metric, int(row.value), int(row.limit), row.state) for row in rows}
        assert (found, set(report.unjudged)) == expected(connection, skipped)
        for user, own in limits_on(read_source(connection), today_of(connection)).by_user.items():
            shown = connection.execute(limits.of_user(connection, UserName(user, None)).select).all()
            assert {row.metric: int(row.limit) for row in shown if row.limit is not None} == {
                name: limit for name, limit in own.items() if name in LIMITABLE
            }


def _user(connection: sa.Connection) -> UserName:
    user = uuid4()
    connection.execute(
        sa.text("insert into auth.users (id, email) values (:id, 'a@example.com')"), {"id": user}
    )
    connection.execute(
        sa.text("""update subscription_tiers set limits = '{"images_generated": 10}' where name = 'free'""")
    )
    return UserName(user, "a@example.com")


def _used(connection: sa.Connection, user: UserName) -> dict[str, Decimal | None]:
    rows = connection.execute(limits.of_user(connection, user).select).all()
    return {row.metric: row.used for row in rows}


def test_usage_that_was_never_computed_is_unknown(migrated: Database) -> None:
    """Without a run in this month nothing is known of its use; avatars are counted all the same."""
    with rolled_back(migrated) as connection:
        user = _user(connection)
        assert _used(connection, user) == {"images_generated": None, "max_avatars": 0}
        (note,) = limits.of_user(connection, user).notes
        assert "never computed" in note
        assert limits.check(connection).unjudged == ("images_generated",)
        count_now(connection)
        assert limits.check(connection).unjudged == ()
        assert _used(connection, user) == {"images_generated": 0, "max_avatars": 0}
        assert limits.of_user(connection, user).notes == ()


def test_a_missing_source_is_unknown(migrated: Database) -> None:
    """What the latest run could not count is unknown, whether the user has a row of the month or not."""
    with rolled_back(migrated) as connection:
        user = _user(connection)
        connection.execute(sa.text("drop table generated_images cascade"))
        connection.execute(sa.text("drop table avatars cascade"))
        count_now(connection)
        assert _used(connection, user) == {"images_generated": None, "max_avatars": None}
        assert limits.check(connection).unjudged == ("images_generated", "max_avatars")


def test_figures_of_the_web_panel_are_not_use(migrated: Database) -> None:
    """A row the panel left counts something else: it is passed over."""
    with rolled_back(migrated) as connection:
        user = _user(connection)
        connection.execute(
            sa.text(
                "insert into monthly_usage (user_id, usage_month, images_generated)"
                " values (:id, date_trunc('month', current_date::timestamp), 99)"
            ),
            {"id": user.id},
        )
        assert _used(connection, user)["images_generated"] is None


def test_old_figures_are_said_to_be_old(migrated: Database) -> None:
    """A check of figures that are days old says so."""
    with rolled_back(migrated) as connection:
        count_now(connection)
        assert limits.check(connection).notes == ()
        connection.execute(
            sa.text("update avatarlab_admin.job_runs set started_at = now() - interval '3 days'")
        )
        (note,) = limits.check(connection).notes
        assert note.startswith("usage was last computed at ")


@pytest.mark.parametrize("metric", ["images_generate", "total_cost", ""])
def test_what_cannot_be_limited(migrated: Database, metric: str) -> None:
    """Asking for the limit of something that has none is a usage error that names what has."""
    with rolled_back(migrated) as connection, pytest.raises(UsageError) as raised:
        limits.check(connection, metric=metric)
    assert "images_generated" in str(raised.value.hint)
