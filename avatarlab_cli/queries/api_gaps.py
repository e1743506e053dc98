"""Where what the keys count and what the log has differ: rows that were pruned, and rows that lack something."""

import sqlalchemy as sa

from avatarlab_cli.queries.api_keys import NO_KEY
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.api import api_request_logs, platform_api_keys
from avatarlab_cli.schema.supabase import users

_COLUMNS = (
    Column("id", Kind.ID, "the key; NULL for rows that name none", wide=True, null="-"),
    Column("email", help="its owner's e-mail address", null="-"),
    Column("prefix", help="how it begins"),
    Column("counted", Kind.INTEGER, "requests as the key itself counts them", total=True, null="-"),
    Column("logged", Kind.INTEGER, "rows the log has of it", total=True),
    Column(
        "missing", Kind.INTEGER, "counted, but not in the log: pruned, or never logged", total=True, null="-"
    ),
    Column("surplus", Kind.INTEGER, "in the log, but not counted", total=True, null="-"),
    Column("no_user", Kind.INTEGER, "rows that name no user", total=True),
    Column("no_time", Kind.INTEGER, "rows without a time, which are in no day's figures", total=True),
    Column("first_request", Kind.TIME, "the earliest row", wide=True, null="-"),
    Column("user_id", Kind.ID, "its owner", wide=True, null="-"),
)


def gaps(connection: sa.Connection, *, is_every: bool = False) -> Report:
    """Report the keys whose own count is not that of their log rows, or whose rows lack a user or a time.

    Rows that name no key are one row of the report; `is_every` adds the keys of which nothing differs.
    """
    platform = Platform(connection)
    log, keys, owner = platform[api_request_logs], platform[platform_api_keys], platform[users]
    rows = _rows(log)
    figures = _figures(platform, log, keys, rows)
    differs = sa.or_(
        keys.c.id.is_(None),
        *(figures[name] > 0 for name in ("missing", "surplus", "no_user", "no_time")),
    )
    return platform.report(
        sa.select(
            keys.c.id,
            owner.c.email,
            sa.case((rows.c.is_keyless, NO_KEY), else_=keys.c.api_key_prefix).label("prefix"),
            *(figure.label(name) for name, figure in figures.items()),
            rows.c.first_request,
            keys.c.user_id,
        )
        .select_from(
            keys.outerjoin(rows, rows.c.api_key_id == keys.c.id, full=True).outerjoin(
                owner, owner.c.id == keys.c.user_id
            )
        )
        .where(sa.true() if is_every else differs),
        _COLUMNS,
        sort="-missing,email,prefix",
        empty="Every key counts as many requests as the log has of it."
        if not is_every
        else "There is no key, and nothing is logged.",
    )


def _figures(
    platform: Platform, log: sa.FromClause, keys: sa.FromClause, rows: sa.FromClause
) -> dict[str, Expression]:
    """Return what is counted of a key; its own count is NULL for what belongs to no key."""
    counted = sa.case((keys.c.id.is_not(None), sa.func.coalesce(keys.c.request_count, 0)))
    of_key = (log.c.api_key_id, keys.c.id)
    logged = platform.known(sa.func.coalesce(rows.c.logged, 0), *of_key)
    more = sa.case((counted.is_not(None), sa.func.greatest(counted - logged, 0)))
    fewer = sa.case((counted.is_not(None), sa.func.greatest(logged - counted, 0)))
    return {
        "counted": platform.known(counted),
        "logged": logged,
        "missing": platform.known(more, *of_key),
        "surplus": platform.known(fewer, *of_key),
        "no_user": platform.known(sa.func.coalesce(rows.c.no_user, 0), *of_key, log.c.user_id),
        "no_time": platform.known(sa.func.coalesce(rows.c.no_time, 0), *of_key, log.c.created_at),
    }


def _rows(log: sa.FromClause) -> sa.Subquery:
    return (
        sa.select(
            log.c.api_key_id,
            log.c.api_key_id.is_(None).label("is_keyless"),
            sa.func.count().label("logged"),
            sa.func.count().filter(log.c.user_id.is_(None)).label("no_user"),
            sa.func.count().filter(log.c.created_at.is_(None)).label("no_time"),
            sa.func.min(log.c.created_at).label("first_request"),
        )
        .group_by(log.c.api_key_id)
        .subquery("rows")
    )
