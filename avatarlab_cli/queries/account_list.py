"""Which accounts there are, and which of them fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

import sqlalchemy as sa

from avatarlab_cli.errors import NotFoundError, UsageError
from avatarlab_cli.output.selection import sort_keys
from avatarlab_cli.queries.account_status import STATUSES
from avatarlab_cli.queries.accounts import (
    SOURCES,
    Accounts,
    Expression,
    has_live_subscription,
    usage_notes,
)
from avatarlab_cli.queries.usage import MEASURES, help_of, kind_of
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.admin import monthly_usage, subscription_tiers
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.private import usage_daily
from avatarlab_cli.schema.supabase import users

SORT = "-created_at"
# Up to so many rows, looking values up beats computing them for everybody.
PAGE = 1000
COLUMNS = (
    Column("id", Kind.ID, "the account", wide=True),
    Column("email", Kind.TEXT, "its e-mail address", null="-"),
    Column("name", Kind.TEXT, "its owner's name", null="-"),
    Column("status", Kind.TEXT, ", ".join(STATUSES)),
    Column("tier", Kind.TEXT, "the live subscription's, else the profile's, else free"),
    Column("subscription", Kind.TEXT, "the live subscription's status", wide=True, null="-"),
    Column("created_at", Kind.TIME, "when it signed up"),
    Column("last_login_at", Kind.TIME, "when it last logged in", wide=True, null="-"),
    Column("last_active", Kind.DATE, "the last day it did something", null="-"),
    Column("avatars", Kind.INTEGER, "avatars that are not deleted"),
    Column("api_keys", Kind.INTEGER, "platform keys that are valid", wide=True),
    *(
        Column(name, kind_of(name), help_of(name), wide=name != "storage_bytes", null="-")
        for name in MEASURES
    ),
    Column("is_over_limit", Kind.BOOLEAN, "whether a limit is exceeded this month", wide=True, null="-"),
)


@dataclass(frozen=True)
class Wanted:
    """What the accounts must be; all that is given must hold.

    `storage_above` is in bytes, and `search` a part of e-mail address or name, case ignored.
    """

    tier: str | None = None
    status: str | None = None
    signed_up_since: datetime | None = None
    active_since: datetime | None = None
    storage_above: int | None = None
    search: str | None = None
    is_over_limit: bool = False
    lacks_subscription: bool = False


def listing(
    connection: sa.Connection, wanted: Wanted, month: date, *, sort: str | None, rows: int | None
) -> Report:
    """Report the accounts that are `wanted`, with their usage of the month.

    `sort` and `rows` (None for all) say what will be shown: the statement is written for it. Raises UsageError
    for an unknown status or sort column, NotFoundError for an unknown tier.
    """
    _demand_known(connection, wanted)
    sorted_by = {key.column.name for key in sort_keys(COLUMNS, SORT if sort is None else sort)}
    accounts = Accounts(probe(connection), month, _joined(wanted, sorted_by, rows))
    select = (
        sa.select(*(accounts.value(column.name) for column in COLUMNS))
        .select_from(accounts.source)
        .where(*_conditions(accounts, wanted, month))
    )
    return Report(
        select,
        # Whoever sorts by a column wants to see it.
        tuple(replace(column, wide=column.wide and column.name not in sorted_by) for column in COLUMNS),
        sort=SORT,
        notes=(
            *accounts.notes,
            *usage_notes(connection, monthly_usage.c.usage_month == month, f"for {month:%Y-%m}"),
        ),
        empty="No account fits.",
    )


def _joined(wanted: Wanted, sorted_by: set[str], rows: int | None) -> frozenset[str]:
    """Return the sources a value of which decides which rows are shown, or all for a long list."""
    if rows is None or rows > PAGE:
        return frozenset(SOURCES.values())
    names = sorted_by | ({"tier"} if wanted.tier else set())
    return frozenset(SOURCES[name] for name in names & SOURCES.keys())


def _conditions(accounts: Accounts, wanted: Wanted, month: date) -> Iterator[Expression]:
    if wanted.tier is not None:
        yield accounts.value("tier") == wanted.tier
    if wanted.status is not None:
        yield accounts.value("status") == wanted.status
    if wanted.signed_up_since is not None:
        yield users.c.created_at >= wanted.signed_up_since
    if wanted.active_since is not None:
        day = usage_daily.c.day >= wanted.active_since.date()
        yield users.c.id.in_(sa.select(usage_daily.c.user_id).where(day, usage_daily.c.is_active))
    if wanted.storage_above is not None:
        yield _used(month, monthly_usage.c.storage_bytes > wanted.storage_above)
    if wanted.is_over_limit:
        yield _used(month, monthly_usage.c.is_over_limit)
    if wanted.lacks_subscription:
        yield ~has_live_subscription()
    if wanted.search is not None:
        texts = (users.c.email, accounts.profile("name"))
        yield sa.or_(*(text.icontains(wanted.search, autoescape=True) for text in texts))


def _used(month: date, condition: Expression) -> Expression:
    own = monthly_usage
    return users.c.id.in_(sa.select(own.c.user_id).where(own.c.usage_month == month, condition))


def _demand_known(connection: sa.Connection, wanted: Wanted) -> None:
    if wanted.status is not None and wanted.status not in STATUSES:
        raise UsageError(f"{wanted.status!r} is not a status", hint=f"statuses: {', '.join(STATUSES)}")
    if wanted.tier is not None:
        tiers = subscription_tiers
        names = connection.scalars(sa.select(tiers.c.name).order_by(tiers.c.sort_order, tiers.c.name)).all()
        if wanted.tier not in names:
            raise NotFoundError(f"there is no tier {wanted.tier!r}", hint=f"tiers: {', '.join(names)}")
