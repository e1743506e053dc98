"""What taking an act back refuses: forged entries, rows that others stand on, and a platform nobody could govern."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from avatarlab_cli.actions.user import Ban, Suspend
from avatarlab_cli.errors import ExitCode
from tests.cli.acting import ROOT, act, carry_out, chain_breaks, copied, entries, key_id, user_id
from tests.cli.invoking import Outcome
from tests.database.audit_log import UNGUARDED
from tests.database.contents import Contents, contents

ANN, BEN, SECOND = "ann@example.com", "ben@example.com", "second@example.com"
SUPPORT = "support@example.com"
ANNS = {"id": str(user_id(ANN))}
SUSPENDED = {"before": {"account_status": "banned"}, "after": {"account_status": "active"}}
WHOLE = {"id": str(user_id("nobody")), "email": "nobody@example.com"}


def forge(conninfo: str, changes: object, action: str = "user.suspend", about: UUID | None = None) -> str:
    """Write an entry past the program, and return its number."""
    statement = """
        INSERT INTO admin_audit_logs (admin_user_id, action, resource_type, resource_id, changes)
        SELECT id, %s, 'user', %s, %s FROM admin_users LIMIT 1 RETURNING seq
    """
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(statement, [action, about or user_id(ANN), json.dumps(changes)]).fetchone()
    assert row is not None
    return str(row[0])


def change(conninfo: str, statement: str, *values: object) -> None:
    """Do what somebody else does."""
    with psycopg.connect(conninfo) as connection:
        assert connection.execute(statement.encode(), values).rowcount == 1


def undo(conninfo: str, *names: str, admin: str = ROOT) -> Outcome:
    return act(conninfo, "audit", "undo", *names, "--yes", admin=admin)


def row(**more: object) -> dict[str, Any]:
    """Return what an entry says of one row: Ann's profile, as it is, unless something else is said."""
    return {"table": "public.profiles", "key": ANNS, **SUSPENDED, **more}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in row().items() if key != name}


@pytest.fixture(scope="module")
def forged(platform: str) -> Iterator[str]:
    """A copy of the platform for entries that must do nothing."""
    with copied(platform) as conninfo:
        yield conninfo


STRANGE: tuple[object, ...] = (
    None,
    [],
    "rows",
    7,
    {},
    {"rows": None},
    {"rows": {}},
    {"rows": "public.profiles"},
    {"rows": 1},
    {"rows": []},
    {"rows": [1]},
    {"rows": [None]},
    {"rows": [[]]},
    {"rows": [{}]},
    *(
        {"rows": [strange]}
        for strange in (
            *(without(name) for name in ("table", "key", "before", "after")),
            row(table=None),
            row(table=1),
            row(table="profiles"),
            row(table="public.nothing"),
            row(table="pg_catalog.pg_authid"),
            row(table="public.profiles r SET name = 'x' --"),
            row(table="public.profiles'; DROP TABLE profiles; --"),
            row(key=None),
            row(key=[]),
            row(key="id"),
            row(key={}),
            row(key={"id": None}),
            row(key={"id": "everybody"}),
            row(key={"id": {"id": 1}}),
            row(key={**ANNS, "name": "ann"}),
            row(key={"user_id": ANNS["id"]}),
            row(before=1),
            row(before="account_status"),
            row(before=["account_status"]),
            row(after=1),
            row(after=["account_status"]),
            row(before=None, after=None),
            row(before={}, after={}),
            row(before={"name = version() --": 1}),
            row(after={"name = version() --": 1}),
            row(before={"name = version() --": 1}, after={"name = version() --": 1}),
            row(before={"name": "x", "avatar_url": "y"}, after={"name": "ann"}),
            row(before={"avatar_url": "y"}),
            row(before=WHOLE, after=None),
            row(before=WHOLE, after=None, key={"id": str(user_id("no one"))}),
            row(before={**WHOLE, "x) SELECT 1 --": 1}, after=None, key={"id": WHOLE["id"]}),
            row(before=None, after={"account_status": "active"}),
            row(
                table="public.admin_users",
                key={"id": str(user_id(f"admin {SECOND}"))},
                before={"two_factor_secret": "x"},
                after={"two_factor_secret": None},
            ),
        )
    ),
)


@pytest.mark.parametrize("changes", STRANGE, ids=lambda changes: json.dumps(changes)[-120:])
def test_a_forged_entry_does_nothing(forged: str, changes: object) -> None:
    """Whatever an entry says that no act would write is refused, and no part of it becomes a statement."""
    # Whatever another forged entry may have done must not keep this one from it.
    change(forged, "UPDATE profiles SET account_status = 'active', name = 'ann' WHERE id = %s", user_id(ANN))
    number = forge(forged, changes)
    before = contents(forged)
    done = undo(forged, number)
    assert (done.code, contents(forged)) == (ExitCode.REFUSED, before), done.err
    assert "cannot be undone" in done.err


