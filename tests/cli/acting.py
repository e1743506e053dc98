"""A platform with something of everything that admins change, and ways to look at what they did."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from typer.testing import CliRunner

from avatarlab_cli.actions.act import Act, Item
from avatarlab_cli.actions.act import Outcome as Done
from avatarlab_cli.actions.batch import carry_out_all
from avatarlab_cli.actions.engine import Order
from avatarlab_cli.actions.user import Ban
from avatarlab_cli.context import Context
from avatarlab_cli.database import Database
from avatarlab_cli.main import app
from avatarlab_cli.permissions import ROLES, STANDARD, column_of
from tests.cli.invoking import Outcome, variables
from tests.conftest import created_database

ROOT = "super_admin@example.com"
# Two of each kind, so that a verb has two to do.
PEOPLE = tuple(
    f"{name}@example.com"
    for name in (
        *("ann", "ben"),
        *("suspended1", "suspended2"),
        *("banned1", "banned2"),
        *("paying1", "paying2"),
        *("trying1", "trying2"),
        *("asking1", "asking2"),
        *("leaving1", "leaving2"),
        *("idle1", "idle2"),
    )
)
SECRETS = (
    "cHJvdmlkZXItc2VjcmV0",
    "TOTP4SECRET4OF4ADMIN",
    "backup-code-4711",
    "$2a$10$hash-of-a-password",
    "session-token-hash",
    "one-time-recovery-token",
    "data:image/png;base64,aW1hZ2U=",
)
"""What stands in columns that no entry may quote; the platform keys' hashes come on top."""

_KEYED = ("ann", "ben", "banned1", "banned2", "leaving1", "leaving2")
# Most tables are empty, and one whose file is needs no question.
_TABLES = """
    SELECT n.nspname, c.relname, coalesce(array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE i.indrelid IS NOT NULL), '{}')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
    WHERE n.nspname IN ('public', 'auth', 'storage', 'avatarlab_admin') AND c.relkind = 'r'
      AND pg_relation_size(c.oid) > 0
    GROUP BY n.nspname, c.relname ORDER BY n.nspname, c.relname
"""
# What only ever grows: the audit itself, the price history, which a trigger writes, and the rate cards there were.
_RECORDS = frozenset(
    {
        "public.admin_audit_logs",
        *("avatarlab_admin.audit_head", "avatarlab_admin.tier_price_history", "avatarlab_admin.rate_card"),
    }
)

Rows = dict[tuple[str, str], dict[str, Any]]
"""Every row by its table and its key as JSON text."""


def user_id(name: str) -> UUID:
    """Return the id of the user with this e-mail address, the same in every test."""
    return UUID(hashlib.md5(name.encode()).hexdigest())  # noqa: S324 (an id, not a secret)


def key_id(name: str) -> UUID:
    """Return the id of the platform key of the user with this e-mail address."""
    return user_id(f"key of {name}")


def image_id(name: str) -> UUID:
    """Return the id of the image of the user with this e-mail address."""
    return user_id(f"image of {name}")


def stored_hash(name: str) -> str:
    """Return the stored hash of that key."""
    return hashlib.sha256(f"pk_live_{name}".encode()).hexdigest()


def arrange(connection: psycopg.Connection[Any]) -> None:
    """Write admins of every role, users in every condition, and what belongs to them."""
    _add_secret_columns(connection)
    _write_users(connection, (*(f"{role}@example.com" for role in ROLES), *PEOPLE))
    _write_users(connection, ("second@example.com", "bare1@example.com", "bare2@example.com"))
    for role in ROLES:
        write_admin(connection, f"{role}@example.com", role)
    write_admin(connection, "second@example.com", "super_admin")
    for name in ("bare1", "bare2"):
        write_admin(connection, f"{name}@example.com", "admin", permissions=())
    for name in _KEYED:
        _write_key(connection, f"{name}@example.com")
    for name in _KEYED[:2]:
        _write_image(connection, f"{name}@example.com")
    _write_subscriptions(connection)
    connection.execute("UPDATE profiles SET account_status = 'suspended' WHERE email LIKE 'suspended%'")


