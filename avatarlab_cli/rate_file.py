"""A rates.yaml: what it says, checked entry by entry, whatever is wrong named with its line."""

import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

import yaml

from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.rollup.rates import CARD_KINDS, FIXED_KEYS, SUFFIX, UNITS, UNITS_OF, Rate, RateCard
from avatarlab_cli.yaml_lines import (
    FaultError,
    Field,
    Report,
    checked_field,
    fields,
    items_of,
    number_of,
    root,
    shown,
    text_of,
)

# They all name what the rows carry: some carry a provider, some a model.
_NAMES = ("key", "provider", "model")
_REQUIRED = ("kind", "unit", "price", "from")
_FIELDS = ("kind", *_NAMES, "unit", "price", "from", "until")
_MOST_RATES = 5_000
_LONGEST_KEY = 200
_HIGHEST_PRICE = Decimal(1_000_000)
# With these a byte's share of a price, and a day's of that, is still exact.
_MOST_DECIMALS = 9
_DAY = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_ONE_CURRENCY = "a card has one currency, as amounts of several cannot be added; it stands before the rates"
_NULL = "tag:yaml.org,2002:null"
_CURRENCY = re.compile(r"[A-Za-z]{3}")


@dataclass(frozen=True)
class Fault:
    """What is wrong in a line of a card; `entry` is the rate's number in the list, None for the card itself."""

    line: int | None
    entry: int | None
    sentence: str


class _Placed(NamedTuple):
    """A rate, and where it stands."""

    rate: Rate
    node: yaml.Node
    report: Report

    @property
    def line(self) -> int:
        return self.node.start_mark.line + 1


def read(path: str | None = None) -> RateCard:
    """Return the rate card in `path` (`-` is stdin), or the one shipped; raises ConfigurationError naming the line."""
    return parse(text(path), origin(path))


def text(path: str | None) -> str:
    """Return what stands in a card's file, or in the one shipped; raises ConfigurationError."""

    def failure(reason: str) -> ConfigurationError:
        return ConfigurationError(f"cannot read the rate card {origin(path)}: {reason}")

    return text_of(path or _shipped(), failure)


def origin(path: str | None) -> str:
    """Return what a card's file is called in messages."""
    return "stdin" if path == "-" else path or str(_shipped())


def _shipped() -> Traversable:
    return resources.files("config") / "rates.yaml"


def parse(text: str, origin: str) -> RateCard:
    """Return the rate card the YAML describes; raises ConfigurationError naming the first faulty line."""
    card, faults = check(text)
    if faults:
        first = FaultError(faults[0].sentence, faults[0].line)
        raise ConfigurationError(first.within(origin), hint=_ALL if len(faults) > 1 else None)
    return card


_ALL = "there is more: `avatarlab cost rates validate FILE` lists all that is wrong"


def check(text: str) -> tuple[RateCard, list[Fault]]:
    """Return the card as far as it can be read, and all that is wrong with it, by line."""
    faults: list[Fault] = []

    def report(fault: FaultError, entry: int | None = None) -> None:
        faults.append(Fault(fault.line, entry, str(fault)))

    card = RateCard("", ())
    try:
        card = _card(root(text), report)
    except FaultError as fault:
        report(fault)
    return card, sorted(faults, key=lambda fault: fault.line or 0)


def _card(node: yaml.Node | None, report: Callable[..., None]) -> RateCard:
    if not isinstance(node, yaml.MappingNode):
        raise FaultError("a card is expected: `currency: USD`, and a list `rates`", node or 1)
    found = fields(node, ("currency", "rates"), report)
    if missing := [name for name in ("currency", "rates") if name not in found]:
        report(FaultError(f"the card lacks {' and '.join(missing)}", node))
    placed = [
        _Placed(rate, item, of_entry)
        for number, item in enumerate(items_of(found.get("rates"), _MOST_RATES, report), 1)
        if (rate := _rate(item, of_entry := functools.partial(report, entry=number)))
    ]
    _check_order(placed)
    currency = checked_field(found, "currency", currency_of, report)
    return RateCard(currency or "", tuple(each.rate for each in placed))


