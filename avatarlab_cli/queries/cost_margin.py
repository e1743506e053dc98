"""What subscriptions earn in a month, less what the platform pays for those who have them."""

from datetime import date

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries import costs
from avatarlab_cli.queries.cost_report import NEVER, owner_label, with_tier
from avatarlab_cli.queries.costs import PLACES, USER, Expression, Month
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.rates import PLATFORM_KINDS
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.private import subscription_daily
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import month_window

DIVISIONS = ("tier", "user")


def margin(connection: sa.Connection, month: date, by: str) -> Report:
    """Report revenue, platform cost and their difference in a month, by tier or by user.

    Revenue is earned day by day: a day of a subscription earns its MRR divided by the days of the month. What is not
    anybody's, as the database, stands in a line of its own. Raises UsageError for another division.
    """
    if by not in DIVISIONS:
        raise UsageError(f"margins cannot be divided by {by!r}", hint=f"by: {', '.join(DIVISIONS)}")
    found = costs.computed_months(connection, month_window(month))
    amounts = with_tier(connection, _amounts(found, month), found, probe(connection))
    divided: dict[str, list[Expression]] = {
        "tier": [
            sa.case((amounts.c.owner == USER, amounts.c.tier), else_=owner_label(amounts)).label("tier")
        ],
        "user": [amounts.c.user_id, owner_label(amounts), amounts.c.tier],
    }
    who = divided[by]
    revenue, cost = costs.total(amounts.c.revenue), costs.total(amounts.c.cost)
    is_counted = sa.and_(
        amounts.c.owner == USER,
        sa.or_(amounts.c.revenue.is_distinct_from(0), amounts.c.cost.is_distinct_from(0)),
    )
    counted = (
        [sa.func.count(amounts.c.user_id.distinct()).filter(is_counted).label("users")]
        if by == "tier"
        else []
    )
    select = (
        sa.select(
            *who,
            *counted,
            revenue.label("revenue"),
            cost.label("platform_cost"),
            (revenue - cost).label("margin"),
            sa.func.round((revenue - cost) / sa.func.nullif(revenue, 0), 6).label("margin_ratio"),
            sa.func.bool_or(amounts.c.is_incomplete).label("is_incomplete"),
        )
        .select_from(amounts.outerjoin(users, users.c.id == amounts.c.user_id))
        .group_by(*who)
        .having(sa.or_(revenue.is_distinct_from(0), cost.is_distinct_from(0)))
    )
    return Report(
        select.where(sa.true() if found else sa.false()),
        (*_WHO[by], *_AMOUNTS),
        sort="-revenue,tier" if by == "tier" else "-revenue,email",
        notes=_notes(found),
        empty=NEVER.format(f"{month:%Y-%m}"),
    )


def _amounts(found: list[Month], month: date) -> sa.Subquery:
    """Return each owner's revenue and platform cost in the month, one or the other in a row."""
    stored, earned = costs.costs(found), _revenue(month)
    nothing: Expression = sa.literal_column(f"0.{'0' * PLACES}", sa.Numeric)
    unknown = sa.cast(sa.null(), sa.Numeric)
    # Who has no usage stored nothing, where it is known who stored what; likewise who earned nothing.
    is_stored, is_earned = (
        any(getattr(known, name) for known in found) for name in ("is_storage_known", "is_revenue_known")
    )
    unearned, unstored = nothing if is_earned else unknown, nothing if is_stored else unknown
    spent = sa.select(
        stored.c.month,
        stored.c.owner,
        stored.c.user_id,
        unearned.label("revenue"),
        stored.c.cost,
        stored.c.is_incomplete,
    ).where(stored.c.kind.in_(PLATFORM_KINDS))
    revenue = earned.c.revenue if is_earned else unknown
    gained = sa.select(
        sa.literal(month, sa.Date), sa.literal(USER), earned.c.user_id, revenue, unstored, sa.false()
    )
    return sa.union_all(spent, gained).subquery("amounts")


def _revenue(month: date) -> sa.Subquery:
    """Return what each user's subscriptions earned in the month, to the millionth."""
    own, window = subscription_daily, month_window(month)
    # A year of 12 months at 100 cents; the days are those of the month.
    days = (window.end - window.first).days
    share = sa.func.sum(sa.cast(own.c.arr_cents, sa.Numeric)) / (1200 * days)
    return (
        sa.select(own.c.user_id, sa.func.round(share, PLACES).label("revenue"))
        .where(own.c.arr_cents > 0, own.c.day >= window.first, own.c.day < window.end)
        .group_by(own.c.user_id)
        .subquery("revenue")
    )


def _notes(found: list[Month]) -> tuple[str, ...]:
    lacking = [
        f"{what}: some days of the month are not on record"
        for month in found
        for what, is_known in (
            ("storage has no cost", month.is_storage_known),
            ("the database has no cost", month.is_database_known),
            ("subscriptions have no revenue", month.is_revenue_known),
        )
        if not is_known
    ]
    return ("what users spend at their providers is not the platform's, and not in it", *lacking)


_WHO: dict[str, tuple[Column, ...]] = {
    "tier": (
        Column("tier", help="the users' tier at the month's end, or now"),
        Column("users", Kind.INTEGER, "how many users pay, or store something", total=True),
    ),
    "user": (
        Column("user_id", Kind.ID, "the user; NULL for what belongs to nobody", wide=True, null="-"),
        Column("email", help="the user's e-mail address", null="-"),
        Column("tier", help="the user's tier at the month's end, or now", null="-"),
    ),
}
_AMOUNTS = (
    Column("revenue", Kind.COST, "what subscriptions earned on the month's days so far", total=True),
    Column("platform_cost", Kind.COST, "storage, and the database", total=True),
    Column("margin", Kind.COST, "revenue less platform cost", total=True),
    Column("margin_ratio", Kind.PERCENT, "of the revenue", null="-"),
    Column("is_incomplete", Kind.BOOLEAN, "whether something of the cost has no price", wide=True),
)
