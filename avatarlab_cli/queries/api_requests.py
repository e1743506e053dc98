"""The requests to the public API: how many, by endpoint and by user; only those that succeeded are logged."""

from datetime import UTC, datetime, time
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.keys import NOT_LOGGED, status_of
from avatarlab_cli.queries.platform import Expression, Platform, share, within
from avatarlab_cli.queries.usage import NOBODY
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.api import api_request_logs, platform_api_keys
from avatarlab_cli.schema.supabase import users as accounts
from avatarlab_cli.timeframe import Span

_STATUSES = ("active", "expired", "inactive", "revoked")


def summary(connection: sa.Connection, span: Span) -> Report:
    """Report the keys there are, the log, and the requests of the time."""
    platform = Platform(connection)
    return platform.page(
        (_of_keys(platform), _of_log(platform), _of_recent(platform, span)),
        (
            Column("keys", Kind.INTEGER, "keys there are"),
            Column("keys_active", Kind.INTEGER, "that work"),
            Column("keys_expired", Kind.INTEGER, "active past their end"),
            Column("keys_inactive", Kind.INTEGER, "switched off"),
            Column("keys_revoked", Kind.INTEGER, "revoked"),
            Column("keys_other", Kind.INTEGER, "of another status, or none"),
            Column("keys_never_used", Kind.INTEGER, "without any use"),
            Column("key_owners", Kind.INTEGER, "users who have a key"),
            Column("counted_requests", Kind.INTEGER, "requests ever, as the keys count them"),
            Column("logged_requests", Kind.INTEGER, "requests the log still has"),
            Column("undated_requests", Kind.INTEGER, "of these, without a time"),
            Column("first_request", Kind.TIME, "the earliest in the log", null="-"),
            Column("last_request", Kind.TIME, "the latest", null="-"),
            Column("requests_30d", Kind.INTEGER, "in the last 30 days"),
            Column(
                "requests_per_day_30d",
                Kind.DECIMAL,
                "on an average one of the whole days among them, today left out",
            ),
            Column("keys_used_30d", Kind.INTEGER, "keys used in the last 30 days"),
            Column("users_30d", Kind.INTEGER, "users whose requests these were, where the log names them"),
            Column("endpoints_30d", Kind.INTEGER, "endpoints called"),
            Column("average_ms_30d", Kind.DECIMAL, "how long one took, where that is recorded"),
        ),
        notes=(NOT_LOGGED,),
    )


def _of_keys(platform: Platform) -> sa.Select[Any]:
    keys = platform[platform_api_keys]
    status = status_of(keys)
    uses = sa.func.coalesce(keys.c.request_count, 0)
    by_status = {f"keys_{name}": platform.count(keys.c.id, status == name) for name in _STATUSES}
    is_other = sa.func.coalesce(status, "").not_in(_STATUSES)
    figures = {
        "keys": platform.count(keys.c.id),
        **by_status,
        "keys_other": platform.count(keys.c.id, is_other),
        "keys_never_used": platform.count(keys.c.id, keys.c.last_used_at.is_(None), uses == 0),
        "key_owners": platform.count(keys.c.user_id.distinct()),
        "counted_requests": platform.known(sa.func.coalesce(sa.func.sum(uses), 0)),
    }
    return sa.select(*(figure.label(name) for name, figure in figures.items()))


def _of_log(platform: Platform) -> sa.Select[Any]:
    log = platform[api_request_logs]
    at = log.c.created_at
    return sa.select(
        platform.known(sa.func.count(), log.c.id).label("logged_requests"),
        platform.known(sa.func.count().filter(at.is_(None))).label("undated_requests"),
        platform.known(sa.func.min(at)).label("first_request"),
        platform.known(sa.func.max(at)).label("last_request"),
    ).select_from(log)


def _of_recent(platform: Platform, span: Span) -> sa.Select[Any]:
    """Select the figures of the time, which a look at all of the log would have to sort."""
    log = platform[api_request_logs]
    named, days = _named(log, span), (_midnight(span) - span.since).days
    different = {"keys_used": named.c.api_key_id, "users": named.c.user_id, "endpoints": named.c.endpoint}
    per_day = sa.func.round(sa.cast(_total(named.c.before_today), sa.Numeric) / days, 2)
    figures = {
        "requests": _total(named.c.requests),
        "requests_per_day": per_day,
        **{name: sa.func.count(column.distinct()) for name, column in different.items()},
        "average_ms": _average(named),
    }
    return sa.select(
        *(platform.known(figure, log.c.created_at).label(f"{name}_30d") for name, figure in figures.items())
    )


def _midnight(span: Span) -> datetime:
    """Return when the last day began of which the time has but a part, or none."""
    return datetime.combine(span.until, time(), UTC)


def _average(named: sa.FromClause) -> Expression:
    """Return how long a request took on average, to three digits as every average."""
    timed = sa.func.nullif(sa.func.sum(named.c.timed), 0)
    return sa.func.round(sa.cast(sa.func.sum(named.c.took), sa.Numeric) / timed, 3)


