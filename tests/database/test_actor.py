"""Who acts: the admin the database login is mapped to, else the one that is named; and who may not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from avatarlab_cli.actions.act import Outcome
from avatarlab_cli.actions.actor import Actor, demand_actor, find_actor
from avatarlab_cli.actions.admin import Bootstrap, Deactivate
from avatarlab_cli.database import Database
from avatarlab_cli.errors import ExitCode, NotPermittedError
from avatarlab_cli.permissions import CEILINGS, PERMISSIONS, ROLES, STANDARD, column_of, holds
from tests.conftest import created_database
from tests.database import audit_log
from tests.database.audit_log import ROOT_EMAIL
from tests.database.logins import as_role, login

EVE = UUID(int=0xEE)
EVE_EMAIL = "Eve@Example.com"
GRANTS = (
    "GRANT USAGE ON SCHEMA auth TO {role}",
    "GRANT SELECT ON admin_users, auth.users TO {role}",
)


@pytest.fixture(scope="module")
def staffed(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """A super_admin and an analyst, for tests that roll back what they do."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        audit_log.enrol(conninfo, (EVE, EVE_EMAIL, "analyst"))
        yield conninfo


def admin_id(conninfo: str, user: UUID) -> UUID:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT id FROM admin_users WHERE user_id = %s", [user]).fetchone()
    assert row is not None
    found = row[0]
    assert isinstance(found, UUID)
    return found


def actor(conninfo: str, name: str | None) -> Actor | None:
    with Database(conninfo).read() as connection:
        return find_actor(connection, name)


def test_the_named_admin(staffed: str) -> None:
    """An admin is named by e-mail address, case ignored, or by the UUID of the admin or of the account."""
    found = admin_id(staffed, EVE)
    for name in (EVE_EMAIL, EVE_EMAIL.lower(), str(found), str(found).upper(), str(EVE)):
        named = actor(staffed, name)
        assert named is not None
        assert (named.id, named.user_id, named.email, named.role) == (found, EVE, EVE_EMAIL, "analyst")
        assert not named.is_login


@pytest.mark.parametrize("name", ["nobody@example.com", "eve", str(UUID(int=1)), "%", "' OR true --"])
def test_a_name_that_is_no_admins(staffed: str, name: str) -> None:
    """Whoever names somebody else is refused, reports included: it may be a typing error."""
    with pytest.raises(NotPermittedError, match="is not an admin") as raised:
        actor(staffed, name)
    assert "AVATARLAB_ADMIN" in str(raised.value.hint)


def test_nobody_is_named(staffed: str) -> None:
    """Reports go by the login's own rights then, and changes need a name."""
    for name in (None, ""):
        assert actor(staffed, name) is None
        with (
            pytest.raises(NotPermittedError, match="no admin is named") as raised,
            Database(staffed).read() as connection,
        ):
            demand_actor(connection, name)
        assert "AVATARLAB_ADMIN" in str(raised.value.hint)


def test_the_login_wins(migrated_panel_conninfo: str) -> None:
    """A login that is mapped to an admin is that admin, whatever name is given."""
    conninfo = migrated_panel_conninfo
    audit_log.enrol(conninfo, (EVE, EVE_EMAIL, "analyst"))
    with login(conninfo, *GRANTS, options="BYPASSRLS") as role:
        mine = as_role(conninfo, role)
        assert actor(mine, None) is None
        with psycopg.connect(conninfo) as connection:
            connection.execute("UPDATE admin_users SET db_role = %s WHERE user_id = %s", [role, EVE])
        for name in (None, "", EVE_EMAIL, ROOT_EMAIL, "nobody@example.com"):
            found = actor(mine, name)
            assert found is not None
            assert (found.user_id, found.is_login) == (EVE, True)
        other = actor(conninfo, ROOT_EMAIL)
        assert other is not None
        assert (other.user_id, other.is_login) == (audit_log.ROOT, False)
        with psycopg.connect(conninfo) as connection:
            connection.execute("UPDATE admin_users SET is_active = false WHERE user_id = %s", [EVE])
        with pytest.raises(NotPermittedError, match="was deactivated"):
            actor(mine, ROOT_EMAIL)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE admin_users SET is_active = false WHERE user_id = %s", "was deactivated"),
        ("UPDATE admin_users SET locked_until = now() + interval '1 minute' WHERE user_id = %s", "is locked"),
        ("UPDATE auth.users SET banned_until = now() + interval '1 minute' WHERE id = %s", "is banned"),
        ("UPDATE auth.users SET deleted_at = now() WHERE id = %s", "has a deleted account"),
    ],
)
def test_an_admin_who_may_not_act(migrated_panel_conninfo: str, statement: str, reason: str) -> None:
    """Who was deactivated, locked, banned or deleted does not act, nor look."""
    audit_log.enrol(migrated_panel_conninfo, (EVE, EVE_EMAIL, "admin"))
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute(statement, [EVE])
    with pytest.raises(NotPermittedError, match=f"the admin {EVE_EMAIL} {reason}"):
        actor(migrated_panel_conninfo, EVE_EMAIL)


