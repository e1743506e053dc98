"""`user list`: what it tells of each account, its filters and its orders."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from tests.cli.invoking import invoke
from tests.cli.known_people import ADA, IDS, PEOPLE, seven_people
from tests.cli.test_commands import data

LIST = ("user", "list", "--sort", "email", "-o", "json", "--fields")


@pytest.fixture(scope="module")
def people(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Seven accounts, each unlike the others."""
    with seven_people(server_conninfo, migrated_panel_template) as conninfo:
        yield conninfo


def _listed(conninfo: str, field: str, *arguments: str) -> dict[str, object]:
    """Return one column of the list by e-mail address."""
    rows = data(invoke(conninfo, *LIST, f"email,{field}", *arguments))
    assert isinstance(rows, list)
    return {row["email"]: row[field] for row in rows}


def test_the_list_as_a_table(people: str) -> None:
    """The newest account stands first, and what is asked for by its sorting is shown."""
    shown = invoke(people, "user", "list", "--sort", "-total_cost", "--limit", "2")
    assert shown.out == (
        "email                  name       status     tier     created_at            last_active  avatars  storage_bytes  total_cost\n"
        "ada@example.com        Ada Byron  active     pro      2025-01-10T00:00:00Z  2025-06-14         2    12000000000    7.156209\n"
        "bob.smith+x@gmail.com  Bob        suspended  starter  2025-03-01T00:00:00Z  -                  1      500000000    0.500000\n"
    )
    newest = invoke(people, "user", "list", "--fields", "email", "--no-headers").out.splitlines()
    assert newest == [email for _, email in sorted(((PEOPLE[IDS[e]][0], e) for e in IDS), reverse=True)]


def test_what_the_list_tells(people: str) -> None:
    """Status, tier, subscription, logins, avatars and keys of each account are those of its rows."""
    assert _listed(people, "status") == dict.fromkeys(IDS, "active") | {
        "bob.smith+x@gmail.com": "suspended",
        "cyd@example.org": "banned",
        "dan@example.org": "deleted",
    }
    assert _listed(people, "tier") == dict.fromkeys(IDS, "free") | {
        "ada@example.com": "pro",
        "bob.smith+x@gmail.com": "starter",
        "cyd@example.org": "enterprise",
    }
    assert _listed(people, "subscription") == dict.fromkeys(IDS) | {
        "ada@example.com": "active",
        "cyd@example.org": "trial",
    }
    assert _listed(people, "avatars") == dict.fromkeys(IDS, 0) | {
        "ada@example.com": 2,
        "bob.smith+x@gmail.com": 1,
    }
    assert _listed(people, "api_keys") == dict.fromkeys(IDS, 0) | {"ada@example.com": 1}
    assert _listed(people, "last_active") == dict.fromkeys(IDS) | {
        "ada@example.com": "2025-06-14",
        "eve@example.org": "2025-06-01",
    }
    assert _listed(people, "name")["eve@example.org"] is None


