"""A table's rows counted by one of several dimensions, those that are whose with a name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.queries.usage import NOBODY
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.supabase import users

# Written out: as two parameters, PostgreSQL would take the same expression for two.
_UTC: Expression = sa.literal_column("'UTC'")
_USER = (
    Column("email", help="whose", null="-"),
    Column("user_id", Kind.ID, "the user", wide=True, null="-"),
)
_AVATAR = (
    Column("avatar", help="its name", null="-"),
    Column("avatar_id", Kind.ID, "which one", wide=True, null="-"),
)


@dataclass(frozen=True)
class Dimension:
    """What rows are counted by; of a `user` or an `avatar` the report shows the name beside the id."""

    columns: tuple[Column, ...]
    of: Callable[[sa.FromClause], Expression]
    names: sa.Table | None = None


def user() -> Dimension:
    """Count by the user in `user_id`."""
    return Dimension(_USER, lambda rows: rows.c.user_id, users)


def avatar() -> Dimension:
    """Count by the avatar in `avatar_id`."""
    return Dimension(_AVATAR, lambda rows: rows.c.avatar_id, avatars)


def text(name: str, help_text: str, of: Callable[[sa.FromClause], Expression]) -> Dimension:
    """Count by a text."""
    return Dimension((Column(name, help=help_text, null="-"),), of)


def day(time: str) -> Dimension:
    """Count by the day, UTC, of a time."""
    column = Column("day", Kind.DATE, "the day, UTC")
    return Dimension((column,), lambda rows: sa.cast(sa.func.timezone(_UTC, rows.c[time]), sa.Date))


def month(time: str) -> Dimension:
    """Count by the month, UTC, of a time."""
    column = Column("month", Kind.MONTH, "the month, UTC")
    of_month: Expression = sa.literal_column("'month'")
    return Dimension(
        (column,),
        lambda rows: sa.cast(sa.func.date_trunc(of_month, sa.func.timezone(_UTC, rows.c[time])), sa.Date),
    )


def demand(dimensions: Mapping[str, Dimension], by: str, what: str) -> Dimension:
    """Return the dimension called so; raises UsageError naming those there are."""
    if by not in dimensions:
        raise UsageError(f"{what} cannot be counted by {by!r}", hint=f"by: {', '.join(dimensions)}")
    return dimensions[by]


def counted(
    platform: Platform,
    rows: sa.FromClause,
    by: Dimension,
    figures: Mapping[str, Expression],
    *conditions: Expression,
) -> sa.Select[Any]:
    """Select the figures of the rows that fulfil the conditions: counted first, and then named."""
    key = by.of(rows)
    known = [platform.known(figure).label(name) for name, figure in figures.items()]
    groups = sa.select(key.label("key"), *known).where(*conditions).group_by(key).subquery("counted")
    return named(platform, groups, by)


def named(platform: Platform, groups: sa.Subquery, by: Dimension) -> sa.Select[Any]:
    """Select the columns of groups, with the dimension's in the place of `key`."""
    figures = [column for column in groups.c if column is not groups.c.key]
    if by.names is None:
        return sa.select(groups.c.key.label(by.columns[0].name), *figures)
    label, identity = (column.name for column in by.columns)
    names = platform[by.names]
    name = names.c.email if by.names is users else names.c.name
    return sa.select(
        sa.case((groups.c.key.is_(None), NOBODY), else_=name).label(label),
        groups.c.key.label(identity),
        *figures,
    ).select_from(groups.outerjoin(names, names.c.id == groups.c.key))
