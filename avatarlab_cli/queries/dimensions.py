"""What the groups of a report are: a value of their own, or a user, an avatar or a voice that has a name."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.queries.usage import NOBODY
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.schema.voice import voice_clones


@dataclass(frozen=True)
class Dimension:
    """The columns a group is told by.

    Where `name` is given the group is an id and that column names it; `absent` is what stands for no id.
    """

    columns: tuple[Column, ...]
    name: sa.Column[Any] | None = None
    absent: str = NOBODY

    def shown(
        self,
        platform: Platform,
        rows: sa.FromClause,
        key: str = "key",
        joined: sa.FromClause | None = None,
    ) -> tuple[list[Expression], sa.FromClause]:
        """Return the columns of groups, or rows, whose value stands in `key`, and what to select them from.

        That is `rows`, or what they are `joined` with already, with the table of the names.
        """
        value, source = rows.c[key], rows if joined is None else joined
        if self.name is None:
            return [value.label(self.columns[0].name)], source
        table = platform[self.name.table]
        named = sa.case((value.is_(None), self.absent), else_=table.c[self.name.name])
        named_by = source.outerjoin(table, table.c.id == value)
        return [value.label(self.columns[0].name), named.label(self.columns[1].name)], named_by


def plain(name: str, help_text: str, kind: Kind = Kind.TEXT) -> Dimension:
    """Return the dimension of a value that is shown as it is."""
    return Dimension((Column(name, kind, help_text, null="-"),))


DAY = plain("day", "the day, UTC", Kind.DATE)
WEEK = plain("week", "the Monday the week begins on", Kind.DATE)
MONTH = plain("month", "the month, UTC", Kind.MONTH)
USER = Dimension(
    (
        Column("user_id", Kind.ID, "the user", wide=True, null="-"),
        Column("email", Kind.TEXT, "the user's e-mail address", null="-"),
    ),
    users.c.email,
)
AVATAR = Dimension(
    (
        Column("avatar_id", Kind.ID, "the avatar", wide=True, null="-"),
        Column("avatar", Kind.TEXT, "its name", null="-"),
    ),
    avatars.c.name,
    "(no avatar)",
)
VOICE = Dimension(
    (
        Column("voice_clone_id", Kind.ID, "the voice clone", wide=True, null="-"),
        Column("voice", Kind.TEXT, "its name", null="-"),
    ),
    voice_clones.c.name,
    "(no clone)",
)


def period(moment: Expression, unit: str) -> Expression:
    """Return the first day of the day, week or month a moment lies in, UTC."""
    # Literals, not parameters: SELECT and GROUP BY must name the same expression.
    local = sa.func.timezone(sa.literal_column("'UTC'"), moment)
    return sa.cast(
        local if unit == "day" else sa.func.date_trunc(sa.literal_column(f"'{unit}'"), local), sa.Date
    )


def demand(by: str, names: Collection[str], what: str) -> str:
    """Return the name of a dimension; raises UsageError, naming the valid ones, for any other."""
    if by not in names:
        raise UsageError(f"{what} cannot be divided by {by!r}", hint=f"by: {', '.join(names)}")
    return by
