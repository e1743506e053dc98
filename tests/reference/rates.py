"""What one unit of a provider's service costs on a day."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

import yaml

TRAINED = "1M trained tokens"
INPUT = "1M input tokens"
OUTPUT = "1M output tokens"
CHARACTERS = "1k characters"
IMAGE = "image"
VIDEO = "video"
GB_MONTH = "GB-month"

UNIT_SIZE = {
    TRAINED: 10**6,
    INPUT: 10**6,
    OUTPUT: 10**6,
    CHARACTERS: 1000,
    IMAGE: 1,
    VIDEO: 1,
    GB_MONTH: 10**9,
}
"""How many tokens, characters, pieces or bytes one priced unit holds."""

_DATE_SUFFIX = re.compile(r"-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{4})$")


@dataclass(frozen=True)
class Rate:
    """One price of the rate card, in force from a day until the next of the same kind, key and unit, or `until`."""

    kind: str
    key: str
    unit: str
    price: Decimal
    effective_from: date
    until: date | None = None


def rates_from_yaml(text: str) -> list[Rate]:
    """Read a rate card: a mapping whose `rates` lists kind, key (or provider, or model), unit, price (text), from and perhaps until."""
    return [
        Rate(
            item["kind"],
            str(item.get("key") or item.get("provider") or item["model"]),
            item["unit"],
            Decimal(item["price"]),
            item["from"],
            item.get("until"),
        )
        for item in yaml.safe_load(text)["rates"]
    ]


def normalised(name: str | None) -> str:
    """Reduce a provider's or model's name to the form the rate card uses; empty where nothing is left."""
    key = (name or "").strip().lower()
    if key.startswith("ft:"):
        key = key.split(":")[1]
    return _DATE_SUFFIX.sub("", key.removeprefix("kie-"))


def price_in_force(rates: Iterable[Rate], kind: str, key: str, unit: str, day: date) -> Decimal | None:
    """Return the latest price that has come into force by the day, or None where there is none or it has ended."""
    known = [
        rate
        for rate in rates
        if (rate.kind, rate.key.lower(), rate.unit) == (kind, key, unit) and rate.effective_from <= day
    ]
    latest = max(known, key=lambda rate: rate.effective_from, default=None)
    return latest.price if latest and (latest.until is None or day < latest.until) else None


def match(
    rates: Sequence[Rate], kind: str, unit: str, names: Iterable[str | None], day: date
) -> tuple[str, Decimal | None]:
    """Return the key and price of the first name with a rate, else the first usable key without a price."""
    keys = [key for key in map(normalised, names) if key]
    for key in keys:
        price = price_in_force(rates, kind, key, unit, day)
        if price is not None:
            return key, price
    return (keys[0] if keys else "unknown"), None


def rounded(value: Fraction, places: int) -> Decimal:
    """Round half away from zero to so many decimals."""
    scaled = abs(value) * 10**places
    whole = (scaled + Fraction(1, 2)).__floor__()
    result = Decimal(whole).scaleb(-places, Context(prec=60, rounding=ROUND_HALF_UP))
    return -result if value < 0 and whole else result
