"""Months that are closed: their figures are final, and what would change them is kept beside them."""

from dataclasses import replace
from datetime import date

import sqlalchemy as sa

from avatarlab_cli.queries.naming import Naming
from avatarlab_cli.schema.private import period_close

PERIOD = Naming(
    "closed month",
    "avatarlab_admin.period_close",
    "avatarlab_admin.period_close r",
    "to_char(r.month, 'YYYY-MM')",
    names=("to_char(r.month, 'YYYY-MM')",),
    hint="`avatarlab period list` shows which months are closed",
)

# One that was reopened is open, like one that never was closed.
CLOSED = replace(PERIOD, rows="(SELECT * FROM avatarlab_admin.period_close WHERE reopened_at IS NULL) r")
CLOSING = replace(CLOSED, noun="month")


def is_closed(connection: sa.Connection, month: date) -> bool:
    """Tell whether the month that begins on that day is closed."""
    own = period_close
    found = sa.exists().where(own.c.month == month, own.c.closed_at.is_not(None), own.c.reopened_at.is_(None))
    return bool(connection.scalar(sa.select(found)))
