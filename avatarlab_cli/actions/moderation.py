"""What moderators do to avatars and images: mark one, and take the mark away; the platform itself does nothing by it."""

from dataclasses import dataclass
from typing import ClassVar

import sqlalchemy as sa

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.actor import Actor
from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.queries.moderation import WAITING
from avatarlab_cli.queries.naming import AVATAR, IMAGE
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.media import generated_images

_NEEDED = ("is_flagged", "flagged_reason", "moderation_status")
# An image has neither.
_WHERE_THERE = ("flagged_by", "flagged_at")


def _unless_rejected(status: str) -> str:
    """Return what a row's status becomes: no mark, and no end of one, takes a rejection back."""
    return f"CASE r.moderation_status WHEN 'rejected' THEN 'rejected' ELSE '{status}' END"


@dataclass(frozen=True)
class _Mark(Act):
    table: ClassVar[sa.Table]

    def authorized(self, connection: sa.Connection, admin: str | None) -> Actor:
        """Return the acting admin; raises ConfigurationError where rows cannot be marked."""
        actor = super().authorized(connection, admin)
        live, name = probe(connection), qualified(self.table)
        if missing := [column for column in _NEEDED if not live.has(name, column)]:
            raise ConfigurationError(
                f"{self.naming.many} cannot be flagged in this database: {name}.{missing[0]} is missing",
                hint="the web panel's migrations bring the columns for moderation",
            )
        return actor

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (Touched(self.table, "r.id = t.id"),)

    def write(self, run: Run, values: dict[str, str], condition: str) -> None:
        """Set what there is a column for, in the targets' rows `r` that fulfil the condition."""
        has = {name for name in _WHERE_THERE if run.live.has(qualified(self.table), name)}
        given = ", ".join(
            f"{name} = {value}" for name, value in values.items() if name in has or name in _NEEDED
        )
        run.execute(
            f"UPDATE {qualified(self.table)} r SET {given} FROM targets t WHERE r.id = t.id AND ({condition})"
        )


@dataclass(frozen=True)
class _Flag(_Mark):
    severity = "warning"
    needs_reason = True

    def describe(self) -> str:
        return "flagged"

    def apply(self, run: Run) -> None:
        is_flagged = "r.is_flagged IS TRUE AND coalesce(r.moderation_status, '') IN ('flagged', 'rejected')"
        # Of one that is flagged already the reason changes, not since when.
        values = {
            "is_flagged": "true",
            "flagged_reason": ":reason",
            "moderation_status": _unless_rejected("flagged"),
            "flagged_by": ":actor",
            "flagged_at": f"CASE WHEN {is_flagged} THEN coalesce(r.flagged_at, now()) ELSE now() END",
        }
        self.write(run, values, f"NOT ({is_flagged}) OR r.flagged_reason IS DISTINCT FROM :reason")


@dataclass(frozen=True)
class _Unflag(_Mark):
    def describe(self) -> str:
        return "unflagged, and approved unless rejected"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        rejected = "r.moderation_status = 'rejected' AND r.is_flagged IS NOT TRUE"
        return (Refusal(rejected, "is rejected, and not flagged"),)

    def apply(self, run: Run) -> None:
        values = {
            "is_flagged": "false",
            "flagged_reason": "NULL",
            "moderation_status": _unless_rejected("approved"),
            "flagged_by": "NULL",
            "flagged_at": "NULL",
        }
        waiting = ", ".join(f"'{status}'" for status in WAITING)
        self.write(run, values, f"r.is_flagged OR r.moderation_status IN ({waiting})")


@dataclass(frozen=True)
class FlagAvatar(_Flag):
    """Mark avatars for a moderator."""

    name = "avatar.flag"
    naming = AVATAR
    table = avatars


@dataclass(frozen=True)
class UnflagAvatar(_Unflag):
    """Take the mark away, and approve what is not rejected."""

    name = "avatar.unflag"
    naming = AVATAR
    table = avatars


@dataclass(frozen=True)
class FlagImage(_Flag):
    """Mark images for a moderator."""

    name = "image.flag"
    naming = IMAGE
    table = generated_images


@dataclass(frozen=True)
class UnflagImage(_Unflag):
    """Take the mark away, and approve what is not rejected."""

    name = "image.unflag"
    naming = IMAGE
    table = generated_images
