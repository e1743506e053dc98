"""Verification finds what differs and only that, and what was never computed is found and filled."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.errors import BusyError
from avatarlab_cli.queries import job_gaps, verification
from avatarlab_cli.report import Report
from avatarlab_cli.rollup import rates, verifying
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.timeframe import Window
from jobs import backfill
from jobs.registry import BY_NAME
from jobs.result import Result
from jobs.runner import Order, execute
from tests.conftest import DEMO_END
from tests.database.test_capture import sql

TODAY = DEMO_END.date()
MAY = Window(date(2025, 5, 1), date(2025, 6, 1))


@pytest.fixture
def database(demo_conninfo: str) -> Database:
    """The demo with its figures computed."""
    database = Database(demo_conninfo)
    run(database, "monthly-usage")
    run(database, "platform-statistics")
    return database


def run(database: Database, name: str, window: Window | None = None) -> Result:
    return execute(database, BY_NAME[name], Order(rates.load(), window, today=TODAY)).result


def differences(database: Database, window: Window, metric: str | None = None) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []

    def look(connection: sa.Connection, _: Result, __: Report) -> None:
        found.extend(verification.differences(connection, metric))

    execute(database, BY_NAME["verify"], Order(rates.load(), window, today=TODAY, preview=look))
    return found


def missing(database: Database) -> list[dict[str, Any]]:
    with database.read() as connection:
        findings = job_gaps.gaps(connection, TODAY).findings
        assert findings is not None
        return [dict(row) for row in connection.execute(findings).mappings()]


def test_what_was_just_computed_is_right(database: Database) -> None:
    """After the jobs nothing differs, in any month."""
    assert differences(database, Window(date(2025, 3, 1), date(2025, 7, 1))) == []


def test_every_difference_is_found(database: Database) -> None:
    """A figure that was changed, a row that is gone and one too many are each named, with both values."""
    sql(
        database,
        "UPDATE avatarlab_admin.usage_daily SET images_generated = images_generated + 7"
        " WHERE (day, user_id) IN (SELECT day, user_id FROM avatarlab_admin.usage_daily"
        " WHERE day >= '2025-05-01' AND day < '2025-06-01' AND images_generated > 0 ORDER BY day, user_id LIMIT 1)",
        "UPDATE monthly_usage SET total_cost = NULL WHERE id IN"
        " (SELECT id FROM monthly_usage WHERE usage_month = '2025-05-01' AND total_cost > 0 ORDER BY id LIMIT 1)",
    )
    found = differences(database, MAY)
    assert sorted((row["stored_in"], row["metric"]) for row in found) == [
        ("monthly_usage", "total_cost"),
        ("usage_daily", "images_generated"),
    ]
    changed = next(row for row in found if row["metric"] == "images_generated")
    assert changed["stored"] == changed["actual"] + 7  # type: ignore[operator]  # both are numbers
    assert differences(database, MAY, "tts_characters") == []
    assert differences(database, Window(date(2025, 4, 1), date(2025, 5, 1))) == []
    result = run(database, "verify", MAY)
    assert result.details["mismatches"] == 2
    assert result.details["by_month"] == {"2025-05": {"images_generated": 1, "total_cost": 1}}
    assert result.details["by_metric"] == {"images_generated": 1, "total_cost": 1}
    for name, days in verification.repairs(database, MAY):
        run(database, name, days)
    assert differences(database, MAY) == []


def test_verification_sees_all_that_closing_sees(database: Database) -> None:
    """Every column that a run sets is compared, whatever its kind, and an altered limit is told as what it was and is."""
    left_out = {
        "id",
        "user_id",
        "usage_month",
        "created_at",
        "updated_at",
        "computed_at",
        "closed_at",
        "digest",
    }
    other = {
        "unpriced": """'{"voice": {"x.y": 7}}'""",
        "exceeded_limits": """'{"conversations_count": {"value": 3, "limit": 1}}'""",
        "rate_card_version": "'other'",
        "is_over_limit": "NOT is_over_limit",
        "is_over_avatar_limit": "NOT is_over_avatar_limit",
    }
    columns = [column.name for column in monthly_usage.c if column.name not in left_out]
    changes = ", ".join(f"{name} = {other.get(name, f'coalesce({name}, 0) + 1')}" for name in columns)
    sql(
        database,
        f"UPDATE monthly_usage SET {changes} WHERE id IN"
        " (SELECT id FROM monthly_usage WHERE usage_month = '2025-05-01' ORDER BY id LIMIT 1)",
        """UPDATE avatarlab_admin.usage_daily SET unpriced = '{"voice": {"x.y": 7}}' WHERE (day, user_id) IN"""
        " (SELECT day, user_id FROM avatarlab_admin.usage_daily WHERE day = '2025-05-10' LIMIT 1)",
    )
    found = differences(database, MAY)
    assert {str(row["metric"]).partition(".")[0] for row in found} == set(columns)
    told = {(row["stored_in"], row["metric"]): (row["stored"], row["actual"]) for row in found}
    assert told["monthly_usage", "exceeded_limits.conversations_count.limit"] == (1, None)
    assert told["usage_daily", "unpriced.voice.x.y"] == (7, None)
    assert told["monthly_usage", "rate_card_version"] == (0, 1)
    of_one = {(row["stored_in"], row["metric"]) for row in differences(database, MAY, "unpriced")}
    assert of_one == {key for key in told if str(key[1]).startswith("unpriced.")}
    assert set(columns) <= set(verification.FIGURES)


def test_another_limit_that_is_exceeded_too_is_found(database: Database) -> None:
    """A limit of 1 that becomes 2, both exceeded, differs in the limit alone, until the months are judged again."""
    limit = """UPDATE subscription_tiers SET limits = '{{"conversations_count": {}}}'"""
    sql(database, limit.format(1))
    run(database, "check-limits")
    sql(database, limit.format(2))
    limits = [
        (row["stored"], row["actual"])
        for row in differences(database, MAY)
        if row["metric"] == "exceeded_limits.conversations_count.limit"
    ]
    assert (1, 2) in limits
    run(database, "check-limits")
    assert differences(database, MAY) == []


def test_every_figure_of_the_platform_is_verified(database: Database) -> None:
    """Revenue, a tier's users and a day that is gone are named with what the sources say; repaired, all is as it was."""
    before = statistics(database)
    sql(
        database,
        'UPDATE platform_statistics SET mrr = mrr + 5, users_by_tier = users_by_tier || \'{"free": 0, "none": 3}\''
        " WHERE stat_date = '2025-05-07'",
        "DELETE FROM platform_statistics WHERE stat_date = '2025-05-20'",
    )
    changed = statistics(database)
    found = differences(database, MAY)
    assert {(row["stored_in"], row["user_id"]) for row in found} == {("platform_statistics", None)}
    seventh, gone = before[date(2025, 5, 7)], before[date(2025, 5, 20)]
    told = {(row["day"], row["metric"]): (row["stored"], row["actual"]) for row in found}
    for metric, stored, actual in (
        ("mrr", seventh["mrr"] + 5, seventh["mrr"]),
        ("users_by_tier.free", 0, seventh["users_by_tier"]["free"]),
        ("users_by_tier.none", 3, None),
    ):
        assert told.pop((date(2025, 5, 7), metric)) == (stored, actual)
    assert {day for day, _ in told} == {date(2025, 5, 20)}
    assert told[date(2025, 5, 20), "total_users"] == (None, gone["total_users"])
    assert len(differences(database, MAY, "users_by_tier")) == 2 + len(gone["users_by_tier"])
    assert statistics(database) == changed
    for name, days in verification.repairs(database, MAY):
        run(database, name, days)
    assert differences(database, MAY) == []
    assert statistics(database) == before


