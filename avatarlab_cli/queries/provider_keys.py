"""Reports on the keys users hold at providers; the column with the key itself is never read."""

import sqlalchemy as sa

from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.api import user_api_keys
from avatarlab_cli.schema.supabase import users

SHARED_USE = "a call with one key marks all the active keys its user has of that service as used, so last use is an upper bound"
_keys = user_api_keys
# The platform writes both openai and OpenAI.
_folded = sa.func.lower(_keys.c.service)
_SERVICE = _folded.label("service")


def listed(owner: UserName | None, service: str | None) -> Report:
    """Report users' own keys, of all users and services unless one is named (case ignored)."""
    age = sa.func.floor(sa.extract("epoch", sa.func.now() - _keys.c.created_at) / 86_400)
    select = sa.select(
        _keys.c.id,
        users.c.email,
        _SERVICE,
        _keys.c.name,
        _keys.c.status,
        sa.cast(age, sa.Integer).label("age_days"),
        _keys.c.last_used_at,
        _keys.c.user_id,
        _keys.c.created_at,
    ).select_from(_keys.outerjoin(users, users.c.id == _keys.c.user_id))
    if owner is not None:
        select = select.where(_keys.c.user_id == owner.id)
    if service is not None:
        select = select.where(_folded == service.lower())
    return Report(
        select,
        (
            Column("id", Kind.ID, "the key"),
            Column("email", help="its user's e-mail address", null="-"),
            Column("service", help="the provider, in lower case"),
            Column("name", help="what its user calls it"),
            Column("status", help="active or inactive"),
            Column("age_days", Kind.INTEGER, "whole days since it was stored"),
            Column(
                "last_used_at",
                Kind.TIME,
                "when it, or another of its user's and service's, was used",
                null="never",
            ),
            Column("user_id", Kind.ID, "its user", wide=True),
            Column("created_at", Kind.TIME, "when it was stored", wide=True),
        ),
        sort="email,service,created_at",
        empty="No user has such a key.",
        notes=(SHARED_USE,),
    )


def audit(days: int) -> Report:
    """Report how users' own keys stand, by service: `older` and `unused` mean more than so many days."""
    before = sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    count = sa.func.count()
    held = (
        sa.select(
            _SERVICE,
            count.label("keys"),
            count.filter(_keys.c.status == "active").label("active"),
            count.filter(_keys.c.last_used_at.is_(None)).label("never_used"),
            count.filter(_keys.c.last_used_at < before).label("unused"),
            count.filter(_keys.c.created_at < before).label("older"),
        )
        .group_by(_SERVICE, _keys.c.user_id)
        .subquery("held")
    )
    sums = [
        sa.cast(sa.func.sum(held.c[name]), sa.BigInteger).label(name)
        for name in ("keys", "active", "never_used", "unused", "older")
    ]
    return Report(
        sa.select(
            held.c.service,
            count.label("users"),
            *sums,
            count.filter(held.c["keys"] > 1).label("users_with_several"),
        ).group_by(held.c.service),
        (
            Column("service", Kind.ID, "the provider, in lower case"),
            Column("keys", Kind.INTEGER, "keys stored, active or not"),
            Column("users", Kind.INTEGER, "users who have one"),
            Column("active", Kind.INTEGER, "keys in use"),
            Column("never_used", Kind.INTEGER, "keys without any use"),
            Column("unused", Kind.INTEGER, "keys whose last use is more than --days ago"),
            Column("older", Kind.INTEGER, "keys stored more than --days ago"),
            Column("users_with_several", Kind.INTEGER, "users with more than one key of the service"),
        ),
        sort="-keys,service",
        empty="No user has a provider key.",
        notes=(SHARED_USE,),
    )
