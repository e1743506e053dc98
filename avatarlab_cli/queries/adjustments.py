"""What changed under closed months, and what was known of them at a time."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.errors import NotFoundError
from avatarlab_cli.queries.naming import USER, find
from avatarlab_cli.queries.usage import MEASURES, NOBODY, help_of, is_nobody, kind_of
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.adjusting import SINCE
from avatarlab_cli.rollup.daily import COSTS
from avatarlab_cli.rollup.frozen import FIGURES, IDLE, IS_GONE
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.private import usage_adjustment
from avatarlab_cli.schema.supabase import users

Expression = sa.ColumnElement[Any]
_HOLDS = sa.literal_column(f"({SINCE})", sa.Boolean)
# In the place of an e-mail address, for an account that was deleted for good.
GONE = "(gone)"
_MONTH = Column("month", Kind.MONTH, "the closed month, UTC")
_OWNER = (
    Column("user_id", Kind.ID, "the user; NULL for what belongs to nobody", wide=True, null="-"),
    Column("email", Kind.TEXT, "the user's e-mail address", null="-"),
)


def find_user(connection: sa.Connection, name: str) -> UUID:
    """Return whose adjustments a name means: an account's, a gone one's by its UUID, or nobody's; raises as `find` does."""
    if is_nobody(name):
        return UNATTRIBUTED
    try:
        return find(connection, USER, name).id
    except NotFoundError:
        if (gone := _gone(connection, name.strip())) is None:
            raise
        return gone


def _gone(connection: sa.Connection, name: str) -> UUID | None:
    """Return the UUID where closed months know it."""
    kept = "SELECT user_id FROM avatarlab_admin.usage_adjustment UNION ALL SELECT user_id FROM avatarlab_admin.period_figures"
    try:
        bound = {"user": UUID(name)}
    except ValueError:
        return None
    found: UUID | None = connection.scalar(
        sa.text(f"SELECT user_id FROM ({kept}) AS kept WHERE user_id = :user LIMIT 1"), bound
    )
    return found


def _email(user_id: Expression) -> Expression:
    """Return the SQL of whose figures these are, beside the outer join of accounts."""
    return sa.case((user_id == UNATTRIBUTED, NOBODY), (users.c.id.is_(None), GONE), else_=users.c.email)


def adjustments(month: date | None, user: UUID | None) -> Report:
    """Report what was recorded beside the figures of closed months, the latest first; of one month or user where given."""
    own = usage_adjustment.alias("a")
    someone = sa.func.nullif(own.c.user_id, UNATTRIBUTED)
    email = _email(own.c.user_id)
    difference = sa.func.coalesce(own.c.after, 0) - sa.func.coalesce(own.c.before, 0)
    select = sa.select(
        own.c.month,
        someone.label("user_id"),
        email.label("email"),
        own.c.metric,
        own.c.before,
        own.c.after,
        difference.label("difference"),
        own.c.recorded_at,
        own.c.reason,
        _HOLDS.label("holds"),
    ).select_from(own.outerjoin(users, users.c.id == own.c.user_id))
    if month is not None:
        select = select.where(own.c.month == month)
    if user is not None:
        select = select.where(own.c.user_id == user)
    return Report(
        select,
        (
            _MONTH,
            *_OWNER,
            Column("metric", Kind.TEXT, "which figure"),
            Column("before", Kind.DECIMAL, "what was known until then"),
            Column("after", Kind.DECIMAL, "what is known since"),
            Column("difference", Kind.DECIMAL, "from one to the other, unknown counted as 0"),
            Column("recorded_at", Kind.TIME, "when it was recorded"),
            Column("reason", Kind.TEXT, "why", null="-"),
            Column(
                "holds",
                Kind.BOOLEAN,
                "whether it came after the month was closed last, and that is closed still",
                wide=True,
            ),
        ),
        sort="-recorded_at,month,email,metric",
        empty="No closed month has been adjusted.",
    )


