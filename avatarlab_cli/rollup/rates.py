"""The rate card: its rates, how it is kept by version, and how it is joined to quantities in SQL."""

import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from avatarlab_cli.rollup import fresh
from avatarlab_cli.rollup.metrics import KINDS, SOURCES
from avatarlab_cli.schema.base import JSONB
from avatarlab_cli.schema.private import rate_card

STORED = "GB-month"
"""The unit of what lies somewhere: a billion bytes on each day of a month."""
# How many of the quantity one unit of a price covers.
UNITS: Mapping[str, int] = {
    "1M trained tokens": 1_000_000,
    "1M input tokens": 1_000_000,
    "1M output tokens": 1_000_000,
    "1k characters": 1_000,
    "image": 1,
    "video": 1,
    STORED: 1_000_000_000,
}
# What the platform itself pays for; the database is no user's, so no user's month has a cost of that kind.
PLATFORM_KINDS = ("storage", "database")
CARD_KINDS = (*KINDS, "database")
UNITS_OF: Mapping[str, tuple[str, ...]] = {
    s.priced.kind: tuple(s.priced.quantities) for s in SOURCES if s.priced
} | dict.fromkeys(PLATFORM_KINDS, (STORED,))
# The one key of each kind whose rows name neither provider nor model.
FIXED_KEYS: Mapping[str, str] = {
    s.priced.kind: name for s in SOURCES if s.priced for name in s.priced.candidates if isinstance(name, str)
} | {kind: kind for kind in PLATFORM_KINDS}
# The date or snapshot at the end of a model's name; Python and PostgreSQL read it alike.
SUFFIX = r"-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{4})$"


@dataclass(frozen=True)
class Rate:
    """A price in force from a day on: until another day, if that is given, and never beyond its successor's first."""

    kind: str
    key: str
    unit: str
    valid_from: date
    price: Decimal
    valid_until: date | None = None

    @property
    def subject(self) -> tuple[str, str, str]:
        """What is priced: rates of one subject follow each other."""
        return self.kind, self.key, self.unit

    def as_dict(self) -> dict[str, str]:
        """Return the rate as the database keeps it."""
        until = {} if self.valid_until is None else {"until": self.valid_until.isoformat()}
        return {
            "kind": self.kind,
            "key": self.key,
            "unit": self.unit,
            "from": self.valid_from.isoformat(),
            "price": str(self.price),
            **until,
        }


@dataclass(frozen=True)
class RateCard:
    """All rates, in one currency; `version` changes whenever any of them does."""

    currency: str
    rates: tuple[Rate, ...]

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> "RateCard":
        """Return a card from what the database keeps."""
        rates = (
            Rate(
                item["kind"],
                item["key"],
                item["unit"],
                date.fromisoformat(item["from"]),
                Decimal(item["price"]),
                date.fromisoformat(item["until"]) if "until" in item else None,
            )
            for item in card["rates"]
        )
        return cls(card["currency"], tuple(rates))

    @property
    def version(self) -> str:
        """The first twelve hex digits of the SHA-256 of the card's content."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()[:12]

    def as_json(self) -> str:
        """Return the card as the database keeps it."""
        return json.dumps(self.as_dict(), sort_keys=True)

    def as_dict(self) -> dict[str, Any]:
        """Return the card as plain values, which `from_dict` reads."""
        return {"currency": self.currency, "rates": [rate.as_dict() for rate in self.ordered()]}

    def ordered(self) -> list[Rate]:
        """Return the rates by what they price, each subject's in the order of their days."""
        return sorted(self.rates, key=lambda rate: (*rate.subject, rate.valid_from))

    def periods(self) -> Iterator[tuple[Rate, date | None]]:
        """Yield each rate in that order with the first day it no longer holds; None where it has no end."""
        rates = self.ordered()
        for rate, following in itertools.zip_longest(rates, rates[1:]):
            is_followed = following is not None and following.subject == rate.subject
            ends = (rate.valid_until, following.valid_from if is_followed else None)
            yield rate, min((day for day in ends if day), default=None)


def load(path: str | None = None) -> RateCard:
    """Return the rate card in `path`, or the one shipped; raises ConfigurationError naming the faulty line."""
    from avatarlab_cli import rate_file

    return _shipped() if path is None else rate_file.read(path)


@functools.cache
def _shipped() -> RateCard:
    from avatarlab_cli import rate_file

    return rate_file.read()


