"""Who may do what: the permission each command asks for, and those a role can hold at most.

A permission is `area.right`, as in the column `permissions` of admin_users: {"users": {"read": true, ...}, ...}.
"""

from collections.abc import Mapping
from typing import Any

AREAS = ("tiers", "users", "avatars", "settings", "financial", "moderation")
RIGHTS = ("read", "write", "delete")
PERMISSIONS = tuple(f"{area}.{right}" for area in AREAS for right in RIGHTS)
SUPER_ADMIN = "super_admin"
# The most powerful first.
ROLES = (SUPER_ADMIN, "admin", "moderator", "support", "analyst")

_READ = frozenset(f"{area}.read" for area in AREAS)
_CARE = frozenset({"users.read", "users.write", "avatars.read", "tiers.read", "moderation.read"})
CEILINGS: Mapping[str, frozenset[str]] = {
    SUPER_ADMIN: frozenset(PERMISSIONS),
    "admin": frozenset(PERMISSIONS),
    "moderator": _CARE | {"avatars.write", "avatars.delete", "moderation.write", "moderation.delete"},
    "support": _CARE,
    "analyst": _READ,
}
"""What a role can hold at most; what one admin does hold, the column says. A super_admin holds everything."""

STANDARD: Mapping[str, frozenset[str]] = {
    **CEILINGS,
    "admin": frozenset(PERMISSIONS) - {"settings.write", "settings.delete", "tiers.delete"},
}
"""What a new admin of a role is given."""

