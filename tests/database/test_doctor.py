"""The doctor on a direct connection: what it finds, and that its advice mends it."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import Outcome, invoke
from tests.database.contents import contents
from tests.database.logins import as_role, login

README = Path(__file__).parents[2] / "README.md"
Page = dict[str, dict[str, Any]]


def doctor(conninfo: str, *, ahead: timedelta = timedelta()) -> Outcome:
    """Run the doctor on a host whose clock is so far ahead."""
    return invoke(conninfo, "db", "doctor", "--json", now=datetime.now(UTC) + ahead)


def page(conninfo: str, **options: timedelta) -> Page:
    return {row["check"]: row for row in json.loads(doctor(conninfo, **options).out)}


def states(found: Page) -> dict[str, str]:
    """Return the states of all checks that are not well."""
    return {check: row["state"] for check, row in found.items() if row["state"] != "ok"}


@pytest.fixture
def grants() -> list[str]:
    """The statements README gives for a login of the jobs, without its CREATE ROLE."""
    (block,) = re.findall(r"```sql\n(CREATE ROLE avatarlab.*?)```", README.read_text("utf-8"), re.DOTALL)
    return [line.replace("avatarlab;", "{role};") for line in block.splitlines()[1:]]


@pytest.fixture
def of_jobs(migrated_panel_conninfo: str, grants: list[str]) -> Iterator[str]:
    """A connection string of a login that README's statements made."""
    with login(migrated_panel_conninfo, *grants, options="BYPASSRLS") as role:
        yield as_role(migrated_panel_conninfo, role)


def execute(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def role_of(conninfo: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(conninfo)["user"])


def test_all_is_well(of_jobs: str) -> None:
    """Whoever follows README gets a page without a complaint, and exit code 0."""
    outcome = doctor(of_jobs)
    rows = json.loads(outcome.out)
    assert {row["state"] for row in rows} == {"ok"}
    assert outcome.code == 0
    assert rows[0]["check"] == "connection"
    assert rows[0]["value"].startswith("direct: ")
    # The kind of connection is what the page is about, so what it means is said too.
    assert outcome.err == f"connection: {rows[0]['more']}\n"


def test_nothing_is_left_behind(migrated_panel_conninfo: str) -> None:
    """Rows, tables, schemas and locks are as before."""
    catalog = "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_namespace)"
    with psycopg.connect(migrated_panel_conninfo, autocommit=True) as connection:
        before = connection.execute(catalog).fetchone(), contents(migrated_panel_conninfo)
        assert doctor(migrated_panel_conninfo).code == 0
        assert (connection.execute(catalog).fetchone(), contents(migrated_panel_conninfo)) == before


@pytest.mark.parametrize(
    ("lost", "check"),
    [
        ("SELECT ON public.avatars", "rights to read"),
        ("USAGE ON SCHEMA auth", "rights to read"),
        ("SELECT ON storage.objects", "rights to read"),
        ("INSERT ON avatarlab_admin.usage_daily", "rights to write"),
        ("DELETE ON public.monthly_usage", "rights to write"),
    ],
)
def test_a_right_that_is_missing(of_jobs: str, migrated_panel_conninfo: str, lost: str, check: str) -> None:
    """A right that is missing is bad, and the statement that is shown grants it."""
    execute(migrated_panel_conninfo, f"REVOKE {lost} FROM {role_of(of_jobs)}")
    found = page(of_jobs)
    assert states(found) == {check: "bad"}
    assert doctor(of_jobs).code == ExitCode.FOUND
    execute(migrated_panel_conninfo, found[check]["more"])
    assert states(page(of_jobs)) == {}


@pytest.mark.parametrize(
    ("change", "check", "finding", "advice"),
    [
        ("ALTER ROLE {role} NOBYPASSRLS", "row security", ("bad", "hides rows of"), "BYPASSRLS"),
        (
            "ALTER ROLE {role} SET default_transaction_read_only = on",
            "changes",
            ("bad", "read-only by default"),
            "disk is full",
        ),
        ("ALTER ROLE {role} CONNECTION LIMIT 4", "connections left", ("warn", "3 of 60"), "75"),
        (
            "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
            "temporary tables",
            ("bad", "not allowed"),
            "GRANT TEMPORARY ON DATABASE {database} TO {role}",
        ),
    ],
)
def test_what_else_is_wrong(  # noqa: PLR0917 (what a case consists of)
    of_jobs: str, migrated_panel_conninfo: str, change: str, check: str, finding: tuple[str, str], advice: str
) -> None:
    """Each of these is found with what to do."""
    database = str(psycopg.conninfo.conninfo_to_dict(of_jobs)["dbname"])
    names = {"role": role_of(of_jobs), "database": database}
    execute(migrated_panel_conninfo, change.format(**names))
    found = page(of_jobs)
    state, value = finding
    # What could not be tried for that reason is unknown.
    assert {each: known for each, known in states(found).items() if known != "unknown"} == {check: state}
    assert value in found[check]["value"]
    assert advice.format(**names) in found[check]["more"]
    assert doctor(of_jobs).code == (ExitCode.FOUND if state == "bad" else 0)


def test_the_login_has_limits_of_its_own(of_jobs: str, migrated_panel_conninfo: str) -> None:
    """A login's own statement_timeout gives way to the toolkit's; a limit of the whole transaction does not."""
    role = role_of(of_jobs)
    execute(migrated_panel_conninfo, f"ALTER ROLE {role} SET statement_timeout = '90s'")
    found = page(of_jobs)
    assert (found["time limits"]["state"], found["time limits"]["value"]) == (
        "ok",
        "statements 60s, the login's own is 90s",
    )
    # PostgreSQL 16 has no such limit.
    with psycopg.connect(migrated_panel_conninfo) as connection:
        has_limit = connection.info.server_version >= 170000
    if has_limit:
        execute(migrated_panel_conninfo, f"ALTER ROLE {role} SET transaction_timeout = '5min'")
    found = page(of_jobs)
    assert states(found) == ({"transaction_timeout": "warn"} if has_limit else {})
    if has_limit:
        execute(migrated_panel_conninfo, found["transaction_timeout"]["more"].partition(";")[0])
        assert states(page(of_jobs)) == {}


@pytest.mark.parametrize(("days", "way"), [(1, "ahead"), (-1, "behind")])
def test_a_clock_that_is_wrong(of_jobs: str, days: int, way: str) -> None:
    """A host whose clock is off by a day is told so, by how much and in which direction."""
    row = page(of_jobs, ahead=timedelta(days=days))["clock"]
    found = re.fullmatch(rf"this host is ([\d,.]+) s {way}", row["value"])
    assert found is not None
    assert abs(float(found[1].replace(",", "")) - 86_400) < 60
    assert row["state"] == "warn"
    assert "NTP" in row["more"]


def test_before_the_migration(panel_conninfo: str) -> None:
    """What is not there yet is unknown, and nothing bad."""
    assert states(page(panel_conninfo)) == {"rights to write": "unknown"}


def test_another_database(empty_conninfo: str) -> None:
    """Where no table of the platform is, the page says how to find out which database this is."""
    found = page(empty_conninfo)
    assert states(found) == {"rights to read": "unknown"}
    assert "config show --origin" in found["rights to read"]["more"]


def test_no_database() -> None:
    """Where nobody answers, the error is that of every command."""
    outcome = doctor("postgresql://ada@127.0.0.1:1/app")
    assert (outcome.code, outcome.out) == (ExitCode.UNAVAILABLE, "")
    assert "Connection refused" in outcome.err