@contextmanager
def arranged(server: str, template: str) -> Iterator[str]:
    """Create a database of all this, yield its connection string, drop it."""
    with created_database(server, template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            arrange(connection)
        carry_out(conninfo, Ban(), "banned1@example.com", "banned2@example.com")
        yield conninfo


@contextmanager
def copied(conninfo: str) -> Iterator[str]:
    """Copy a database nobody is connected to, yield the copy's connection string, drop it."""
    server, _, name = conninfo.rpartition(" dbname=")
    with created_database(server, name) as copy:
        yield copy


def carry_out(
    conninfo: str, wanted: Act, *names: str, reason: str | None = "it must be", preview: bool = False
) -> list[Done]:
    """Do an act without the command line."""
    items = [Item(number, name, is_typed=True) for number, name in enumerate(names, start=1)]
    order = Order(ROOT, reason, uuid4(), is_preview=preview)
    chunks = carry_out_all(Database(conninfo), wanted, items, order)
    return [outcome for outcomes in chunks for outcome in outcomes]


def write_admin(
    connection: psycopg.Connection[Any],
    email: str,
    role: str,
    permissions: Iterable[str] | None = None,
) -> None:
    """Make a user an admin, with the role's standard permissions unless others are given."""
    held = STANDARD[role] if permissions is None else frozenset(permissions)
    connection.execute(
        "INSERT INTO admin_users (id, user_id, role, permissions, two_factor_secret, backup_codes)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        [
            user_id(f"admin {email}"),
            user_id(email),
            role,
            json.dumps(column_of(held)),
            SECRETS[1],
            [SECRETS[2]],
        ],
    )


def _add_secret_columns(connection: psycopg.Connection[Any]) -> None:
    """Add those that a real auth.users has, and this project's description leaves out."""
    for name in ("encrypted_password", "recovery_token"):
        connection.execute(sql.SQL("ALTER TABLE auth.users ADD COLUMN {} text").format(sql.Identifier(name)))


def _write_users(connection: psycopg.Connection[Any], emails: Iterable[str]) -> None:
    for email in emails:
        user = user_id(email)
        connection.execute(
            "INSERT INTO auth.users (id, email, created_at, encrypted_password, recovery_token) VALUES (%s, %s, now(), %s, %s)",
            [user, email, SECRETS[3], SECRETS[5]],
        )
        connection.execute("UPDATE profiles SET name = %s WHERE id = %s", [email.partition("@")[0], user])
        connection.execute(
            "INSERT INTO auth.sessions (id, user_id, created_at) VALUES (gen_random_uuid(), %s, now())",
            [user],
        )
        connection.execute(
            "INSERT INTO user_sessions (user_id, token_hash, expires_at) VALUES (%s, %s, now())",
            [user, SECRETS[4]],
        )
        connection.execute(
            "INSERT INTO user_api_keys (user_id, name, service, api_key_encrypted) VALUES (%s, 'own', 'openai', %s)",
            [user, SECRETS[0]],
        )
        connection.execute("INSERT INTO avatars (id, user_id, name) VALUES (%s, %s, 'Ava')", [user, user])


def _write_key(connection: psycopg.Connection[Any], email: str) -> None:
    connection.execute(
        "INSERT INTO platform_api_keys (id, user_id, key_name, api_key_hash, api_key_prefix, expires_at)"
        " VALUES (%s, %s, 'n8n', %s, %s, now() + interval '1 year')",
        [key_id(email), user_id(email), stored_hash(email), f"pk_live_{email[:7]}..."],
    )


def _write_image(connection: psycopg.Connection[Any], email: str) -> None:
    connection.execute(
        "INSERT INTO generated_images (id, user_id, prompt, image_url) VALUES (%s, %s, 'a fox', %s)",
        [image_id(email), user_id(email), SECRETS[6]],
    )


def _write_subscriptions(connection: psycopg.Connection[Any]) -> None:
    statement = """
        INSERT INTO user_subscriptions (user_id, tier_id, status, started_at, is_trial, trial_ends_at)
        SELECT u.id, t.id, %s, now() - interval '10 days', %s, CASE WHEN %s THEN now() + interval '5 days' END
        FROM auth.users u, subscription_tiers t WHERE u.email LIKE %s AND t.name = %s
    """
    for name, tier, is_trial in (
        ("paying", "pro", False),
        ("leaving", "starter", False),
        ("trying", "starter", True),
    ):
        values = ["trial" if is_trial else "active", is_trial, is_trial, f"{name}%", tier]
        connection.execute(statement, values)
    connection.execute("""
        UPDATE profiles p SET subscription_tier_id = s.tier_id FROM user_subscriptions s WHERE s.user_id = p.id
    """)
    connection.execute("""
        INSERT INTO tier_upgrade_requests (id, user_id, requested_tier_id)
        SELECT u.id, u.id, t.id FROM auth.users u, subscription_tiers t WHERE u.email LIKE 'asking%' AND t.name = 'pro'
    """)


