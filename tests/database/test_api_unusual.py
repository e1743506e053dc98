"""Keys with an odd day: found, named rightly, and left alone where too little is known of them."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
import sqlalchemy as sa

from avatarlab_cli.queries.api_unusual import Bounds, unusual
from tests.conftest import created_database, plain_engine
from tests.database.watching import TODAY, comparable, read_tables, shown
from tests.reference import api

DAY = TODAY - timedelta(days=1)
OWNER = UUID(int=1)
# What a key did on each day up to the one that is judged, and whether it was issued long before.
KNOWN: dict[str, tuple[list[int], bool]] = {
    "as ever": ([30, 31, 29, 30, 28, 30, 33, 30, 31], False),
    "rushing": ([30, 31, 29, 30, 28, 30, 33, 30, 90], False),
    "slowing": ([300, 310, 290, 300, 280, 300, 330, 300, 20], False),
    "gone": ([300, 10, 290, 300, 280, 300, 330, 300, 0], False),
    "gone for a weekend": ([30, 30, 30, 30, 0, 0, 30, 30, 30, 30, 30, 0, 0], False),
    "gone for longer": ([30, 30, 30, 30, 0, 0, 30, 30, 30, 30, 30, 0, 0, 0], False),
    "too few to matter": ([1, 1, 1, 1, 1, 1, 1, 1, 19], False),
    "waking": ([0, 0, 0, 0, 0, 0, 0, 0, 25], True),
    "new": ([0, 0, 0, 900], False),
}
FINDINGS = {
    "rushing": "above",
    "slowing": "below",
    "gone": "silent",
    "gone for longer": "silent",
    "waking": "above",
}


@pytest.fixture
def engine(server_conninfo: str, migrated_panel_template: str) -> Iterator[sa.Engine]:
    """A platform with one user."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        found = plain_engine(conninfo)
        with found.begin() as connection:
            connection.execute(
                sa.text("insert into auth.users (id, email) values (:id, 'o@example.com')"), {"id": OWNER}
            )
        yield found


def test_each_finding_has_its_name(engine: sa.Engine) -> None:
    """A rush, a lull, a silence and an awakening are told apart; a usual day, a usual pause and little use are none."""
    with engine.begin() as connection:
        for name, (counts, is_old) in KNOWN.items():
            _write(connection, name, counts, is_old=is_old)
    with engine.connect() as connection:
        report = unusual(connection, DAY, Bounds())
        rows = shown(connection, report)
    assert {row["prefix"]: row["finding"] for row in rows} == FINDINGS
    assert report.notes == ("not judged, with less than 7 days of history: 1 key",)
    assert report.unjudged == ()


def test_pruned_days_are_no_days_without_use(engine: sa.Engine) -> None:
    """What was done on days whose requests were pruned is not known, so nothing is unusual beside them."""
    with engine.begin() as connection:
        _write(connection, "steady", [30] * 20, is_old=True)
        connection.execute(
            sa.text("delete from api_request_logs where created_at < :day"), {"day": DAY - timedelta(days=3)}
        )
    for pruned, findings, notes in ((False, ["above"], 0), (True, [], 2)):
        with engine.begin() as connection:
            if pruned:
                connection.execute(
                    sa.text("update avatarlab_admin.pruned set before = :day where table_name = :log"),
                    {"day": DAY - timedelta(days=3), "log": "api_request_logs"},
                )
            report = unusual(connection, DAY - timedelta(days=3), Bounds())
            assert [row["finding"] for row in shown(connection, report)] == findings
            assert len(report.notes) == notes


@pytest.mark.parametrize("seed", range(4))
def test_findings_equal_a_recount(engine: sa.Engine, seed: int) -> None:
    """Of keys of every habit, those are found that sorting each day finds; and those too new are counted."""
    chance = random.Random(seed)  # noqa: S311 (test data, not a secret)
    with engine.begin() as connection:
        for number in range(40):
            _write(connection, f"key {number}", _habit(chance), is_old=chance.random() < 0.5)
    bounds = Bounds(
        days=chance.randint(7, 30), at_least=chance.randint(1, 12), score=Decimal(chance.randint(1, 6))
    )
    with engine.connect() as connection:
        report = unusual(connection, DAY, bounds)
        tables = read_tables(connection)
        expected = list(api.unusual(tables, DAY, bounds.days, bounds.at_least, bounds.score))
        names = [column.name for column in report.columns]
        assert expected
        assert comparable(shown(connection, report), names) == comparable(expected, names)
    unjudged = api.too_new(tables, DAY, bounds.days, bounds.at_least)
    assert [note for note in report.notes if f": {unjudged} key" in note] == list(report.notes)
    assert len(report.notes) == (unjudged > 0)


def _habit(chance: random.Random) -> list[int]:
    """Return what a key did on each day of up to five weeks: steady, now and then, or seldom."""
    usual, share = chance.choice((2, 10, 25)), chance.choice((1, 1, 0.7, 0.2))
    days = [
        chance.randint(usual * 4 // 5, usual * 6 // 5) if chance.random() < share else 0
        for _ in range(chance.randint(1, 35))
    ]
    return [*days, chance.choice((0, 0, 1, usual, usual * 5))]


def _write(connection: sa.Connection, name: str, counts: list[int], *, is_old: bool) -> None:
    """Write a key with its requests: so many on each day up to DAY, the first its first unless it is old."""
    begun = DAY - timedelta(days=len(counts) - 1)
    made = datetime.combine(begun - timedelta(days=100 if is_old else 0), time(12), UTC)
    key = connection.scalar(
        sa.text(
            "insert into platform_api_keys (user_id, key_name, api_key_hash, api_key_prefix, created_at)"
            " values (:owner, 'k', :name, :name, :made) returning id"
        ),
        {"owner": OWNER, "name": name, "made": made},
    )
    for number, count in enumerate(counts):
        midnight = datetime.combine(begun + timedelta(days=number), time(), UTC)
        connection.execute(
            sa.text(
                "insert into api_request_logs (api_key_id, endpoint, method, created_at)"
                " select :key, '/v1/chat', 'POST', :midnight + n * interval '1 minute' from generate_series(0, :count - 1) n"
            ),
            {"key": key, "midnight": midnight, "count": count},
        )
