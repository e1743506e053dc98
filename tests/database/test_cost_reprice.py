"""What a month would cost by another rate card, against the independent recount, and against what a run then stores."""

from datetime import date
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import assume, given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.errors import NotFoundError
from avatarlab_cli.queries import cost_reprice, costs
from avatarlab_cli.rate_file import parse
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.timeframe import month_window
from jobs import monthly_usage
from jobs.result import Task
from tests.database.comparing import RATES, TODAY, rolled_back
from tests.database.costing import arrange, books, shown
from tests.examples import examples
from tests.reference import costs as reference
from tests.reference.generate import Dataset, datasets
from tests.reference.rates import rates_from_yaml

EXAMPLES = examples(2)
MONTH = date(2025, 3, 1)
OTHER = """currency: USD
rates:
  - {kind: fine_tuning, key: gpt-4o-mini, unit: 1M trained tokens, price: "3", from: 2024-01-01}
  - {kind: fine_tuning, key: gpt-4o, unit: 1M trained tokens, price: "20.5", from: 2024-01-01, until: 2025-03-10}
  - {kind: inference, key: gpt-4o-mini, unit: 1M input tokens, price: "0.31", from: 2024-01-01}
  - {kind: voice, key: elevenlabs, unit: 1k characters, price: "0.1", from: 2025-03-02}
  - {kind: image, key: nano-banana, unit: image, price: "0.123456789", from: 2024-01-01}
  - {kind: image, key: qwen, unit: image, price: "0", from: 2024-01-01}
  - {kind: video, key: hailuo, unit: video, price: "7", from: 2024-01-01}
  - {kind: storage, key: storage, unit: GB-month, price: "0.03", from: 2025-03-05}
  - {kind: database, key: database, unit: GB-month, price: "0.2", from: 2025-01-01}
"""
SIZES = {date(2025, 3, number): 10**9 + number for number in range(1, TODAY.day + 1)}
Amounts = dict[tuple[reference.Owner, str], Fraction | None]


def other_card() -> RateCard:
    return parse(OTHER, "other")


def amounts(connection: sa.Connection, text: str) -> Amounts:
    """Return what the month costs each user, nobody and the platform by a card."""
    parts = reference.stored_parts(books(connection, rates=rates_from_yaml(text)))
    return {(part.owner, part.kind): part.cost for part in parts if part.month == MONTH}


def by_kind(before: Amounts, after: Amounts) -> dict[str, tuple[object, ...]]:
    """Return what the report should say of each kind."""
    found: dict[str, tuple[object, ...]] = {}
    for kind in {kind for _, kind in before}:
        owners = [owner for owner, of in before if of == kind]
        old, new = (reference.summed(side[owner, kind] for owner in owners) for side in (before, after))
        change = None if old is None or new is None else new - old
        found[kind] = old, new, change, sum(before[o, kind] != after[o, kind] for o in owners)
    return found


def sums(amounts: Amounts) -> dict[str, object]:
    """Return the amounts added up by kind."""
    return {
        kind: reference.summed(cost for (_, of), cost in amounts.items() if of == kind)
        for kind in {kind for _, kind in amounts}
    }


def difference(
    connection: sa.Connection, card: RateCard, *, is_closed: bool
) -> dict[str, tuple[object, ...]]:
    rows = shown(connection, cost_reprice.difference(connection, MONTH, card, is_closed=is_closed))
    return {row["kind"]: (row["before"], row["after"], row["difference"], row["users"]) for row in rows}


def stored_by_kind(connection: sa.Connection) -> dict[str, object]:
    rows = shown(connection, cost_reprice.difference(connection, MONTH, other_card(), is_closed=False))
    return {row["kind"]: row["stored"] for row in rows}


def lose(connection: sa.Connection, table: str) -> None:
    connection.execute(sa.text(f"delete from {table} where ctid in (select ctid from {table} limit 2)"))


@EXAMPLES
@given(
    data=datasets(TODAY),
    days=st.sampled_from([set(range(1, TODAY.day)), {3, 4}]),
    sizes=st.sampled_from([SIZES, {}]),
    gone=st.sampled_from(["generated_images", "tts_generations"]),
)
def test_an_open_month(
    migrated: Database, data: Dataset, days: set[int], sizes: dict[date, int], gone: str
) -> None:
    """The difference is that of the same rows by two cards, and what a run stores; what it was before stands apart."""
    with rolled_back(migrated) as connection:
        arrange(connection, data, days, sizes)
        stored = sums(amounts(connection, RATES))
        assume(stored)
        lose(connection, gone)
        before, after = amounts(connection, RATES), amounts(connection, OTHER)
        assert difference(connection, other_card(), is_closed=False) == by_kind(before, after)
        assert stored_by_kind(connection) == stored
        monthly_usage.run(connection, Task(TODAY, other_card(), window=month_window(MONTH)))
        computed = costs.costs(costs.computed_months(connection, month_window(MONTH)))
        rows = connection.execute(sa.select(computed)).all()
        assert {(_owner(row), row.kind): row.cost for row in rows} == after


def _owner(row: sa.Row[Any]) -> reference.Owner:
    return reference.PLATFORM if row.owner == costs.PLATFORM else row.user_id or UUID(int=0)


@EXAMPLES
@given(
    data=datasets(TODAY),
    gone=st.sampled_from(["generated_images", "tts_generations"]),
    sizes=st.sampled_from([SIZES, {}]),
)
def test_a_closed_month(migrated: Database, data: Dataset, gone: str, sizes: dict[date, int]) -> None:
    """What is stored is moved by what the rows that are still there cost more or less, and by nothing else."""
    with rolled_back(migrated) as connection:
        arrange(connection, data, set(range(1, TODAY.day)), sizes)
        stored = amounts(connection, RATES)
        assume(stored)
        lose(connection, gone)
        old, new = rows_by(connection, RATES), rows_by(connection, OTHER)
        after = {key: moved(cost, old.get(key), new.get(key)) for key, cost in stored.items()}
        assert difference(connection, other_card(), is_closed=True) == by_kind(stored, after)


def rows_by(connection: sa.Connection, text: str) -> Amounts:
    """Return what the rows that are there cost by a card, without those that have no price."""
    told = books(connection, rates=rates_from_yaml(text))
    found: Amounts = {}
    for line in reference.lines(told):
        if line.day.replace(day=1) == MONTH and line.amount is not None:
            key = line.owner, line.kind
            found[key] = (found.get(key) or Fraction(0)) + line.amount
    database = reference.PLATFORM, reference.DATABASE
    found[database] = amounts(connection, text).get(database)
    return {key: rounded(amount) for key, amount in found.items() if amount is not None}


def rounded(amount: Fraction) -> Fraction:
    """Round to the millionth; no amount here is negative."""
    return Fraction(int(amount * 10**6 + Fraction(1, 2)), 10**6)


def moved(stored: Fraction | None, old: Fraction | None, new: Fraction | None) -> Fraction | None:
    """Return a closed figure by the other card; unknown where its rows had a price and have none by that card."""
    if old is not None and new is None:
        return None
    change = (new or Fraction(0)) - (old or Fraction(0))
    return (stored or Fraction(0)) + change if change else stored


def test_a_month_never_computed(migrated: Database) -> None:
    """A month without figures is not found, open or closed."""
    with rolled_back(migrated) as connection:
        for is_closed in (False, True):
            with pytest.raises(NotFoundError, match="no costs are stored for 2025-03"):
                difference(connection, other_card(), is_closed=is_closed)
