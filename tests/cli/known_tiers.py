"""Tiers, and four users whose subscriptions to them are known."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.cli.conftest import ADA, ADELE, EVE
from tests.cli.invoking import Outcome, invoke

ROOT = "root@example.com"
ACTING = {"AVATARLAB_ADMIN": ROOT}
PLAN = """
- name: free
  limits: {images_generated: 4}
- name: Pro
  price_monthly: 39.99
  limits: {images_generated: 100}
  max_avatars: 0
- name: team
  price_monthly: 99
"""


def write_tiered(conninfo: str) -> None:
    """Let Ada pay for pro, Eve try it, Adele have starter suspended, and an admin have nothing."""
    with psycopg.connect(conninfo) as connection:
        users = {ADA: "ada@example.com", EVE: "eve@example.org", ADELE: "adele@example.com", uuid4(): ROOT}
        for user, email in users.items():
            connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, email])
        connection.execute(
            "INSERT INTO admin_users (user_id, role) SELECT id, 'super_admin' FROM auth.users WHERE email = %s",
            [ROOT],
        )
        subscribe(connection, ADA, "pro", "active", "monthly")
        subscribe(connection, EVE, "pro", "trial", "yearly")
        subscribe(connection, ADELE, "starter", "suspended", "monthly")
        connection.execute("INSERT INTO avatars (id, user_id, name) VALUES (%s, %s, 'A')", [ADA, ADA])
        for user, images in {ADA: 60, ADELE: 5}.items():
            connection.execute(
                "INSERT INTO monthly_usage (user_id, usage_month, images_generated, storage_bytes, computed_at)"
                " VALUES (%s, '2025-06-01', %s, NULL, now())",
                [user, images],
            )


def subscribe(
    connection: psycopg.Connection[tuple[object, ...]], user: UUID, tier: str, status: str, cycle: str
) -> None:
    connection.execute(
        "INSERT INTO user_subscriptions (user_id, tier_id, status, billing_cycle, started_at)"
        " SELECT %s, id, %s, %s, now() - interval '1 day' FROM subscription_tiers WHERE name = %s",
        [user, status, cycle, tier],
    )


def act(conninfo: str, *arguments: str) -> Outcome:
    """Run a command as the admin."""
    return invoke(conninfo, "tier", *arguments, env=ACTING)


def query(conninfo: str, sql: str) -> list[dict[str, Any]]:
    with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(sql.encode()).fetchall()


def tier(conninfo: str, name: str) -> dict[str, Any]:
    """Return a tier's row."""
    (row,) = (row for row in query(conninfo, "SELECT * FROM subscription_tiers") if row["name"] == name)
    return row


def entries(conninfo: str) -> list[dict[str, Any]]:
    """Return the audit log, oldest first."""
    return query(conninfo, "SELECT * FROM admin_audit_logs ORDER BY seq")


def prices(conninfo: str, name: str) -> list[Decimal]:
    """Return the monthly prices a tier has had, oldest first."""
    kept = query(
        conninfo,
        "SELECT t.name, h.price_monthly FROM avatarlab_admin.tier_price_history h"
        " JOIN subscription_tiers t ON t.id = h.tier_id ORDER BY h.valid_from",
    )
    return [row["price_monthly"] for row in kept if row["name"] == name]
