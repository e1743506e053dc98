"""The noun `audit`: what it lists, shows and exports of known acts, and what it says of a chain."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import Outcome, invoke, process
from tests.conftest import created_database
from tests.database import audit_log
from tests.database.audit_log import ROOT_EMAIL

GUIDE = Path(__file__).parents[2] / "docs" / "audit.md"
GONE = "00000000-0000-0000-0000-00000000dead"
NOBODY = {"AVATARLAB_ADMIN": ""}


@pytest.fixture(scope="module")
def logged(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Seven acts: an admin made, three accounts suspended, one of them banned, a tier changed, the ban undone."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        audit_log.enrol(conninfo)
        users = audit_log.sign_up(conninfo, 4)
        keyed = (
            "INSERT INTO platform_api_keys (user_id, key_name, api_key_hash, api_key_prefix)"
            " SELECT id, 'k', %s, 'pk_live_abcdefg...' FROM auth.users WHERE email = %s"
        )
        with psycopg.connect(conninfo) as connection:
            connection.execute(keyed, ["f" * 64, users[0]])
        act(conninfo, "admin", "add", users[3], "--role", "moderator")
        act(conninfo, "user", "suspend", *users[:3], "--yes", "--reason", "spam wave")
        act(conninfo, "user", "ban", users[0], "--yes", "--reason", 'said "no"')
        act(conninfo, "tier", "update", "pro", "--price-monthly", "39.90", "--yes")
        act(conninfo, "audit", "undo", "5", "--yes")
        yield conninfo


def act(conninfo: str, *arguments: str) -> None:
    done = as_root(conninfo, *arguments)
    assert done.code == 0, done.err


def as_root(conninfo: str, *arguments: str) -> Outcome:
    return invoke(conninfo, *arguments, env={"AVATARLAB_ADMIN": ROOT_EMAIL})


def seqs(conninfo: str, *options: str) -> list[int]:
    """Return the numbers of the entries a list has, in its order."""
    shown = as_root(conninfo, "audit", "list", *options, "--field", "seq", "--csv", "--no-headers")
    assert shown.code == 0, shown.err
    return [int(line) for line in shown.out.split()]


def batch_of(conninfo: str, seq: int) -> str:
    return str(audit_log.log(conninfo)[seq - 1]["batch_id"])


def test_list(logged: str) -> None:
    """The latest act stands first, with the names of who did it and to what."""
    fields = "seq,admin,action,resource_type,resource,justification,severity,is_undone"
    shown = as_root(logged, "audit", "list", "--csv", "--fields", fields)
    assert shown == Outcome(
        0,
        f"{fields}\n"
        f"7,{ROOT_EMAIL},audit.undo,user,user0@example.com,,warning,false\n"
        f"6,{ROOT_EMAIL},tier.update,tier,pro,,info,false\n"
        f'5,{ROOT_EMAIL},user.ban,user,user0@example.com,"said ""no""",warning,true\n'
        f"4,{ROOT_EMAIL},user.suspend,user,user2@example.com,spam wave,info,false\n"
        f"3,{ROOT_EMAIL},user.suspend,user,user1@example.com,spam wave,info,false\n"
        f"2,{ROOT_EMAIL},user.suspend,user,user0@example.com,spam wave,info,false\n"
        f"1,{ROOT_EMAIL},admin.add,admin,user3@example.com,,critical,false\n",
        "",
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--action", "user.ban"), [5]),
        (("--action", "user"), [5, 4, 3, 2]),
        (("--action", "us"), []),
        (("--action", "user.%"), []),
        (("--severity", "critical"), [1]),
        (("--user", "user0@"), [7, 5, 2]),
        (("--user", "user0@", "--action", "user"), [5, 2]),
        (("--user", "user3@example.com"), [1]),
        (("--user", GONE), []),
        (("--admin", ROOT_EMAIL, "--action", "tier"), [6]),
        (("--admin", "user3@example.com"), []),
        (("--since", "2999-01-01"), []),
        (("--until", "2999-01-01", "--limit", "2"), [7, 6]),
        (("--until", "2001-01-01"), []),
        (("--sort", "seq", "--limit", "1"), [1]),
    ],
)
def test_list_filters(logged: str, options: tuple[str, ...], expected: list[int]) -> None:
    """Each filter leaves what it names, and together they leave what fits all."""
    assert seqs(logged, *options) == expected


