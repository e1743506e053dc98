"""A tiers.yaml: what it says, checked, and how that differs from the tiers there are.

A key that is left out keeps its value; a tier that is left out is left alone.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import yaml

from avatarlab_cli.errors import UsageError
from avatarlab_cli.rollup.limits import AVATAR_LIMIT, LIMITABLE
from avatarlab_cli.yaml_lines import FaultError, pairs, root, shown, text_of, value_of

UNLIMITED = -1
# max_avatars has a key, and a column, of its own.
METRICS = tuple(name for name in LIMITABLE if name != AVATAR_LIMIT)
_LONGEST_NAME, _LONGEST_DISPLAY_NAME, _LONGEST_DESCRIPTION = 50, 100, 10_000
_MOST = 2**31 - 1
_HIGHEST_PRICE = Decimal("99999999.99")
_CENT = Decimal("0.01")
# Tabs and line breaks are text; the rest neither a database nor a terminal should be given.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")

Values = Mapping[str, Any]


def _text(longest: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise ValueError(f"must be a text of 1 to {longest:,} characters")
        if value != value.strip() or _CONTROL.search(value):
            raise ValueError("must neither begin nor end with a space, nor hold control characters")
        return value

    return check


def _description(value: object) -> str | None:
    return None if value is None else _text(_LONGEST_DESCRIPTION)(value)


def _price(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("must be an amount in USD such as 9.99")  # noqa: TRY004 (the caller expects one kind)
    amount = Decimal(str(value))
    if not (amount.is_finite() and 0 <= amount <= _HIGHEST_PRICE and amount == round(amount, 2)):
        raise ValueError(f"must be from 0 to {_HIGHEST_PRICE}, in whole cents")
    return amount.quantize(_CENT)


def _count(least: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
            raise ValueError(f"must be a whole number from {least} to {_MOST}")
        return value

    return check


def limit(name: str, value: object) -> int:
    """Return the limit of a metric; raises ValueError for what is none, or limits what a tier's `limits` cannot."""
    if name == AVATAR_LIMIT:
        raise ValueError(f"{name} is not one of the limits; it stands by itself")
    if name not in METRICS:
        raise ValueError(f"{name!r} cannot be limited; one of: {', '.join(METRICS)}")
    if isinstance(value, bool) or not isinstance(value, int) or value < UNLIMITED:
        raise ValueError(f"{name} must be a whole number from 0, or -1 for unlimited, not {shown(value)}")
    return value


