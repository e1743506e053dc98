"""What the marketplace offers and what was bought there, recorded by the buyer's browser without any payment."""

import sqlalchemy as sa

from avatarlab_cli.queries import grouping
from avatarlab_cli.queries.avatar_list import owner_of
from avatarlab_cli.queries.dimensions import demand
from avatarlab_cli.queries.platform import Expression, Platform, beside, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.base import JSONB
from avatarlab_cli.schema.commerce import purchases as bought_items
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Span

STATUSES = ("completed", "pending", "refunded", "failed")
NO_PAYMENT = "purchases are recorded by the buyer's browser, and no payment stands behind them"
MADE_UP = "total_sales is the platform's own counter: its sample items began with made-up numbers"
DIMENSIONS = {
    "day": grouping.day("purchased_at"),
    "avatar": grouping.AVATAR,
    "month": grouping.month("purchased_at"),
    "user": grouping.USER,
}
_NO_MONEY: Expression = sa.literal_column("0.00")
_NO_OTHERS: Expression = sa.literal_column("'{}'::jsonb")
_FIGURES = (
    Column("purchases", Kind.INTEGER, "purchases of any status", total=True),
    Column("completed", Kind.INTEGER, "completed", total=True),
    Column("pending", Kind.INTEGER, "pending", wide=True, total=True),
    Column("refunded", Kind.INTEGER, "refunded", total=True),
    Column("failed", Kind.INTEGER, "failed", wide=True, total=True),
    Column("without_status", Kind.INTEGER, "of no status", wide=True, total=True),
    Column("revenue", Kind.MONEY, "completed purchases in USD", total=True),
    Column("refunded_usd", Kind.MONEY, "refunded purchases in USD, which are not in revenue", total=True),
    Column("other_currencies", Kind.JSON, "what was completed and refunded in others, in neither of the two"),
)


def purchases(connection: sa.Connection, span: Span, by: str) -> Report:
    """Report what was bought in the time, by a dimension; raises UsageError for an unknown one."""
    dimension = DIMENSIONS[demand(by, DIMENSIONS, "purchases")]
    platform = Platform(connection)
    bought = platform[bought_items]
    counted = _counted(platform, dimension.of(bought), within(bought.c.purchased_at, span))
    return platform.report(
        grouping.named(platform, counted, dimension),
        (*dimension.columns, *_FIGURES),
        sort=by if by in {"day", "month"} else f"-revenue,-purchases,{dimension.columns[0].name}",
        notes=(NO_PAYMENT,),
        empty="Nothing was bought in that time.",
    )


def summary(connection: sa.Connection, span: Span) -> Report:
    """Report what is offered, and what was bought ever and in the time."""
    platform = Platform(connection)
    items, bought = platform[avatars], platform[bought_items]
    is_offered, count = _is_offered(items), sa.func.count(items.c.id)
    offered = platform.row(
        items=count.filter(is_offered),
        items_active=count.filter(is_offered, items.c.status == "active"),
        total_sales=sa.func.coalesce(sa.func.sum(items.c.total_sales).filter(is_offered), 0),
    )
    is_recent = within(bought.c.purchased_at, span)
    ever = platform.row(**_figures(bought))
    foreign = _foreign(bought, sa.null(), sa.true())
    others = platform.row(other_currencies=sa.func.coalesce(_by_name(foreign), _NO_OTHERS))
    recent_usd = sa.func.sum(bought.c.price_paid).filter(
        is_recent, bought.c.status == "completed", _currency(bought) == "USD"
    )
    further = platform.row(
        buyers=sa.func.count(bought.c.user_id.distinct()),
        purchases_30d=sa.func.count(bought.c.id).filter(is_recent),
        revenue_30d=sa.func.coalesce(recent_usd, _NO_MONEY),
    )
    return platform.report(
        beside(offered, ever, others, further),
        (
            Column("items", Kind.INTEGER, "avatars for sale or public, without the deleted ones"),
            Column("items_active", Kind.INTEGER, "of them, the active ones"),
            Column("total_sales", Kind.INTEGER, "their sales by the platform's own counter"),
            *_FIGURES,
            Column("buyers", Kind.INTEGER, "users with a purchase"),
            Column("purchases_30d", Kind.INTEGER, "purchases of the last 30 days"),
            Column("revenue_30d", Kind.MONEY, "completed ones in USD, of the last 30 days"),
        ),
        single=True,
        notes=(NO_PAYMENT, MADE_UP),
    )


def _currency(bought: sa.FromClause) -> Expression:
    return sa.func.upper(sa.func.coalesce(bought.c.currency, "USD"))