# The database's own rights decide on the commands that are not here; `audit undo` also asks for what it undoes.
COMMANDS: Mapping[str, str] = {
    "user list": "users.read",
    "user show": "users.read",
    "user activity": "users.read",
    "user sessions": "users.read",
    "user duplicates": "users.read",
    "user inactive": "users.read",
    "user suspend": "users.write",
    "user activate": "users.write",
    "user ban": "users.write",
    "user unban": "users.write",
    "user export": "users.delete",
    "user delete": "users.delete",
    "tier list": "tiers.read",
    "tier show": "tiers.read",
    "tier limits": "tiers.read",
    "tier check": "tiers.read",
    "tier findings": "tiers.read",
    "tier diff": "tiers.read",
    "tier requests list": "tiers.read",
    "tier distribution": "financial.read",
    "tier what-if": "financial.read",
    "tier create": "tiers.write",
    "tier update": "tiers.write",
    "tier apply": "tiers.write",
    "tier archive": "tiers.delete",
    "tier set": "tiers.write",
    "tier cancel": "tiers.write",
    "tier trial start": "tiers.write",
    "tier trial extend": "tiers.write",
    "tier override": "tiers.write",
    "tier requests approve": "tiers.write",
    "tier requests reject": "tiers.write",
    "tier repair": "tiers.write",
    "tier enforce": "users.write",
    "key list": "users.read",
    "key show": "users.read",
    "key usage": "users.read",
    "key audit": "users.read",
    "key find": "users.read",
    "key provider list": "users.read",
    "key provider audit": "users.read",
    "key create": "users.delete",
    "key revoke": "users.write",
    "key rotate": "users.delete",
    "key expire": "users.write",
    "admin list": "settings.read",
    "admin permissions": "settings.read",
    "admin add": "settings.write",
    "admin role": "settings.write",
    "admin grant": "settings.write",
    "admin withdraw": "settings.write",
    "admin map": "settings.write",
    "admin deactivate": "settings.delete",
    "audit list": "settings.read",
    "audit show": "settings.read",
    "audit export": "settings.read",
    "audit verify": "settings.read",
    "audit undo": "users.write",
    "usage show": "users.read",
    "usage top": "users.read",
    "usage month": "users.read",
    "usage explain": "users.read",
    "usage adjustments": "users.read",
    "usage as-known-at": "users.read",
    "period list": "users.read",
    "period check": "users.read",
    "period close": "financial.write",
    "period reopen": "financial.write",
    "storage summary": "users.read",
    "storage users": "users.read",
    "storage user": "users.read",
    "storage buckets": "users.read",
    "storage tables": "settings.read",
    "storage top": "users.read",
    "storage orphans": "users.read",
    "storage missing": "users.read",
    "storage growth": "users.read",
    "storage quota": "users.read",
    "storage duplicates": "users.read",
    "cost report": "financial.read",
    "cost user": "financial.read",
    "cost top": "financial.read",
    "cost explain": "financial.read",
    "cost unpriced": "financial.read",
    "cost forecast": "financial.read",
    "cost anomalies": "financial.read",
    "cost margin": "financial.read",
    "cost budget check": "financial.read",
    "cost reprice": "financial.write",
    "voice summary": "users.read",
    "voice clones": "users.read",
    "voice tts": "users.read",
    "voice samples": "users.read",
    "voice storage": "users.read",
    "training summary": "avatars.read",
    "training jobs": "avatars.read",
    "training errors": "avatars.read",
    "training logs": "avatars.read",
    "training files": "avatars.read",
    "training stale": "avatars.read",
    "training examples": "avatars.read",
    "training prompts": "avatars.read",
    "conversation summary": "users.read",
    "conversation volume": "users.read",
    "conversation feedback": "users.read",
    "conversation quality": "users.read",
    "conversation patterns": "users.read",
    "conversation search": "moderation.write",
    "rag summary": "users.read",
    "rag searches": "users.read",
    "rag chunks": "users.read",
    "rag files": "users.read",
    "rag slow": "users.read",
    "api endpoints": "users.read",
    "avatar summary": "avatars.read",
    "avatar list": "avatars.read",
    "avatar due": "avatars.read",
    "avatar queue": "moderation.read",
    "avatar flag": "moderation.write",
    "avatar unflag": "moderation.write",
    "image summary": "avatars.read",
    "image volume": "avatars.read",
    "image videos": "avatars.read",
    "image stuck": "avatars.read",
    "image list": "avatars.read",
    "image queue": "moderation.read",
    "image flag": "moderation.write",
    "image unflag": "moderation.write",
    "memory summary": "avatars.read",
    "memory list": "avatars.read",
    "marketplace summary": "financial.read",
    "marketplace list": "avatars.read",
    "marketplace purchases": "financial.read",
    "api summary": "users.read",
    "api keys": "users.read",
    "api users": "users.read",
    "api unusual": "users.read",
    "api gaps": "users.read",
    "overview": "financial.read",
    "system health": "settings.read",
    "system logs": "settings.read",
    "stats show": "financial.read",
    "stats trend": "financial.read",
    "stats mrr": "financial.read",
    "stats churn": "financial.read",
    "stats cohorts": "financial.read",
    "cost rates show": "financial.read",
    "cost rates diff": "financial.read",
    "system prune": "settings.delete",
    "job run": "settings.write",
    "job verify": "settings.write",
    "job backfill": "settings.write",
    "job gaps": "settings.read",
    "job history": "settings.read",
    "job show": "settings.read",
    "job status": "settings.read",
    "job metrics": "settings.read",
}


def holds(role: str, column: object, permission: str) -> bool:
    """Tell whether an admin of this role, with this `permissions` column, holds the permission."""
    if role == SUPER_ADMIN:
        return True
    area, right = permission.split(".")
    granted = column.get(area) if isinstance(column, Mapping) else None
    is_granted = isinstance(granted, Mapping) and granted.get(right) is True
    return is_granted and permission in CEILINGS.get(role, frozenset())


def column_of(permissions: frozenset[str]) -> dict[str, Any]:
    """Return the `permissions` column that grants exactly these."""
    return {area: {right: f"{area}.{right}" in permissions for right in RIGHTS} for area in AREAS}


def rank(role: str) -> int:
    """Return a role's place, 0 the most powerful."""
    return ROLES.index(role)
