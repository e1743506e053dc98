"""A table's rows counted by one of several dimensions: counted first, and then named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries import dimensions
from avatarlab_cli.queries.dimensions import Dimension, period
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.report import Column


@dataclass(frozen=True)
class By:
    """What rows are counted by, and how that is shown."""

    dimension: Dimension
    of: Callable[[sa.FromClause], Expression]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns a group is told by, the one that names it last."""
        return self.dimension.columns


USER = By(dimensions.USER, lambda rows: rows.c.user_id)
AVATAR = By(dimensions.AVATAR, lambda rows: rows.c.avatar_id)


def distinct(column: Expression, by: Expression | None) -> Expression:
    """Return how many values of a column there are in a group by `by`; where that is the column itself, at most one."""
    # Counting distinct values takes a sort, of all rows.
    return sa.func.least(sa.func.count(column), 1) if column is by else sa.func.count(column.distinct())


def text(name: str, help_text: str, of: Callable[[sa.FromClause], Expression]) -> By:
    """Count by a text."""
    return By(dimensions.plain(name, help_text), of)


def day(time: str) -> By:
    """Count by the day, UTC, of a time."""
    return By(dimensions.DAY, lambda rows: period(rows.c[time], "day"))


def month(time: str) -> By:
    """Count by the month, UTC, of a time."""
    return By(dimensions.MONTH, lambda rows: period(rows.c[time], "month"))


def counted(
    platform: Platform,
    rows: sa.FromClause,
    by: By,
    figures: Mapping[str, Expression],
    *conditions: Expression,
) -> sa.Select[Any]:
    """Select the figures of the rows that fulfil the conditions."""
    key = by.of(rows)
    known = [platform.known(figure).label(name) for name, figure in figures.items()]
    groups = sa.select(key.label("key"), *known).where(*conditions).group_by(key).subquery("counted")
    return named(platform, groups, by)


def named(platform: Platform, groups: sa.Subquery, by: By) -> sa.Select[Any]:
    """Select the columns of groups, with the dimension's in the place of `key`."""
    told, source = by.dimension.shown(platform, groups)
    figures = [column for column in groups.c if column is not groups.c.key]
    return sa.select(*told, *figures).select_from(source)
