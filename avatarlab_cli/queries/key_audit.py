"""What is wrong with the platform's keys: one row a finding."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.account_status import status
from avatarlab_cli.queries.keys import effective_status, is_active, is_neutralised, is_past, keys
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.accounts import profiles
from avatarlab_cli.schema.api import api_request_logs
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.supabase import users

FINDINGS: Mapping[str, str] = {
    "never_used": "it works, and was never used",
    "unused": "it works, and was not used for --days",
    "no_expiry": "it works for ever",
    "owner_suspended": "it works, and its owner is suspended",
    "owner_banned": "it works, and its owner is banned",
    "owner_deleted": "it works, and its owner's account is deleted",
    "past_expiry": "its status is active still, though its end is past",
    "counts_more_than_logged": "its own count is higher than its log rows: some were pruned",
    "counts_fewer_than_logged": "its own count is lower than its log rows",
    "not_lasting": "it is revoked, but its owner can set it back to active",
}
_COLUMNS = (
    Column("id", Kind.ID, "the key"),
    Column("email", help="its owner's e-mail address", null="-"),
    Column("prefix", help="how it begins"),
    Column("finding", help=f"one of {', '.join(FINDINGS)}"),
    Column("last_used_at", Kind.TIME, "its last successful call", null="never"),
    Column("expires_at", Kind.TIME, "when it ends", null="never"),
    Column("request_count", Kind.INTEGER, "successful calls as the key itself counts them", null="0"),
    Column("logged_requests", Kind.INTEGER, "successful calls as the log has them"),
    Column("status", help="active, inactive, revoked, or expired: active past its end", wide=True),
    Column("owner_status", help="active, suspended, banned or deleted", wide=True),
    Column("user_id", Kind.ID, "its owner", wide=True),
    Column("created_at", Kind.TIME, "when it was issued", wide=True),
)


def audit(live: LiveSchema, days: int, findings: Iterable[str] = ()) -> Report:
    """Report the findings, of all kinds unless some are named; a key is `unused` after so many days.

    Raises UsageError for a kind there is not.
    """
    names = tuple(dict.fromkeys(findings)) or tuple(FINDINGS)
    for name in names:
        if name not in FINDINGS:
            raise UsageError(f"{name!r} is not a finding", hint=f"findings: {', '.join(FINDINGS)}")
    logged = (
        sa.select(api_request_logs.c.api_key_id, sa.func.count().label("requests"))
        .where(api_request_logs.c.api_key_id.is_not(None))
        .group_by(api_request_logs.c.api_key_id)
        .subquery("logged")
    )
    requests = sa.func.coalesce(logged.c.requests, 0)
    owner = sa.literal_column(status(live, users.fullname, profiles.fullname), sa.Text)
    conditions = _conditions(owner, requests, days)
    found = (
        sa.values(sa.column("finding", sa.Text), sa.column("is_found", sa.Boolean), name="found")
        .data([(sa.literal(name), conditions[name]) for name in names])
        .lateral()
    )
    source = keys.outerjoin(users, users.c.id == keys.c.user_id)
    if live.has("profiles", "id"):
        source = source.outerjoin(profiles, profiles.c.id == keys.c.user_id)
    return Report(
        sa.select(
            keys.c.id,
            users.c.email,
            keys.c.api_key_prefix.label("prefix"),
            found.c.finding,
            keys.c.last_used_at,
            keys.c.expires_at,
            keys.c.request_count,
            requests.label("logged_requests"),
            effective_status.label("status"),
            owner.label("owner_status"),
            keys.c.user_id,
            keys.c.created_at,
        ).select_from(
            source.outerjoin(logged, logged.c.api_key_id == keys.c.id).join(found, found.c.is_found)
        ),
        _COLUMNS,
        sort="finding,email",
        empty="Nothing is wrong with any key.",
    )


def _conditions(
    owner: sa.ColumnElement[str], requests: sa.ColumnElement[int], days: int
) -> dict[str, sa.ColumnElement[bool]]:
    works = sa.and_(is_active, sa.not_(sa.func.coalesce(is_past, False)), sa.not_(is_neutralised))
    counted = sa.func.coalesce(keys.c.request_count, 0)
    unused_since = sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    return {
        "never_used": sa.and_(works, keys.c.last_used_at.is_(None), counted == 0),
        "unused": sa.and_(works, keys.c.last_used_at < unused_since),
        "no_expiry": sa.and_(works, keys.c.expires_at.is_(None)),
        **{
            f"owner_{status}": sa.and_(works, owner == status)
            for status in ("suspended", "banned", "deleted")
        },
        "past_expiry": sa.and_(is_active, is_past),
        "counts_more_than_logged": counted > requests,
        "counts_fewer_than_logged": counted < requests,
        "not_lasting": sa.and_(keys.c.status == "revoked", sa.not_(is_neutralised)),
    }