def act(
    conninfo: str,
    *arguments: str,
    admin: str | None = ROOT,
    stdin: str | bytes = "",
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a command in this process, now, as this admin."""
    named = {} if admin is None else {"AVATARLAB_ADMIN": admin}
    context = Context(variables(conninfo, {**named, **(env or {})}), clock=lambda: datetime.now(UTC))
    result = CliRunner().invoke(app, list(arguments), input=stdin, obj=context, prog_name="avatarlab")
    return Outcome(result.exit_code, result.stdout, result.stderr)


def rows(conninfo: str) -> Rows:
    """Return every row there is, of whatever table, but the audit and the price history; without updated_at."""
    found: Rows = {}
    with psycopg.connect(conninfo) as connection:
        for schema, table, keys in connection.execute(_TABLES).fetchall():
            name = f"{schema}.{table}"
            if name in _RECORDS:
                continue
            statement = sql.SQL("SELECT to_jsonb(t) - 'updated_at' FROM {} t").format(
                sql.Identifier(schema, table)
            )
            for (row,) in connection.execute(statement):
                key = {column: row[column] for column in keys} or row
                found[name, json.dumps(key, sort_keys=True)] = row
    return found


def changes_between(before: Rows, after: Rows) -> list[dict[str, Any]]:
    """Return what differs, in the form an entry keeps: the columns that do, or the whole row where it is new or gone."""
    found = []
    for table, key in sorted(before.keys() | after.keys()):
        old, new = before.get((table, key)), after.get((table, key))
        if old == new:
            continue
        if old is not None and new is not None:
            names = [name for name in old if old[name] != new[name]]
            old, new = ({name: row[name] for name in names} for row in (old, new))
        found.append({"table": table, "key": json.loads(key), "before": old, "after": new})
    return found


def entries(conninfo: str) -> list[dict[str, Any]]:
    """Return the audit log, oldest first, with the transaction that wrote each entry."""
    with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(
            "SELECT *, xmin::text AS xmin FROM admin_audit_logs ORDER BY seq"
        ).fetchall()


def hashes(conninfo: str) -> set[str]:
    """Return the stored hash of every platform key."""
    with psycopg.connect(conninfo) as connection:
        return {str(value) for (value,) in connection.execute("SELECT api_key_hash FROM platform_api_keys")}


def chain_breaks(conninfo: str) -> list[int]:
    """Return the numbers of the entries that do not follow the one before them, or whose hash is not their own."""
    statement = """
        SELECT seq FROM (
            SELECT e.seq, e.prev_hash, e.hash, lag(e.seq) OVER w AS last_seq, lag(e.hash) OVER w AS last_hash,
                   avatarlab_admin.audit_hash(e.prev_hash, e) AS own_hash
            FROM admin_audit_logs e WINDOW w AS (ORDER BY e.seq)
        ) AS walked
        WHERE hash IS DISTINCT FROM own_hash OR seq <> coalesce(last_seq, seq - 1) + 1
           OR last_hash IS NOT NULL AND prev_hash IS DISTINCT FROM last_hash
        UNION ALL
        SELECT seq FROM avatarlab_admin.audit_head h
        WHERE (SELECT hash FROM admin_audit_logs ORDER BY seq DESC LIMIT 1) IS DISTINCT FROM h.hash
    """
    with psycopg.connect(conninfo) as connection:
        return [seq for (seq,) in connection.execute(statement)]


# Their avatars and images are flagged, but nobody is known to have done it.
FLAGGED = """
    UPDATE avatars SET is_flagged = true, flagged_reason = 'looks real', moderation_status = 'flagged', flagged_at = '2025-03-05Z';
    UPDATE generated_images SET is_flagged = true, flagged_reason = 'looks real', moderation_status = 'flagged';
"""
# Two users spoke, by a rate card of one rate, and the month is closed.
A_CLOSED_MONTH = """
    INSERT INTO avatarlab_admin.rate_card (version, currency, card) VALUES ('before', 'USD', '{"currency": "USD", "rates":
        [{"kind": "voice", "key": "elevenlabs", "unit": "1k characters", "price": "0.005", "from": "2024-01-01"}]}');
    INSERT INTO tts_generations (user_id, text, created_at)
    SELECT id, 'h', '2025-03-05Z' FROM auth.users WHERE email IN ('ann@example.com', 'ben@example.com');
    INSERT INTO monthly_usage (user_id, usage_month, voice_cost, rate_card_version, computed_at)
    SELECT user_id, '2025-03-01', 0.000005, 'before', now() FROM tts_generations;
    INSERT INTO avatarlab_admin.period_close (month, digest) VALUES ('2025-03-01', 'x');
"""
