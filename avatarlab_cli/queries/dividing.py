"""Figures divided by one dimension: by day or week, with rows of zeros between, or by avatar or user, with names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import AVATAR, DAY, MONTH, USER, WEEK, plain
from avatarlab_cli.queries.platform import Expression, Platform, unknown
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Span, earliest

CALENDAR = {"day": DAY, "week": WEEK, "month": MONTH}


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
    dimension = _DIMENSIONS.get(by) or plain(by, f"the {by}")
    told, source = dimension.shown(platform, figures)
    if by != "avatar":
        return Labels(source, tuple(told), dimension.columns)
    owner = platform[users]
    return Labels(
        source.outerjoin(owner, owner.c.id == platform[avatars].c.user_id),
        (*told, owner.c.email.label("owner")),
        (*dimension.columns, Column("owner", Kind.TEXT, "its owner's e-mail address", null="-")),
    )


_DIMENSIONS = {"user": USER, "avatar": AVATAR, **CALENDAR}
