"""Pruning the logs: rows go, and not one figure with them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.errors import ConfigurationError, RefusedError
from avatarlab_cli.queries import pruning
from avatarlab_cli.rollup.pruned import METRICS, delete_some, source_of
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.logs import PRUNABLE, time_of
from avatarlab_cli.schema.private import pruned, pruned_daily
from jobs import monthly_usage, platform_statistics
from tests.database.comparing import TODAY, differences, drop_temporary_tables, rolled_back, stored, task
from tests.database.test_monthly_usage import add_avatar, add_user, expected_days, stored_days
from tests.examples import examples
from tests.reference.generate import Dataset, datasets, insert

EXAMPLES = examples(4)
FEEDBACK = "avatar_id, user_id, user_message, avatar_response, feedback, created_at"
BOTH = (monthly_usage, platform_statistics)
OLD = datetime(2024, 11, 30, 12, tzinfo=UTC)
"""Before each day that is drawn to be pruned up to."""
days = st.dates(date(2024, 12, 1), TODAY)
# Of each log: until which day it is pruned, and after how many transactions that is broken off.
how = st.tuples(days, st.sampled_from((1, 2, 1000)), st.integers(1, 9))
counted = [table for table in PRUNABLE if source_of(table)]
prunings = st.dictionaries(st.sampled_from(PRUNABLE), how)
some_prunings = st.dictionaries(st.sampled_from(counted), how, min_size=1)
Prunings = Mapping[sa.Table, tuple[date, int, int]]


def run_jobs(connection: sa.Connection, jobs: Iterable[Any] = (monthly_usage,)) -> int:
    """Run the job that writes the days, or others; returns how many rows were written."""
    written = 0
    for job in jobs:
        drop_temporary_tables(connection)
        written += job.run(connection, task()).rows_written
    return written


def prune(
    connection: sa.Connection, table: sa.Table, before: date, most: int = 1000, times: int = 999
) -> int:
    """Delete the rows of a log in so many transactions at most; returns how many went."""
    after, gone = None, 0
    for _ in range(times):
        batch = delete_some(connection, table, before, after, most)
        gone, after = gone + batch.rows, batch.last_id
        if after is None:
            break
    return gone


def dated(connection: sa.Connection, table: sa.Table) -> list[datetime | None]:
    return list(connection.scalars(sa.select(time_of(table))))


def is_due(moment: datetime | None, before: date) -> bool:
    return moment is not None and moment.astimezone(UTC).date() < before


@EXAMPLES
@given(data=datasets(TODAY, most_rows=9), first=some_prunings, then=prunings)
def test_no_figure_changes(migrated: Database, data: Dataset, first: Prunings, then: Prunings) -> None:
    """Whatever is pruned, in one go or broken off and begun again, the jobs find nothing to write."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        user = add_user(connection, "old@example.com")
        add_avatar(connection, user, OLD)
        write_late(connection, user, OLD)
        run_jobs(connection, BOTH)
        for step in (first, then):
            for table, (before, most, times) in step.items():
                rows = dated(connection, table)
                due = sum(is_due(moment, before) for moment in rows)
                gone = prune(connection, table, before, most, times)
                assert gone == min(due, most * times)
                assert gone or step is then
                assert len(dated(connection, table)) == len(rows) - gone
            assert run_jobs(connection, BOTH) == 0


@EXAMPLES
@given(data=datasets(TODAY, most_rows=9), before=days)
def test_rows_that_come_late_are_counted(migrated: Database, data: Dataset, before: date) -> None:
    """Rows of days that were pruned, written afterwards, count beside those that are gone."""
    moment = datetime.combine(before - timedelta(days=1), datetime.min.time(), UTC)
    with rolled_back(migrated) as connection:
        insert(connection, data)
        user = add_user(connection, "late@example.com")
        add_avatar(connection, user, moment)
        undone = connection.begin_nested()
        write_late(connection, user, moment)
        expected = expected_days(connection)
        undone.rollback()
        for table in PRUNABLE:
            prune(connection, table, before)
        write_late(connection, user, moment)
        run_jobs(connection)
        assert differences(stored_days(connection), expected) == []


