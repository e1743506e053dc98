"""Figures divided by one dimension: by day or week, with rows of zeros between, or by avatar or user, with names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.platform import Expression, Platform, unknown
from avatarlab_cli.queries.usage import NOBODY
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Span, earliest

CALENDAR: Mapping[str, Column] = {
    "day": Column("day", Kind.DATE, "the day, UTC"),
    "week": Column("week", Kind.DATE, "the Monday the week begins on"),
    "month": Column("month", Kind.MONTH, "the month"),
}


def demand_dimension(name: str, dimensions: Sequence[str]) -> str:
    """Return the name; raises UsageError where it is none of the dimensions."""
    if name not in dimensions:
        raise UsageError(f"this cannot be divided by {name!r}", hint=f"by: {', '.join(dimensions)}")
    return name


def period(moment: Expression, unit: str) -> Expression:
    """Return the first day of the day, week or month a moment lies in, UTC."""
    # Literals, not parameters: SELECT and GROUP BY must name the same expression.
    here = sa.func.timezone(sa.literal_column("'UTC'"), moment)
    begin = here if unit == "day" else sa.func.date_trunc(sa.literal_column(f"'{unit}'"), here)
    return sa.cast(begin, sa.Date)


def ratio(part: Expression, whole: Expression) -> Expression:
    """Return part / whole to six digits, NULL where there is no whole."""
    return sa.func.round(sa.cast(part, sa.Numeric) / sa.func.nullif(whole, 0), 6)


def average(of: Expression) -> Expression:
    """Return the average to three digits."""
    # As a decimal a binary number loses its last digits, which would round a half either way.
    return sa.func.trim_scale(sa.func.round(sa.cast(sa.func.avg(of), sa.Numeric), 3))


def within(moment: Expression, span: Span) -> tuple[Expression, Expression]:
    """Return the conditions that a moment lies in the time."""
    return moment >= span.since, moment < span.until


@dataclass(frozen=True)
class Counted:
    """Rows that fulfil the conditions, their key, and what is told of those with one key.

    `counts` are 0 where there are no rows, `others` then NULL. Only the latter may be NULL where there are rows.
    """

    rows: sa.FromClause
    key: Expression
    conditions: tuple[Expression, ...]
    counts: Mapping[str, Expression]
    others: Mapping[str, Expression] = field(default_factory=dict)

    def reads(self) -> Iterator[Expression]:
        """Yield what every figure of these rows hangs on."""
        yield from (self.key, *self.conditions)


def divided(platform: Platform, *sources: Counted, periods: tuple[Span, str] | None = None) -> sa.FromClause:
    """Return each key's figures, from rows of several tables side by side; a figure nobody can know is NULL.

    Several sources must have counts alone. With `periods`, a time and a unit, every period in it has a row.
    """
    parts = [_part(platform, source, sources) for source in sources]
    found = parts[0].subquery("figures")
    if len(parts) > 1:
        each = sa.union_all(*parts).subquery("parts")
        sums = (sa.func.sum(column).label(column.name) for column in each.c if column.name != "key")
        found = sa.select(each.c.key, *sums).group_by(each.c.key).subquery("figures")
    return found if periods is None else _filled(platform, found, sources, *periods)


def _part(platform: Platform, source: Counted, sources: Sequence[Counted]) -> sa.Select[Any]:
    figures = []
    for other in sources:
        if other is source:
            own = {**source.counts, **source.others}
            figures += [platform.known(f, *source.reads()).label(name) for name, f in own.items()]
        else:
            figures += [zero.label(name) for name, zero in _zeros(platform, other)]
    select = sa.select(source.key.label("key"), *figures).select_from(source.rows)
    return select.where(*source.conditions).group_by(source.key)


def _zeros(platform: Platform, source: Counted) -> Iterator[tuple[str, Expression]]:
    """Yield what the source's figures are where it has no rows."""
    for name, figure in source.counts.items():
        zero = sa.literal_column("0", sa.BigInteger)
        yield name, platform.known(zero, figure, *source.reads())
    yield from ((name, unknown(figure)) for name, figure in source.others.items())


def _filled(
    platform: Platform, found: sa.FromClause, sources: Sequence[Counted], span: Span, unit: str
) -> sa.FromClause:
    first = sa.literal(max(span.since.date(), earliest(span.until.date())), sa.DateTime)
    last = sa.literal(span.until - timedelta(microseconds=1), sa.DateTime(timezone=True))
    series = sa.func.generate_series(
        sa.func.date_trunc(unit, first), sa.func.timezone("UTC", last), sa.text(f"interval '1 {unit}'")
    )
    every = sa.select(sa.cast(series.column_valued("begin"), sa.Date).label("key")).subquery("every")
    figures = (
        sa.case((found.c.key.is_(None), zero), else_=found.c[name]).label(name)
        for source in sources
        for name, zero in _zeros(platform, source)
    )
    key = sa.func.coalesce(every.c.key, found.c.key)
    joined = every.join(found, found.c.key == every.c.key, full=True)
    return sa.select(key.label("key"), *figures).select_from(joined).subquery("filled")


class Labels(NamedTuple):
    """What names the keys: the figures joined with it, its expressions and its columns."""

    rows: sa.FromClause
    select: tuple[Expression, ...]
    columns: tuple[Column, ...]


def labels(platform: Platform, by: str, figures: sa.FromClause) -> Labels:
    """Return what names the keys of figures divided by this dimension."""
    key = figures.c.key
    if by == "avatar":
        return _of_avatars(platform, figures)
    if by == "user":
        owner = platform[users]
        return Labels(
            figures.outerjoin(owner, owner.c.id == key),
            (key.label("user_id"), user_name(key, owner.c.email).label("email")),
            (
                Column("user_id", Kind.ID, "the user", wide=True, null="-"),
                Column("email", Kind.TEXT, "the user's e-mail address", null="-"),
            ),
        )
    return Labels(figures, (key.label(by),), (CALENDAR.get(by) or Column(by, Kind.TEXT, f"the {by}"),))


def user_name(user_id: Expression, email: Expression) -> Expression:
    """Return an owner's address, or what stands in its place where there is no owner."""
    return sa.func.coalesce(email, sa.case((user_id.is_(None), NOBODY)))


def _of_avatars(platform: Platform, figures: sa.FromClause) -> Labels:
    avatar, owner = platform[avatars], platform[users]
    joined = figures.outerjoin(avatar, avatar.c.id == figures.c.key)
    return Labels(
        joined.outerjoin(owner, owner.c.id == avatar.c.user_id),
        (figures.c.key.label("avatar_id"), avatar.c.name.label("avatar"), owner.c.email.label("owner")),
        (
            Column("avatar_id", Kind.ID, "the avatar", wide=True),
            Column("avatar", Kind.TEXT, "its name"),
            Column("owner", Kind.TEXT, "its owner's e-mail address", null="-"),
        ),
    )
