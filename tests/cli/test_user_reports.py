"""The other reports of the noun `user`, and what all of them do where something is missing."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from tests.cli.invoking import Outcome, invoke
from tests.cli.known_people import ADA, IDS, seven_people
from tests.cli.test_commands import data
from tests.conftest import DEMO_END


@pytest.fixture(scope="module")
def people(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Seven accounts, each unlike the others."""
    with seven_people(server_conninfo, migrated_panel_template) as conninfo:
        yield conninfo


def test_no_secret_is_shown(people: str) -> None:
    """Neither a key's hash nor anything that opens a session is in any report."""
    for arguments in (("list",), ("show", "ada@"), ("sessions", "ada@")):
        shown = invoke(people, "user", *arguments, "-o", "json")
        assert shown.code == 0
        assert "secret-hash" not in shown.out


def test_activity(people: str) -> None:
    """Each day's metrics are shown where there is something of them; what lies stored is no activity."""
    assert invoke(people, "user", "activity", "ada@") == Outcome(
        0,
        "day         metric               value\n"
        "2025-06-15  trained_tokens         900\n"
        "2025-06-14  chat_messages_count      2\n"
        "2025-06-14  images_generated        20\n"
        "2025-06-10  images_generated        40\n",
        "",
    )
    days = ("--since", "2025-06-10", "--until", "2025-06-14", "--csv", "--fields", "day,value")
    assert invoke(people, "user", "activity", "ada@", *days).out == "day,value\n2025-06-10,40\n"
    assert "did nothing" in invoke(people, "user", "activity", "cyd").err


def test_sessions(people: str) -> None:
    """A session is shown by its times, place and program."""
    assert invoke(people, "user", "sessions", "ada@").out == (
        "created_at            refreshed_at          ip           user_agent  not_after\n"
        "2025-06-14T08:00:00Z  2025-06-14T09:30:00Z  203.0.113.7  Firefox     -\n"
    )
    assert "not logged in" in invoke(people, "user", "sessions", "eve").err


def test_duplicates(people: str) -> None:
    """Accounts are named with what they share; numbers too short to be one are no evidence."""
    assert invoke(people, "user", "duplicates", "--csv", "--fields", "email,reason,shared,accounts").out == (
        "email,reason,shared,accounts\n"
        "bob.smith+x@gmail.com,email,bobsmith@gmail.com,2\n"
        "BobSmith@googlemail.com,email,bobsmith@gmail.com,2\n"
        "ada@example.com,name and ip,ada byron 203.0.113.7,2\n"
        "adabel@example.net,name and ip,ada byron 203.0.113.7,2\n"
        "bob.smith+x@gmail.com,phone,12025550100,2\n"
        "BobSmith@googlemail.com,phone,12025550100,2\n"
    )


def test_inactive(people: str) -> None:
    """Who neither logged in nor did anything is listed; the deleted, the new and the active are not."""
    fields = ("--csv", "--fields", "email,last_login_at,last_active,tier,is_paying,storage_bytes")
    assert invoke(people, "user", "inactive", *fields).out == (
        "email,last_login_at,last_active,tier,is_paying,storage_bytes\n"
        "cyd@example.org,2025-02-03T00:00:00Z,,enterprise,false,\n"
        "bob.smith+x@gmail.com,2025-03-02T00:00:00Z,,starter,false,500000000\n"
    )
    recent = invoke(people, "user", "inactive", "--days", "1", "--csv", "--fields", "email,is_paying")
    assert set(recent.out.splitlines()[1:]) == {
        f"{email},false" for email in IDS if email not in {"ada@example.com", "dan@example.org"}
    }
    later = invoke(
        people,
        "user",
        "inactive",
        "-o",
        "json",
        "--fields",
        "email,is_paying",
        now=DEMO_END + timedelta(days=200),
    )
    assert {"email": "ada@example.com", "is_paying": True} in data(later)  # type: ignore[operator]  # a list


def test_inactive_without_usage(migrated_panel_conninfo: str) -> None:
    """Where no usage of the time is stored, everybody seems to have done nothing: it is said that logins alone decide."""
    note = "no usage is stored since 2025-03-17, so logins alone are judged"
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute(
            "INSERT INTO auth.users (id, email, created_at) VALUES (%s, 'ada@example.com', '2024-01-01')",
            [ADA],
        )
    shown = invoke(migrated_panel_conninfo, "user", "inactive", "-o", "ids")
    assert (shown.code, shown.out) == (0, f"{ADA}\n")
    assert note in shown.err
    for day, is_noted in (("2025-03-16", True), ("2025-03-17", False)):
        with psycopg.connect(migrated_panel_conninfo) as connection:
            connection.execute(
                "INSERT INTO avatarlab_admin.usage_daily (user_id, day, definition_version) VALUES (%s, %s, 1)",
                [ADA, day],
            )
        assert (note in invoke(migrated_panel_conninfo, "user", "inactive").err) is is_noted