def test_the_platform_follows_its_sources(database: Database) -> None:
    """An account that came late counts on its day and on all after it, up to yesterday, whatever is stored of usage."""
    sql(
        database,
        "INSERT INTO auth.users (id, email, created_at) VALUES (gen_random_uuid(), 'late@example.com', '2025-06-10')",
    )
    found = differences(database, Window(date(2025, 6, 1), date(2025, 7, 1)))
    assert {str(row["metric"]) for row in found} == {"total_users", "new_users", "users_by_tier.free"}
    totals = [row["day"] for row in found if row["metric"] == "total_users"]
    assert totals == [date(2025, 6, day) for day in range(10, TODAY.day)]


def statistics(database: Database) -> dict[date, dict[str, Any]]:
    """Return the stored days of the platform, without what tells of the writing alone."""
    unread = {"id", "created_at", "updated_at", "computed_at"}
    with database.read() as connection:
        rows = connection.execute(sa.text("SELECT * FROM platform_statistics")).mappings()
        return {row["stat_date"]: {n: v for n, v in row.items() if n not in unread} for row in rows}


def test_a_row_that_is_gone_is_found(database: Database) -> None:
    """Of a row that is not stored each figure that is not nothing differs."""
    sql(
        database,
        "DELETE FROM avatarlab_admin.usage_daily WHERE (day, user_id) IN (SELECT day, user_id"
        " FROM avatarlab_admin.usage_daily WHERE day = '2025-05-10' AND conversations_count > 0 LIMIT 1)",
    )
    found = differences(database, MAY)
    assert {row["stored_in"] for row in found} == {"usage_daily"}
    assert "conversations_count" in {row["metric"] for row in found}
    assert all(row["stored"] is None and row["actual"] != 0 for row in found)