def test_list_of_a_batch_and_of_a_time(logged: str) -> None:
    """The entries of one command share a batch; a time that is named is the first, or the end that is left out."""
    assert seqs(logged, "--batch", batch_of(logged, 3)) == [4, 3, 2]
    moment = audit_log.log(logged)[4]["created_at"].isoformat()
    assert seqs(logged, "--since", moment) == [7, 6, 5]
    assert seqs(logged, "--until", moment) == [4, 3, 2, 1]


def test_entries_about_what_is_a_users_own(logged: str, server_conninfo: str) -> None:
    """What was done to a user's key stands among what was done to the user, also when the account is gone."""
    insert = (
        "INSERT INTO admin_audit_logs (admin_user_id, action, resource_type, resource_id)"
        " SELECT id, %s, %s, coalesce(%s, (SELECT id FROM platform_api_keys)) FROM admin_users LIMIT 1"
    )
    with created_database(server_conninfo, logged.rpartition("=")[2]) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute(insert, ["key.expire", "key", None])
            connection.execute(insert, ["user.delete", "user", UUID(GONE)])
        assert seqs(conninfo, "--user", "user0@example.com") == [8, 7, 5, 2]
        assert seqs(conninfo, "--user", GONE) == [9]
        fields = ("--fields", "action,resource", "--csv", "--no-headers")
        shown = as_root(conninfo, "audit", "list", "--limit", "2", *fields)
        assert shown.out == f"user.delete,{GONE}\nkey.expire,pk_live_abcdefg...\n"


def test_what_a_request_is_called(logged: str, server_conninfo: str) -> None:
    """A request is told by who asks for which tier, and by its id once it is gone."""
    request = "00000000-0000-0000-0000-00000000beef"
    with created_database(server_conninfo, logged.rpartition("=")[2]) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute(
                "INSERT INTO tier_upgrade_requests (id, user_id, requested_tier_id) SELECT %s, u.id, t.id"
                " FROM auth.users u, subscription_tiers t WHERE u.email = 'user1@example.com' AND t.name = 'pro'",
                [request],
            )
        act(conninfo, "tier", "requests", "approve", request, "--yes")
        fields = ("--field", "resource", "--csv", "--no-headers")
        assert as_root(conninfo, "audit", "list", "--limit", "1", *fields).out == "user1@example.com to pro\n"
        assert as_root(conninfo, "audit", "show", "8", *fields).out == "user1@example.com to pro\n"
        assert "user1@example.com to pro\n" in as_root(conninfo, "audit", "show", "8").out
        with psycopg.connect(conninfo) as connection:
            connection.execute("DELETE FROM tier_upgrade_requests")
        assert as_root(conninfo, "audit", "show", "8", *fields).out == f"{request}\n"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--severity", "fatal"), ExitCode.USAGE, "severities: info, warning, critical"),
        (("--batch", "5b0f"), ExitCode.USAGE, "5b0f"),
        (("--user", "nobody@example.com"), ExitCode.NOT_FOUND, "there is no user 'nobody@example.com'"),
        (("--admin", "user0@example.com"), ExitCode.NOT_FOUND, "there is no admin 'user0@example.com'"),
        (("--since", "soon"), ExitCode.USAGE, "'soon' is not a time"),
    ],
)
def test_list_of_what_there_is_not(logged: str, options: tuple[str, ...], code: int, message: str) -> None:
    """A filter that cannot mean anything is refused with what could be meant."""
    refused = as_root(logged, "audit", "list", *options)
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err


@pytest.mark.parametrize("arguments", [("list",), ("show", "1"), ("export",), ("verify",)])
def test_who_may_read_it(logged: str, arguments: tuple[str, ...]) -> None:
    """An admin without settings.read may not; who names no admin has the database login's own rights."""
    refused = invoke(logged, "audit", *arguments, env={"AVATARLAB_ADMIN": "user3@example.com"})
    assert (refused.code, refused.out) == (ExitCode.NOT_PERMITTED, "")
    assert f"may not `audit {arguments[0]}`: it takes settings.read" in refused.err
    assert invoke(logged, "audit", *arguments, env=NOBODY).code == 0


def test_show(logged: str) -> None:
    """In a table each value that changed is a line of its own, before -> after."""
    shown = as_root(logged, "audit", "show", "2")
    assert shown.code == 0, shown.err
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in shown.out.splitlines())
    assert lines["action"] == "user.suspend"
    assert lines["resource"] == "user0@example.com"
    assert lines["batch"] == batch_of(logged, 2)
    assert lines["profiles.account_status"] == '"active" -> "suspended"'
    assert lines["changes"] == "-"
    assert [name for name in lines if "." in name] == ["profiles.account_status"]


