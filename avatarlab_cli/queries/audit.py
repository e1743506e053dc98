"""Reports on the audit log: what admins did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.errors import NotFoundError, UsageError
from avatarlab_cli.queries.naming import USER, Found, find
from avatarlab_cli.queries.never_null import never_null
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.admin import admin_audit_logs, admin_users, subscription_tiers, user_subscriptions
from avatarlab_cli.schema.api import platform_api_keys
from avatarlab_cli.schema.commerce import tier_upgrade_requests
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.supabase import users

SEVERITIES = ("info", "warning", "critical")

entries = admin_audit_logs
_OWN = (
    Column("id", Kind.ID, "the entry", wide=True),
    Column("seq", Kind.INTEGER, "its number, by which it can be named too"),
    Column("created_at", Kind.TIME, "when it was done"),
    Column("admin", Kind.TEXT, "who did it", null="-"),
    Column("action", Kind.TEXT, "what was done: the command with a dot"),
    Column("resource_type", Kind.TEXT, "to what kind of thing", wide=True),
    Column("resource", Kind.TEXT, "to which: its name, else its id", null="-"),
    Column("description", Kind.TEXT, "what was done, in words", null="-"),
    Column("justification", Kind.TEXT, "why, as the admin wrote it", null="-"),
    Column("severity", Kind.TEXT, ", ".join(SEVERITIES), wide=True),
    Column("is_undone", Kind.BOOLEAN, "whether it was taken back"),
    Column("batch", Kind.TEXT, "the command all of whose entries share this", wide=True, null="-"),
    Column("resource_id", Kind.TEXT, "the id of what it was done to", wide=True, null="-"),
    Column("host", Kind.TEXT, "the machine it was done on", wide=True, null="-"),
    Column("os_user", Kind.TEXT, "that machine's user", wide=True, null="-"),
)
_MORE = (
    Column("ip_address", Kind.TEXT, "where the database was reached from", null="-"),
    Column("user_agent", Kind.TEXT, "the program", null="-"),
    Column("undone_by", Kind.TEXT, "the entry that took it back", null="-"),
    Column("prev_hash", Kind.TEXT, "the hash of the entry before", null="-"),
    Column("hash", Kind.TEXT, "its own, which covers that one", null="-"),
)
COLUMNS = (*_OWN, *_MORE, Column("changes", Kind.JSON, "the rows it changed, before and after", null="-"))
_KINDS = {"seq": Kind.INTEGER, "created_at": Kind.TIME, "changes": Kind.JSON, "id": Kind.ID}
_EXPORTED = tuple(Column(column.name, _KINDS.get(column.name, Kind.TEXT), null="-") for column in entries.c)

_actor, _actor_user = admin_users.alias("actor"), users.alias("actor_user")
_admin, _admin_user = admin_users.alias("admin"), users.alias("admin_user")
_request_user, _request_tier = users.alias("request_user"), subscription_tiers.alias("request_tier")
_requests = tier_upgrade_requests
# What an entry may be about, and what such a thing is called.
_LABELS = {
    "user": (users, users.c.id, users.c.email),
    "tier": (subscription_tiers, subscription_tiers.c.id, subscription_tiers.c.name),
    "admin": (
        _admin.join(_admin_user, _admin_user.c.id == _admin.c.user_id),
        _admin.c.id,
        _admin_user.c.email,
    ),
    "key": (platform_api_keys, platform_api_keys.c.id, platform_api_keys.c.api_key_prefix),
    "request": (
        _requests.join(_request_user, _request_user.c.id == _requests.c.user_id).join(
            _request_tier, _request_tier.c.id == _requests.c.requested_tier_id
        ),
        _requests.c.id,
        _request_user.c.email + " to " + _request_tier.c.name,
    ),
}
# Of these not every database has the table.
_OPTIONAL = {"key": platform_api_keys.name, "request": _requests.name}
# An entry of the web panel's may hold anything under the same names. A row is told by its key where that is not
# the id of what the whole entry is about.
_VALUES = """
    SELECT concat(replace(c.row ->> 'table', 'public.', ''), '[' || nullif(keys.text, e.resource_id::text) || ']',
                  '.', v.name) AS name,
           concat(coalesce(v.before, 'null'), ' -> ', coalesce(v.after, 'null')) AS change
    FROM public.admin_audit_logs e
    CROSS JOIN LATERAL jsonb_path_query(e.changes, 'lax $.rows[*] ? (
        @.table.type() == "string" && @.key.type() == "object"
        && (@.before.type() == "object" || @.before.type() == "null")
        && (@.after.type() == "object" || @.after.type() == "null"))') WITH ORDINALITY AS c (row, position)
    CROSS JOIN LATERAL (
        SELECT string_agg(value, ' ' ORDER BY name) AS text FROM jsonb_each_text(c.row -> 'key') AS k (name, value)
    ) AS keys
    CROSS JOIN LATERAL (
        SELECT name, b.value AS before, a.value AS after
        FROM jsonb_each(nullif(c.row -> 'before', 'null')) AS b (name, value)
        FULL JOIN jsonb_each(nullif(c.row -> 'after', 'null')) AS a (name, value) USING (name)
    ) AS v
    WHERE e.id = :id AND coalesce(v.before, 'null') <> coalesce(v.after, 'null')
    ORDER BY c.position, v.name
