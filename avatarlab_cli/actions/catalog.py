"""All acts by name, for what finds them in a plan file or in the audit log."""

import pkgutil
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import UUID

from avatarlab_cli import actions
from avatarlab_cli.actions.act import Act
from avatarlab_cli.errors import UsageError

_REVIVED: Mapping[Any, Callable[[str], object]] = {
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    Decimal: Decimal,
    UUID: UUID,
}


def acts() -> Iterator[type[Act]]:
    """Yield every act there is."""
    for module in pkgutil.iter_modules(actions.__path__, f"{actions.__name__}."):
        import_module(module.name)
    yield from (act for act in _below(Act) if hasattr(act, "name"))


def revive(name: str, parameters: Mapping[str, Any]) -> Act:
    """Return the act that was written to a file as name and parameters; raises UsageError for what is none."""
    found = next((act for act in acts() if act.name == name and act.plannable), None)
    if found is None:
        raise UsageError(f"there is no act {name!r}", hint="was the plan made by another version?")
    hints = typing.get_type_hints(found)
    try:
        return found(**{key: _revived(value, hints[key]) for key, value in parameters.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"the parameters of {name} cannot be read", hint="was the plan made by another version?"
        ) from error


def _below(base: Any) -> Iterator[type[Act]]:  # noqa: ANN401 (mypy has no type for an abstract class)
    for act in base.__subclasses__():
        yield act
        yield from _below(act)


def _revived(value: Any, hint: Any) -> Any:  # noqa: ANN401 (whatever a field holds)
    kinds = typing.get_args(hint) or (hint,)
    if isinstance(value, list):
        return tuple(value)
    make = next((_REVIVED[kind] for kind in kinds if kind in _REVIVED), None)
    return make(value) if make and isinstance(value, str) else value
