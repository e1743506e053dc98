"""Reports on the admins: who they are, and what each may do."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from avatarlab_cli.actions.actor import BOOTSTRAP, Actor
from avatarlab_cli.permissions import CEILINGS, COMMANDS, PERMISSIONS, SUPER_ADMIN, holds
from avatarlab_cli.queries.naming import Found
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.admin import admin_audit_logs, admin_users
from avatarlab_cli.schema.supabase import users

_WHO = (
    Column("id", Kind.ID, "the admin", wide=True),
    Column("email", Kind.TEXT, "the account's e-mail address", null="-"),
    Column("role", Kind.TEXT, ", ".join(CEILINGS)),
    Column("permissions", Kind.TEXT, "area and what is held of r(ead), w(rite), d(elete)", null="none"),
)
_HOW = (
    Column("login", Kind.TEXT, "the database login that is this admin", null="-"),
    Column("is_service", Kind.BOOLEAN, "whether it is a timer or script, not a person"),
)
COLUMNS = (
    *_WHO,
    Column("state", Kind.TEXT, "active, or why not: inactive, locked, banned, deleted"),
    *_HOW,
    Column("acts", Kind.INTEGER, "entries of the audit log"),
    Column("last_act_at", Kind.TIME, "the latest of them", null="never"),
    Column("user_id", Kind.ID, "the account", wide=True),
    Column("created_at", Kind.TIME, "since when this is an admin", wide=True),
)
SELF = (*_WHO, Column("known_by", Kind.TEXT, "the database login, or the setting `admin`"), *_HOW)
PERMISSION = (
    Column("permission", Kind.ID, "area and right"),
    Column("is_held", Kind.BOOLEAN, "whether this admin has it"),
    Column("role_allows", Kind.BOOLEAN, "whether the role can have it at all"),
    Column("commands", Kind.TEXT, "what it takes this permission for", wide=True, null="-"),
)
_STATE = sa.case(
    (~admin_users.c.is_active, "inactive"),
    (admin_users.c.locked_until > sa.func.now(), "locked"),
    (users.c.deleted_at.is_not(None), "deleted"),
    (users.c.banned_until > sa.func.now(), "banned"),
    else_="active",
)


def listed(*, inactive: bool) -> Report:
    """Report the admins, those that were deactivated too where asked."""
    own, log = admin_users, admin_audit_logs
    acts = (
        sa.select(
            log.c.admin_user_id, sa.func.count().label("acts"), sa.func.max(log.c.created_at).label("last")
        )
        .group_by(log.c.admin_user_id)
        .subquery("acts")
    )
    select = _admins(
        _STATE.label("state"),
        sa.func.coalesce(acts.c.acts, 0).label("acts"),
        acts.c.last.label("last_act_at"),
        own.c.user_id,
        own.c.created_at,
    ).outerjoin_from(own, acts, acts.c.admin_user_id == own.c.id)
    return Report(
        select if inactive else select.where(own.c.is_active), COLUMNS, sort="email", empty=f"{BOOTSTRAP}."
    )


def whoami(actor: Actor) -> Report:
    """Report who acts, and how that is known."""
    known_by = "login" if actor.is_login else "setting"
    select = _admins(sa.literal(known_by).label("known_by"))
    return Report(select.where(admin_users.c.id == actor.id), SELF, single=True)


def permissions(connection: sa.Connection, admin: Found) -> Iterator[dict[str, object]]:
    """Yield each permission there is, whether the admin holds it, and whether the role can."""
    own = admin_users
    select = sa.select(own.c.role, own.c.permissions).where(own.c.id == admin.id)
    role, column = connection.execute(select).one()
    for permission in PERMISSIONS:
        yield {
            "permission": permission,
            "is_held": holds(role, column, permission),
            "role_allows": permission in CEILINGS[role],
            "commands": ", ".join(name for name, needed in COMMANDS.items() if needed == permission) or None,
        }


def _admins(*more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    own = admin_users
    names = ("id", "role", "is_service")
    columns = [*(own.c[name] for name in names), users.c.email, own.c.db_role.label("login")]
    select = sa.select(*columns, _held().label("permissions"), *more)
    return select.outerjoin_from(own, users, users.c.id == own.c.user_id)


def _held() -> sa.ScalarSelect[str]:
    """Select what an admin holds in few words: `users rw, tiers r`."""
    own = admin_users
    role, area, right = (sa.column(name, sa.Text) for name in ("role", "area", "right"))
    position = sa.column("position", sa.Integer)
    possible = [
        (role_name, *permission.split("."), PERMISSIONS.index(permission))
        for role_name, ceiling in CEILINGS.items()
        for permission in ceiling
    ]
    can = sa.values(role, area, right, position, name="can").data(possible)
    granted = sa.func.jsonb_build_object(can.c.area, sa.func.jsonb_build_object(can.c.right, sa.true()))
    letters = sa.func.string_agg(
        sa.func.left(can.c.right, 1), aggregate_order_by(sa.literal(""), can.c.position)
    )
    areas = (
        sa.select((can.c.area + " " + letters).label("held"), sa.func.min(can.c.position).label("position"))
        .where(can.c.role == own.c.role)
        .where(sa.or_(own.c.role == SUPER_ADMIN, own.c.permissions.contains(granted)))
        .group_by(can.c.area)
        .correlate(own)
        .subquery("areas")
    )
    listed = sa.func.string_agg(areas.c.held, aggregate_order_by(sa.literal(", "), areas.c.position))
    return sa.select(listed).scalar_subquery()
