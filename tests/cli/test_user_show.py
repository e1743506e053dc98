"""`user show`: one account on one page."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from tests.cli.invoking import invoke, terminal
from tests.cli.known_people import ADA, CYD, EVE, seven_people
from tests.cli.test_commands import data

KEY, REQUEST, ADMIN = (UUID(int=number) for number in range(1, 4))


@pytest.fixture(scope="module")
def people(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Seven accounts, each unlike the others."""
    with seven_people(server_conninfo, migrated_panel_template) as conninfo:
        yield conninfo


def test_show(people: str) -> None:
    """One page tells who, which tier and why, what is used of it, what is there, and what it cost."""
    shown = data(invoke(people, "user", "show", "ada@", "--json"))
    assert isinstance(shown, dict)
    assert {name: shown[name] for name in ("id", "status", "tier", "tier_source", "last_active")} == {
        "id": str(ADA),
        "status": "active",
        "tier": "pro",
        "tier_source": "subscription",
        "last_active": "2025-06-14",
    }
    assert {
        name: shown["subscription"][name] for name in ("tier", "billing_cycle", "started_at", "is_live")
    } == {
        "tier": "pro",
        "billing_cycle": "yearly",
        "started_at": "2025-01-10T00:00:00Z",
        "is_live": True,
    }
    assert shown["limits"]["max_avatars"] == {"used": 2, "limit": 3, "left": 1, "source": "tier pro"}
    assert shown["limits"]["images_generated"]["limit"] == 50
    assert shown["avatars"] == {"active": 2, "deleted": 1}
    assert shown["api_keys"] == {"active": 1, "expired": 1, "revoked": 1}
    assert (shown["storage_bytes"], shown["storage"]) == (18, {"images": 11, "voice": 7})
    assert shown["storage_day"] == "2025-06-15"
    assert (shown["total_cost"], shown["costs"]) == ("7.156209", {"image": "7.156209"})
    assert shown["unpriced"] == {"image": {"flux": 2}}
    assert shown["sessions"] == [
        {
            "created_at": "2025-06-14T08:00:00Z",
            "refreshed_at": "2025-06-14T09:30:00Z",
            "ip": "203.0.113.7",
            "user_agent": "Firefox",
        }
    ]
    assert shown["admin_acts"] == []


def test_show_a_banned_account(people: str) -> None:
    """A ban is shown with its end and its reason, and an account without anything has empty parts."""
    fields = "status,banned_until,banned_at,banned_reason,tier_source,avatars,storage_bytes,total_cost"
    assert data(invoke(people, "user", "show", "cyd", "--json", "--fields", fields)) == {
        "status": "banned",
        "banned_until": "2999-01-01T00:00:00Z",
        "banned_at": "2025-04-01T00:00:00Z",
        "banned_reason": "Spam",
        "tier_source": "subscription",
        "avatars": {},
        "storage_bytes": 0,
        "total_cost": None,
    }


@pytest.mark.parametrize(
    ("name", "tier", "source", "is_live"),
    [
        ("bob.", "starter", "profile", None),
        ("BobSmith", "free", "default", False),
        ("eve", "free", "default", None),
    ],
)
def test_where_a_tier_comes_from(
    people: str, name: str, tier: str, source: str, is_live: bool | None
) -> None:
    """Without a live subscription the profile decides, without either it is free; an ended one is still shown."""
    shown = data(invoke(people, "user", "show", name, "--json", "--fields", "tier,tier_source,subscription"))
    assert isinstance(shown, dict)
    assert (shown["tier"], shown["tier_source"]) == (tier, source)
    assert (shown["subscription"] or {}).get("is_live") is is_live


def test_show_tells_what_admins_did(migrated_panel_conninfo: str) -> None:
    """The latest acts on the account and its own are shown with who did them and why, those on others are not."""
    with psycopg.connect(migrated_panel_conninfo) as connection:
        for user, email in ((ADA, "ada@example.com"), (EVE, "eve@example.org")):
            connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, email])
        connection.execute("INSERT INTO admin_users (id, user_id) VALUES (%s, %s)", [CYD, EVE])
        connection.execute(
            "INSERT INTO platform_api_keys (id, user_id, key_name, api_key_hash, api_key_prefix) VALUES (%s, %s, 'k', 'h', 'p')",
            [KEY, ADA],
        )
        connection.execute(
            "INSERT INTO tier_upgrade_requests (id, user_id, requested_tier_id)"
            " SELECT %s, %s, id FROM subscription_tiers WHERE name = 'pro'",
            [REQUEST, ADA],
        )
        connection.execute("INSERT INTO admin_users (id, user_id) VALUES (%s, %s)", [ADMIN, ADA])
        own = [(KEY, "key"), (REQUEST, "request"), (ADMIN, "admin"), *[(ADA, "user")] * 4]
        for number, (user, kind) in enumerate([(EVE, "user"), *[(ADA, "user")] * 4, *own, (CYD, "admin")]):
            connection.execute(
                "INSERT INTO admin_audit_logs (admin_user_id, action, resource_type, resource_id, justification, created_at)"
                " VALUES (%s, %s, %s, %s, 'why', '2025-06-01')",
                [CYD, f"act.{number}", kind, user],
            )
    shown = data(invoke(migrated_panel_conninfo, "user", "show", "ada@", "--json", "--fields", "admin_acts"))
    assert isinstance(shown, dict)
    assert [act["action"] for act in shown["admin_acts"]] == [f"act.{number}" for number in range(11, 1, -1)]
    assert (
        shown["admin_acts"][0].items()
        >= {
            "at": "2025-06-01T00:00:00Z",
            "admin": "eve@example.org",
            "reason": "why",
        }.items()
    )


def test_the_page_on_a_terminal(people: str) -> None:
    """A person reads units and minutes."""
    shown = terminal(people, "user", "show", "ada@", "--color", "never", columns=120)
    assert shown.code == 0
    assert "storage_bytes  18 B" in shown.out
    assert "created_at     2025-01-10 00:00\n" in shown.out
