"""The noun `admin`: who acts and may do what, and how admins come, change and go."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from avatarlab_cli.permissions import CEILINGS, PERMISSIONS, ROLES, STANDARD, column_of
from tests.cli.invoking import Outcome, invoke, terminal
from tests.conftest import created_database
from tests.database import audit_log
from tests.database.audit_log import ROOT_EMAIL
from tests.database.contents import contents
from tests.database.logins import as_role, login

# One of each role beside the super_admin, each with the role's standard permissions.
STAFF = {role: (UUID(int=0xF0 + number), f"{role}@example.com") for number, role in enumerate(ROLES[1:])}


def enrol(conninfo: str) -> list[str]:
    """Make a super_admin and one admin of every other role; returns the addresses of three plain users."""
    audit_log.enrol(conninfo, *((user, email, role) for role, (user, email) in STAFF.items()))
    with psycopg.connect(conninfo) as connection:
        for role, (user, _) in STAFF.items():
            column = json.dumps(column_of(STANDARD[role]))
            connection.execute("UPDATE admin_users SET permissions = %s WHERE user_id = %s", [column, user])
    return audit_log.sign_up(conninfo, 3)


@pytest.fixture(scope="module")
def staffed(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """An admin of every role, for commands that only look or are refused."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        enrol(conninfo)
        yield conninfo


@pytest.fixture
def own(migrated_panel_conninfo: str) -> str:
    """The same for commands that change something."""
    enrol(migrated_panel_conninfo)
    return migrated_panel_conninfo


def email(role: str) -> str:
    return ROOT_EMAIL if role == "super_admin" else STAFF[role][1]


def run(conninfo: str, role: str, *arguments: str) -> Outcome:
    """Run a command as the admin of this role."""
    return invoke(conninfo, "admin", *arguments, "--yes", env={"AVATARLAB_ADMIN": email(role)})


def look(conninfo: str, role: str, *arguments: str) -> Outcome:
    return invoke(conninfo, "admin", *arguments, env={"AVATARLAB_ADMIN": email(role)})


def admins(conninfo: str) -> dict[str, dict[str, Any]]:
    """Return every admin's row by e-mail address."""
    with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
        query = "SELECT u.email, a.* FROM admin_users a JOIN auth.users u ON u.id = a.user_id"
        return {row["email"]: row for row in connection.execute(query).fetchall()}


def compact(held: frozenset[str]) -> str:
    """Write permissions as the list shows them."""
    areas = dict.fromkeys(name.split(".")[0] for name in PERMISSIONS)
    letters = {
        area: "".join(r[0] for r in ("read", "write", "delete") if f"{area}.{r}" in held) for area in areas
    }
    return ", ".join(f"{area} {rights}" for area, rights in letters.items() if rights)


def test_list(staffed: str) -> None:
    """Every admin is there with what the role and the column together give."""
    shown = look(staffed, "super_admin", "list", "--json")
    assert (shown.code, shown.err) == (0, "")
    rows = {row["email"]: row for row in json.loads(shown.out)}
    assert [*rows] == sorted(email(role) for role in ROLES)
    for role in ROLES:
        row = rows[email(role)]
        assert (row["role"], row["permissions"]) == (role, compact(STANDARD[role]))
        assert (row["state"], row["login"], row["is_service"]) == ("active", None, False)
        assert (row["acts"], row["last_act_at"]) == (0, None)


def test_list_shows_what_may_be_done(own: str) -> None:
    """What the column grants beyond the role counts for nothing, and who holds nothing is shown so."""
    with psycopg.connect(own) as connection:
        everything = json.dumps(column_of(frozenset(PERMISSIONS)))
        change = "UPDATE admin_users SET permissions = %s WHERE user_id = %s"
        connection.execute(change, [everything, STAFF["support"][0]])
        connection.execute(change, ['{"users": {"read": "true"}, "tiers": true}', STAFF["analyst"][0]])
    rows = {row["email"]: row for row in json.loads(look(own, "super_admin", "list", "--json").out)}
    assert rows[email("support")]["permissions"] == compact(CEILINGS["support"])
    assert rows[email("analyst")]["permissions"] is None


