"""The audit log as its entries' rows, and what their hashes must be, computed apart from the database."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import sqlalchemy as sa
from psycopg.types.json import set_json_loads

from avatarlab_cli.actions.act import Act, Item, Outcome
from avatarlab_cli.actions.batch import carry_out_all
from avatarlab_cli.actions.engine import Order
from avatarlab_cli.audit_chain import Anchor, verify
from avatarlab_cli.database import Database

HASHED = (
    *("seq", "id", "admin_user_id", "action", "resource_type", "resource_id", "description", "changes"),
    *("ip_address", "user_agent", "justification", "severity", "created_at", "batch_id"),
    *("actor_host", "actor_os_user"),
)
# With triggers and foreign keys off, as a superuser can have them.
UNGUARDED = "SET LOCAL session_replication_role = replica"
ROOT = UUID(int=0xADA)
ROOT_EMAIL = "root@example.com"
Row = dict[str, Any]


def enrol(conninfo: str, *others: tuple[UUID, str, str]) -> None:
    """Make a super_admin of ROOT, and admins of others: user, e-mail address, role."""
    with psycopg.connect(conninfo) as connection:
        for user, email, role in ((ROOT, ROOT_EMAIL, "super_admin"), *others):
            connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, email])
            connection.execute("INSERT INTO admin_users (user_id, role) VALUES (%s, %s)", [user, role])


def sign_up(conninfo: str, count: int) -> list[str]:
    """Add so many users with their profiles; returns their e-mail addresses."""
    emails = [f"user{number}@example.com" for number in range(count)]
    with psycopg.connect(conninfo) as connection:
        for email in emails:
            user = uuid4()
            connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, email])
            connection.execute(
                "INSERT INTO profiles (id, email) VALUES (%s, %s) ON CONFLICT DO NOTHING", [user, email]
            )
    return emails


def act(
    conninfo: str,
    what: Act,
    names: Iterable[str],
    reason: str | None = "a test",
    admin: str | None = ROOT_EMAIL,
) -> list[Outcome]:
    """Do something to each of these, as ROOT unless another is named."""
    items = [Item(number, name) for number, name in enumerate(names, start=1)]
    order = Order(admin, reason, uuid4())
    return [outcome for some in carry_out_all(Database(conninfo), what, items, order) for outcome in some]


def log(conninfo: str) -> list[Row]:
    """Return every entry, oldest first; numbers in changes keep their digits."""
    with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
        set_json_loads(lambda text: json.loads(text, parse_float=Decimal), connection)
        return connection.execute("SELECT * FROM admin_audit_logs ORDER BY seq").fetchall()


def entry_hash(previous: str, entry: Mapping[str, Any]) -> str:
    """Return the hash an entry must have after `previous`."""
    content = f"[{', '.join(written(entry[name]) for name in HASHED)}]"
    return hashlib.sha256(f"{previous}\n{content}".encode()).hexdigest()


def opening_hash(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return what a chain begins with after these entries."""
    return hashlib.sha256("".join(entry_hash("", entry) for entry in entries).encode()).hexdigest()


def head(conninfo: str) -> tuple[int, str]:
    """Return number and hash of the chain's head."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT seq, hash FROM avatarlab_admin.audit_head").fetchone()
    assert row is not None
    return row


def written(value: object) -> str:
    """Write a value as PostgreSQL's jsonb does: short keys first, decimals with their own digits."""
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{written(key)}: {written(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, Decimal):
        return format(value, "f")
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    return json.dumps(_moment(value) if isinstance(value, datetime) else str(value), ensure_ascii=False)


def _moment(value: datetime) -> str:
    text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if value.microsecond else text) + "+00:00"


def found(connection: sa.Connection, anchor: Anchor | None = None) -> tuple[int | None, str | None]:
    """Walk the chain; returns where it breaks, and how. Its id must be that of the entry with that number."""
    verdict = verify(connection, anchor)
    if verdict.seq is not None:
        query = sa.text("SELECT id FROM admin_audit_logs WHERE seq = :seq")
        assert verdict.id == connection.scalar(query, {"seq": verdict.seq})
    return verdict.seq, verdict.problem


def change(connection: sa.Connection, sql: str, **values: object) -> None:
    """Run a statement that must change at least one row."""
    assert connection.execute(sa.text(sql), values).rowcount >= 1
