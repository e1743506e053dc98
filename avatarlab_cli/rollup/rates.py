"""The rate card: read from YAML, checked, kept by version, and joined to quantities in SQL."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.rollup import fresh
from avatarlab_cli.rollup.metrics import KINDS, SOURCES
from avatarlab_cli.schema.private import rate_card

# How many of the quantity one unit of a price covers.
UNITS: Mapping[str, int] = {
    "1M trained tokens": 1_000_000,
    "1M input tokens": 1_000_000,
    "1M output tokens": 1_000_000,
    "1k characters": 1_000,
    "image": 1,
    "video": 1,
    "GB-month": 1_000_000_000,
}
_UNITS_OF = {s.priced.kind: tuple(s.priced.quantities) for s in SOURCES if s.priced} | {
    "storage": ("GB-month",)
}
# The date or snapshot at the end of a model's name; Python and PostgreSQL read it alike.
_SUFFIX = r"-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{4})$"
_FIELDS = ("kind", "key", "unit", "price", "from")


@dataclass(frozen=True, order=True)
class Rate:
    """A price in force from a day on."""

    kind: str
    key: str
    unit: str
    valid_from: date
    price: Decimal


@dataclass(frozen=True)
class RateCard:
    """All rates, in one currency; `version` changes whenever any of them does."""

    currency: str
    rates: tuple[Rate, ...]

    @property
    def version(self) -> str:
        """The first twelve hex digits of the SHA-256 of the card's content."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()[:12]

    def as_json(self) -> str:
        """Return the card as the database keeps it."""
        rates = [
            {
                "kind": r.kind,
                "key": r.key,
                "unit": r.unit,
                "from": r.valid_from.isoformat(),
                "price": str(r.price),
            }
            for r in sorted(self.rates)
        ]
        return json.dumps({"currency": self.currency, "rates": rates}, sort_keys=True)


def load(path: str | None = None) -> RateCard:
    """Return the rate card in `path`, or the one shipped; raises ConfigurationError naming the faulty entry."""
    from importlib import resources

    import yaml

    source = Path(path) if path else resources.files("config") / "rates.yaml"
    try:
        content = yaml.safe_load(source.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read the rate card {source}: {error}") from error
    return parse(content, str(source))


def parse(content: object, origin: str) -> RateCard:
    """Return the rate card that parsed YAML describes; raises ConfigurationError naming the faulty entry."""
    if not isinstance(content, dict) or not isinstance(content.get("rates"), list):
        raise ConfigurationError(f"{origin}: `currency` and a list `rates` are expected")
    currency = content.get("currency")
    if not isinstance(currency, str) or len(currency) != 3:  # noqa: PLR2004 (ISO 4217)
        raise ConfigurationError(f"{origin}: `currency` must be a three-letter code such as USD")
    rates = tuple(_rate(entry, f"{origin}, rate {i}") for i, entry in enumerate(content["rates"], 1))
    seen: set[tuple[str, str, str, date]] = set()
    for number, rate in enumerate(rates, 1):
        identity = (rate.kind, rate.key, rate.unit, rate.valid_from)
        if identity in seen:
            raise ConfigurationError(
                f"{origin}, rate {number}: {rate.key} has two prices from {rate.valid_from}"
            )
        seen.add(identity)
    return RateCard(currency.upper(), rates)


def _rate(entry: object, where: str) -> Rate:
    if not isinstance(entry, dict) or sorted(entry) != sorted(_FIELDS):
        raise ConfigurationError(f"{where}: exactly these fields are expected: {', '.join(_FIELDS)}")
    if entry["kind"] not in KINDS:
        raise ConfigurationError(f"{where}: kind {entry['kind']!r} is none of {', '.join(KINDS)}")
    if entry["unit"] not in _UNITS_OF[entry["kind"]]:
        allowed = ", ".join(_UNITS_OF[entry["kind"]])
        raise ConfigurationError(f"{where}: unit {entry['unit']!r} is none of {allowed}, for {entry['kind']}")
    try:
        price = Decimal(str(entry["price"]))
    except InvalidOperation:
        raise ConfigurationError(f"{where}: price {entry['price']!r} is not a number") from None
    if not price.is_finite() or price < 0:
        raise ConfigurationError(f"{where}: price {entry['price']!r} must be 0 or more")
    if type(entry["from"]) is not date:
        raise ConfigurationError(f"{where}: from {entry['from']!r} is not a day")
    return Rate(entry["kind"], _plain_key(str(entry["key"]), where), entry["unit"], entry["from"], price)


def _plain_key(name: str, where: str) -> str:
    """Return a key as `rate_key` reduces names to it; raises ConfigurationError for one that nothing is reduced to."""
    plain = name.strip().lower()
    key = re.sub(_SUFFIX, "", plain.removeprefix("kie-"))
    if not key or plain.startswith("ft:"):
        raise ConfigurationError(f"{where}: key {name!r} names nothing that can be priced")
    return key


def collect(connection: sa.Connection, card: RateCard) -> sa.Table:
    """Keep the card under its version, and create a temporary table of its rates.

    Columns: kind, key, unit, price per one of the quantity, valid_from, valid_until (exclusive).
    """
    row = {"version": card.version, "currency": card.currency, "card": json.loads(card.as_json())}
    connection.execute(insert(rate_card).values(row).on_conflict_do_nothing())
    # A share of a power of ten keeps every amount exact; a division would round.
    shares = {unit: str(Decimal(1) / size) for unit, size in UNITS.items()}
    return fresh.temporary(connection, "rates_fresh", _RATES, version=card.version, shares=json.dumps(shares))


_RATES = sa.text("""
    SELECT r.kind, r.key, r.unit, r.price * (CAST(:shares AS jsonb) ->> r.unit)::numeric AS price,
           r."from" AS valid_from,
           coalesce(lead(r."from") OVER (PARTITION BY r.kind, r.key, r.unit ORDER BY r."from"), 'infinity') AS valid_until
    FROM avatarlab_admin.rate_card c,
         jsonb_to_recordset(c.card -> 'rates') AS r (kind text, key text, unit text, price numeric, "from" date)
    WHERE c.version = :version
""")


# The SQL condition that the temporary table's row r prices storage on the day of d.
STORAGE_RATE = (
    "r.kind = 'storage' AND r.key = 'storage' AND r.unit = 'GB-month'"
    " AND r.valid_from <= d.day AND r.valid_until > d.day"
)


def rate_key(name: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the SQL that reduces a provider's or model's name to the key of its rate; NULL for none.

    `ft:BASE:...` is reduced to BASE; case, the prefix kie- and a date or snapshot suffix are dropped.
    """
    plain = sa.func.lower(sa.func.btrim(name, " \t\n\r\f\v"))
    base = sa.case((plain.like("ft:%"), sa.func.split_part(plain, ":", 2)), else_=plain)
    bare = sa.func.regexp_replace(sa.func.regexp_replace(base, "^kie-", ""), _SUFFIX, "")
    return sa.func.nullif(bare, "")