def _counted(platform: Platform, key: Expression, condition: Expression) -> sa.Subquery:
    """Return the columns of _FIGURES by key."""
    bought = platform[bought_items]
    figures = (platform.known(figure).label(name) for name, figure in _figures(bought).items())
    groups = sa.select(key.label("key"), *figures).where(condition).group_by("key").subquery("groups")
    foreign = _foreign(bought, key, condition)
    others = (
        sa.select(foreign.c.key, _by_name(foreign).label("told")).group_by(foreign.c.key).subquery("others")
    )
    # As texts, so that what has no key finds its own, by hash.
    of_group, of_others = (sa.func.coalesce(sa.cast(each.c.key, sa.Text), "") for each in (groups, others))
    told = platform.known(sa.func.coalesce(others.c.told, _NO_OTHERS)).label("other_currencies")
    return (
        sa.select(*groups.c, told)
        .select_from(groups.outerjoin(others, of_others == of_group))
        .subquery("counted")
    )


def _figures(bought: sa.FromClause) -> dict[str, Expression]:
    """Return the columns of _FIGURES but the last."""
    status, is_usd = bought.c.status, _currency(bought) == "USD"
    count, amount = sa.func.count(bought.c.id), sa.func.sum(bought.c.price_paid)
    return {
        "purchases": count,
        **{each: count.filter(status == each) for each in STATUSES},
        "without_status": count.filter(status.is_(None)),
        "revenue": sa.func.coalesce(amount.filter(status == "completed", is_usd), _NO_MONEY),
        "refunded_usd": sa.func.coalesce(amount.filter(status == "refunded", is_usd), _NO_MONEY),
    }


def _foreign(bought: sa.FromClause, key: Expression, condition: Expression) -> sa.Subquery:
    """Return what was completed and refunded in other currencies, by key: the name it is told by, and the amount."""
    status, unit = bought.c.status, _currency(bought)
    name = sa.case((status == "refunded", "refunded "), else_="") + unit
    return (
        sa.select(key.label("key"), name.label("told_as"), sa.func.sum(bought.c.price_paid).label("amount"))
        .where(condition, status.in_(("completed", "refunded")), unit != "USD")
        .group_by("key", "told_as")
        .subquery("foreign")
    )


def _by_name(foreign: sa.Subquery) -> Expression:
    amounts: Expression = sa.func.jsonb_object_agg(foreign.c.told_as, foreign.c.amount, type_=JSONB)
    return amounts


def listing(connection: sa.Connection) -> Report:
    """Report what is for sale or public, with the purchases of each beside the platform's own counter."""
    platform = Platform(connection)
    items, owners, bought = platform[avatars], platform[users], platform[bought_items]
    # Of the column they are counted by: one more would make the groups larger.
    count = sa.func.count(bought.c.avatar_id)
    sales, figures = platform.per(
        bought.c.avatar_id,
        items.c.id,
        of_most=True,
        purchases=count,
        completed=count.filter(bought.c.status == "completed"),
    )
    select = (
        sa.select(
            items.c.id,
            items.c.name,
            owner_of(items, owners).label("email"),
            items.c.status,
            items.c.price,
            items.c.rating,
            items.c.total_sales,
            figures["purchases"].label("purchases"),
            figures["completed"].label("completed"),
            items.c.is_marketplace_item,
            items.c.is_public,
            items.c.creator_studio.label("studio"),
            items.c.category,
            items.c.created_at,
            items.c.user_id,
        )
        .select_from(
            items.outerjoin(owners, owners.c.id == items.c.user_id).outerjoin(sales, sales.c.by == items.c.id)
        )
        .where(_is_offered(items))
    )
    return platform.report(
        select, _LISTED, sort="-completed,name,id", notes=(MADE_UP,), empty="Nothing is for sale or public."
    )


_LISTED = (
    Column("id", Kind.ID, "the avatar", wide=True),
    Column("name", help="its name"),
    Column("email", help="its owner", null="-"),
    Column("status", help="active or archived"),
    Column("price", Kind.MONEY, "what it costs, in USD"),
    Column("rating", Kind.DECIMAL, "as the row has it: no screen writes reviews"),
    Column("total_sales", Kind.INTEGER, "sales by the platform's own counter"),
    Column("purchases", Kind.INTEGER, "purchases there are, of any status", wide=True, total=True),
    Column("completed", Kind.INTEGER, "of them, the completed ones", total=True),
    Column("is_marketplace_item", Kind.BOOLEAN, "whether it is for sale", wide=True),
    Column("is_public", Kind.BOOLEAN, "whether everybody sees it", wide=True),
    Column("studio", help="who made it", wide=True, null="-"),
    Column("category", help="where it is found", wide=True, null="-"),
    Column("created_at", Kind.TIME, "when it was made", wide=True),
    Column("user_id", Kind.ID, "its owner", wide=True, null="-"),
)


def _is_offered(items: sa.FromClause) -> Expression:
    """Tell whether an avatar can be had or seen: the row of a deleted one keeps saying so."""
    is_shown = sa.or_(items.c.is_marketplace_item, items.c.is_public)
    return sa.and_(is_shown, items.c.status.is_distinct_from("deleted"))