def test_without_sessions(migrated_panel_conninfo: str) -> None:
    """Where sessions are not there, it is said; the page is shown without them, not as if there were none."""
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, 'ada@example.com')", [ADA])
        connection.execute("DROP TABLE auth.sessions")
    refused = invoke(migrated_panel_conninfo, "user", "sessions", "ada@")
    assert (refused.code, refused.out) == (5, "")
    assert "auth.sessions is missing" in refused.err
    shown = invoke(migrated_panel_conninfo, "user", "show", "ada@", "--fields", "sessions")
    assert shown.out == "sessions  n/a\n"
    assert "auth.sessions is missing" in shown.err
    assert "not compared" in invoke(migrated_panel_conninfo, "user", "duplicates").err


def test_a_login_that_may_not_read_sessions(people: str) -> None:
    """A missing grant is reported as such, not as an account that never logs in."""
    with psycopg.connect(people, autocommit=True) as connection:
        connection.execute("CREATE ROLE half_reader LOGIN BYPASSRLS")
        try:
            connection.execute("GRANT USAGE ON SCHEMA public, auth, avatarlab_admin TO half_reader")
            connection.execute(
                "GRANT SELECT ON ALL TABLES IN SCHEMA public, auth, avatarlab_admin TO half_reader"
            )
            connection.execute("REVOKE SELECT ON auth.sessions FROM half_reader")
            conninfo = f"{people} user=half_reader"
            refused = invoke(conninfo, "user", "sessions", "ada@")
            assert (refused.code, refused.out) == (4, "")
            assert "GRANT SELECT ON auth.sessions" in refused.err
            shown = invoke(conninfo, "user", "show", "ada@", "--fields", "email,sessions")
            assert shown.out == "email     ada@example.com\nsessions  n/a\n"
            assert "cannot be read by this login" in shown.err
        finally:
            connection.execute("DROP OWNED BY half_reader")
            connection.execute("DROP ROLE half_reader")


@pytest.mark.parametrize(
    "verb", [("list",), ("inactive",), ("duplicates",), ("show", "ada@"), ("activity", "ada@")]
)
def test_the_seed_state(migrated_seed_conninfo: str, verb: tuple[str, ...]) -> None:
    """Every report works where the web panel never ran."""
    with psycopg.connect(migrated_seed_conninfo) as connection:
        connection.execute(
            "INSERT INTO auth.users (id, email, created_at, banned_until)"
            " VALUES (%s, 'ada@example.com', '2024-01-01', 'infinity')",
            [ADA],
        )
    shown = invoke(migrated_seed_conninfo, "user", *verb, "-o", "json")
    assert shown.code == 0, shown.err
    if verb[0] in {"list", "show", "inactive"}:
        row = data(shown)
        first = row[0] if isinstance(row, list) else row
        assert isinstance(first, dict)
        assert (first["status"], first["tier"]) == ("banned", "free")


def test_tables_that_are_missing(migrated_seed_conninfo: str) -> None:
    """What cannot be known is empty and named; the rest is shown."""
    with psycopg.connect(migrated_seed_conninfo) as connection:
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, 'ada@example.com')", [ADA])
        connection.execute("DROP TABLE profiles, avatars, platform_api_keys CASCADE")
    shown = invoke(
        migrated_seed_conninfo, "user", "list", "--csv", "--fields", "email,name,tier,avatars,api_keys"
    )
    assert shown.out == "email,name,tier,avatars,api_keys\nada@example.com,,free,,\n"
    assert shown.err.count("is missing") == 3
    page = invoke(
        migrated_seed_conninfo, "user", "show", "ada@", "--json", "--fields", "avatars,api_keys,name"
    )
    assert data(page) == {"avatars": None, "api_keys": None, "name": None}


def test_a_user_that_is_not_there(people: str) -> None:
    """A name nobody has ends with the code for it."""
    for verb in ("show", "activity", "sessions"):
        assert invoke(people, "user", verb, "nobody@example.com").code == 5
