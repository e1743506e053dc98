"""The requests to the public API, by endpoint, key and user; only those that succeeded are logged."""

import sqlalchemy as sa

from avatarlab_cli.queries.platform import Platform
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.api import api_request_logs
from avatarlab_cli.timeframe import Span

ONLY_SUCCESSES = "only requests that succeeded are logged: there is no error rate to tell"


def endpoints(connection: sa.Connection, span: Span) -> Report:
    """Report how often each endpoint was called in the time, by how many users, and how long it took."""
    platform = Platform(connection)
    log = platform[api_request_logs]
    took = log.c.request_duration_ms
    return platform.report(
        sa.select(
            log.c.endpoint,
            log.c.method,
            platform.count(log.c.id).label("requests"),
            platform.count(log.c.user_id.distinct()).label("users"),
            platform.count(log.c.api_key_id.distinct()).label("keys"),
            platform.known(sa.func.avg(took)).label("average_ms"),
            platform.known(sa.func.max(log.c.created_at)).label("last_request"),
        )
        .where(log.c.created_at >= span.since, log.c.created_at < span.until)
        .group_by(log.c.endpoint, log.c.method),
        (
            Column("endpoint", Kind.TEXT, "what was called"),
            Column("method", Kind.TEXT, "how"),
            Column("requests", Kind.INTEGER, "how often", total=True),
            Column("users", Kind.INTEGER, "by how many users"),
            Column("keys", Kind.INTEGER, "with how many keys"),
            Column("average_ms", Kind.DECIMAL, "how long one took, where that is recorded"),
            Column("last_request", Kind.TIME, "the latest"),
        ),
        sort="-requests,endpoint,method",
        notes=(ONLY_SUCCESSES,),
        empty="Nothing was called in that time.",
    )
