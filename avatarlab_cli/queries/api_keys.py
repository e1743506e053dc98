"""What each of the platform's keys was used for, the unused ones included."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from avatarlab_cli.queries.keys import NOT_LOGGED, status_of
from avatarlab_cli.queries.platform import Platform, share, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.api import api_request_logs, platform_api_keys
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Span

NO_KEY = "(no key)"
_COLUMNS = (
    Column("id", Kind.ID, "the key; NULL for requests that name none", wide=True, null="-"),
    Column("email", help="its owner's e-mail address", null="-"),
    Column("prefix", help="how it begins"),
    Column("status", help="active, inactive, revoked, or expired: active past its end", null="-"),
    Column("requests", Kind.INTEGER, "how often it was used in the time", total=True),
    Column("share", Kind.PERCENT, "of all requests in the time"),
    Column("endpoints", Kind.INTEGER, "how many different ones were called"),
    Column("last_request", Kind.TIME, "the latest in the time", null="-"),
    Column("called", help="their names", wide=True),
    Column("user_id", Kind.ID, "its owner", wide=True, null="-"),
    Column("name", help="what its owner calls it", wide=True, null="-"),
    Column("created_at", Kind.TIME, "when it was issued", wide=True, null="-"),
    Column(
        "last_used_at", Kind.TIME, "its latest use ever, as the key itself has it", wide=True, null="never"
    ),
)


def used(connection: sa.Connection, span: Span) -> Report:
    """Report each key's requests in the time; those that name no key have a row of their own."""
    platform = Platform(connection)
    log, keys, owner = platform[api_request_logs], platform[platform_api_keys], platform[users]
    calls = _calls(log, span)
    # Without a row of the log in the time a key was not used; unless nobody can know.
    read = (log.c.api_key_id, log.c.created_at)
    requests = platform.known(sa.func.coalesce(calls.c.requests, 0), *read)
    return platform.report(
        sa.select(
            keys.c.id,
            owner.c.email,
            sa.case((calls.c.is_keyless, NO_KEY), else_=keys.c.api_key_prefix).label("prefix"),
            platform.known(status_of(keys)).label("status"),
            requests.label("requests"),
            share(requests, sa.func.sum(requests).over()).label("share"),
            platform.known(sa.func.coalesce(calls.c.endpoints, 0), *read, log.c.endpoint).label("endpoints"),
            platform.known(sa.func.coalesce(calls.c.called, ""), *read, log.c.endpoint).label("called"),
            calls.c.last_request,
            keys.c.user_id,
            keys.c.key_name.label("name"),
            keys.c.created_at,
            keys.c.last_used_at,
        ).select_from(
            keys.outerjoin(calls, calls.c.api_key_id == keys.c.id, full=True).outerjoin(
                owner, owner.c.id == keys.c.user_id
            )
        ),
        _COLUMNS,
        sort="-requests,email,prefix",
        notes=(NOT_LOGGED,),
        empty="There is no key, and nothing was called.",
    )


def _calls(log: sa.FromClause, span: Span) -> sa.Subquery:
    """Return the requests in the time by key, grouped by key and endpoint first: of those there are few."""
    each = (
        sa.select(
            log.c.api_key_id,
            log.c.endpoint,
            sa.func.count().label("requests"),
            sa.func.max(log.c.created_at).label("last_request"),
        )
        .where(within(log.c.created_at, span))
        .group_by(log.c.api_key_id, log.c.endpoint)
        .subquery("each")
    )
    in_order: sa.ColumnElement[str] = aggregate_order_by(
        sa.literal_column("', '"), sa.collate(each.c.endpoint, "C")
    )
    return (
        sa.select(
            each.c.api_key_id,
            each.c.api_key_id.is_(None).label("is_keyless"),
            sa.cast(sa.func.sum(each.c.requests), sa.BigInteger).label("requests"),
            sa.func.count(each.c.endpoint).label("endpoints"),
            sa.func.string_agg(each.c.endpoint, in_order).label("called"),
            sa.func.max(each.c.last_request).label("last_request"),
        )
        .group_by(each.c.api_key_id)
        .subquery("calls")
    )