def test_a_forged_entry_does_not_hold_up_the_others(conninfo: str) -> None:
    """Of several entries the strange ones are left out, and what they say touches no other's rows."""
    carry_out(conninfo, Suspend(), ANN, BEN)
    first, second = (str(entry["seq"]) for entry in entries(conninfo)[-2:])
    forged = forge(conninfo, {"rows": [row(before={"name": "theirs"}, after={"x": 1}), row(key=1)]})
    done = act(conninfo, "audit", "undo", first, forged, second, "--yes", "--json")
    assert done.code == ExitCode.FAILED
    assert [found["result"] for found in json.loads(done.out)] == ["changed", "failed", "changed"]
    with psycopg.connect(conninfo) as connection:
        found = connection.execute(
            "SELECT account_status, name FROM profiles WHERE email = ANY (%s) ORDER BY name", [[ANN, BEN]]
        )
        assert found.fetchall() == [("active", "ann"), ("active", "ben")]
    assert chain_breaks(conninfo) == []


def test_the_log_itself_is_not_undone(conninfo: str) -> None:
    """No entry can be made to change the log, its head, or other records of this program."""
    carry_out(conninfo, Suspend(), ANN)
    entry = entries(conninfo)[-1]
    records = (
        row(
            table="public.admin_audit_logs",
            key={"id": str(entry["id"])},
            before={"undone_by": str(entry["id"])},
            after={"undone_by": None},
        ),
        row(
            table="avatarlab_admin.audit_head",
            key={"is_head": True},
            before={"seq": 0},
            after={"seq": entry["seq"] + 2},
        ),
        row(
            table="avatarlab_admin.period_close",
            key={"id": str(user_id("a month"))},
            before={"digest": "y"},
            after={"digest": "x"},
        ),
        row(table="avatarlab_admin.usage_dirty", key={}, before={"day": None}, after={"day": "2025-01-01"}),
    )
    for record in records:
        number = forge(conninfo, {"rows": [record]})
        before = contents(conninfo)
        done = undo(conninfo, number)
        assert (done.code, contents(conninfo)) == (ExitCode.REFUSED, before)
        assert "does not say which rows" in done.err


def test_an_entry_from_before_the_chain(conninfo: str) -> None:
    """An entry without a hash vouches for nothing, however well it reads."""
    carry_out(conninfo, Suspend(), ANN)
    number = str(entries(conninfo)[-1]["seq"])
    with psycopg.connect(conninfo) as connection:
        connection.execute(UNGUARDED)
        connection.execute(
            "UPDATE admin_audit_logs SET hash = NULL, prev_hash = NULL WHERE seq = %s", [number]
        )
    before = contents(conninfo)
    assert (undo(conninfo, number).code, contents(conninfo)) == (ExitCode.REFUSED, before)


def test_what_changes_admins_takes_a_super_admin(conninfo: str) -> None:
    """It is by the rows, not by what the entry calls itself, that an act on admins is known."""
    rows = [
        row(
            table="public.admin_users",
            key={"id": str(user_id(f"admin {SUPPORT}"))},
            before={"role": "super_admin"},
            after={"role": "support"},
        )
    ]
    number = forge(conninfo, {"rows": rows})
    before = contents(conninfo)
    done = undo(conninfo, number, admin=SUPPORT)
    assert (done.code, contents(conninfo)) == (ExitCode.NOT_PERMITTED, before)
    assert "takes a super_admin" in done.err


