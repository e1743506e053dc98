"""What checks found, counted by the database: the same whatever the order, another where another user is concerned."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from avatarlab_cli.queries import findings

ADA, EVE = UUID(int=1), UUID(int=2)
BUDGET = (
    ("line", sa.Integer),
    ("kind", sa.Text),
    ("user_id", sa.Uuid),
    ("percent", sa.Numeric),
    ("state", sa.Text),
)
ANOMALY = (
    *(("subject", sa.Text), ("day", sa.Date), ("user_id", sa.Uuid), ("who", sa.Text), ("direction", sa.Text)),
    *(("cost", sa.Numeric), ("median", sa.Numeric)),
)
OTHERS = """
    UPDATE monthly_usage SET user_id = (SELECT id FROM auth.users WHERE email = 'c')
    WHERE user_id = (SELECT id FROM auth.users WHERE email = 'a')
"""
DAY, NEXT = date(2026, 3, 1), date(2026, 3, 2)


def listed(columns: Sequence[tuple[str, Any]], rows: Sequence[tuple[object, ...]]) -> sa.Select[Any]:
    """Return a SELECT of these rows, as a report has one."""
    values = sa.values(*(sa.column(name, kind) for name, kind in columns), name="listed").data(list(rows))
    return sa.select(*(sa.cast(column, column.type).label(column.name) for column in values.c))


def test_budgets(migrated_seed_database: sa.Engine) -> None:
    """One row a line and state, with the share spent of everybody's and the number of those who have their own."""
    rows = [
        (3, None, None, Decimal("1.25"), "over"),
        (6, "voice", ADA, Decimal(2), "over"),
        (6, "voice", EVE, Decimal(3), "over"),
        (6, "voice", UUID(int=3), Decimal("0.9"), "near"),
    ]
    with migrated_seed_database.connect() as connection:
        found = [findings.budgets(connection, listed(BUDGET, each)) for each in permutations(rows)]
        other = findings.budgets(
            connection, listed(BUDGET, [*rows[:2], (6, "voice", UUID(int=9), 3, "over")])
        )
    assert [(row.line, row.kind, row.state, row.is_of_all, row.percent, row.users) for row in found[0]] == [
        (3, "all", "over", True, Decimal("1.25"), 0),
        (6, "voice", "near", False, Decimal("0.9"), 1),
        (6, "voice", "over", False, Decimal(3), 2),
    ]
    assert len(Counter(tuple(each) for each in found)) == 1
    # Another user in one's place is another finding, of that line and state alone.
    assert (other[0].digest, other[1].users) == (found[0][0].digest, 2)
    assert other[1].digest != found[0][2].digest


def test_anomalies(migrated_seed_database: sa.Engine) -> None:
    """Each kind's days by themselves, the latest first; users in one row, each counted once."""
    rows = [
        ("kind", DAY, None, "image", "above", 9, 1),
        ("kind", NEXT, None, "image", "below", 2, 3),
        ("user", DAY, ADA, "ada@example.com", "above", 5, 1),
        ("user", NEXT, ADA, "ada@example.com", "above", 6, 1),
        ("user", NEXT, EVE, "eve@example.com", "above", 7, 1),
    ]
    with migrated_seed_database.connect() as connection:
        found = [findings.anomalies(connection, listed(ANOMALY, each)) for each in (rows, rows[::-1])]
        turned = findings.anomalies(
            connection, listed(ANOMALY, [("kind", DAY, None, "image", "below", 9, 1)])
        )
    assert {(row.kind, row.day, row.cost, row.median, row.users) for row in found[0] if row.kind} == {
        ("image", DAY, 9, 1, 0),
        ("image", NEXT, 2, 3, 0),
    }
    assert [row.day for row in found[0] if row.kind] == [NEXT, DAY]
    assert [row.users for row in found[0] if not row.kind] == [2]
    assert found[0] == found[1]
    assert turned[0].digest not in {row.digest for row in found[0]}


@pytest.mark.parametrize(
    ("change", "users", "is_same"),
    [
        (
            "UPDATE monthly_usage SET exceeded_limits = '{\"images_generated\": 99}' WHERE is_over_limit",
            2,
            True,
        ),
        (
            "UPDATE monthly_usage SET exceeded_limits = '{\"tts_characters\": 51}' WHERE is_over_limit",
            2,
            False,
        ),
        (OTHERS, 2, False),
        ("UPDATE monthly_usage SET is_over_limit = false", 0, False),
    ],
)
def test_over_limits(migrated_seed_database: sa.Engine, change: str, users: int, *, is_same: bool) -> None:
    """Who is over which limits in the month of the day, not by how much, and not in another month."""
    with migrated_seed_database.connect() as connection:
        connection.exec_driver_sql(
            "INSERT INTO auth.users (id, email) SELECT gen_random_uuid(), unnest(ARRAY['a', 'b', 'c'])"
        )
        connection.exec_driver_sql(
            "INSERT INTO monthly_usage (user_id, usage_month, is_over_limit, exceeded_limits)"
            " SELECT id, unnest(ARRAY['2026-02-01', '2026-03-01']::date[]), true, '{\"images_generated\": 51}'"
            " FROM auth.users WHERE email <> 'c'"
        )
        before = findings.over_limits(connection, date(2026, 3, 31))
        connection.exec_driver_sql(change)
        after = findings.over_limits(connection, date(2026, 3, 31))
        assert findings.over_limits(connection, date(2026, 4, 1)).users == 0
    assert (before.users, after.users) == (2, users)
    assert (before.digest == after.digest) is is_same