def _total(counts: Expression) -> Expression:
    """Return the sum of counts, 0 where there is none."""
    return sa.cast(sa.func.coalesce(sa.func.sum(counts), 0), sa.BigInteger)


def endpoints(connection: sa.Connection, span: Span) -> Report:
    """Report how often each endpoint was called in the time, by how many users, and how long it took."""
    platform = Platform(connection)
    log = platform[api_request_logs]
    named = _named(log, span)
    requests = _total(named.c.requests)
    return platform.report(
        sa.select(
            named.c.endpoint,
            named.c.method,
            requests.label("requests"),
            share(requests, sa.func.sum(requests).over()).label("share"),
            platform.known(sa.func.count(named.c.user_id.distinct()), log.c.user_id).label("users"),
            platform.known(sa.func.count(named.c.api_key_id.distinct()), log.c.api_key_id).label("keys"),
            platform.known(_average(named)).label("average_ms"),
            sa.func.max(named.c.last).label("last_request"),
        ).group_by(named.c.endpoint, named.c.method),
        (
            Column("endpoint", Kind.TEXT, "what was called"),
            Column("method", Kind.TEXT, "how"),
            Column("requests", Kind.INTEGER, "how often", total=True),
            Column("share", Kind.PERCENT, "of all requests in the time"),
            Column("users", Kind.INTEGER, "by how many users, where the log names them"),
            Column("keys", Kind.INTEGER, "with how many keys"),
            Column("average_ms", Kind.DECIMAL, "how long one took, where that is recorded", wide=True),
            Column("last_request", Kind.TIME, "the latest"),
        ),
        sort="-requests,endpoint,method",
        notes=(NOT_LOGGED,),
        empty="Nothing was called in that time.",
    )


def users(connection: sa.Connection, span: Span) -> Report:
    """Report whose requests the time's were: the user a request names, else the owner of its key, else nobody."""
    platform = Platform(connection)
    log, keys, owner = platform[api_request_logs], platform[platform_api_keys], platform[accounts]
    named = _named(log, span)
    # Half of an owner is none: without a way to the key's, nothing is told of anybody.
    read = (log.c.user_id, log.c.api_key_id, keys.c.id, keys.c.user_id)
    user = platform.known(sa.func.coalesce(named.c.user_id, keys.c.user_id), *read)
    each = (
        sa.select(user.label("user_id"), named.c.api_key_id, named.c.endpoint, named.c.requests, named.c.last)
        .select_from(named.outerjoin(keys, keys.c.id == named.c.api_key_id))
        .subquery("each")
    )
    requests = _total(each.c.requests)
    by_user = (
        sa.select(
            each.c.user_id,
            requests.label("requests"),
            share(requests, sa.func.sum(requests).over()).label("share"),
            platform.known(sa.func.count(each.c.api_key_id.distinct()), log.c.api_key_id).label("keys"),
            platform.known(sa.func.count(each.c.endpoint.distinct()), log.c.endpoint).label("endpoints"),
            sa.func.max(each.c.last).label("last_request"),
        )
        .group_by(each.c.user_id)
        .subquery("by_user")
    )
    nobody = platform.known(sa.case((by_user.c.user_id.is_(None), NOBODY)), *read)
    return platform.report(
        sa.select(
            by_user.c.user_id,
            sa.func.coalesce(owner.c.email, nobody).label("email"),
            *(by_user.c[name] for name in ("requests", "share", "keys", "endpoints", "last_request")),
        ).select_from(by_user.outerjoin(owner, owner.c.id == by_user.c.user_id)),
        (
            Column("user_id", Kind.ID, "the user; NULL for what belongs to nobody", wide=True, null="-"),
            Column("email", help="the user's e-mail address"),
            Column("requests", Kind.INTEGER, "how often the user called", total=True),
            Column("share", Kind.PERCENT, "of all requests in the time"),
            Column("keys", Kind.INTEGER, "with how many keys"),
            Column("endpoints", Kind.INTEGER, "how many different ones"),
            Column("last_request", Kind.TIME, "the latest"),
        ),
        sort="-requests,email",
        notes=(NOT_LOGGED,),
        empty="Nothing was called in that time.",
    )


def _named(log: sa.FromClause, span: Span) -> sa.Subquery:
    """Return the requests in the time by all that they name: of such groups there are few, whatever is asked of them."""
    names = (log.c.user_id, log.c.api_key_id, log.c.endpoint, log.c.method)
    return (
        sa.select(
            *names,
            sa.func.count().label("requests"),
            sa.func.count().filter(log.c.created_at < _midnight(span)).label("before_today"),
            sa.func.max(log.c.created_at).label("last"),
            sa.func.sum(log.c.request_duration_ms).label("took"),
            sa.func.count(log.c.request_duration_ms).label("timed"),
        )
        .where(within(log.c.created_at, span))
        .group_by(*names)
        .subquery("named")
    )
