"""Accounts of known values, each unlike the others, and what to write them with."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg

from tests.conftest import created_database

ADA, BOB, BOBBY, CYD, DAN, EVE, ADABEL = (UUID(int=number << 120) for number in range(0xA1, 0xA8))
IDS = {
    "ada@example.com": ADA,
    "bob.smith+x@gmail.com": BOB,
    "BobSmith@googlemail.com": BOBBY,
    "cyd@example.org": CYD,
    "dan@example.org": DAN,
    "eve@example.org": EVE,
    "adabel@example.net": ADABEL,
}
# Signed up, last seen by auth, name, telephone.
PEOPLE = {
    ADA: ("2025-01-10", "2025-06-14T08:00:00Z", "Ada Byron", None),
    BOB: ("2025-03-01", "2025-03-02T00:00:00Z", "Bob", "+1 (202) 555-0100"),
    BOBBY: ("2025-06-10", None, "Robert", "12025550100"),
    CYD: ("2025-02-01", "2025-02-03T00:00:00Z", "Cyd 100%_of", "0100"),
    DAN: ("2025-02-02", None, "Dan", "0100"),
    EVE: ("2025-02-03", "2025-02-28T00:00:00Z", "Eve", None),
    ADABEL: ("2025-06-11", "2025-06-11T00:00:00Z", "ada byron ", None),
}


@contextmanager
def seven_people(server: str, template: str) -> Iterator[str]:
    """Create a database of seven accounts, yield its connection string, drop it."""
    with created_database(server, template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            _write_accounts(connection)
            _write_plans(connection)
            _write_belongings(connection)
        yield conninfo


def _write_accounts(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    for email, user in IDS.items():
        created, seen, name, phone = PEOPLE[user]
        connection.execute(
            "INSERT INTO auth.users (id, email, created_at, last_sign_in_at) VALUES (%s, %s, %s, %s)",
            [user, email, created, seen],
        )
        connection.execute("UPDATE profiles SET name = %s, phone = %s WHERE id = %s", [name, phone, user])
    connection.execute("UPDATE auth.users SET banned_until = '2999-01-01' WHERE id = %s", [CYD])
    connection.execute("UPDATE auth.users SET deleted_at = '2025-05-01' WHERE id = %s", [DAN])
    connection.execute(
        "UPDATE profiles SET account_status = 'banned', banned_reason = 'Spam', banned_at = '2025-04-01' WHERE id = %s",
        [CYD],
    )
    connection.execute("UPDATE profiles SET account_status = 'suspended' WHERE id = %s", [BOB])
    connection.execute("DELETE FROM profiles WHERE id = %s", [EVE])
    for user, ip in ((ADA, "203.0.113.7"), (ADABEL, "203.0.113.7"), (CYD, "203.0.113.8")):
        connection.execute(
            "INSERT INTO auth.sessions (id, user_id, created_at, refreshed_at, user_agent, ip)"
            " VALUES (%s, %s, '2025-06-14 08:00Z', '2025-06-14 09:30', 'Firefox', %s)",
            [user, user, ip],
        )


def _write_plans(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    subscriptions = (
        (ADA, "starter", "active", "monthly", "2024-01-01"),
        (ADA, "pro", "active", "yearly", "2025-01-10"),
        (BOBBY, "pro", "expired", "monthly", "2025-06-10"),
        (CYD, "enterprise", "trial", "monthly", "2025-02-01"),
    )
    for user, tier, status, cycle, started in subscriptions:
        connection.execute(
            "INSERT INTO user_subscriptions (user_id, tier_id, status, billing_cycle, started_at)"
            " SELECT %s, id, %s, %s, %s FROM subscription_tiers WHERE name = %s",
            [user, status, cycle, started, tier],
        )
    connection.execute(
        "UPDATE profiles SET subscription_tier_id = (SELECT id FROM subscription_tiers WHERE name = 'starter')"
        " WHERE id = ANY (%s)",
        [[ADA, BOB]],
    )
    connection.execute(
        "UPDATE subscription_tiers SET limits = '{\"images_generated\": 50}' WHERE name = 'pro'"
    )


def _write_belongings(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    for user, status in ((ADA, "active"), (ADA, "active"), (ADA, "deleted"), (BOB, "archived")):
        connection.execute("INSERT INTO avatars (user_id, name, status) VALUES (%s, 'A', %s)", [user, status])
    keys = (("active", None), ("active", "2025-01-01"), ("revoked", None))
    for number, (status, expires) in enumerate(keys):
        connection.execute(
            "INSERT INTO platform_api_keys (user_id, key_name, api_key_hash, api_key_prefix, status, expires_at)"
            " VALUES (%s, 'k', %s, 'pk_live_0000000...', %s, %s)",
            [ADA, f"secret-hash-{number}", status, expires],
        )
    for user, images, stored, cost, is_over in (
        (ADA, 60, 12_000_000_000, "7.156209", True),
        (BOB, 3, 500_000_000, "0.5", False),
        (EVE, 0, 100, None, False),
    ):
        connection.execute(
            "INSERT INTO monthly_usage (user_id, usage_month, images_generated, storage_bytes, image_cost, total_cost,"
            " is_over_limit, unpriced, computed_at) VALUES (%s, '2025-06-01', %s, %s, %s, %s, %s, %s, now())",
            [user, images, stored, cost, cost, is_over, '{"image": {"flux": 2}}' if is_over else "{}"],
        )
    for user, day, images, trained in (
        (ADA, "2025-06-10", 40, 0),
        (ADA, "2025-06-14", 20, 0),
        (ADA, "2025-06-15", 0, 900),
        (EVE, "2025-06-01", 1, 0),
    ):
        connection.execute(
            "INSERT INTO avatarlab_admin.usage_daily (user_id, day, images_generated, trained_tokens,"
            " chat_messages_count, storage_bytes, definition_version) VALUES (%s, %s, %s, %s, %s, 5, 1)",
            [user, day, images, trained, 2 if images == 20 else 0],
        )
    for kind, bucket, size in (
        ("images", "avatars", 5),
        ("images", "generated-images", 6),
        ("voice", "v", 7),
    ):
        connection.execute(
            "INSERT INTO avatarlab_admin.storage_daily (day, user_id, kind, bucket, bytes)"
            " VALUES ('2025-06-15', %s, %s, %s, %s)",
            [ADA, kind, bucket, size],
        )