def with_id(conninfo: str, identity: str) -> Contents:
    """Give the last entry this id; returns all there is then."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(UNGUARDED)
        connection.execute(
            "UPDATE admin_audit_logs SET id = %s WHERE seq = (SELECT max(seq) FROM admin_audit_logs)",
            [identity],
        )
    return contents(conninfo)


@pytest.mark.parametrize("name", ["606", "6060606", "60606060", "606a", "606a0f0"])
def test_a_number_is_no_beginning_of_an_id(conninfo: str, name: str) -> None:
    """Who names entry 606 never means one whose id happens to begin so; and a beginning is long enough to be meant."""
    carry_out(conninfo, Suspend(), ANN)
    before = with_id(conninfo, f"{name.ljust(8, '0')}-0000-4000-8000-000000000000")
    done = undo(conninfo, name)
    assert (done.code, contents(conninfo)) == (ExitCode.NOT_FOUND, before)


def test_the_beginning_of_an_id(conninfo: str) -> None:
    """Eight characters of an id will do, where they are no number."""
    carry_out(conninfo, Suspend(), ANN)
    with_id(conninfo, "606a0f0b-0000-4000-8000-000000000000")
    assert undo(conninfo, "606a0f0b").code == 0


@pytest.mark.parametrize("verb", ["unban", "delete"])
def test_an_admin_is_not_shut_out_by_undoing(conninfo: str, verb: str) -> None:
    """Who has become an admin is neither banned nor deleted again; once deactivated, it can be done."""
    if verb == "unban":
        carry_out(conninfo, Ban(), ANN)
        assert act(conninfo, "user", "unban", ANN, "--yes").code == 0
    else:
        assert act(conninfo, "user", "delete", ANN, "--reason", "asked", "--yes").code == 0
        assert undo(conninfo, str(entries(conninfo)[-1]["seq"])).code == 0
    number = str(entries(conninfo)[-1]["seq"])
    assert act(conninfo, "admin", "add", ANN, "--role", "analyst").code == 0
    before = contents(conninfo)
    refused = undo(conninfo, number)
    assert (refused.code, contents(conninfo)) == (ExitCode.REFUSED, before)
    assert "admin deactivate" in refused.err
    assert act(conninfo, "admin", "deactivate", ANN, "--yes").code == 0
    assert undo(conninfo, number).code == 0


# What keeps an admin from acting, though the row says active.
KEPT_OUT = (
    "UPDATE auth.users SET deleted_at = now() WHERE id = %s",
    "UPDATE auth.users SET banned_until = now() + interval '1 hour' WHERE id = %s",
    "UPDATE admin_users SET locked_until = now() + interval '1 hour' WHERE user_id = %s",
)
WAYS: tuple[tuple[str, ...], ...] = (
    ("admin", "deactivate", ROOT, "--yes"),
    ("admin", "role", ROOT, "--role", "admin", "--yes"),
)


@pytest.mark.parametrize("statement", KEPT_OUT, ids=["deleted", "banned", "locked"])
@pytest.mark.parametrize("way", WAYS, ids=["deactivate", "role"])
def test_the_last_super_admin_who_can_act(conninfo: str, way: tuple[str, ...], statement: str) -> None:
    """A super_admin who is shut out governs nothing, and so does not count as one who is left."""
    change(conninfo, statement, user_id(SECOND))
    before = contents(conninfo)
    refused = act(conninfo, *way)
    assert (refused.code, contents(conninfo)) == (ExitCode.REFUSED, before)
    assert "last super_admin" in refused.err


@pytest.mark.parametrize("statement", KEPT_OUT, ids=["deleted", "banned", "locked"])
def test_the_last_super_admin_is_not_undone(conninfo: str, statement: str) -> None:
    """Nor does taking back how an admin was made leave the platform to one who is shut out."""
    other = "admin@example.com"
    assert act(conninfo, "admin", "role", other, "--role", "super_admin").code == 0
    number = str(entries(conninfo)[-1]["seq"])
    assert act(conninfo, "admin", "deactivate", ROOT, "--yes", admin=other).code == 0
    change(conninfo, statement, user_id(SECOND))
    before = contents(conninfo)
    refused = undo(conninfo, number, admin=other)
    assert (refused.code, contents(conninfo)) == (ExitCode.REFUSED, before)
    assert "no super_admin" in refused.err
    change(conninfo, "UPDATE admin_users SET is_active = true WHERE user_id = %s", user_id(ROOT))
    assert undo(conninfo, number, admin=other).code == 0


@pytest.mark.parametrize("statement", KEPT_OUT, ids=["deleted", "banned", "locked"])
def test_bootstrap_when_no_super_admin_can_act(conninfo: str, statement: str) -> None:
    """Where every super_admin is shut out there is a way back in, and not before."""
    change(conninfo, statement, user_id(SECOND))
    assert act(conninfo, "admin", "bootstrap", ANN, admin=None).code == ExitCode.REFUSED
    change(conninfo, statement, user_id(ROOT))
    done = act(conninfo, "admin", "bootstrap", ANN, admin=None)
    assert done.code == 0, done.err
    assert act(conninfo, "admin", "whoami", admin=ANN).code == 0


USED = (
    (
        ("key", "create", ANN, "--name", "n8n"),
        """
        INSERT INTO api_request_logs (api_key_id, user_id, endpoint, method, status_code)
        SELECT id, user_id, '/v1/chat', 'POST', 200 FROM platform_api_keys WHERE user_id = %s AND id <> %s
        """,
        (user_id(ANN), key_id(ANN)),
        "api_request_logs",
    ),
    (
        ("tier", "create", "team", "--price-monthly", "99"),
        """
        INSERT INTO user_subscriptions (user_id, tier_id, status, started_at)
        SELECT %s, id, 'active', now() FROM subscription_tiers WHERE name = 'team'
        """,
        (user_id(BEN),),
        "user_subscriptions",
    ),
)


@pytest.mark.parametrize(("command", "statement", "values", "table"), USED, ids=["key", "tier"])
def test_what_others_stand_on_stays(
    conninfo: str, command: tuple[str, ...], statement: str, values: tuple[object, ...], table: str
) -> None:
    """What was made is not taken back once it is in use: the rows that belong to it would go with it."""
    before = contents(conninfo)
    assert act(conninfo, *command, "--yes").code == 0
    number = str(entries(conninfo)[-1]["seq"])
    change(conninfo, statement, *values)
    used = contents(conninfo)
    refused = undo(conninfo, number)
    assert (refused.code, contents(conninfo)) == (ExitCode.REFUSED, used)
    assert f"{table} has rows that belong to it" in refused.err
    change(conninfo, f"DELETE FROM {table} WHERE ctid = (SELECT max(ctid) FROM {table})")
    done = undo(conninfo, number)
    assert done.code == 0, done.err
    after = contents(conninfo)
    assert {name for name in after if after[name] != before[name]} <= {
        *("public.admin_audit_logs", "avatarlab_admin.audit_head", "avatarlab_admin.tier_price_history"),
    }
