"""The parts a statement is made of."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors
from sqlalchemy.sql.selectable import SelectState


def parts_of(select: visitors.ExternallyTraversible) -> Iterator[visitors.ExternallyTraversible]:
    """Yield the statement and everything in it, each once: what several parts read is not gone through for each."""
    # By identity, for columns compare to an expression; kept, lest another takes the place of one that is gone.
    seen: dict[int, visitors.ExternallyTraversible] = {}
    ahead = deque([select])
    while ahead:
        part = ahead.popleft()
        if id(part) not in seen:
            seen[id(part)] = part
            yield part
            ahead.extend(part.get_children())


def tables_of(select: visitors.ExternallyTraversible) -> frozenset[sa.Table]:
    """Return the tables a statement reads anywhere."""
    return frozenset(part for part in parts_of(select) if isinstance(part, sa.Table))


def froms_of(select: sa.Select[Any]) -> Sequence[sa.FromClause]:
    """Return what a select reads from, a join as one, as `get_final_froms` does; that writes all of it out first."""
    # Of a compiler it needs none for tables and subqueries.
    return SelectState(select, None)._get_display_froms()  # type: ignore[arg-type]  # noqa: SLF001 (nothing public tells them fast)
