"""Commands on costs, and their rows with exact amounts."""

import json
from fractions import Fraction
from typing import Any

from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import Outcome, invoke

Rows = list[dict[str, Any]]


def cost(conninfo: str | None, *arguments: str, **more: Any) -> Outcome:  # noqa: ANN401 (invoke's own)
    return invoke(conninfo, "cost", *arguments, **more)


def rows_of(outcome: Outcome) -> Rows:
    """Return a report's rows, its amounts as exact numbers."""
    assert outcome.code in {0, ExitCode.FOUND}, outcome.err
    parsed: Rows = json.loads(outcome.out)
    return parsed


def amount(text: str | None) -> Fraction | None:
    assert text is None or isinstance(text, str), "money is text in JSON"
    return None if text is None else Fraction(text)
