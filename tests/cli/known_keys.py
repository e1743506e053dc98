"""Keys of known values, and what to write them with."""

import hashlib
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from tests.cli.conftest import ADA, ADELE, EMAILS, EVE

DAN = UUID(int=0x3D << 120)
PEOPLE = {**EMAILS, DAN: "dan@example.com"}
FAR, PAST = datetime(2999, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)
NAMES = ("bridge", "test", "old", "gone", "loose", "lasting", "paused", "banned", "deleted")
KEYS = {name: UUID(int=(0xC0 + number) << 120) for number, name in enumerate(NAMES)}
HTTP = (("/avatar-chat", "POST"), ("/avatar-config", "GET"))


def secret(name: str) -> str:
    """Return the plaintext of the key called `name`."""
    return f"pk_live_{hashlib.sha256(name.encode()).hexdigest()}"


def digest(name: str) -> str:
    """Return the hash that is stored for it while it is valid."""
    return hashlib.sha256(secret(name).encode()).hexdigest()


def write_keys(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Write four users, nine platform keys with a few log rows, and four provider keys."""
    for user, email in PEOPLE.items():
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, email])
        connection.execute(
            "INSERT INTO profiles (id, email) VALUES (%s, %s) ON CONFLICT (id) DO NOTHING", [user, email]
        )
    connection.execute("UPDATE profiles SET account_status = 'suspended' WHERE id = %s", [ADELE])
    connection.execute("UPDATE auth.users SET banned_until = '2999-01-01Z' WHERE id = %s", [EVE])
    connection.execute("UPDATE auth.users SET deleted_at = now() WHERE id = %s", [DAN])
    rows: tuple[tuple[str, UUID, str, datetime | None, str | None, int], ...] = (
        ("bridge", ADA, "active", FAR, "now", 4),
        ("test", ADA, "active", None, None, 0),
        ("old", ADELE, "active", FAR, "2025-01-31 12:00Z", 5),
        ("gone", EVE, "active", PAST, "now", 0),
        ("loose", EVE, "revoked", FAR, "now", 0),
        ("lasting", EVE, "revoked", PAST, None, 0),
        ("paused", ADA, "inactive", None, None, 0),
        ("banned", EVE, "active", FAR, "now", 0),
        ("deleted", DAN, "active", FAR, "now", 0),
    )
    for number, (name, user, status, end, used, count) in enumerate(rows):
        stored = f"revoked:{digest(name)}" if name == "lasting" else digest(name)
        connection.execute(
            "INSERT INTO platform_api_keys (id, user_id, key_name, api_key_hash, api_key_prefix, status,"
            " expires_at, last_used_at, request_count, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                *(KEYS[name], user, name, stored, f"{secret(name)[:15]}...", status, end, used, count),
                datetime(2025, 1, 1 + number, tzinfo=UTC),
            ],
        )
    write_requests(connection)
    write_provider_keys(connection)


def write_requests(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Log four requests of one key on two days and one on no day, two of another, one of a third."""
    chat, config = HTTP
    logged = (
        ("bridge", chat, "2025-06-10 23:59:59.9Z"),
        ("bridge", chat, "2025-06-11 00:00Z"),
        ("bridge", chat, "2025-06-11 05:00Z"),
        ("bridge", config, None),
        ("old", chat, "2025-01-31 12:00Z"),
        ("old", config, "2025-01-30 12:00Z"),
        ("loose", chat, "2025-06-01 12:00Z"),
    )
    for name, (endpoint, method), time in logged:
        connection.execute(
            "INSERT INTO api_request_logs (api_key_id, endpoint, method, status_code, created_at)"
            " VALUES (%s, %s, %s, 200, %s)",
            [KEYS[name], endpoint, method, time],
        )


def write_provider_keys(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Store two keys of one user at one provider, written in two ways, and two at another."""
    rows = (
        (ADA, "openai", "first", "active", 400, 1),
        (ADA, "OpenAI", "second", "inactive", 10, None),
        (EVE, "OpenAI", "mine", "active", 100, 99),
        (EVE, "elevenlabs", "voice", "active", 5, None),
    )
    for number, (user, service, name, status, age, used) in enumerate(rows):
        connection.execute(
            "INSERT INTO user_api_keys (id, user_id, service, name, api_key_encrypted, status, created_at, last_used_at)"
            " VALUES (%s, %s, %s, %s, 'c2VjcmV0', %s, now() - make_interval(days => %s),"
            " now() - make_interval(days => %s))",
            [UUID(int=(0xD0 + number) << 120), user, service, name, status, age, used],
        )
