"""The SQL types of what columns show, for rows that come from SQL text."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.report import Kind

_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    Kind.MONTH: sa.Date(),
    Kind.DATE: sa.Date(),
    Kind.TIME: sa.TIMESTAMP(timezone=True),
    Kind.INTEGER: sa.BigInteger(),
    Kind.BYTES: sa.BigInteger(),
    Kind.DECIMAL: sa.Numeric(),
    Kind.MONEY: sa.Numeric(),
    Kind.COST: sa.Numeric(),
    Kind.PERCENT: sa.Numeric(),
    Kind.BOOLEAN: sa.Boolean(),
    Kind.ID: sa.Uuid(),
}


def type_of(kind: Kind) -> sa.types.TypeEngine[Any]:
    """Return the type a column of this kind has in a database; text of those that are words."""
    return _TYPES.get(kind, sa.Text())
