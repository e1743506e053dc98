"""Which limits apply to a user today, and which of them the user's figures exceed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeGuard
from uuid import UUID

from tests.reference.source import Row, Source
from tests.reference.subscriptions import current_subscriptions, effective_tiers, override_of

MAX_AVATARS = "max_avatars"


@dataclass(frozen=True)
class Limits:
    """The limits of every account as of one day, and how many avatars each has."""

    by_user: Mapping[UUID, Mapping[str, int]]
    avatars: Mapping[UUID, int]

    def exceeded(self, user: UUID, figures: Mapping[str, int | None]) -> dict[str, dict[str, int]]:
        """Return the exceeded limits by name; a figure that is not available exceeds nothing."""
        return {
            name: {"value": value, "limit": limit}
            for name, limit in self.by_user.get(user, {}).items()
            if (value := figures.get(name)) is not None and value > limit
        }


def limits_on(source: Source, today: date) -> Limits:
    """Return the limits in force today."""
    subscriptions = current_subscriptions(source, today)
    return Limits(
        {
            user: _applying(tier, override_of(subscriptions.get(user), today))
            for user, tier in effective_tiers(source, today).items()
        },
        _avatars_not_deleted(source),
    )


def _applying(tier: Row | None, override: Mapping[str, object]) -> dict[str, int]:
    named = {} if tier is None else _limits_of(tier)
    # An override wins even where it is malformed: it then is no limit, as any malformed limit.
    return {name: limit for name, limit in {**named, **override}.items() if _is_limit(limit)}


def _limits_of(tier: Row) -> dict[str, object]:
    given = tier["limits"] if isinstance(tier.get("limits"), dict) else {}
    return {**given, MAX_AVATARS: tier.get(MAX_AVATARS)}


def _is_limit(limit: object) -> TypeGuard[int]:
    # -1 means unlimited, which is no limit either.
    return isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0


def _avatars_not_deleted(source: Source) -> dict[UUID, int]:
    counts: dict[UUID, int] = {}
    for avatar in source.rows_if_any("avatars", "user_id", "status"):
        if avatar["status"] != "deleted":
            counts[avatar["user_id"]] = counts.get(avatar["user_id"], 0) + 1
    return counts