def test_list_counts_acts_and_hides_the_deactivated(own: str) -> None:
    """Who was deactivated is in the list with --all alone, acts and all."""
    empowered(own)
    assert run(own, "admin", "add", "user0@example.com").code == 0
    assert run(own, "super_admin", "deactivate", email("admin")).code == 0
    listed = look(own, "super_admin", "list", "--csv", "--fields", "email,acts")
    assert email("admin") not in listed.out
    assert f"{ROOT_EMAIL},3\n" in listed.out
    everybody = look(own, "super_admin", "list", "--all", "--csv", "--fields", "email,state,acts")
    assert f"{email('admin')},inactive,1\n" in everybody.out


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("UPDATE admin_users SET locked_until = now() + interval '1 day' WHERE user_id = %s", "locked"),
        ("UPDATE auth.users SET banned_until = now() + interval '1 day' WHERE id = %s", "banned"),
        ("UPDATE auth.users SET deleted_at = now() WHERE id = %s", "deleted"),
    ],
)
def test_list_says_who_cannot_act(own: str, statement: str, state: str) -> None:
    """An admin whose lock or account prevents any act is not called active, and indeed cannot act."""
    with psycopg.connect(own) as connection:
        connection.execute(statement, [STAFF["admin"][0]])
    listed = look(own, "super_admin", "list", "--csv", "--no-headers", "--fields", "email,state")
    assert f"{email('admin')},{state}\n" in listed.out
    refused = look(own, "admin", "whoami")
    assert (refused.code, refused.out) == (ExitCode.NOT_PERMITTED, "")


def test_list_of_nobody(migrated_panel_conninfo: str) -> None:
    """Without any admin the way to the first is told."""
    shown = invoke(migrated_panel_conninfo, "admin", "list")
    assert (shown.code, shown.out) == (0, "")
    assert "avatarlab admin bootstrap EMAIL" in shown.err


@pytest.mark.parametrize("role", ROLES)
def test_whoami(staffed: str, role: str) -> None:
    """Every role learns who it is and what it may do."""
    shown = look(staffed, role, "whoami", "--json")
    record = json.loads(shown.out)
    assert (record["email"], record["role"], record["known_by"]) == (email(role), role, "setting")
    assert record["permissions"] == compact(STANDARD[role])


def test_whoami_by_login(own: str) -> None:
    """A mapped login is told as such, and wins over the name that is given."""
    tables = "GRANT SELECT ON admin_users, auth.users TO {role}"
    with login(own, "GRANT USAGE ON SCHEMA auth TO {role}", tables, options="BYPASSRLS") as role:
        assert run(own, "super_admin", "map", email("support"), "--login", role).code == 0
        record = json.loads(look(as_role(own, role), "super_admin", "whoami", "--json").out)
        assert (record["email"], record["known_by"], record["login"]) == (email("support"), "login", role)
        assert run(own, "super_admin", "map", email("support")).code == 0
        record = json.loads(look(as_role(own, role), "super_admin", "whoami", "--json").out)
        assert (record["email"], record["known_by"]) == (ROOT_EMAIL, "setting")


def test_whoami_is_nobody(staffed: str, migrated_panel_conninfo: str) -> None:
    """Where nobody acts, the way to a name, or to the first admin, is told."""
    refused = invoke(staffed, "admin", "whoami")
    assert (refused.code, refused.out) == (ExitCode.NOT_PERMITTED, "")
    assert "AVATARLAB_ADMIN" in refused.err
    refused = invoke(migrated_panel_conninfo, "admin", "whoami")
    assert (refused.code, refused.out) == (ExitCode.NOT_PERMITTED, "")
    assert "avatarlab admin bootstrap EMAIL" in refused.err


@pytest.mark.parametrize("role", ROLES)
def test_permissions(staffed: str, role: str) -> None:
    """Each permission is told: held or not, possible or not, and the commands that ask for it."""
    shown = look(staffed, "super_admin", "permissions", email(role), "--json")
    rows = {row["permission"]: row for row in json.loads(shown.out)}
    assert tuple(rows) == PERMISSIONS
    assert {name for name, row in rows.items() if row["is_held"]} == STANDARD[role]
    assert {name for name, row in rows.items() if row["role_allows"]} == CEILINGS[role]
    assert "user ban" in rows["users.write"]["commands"]


