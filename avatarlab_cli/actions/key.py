"""Keys the platform issues: made, revoked for good, replaced, and ended."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.admin import admin_above
from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.account_status import status, status_of
from avatarlab_cli.queries.keys import KEY, NEUTRALISED
from avatarlab_cli.queries.naming import USER, Naming
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema.api import platform_api_keys

SCOPES = ("chat", "config", "knowledge")
# Such a revocation lasts: the owner may set the status back, but no key has this hash.
REVOKED = f"""
    status = 'revoked', expires_at = least(r.expires_at, now()),
    api_key_hash = CASE WHEN starts_with(r.api_key_hash, '{NEUTRALISED}') THEN '' ELSE '{NEUTRALISED}' END || r.api_key_hash
"""
IS_REVOKED = f"""
    (r.status IS NOT DISTINCT FROM 'revoked' AND starts_with(r.api_key_hash, '{NEUTRALISED}')
     AND coalesce(r.expires_at <= now(), false))
"""

_START = "pk_live_"
_PREFIX_LENGTH = 15
_NEW_KEY = "CAST(t.facts ->> 'new_key' AS uuid)"
_OF_KEY = Touched(platform_api_keys, "r.id = t.id")
# A new key is shown by the command that makes it, and kept nowhere.
_NEW = (
    Column("key_id", Kind.ID, "the new key", null="-"),
    Column("api_key", help="the new key itself", null="-"),
)
_WORKS = f"""
    (r.status IS NOT DISTINCT FROM 'active' AND coalesce(r.expires_at > now(), true)
     AND NOT starts_with(r.api_key_hash, '{NEUTRALISED}'))
"""


@dataclass(frozen=True)
class Create(Act):
    """Make a key for a user, as the platform makes them."""

    name = "key.create"
    repeats = True
    shows_once = "api_key"
    naming = USER
    resource = "key"
    severity = "warning"
    columns = _NEW
    key_name: str = ""
    scopes: tuple[str, ...] = SCOPES
    avatar: UUID | None = None
    expires: datetime | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for a key without a name or scope, or with one the platform does not know."""
        if not self.key_name.strip():
            raise UsageError("a key needs a name")
        if not self.scopes:
            raise UsageError("a key without a scope is of no use", hint=f"scopes: {', '.join(SCOPES)}")
        for scope in self.scopes:
            if scope not in SCOPES:
                raise UsageError(f"{scope!r} is not a scope", hint=f"scopes: {', '.join(SCOPES)}")

    def describe(self) -> str:
        return f"made a key {self.key_name!r} for {', '.join(self.scopes)}"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        foreign = """
            CAST(:avatar AS uuid) IS NOT NULL AND NOT EXISTS (
                SELECT FROM public.avatars a
                WHERE a.id = :avatar AND a.user_id = t.id AND a.status IS DISTINCT FROM 'deleted')
        """
        return (
            admin_above(run, "r.id"),
            _not_active(status(run.live), "has an account that is %s"),
            Refusal(foreign, "has no such avatar"),
        )

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (Touched(platform_api_keys, "r.id = t.resource_id"),)

    def apply(self, run: Run) -> None:
        run.execute("UPDATE targets SET resource_id = gen_random_uuid()")
        columns = "r.id, :key_name, CAST(:scopes AS text[]), CAST(:avatar AS uuid), :expires, :description"
        _issue(run, self.naming, "t.resource_id", columns, scopes=list(self.scopes))


@dataclass(frozen=True)
class Revoke(Act):
    """Revoke keys in a way their owners cannot take back."""

    name = "key.revoke"
    naming = KEY
    severity = "warning"
    needs_reason = True

    def describe(self) -> str:
        return "revoked for good"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return (admin_above(run, "r.user_id"),)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_OF_KEY,)

    def apply(self, run: Run) -> None:
        _revoke(run)


