"""Which budgets of a month are spent, or nearly."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.budget_file import EACH, Budget, Budgets
from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.queries import costs, naming
from avatarlab_cli.queries.cost_report import NEVER
from avatarlab_cli.queries.costs import PLACES, USER, Month
from avatarlab_cli.queries.naming import rows_named
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.private import rate_card
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import month_window

_ALL = "all"
_LISTED = (
    sa.column("line", sa.Integer),
    sa.column("kind", sa.Text),
    sa.column("scope", sa.Text),
    sa.column("user_id", sa.Uuid),
    sa.column("amount", sa.Numeric),
)


def check(connection: sa.Connection, budgets: Budgets, month: date, near_percent: int, today: date) -> Report:
    """Report the budgets of which `near_percent` or more is spent in the month, each user's by themselves.

    A budget of one user takes the place of that for each, of the same kind. `unjudged` are the lines of budgets of which
    the costs are not known, or the user is nobody; that of some of each user's nothing has a price is but a note. Raises ConfigurationError where the budgets are in another currency
    than the costs.
    """
    found = costs.computed_months(connection, month_window(month))
    _demand_currency(connection, budgets, found)
    users_by_name = _users(connection, budgets)
    spent = _spent(_listed(budgets, users_by_name), costs.costs(found))
    nobody = [b.line for b in budgets.entries if _scope(b) == USER and b.user not in users_by_name]
    unknown = _unknown(connection, spent) if found else [budget.line for budget in budgets.entries]
    state = sa.case(
        (spent.c.spent > spent.c.amount, "over"), (spent.c.spent == spent.c.amount, "at"), else_="near"
    )
    select = sa.select(
        spent.c.line,
        spent.c.kind,
        spent.c.user_id,
        sa.case((spent.c.scope == _ALL, sa.null()), else_=users.c.email).label("email"),
        spent.c.spent,
        spent.c.amount,
        sa.func.round(spent.c.spent / sa.func.nullif(spent.c.amount, 0), 6).label("percent"),
        state.label("state"),
        spent.c.is_incomplete,
    ).select_from(spent.outerjoin(users, users.c.id == spent.c.user_id))
    return Report(
        select.where(spent.c.spent > 0, spent.c.spent >= spent.c.amount * near_percent / 100),
        (
            Column("line", Kind.INTEGER, "of the budgets file"),
            Column("kind", help="the kind of cost", null="all"),
            Column("user_id", Kind.ID, "whose", wide=True, null="-"),
            Column("email", help="whose; of everybody together", null="all"),
            Column("spent", Kind.COST, "in the month so far"),
            Column("amount", Kind.COST, "the budget"),
            Column("percent", Kind.PERCENT, "of the budget that is spent", null="-"),
            Column("state", help="over, at or near the budget"),
            Column("is_incomplete", Kind.BOOLEAN, "whether something of it has no price", wide=True),
        ),
        sort="-percent,line,email",
        notes=(*_notes(budgets, nobody, unknown), *costs.stale_notes(connection, today)),
        empty="No budget is nearly spent." if found else NEVER.format(f"{month:%Y-%m}"),
        unjudged=tuple(
            str(b.line)
            for b in budgets.entries
            if b.line in {*nobody, *unknown} and not (found and b.user == EACH)
        ),
    )


def _demand_currency(connection: sa.Connection, budgets: Budgets, found: Sequence[Month]) -> None:
    for month in found:
        currency = connection.scalar(
            sa.select(rate_card.c.currency).where(rate_card.c.version == month.version)
        )
        if currency not in (None, budgets.currency):
            raise ConfigurationError(
                f"the budgets are in {budgets.currency}, and the costs of {month.first:%Y-%m} in {currency}",
                hint="write the budgets in the currency of the rate card",
            )


def _users(connection: sa.Connection, budgets: Budgets) -> dict[str | None, UUID]:
    """Return the users that budgets name, by that name; looked up at once."""
    names = [str(budget.user) for budget in budgets.entries if _scope(budget) == USER]
    rows = rows_named(connection, naming.USER, names, is_typed=False) if names else ()
    return {name: row.id for name, row in zip(names, rows, strict=True) if row.matches == 1}


def _listed(budgets: Budgets, users_by_name: Mapping[str | None, UUID]) -> sa.CTE:
    rows = [
        (budget.line, budget.kind, _scope(budget), users_by_name.get(budget.user), budget.amount)
        for budget in budgets.entries
    ]
    # A VALUES needs a row; this one fits nothing.
    values = sa.values(*_LISTED, name="listed").data(rows or [(0, None, "none", None, 0)])
    return sa.select(*(sa.cast(c, c.type).label(c.name) for c in values.c)).cte("budgets")


def _scope(budget: Budget) -> str:
    return _ALL if budget.user is None else EACH if budget.user == EACH else USER


def _spent(listed: sa.CTE, stored: sa.Subquery) -> sa.Subquery:
    """Return what was spent of each budget, a row a user where it is each one's own."""
    special = listed.alias("special")
    has_own = sa.exists().where(
        special.c.scope == USER,
        special.c.user_id == stored.c.user_id,
        special.c.kind.is_not_distinct_from(listed.c.kind),
    )
    is_meant = sa.or_(
        listed.c.scope == _ALL,
        sa.and_(listed.c.scope == EACH, stored.c.owner == USER, ~has_own),
        sa.and_(listed.c.scope == USER, stored.c.user_id == listed.c.user_id),
    )
    is_kind = sa.or_(listed.c.kind.is_(None), listed.c.kind == stored.c.kind)
    whose = sa.case((listed.c.scope != _ALL, stored.c.user_id)).label("user_id")
    by = [listed.c.line, listed.c.kind, listed.c.scope, whose, listed.c.amount]
    return (
        sa.select(
            *by,
            sa.func.round(costs.total(stored.c.cost), PLACES).label("spent"),
            sa.func.bool_or(stored.c.is_incomplete).label("is_incomplete"),
        )
        .select_from(listed.join(stored, sa.and_(is_meant, is_kind)))
        .group_by(*by)
        .subquery("spent")
    )


def _unknown(connection: sa.Connection, spent: sa.Subquery) -> list[int]:
    """Return the lines of the budgets of which, for somebody at least, nothing that was used has a price."""
    lines = sa.select(spent.c.line).where(spent.c.spent.is_(None)).distinct().order_by(spent.c.line)
    return list(connection.scalars(lines))


def _notes(budgets: Budgets, nobody: Sequence[int], unknown: Sequence[int]) -> Iterator[str]:
    if not budgets.entries:
        yield "there is no budget; write some to a file and name it by the setting budgets_file"
    if nobody:
        yield f"nobody has the name in line {_written(nobody)} of the budgets"
    if unknown:
        yield f"not checked for all, as not all costs are known: line {_written(unknown)} of the budgets"


def _written(lines: Sequence[int]) -> str:
    return ", ".join(map(str, lines))