def write_late(connection: sa.Connection, user: UUID, moment: datetime) -> None:
    bound, own = {"user": user, "moment": moment}, ":moment from avatars where user_id = :user"
    statements = (
        "insert into api_request_logs (user_id, endpoint, method, created_at) values (:user, '/', 'GET', :moment)",
        f"insert into conversations (avatar_id, phone_number, text, timestamp) select id, '1', 'hi', {own}",
        f"insert into rag_search_logs (avatar_id, user_id, query_text, created_at) select id, user_id, 'hi', {own}",
        f"insert into conversation_feedback ({FEEDBACK}) select id, user_id, 'hi', 'ok', 'good', {own}",
    )
    for statement in statements:
        connection.execute(sa.text(statement), bound)


@EXAMPLES
@given(data=datasets(TODAY, most_rows=9), before=days)
def test_whose_rows_they_were_may_go_too(migrated: Database, data: Dataset, before: date) -> None:
    """What rows counted for that were pruned is nobody's once their owner is gone, and no day has less of it."""
    totals = sa.text(
        f"select day, {', '.join(f'sum({metric})' for metric in METRICS)}"
        " from avatarlab_admin.usage_daily where day < :before group by day order by day"
    )
    only_pruned = sa.text("delete from auth.users u where not exists (select from purchases)")
    with rolled_back(migrated) as connection:
        insert(connection, data)
        for table in PRUNABLE:
            prune(connection, table, before)
            connection.execute(sa.delete(table))
        run_jobs(connection)
        counted = [row for row in connection.execute(totals, {"before": before}) if any(row[1:])]
        connection.execute(
            sa.text("truncate purchases, user_activities, system_logs, avatar_templates cascade")
        )
        connection.execute(sa.text("update profiles set referrer_id = null"))
        connection.execute(only_pruned)
        run_jobs(connection)
        assert [row for row in connection.execute(totals, {"before": before}) if any(row[1:])] == counted
        owners = set(connection.scalars(sa.text("select user_id from avatarlab_admin.usage_daily")))
        assert owners <= {UUID(int=0)}


def test_a_row_without_a_time_stays(migrated: Database) -> None:
    """It belongs to no day, so no age can be told of it; it is counted apart."""
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        connection.execute(
            sa.text(
                "insert into api_request_logs (user_id, endpoint, method, created_at)"
                " values (:user, '/', 'GET', NULL), (:user, '/', 'GET', '2025-01-31 23:59:59.999999Z'),"
                " (:user, '/', 'GET', '2025-02-01Z')"
            ),
            {"user": user},
        )
        table = PRUNABLE[0]
        assert pruning.count(connection, table, date(2025, 2, 1)) == (1, 1)
        assert prune(connection, table, date(2025, 2, 1)) == 1
        assert sorted(map(str, dated(connection, table))) == ["2025-02-01 00:00:00+00:00", "None"]


def test_what_is_not_aggregated_is_told(migrated: Database) -> None:
    """A day whose rows have come or gone since the last run is not aggregated; of a closed month it is final."""
    feedback = next(table for table in PRUNABLE if table.name == "conversation_feedback")
    before = date(2025, 2, 10)
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        moment = datetime(2025, 1, 31, 12, tzinfo=UTC)
        add_avatar(connection, user, moment)
        write_late(connection, user, moment)
        said = (
            "1 day of users before 2025-02-10 are not aggregated as the rows are now, the first is 2025-01-31"
        )
        with pytest.raises(RefusedError, match=said):
            pruning.demand_aggregated(connection, feedback, before)
        pruning.demand_aggregated(connection, feedback, date(2025, 1, 31))
        run_jobs(connection)
        pruning.demand_aggregated(connection, feedback, before)
        prune(connection, feedback, before)
        pruning.demand_aggregated(connection, feedback, before)
        connection.execute(sa.text("update avatarlab_admin.usage_daily set feedback_good = 2"))
        with pytest.raises(RefusedError, match="1 day of users"):
            pruning.demand_aggregated(connection, feedback, before)
        connection.execute(
            sa.text("insert into avatarlab_admin.period_close (month, digest) values ('2025-01-01', 'x')")
        )
        pruning.demand_aggregated(connection, feedback, before)


