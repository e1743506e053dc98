"""Finding the user an argument names."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.errors import NotFoundError, UsageError
from avatarlab_cli.schema.live import row_security_error
from avatarlab_cli.schema.supabase import users

_SHORTEST_PREFIX = 3
_IS_FILTERED = sa.text("SELECT row_security_active('auth.users')")


@dataclass(frozen=True)
class UserName:
    """A user's identity."""

    id: UUID
    email: str | None


def find_user(connection: sa.Connection, name: str) -> UserName:
    """Return the user with this UUID, e-mail address (case ignored), or unambiguous beginning of either.

    Raises NotFoundError where nobody fits, UsageError where several do.
    """
    exact = sa.func.lower(users.c.email) == name.lower()
    found = _matching(connection, sa.or_(exact, users.c.id == _uuid(name)))
    if not found and len(name) >= _SHORTEST_PREFIX:
        begins = [sa.func.lower(users.c.email).startswith(name.lower(), autoescape=True)]
        if re.fullmatch(r"[0-9a-f-]+", name.lower()):
            begins.append(sa.cast(users.c.id, sa.Text).startswith(name.lower(), autoescape=True))
        found = _matching(connection, sa.or_(*begins))
    if not found and connection.scalar(_IS_FILTERED):
        raise row_security_error("auth.users")
    if not found:
        raise NotFoundError(
            f"there is no user {name!r}",
            hint="name a user by e-mail address, UUID, or the first three or more characters of one",
        )
    if len(found) > 1:
        candidates = ", ".join(user.email or str(user.id) for user in found[:5])
        raise UsageError(f"{name!r} fits several users: {candidates}", hint="write more of it")
    return found[0]


def _matching(connection: sa.Connection, condition: sa.ColumnElement[Any]) -> list[UserName]:
    select = sa.select(users.c.id, users.c.email).where(condition).order_by(users.c.email).limit(6)
    return [UserName(*row) for row in connection.execute(select)]


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
