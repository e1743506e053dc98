"""How answers in the web chat were rated; neutral rows are exchanges, good and bad ones ratings of them."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import demand, period
from avatarlab_cli.queries.dividing import CALENDAR, Counted, Labels, divided, labels
from avatarlab_cli.queries.platform import Expression, Platform, share, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.conversations import conversation_feedback
from avatarlab_cli.timeframe import Span

DIMENSIONS = ("avatar", "model", "user", "day", "week")
RATINGS = ("good", "bad", "neutral")
NOT_RECORDED: tuple[str, ...] = (
    "rows do not record the model that answered: each avatar's is the one it has now",
    "each click on a thumb is a rating, also a second one for the same answer",
)
# The standard normal distribution's 97.5 % quantile.
_Z = 1.959963984540054
_GOOD_OF_RATED = "good of all that are rated; n/a without a rating"


def feedback(connection: sa.Connection, span: Span, by: str, avatar_id: UUID | None = None) -> Report:
    """Report the ratings of the time; raises UsageError for an unknown dimension."""
    demand(by, DIMENSIONS, "feedback")
    platform = Platform(connection)
    own = platform[conversation_feedback]
    keys = {"day": period(own.c.created_at, "day"), "week": period(own.c.created_at, "week")}
    key = keys.get(by, own.c.user_id if by == "user" else own.c.avatar_id)
    figures = divided(
        platform, _ratings(own, key, span, avatar_id), periods=(span, by) if by in CALENDAR else None
    )
    if by == "model":
        named = _models(platform, figures)
        counts, first, notes = named.rows.c, "model", NOT_RECORDED
    else:
        named = labels(platform, by, figures)
        counts, first, notes = figures.c, by if by in CALENDAR else f"{by}_id", NOT_RECORDED[1:]
    good, bad, neutral = (counts[name] for name in RATINGS)
    rated = good + bad
    return platform.report(
        sa.select(
            *named.select,
            good.label("good"),
            bad.label("bad"),
            neutral.label("neutral"),
            rated.label("rated"),
            share(good, rated).label("rate"),
        )
        .select_from(named.rows)
        .where(sa.or_(sa.literal(by in CALENDAR), sa.func.coalesce(rated + neutral, 1) > 0)),
        (
            *named.columns,
            Column("good", Kind.INTEGER, "answers rated good", total=True),
            Column("bad", Kind.INTEGER, "answers rated bad", total=True),
            Column("neutral", Kind.INTEGER, "exchanges, which the rate ignores", total=True),
            Column("rated", Kind.INTEGER, "good and bad", total=True),
            Column("rate", Kind.PERCENT, _GOOD_OF_RATED),
        ),
        sort=first if by in CALENDAR else f"-rated,{first}",
        notes=notes,
        empty="Nothing was said or rated in that time.",
    )


def _ratings(own: sa.FromClause, key: Expression, span: Span, avatar_id: UUID | None) -> Counted:
    of_avatar = () if avatar_id is None else (own.c.avatar_id == avatar_id,)
    counts: dict[str, Any] = {rating: sa.func.count().filter(own.c.feedback == rating) for rating in RATINGS}
    return Counted(own, key, (within(own.c.created_at, span), *of_avatar), counts)


def _models(platform: Platform, figures: sa.FromClause) -> Labels:
    """Add up avatars' figures by the model each has now: its fine-tuned one where that is used."""
    avatar = platform[avatars]
    tuned = sa.case(
        (avatar.c.use_fine_tuned_model, sa.func.nullif(avatar.c.active_fine_tuned_model, "")),
    )
    model = platform.known(sa.func.coalesce(tuned, avatar.c.base_model), avatar.c.id)
    sums = (sa.func.sum(figures.c[rating]).label(rating) for rating in RATINGS)
    joined = figures.outerjoin(avatar, avatar.c.id == figures.c.key)
    rows = sa.select(model.label("model"), *sums).select_from(joined).group_by(model).subquery("models")
    return Labels(rows, (rows.c.model,), (Column("model", Kind.TEXT, "the model the avatar has now"),))


def quality(connection: sa.Connection, span: Span, least: int) -> Report:
    """Rank avatars of at least so many ratings in the time by what their rate is at least, with 95 % confidence."""
    platform = Platform(connection)
    own = platform[conversation_feedback]
    figures = divided(platform, _ratings(own, own.c.avatar_id, span, None))
    named = labels(platform, "avatar", figures)
    good, rated = figures.c.good, figures.c.good + figures.c.bad
    lower, upper = _wilson(good, rated)
    return platform.report(
        sa.select(
            sa.func.rank().over(order_by=lower.desc()).label("rank"),
            *named.select,
            rated.label("rated"),
            good.label("good"),
            share(good, rated).label("rate"),
            lower.label("lower"),
            upper.label("upper"),
        )
        .select_from(named.rows)
        .where(rated >= max(least, 1)),
        (
            Column("rank", Kind.INTEGER, "1 for the best, by lower"),
            *named.columns,
            Column("rated", Kind.INTEGER, "ratings in the time", total=True),
            Column("good", Kind.INTEGER, "of which good", total=True),
            Column("rate", Kind.PERCENT, _GOOD_OF_RATED),
            Column("lower", Kind.PERCENT, "the rate is hardly below this (95 % Wilson interval)"),
            Column("upper", Kind.PERCENT, "nor above this"),
        ),
        sort="rank,-rated,avatar_id",
        notes=NOT_RECORDED[1:],
        empty=f"No avatar has {least} or more ratings in that time.",
    )


def _wilson(good: Expression, rated: Expression) -> tuple[Expression, Expression]:
    """Return the bounds of the Wilson score interval, to six digits; `rated` must not be 0."""
    count = sa.cast(rated, sa.Double)
    rate = sa.cast(good, sa.Double) / count
    square = sa.literal(_Z * _Z, sa.Double)
    middle = rate + square / (2 * count)
    margin = _Z * sa.func.sqrt((rate * (1 - rate) + square / (4 * count)) / count)
    lower, upper = ((middle + sign * margin) / (1 + square / count) for sign in (-1, 1))
    return _rounded(sa.func.greatest(lower, 0)), _rounded(sa.func.least(upper, 1))


def _rounded(share: Expression) -> Expression:
    return sa.func.round(sa.cast(share, sa.Numeric), 6)
