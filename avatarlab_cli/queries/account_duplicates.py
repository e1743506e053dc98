"""Which accounts look like one person's."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.accounts import Accounts, Expression
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.supabase import sessions, users

# Shorter ones are extensions and typing errors.
_FEWEST_DIGITS = 7
_GMAIL = ("gmail.com", "googlemail.com")


def duplicates(connection: sa.Connection, month: date) -> Report:
    """Report the accounts that share an address, a telephone number, or both a name and the place of a login.

    An address is the same whatever its case, and with Gmail whatever its dots and its +tag. An account stands there
    once for each thing it shares.
    """
    live = probe(connection)
    accounts = Accounts(live, month)
    traits = sa.union_all(*_traits(accounts, live)).subquery("traits")
    shared = sa.select(
        traits, sa.func.count().over(partition_by=[traits.c.reason, traits.c.shared]).label("accounts")
    ).subquery("shared")
    shown = [
        accounts.value(name) for name in ("id", "email", "name", "status", "created_at", "last_login_at")
    ]
    select = (
        sa.select(*shown, shared.c.reason, shared.c.shared, shared.c.accounts)
        .select_from(accounts.source.join(shared, shared.c.user_id == users.c.id))
        .where(shared.c.accounts > 1)
    )
    return Report(
        select,
        (
            Column("id", Kind.ID, "the account", wide=True),
            Column("email", Kind.TEXT, "its e-mail address", null="-"),
            Column("name", Kind.TEXT, "its owner's name", null="-"),
            Column("status", Kind.TEXT, "active, suspended, banned or deleted"),
            Column("created_at", Kind.TIME, "when it signed up"),
            Column("last_login_at", Kind.TIME, "when it last logged in", wide=True, null="-"),
            Column("reason", Kind.TEXT, "what it shares: email, phone, or name and ip"),
            Column("shared", Kind.TEXT, "the address, number, or name and IP address"),
            Column("accounts", Kind.INTEGER, "how many accounts share it", wide=True),
        ),
        sort="reason,shared,created_at",
        notes=(*accounts.notes, *_notes(live)),
        empty="No two accounts look like one person's.",
    )


def _traits(accounts: Accounts, live: LiveSchema) -> list[sa.Select[Any]]:
    """Return each account's traits: user_id, reason and what may be shared."""
    source = accounts.source
    phone = sa.func.regexp_replace(accounts.profile("phone"), "[^0-9]", "", "g")
    traits = [
        _trait(source, "email", _address()),
        _trait(source, "phone", phone).where(sa.func.length(phone) >= _FEWEST_DIGITS),
    ]
    if live.readable("auth.sessions"):
        name = sa.func.nullif(sa.func.lower(sa.func.trim(accounts.profile("name"))), "")
        place = name + " " + sa.func.host(sessions.c.ip)
        with_sessions = source.join(sessions, sessions.c.user_id == users.c.id)
        traits.append(_trait(with_sessions, "name and ip", place).distinct())
    return traits


def _trait(source: sa.FromClause, reason: str, shared: Expression) -> sa.Select[Any]:
    columns = (users.c.id.label("user_id"), sa.literal(reason).label("reason"), shared.label("shared"))
    return sa.select(*columns).select_from(source).where(shared.is_not(None))


def _address() -> Expression:
    """Return the address as its provider tells accounts apart."""
    written = sa.func.lower(users.c.email)
    mailbox = sa.func.replace(sa.func.split_part(sa.func.split_part(written, "@", 1), "+", 1), ".", "")
    is_gmail = sa.func.split_part(written, "@", 2).in_(_GMAIL)
    return sa.case((is_gmail, mailbox + "@" + _GMAIL[0]), else_=sa.func.nullif(written, ""))


def _notes(live: LiveSchema) -> tuple[str, ...]:
    if live.readable("auth.sessions"):
        return ()
    return ("auth.sessions is missing or cannot be read, so logins from one place are not compared",)
