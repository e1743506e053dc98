"""A budgets.yaml: how much a month may cost, altogether, by kind and by user; whatever is wrong is named with its line."""

import re
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from uuid import UUID

import yaml

from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.rate_file import currency_of
from avatarlab_cli.rollup.rates import CARD_KINDS
from avatarlab_cli.yaml_lines import (
    FaultError,
    checked_field,
    fields,
    items_of,
    number_of,
    raised,
    root,
    shown,
    text_of,
)

EACH = "each"
_FIELDS = ("amount", "kind", "user")
_MOST_BUDGETS = 5_000
_HIGHEST_AMOUNT = Decimal(1_000_000_000)
_MOST_DECIMALS = 9
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_LONGEST_ADDRESS = 320


@dataclass(frozen=True)
class Budget:
    """The most that a calendar month (UTC) may cost; 0 is nothing at all.

    `kind` None means all kinds together. `user` None means all users together, `each` every user by themselves, else
    an e-mail address or a UUID in lower case: that user's own, in the place of `each` for the same kind.
    """

    kind: str | None
    user: str | None
    amount: Decimal
    line: int


@dataclass(frozen=True)
class Budgets:
    """All budgets, in one currency, in the file's order; no two have the same kind and user."""

    currency: str
    entries: tuple[Budget, ...]


def load(path: str | None = None) -> Budgets:
    """Return the budgets in `path` (`-` is stdin), or those shipped, which are none; raises ConfigurationError naming the line."""
    shipped = resources.files("config") / "budgets.yaml"
    origin = "stdin" if path == "-" else path or str(shipped)

    def failure(reason: str) -> ConfigurationError:
        return ConfigurationError(f"cannot read the budgets {origin}: {reason}")

    return parse(text_of(path or shipped, failure), origin)


def parse(text: str, origin: str) -> Budgets:
    """Return the budgets the YAML describes; raises ConfigurationError naming the first faulty line."""
    try:
        return _budgets(root(text))
    except FaultError as fault:
        raise ConfigurationError(fault.within(origin)) from None


def _budgets(node: yaml.Node | None) -> Budgets:
    if not isinstance(node, yaml.MappingNode):
        raise FaultError("`currency: USD` and a list `budgets` are expected", node or 1)
    found = fields(node, ("currency", "budgets"), raised)
    for name in ("currency", "budgets"):
        if name not in found:
            raise FaultError(f"the file lacks {name}", node)
    currency = checked_field(found, "currency", currency_of, raised)
    entries: dict[tuple[str | None, str | None], Budget] = {}
    for item in items_of(found["budgets"], _MOST_BUDGETS, raised):
        budget = _budget(item)
        same = entries.setdefault((budget.kind, budget.user), budget)
        if same is not budget:
            raise FaultError(f"this is the budget of line {same.line} again", item)
    return Budgets(currency or "", tuple(entries.values()))


def _budget(node: yaml.Node) -> Budget:
    if not isinstance(node, yaml.MappingNode):
        raise FaultError('a budget is expected, as a mapping: {kind: image, amount: "100"}', node)
    found = fields(node, _FIELDS, raised)
    amount = checked_field(found, "amount", _amount, raised)
    if amount is None:
        raise FaultError("the budget lacks amount", node)
    kind = checked_field(found, "kind", _kind, raised)
    user = checked_field(found, "user", _user, raised)
    return Budget(kind, user, amount, node.start_mark.line + 1)


def _amount(node: yaml.ScalarNode) -> Decimal:
    amount = number_of(node)
    if not 0 <= amount <= _HIGHEST_AMOUNT or amount != round(amount, _MOST_DECIMALS):
        limits = f"from 0 to {_HIGHEST_AMOUNT:,}, with at most {_MOST_DECIMALS} decimals"
        raise ValueError(f"{shown(node.value)} must be {limits}")
    return amount


def _kind(node: yaml.ScalarNode) -> str:
    if node.value not in CARD_KINDS:
        raise ValueError(f"{shown(node.value)} is none of {', '.join(CARD_KINDS)}")
    return str(node.value)


def _user(node: yaml.ScalarNode) -> str:
    name = node.value.strip().lower()
    if name == EACH or (_ADDRESS.fullmatch(name) and len(name) <= _LONGEST_ADDRESS and name.isprintable()):
        return str(name)
    try:
        return str(UUID(name))
    except ValueError:
        raise ValueError(f"{shown(node.value)} is neither each nor an e-mail address nor a UUID") from None