def notes(connection: sa.Connection, months: Sequence[date], user: UUID | None = None) -> tuple[str, ...]:
    """Return what there is to say of what is in no figure of these closed months, of one user where given.

    Those are adjustments, and whatever an account had that is gone: its row went with it, so its adjustments, which take
    the same out, are told by that.
    """
    gone = gone_notes(connection, months, user)
    count, moved = beside(connection, months, user)
    if not count:
        return gone
    costs = f", costs by {moved:+f}" if moved else ""
    return (
        f"the month is closed; {count} adjustments since then{costs} are in no figure here, see `avatarlab usage adjustments`",
        *gone,
    )


def beside(
    connection: sa.Connection, months: Sequence[date], user: UUID | None = None
) -> tuple[int, Decimal]:
    """Return how many adjustments of these closed months hold, and by how much they move the costs, in US dollars.

    Of one user where given; those of accounts that are gone are left out.
    """
    own = usage_adjustment.alias("a")
    moved = sa.func.coalesce(own.c.after, 0) - sa.func.coalesce(own.c.before, 0)
    select = sa.select(
        sa.func.count(), sa.func.coalesce(sa.func.sum(moved).filter(own.c.metric.like("%cost")), Decimal(0))
    ).where(own.c.month.in_(months), _HOLDS, _is_of_somebody(own.c.user_id))
    if user is not None:
        select = select.where(own.c.user_id == user)
    count, costs = connection.execute(select).one()
    return count, costs


def _is_of_somebody(user_id: Expression) -> Expression:
    """Return the condition that the id is an account's that is there, or nobody's."""
    return sa.or_(user_id == UNATTRIBUTED, sa.exists().where(users.c.id == user_id).correlate_except(users))


def gone_notes(
    connection: sa.Connection, months: Sequence[date], user: UUID | None = None
) -> tuple[str, ...]:
    """Return how much these months were closed with of accounts that are gone: none of it is in what is stored by user.

    Of one id where given, which another account may have by now.
    """
    count, cost = connection.execute(_GONE, {"months": list(months), "user": user}).one()
    if not count:
        return ()
    who = "1 account that is gone" if count == 1 else f"{count} accounts that are gone"
    costs = "" if cost is None else f", with costs of {cost:f}"
    return (
        f"in no figure here: {who}{costs} when the month was closed; `avatarlab usage as-known-at` tells of that time",
    )


_GONE = sa.text(
    f"""
    SELECT count(DISTINCT f.user_id), sum((f.figures ->> 'total_cost')::numeric)
    FROM avatarlab_admin.period_close p JOIN avatarlab_admin.period_figures f ON f.closing_id = p.id
    WHERE p.reopened_at IS NULL AND p.month = ANY (:months) AND {IS_GONE}
      AND (CAST(:user AS uuid) IS NULL OR f.user_id = :user)
"""
)


# The closings in force at :at; months without one were open then, and nothing of them was final.
_CLOSINGS = """
    SELECT id, month, closed_at FROM (
        SELECT id, month, closed_at, reopened_at FROM avatarlab_admin.period_close
        UNION ALL SELECT id, month, closed_at, reopened_at FROM avatarlab_admin.period_history
    ) AS every
    WHERE closed_at <= :at AND coalesce(reopened_at > :at, true) AND (CAST(:month AS date) IS NULL OR month = :month)
"""
_KNOWN = f"""
    WITH closing AS ({_CLOSINGS}), moved AS (
        SELECT id, user_id, jsonb_object_agg(metric, after) AS figures
        FROM (
            SELECT DISTINCT ON (c.id, a.user_id, a.metric) c.id, a.user_id, a.metric, a.after
            FROM closing c JOIN avatarlab_admin.usage_adjustment a ON a.month = c.month
            WHERE a.recorded_at > c.closed_at AND a.recorded_at <= :at AND a.metric = ANY (:figures)
            ORDER BY c.id, a.user_id, a.metric, a.recorded_at DESC
        ) AS latest
        GROUP BY id, user_id
    ), frozen AS (
        SELECT f.closing_id AS id, f.user_id, f.figures
        FROM closing c JOIN avatarlab_admin.period_figures f ON f.closing_id = c.id
    )
    SELECT c.month, c.closed_at, user_id, moved.figures IS NOT NULL AS is_adjusted,
           coalesce(frozen.figures, (SELECT i.figures FROM frozen i WHERE i.id = c.id AND i.user_id = :idle), '{{}}')
               || coalesce(moved.figures, '{{}}') AS figures
    FROM (frozen FULL JOIN moved USING (id, user_id)) JOIN closing c USING (id)
    WHERE user_id <> :idle
"""


