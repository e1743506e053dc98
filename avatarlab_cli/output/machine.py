"""The machine form of values: the text that every format but the terminal's table is made from.

A row is a sequence of such texts, None for NULL. Rows of a SELECT get it in SQL (`projection`), rows made in
Python here; both write the same value the same way.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from avatarlab_cli.report import Kind

Row = Sequence[str | None]


def machine(value: object, kind: Kind) -> str | None:
    """Write a Python value as machines read it: times RFC 3339 in UTC, decimals exact, JSON on one line."""
    if value is None:
        return None
    if kind is Kind.JSON:
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, date):
        return value.isoformat()[: 7 if kind is Kind.MONTH else None]
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _time(value: datetime) -> str:
    # A time without zone is UTC, as everything the platform stores is.
    utc = value.astimezone(UTC) if value.tzinfo else value
    text = utc.replace(tzinfo=None).isoformat()
    # PostgreSQL shows no more digits of a second than it needs.
    return (text.rstrip("0") if utc.microsecond else text) + "Z"
