"""The statuses that may be asked for: what the platform writes, and what else stands in its rows."""

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.platform import Expression


def demand_status(
    connection: sa.Connection, status: str | None, usual: tuple[str, ...], *columns: Expression
) -> None:
    """Raise UsageError, naming the valid ones, for a status that is not usual and stands in none of the columns."""
    if status is None or status in usual:
        return
    # No constraint keeps another status out of some of these columns.
    found = sa.union(*(sa.select(column.label("status")).distinct() for column in columns)).subquery()
    there = connection.scalars(sa.select(found.c.status).where(found.c.status.is_not(None))).all()
    if status not in there:
        every = (*usual, *sorted(set(there) - set(usual)))
        raise UsageError(f"{status!r} is not a status", hint=f"statuses: {', '.join(every)}")