def test_the_latest_login_counts(people: str) -> None:
    """The later of what auth and the profile know is the last login."""
    assert _listed(people, "last_login_at")["ada@example.com"] == "2025-06-14T08:00:00Z"
    later = "UPDATE profiles SET last_login = '2025-06-15' WHERE id = %s"
    with psycopg.connect(people) as connection:
        connection.execute(later, [ADA])
        connection.commit()
        try:
            assert _listed(people, "last_login_at")["ada@example.com"] == "2025-06-15T00:00:00Z"
        finally:
            connection.execute("UPDATE profiles SET last_login = NULL WHERE id = %s", [ADA])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--tier", "pro"), {"ada@example.com"}),
        (("--tier", "starter"), {"bob.smith+x@gmail.com"}),
        (("--status", "banned"), {"cyd@example.org"}),
        (("--status", "deleted"), {"dan@example.org"}),
        (("--signed-up-since", "2025-06-11"), {"adabel@example.net"}),
        (("--signed-up-since", "132h"), {"BobSmith@googlemail.com", "adabel@example.net"}),
        (("--active-since", "14d"), {"ada@example.com", "eve@example.org"}),
        (("--active-since", "2025-06-14T23:00Z"), {"ada@example.com"}),
        (("--active-since", "2025-06-15"), set()),
        (("--over-limit",), {"ada@example.com"}),
        (("--over-limit", "--month", "2025-05"), set()),
        (("--storage-above", "500MB"), {"ada@example.com"}),
        (("--storage-above", "0.4999GB"), {"ada@example.com", "bob.smith+x@gmail.com"}),
        (("--storage-above", "99"), {"ada@example.com", "bob.smith+x@gmail.com", "eve@example.org"}),
        (("--no-subscription",), set(IDS) - {"ada@example.com", "cyd@example.org"}),
        (("--search", "BYRON"), {"ada@example.com", "adabel@example.net"}),
        (("--search", "Smith"), {"bob.smith+x@gmail.com", "BobSmith@googlemail.com"}),
        (("--search", "100%_"), {"cyd@example.org"}),
        (("--search", "a%e"), set()),
        (("--tier", "free", "--active-since", "30d"), {"eve@example.org"}),
        (("--no-subscription", "--search", "example.org", "--status", "active"), {"eve@example.org"}),
        (
            ("--tier", "pro", "--over-limit", "--storage-above", "1GB", "--status", "active"),
            {"ada@example.com"},
        ),
        (("--tier", "pro", "--status", "banned"), set()),
    ],
)
@pytest.mark.parametrize("page", [(), ("--limit", "10")])
def test_filters(people: str, page: tuple[str, ...], arguments: tuple[str, ...], expected: set[str]) -> None:
    """Each filter finds its accounts, several together those that fit all, in a page and in the whole list."""
    assert _listed(people, "id", *arguments, *page).keys() == expected


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--tier", "gold"), 5, "free, starter, pro, enterprise"),
        (("--status", "gone"), 2, "active, suspended, banned, deleted"),
        (("--storage-above", "lots"), 2, "10GB"),
        (("--storage-above", "-1"), 2, "10GB"),
        (("--signed-up-since", "5d12h"), 2, "ISO 8601"),
        (("--sort", "nothing"), 2, "conversations_count"),
        (("--month", "june"), 2, "YYYY-MM"),
    ],
)
def test_wrong_values(people: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    """A value that cannot be meant is refused with what can."""
    refused = invoke(people, "user", "list", *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.err


@pytest.mark.parametrize("page", [(), ("--limit", "10")])
@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("-images_generated", "ada@example.com"),
        ("images_generated", "eve@example.org"),
        ("storage_bytes", "eve@example.org"),
        ("-image_cost", "ada@example.com"),
        ("tier,-created_at", "cyd@example.org"),
        ("-subscription", "cyd@example.org"),
        ("-avatars", "ada@example.com"),
        ("-api_keys", "ada@example.com"),
        ("last_active", "eve@example.org"),
        ("last_login_at", "cyd@example.org"),
        ("-status", "bob.smith+x@gmail.com"),
        ("is_over_limit,-email", "eve@example.org"),
        ("name", "Ada Byron"),
    ],
)
def test_sorting(people: str, page: tuple[str, ...], sort: str, first: str) -> None:
    """The list can be sorted by what an account is, has, does and costs; what is unknown stands last."""
    shown = invoke(
        people, "user", "list", "--sort", sort, "--csv", "--fields", "email,name", "--no-headers", *page
    )
    assert first in shown.out.splitlines()[0]
    assert len(shown.out.splitlines()) == len(IDS)


def test_the_lists_csv_begins_with_who(people: str) -> None:
    """Other commands read the account from the first columns."""
    shown = invoke(people, "user", "list", "--csv")
    header, *rows = csv.reader(io.StringIO(shown.out))
    assert header[:2] == ["id", "email"]
    assert {email: UUID(identifier) for identifier, email, *_ in rows} == IDS
    assert invoke(people, "user", "list", "-o", "ids", "--tier", "pro").out == f"{ADA}\n"


def test_a_month_without_usage_says_so(people: str) -> None:
    """Empty columns are not taken for nothing done."""
    note = "no usage is stored for 2025-05"
    assert note in invoke(people, "user", "list", "--month", "2025-05").err
    assert note not in invoke(people, "user", "list", "--month", "2025-06").err


def test_the_demo_platforms_list(computed: str) -> None:
    """The demo's own accounts are counted alike by the list, by its filters together, and in its table."""
    statuses = ("active", "suspended", "banned", "deleted")
    parts = [
        int(invoke(computed, "user", "list", "--status", status, "-o", "count").out) for status in statuses
    ]
    with psycopg.connect(computed) as connection:
        row = connection.execute("SELECT count(*) FROM auth.users").fetchone()
    assert row == (sum(parts),)
    assert all(parts)
    since = datetime(2025, 6, 1, tzinfo=UTC).isoformat()
    assert _listed(computed, "id", "--active-since", since).keys() < _listed(computed, "id").keys()