@pytest.mark.parametrize(
    ("loss", "table"),
    [
        ("alter table conversation_feedback drop column feedback", "conversation_feedback"),
        ("drop table avatars cascade", "conversations"),
        ("alter table platform_api_keys drop column user_id cascade", "api_request_logs"),
    ],
)
def test_what_cannot_be_counted_is_not_pruned(migrated: Database, loss: str, table: str) -> None:
    """Rows of which it cannot be told whose they are, or what, would be lost to every figure."""
    with rolled_back(migrated) as connection:
        connection.execute(sa.text(loss))
        with pytest.raises(RefusedError, match=f"the rows of {table} cannot be counted as .* is missing"):
            pruning.demand_countable(probe(connection), pruning.prunable(table))


def test_a_source_that_is_missing_takes_nothing_with_it(migrated: Database) -> None:
    """While a log is not there its metric is unknown; once it is back, what was pruned counts as before."""
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        moment = datetime(2025, 1, 31, 12, tzinfo=UTC)
        add_avatar(connection, user, moment)
        write_late(connection, user, moment)
        run_jobs(connection)
        before = stored(connection, "monthly_usage", ("user_id", "usage_month"))
        prune(connection, PRUNABLE[0], date(2025, 2, 10))
        connection.execute(sa.text("alter table api_request_logs rename to away"))
        run_jobs(connection)
        key = (user, date(2025, 1, 1))
        assert (
            stored(connection, "monthly_usage", ("user_id", "usage_month"))[key]["api_requests_count"] is None
        )
        connection.execute(sa.text("alter table away rename to api_request_logs"))
        run_jobs(connection)
        assert stored(connection, "monthly_usage", ("user_id", "usage_month")) == before


@pytest.mark.parametrize("job", BOTH)
def test_what_was_pruned_must_be_on_record(migrated: Database, job: Any) -> None:  # noqa: ANN401 (a job's module)
    """Without the table of it no figure is computed, which would be too small, and nothing more is pruned."""
    with rolled_back(migrated) as connection:
        connection.execute(sa.text("drop table avatarlab_admin.pruned_daily"))
        with pytest.raises(ConfigurationError, match="pruned_daily is missing") as refused:
            run_jobs(connection, [job])
        assert "avatarlab db migrate --repair" in str(refused.value.hint)
        with pytest.raises(ConfigurationError, match="pruned_daily is missing"):
            pruning.demand_aggregated(connection, PRUNABLE[0], date(2025, 2, 1))


def test_what_another_definition_counted_stays_apart(
    migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows pruned before and after a definition is raised stand apart, each with its own, and both count."""
    moment = datetime(2025, 1, 31, 12, tzinfo=UTC)
    with rolled_back(migrated) as connection:
        user = add_user(connection)
        add_avatar(connection, user, moment)
        for version in (2, 3):
            monkeypatch.setattr("avatarlab_cli.rollup.pruned.DEFINITION_VERSION", version)
            write_late(connection, user, moment)
            prune(connection, PRUNABLE[0], date(2025, 2, 1))
        figures = sa.select(pruned_daily.c.definition_version, pruned_daily.c.api_requests_count)
        assert sorted(map(tuple, connection.execute(figures))) == [(2, 1), (3, 1)]
        run_jobs(connection)
        counted = connection.scalars(sa.text("select api_requests_count from avatarlab_admin.usage_daily"))
        assert sum(counted) == 2


def test_every_log_and_metric_has_its_place(migrated: Database) -> None:
    """The tables that a migration made hold exactly the logs, and the metrics counted in them."""
    with rolled_back(migrated) as connection:
        found: Any = set(connection.scalars(sa.select(pruned.c.table_name)))
    assert found == {table.name for table in PRUNABLE}
    assert {column.name for column in pruned_daily.c} == {
        "day",
        "user_id",
        "definition_version",
        "computed_at",
        *METRICS,
    }