def test_show_of_an_act_on_several_rows(logged: str) -> None:
    """A row that is not the target's own is told by its key; a hash stands as a fingerprint."""
    shown = as_root(logged, "audit", "show", "5")
    with psycopg.connect(logged) as connection:
        (key,) = connection.execute("SELECT id FROM platform_api_keys").fetchone() or ()
    assert f"platform_api_keys[{key}].status" in shown.out
    assert '"active" -> "revoked"' in shown.out
    assert "auth.users.banned_until" in shown.out
    assert "f" * 64 not in shown.out


def test_show_as_json(logged: str) -> None:
    """A machine gets the same with the changes as they are stored, by id or number."""
    stored = audit_log.log(logged)[1]
    by_number = as_root(logged, "audit", "show", "2", "--json")
    assert as_root(logged, "audit", "show", str(stored["id"])[:9], "--json") == by_number
    record = json.loads(by_number.out)
    assert record["changes"] == stored["changes"]
    assert record["changes"]["rows"][0]["after"] == {"account_status": "suspended"}
    assert (record["seq"], record["hash"], record["undone_by"]) == (2, stored["hash"], None)


def test_show_of_what_was_undone(logged: str) -> None:
    """An undone entry names the one that took it back, and that says which."""
    undone, undoing = (json.loads(as_root(logged, "audit", "show", seq, "--json").out) for seq in ("5", "7"))
    assert (undone["is_undone"], undone["undone_by"]) == (True, undoing["id"])
    assert undoing["changes"]["undoes"] == undone["id"]
    assert undone["id"] in as_root(logged, "audit", "show", "7").out


@pytest.mark.parametrize(
    "changes",
    [
        "null",
        "[1]",
        '"text"',
        '{"rows": 7}',
        '{"rows": [1, {"table": "x"}, {"table": "x", "key": {}, "before": 1, "after": {}}]}',
    ],
)
def test_show_of_a_foreign_entry(migrated_panel_conninfo: str, changes: str) -> None:
    """Whatever another program kept under `changes` is shown, or at least does no harm."""
    audit_log.enrol(migrated_panel_conninfo)
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute(
            "INSERT INTO admin_audit_logs (admin_user_id, action, resource_type, changes) SELECT id, 'x', 'avatar', %s FROM admin_users",
            [changes],
        )
    shown = as_root(migrated_panel_conninfo, "audit", "show", "1")
    assert shown.code == 0, shown.err
    machine = as_root(migrated_panel_conninfo, "audit", "show", "1", "--json")
    assert json.loads(machine.out)["changes"] == json.loads(changes)


def test_show_of_no_entry(logged: str) -> None:
    """An entry there is not is told, in every format."""
    for more in ((), ("--json",)):
        refused = as_root(logged, "audit", "show", "4711", *more)
        assert (refused.code, refused.out) == (ExitCode.NOT_FOUND, "")
        assert "there is no act '4711'" in refused.err


def exported(conninfo: str, *options: str) -> list[dict[str, Any]]:
    shown = as_root(conninfo, "audit", "export", "-o", "ndjson", *options)
    assert shown.code == 0, shown.err
    return [json.loads(line, parse_float=Decimal) for line in shown.out.splitlines()]


def test_export(logged: str) -> None:
    """Every column of every entry is there, the oldest first."""
    rows, stored = exported(logged), audit_log.log(logged)
    assert [row["seq"] for row in rows] == [entry["seq"] for entry in stored]
    for row, entry in zip(rows, stored, strict=True):
        assert row.keys() == entry.keys()
        assert {name: row[name] for name in ("hash", "prev_hash", "changes", "justification")} == {
            name: entry[name] for name in ("hash", "prev_hash", "changes", "justification")
        }
    moment = stored[4]["created_at"].isoformat()
    assert [row["seq"] for row in exported(logged, "--until", moment)] == [1, 2, 3, 4]
    assert exported(logged, "--since", moment)[0]["seq"] == 5


def documented(text: str) -> subprocess.CompletedProcess[str]:
    """Run the program of the guide on an export."""
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return subprocess.run(
        [sys.executable, "-c", program], input=text, capture_output=True, text=True, check=False, timeout=30
    )


