"""A rate card on its way from a file through the database: on any day the price that the reference says."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.rate_file import parse
from avatarlab_cli.rollup import rates
from tests.database.comparing import drop_temporary_tables, rolled_back
from tests.examples import examples
from tests.reference.rates import UNIT_SIZE, price_in_force, rates_from_yaml

SUBJECTS = (
    ("image", "qwen", "image"),
    ("image", "grok", "image"),
    ("inference", "gpt-4o", "1M input tokens"),
    ("inference", "gpt-4o", "1M output tokens"),
    ("voice", "elevenlabs", "1k characters"),
    ("storage", "storage", "GB-month"),
    ("database", "database", "GB-month"),
)
FIRST = date(2025, 1, 1)
DAYS = [FIRST + timedelta(number) for number in range(-1, 100)]
PRICES = st.decimals(0, 1_000_000, places=9) | st.sampled_from([Decimal(0), Decimal("0.30"), Decimal(3)])
Subject = tuple[str, str, str]
Prices = dict[tuple[str, str, str, date], Decimal]


@st.composite
def cards(draw: st.DrawFn) -> str:
    """Draw a valid card, its entries in any order, as it stands in a file."""
    entries = []
    for kind, key, unit in draw(st.lists(st.sampled_from(SUBJECTS), unique=True)):
        offsets = sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=4)))
        for offset, following in zip(offsets, [*offsets[1:], 90], strict=True):
            end = draw(st.none() | st.integers(offset + 1, following))
            until = "" if end is None else f", until: {FIRST + timedelta(end)}"
            name = draw(st.sampled_from(["key", "provider", "model"]))
            price = f'"{draw(PRICES):f}"'
            entries.append(
                f"- {{kind: {kind}, {name}: {key}, unit: {unit}, price: {price},"
                f" from: {FIRST + timedelta(offset)}{until}}}"
            )
    listed = "\n".join(draw(st.permutations(entries)))
    return f"currency: EUR\nrates:\n{listed}" if entries else "currency: EUR\nrates: []"


def by_day(periods: Iterable[tuple[Subject, date, date | None, Decimal]]) -> Prices:
    """Return the price of a unit by subject and day, no two of which may hold at once."""
    found: Prices = {}
    for subject, first, end, price in periods:
        for day in DAYS:
            if first <= day and (end is None or day < end):
                assert (*subject, day) not in found
                found[*subject, day] = price
    return found


def rows_of(connection: sa.Connection, select: sa.Select[Any]) -> Sequence[Any]:
    """Return the rates, an end in infinity as None."""
    rate = select.subquery()
    ends = sa.func.nullif(rate.c.valid_until, sa.literal_column("date 'infinity'")).label("ends")
    columns = [column for column in rate.c if column.name != "valid_until"]
    return connection.execute(sa.select(*columns, ends)).all()


@examples(12)
@given(text=cards())
def test_price_of_any_day(migrated: Database, text: str) -> None:
    """What is in force by the file, by the stored card and by the temporary table is what the reference says."""
    card = parse(text, "card")
    reference = rates_from_yaml(text)
    expected = {
        (*subject, day): price
        for subject in SUBJECTS
        for day in DAYS
        if (price := price_in_force(reference, *subject, day)) is not None
    }
    assert (
        by_day((rate.subject, rate.valid_from, end, rate.price) for rate, end in card.periods()) == expected
    )
    with rolled_back(migrated) as connection:
        fresh = rates.collect(connection, card)
        stored = rows_of(connection, rates.stored(card.version))
        periods = (
            ((row.kind, row.key, row.unit), row.valid_from, row.ends, row.list_price) for row in stored
        )
        assert by_day(periods) == expected
        assert all(row.price == row.list_price / UNIT_SIZE[row.unit] for row in stored)
        assert all((row.version, row.currency) == (card.version, "EUR") for row in stored)
        for other in (rates.unstored(card), sa.select(*fresh.c)):
            assert sorted(map(tuple, rows_of(connection, other)), key=str) == sorted(
                map(tuple, stored), key=str
            )
        kept = connection.scalar(sa.text("SELECT card FROM avatarlab_admin.rate_card"))
        assert rates.RateCard.from_dict(kept).version == card.version
        drop_temporary_tables(connection)


def test_cards_in_a_read_only_transaction(migrated: Database) -> None:
    """Reports can ask for the rates of a card that is stored, of all of them, and of one that is not."""
    one, other = (
        parse(
            f"currency: USD\nrates: [{{kind: image, key: {key}, unit: image, price: 1, from: 2025-01-01}}]",
            "f",
        )
        for key in ("qwen", "grok")
    )
    keep = sa.text(
        "INSERT INTO avatarlab_admin.rate_card (version, currency, card) VALUES ('old', 'USD', :card)"
    )
    with rolled_back(migrated) as connection:
        rates.collect(connection, one)
        connection.execute(keep, {"card": other.as_json()})
        connection.execute(sa.text("SET TRANSACTION READ ONLY"))
        assert [row.key for row in rows_of(connection, rates.stored(one.version))] == ["qwen"]
        assert [row.key for row in rows_of(connection, rates.unstored(other))] == ["grok"]
        every, grok = rates.stored().subquery(), rates.unstored(other).subquery()
        joined = sa.select(every.c.version).join(grok, every.c.key == grok.c.key)
        assert connection.scalars(joined).all() == ["old"]
