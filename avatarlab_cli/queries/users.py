"""Finding the user an argument names."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.naming import USER, find


@dataclass(frozen=True)
class UserName:
    """A user's identity."""

    id: UUID
    email: str | None


def find_user(connection: sa.Connection, name: str) -> UserName:
    """Return the user with this UUID, e-mail address (case ignored), or unambiguous beginning of either.

    Raises NotFoundError where nobody fits, UsageError where several do.
    """
    found = find(connection, USER, name)
    return UserName(found.id, None if found.label == str(found.id) else found.label)