def test_the_documented_program_verifies_an_export(logged: str) -> None:
    """It comes to the same head as the database's, and finds an entry altered, and one left out."""
    text = as_root(logged, "audit", "export", "-o", "ndjson").out
    head = as_root(logged, "audit", "verify", "--field", "head", "-o", "tsv", "--no-headers").out
    done = documented(text)
    assert (done.returncode, done.stdout) == (0, head)
    altered = documented(text.replace("spam wave", "ham wave"))
    assert (altered.returncode, altered.stderr) == (1, "the chain breaks at entry 2\n")
    lines = text.splitlines(keepends=True)
    assert documented("".join(lines[:3] + lines[4:])).stderr == "the chain breaks at entry 5\n"


def test_the_documented_program_begins_before_the_chain(panel_conninfo: str) -> None:
    """Entries of the web panel's are covered by what the chain begins with."""
    with psycopg.connect(panel_conninfo) as connection:
        user = "INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'p@example.com') RETURNING id"
        (panel,) = connection.execute(user).fetchone() or ()
        connection.execute("INSERT INTO admin_users (user_id) VALUES (%s)", [panel])
        insert = "INSERT INTO admin_audit_logs (admin_user_id, action, resource_type, changes) SELECT id, 'ban', 'user', %s FROM admin_users"
        for changes in ('{"long": 1.50, "b": [1e3, "ü"]}', None):
            connection.execute(insert, [changes])
    assert invoke(panel_conninfo, "db", "migrate").code == 0
    audit_log.enrol(panel_conninfo)
    act(panel_conninfo, "admin", "role", "p@example.com", "--role", "support", "--yes")
    text = as_root(panel_conninfo, "audit", "export", "-o", "ndjson").out
    head = json.loads(as_root(panel_conninfo, "audit", "verify", "--json").out)["head"]
    assert documented(text).stdout == f"{head}\n"
    assert head.startswith("3:")
    assert documented(text.replace("1.50", "1.5")).stderr == "the chain breaks at entry 3\n"


def test_verify(logged: str) -> None:
    """A whole chain is counted, and its head can be noted and looked for."""
    seq, digest = audit_log.head(logged)
    shown = as_root(logged, "audit", "verify", "--json")
    assert json.loads(shown.out) == {
        "entries": seq,
        "head": f"{seq}:{digest}",
        "seq": None,
        "id": None,
        "problem": None,
    }
    assert (shown.code, shown.err) == (0, "")
    assert as_root(logged, "audit", "verify", "--anchor", f"{seq}:{digest}").code == 0


def test_verify_with_an_anchor_of_another_log(logged: str) -> None:
    """A noted head that is not in the chain is a finding; one that cannot be read is refused."""
    shown = as_root(logged, "audit", "verify", "--anchor", f"2:{'0' * 64}", "--json")
    found = json.loads(shown.out)
    assert (shown.code, found["seq"], found["id"]) == (3, 2, str(audit_log.log(logged)[1]["id"]))
    assert found["problem"].startswith("the noted head is not in the chain")
    refused = as_root(logged, "audit", "verify", "--anchor", "latest")
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")


def test_verify_names_the_break(migrated_panel_conninfo: str) -> None:
    """The first broken entry is written out and the process ends with 3, in a pipe as well."""
    conninfo = migrated_panel_conninfo
    audit_log.enrol(conninfo)
    act(conninfo, "user", "suspend", *audit_log.sign_up(conninfo, 3), "--yes")
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE admin_audit_logs SET description = 'nothing' WHERE seq >= 2")
    found = process(conninfo, "audit", "verify", "--fields", "seq,id,problem", "--csv")
    expected = f"2,{audit_log.log(conninfo)[1]['id']},its contents are not what its hash was made of\n"
    assert found == Outcome(3, f"seq,id,problem\n{expected}", "")


def test_before_the_migration(panel_conninfo: str) -> None:
    """A database without the chain is told what to do."""
    for arguments in (("list",), ("verify",)):
        refused = invoke(panel_conninfo, "audit", *arguments)
        assert (refused.code, refused.out) == (ExitCode.CONFIGURATION, "")
        assert "avatarlab db migrate" in refused.err


def test_in_the_seed_state(migrated_seed_conninfo: str) -> None:
    """Where users can neither ask for tiers nor have keys, what was done to one is listed all the same."""
    audit_log.enrol(migrated_seed_conninfo)
    users = audit_log.sign_up(migrated_seed_conninfo, 1)
    act(migrated_seed_conninfo, "admin", "add", *users)
    with psycopg.connect(migrated_seed_conninfo) as connection:
        connection.execute("DROP TABLE platform_api_keys CASCADE")
    assert seqs(migrated_seed_conninfo, "--user", users[0]) == [1]
    assert as_root(migrated_seed_conninfo, "audit", "verify").code == 0