def _rate(node: yaml.Node, report: Report) -> Rate | None:
    if not isinstance(node, yaml.MappingNode):
        report(FaultError(f"a rate is expected, as a mapping of {', '.join(_FIELDS)}", node))
        return None
    found = fields(node, _FIELDS, report, {"currency": _ONE_CURRENCY})
    name = _name_of(node, found, report)
    kind = checked_field(found, "kind", _kind, report)
    unit = checked_field(found, "unit", functools.partial(_unit, kind), report)
    key = checked_field(found, name, functools.partial(_key, kind), report) if name else None
    price = checked_field(found, "price", _price, report)
    first = checked_field(found, "from", _day, report)
    until = checked_field(found, "until", _day, report)
    if first and until and until <= first:
        report(FaultError(f"until {until} is not after from {first}", found["until"].key))
        return None
    if kind is None or key is None or unit is None or price is None or first is None:
        return None
    return Rate(kind, key, unit, first, price, until)


def _name_of(node: yaml.Node, found: Mapping[str, Field], report: Report) -> str | None:
    """Return the field that gives the rate's key, None unless there is one; what is missing is reported."""
    names = [name for name in _NAMES if name in found]
    missing = [name for name in _REQUIRED if name not in found]
    if not names:
        missing.insert(0, "key (or provider, or model)")
    if missing:
        report(FaultError(f"the rate lacks {', '.join(missing)}", node))
    if len(names) > 1:
        report(
            FaultError(f"{' and '.join(names)} are one field by several names: give one", found[names[1]].key)
        )
    return names[0] if len(names) == 1 else None


def _kind(node: yaml.ScalarNode) -> str:
    if node.value not in CARD_KINDS:
        raise ValueError(f"{shown(node.value)} is none of {', '.join(CARD_KINDS)}")
    return str(node.value)


def _unit(kind: str | None, node: yaml.ScalarNode) -> str:
    allowed = UNITS if kind is None else UNITS_OF[kind]
    if node.value not in allowed:
        what = f", for {kind}" if kind else ""
        raise ValueError(f"{shown(node.value)} is none of {', '.join(allowed)}{what}")
    return str(node.value)


def _key(kind: str | None, node: yaml.ScalarNode) -> str:
    """Return a key as `rate_key` reduces names to it; raises ValueError for one that nothing is reduced to."""
    plain = "" if node.tag == _NULL else node.value.strip().lower()
    key = re.sub(SUFFIX, "", plain.removeprefix("kie-"))
    if not key or plain.startswith("ft:"):
        raise ValueError(f"{shown(node.value)} names nothing that can be priced")
    if len(key) > _LONGEST_KEY or not key.isprintable():
        raise ValueError(
            f"must be a name of at most {_LONGEST_KEY} characters, none of them a control character"
        )
    fixed = FIXED_KEYS.get(kind or "", key)
    if key != fixed:
        raise ValueError(
            f"{shown(node.value)} names nothing that can be priced: for {kind} it is always {fixed}"
        )
    return key


def _price(node: yaml.ScalarNode) -> Decimal:
    price = number_of(node)
    if price.is_signed():
        raise ValueError(f"{shown(node.value)} must be 0 or more")
    if price > _HIGHEST_PRICE or price != round(price, _MOST_DECIMALS):
        raise ValueError(
            f"{shown(node.value)} must be at most {_HIGHEST_PRICE:,}, with at most {_MOST_DECIMALS} decimals"
        )
    return price


def _day(node: yaml.ScalarNode) -> date:
    try:
        if match := _DAY.fullmatch(node.value):
            return date(*map(int, match.groups()))
    except ValueError:
        pass
    raise ValueError(f"{shown(node.value)} is not a day of the calendar, such as 2026-01-31")


def currency_of(node: yaml.ScalarNode) -> str:
    """Return a currency's code in capitals; raises ValueError."""
    if not _CURRENCY.fullmatch(node.value):
        raise ValueError(f"{shown(node.value)} must be a three-letter code such as USD")
    return str(node.value).upper()


def _check_order(placed: Sequence[_Placed]) -> None:
    """Report rates of one subject of which more than one would hold on a day."""
    ordered = sorted(placed, key=lambda each: (*each.rate.subject, each.rate.valid_from))
    for before, after in itertools.pairwise(ordered):
        if before.rate.subject != after.rate.subject:
            continue
        first, until = after.rate.valid_from, before.rate.valid_until
        if before.rate.valid_from == first:
            sentence = f"{after.rate.key} has two prices from {first}; the other is in line {before.line}"
            after.report(FaultError(sentence, after.node))
        elif until and until > first:
            sentence = f"until {until} overlaps with the price of {before.rate.key} from {first}, in line {after.line}"
            before.report(FaultError(sentence, before.node))
