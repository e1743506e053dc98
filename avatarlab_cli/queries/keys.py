"""Reports on the keys the platform issued, finding the key an argument names, and whose a leaked key is."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.naming import Found, Naming
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.api import api_request_logs, platform_api_keys
from avatarlab_cli.schema.live import demand_all_rows
from avatarlab_cli.schema.supabase import users

STATUSES = ("active", "inactive", "revoked", "expired")
# Before the former hash of a key that was revoked for good: no key has such a hash, and the former can be restored.
NEUTRALISED = "revoked:"
FORM = re.compile(rb"pk_live_[0-9a-f]{64}")
NOT_LOGGED = "only successful calls of four endpoints are logged, so no error rate can be known"

# More of a key than its stored prefix shows, or a hash.
_SECRET = re.compile(r"pk_live_\w{8}|[0-9a-f]{33}", re.IGNORECASE)


def key_name(text: str) -> str:
    """Return what a key is looked up by: the dots a prefix is shown with are no part of it.

    Raises UsageError for more of a key than its prefix, or its hash, without repeating it.
    """
    if _SECRET.search(text):
        raise UsageError(
            "a key itself is no name: the process list, a shell's history or a file has it now",
            hint="name it by UUID or prefix, or pipe it to `avatarlab key find --stdin`; revoke it if others saw it",
        )
    return text.strip().rstrip(".")


KEY = Naming(
    "key",
    "public.platform_api_keys",
    "public.platform_api_keys r",
    "r.id || ' (' || r.api_key_prefix || ')'",
    prefixes=("r.id::text", "r.api_key_prefix"),
    hint="name a key by its UUID, its prefix (pk_live_ab12), or three or more characters of one",
    read=key_name,
)
_BATCH = 10_000

keys = platform_api_keys
is_active: sa.ColumnElement[bool] = keys.c.status == "active"
is_past: sa.ColumnElement[bool] = keys.c.expires_at <= sa.func.now()
is_neutralised: sa.ColumnElement[bool] = keys.c.api_key_hash.startswith(NEUTRALISED)


def status_of(relation: sa.FromClause) -> sa.ColumnElement[str]:
    """Return what `status` shows of the keys in a relation: one that is active past its end is expired."""
    is_over = sa.and_(relation.c.status == "active", relation.c.expires_at <= sa.func.now())
    return sa.case((is_over, "expired"), else_=relation.c.status)


effective_status = status_of(keys)

COLUMNS = (
    Column("id", Kind.ID, "the key"),
    Column("email", help="its owner's e-mail address", null="-"),
    Column("name", help="what its owner calls it"),
    Column("prefix", help="how it begins"),
    Column("status", help="active, inactive, revoked, or expired: active past its end"),
    Column("last_used_at", Kind.TIME, "its last successful call", null="never"),
    Column("request_count", Kind.INTEGER, "successful calls as the key itself counts them"),
    Column("expires_at", Kind.TIME, "when it ends", null="never"),
    Column("user_id", Kind.ID, "its owner", wide=True),
    Column("scopes", help="what it may be used for", wide=True, null="-"),
    Column("avatar_id", Kind.ID, "the only avatar it is for", wide=True, null="-"),
    Column("created_at", Kind.TIME, "when it was issued", wide=True),
    Column("updated_at", Kind.TIME, "when its row last changed", wide=True),
    Column("is_neutralised", Kind.BOOLEAN, "revoked for good: no key fits its hash any more", wide=True),
    Column("description", help="what its owner notes", wide=True, null="-"),
)
_SELECT = sa.select(
    keys.c.id,
    users.c.email,
    keys.c.key_name.label("name"),
    keys.c.api_key_prefix.label("prefix"),
    effective_status.label("status"),
    keys.c.last_used_at,
    keys.c.request_count,
    keys.c.expires_at,
    keys.c.user_id,
    sa.func.array_to_string(keys.c.scopes, ",").label("scopes"),
    keys.c.avatar_id,
    keys.c.created_at,
    keys.c.updated_at,
    is_neutralised.label("is_neutralised"),
    keys.c.description,
).select_from(keys.outerjoin(users, users.c.id == keys.c.user_id))

FOUND_COLUMNS = (
    Column("line", Kind.INTEGER, "where it stood in the input"),
    Column("id", Kind.ID, "the key", null="-"),
    Column("email", help="its owner's e-mail address", null="-"),
    Column("prefix", help="how it begins, where it is known", null="-"),
    Column("status", help="as `key list` shows it, or unknown, or malformed: no key of the platform"),
    Column("is_neutralised", Kind.BOOLEAN, "revoked for good", null="-"),
    Column("user_id", Kind.ID, "its owner", wide=True, null="-"),
)


@dataclass(frozen=True)
class KeyFilter:
    """Which keys a list is about; None leaves a side open."""

    owner: UserName | None = None
    status: str | None = None
    unused_since: datetime | None = None
    expires_before: datetime | None = None

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """Yield what a key of the list fulfils; raises UsageError for a status no key has."""
        if self.owner is not None:
            yield keys.c.user_id == self.owner.id
        if self.status is not None:
            if self.status not in STATUSES:
                raise UsageError(f"{self.status!r} is not a status", hint=f"statuses: {', '.join(STATUSES)}")
            yield effective_status == self.status
        if self.unused_since is not None:
            # A key that was never used is as old as it is.
            yield sa.func.coalesce(keys.c.last_used_at, keys.c.created_at) < self.unused_since
        if self.expires_before is not None:
            yield keys.c.expires_at < self.expires_before


def listed(which: KeyFilter) -> Report:
    """Report the keys, the latest issued first; raises UsageError for a status no key has."""
    return Report(
        _SELECT.where(*which.conditions()), COLUMNS, sort="-created_at", empty="There is no such key."
    )


def show(key: Found) -> Report:
    """Report everything about one key but its hash."""
    return Report(_SELECT.where(keys.c.id == key.id), COLUMNS, single=True)


def usage(connection: sa.Connection, key: Found, since: datetime, until: datetime | None) -> Report:
    """Report a key's logged requests by day and endpoint, from the beginning of the day `since` lies in."""
    logs = api_request_logs
    own = logs.c.api_key_id == key.id
    undated = connection.scalar(sa.select(sa.func.count()).where(own, logs.c.created_at.is_(None)))
    lost = f"logged requests of this key without a time, and so on no day: {undated}"
    day = sa.cast(sa.func.timezone("UTC", logs.c.created_at), sa.Date).label("day")
    first = datetime.combine(since.astimezone(UTC), time(), UTC)
    select = sa.select(day, logs.c.endpoint, logs.c.method, sa.func.count().label("requests"))
    if until is not None:
        select = select.where(logs.c.created_at < until)
    return Report(
        select.where(own, logs.c.created_at >= first).group_by(day, logs.c.endpoint, logs.c.method),
        (
            Column("day", Kind.DATE, "the day, UTC"),
            Column("endpoint", help="what was called"),
            Column("method", help="and how"),
            Column("requests", Kind.INTEGER, "successful calls that are logged"),
        ),
        sort="-day,endpoint,method",
        empty="No request of this key is logged for these days.",
        notes=(NOT_LOGGED, lost) if undated else (NOT_LOGGED,),
    )


