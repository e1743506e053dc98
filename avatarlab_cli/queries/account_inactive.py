"""Who has gone without saying so."""

from datetime import date, datetime

import sqlalchemy as sa

from avatarlab_cli.queries.accounts import SOURCES, Accounts, usage_notes
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.private import usage_daily
from avatarlab_cli.schema.supabase import users

COLUMNS = (
    Column("id", Kind.ID, "the account", wide=True),
    Column("email", Kind.TEXT, "its e-mail address", null="-"),
    Column("name", Kind.TEXT, "its owner's name", wide=True, null="-"),
    Column("status", Kind.TEXT, "active, suspended or banned", wide=True),
    Column("created_at", Kind.TIME, "when it signed up", wide=True),
    Column("last_login_at", Kind.TIME, "when it last logged in", null="never"),
    Column("last_active", Kind.DATE, "the last day it did something", null="never"),
    Column("tier", Kind.TEXT, "its tier"),
    Column("is_paying", Kind.BOOLEAN, "whether it has a live subscription with a price"),
    Column("storage_bytes", Kind.BYTES, "what it stores this month, as last counted", null="-"),
)


def inactive(connection: sa.Connection, cutoff: datetime, month: date) -> Report:
    """Report the accounts that were there before `cutoff`, and since its day neither logged in nor did anything.

    Deleted accounts are left out. `month` is the one whose storage is shown.
    """
    accounts = Accounts(probe(connection), month, frozenset(SOURCES.values()))
    own = usage_daily
    is_since = own.c.day >= cutoff.date()
    was_active = sa.exists().where(own.c.user_id == users.c.id, own.c.is_active, is_since)
    when = f"since {cutoff:%Y-%m-%d}, so logins alone are judged"
    last_login = accounts.value("last_login_at")
    select = (
        sa.select(*(accounts.value(column.name) for column in COLUMNS))
        .select_from(accounts.source)
        .where(
            users.c.created_at < cutoff,
            sa.or_(last_login.is_(None), last_login < cutoff),
            ~was_active,
            accounts.value("status") != "deleted",
        )
    )
    return Report(
        select,
        COLUMNS,
        sort="last_login_at,email",
        notes=(*accounts.notes, *usage_notes(connection, is_since, when)),
        empty=f"Everybody has logged in or done something since {cutoff:%Y-%m-%d}.",
    )
