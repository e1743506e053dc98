"""The admin who acts: the one the database login is mapped to, else the one a setting names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.errors import ConfigurationError, NotPermittedError
from avatarlab_cli.permissions import ROLES, SUPER_ADMIN, holds
from avatarlab_cli.schema.live import demand_all_rows

_HAS_ADMINS = sa.text("""
    SELECT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('public.admin_users') AND attname = 'db_role' AND NOT attisdropped
          AND has_column_privilege(attrelid, attnum, 'SELECT')
    )
""")
_FOUND = sa.text("""
    SELECT a.id, a.user_id, u.email, a.role, a.permissions, a.db_role = session_user AS is_login,
           a.is_active, a.locked_until > now() AS is_locked, u.deleted_at IS NOT NULL AS is_deleted,
           u.banned_until > now() AS is_banned
    FROM public.admin_users a LEFT JOIN auth.users u ON u.id = a.user_id
    WHERE a.db_role = session_user OR lower(u.email) = lower(:name) OR a.id::text = lower(:name) OR a.user_id::text = lower(:name)
    ORDER BY is_login DESC NULLS LAST LIMIT 2
""")
_IS_MIGRATED = sa.text("""
    SELECT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('public.admin_users') AND attname = 'db_role' AND NOT attisdropped
    )
""")
_ANY = sa.text("SELECT EXISTS (SELECT FROM public.admin_users)")
CAN_ACT = """
    a.is_active AND coalesce(a.locked_until <= now(), true) AND EXISTS (
        SELECT FROM auth.users u
        WHERE u.id = a.user_id AND u.deleted_at IS NULL AND coalesce(u.banned_until <= now(), true))
"""
"""The SQL condition that an admin `a` is let in: what find_actor demands."""

WHO = "name yourself by AVATARLAB_ADMIN (an admin's e-mail address); `avatarlab admin list` shows the admins"
BOOTSTRAP = "there is no admin yet: avatarlab admin bootstrap EMAIL makes the first one"


@dataclass(frozen=True)
class Actor:
    """An active admin. `is_login` tells whether the database vouches for the identity, or only a setting claims it."""

    id: UUID
    user_id: UUID
    email: str | None
    role: str
    permissions: Mapping[str, Any]
    is_login: bool

    @classmethod
    def nobody(cls) -> "Actor":
        """Return who acts before there is any admin."""
        return cls(UUID(int=0), UUID(int=0), None, SUPER_ADMIN, {}, is_login=True)

    def may(self, permission: str) -> bool:
        """Tell whether this admin holds the permission."""
        return holds(self.role, self.permissions, permission)

    def demand(self, permission: str, command: str) -> None:
        """Raise NotPermittedError unless this admin holds the permission."""
        if not self.may(permission):
            raise NotPermittedError(
                f"{self.email or self.id} ({self.role}) may not `{command}`: it takes {permission}",
                hint="`avatarlab admin whoami` shows what you may do; a super_admin can grant more",
            )


def rank_of(role: str) -> str:
    """Return the SQL for the place of a role, 0 the most powerful."""
    return f"array_position(CAST('{{{','.join(ROLES)}}}' AS text[]), {role}::text) - 1"


def has_super_admin(connection: sa.Connection) -> bool:
    """Tell whether there is a super_admin who can act."""
    found = f"SELECT EXISTS (SELECT FROM public.admin_users a WHERE a.role = :role AND {CAN_ACT})"
    return bool(connection.scalar(sa.text(found), {"role": SUPER_ADMIN}))


def find_actor(connection: sa.Connection, name: str | None) -> Actor | None:
    """Return the acting admin: the login's own, else the one called `name` (e-mail address or UUID).

    None where nobody is named, and where the database has no admin yet. Raises NotPermittedError for a name that
    is no admin's, and for an admin who is not active.
    """
    if not connection.scalar(_HAS_ADMINS):
        return None
    rows = connection.execute(_FOUND, {"name": name or None}).mappings().all()
    if not rows:
        if name and connection.scalar(_ANY):
            raise NotPermittedError(f"{name!r} is not an admin", hint=WHO)
        return None
    row = rows[0]
    if len(rows) > 1 and not row["is_login"]:
        raise NotPermittedError(f"{name!r} is the address of several admins", hint="name yourself by UUID")
    _demand_active(row)
    return Actor(
        row["id"],
        row["user_id"],
        row["email"],
        row["role"],
        row["permissions"],
        is_login=bool(row["is_login"]),
    )


def demand_actor(connection: sa.Connection, name: str | None) -> Actor:
    """Return the acting admin; raises NotPermittedError where there is none: without one, nothing is changed.

    Raises ConfigurationError where the database has no place for one yet.
    """
    actor = find_actor(connection, name)
    if actor is None:
        if not connection.scalar(_IS_MIGRATED):
            raise ConfigurationError("the database has not been migrated", hint="run: avatarlab db migrate")
        demand_all_rows(connection, ["public.admin_users"])
        has_admins = connection.scalar(_ANY)
        message = "no admin is named, and every change is kept under an admin's name"
        raise NotPermittedError(message if has_admins else BOOTSTRAP, hint=WHO if has_admins else None)
    return actor


def _demand_active(row: sa.RowMapping) -> None:
    reasons = {
        "was deactivated": not row["is_active"],
        "is locked": row["is_locked"],
        "has a deleted account": row["is_deleted"],
        "is banned": row["is_banned"],
    }
    for reason, holds_here in reasons.items():
        if holds_here:
            raise NotPermittedError(f"the admin {row['email'] or row['id']} {reason}", hint=WHO)