@dataclass(frozen=True)
class Rotate(Act):
    """Replace keys by new ones of the same use and end; the former work for some hours more."""

    name = "key.rotate"
    repeats = True
    shows_once = "api_key"
    naming = KEY
    severity = "warning"
    columns = _NEW
    grace_hours: int = 0

    def describe(self) -> str:
        if not self.grace_hours:
            return "replaced, and revoked for good"
        return f"replaced; the former key works for {self.grace_hours} hours more"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        # Whoever bans an owner meanwhile waits until the keys are made, or is waited for.
        run.execute("""
            SELECT 1 FROM auth.users WHERE id IN (
                SELECT k.user_id FROM public.platform_api_keys k JOIN act_items t USING (id))
            ORDER BY id FOR SHARE
        """)
        return (
            admin_above(run, "r.user_id"),
            Refusal(f"NOT {_WORKS}", "does not work any more, so there is nothing to replace"),
            _not_active(status_of(run.live, "r.user_id"), "belongs to an account that is %s"),
        )

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_OF_KEY, Touched(platform_api_keys, f"r.id = {_NEW_KEY}"))

    def apply(self, run: Run) -> None:
        run.execute("UPDATE targets SET facts = jsonb_build_object('new_key', gen_random_uuid())")
        columns = "r.user_id, r.key_name, r.scopes, r.avatar_id, r.expires_at, r.description"
        _issue(run, self.naming, _NEW_KEY, columns)
        if self.grace_hours:
            _end(run, "least(r.expires_at, now() + make_interval(hours => :grace_hours))")
        else:
            _revoke(run)


@dataclass(frozen=True)
class Expire(Act):
    """Let keys end at a time, now by default; what has ended stays so."""

    name = "key.expire"
    naming = KEY
    at: datetime | None = None

    def describe(self) -> str:
        return "ended" if self.at is None else f"ends at {self.at:%Y-%m-%dT%H:%M:%SZ}"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        is_revoked = f"r.status = 'revoked' OR starts_with(r.api_key_hash, '{NEUTRALISED}')"
        would_work_again = "r.expires_at <= now() AND CAST(:at AS timestamptz) > r.expires_at"
        return (
            admin_above(run, "r.user_id"),
            Refusal(is_revoked, "is revoked; `avatarlab key create` makes another"),
            Refusal(would_work_again, "has ended already; `avatarlab key create` makes another"),
        )

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_OF_KEY,)

    def apply(self, run: Run) -> None:
        # Without a time, what ended already did so when it did.
        _end(run, "coalesce(CAST(:at AS timestamptz), least(r.expires_at, now()))")


def _not_active(owner: str, message: str) -> Refusal:
    return Refusal(f"{owner} <> 'active'", message, values=(owner,))


def _issue(run: Run, naming: Naming, identity: str, columns: str, **bound: object) -> None:
    """Insert a key for each target, and reveal it; SQL says what its id and other columns are, of `t` and `r`."""
    ids = {row.item: row.id for row in run.execute(f"SELECT t.item, {identity} AS id FROM targets t")}
    made = {item: f"{_START}{secrets.token_hex(32)}" for item in ids}
    run.execute(
        f"""
        INSERT INTO public.platform_api_keys (id, api_key_hash, api_key_prefix,
                                              user_id, key_name, scopes, avatar_id, expires_at, description)
        SELECT {identity}, n.hash, n.prefix, {columns}
        FROM unnest(CAST(:items AS bigint[]), CAST(:hashes AS text[]), CAST(:prefixes AS text[])) AS n (item, hash, prefix)
        JOIN targets t USING (item) JOIN {naming.rows} ON r.id = t.id
        """,
        items=list(made),
        hashes=[hashlib.sha256(key.encode()).hexdigest() for key in made.values()],
        prefixes=[f"{key[:_PREFIX_LENGTH]}..." for key in made.values()],
        **bound,
    )
    run.revealed.update({item: {"key_id": str(ids[item]), "api_key": key} for item, key in made.items()})


def _revoke(run: Run) -> None:
    run.execute(
        f"UPDATE public.platform_api_keys r SET {REVOKED} FROM targets t WHERE r.id = t.id AND NOT {IS_REVOKED}"
    )


def _end(run: Run, moment: str) -> None:
    run.execute(
        f"""
        UPDATE public.platform_api_keys r SET expires_at = {moment}
        FROM targets t WHERE r.id = t.id AND r.expires_at IS DISTINCT FROM {moment}
        """
    )