def as_known_at(connection: sa.Connection, at: datetime, month: date | None) -> Report:
    """Report each user's figures of the months that were closed at a time, as they were known then, adjustments included."""
    known = (
        sa.text(_KNOWN)
        .bindparams(
            sa.bindparam("at", at, sa.TIMESTAMP(timezone=True)),
            sa.bindparam("month", month, sa.Date),
            sa.bindparam("idle", IDLE, sa.Uuid),
            sa.bindparam("figures", list(FIGURES), sa.ARRAY(sa.Text)),
        )
        .columns(
            sa.column("month", sa.Date),
            sa.column("closed_at", sa.TIMESTAMP(timezone=True)),
            sa.column("user_id", sa.Uuid),
            sa.column("is_adjusted", sa.Boolean),
            sa.column("figures", sa.dialects.postgresql.JSONB),
        )
        .subquery("known")
    )
    values: dict[str, Expression] = {
        name: sa.cast(known.c.figures[name].astext, monthly_usage.c[name].type) for name in FIGURES
    }
    values["total_cost"] = _total(values)
    nothing = sa.and_(*(sa.func.coalesce(values[name], 0) == 0 for name in FIGURES))
    columns = (
        _MONTH,
        *_OWNER,
        *(Column(name, kind_of(name), help_of(name), wide=name not in _SHOWN) for name in MEASURES),
        Column("is_adjusted", Kind.BOOLEAN, "whether it had changed since the month was closed"),
        Column("closed_at", Kind.TIME, "when the month had been closed", wide=True),
    )
    select = (
        sa.select(
            known.c.month,
            sa.func.nullif(known.c.user_id, UNATTRIBUTED).label("user_id"),
            _email(known.c.user_id).label("email"),
            *(values[name].label(name) for name in MEASURES),
            known.c.is_adjusted,
            known.c.closed_at,
        )
        .select_from(known.outerjoin(users, users.c.id == known.c.user_id))
        .where(sa.or_(known.c.user_id != UNATTRIBUTED, ~nothing))
    )
    return Report(
        select,
        columns,
        sort="-month,-total_cost,email",
        notes=_not_known(connection, at, month),
        empty=f"No month was closed at {at:%Y-%m-%dT%H:%M:%SZ}, so nothing was final then.",
    )


_SHOWN = frozenset({"chat_messages_count", "images_generated", "storage_bytes", "total_cost"})


def _total(values: dict[str, Expression]) -> Expression:
    known = sa.func.num_nonnulls(*(values[name] for name in COSTS)) > 0
    amount: Expression = sum((sa.func.coalesce(values[name], 0) for name in COSTS), sa.literal(0, sa.Numeric))
    return sa.case((known, amount))


def _not_known(connection: sa.Connection, at: datetime, month: date | None) -> tuple[str, ...]:
    """Return which months with figures were not closed at the time."""
    statement = sa.text(f"""
        SELECT to_char(m.month, 'YYYY-MM') FROM (SELECT DISTINCT usage_month AS month FROM public.monthly_usage) AS m
        WHERE m.month NOT IN (SELECT month FROM ({_CLOSINGS}) AS c)
          AND (CAST(:month AS date) IS NULL OR m.month = :month) ORDER BY m.month
    """)
    found = list(connection.scalars(statement, {"at": at, "month": month}))
    return (f"not closed then, so what was known is not on record: {', '.join(found)}",) if found else ()