def find_owners(connection: sa.Connection, lines: Iterable[bytes]) -> Iterator[dict[str, object]]:
    """Tell of each line that is not empty whose key it is, by the hash: nothing of the key reaches the database.

    Raises NotPermittedError where row security hides keys or owners.
    """
    demand_all_rows(connection, [KEY.table, users.fullname])
    numbered = ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())
    while batch := list(islice(numbered, _BATCH)):
        yield from _owners(connection, batch)


def _owners(connection: sa.Connection, batch: list[tuple[int, bytes]]) -> list[dict[str, object]]:
    hashes = {number: hashlib.sha256(key).hexdigest() for number, key in batch if FORM.fullmatch(key)}
    asked = {"lines": list(hashes), "hashes": list(hashes.values())}
    found = {row["line"]: dict(row) for row in connection.execute(_ASKED, asked).mappings()}
    nothing = dict.fromkeys(column.name for column in FOUND_COLUMNS)
    return [
        found.get(number)
        or {**nothing, "line": number, "status": "unknown" if number in hashes else "malformed"}
        for number, _ in batch
    ]


def _asked() -> sa.Select[Any]:
    numbers = sa.bindparam("lines", type_=postgresql.ARRAY(sa.Integer))
    hashes = sa.bindparam("hashes", type_=postgresql.ARRAY(sa.Text))
    columns = (sa.column("line", sa.Integer), sa.column("hash", sa.Text))
    asked = sa.func.unnest(numbers, hashes).table_valued(*columns, name="asked").render_derived()
    fits = keys.c.api_key_hash.in_([asked.c.hash, NEUTRALISED + asked.c.hash])
    return sa.select(
        asked.c.line,
        keys.c.id,
        users.c.email,
        keys.c.api_key_prefix.label("prefix"),
        effective_status.label("status"),
        is_neutralised.label("is_neutralised"),
        keys.c.user_id,
    ).select_from(asked.join(keys, fits).outerjoin(users, users.c.id == keys.c.user_id))


_ASKED = _asked()