"""


@dataclass(frozen=True)
class EntryFilter:
    """Which entries a list is about; None leaves a side open.

    `target` is a user's id: entries about the account, and about its keys, subscriptions, requests and rights as
    an admin. `action` is a whole one (user.ban), or its noun alone.
    """

    admin: Found | None = None
    target: UUID | None = None
    action: str | None = None
    batch: UUID | None = None
    severity: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, live: LiveSchema) -> Iterator[sa.ColumnElement[bool]]:
        """Yield what an entry of the list fulfils; raises UsageError for a severity there is not."""
        if self.admin is not None:
            yield entries.c.admin_user_id == self.admin.id
        if self.target is not None:
            yield entries.c.resource_id.in_(belongings(self.target, live))
        if self.action is not None:
            is_of_noun = entries.c.action.startswith(f"{self.action}.", autoescape=True)
            yield sa.or_(entries.c.action == self.action, is_of_noun)
        if self.batch is not None:
            yield entries.c.batch_id == self.batch
        if self.severity is not None:
            if self.severity not in SEVERITIES:
                raise UsageError(
                    f"{self.severity!r} is not a severity", hint=f"severities: {', '.join(SEVERITIES)}"
                )
            yield entries.c.severity == self.severity
        yield from _within(self.since, self.until)


def listed(which: EntryFilter, live: LiveSchema) -> Report:
    """Report the entries, the latest first; raises UsageError for a severity there is not."""
    select = _described(_OWN, live).where(*which.conditions(live))
    return Report(
        select,
        _OWN,
        sort="-seq",
        never_null=never_null(select, live),
        empty="No act is recorded, or none that fits.",
    )


def show(entry: Found, live: LiveSchema) -> Report:
    """Report everything about one entry."""
    return Report(_described(COLUMNS, live).where(entries.c.id == entry.id), COLUMNS, single=True)


def exported(since: datetime | None, until: datetime | None) -> Report:
    """Report whole entries as they are stored, the oldest first, so that the chain can be verified elsewhere."""
    select = sa.select(entries).where(*_within(since, until))
    return Report(select, _EXPORTED, sort="seq", empty="There is no entry.")


def changes(connection: sa.Connection, entry: Found) -> list[tuple[str, str]]:
    """Return each value the entry's act changed: what it is called, and what it was and became."""
    return [tuple(row) for row in connection.execute(sa.text(_VALUES), {"id": entry.id})]