def test_permissions_of_oneself(staffed: str) -> None:
    """Without a name they are the acting admin's; who may not look is told where to."""
    own = look(staffed, "admin", "permissions", "--csv")
    assert own == look(staffed, "super_admin", "permissions", email("admin"), "--csv")
    refused = look(staffed, "support", "permissions")
    assert refused.code == ExitCode.NOT_PERMITTED
    assert "avatarlab admin whoami" in refused.err
    assert look(staffed, "super_admin", "permissions", "nobody@example.com").code == ExitCode.NOT_FOUND
    assert look(staffed, "super_admin", "permissions", "--field", "nope").code == ExitCode.USAGE


def test_nobody_acts_without_a_name(staffed: str) -> None:
    """Reports run; a change is refused with the way out, and nothing is written."""
    assert invoke(staffed, "admin", "list").code == 0
    before = contents(staffed)
    refused = invoke(staffed, "admin", "add", "user0@example.com", "--yes")
    assert (refused.code, refused.out) == (ExitCode.NOT_PERMITTED, "")
    assert "AVATARLAB_ADMIN" in refused.err
    assert contents(staffed) == before


def test_bootstrap(migrated_panel_conninfo: str) -> None:
    """The first super_admin needs none; the second bootstrap is refused; the address must be a user's."""
    conninfo = migrated_panel_conninfo
    first, second = audit_log.sign_up(conninfo, 2)
    refused = invoke(conninfo, "admin", "add", first, "--yes")
    assert refused.code == ExitCode.NOT_PERMITTED
    assert "avatarlab admin bootstrap EMAIL" in refused.err
    assert invoke(conninfo, "admin", "bootstrap", "nobody@example.com").code == ExitCode.NOT_FOUND
    done = invoke(conninfo, "admin", "bootstrap", first, "--csv", "-q")
    assert done == Outcome(0, done.out, "")
    assert "changed,made the first super_admin" in done.out
    assert admins(conninfo)[first]["role"] == "super_admin"
    refused = invoke(conninfo, "admin", "bootstrap", second)
    assert (refused.code, refused.out) == (ExitCode.REFUSED, "")
    assert "there is a super_admin already" in refused.err
    assert [*admins(conninfo)] == [first]


def test_bootstrap_of_somebody_banned(migrated_panel_conninfo: str) -> None:
    """Who cannot act cannot be the first admin."""
    (user,) = audit_log.sign_up(migrated_panel_conninfo, 1)
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute("UPDATE auth.users SET banned_until = 'infinity'")
    refused = invoke(migrated_panel_conninfo, "admin", "bootstrap", user)
    assert refused.code == ExitCode.FAILED
    assert "has an account that is deleted or banned" in refused.err
    assert not admins(migrated_panel_conninfo)


def test_add(own: str) -> None:
    """New admins get their role's standard permissions, each under an entry; one who is an admin is told."""
    done = run(
        own,
        "super_admin",
        "add",
        "user0@example.com",
        "user1@example.com",
        email("support"),
        "--role",
        "moderator",
    )
    assert done.code == ExitCode.FAILED
    assert "is an admin already" in done.out
    for user in ("user0@example.com", "user1@example.com"):
        row = admins(own)[user]
        assert (row["role"], row["permissions"]) == ("moderator", column_of(STANDARD["moderator"]))
        assert row["created_by"] == admins(own)[ROOT_EMAIL]["id"]
    assert admins(own)[email("support")]["role"] == "support"
    assert [(entry["action"], entry["severity"]) for entry in audit_log.log(own)] == [
        ("admin.add", "critical")
    ] * 2


def test_add_a_service(own: str) -> None:
    """Automation acts under a login of its own."""
    assert (
        run(
            own,
            "super_admin",
            "add",
            "user0@example.com",
            "--role",
            "admin",
            "--service",
            "--login",
            "pg_monitor",
        ).code
        == 0
    )
    row = admins(own)["user0@example.com"]
    assert (row["is_service"], row["db_role"]) == (True, "pg_monitor")
    two = ("user1@example.com", "user2@example.com", "--login", "pg_read_all_stats")
    assert run(own, "super_admin", "add", *two).code == ExitCode.USAGE
    assert run(own, "super_admin", "add", "user1@example.com", "--login", "pg_monitor").code == ExitCode.USAGE
    assert "user1@example.com" not in admins(own)


