"""Some users' running month computed alone, against the independent reference and against the job."""

from random import Random
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.rollup.limits import LIMITABLE
from avatarlab_cli.rollup.rejudging import JUDGED, rejudge
from avatarlab_cli.schema.live import probe
from jobs import monthly_usage
from tests.database.comparing import (
    TODAY,
    differences,
    drop_temporary_tables,
    record_month,
    rolled_back,
    shipped,
    task,
)
from tests.database.test_monthly_usage import (
    SOURCE_TABLES,
    expected_days,
    expected_months,
    stored_days,
    stored_months,
)
from tests.reference.generate import Dataset, datasets, insert
from tests.reference.limits import MAX_AVATARS, limits_on
from tests.reference.source import read_source

EXAMPLES = settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MONTH = TODAY.replace(day=1)
Cells = dict[Any, Any]
Judged = dict[tuple[UUID, str], tuple[object, object]]


def split(cells: Cells, chosen: set[UUID]) -> tuple[Cells, Cells]:
    """Divide what is stored into the chosen users' running month and all else."""
    of_chosen = {key for key in cells if key[0] in chosen and str(key[1])[:7] == f"{MONTH:%Y-%m}"}
    return {key: cells[key] for key in of_chosen}, {key: cells[key] for key in cells.keys() - of_chosen}


def rejudged(connection: sa.Connection, chosen: set[UUID]) -> Judged:
    connection.execute(sa.text("create temporary table chosen (id uuid) on commit drop"))
    if chosen:
        connection.execute(sa.text("insert into chosen values (:id)"), [{"id": user} for user in chosen])
    rejudge(connection, probe(connection), "chosen", TODAY, shipped())
    rows = connection.execute(sa.text(f"select user_id, name, value, maximum from {JUDGED}"))
    return {(row.user_id, row.name): (row.value, row.maximum) for row in rows}


@EXAMPLES
@given(
    data=datasets(TODAY),
    known_days=st.sets(st.integers(1, TODAY.day - 1)),
    gone=st.sampled_from(SOURCE_TABLES),
    seed=st.randoms(use_true_random=False),
)
def test_users_alone_equal_the_full_run(
    migrated: Database, data: Dataset, known_days: set[int], gone: str, seed: Random
) -> None:
    """Their days, month and limits are the reference's whatever changed since the last run; nobody else's figures move."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        users = [UUID(str(row["id"])) for row in data.rows["auth.users"]]
        record_month(connection, users[0] if users else None, known_days)
        monthly_usage.run(connection, task())
        drop_temporary_tables(connection)
        if connection.scalar(sa.text("select to_regclass(:name)"), {"name": f"public.{gone}"}):
            connection.execute(sa.text(f"truncate {gone} cascade"))
        connection.execute(sa.text("update conversation_feedback set feedback = 'good'"))
        chosen = {user for user in users if seed.random() < 0.5}
        before = [split(stored(connection), chosen)[1] for stored in (stored_days, stored_months)]
        judged = rejudged(connection, chosen)
        for stored, expected, others in zip(
            (stored_days, stored_months), (expected_days, expected_months), before, strict=True
        ):
            own, rest = split(stored(connection), chosen)
            assert differences(own, split(expected(connection), chosen)[0]) == []
            assert rest == others
        assert judged == expected_limits(connection, chosen)


def expected_limits(connection: sa.Connection, chosen: set[UUID]) -> Judged:
    """Recount what limits the chosen, and how much of it they have used this month."""
    source = read_source(connection)
    in_force = limits_on(source, TODAY)
    months = expected_months(connection)
    found: Judged = {}
    for user in chosen:
        figures = months.get((user, MONTH), {}) | {MAX_AVATARS: in_force.avatars.get(user, 0)}
        for name, limit in in_force.by_user.get(user, {}).items():
            if name in LIMITABLE:
                found[user, name] = (figures.get(name, 0), limit)
    return found