def test_what_is_over_does_not_count(migrated_panel_conninfo: str) -> None:
    """A lock or ban that has ended is none."""
    audit_log.enrol(migrated_panel_conninfo, (EVE, EVE_EMAIL, "admin"))
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute("UPDATE admin_users SET locked_until = now() - interval '1 minute'")
        connection.execute("UPDATE auth.users SET banned_until = now() - interval '1 minute'")
    assert actor(migrated_panel_conninfo, EVE_EMAIL) is not None


def test_before_there_is_any_admin(migrated_panel_conninfo: str, panel_conninfo: str) -> None:
    """Anybody may look, even under a name; a change needs the first admin, and is told how."""
    for conninfo in (migrated_panel_conninfo, panel_conninfo):
        for name in (None, ROOT_EMAIL):
            assert actor(conninfo, name) is None
    with (
        pytest.raises(NotPermittedError, match="avatarlab admin bootstrap EMAIL"),
        Database(migrated_panel_conninfo).read() as connection,
    ):
        demand_actor(connection, None)


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_holds(role: str) -> None:
    """An admin holds what the column grants, as far as the role allows; a super_admin everything."""
    for permission in PERMISSIONS:
        is_super = role == "super_admin"
        everything, nothing = column_of(frozenset(PERMISSIONS)), column_of(frozenset())
        assert holds(role, everything, permission) == (is_super or permission in CEILINGS[role])
        assert holds(role, nothing, permission) == is_super
        assert holds(role, column_of(STANDARD[role]), permission) == (
            is_super or permission in STANDARD[role]
        )
        area, right = permission.split(".")
        columns: tuple[object, ...] = (None, [], "all", {area: True}, {area: {right: "true"}})
        for broken in columns:
            assert holds(role, broken, permission) == is_super


def bootstrap(conninfo: str, email: str) -> Outcome:
    (outcome,) = audit_log.act(conninfo, Bootstrap(), [email], admin=None)
    return outcome


def test_bootstrap(migrated_panel_conninfo: str) -> None:
    """The first super_admin is made without one, holds everything, and the entry is that admin's own."""
    conninfo = migrated_panel_conninfo
    first, second = audit_log.sign_up(conninfo, 2)
    outcome = bootstrap(conninfo, first)
    assert (outcome.result, outcome.label) == ("changed", first)
    found = actor(conninfo, first)
    assert found is not None
    assert all(found.may(permission) for permission in PERMISSIONS)
    (entry,) = audit_log.log(conninfo)
    assert (entry["action"], entry["admin_user_id"], entry["resource_type"], entry["resource_id"]) == (
        *("admin.bootstrap", found.id, "admin", found.id),
    )
    refused = bootstrap(conninfo, second)
    assert (refused.code, refused.detail) == (ExitCode.REFUSED, "there is a super_admin already")
    assert len(audit_log.log(conninfo)) == 1


def test_two_bootstraps_at_once(migrated_panel_conninfo: str) -> None:
    """Of several at the same time one makes the first admin, and the others are refused."""
    conninfo = migrated_panel_conninfo
    users = audit_log.sign_up(conninfo, 6)
    with ThreadPoolExecutor(len(users)) as pool:
        outcomes = [*pool.map(lambda user: bootstrap(conninfo, user), users)]
    assert sorted(outcome.result for outcome in outcomes) == ["changed", *["failed"] * 5]
    assert {outcome.code for outcome in outcomes} == {ExitCode.OK, ExitCode.REFUSED}
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM admin_users").fetchone() == (1,)
    assert len(audit_log.log(conninfo)) == 1


def test_two_super_admins_leave_at_once(migrated_panel_conninfo: str) -> None:
    """Two who deactivate each other, or themselves, at the same time: one stays."""
    conninfo = migrated_panel_conninfo
    audit_log.enrol(conninfo, (EVE, EVE_EMAIL, "super_admin"))

    def leave(email: str) -> Outcome:
        (outcome,) = audit_log.act(conninfo, Deactivate(), [email], admin=email)
        return outcome

    with ThreadPoolExecutor(2) as pool:
        outcomes = [*pool.map(leave, [ROOT_EMAIL, EVE_EMAIL])]
    assert sorted(outcome.result for outcome in outcomes) == ["changed", "failed"]
    (refused,) = (outcome for outcome in outcomes if outcome.result == "failed")
    assert (refused.code, refused.detail) == (ExitCode.REFUSED, "is the last super_admin")
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM admin_users WHERE is_active").fetchone() == (1,)