def test_a_new_admin_gets_no_more_than_the_giver_has(own: str) -> None:
    """Who lacks a permission cannot give it by way of a role."""
    assert run(own, "super_admin", "withdraw", email("admin"), "--permission", "users.delete").code == 0
    assert (
        run(own, "admin", "grant", email("support"), "--permission", "users.read").code
        == ExitCode.NOT_PERMITTED
    )
    assert run(own, "super_admin", "grant", email("admin"), "--permission", "settings.write").code == 0
    assert run(own, "admin", "add", "user0@example.com", "--role", "admin").code == 0
    held = STANDARD["admin"] - {"users.delete"}
    assert admins(own)["user0@example.com"]["permissions"] == column_of(held)


def empowered(conninfo: str) -> None:
    """Give the admin what it takes to manage admins, in two acts of the super_admin's."""
    for permission in ("settings.write", "settings.delete"):
        done = run(conninfo, "super_admin", "grant", email("admin"), "--permission", permission)
        assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("role", email("admin"), "--role", "super_admin"), "cannot raise their own role"),
        (("role", email("support"), "--role", "super_admin"), "cannot be made super_admin by a admin"),
        (("role", ROOT_EMAIL, "--role", "support"), "is above a admin"),
        (("add", "user0@example.com", "--role", "super_admin"), "cannot be made super_admin by a admin"),
        (("deactivate", ROOT_EMAIL), "is above a admin"),
        (("map", ROOT_EMAIL, "--login", "pg_monitor"), "is above a admin"),
        (("withdraw", ROOT_EMAIL, "--permission", "users.read"), "is above a admin"),
        (("grant", email("admin"), "--permission", "users.read"), "cannot change their own permissions"),
        (("withdraw", email("admin"), "--permission", "users.read"), "cannot change their own permissions"),
        (("grant", email("moderator"), "--permission", "tiers.delete"), "it takes tiers.delete"),
    ],
)
def test_nobody_reaches_above_their_rank(own: str, arguments: tuple[str, ...], message: str) -> None:
    """Nobody raises their own role, gives what they do not have, or touches who stands above."""
    empowered(own)
    before = contents(own)
    refused = run(own, "admin", *arguments)
    assert (refused.code, refused.out) == (ExitCode.NOT_PERMITTED, "")
    assert message in refused.err
    assert contents(own) == before


@pytest.mark.parametrize("role", ["moderator", "support", "analyst"])
def test_who_may_not_manage_admins(staffed: str, role: str) -> None:
    """These roles can hold no right over admins at all."""
    for verb, more in (("add", ()), ("role", ("--role", "support")), ("deactivate", ())):
        refused = run(staffed, role, verb, email("analyst"), *more)
        assert (refused.code, refused.out) == (ExitCode.NOT_PERMITTED, "")
        assert f"{email(role)} ({role}) may not `admin {verb}`" in refused.err


def test_one_may_step_down(own: str) -> None:
    """Lowering one's own role is allowed, and takes effect at once."""
    empowered(own)
    assert run(own, "admin", "role", email("admin"), "--role", "support").code == 0
    assert admins(own)[email("admin")]["permissions"] == column_of(STANDARD["support"])
    assert run(own, "admin", "role", email("admin"), "--role", "admin").code == ExitCode.NOT_PERMITTED


@pytest.mark.parametrize(("verb", "more"), [("role", ("--role", "admin")), ("deactivate", ())])
def test_the_last_super_admin_stays(own: str, verb: str, more: tuple[str, ...]) -> None:
    """The last one cannot be removed, alone or with all others; of two, one can."""
    refused = run(own, "super_admin", verb, ROOT_EMAIL, *more)
    assert (refused.code, refused.out) == (ExitCode.REFUSED, "")
    assert "is the last super_admin" in refused.err
    assert run(own, "super_admin", "role", email("admin"), "--role", "super_admin").code == 0
    both = run(own, "super_admin", verb, ROOT_EMAIL, email("admin"), *more)
    assert (both.code, both.out.count("is the last super_admin")) == (ExitCode.FAILED, 2)
    assert run(own, "super_admin", verb, ROOT_EMAIL, *more).code == 0


def test_deactivate_and_add_again(own: str) -> None:
    """Who was deactivated cannot act until made an admin again; once more changes nothing."""
    assert run(own, "super_admin", "deactivate", email("support"), "--reason", "left").code == 0
    assert admins(own)[email("support")]["is_active"] is False
    assert look(own, "support", "whoami").code == ExitCode.NOT_PERMITTED
    again = run(own, "super_admin", "deactivate", email("support"), "--csv")
    assert "unchanged" in again.out
    assert run(own, "super_admin", "add", email("support"), "--role", "analyst").code == 0
    assert json.loads(look(own, "support", "whoami", "--json").out)["role"] == "analyst"