def test_what_changed_under_a_closed_month_is_recorded(database: Database) -> None:
    """Verifying a closed month records what changed as adjustments, once, and leaves its rows as they are."""
    execute(database, BY_NAME["close-month"], Order(rates.load(), today=TODAY))
    sql(
        database, "DELETE FROM tts_generations WHERE created_at >= '2025-05-01' AND created_at < '2025-06-01'"
    )
    before = differences(database, MAY, "tts_generations")
    assert before
    assert {row["stored_in"] for row in before} == {"closed month"}
    assert run(database, "verify", MAY).details["mismatches"]
    assert differences(database, MAY) == []
    assert "mismatches" not in run(database, "verify", MAY).details


def test_no_month_to_come_is_verified(database: Database) -> None:
    """However far a window reaches, the last month of it is the running one."""
    result = run(database, "verify", Window(date(2025, 5, 1), date(2999, 1, 1)))
    assert result.details["months"] == ["2025-05", f"{TODAY:%Y-%m}"]


def test_every_month_has_its_turn(database: Database) -> None:
    """Within the configured days each month with figures is verified exactly once."""
    with database.read() as connection:
        turns = [
            month
            for day in range(30)
            for month in verifying.share(connection, TODAY + timedelta(days=day), 30)
            if month <= TODAY
        ]
        first = connection.scalar(sa.text("SELECT min(day) FROM avatarlab_admin.usage_daily"))
    assert first is not None
    assert sorted(turns) == verifying.months_of(Window(first, TODAY + timedelta(days=1)))


