"""Reading what was said: nothing changes, but that it was done is kept."""

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.actions.act import Act, Run, Touched
from avatarlab_cli.actions.actor import Actor
from avatarlab_cli.masking import passage
from avatarlab_cli.queries.naming import ADMIN

REVEAL = "users.delete"
"""What it takes, beside the search's own permission, to see numbers and addresses whole."""


@dataclass(frozen=True)
class Search(Act):
    """Record that an admin, who is the target, searched conversations: for what, where, and how much came up."""

    name = "conversation.search"
    naming = ADMIN
    severity = "warning"
    undoable = False
    plannable = False
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    avatar_id: UUID | None = None
    is_revealed: bool = False
    found: int | None = 0
    shown: int = 0

    def describe(self) -> str:
        revealed = ", numbers and addresses revealed" if self.is_revealed else ""
        whole = "" if self.found is None else f" of {self.found}"
        return f"searched conversations for {self._masked()!r}, shown {self.shown}{whole}{revealed}"

    def authorized(self, connection: sa.Connection, admin: str | None) -> Actor:
        actor = super().authorized(connection, admin)
        if self.is_revealed:
            actor.demand(REVEAL, f"{self.command} --reveal")
        return actor

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return ()

    def apply(self, run: Run) -> None:
        facts = json.dumps({**self.parameters(), "text": self._masked()}, default=_plain)
        run.execute("UPDATE targets SET facts = CAST(:facts AS jsonb)", facts=facts)

    def _masked(self) -> str:
        """Return the text as it is kept: more may read the log than may see numbers and addresses whole."""
        return passage(self.text, 0, len(self.text))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