def _limits(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise ValueError("must map metrics to limits: {images_generated: 500}")  # noqa: TRY004 (as above)
    return {str(name): limit(str(name), maximum) for name, maximum in value.items()}


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 (as above)
    return value


# Every key of a tier, which is its column too, with what returns the value as the column has it or raises ValueError.
FIELDS: Mapping[str, Callable[[object], Any]] = {
    "name": _text(_LONGEST_NAME),
    "display_name": _text(_LONGEST_DISPLAY_NAME),
    "description": _description,
    "price_monthly": _price,
    "price_yearly": _price,
    "trial_days": _count(0),
    AVATAR_LIMIT: _count(UNLIMITED),
    "limits": _limits,
    "is_active": _yes_or_no,
    "is_featured": _yes_or_no,
    "priority_support": _yes_or_no,
    "custom_branding": _yes_or_no,
    "sort_order": _count(0),
}


def checked(name: str, value: object) -> Any:  # noqa: ANN401 (as many types as there are columns)
    """Return a field's value as its column has it; raises ValueError saying what is wrong with it."""
    if name not in FIELDS:
        raise ValueError(f"{name!r} is no key of a tier; keys: {', '.join(FIELDS)}")
    try:
        return FIELDS[name](value)
    except ValueError as error:
        raise ValueError(f"{name} {error}, not {shown(value)}") from None


@dataclass(frozen=True)
class Tier:
    """A tier as a file wants it: the values of the columns it names."""

    name: str
    values: Values


def read(path: str) -> tuple[Tier, ...]:
    """Return the tiers of a file, `-` is stdin; raises UsageError naming the file and line of what is wrong."""
    origin = "stdin" if path == "-" else path

    def failure(reason: str) -> UsageError:
        return UsageError(f"cannot read {origin}: {reason}", hint="name a tiers.yaml with -f")

    return parse(text_of(path, failure), origin)


def parse(text: str, origin: str) -> tuple[Tier, ...]:
    """Return the tiers the YAML describes; raises UsageError naming the line of what is wrong."""
    try:
        return tuple(_tiers(root(text)))
    except FaultError as fault:
        raise UsageError(fault.within(origin)) from None


def _tiers(node: yaml.Node | None) -> Iterator[Tier]:
    if not isinstance(node, yaml.SequenceNode):
        raise FaultError("a list of tiers is expected: - name: pro", node or 1)
    seen: set[str] = set()
    for item in node.value:
        tier = _tier(item)
        if tier.name.lower() in seen:
            raise FaultError(f"a second tier is called {tier.name}", item)
        seen.add(tier.name.lower())
        yield tier


def _tier(node: yaml.Node) -> Tier:
    if not isinstance(node, yaml.MappingNode):
        raise FaultError("a tier is expected, as a mapping: - name: pro", node)
    values: dict[str, Any] = {}
    for key, value in pairs(node):
        if key.value == "limits" and isinstance(value, yaml.MappingNode):
            values["limits"] = {
                name.value: _constructed(name, maximum, limit) for name, maximum in pairs(value)
            }
        else:
            values[key.value] = _constructed(key, value, checked)
    if "name" not in values:
        raise FaultError("the tier has no name", node)
    return Tier(values.pop("name"), values)


def _constructed(key: yaml.ScalarNode, value: yaml.Node, check: Callable[[str, object], Any]) -> Any:  # noqa: ANN401 (what YAML can say)
    try:
        return check(key.value, value_of(value))
    except ValueError as error:
        raise FaultError(str(error), key) from None


@dataclass(frozen=True)
class Change:
    """What becomes of one tier: of the columns that change, the values before (none for a new tier) and after."""

    tier: str
    kind: Literal["create", "update", "archive"]
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)


def compare(wanted: Sequence[Tier], present: Mapping[str, Values], *, prune: bool = False) -> list[Change]:
    """Return what brings the tiers there are, by name, to what the file wants.

    A tier the file names is not archived afterwards; one it does not name is, with `prune`.
    """
    named = _by_name(wanted, present)
    changes = [
        change for name, values in named.items() if (change := _change(name, values, present.get(name)))
    ]
    archived = {"is_archived": True, "is_active": False}
    for name in unnamed(wanted, present) if prune else ():
        before = {column: present[name][column] for column in archived}
        changes.append(Change(name, "archive", before, archived))
    return changes


def unnamed(wanted: Sequence[Tier], present: Mapping[str, Values]) -> list[str]:
    """Return the tiers there are, archived ones aside, that the file does not name."""
    named = _by_name(wanted, present)
    return [name for name, values in present.items() if name not in named and not values["is_archived"]]


def reached(wanted: Sequence[Tier], present: Mapping[str, Values]) -> Iterator[tuple[str, Values]]:
    """Yield every tier with its values as they are once the file is reached, archiving aside."""
    named = _by_name(wanted, present)
    for name in {**present, **named}:
        yield name, {**present.get(name, {}), **named.get(name, {})}


def _by_name(wanted: Sequence[Tier], present: Mapping[str, Values]) -> dict[str, Values]:
    """Return what the file wants of each tier, by the name the tier has: the file may spell it Pro for pro."""
    names = {name.lower(): name for name in present}
    return {names.get(tier.name.lower(), tier.name): tier.values for tier in wanted}


def _change(name: str, wanted: Values, present: Values | None) -> Change | None:
    if present is None:
        return Change(name, "create", after={"name": name, **wanted})
    revived = {"is_archived": False, "is_active": True} if present["is_archived"] else {}
    after = {column: value for column, value in {**revived, **wanted}.items() if value != present[column]}
    return Change(name, "update", {column: present[column] for column in after}, after) if after else None