def test_what_was_never_computed_is_found_and_filled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hole is one row with the command that fills it, and after that nothing is missing."""
    assert missing(database) == []
    sql(
        database,
        "DELETE FROM platform_statistics WHERE stat_date BETWEEN '2025-05-03' AND '2025-05-09'",
        "DELETE FROM monthly_usage WHERE usage_month = '2025-05-01'",
    )
    found = {row["what"]: row for row in missing(database)}
    assert found.keys() == {"statistics", "monthly usage"}
    hole = found["statistics"]
    assert (hole["first"], hole["last"], hole["days"]) == (date(2025, 5, 3), date(2025, 5, 9), 7)
    assert hole["more"] == "avatarlab job backfill --from 2025-05-03 --to 2025-05-09"

    tried: list[str] = []

    def busy_at_first(given: Database, job: Any, order: Order) -> Any:  # noqa: ANN401 (as execute)
        tried.append(job.name)
        if len(tried) == 1:
            raise BusyError("another run is in progress")
        return execute(given, job, replace(order, today=TODAY))

    monkeypatch.setattr(backfill, "execute", busy_at_first)
    monkeypatch.setattr(backfill, "ASK_SECONDS", 0.0)
    (row,) = backfill.each_month(
        database, Window(date(2025, 5, 3), date(2025, 5, 10)), Order(rates.load()), 0
    )
    assert tried == ["monthly-usage", "monthly-usage", "platform-statistics"]
    assert (row["month"], row["rows_written"]) != ("2025-05", 0)
    assert missing(database) == []


def test_a_day_missing_in_a_closed_month(database: Database) -> None:
    """No command computes it as long as the month is closed: the one that reopens the last closed month comes first."""
    execute(database, BY_NAME["close-month"], Order(rates.load(), today=TODAY))
    gone = "DELETE FROM platform_statistics WHERE stat_date BETWEEN '2025-05-31' AND '2025-06-02'"
    sql(database, gone)
    closed, opened = sorted(missing(database), key=lambda row: row["first"])
    assert (closed["first"], closed["last"]) == (date(2025, 5, 31), date(2025, 5, 31))
    assert closed["more"] == 'avatarlab period reopen 2025-05 --reason "Days are missing"'
    assert opened["more"] == "avatarlab job backfill --from 2025-06-01 --to 2025-06-02"


def test_today_is_no_gap_and_neither_is_what_nobody_can_tell(database: Database) -> None:
    """Today's figures may wait for today's run; bytes before the first snapshot are told, and no finding."""
    sql(database, f"DELETE FROM platform_statistics WHERE stat_date = '{TODAY}'")
    assert missing(database) == []
    with database.read() as connection:
        told = connection.execute(job_gaps.gaps(connection, TODAY).select).mappings().all()
    (row,) = told
    assert (row["what"], row["last"], row["more"]) == ("storage", TODAY - timedelta(days=1), None)


def test_a_snapshot_that_can_be_made_up_is_a_gap(database: Database) -> None:
    """Days between two snapshots are filled by the next run, whose command is named; where they are too many, they are told alone."""
    shift = "UPDATE avatarlab_admin.storage_daily SET day = day - {} WHERE NOT is_interpolated"
    sql(database, shift.format(5))
    (row,) = missing(database)
    assert (row["what"], row["days"], row["more"]) == ("storage", 4, "avatarlab job run storage-snapshot")
    assert run(database, "storage-snapshot").rows_written > 0
    assert missing(database) == []
    sql(
        database,
        f"DELETE FROM avatarlab_admin.storage_daily WHERE day > '{TODAY - timedelta(days=5)}'",
        shift.format(95),
        f"INSERT INTO platform_statistics (stat_date) VALUES ('{TODAY - timedelta(days=120)}')",
    )
    assert "storage" not in {row["what"] for row in missing(database)}


def test_limits_are_judged_without_reading_a_log(database: Database) -> None:
    """After a tier's limit is lowered check-limits names who is over it, in every open month, and monthly-usage agrees."""
    sql(database, """UPDATE subscription_tiers SET limits = '{"conversations_count": 0}'""")
    result = run(database, "check-limits")
    assert result.rows_written > 0
    with database.read() as connection:
        over = connection.scalar(
            sa.text(
                "SELECT count(*) FROM monthly_usage WHERE is_over_limit"
                " AND exceeded_limits ? 'conversations_count' AND usage_month = '2025-06-01'"
            )
        )
        active = connection.scalar(
            sa.text(
                "SELECT count(*) FROM monthly_usage WHERE conversations_count > 0 AND usage_month = '2025-06-01'"
            )
        )
    assert over == active > 0
    assert run(database, "check-limits").rows_written == 0
    assert run(database, "monthly-usage").rows_written == 0
