"""Which columns of a statement hold no NULL, because this database's tables do not let one in."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.parts import froms_of
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema


def never_null(select: sa.Select[Any], live: LiveSchema) -> frozenset[str]:
    """Return the names of columns that are a NOT NULL column of a table, whatever was joined; others may be known too."""
    return _never_null(select, live, {})


def _never_null(
    select: sa.Select[Any], live: LiveSchema, known: dict[sa.Select[Any], frozenset[str]]
) -> frozenset[str]:
    if select not in known:
        certain = {relation for source in froms_of(select) for relation in _kept(source)}
        names = set()
        for name, column in zip(select.selected_columns.keys(), select.selected_columns, strict=True):
            own = column.element if isinstance(column, sa.Label) else column
            relation = getattr(own, "table", None)
            if relation in certain and _is_required(own, relation, live, known):
                names.add(name)
        known[select] = frozenset(names)
    return known[select]


def _kept(source: sa.FromClause) -> Iterator[sa.FromClause]:
    """Yield the relations of which every row of a join has a row, none of them NULLs in the place of a missing one."""
    if not isinstance(source, sa.Join):
        yield source
    elif not source.full:
        yield from _kept(source.left)
        if not source.isouter:
            yield from _kept(source.right)


def _is_required(
    column: Any,  # noqa: ANN401 (a column of any relation)
    relation: Any,  # noqa: ANN401
    live: LiveSchema,
    known: dict[sa.Select[Any], frozenset[str]],
) -> bool:
    element = relation.element if isinstance(relation, (sa.Alias, sa.Subquery)) else relation
    if isinstance(element, sa.Table):
        found = live.relation(qualified(element))
        return found is not None and column.name in found.required
    return isinstance(element, sa.Select) and column.key in _never_null(element, live, known)