def whole(connection: sa.Connection, entry: Found) -> dict[str, Any]:
    """Return everything about one entry, but of its changes only what `changes` does not return."""
    facts = sa.case(
        (
            sa.func.jsonb_typeof(entries.c.changes) == "object",
            sa.func.nullif(entries.c.changes.op("-")("rows"), sa.text("'{}'::jsonb")),
        ),
        else_=entries.c.changes,
    )
    columns = [column for column in COLUMNS if column.name != "changes"]
    select = _described(columns, probe(connection)).add_columns(facts.label("changes"))
    return dict(connection.execute(select.where(entries.c.id == entry.id)).mappings().one())


def find_target(connection: sa.Connection, name: str) -> UUID:
    """Return the id of the user called `name`; of an account that is gone the UUID will do.

    Raises NotFoundError where nobody fits, UsageError where several do.
    """
    try:
        return find(connection, USER, name).id
    except NotFoundError:
        try:
            return UUID(name)
        except ValueError:
            pass
        raise


def _within(since: datetime | None, until: datetime | None) -> Iterator[sa.ColumnElement[bool]]:
    if since is not None:
        yield entries.c.created_at >= since
    if until is not None:
        yield entries.c.created_at < until


def belongings(user: UUID, live: LiveSchema) -> sa.CompoundSelect[Any]:
    """Select the ids of a user and of what is the user's."""
    tables = [admin_users, user_subscriptions, platform_api_keys, tier_upgrade_requests]
    own = [
        sa.select(table.c.id).where(table.c.user_id == user) for table in tables if live.has(table.fullname)
    ]
    return sa.union_all(sa.select(sa.literal(user)), *own)


def _described(columns: Sequence[Column], live: LiveSchema) -> sa.Select[Any]:
    """Select these columns, with the names of admins and of what the entries are about."""
    missing = {kind for kind, table in _OPTIONAL.items() if not live.has(table)}
    labels = {kind: label for kind, label in _LABELS.items() if kind not in missing}
    label = sa.case(
        *((entries.c.resource_type == kind, name) for kind, (_, _, name) in labels.items()),
        else_=sa.null(),
    )
    special: dict[str, sa.ColumnElement[Any]] = {
        "admin": sa.func.coalesce(_actor_user.c.email, sa.cast(entries.c.admin_user_id, sa.Text)),
        "resource": sa.func.coalesce(label, sa.cast(entries.c.resource_id, sa.Text)),
        "is_undone": entries.c.undone_by.is_not(None),
        "batch": entries.c.batch_id,
        "host": entries.c.actor_host,
        "os_user": entries.c.actor_os_user,
    }
    source = entries.outerjoin(_actor, _actor.c.id == entries.c.admin_user_id)
    source = source.outerjoin(_actor_user, _actor_user.c.id == _actor.c.user_id)
    for kind, (table, key, _) in labels.items():
        is_it = sa.and_(entries.c.resource_type == kind, key == entries.c.resource_id)
        source = source.outerjoin(table, is_it)
    shown = special | {column.name: column for column in entries.c}
    return sa.select(*(shown[column.name].label(column.name) for column in columns)).select_from(source)


def standing(connection: sa.Connection, batch: str) -> list[str]:
    """Return the ids of a batch's entries that were not undone, the newest first: the order of undoing.

    Raises UsageError for what is no id, NotFoundError where nothing of such a batch is left to undo.
    """
    try:
        of_batch = entries.c.batch_id == UUID(batch)
    except ValueError:
        raise UsageError(f"{batch!r} is not the id of a batch", hint=_BATCHES) from None
    found = sa.select(sa.cast(entries.c.id, sa.Text)).where(of_batch, entries.c.undone_by.is_(None))
    ids = list(connection.scalars(found.order_by(entries.c.seq.desc())))
    if not ids:
        raise NotFoundError(f"there is nothing to undo of a batch {batch!r}", hint=_BATCHES)
    return ids


_BATCHES = "`avatarlab audit list --fields batch,seq,action,is_undone` shows them"