def test_grant_and_withdraw(own: str) -> None:
    """A permission comes and goes within the role; beyond it, or for who holds everything, it is refused."""
    target, given = email("moderator"), ("--permission", "moderation.delete")
    assert run(own, "super_admin", "withdraw", target, *given).code == 0
    assert admins(own)[target]["permissions"] == column_of(STANDARD["moderator"] - {"moderation.delete"})
    assert run(own, "super_admin", "grant", target, *given).code == 0
    assert admins(own)[target]["permissions"] == column_of(STANDARD["moderator"])
    assert "unchanged" in run(own, "super_admin", "grant", target, *given).out
    beyond = run(own, "super_admin", "grant", target, "--permission", "settings.write")
    assert (beyond.code, beyond.out) == (ExitCode.FAILED, "")
    assert "a role that cannot hold settings.write" in beyond.err
    assert run(own, "super_admin", "role", email("admin"), "--role", "super_admin").code == 0
    whole = run(own, "super_admin", "withdraw", email("admin"), *given)
    assert whole.code == ExitCode.FAILED
    assert "a role that holds every permission" in whole.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("grant", email("support"), "--permission", "users.fly"), "permissions: tiers.read"),
        (("role", email("support"), "--role", "king"), "roles: super_admin, admin"),
        (("add", "user0@example.com", "--role", "king"), "roles: super_admin, admin"),
        (("role",), "--role"),
        (("deactivate",), "no admin is named"),
    ],
)
def test_what_cannot_be_meant(staffed: str, arguments: tuple[str, ...], message: str) -> None:
    """A role or permission there is not is refused with those there are."""
    refused = run(staffed, "super_admin", *arguments)
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert message in refused.err


ACTS = (
    ("add", "user0@example.com", "--role", "analyst"),
    ("role", email("support"), "--role", "moderator"),
    ("grant", email("admin"), "--permission", "settings.write"),
    ("withdraw", email("support"), "--permission", "users.write"),
    ("map", email("support"), "--login", "pg_monitor"),
    ("deactivate", email("moderator")),
)


@pytest.mark.parametrize("arguments", ACTS)
def test_dry_run(staffed: str, arguments: tuple[str, ...]) -> None:
    """What would change is shown with the values before and after, and nothing does."""
    before = contents(staffed)
    shown = run(staffed, "super_admin", *arguments, "--dry-run", "--json")
    assert shown.code == 0, shown.err
    rows = json.loads(shown.out)
    assert {(row["result"], row["table"]) for row in rows} == {("would change", "admin_users")}
    assert contents(staffed) == before


def test_plan(own: str, tmp_path: Path) -> None:
    """A plan changes nothing; carried out, it does what it said, under the reason given then, and refuses what moved."""
    plan = tmp_path / "plan.ndjson"
    before = contents(own)
    made = run(
        own,
        "super_admin",
        "role",
        email("support"),
        "--role",
        "moderator",
        "--plan",
        str(plan),
        "--reason",
        "busy",
    )
    assert made.code == 0, made.err
    assert contents(own) == before
    env = {"AVATARLAB_ADMIN": ROOT_EMAIL}
    assert invoke(own, "apply", str(plan), "--yes", env=env).code == 0
    assert admins(own)[email("support")]["role"] == "moderator"
    (entry,) = audit_log.log(own)
    assert (entry["action"], entry["justification"]) == ("admin.role", "busy")
    moved = invoke(own, "apply", str(plan), "--yes", env=env)
    assert moved.code in {ExitCode.OK, ExitCode.REFUSED}
    assert len(audit_log.log(own)) == 1


def test_deactivating_asks(own: str) -> None:
    """On a terminal it is asked before, also for one; no leaves all as it is."""
    env = {"AVATARLAB_ADMIN": ROOT_EMAIL}
    declined = terminal(own, "admin", "deactivate", email("support"), answer="n\n", env=env)
    assert declined.code == ExitCode.DECLINED
    assert f"Deactivate the admin {email('support')}?" in declined.out
    assert admins(own)[email("support")]["is_active"]
    confirmed = terminal(own, "admin", "deactivate", email("support"), answer="y\n", env=env)
    assert confirmed.code == 0, confirmed.out
    assert not admins(own)[email("support")]["is_active"]
