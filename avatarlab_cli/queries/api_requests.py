"""The requests to the public API: how many, by endpoint and by user; only those that succeeded are logged."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.keys import status_of
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.queries.usage import NOBODY
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.api import api_request_logs, platform_api_keys
from avatarlab_cli.schema.supabase import users as accounts
from avatarlab_cli.timeframe import Span

ONLY_SUCCESSES = "only requests that succeeded are logged: there is no error rate to tell"


def summary(connection: sa.Connection, span: Span) -> Report:
    """Report the keys there are and the requests of the time, from one look at either table."""
    platform = Platform(connection)
    of_keys, of_log = _of_keys(platform).subquery("of_keys"), _of_log(platform, span).subquery("of_log")
    return platform.report(
        sa.select(of_keys, of_log).select_from(of_keys.join(of_log, sa.true())),
        (
            Column("keys", Kind.INTEGER, "keys there are"),
            Column("keys_active", Kind.INTEGER, "that work"),
            Column("keys_expired", Kind.INTEGER, "active past their end"),
            Column("keys_inactive", Kind.INTEGER, "switched off"),
            Column("keys_revoked", Kind.INTEGER, "revoked"),
            Column("keys_never_used", Kind.INTEGER, "without any use"),
            Column("key_owners", Kind.INTEGER, "users who have a key"),
            Column("counted_requests", Kind.INTEGER, "requests ever, as the keys count them"),
            Column("logged_requests", Kind.INTEGER, "requests the log still has"),
            Column("undated_requests", Kind.INTEGER, "of these, without a time"),
            Column("first_request", Kind.TIME, "the earliest in the log", null="-"),
            Column("last_request", Kind.TIME, "the latest", null="-"),
            Column("requests_30d", Kind.INTEGER, "in the last 30 days"),
            Column("requests_per_day_30d", Kind.DECIMAL, "of these, on an average day"),
            Column("keys_used_30d", Kind.INTEGER, "keys used in the last 30 days"),
            Column("users_30d", Kind.INTEGER, "users whose requests these were, where the log names them"),
            Column("endpoints_30d", Kind.INTEGER, "endpoints called"),
            Column("average_ms_30d", Kind.DECIMAL, "how long one took, where that is recorded"),
        ),
        single=True,
        notes=(ONLY_SUCCESSES,),
    )


def _of_keys(platform: Platform) -> sa.Select[Any]:
    keys = platform[platform_api_keys]
    status = status_of(keys)
    uses = sa.func.coalesce(keys.c.request_count, 0)
    by_status = {
        f"keys_{name}": platform.count(keys.c.id, status == name)
        for name in ("active", "expired", "inactive", "revoked")
    }
    figures = {
        "keys": platform.count(keys.c.id),
        **by_status,
        "keys_never_used": platform.count(keys.c.id, keys.c.last_used_at.is_(None), uses == 0),
        "key_owners": platform.count(keys.c.user_id.distinct()),
        "counted_requests": platform.known(sa.func.coalesce(sa.func.sum(uses), 0)),
    }
    return _one_row(figures, keys)


def _of_log(platform: Platform, span: Span) -> sa.Select[Any]:
    """Return the figures of the log: one look at it, by what its rows name, then of these few what is different."""
    log = platform[api_request_logs]
    at, took = log.c.created_at, log.c.request_duration_ms
    is_recent = sa.and_(at >= span.since, at < span.until)
    each = (
        sa.select(
            *(names := (log.c.api_key_id, log.c.user_id, log.c.endpoint)),
            sa.func.count().label("rows"),
            sa.func.count().filter(at.is_(None)).label("undated"),
            sa.func.count().filter(is_recent).label("recent"),
            sa.func.min(at).label("first"),
            sa.func.max(at).label("last"),
            sa.func.sum(took).filter(is_recent).label("took"),
            sa.func.count(took).filter(is_recent).label("timed"),
        )
        .group_by(*names)
        .subquery("each")
    )
    used = each.c.recent > 0
    requests = platform.known(_total(each.c.recent), at)
    took_each = sa.cast(sa.func.sum(each.c.took), sa.Numeric) / sa.func.nullif(sa.func.sum(each.c.timed), 0)
    figures: dict[str, Expression] = {
        "logged_requests": platform.known(_total(each.c.rows), log.c.id),
        "undated_requests": platform.known(_total(each.c.undated), at),
        "first_request": platform.known(sa.func.min(each.c.first), at),
        "last_request": platform.known(sa.func.max(each.c.last), at),
        "requests_30d": requests,
        "requests_per_day_30d": sa.func.round(sa.cast(requests, sa.Numeric) / _days(span), 2),
        **{
            f"{figure}_30d": platform.known(
                sa.func.count(each.c[column.name].distinct()).filter(used), at, column
            )
            for figure, column in zip(("keys_used", "users", "endpoints"), names, strict=True)
        },
        "average_ms_30d": platform.known(took_each, at, took),
    }
    return _one_row(figures, each)


def _total(counts: Expression) -> Expression:
    """Return the sum of counts, 0 where there is none."""
    return sa.cast(sa.func.coalesce(sa.func.sum(counts), 0), sa.BigInteger)


def _one_row(figures: Mapping[str, Expression], source: sa.FromClause) -> sa.Select[Any]:
    """Return one row of figures, also where none of them can be known and so none is an aggregate."""
    columns = (figure.label(name) for name, figure in figures.items())
    return sa.select(*columns).select_from(source).having(sa.literal_column("true"))


def _days(span: Span) -> int:
    return (span.days.end - span.days.first).days


def endpoints(connection: sa.Connection, span: Span) -> Report:
    """Report how often each endpoint was called in the time, by how many users, and how long it took."""
    platform = Platform(connection)
    log = platform[api_request_logs]
    named = _named(log, span)
    requests = _total(named.c.requests)
    took = sa.cast(sa.func.sum(named.c.took), sa.Numeric) / sa.func.nullif(sa.func.sum(named.c.timed), 0)
    return platform.report(
        sa.select(
            named.c.endpoint,
            named.c.method,
            requests.label("requests"),
            _share(requests).label("share"),
            platform.known(sa.func.count(named.c.user_id.distinct()), log.c.user_id).label("users"),
            platform.known(sa.func.count(named.c.api_key_id.distinct()), log.c.api_key_id).label("keys"),
            platform.known(took, log.c.request_duration_ms).label("average_ms"),
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
        notes=(ONLY_SUCCESSES,),
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
            _share(requests).label("share"),
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
        notes=(ONLY_SUCCESSES,),
        empty="Nothing was called in that time.",
    )


def _named(log: sa.FromClause, span: Span) -> sa.Subquery:
    """Return the requests in the time by all that they name: of such groups there are few, whatever is asked of them."""
    names = (log.c.user_id, log.c.api_key_id, log.c.endpoint, log.c.method)
    return (
        sa.select(
            *names,
            sa.func.count().label("requests"),
            sa.func.max(log.c.created_at).label("last"),
            sa.func.sum(log.c.request_duration_ms).label("took"),
            sa.func.count(log.c.request_duration_ms).label("timed"),
        )
        .where(log.c.created_at >= span.since, log.c.created_at < span.until)
        .group_by(*names)
        .subquery("named")
    )


def _share(part: Expression) -> Expression:
    """Return a group's share of what all groups have together."""
    return sa.func.round(sa.cast(part, sa.Numeric) / sa.func.nullif(sa.func.sum(part).over(), 0), 6)