def collect(connection: sa.Connection, card: RateCard) -> sa.Table:
    """Keep the card under its version, and create the temporary table rates_fresh of its rates, as `stored` gives them."""
    keep(connection, card)
    return fresh.temporary(connection, "rates_fresh", stored(card.version))


def keep(connection: sa.Connection, card: RateCard) -> None:
    """Keep the card under its version: what was computed with it can be explained for ever."""
    row = {"version": card.version, "currency": card.currency, "card": card.as_dict()}
    connection.execute(insert(rate_card).values(row).on_conflict_do_nothing())


def stored(version: str | None = None) -> sa.Select[Any]:
    """Return the SELECT of the rates of one stored card, or of all.

    Columns: version, currency, kind, key, unit, price per one of the quantity (a token, a character, a byte for a
    month), list_price per unit, valid_from, valid_until (exclusive; 'infinity' where there is no end).
    """
    kept = sa.select(rate_card.c.version, rate_card.c.currency, rate_card.c.card)
    if version is not None:
        kept = kept.where(rate_card.c.version == version)
    return _rates(kept.subquery("cards"))


def unstored(card: RateCard) -> sa.Select[Any]:
    """Return the same SELECT for a card that need not be stored; it is bound as one value, each rate with its end."""
    ended = tuple(replace(rate, valid_until=end) for rate, end in card.periods())
    bound = sa.select(
        sa.literal(card.version, sa.Text).label("version"),
        sa.literal(card.currency, sa.Text).label("currency"),
        sa.cast(sa.literal(replace(card, rates=ended).as_json(), sa.Text), JSONB).label("card"),
    )
    return _rates(bound.subquery("cards"), is_ended=True)


def _rates(card: sa.Subquery, *, is_ended: bool = False) -> sa.Select[Any]:
    r = (
        sa.func.jsonb_to_recordset(card.c.card["rates"])
        .table_valued(*_ENTRY, name="r")
        .render_derived(with_types=True)
    )
    ends: list[sa.ColumnElement[Any]] = [r.c.until, sa.literal_column("date 'infinity'")]
    if not is_ended:
        # A window function is never joined in parallel.
        subject = [card.c.version, r.c.kind, r.c.key, r.c.unit]
        ends.append(sa.func.lead(r.c["from"]).over(partition_by=subject, order_by=r.c["from"]))
    # A share of a power of ten keeps every amount exact; a division would round.
    share = sa.case({unit: Decimal(1) / size for unit, size in UNITS.items()}, value=r.c.unit)
    return sa.select(
        card.c.version,
        card.c.currency,
        r.c.kind,
        r.c.key,
        r.c.unit,
        (r.c.price * share).label("price"),
        r.c.price.label("list_price"),
        r.c["from"].label("valid_from"),
        sa.func.least(*ends).label("valid_until"),
    ).select_from(card.join(r, sa.true()))


# Without `until` in cards of before: it is NULL there.
_ENTRY = (
    sa.column("kind", sa.Text),
    sa.column("key", sa.Text),
    sa.column("unit", sa.Text),
    sa.column("price", sa.Numeric),
    sa.column("from", sa.Date),
    sa.column("until", sa.Date),
)


def in_force(rate: sa.FromClause, kind: str, day: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that a row of the rates prices what the platform pays for, storage or database, on a day."""
    is_of = sa.and_(rate.c.kind == kind, rate.c.key == FIXED_KEYS[kind], rate.c.unit == STORED)
    return sa.and_(is_of, rate.c.valid_from <= day, rate.c.valid_until > day)


# The SQL conditions that the temporary table's row r prices storage, that it holds on the day of d, and both.
IS_STORAGE = "r.kind = 'storage' AND r.key = 'storage' AND r.unit = 'GB-month'"
IS_IN_FORCE = "r.valid_from <= d.day AND r.valid_until > d.day"
STORAGE_RATE = f"{IS_STORAGE} AND {IS_IN_FORCE}"


def rate_key(name: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the SQL that reduces a provider's or model's name to the key of its rate; NULL for none.

    `ft:BASE:...` is reduced to BASE; case, the prefix kie- and a date or snapshot suffix are dropped.
    """
    plain = sa.func.lower(sa.func.btrim(name, " \t\n\r\f\v"))
    base = sa.case((plain.like("ft:%"), sa.func.split_part(plain, ":", 2)), else_=plain)
    bare = sa.func.regexp_replace(sa.func.regexp_replace(base, "^kie-", ""), SUFFIX, "")
    return sa.func.nullif(bare, "")
