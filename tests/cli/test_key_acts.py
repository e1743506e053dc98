"""What the noun `key` changes: keys made, revoked, replaced and ended, under an admin's name and without a trace of a secret."""

import hashlib
import json
import re
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.conftest import ADA, EVE
from tests.cli.invoking import Outcome, invoke
from tests.cli.known_keys import FAR, KEYS, digest, secret, write_keys
from tests.database.contents import contents

ROOT = "root@example.com"
PLAINTEXT = re.compile(r"pk_live_[0-9a-f]{64}")
CREATE = ("key", "create", "ada@example.com", "--name", "n8n")
REASON = ("--reason", "leaked")


@pytest.fixture
def keyed(migrated_panel_conninfo: str) -> str:
    """The known keys, an avatar each of two users, and an admin."""
    with psycopg.connect(migrated_panel_conninfo) as connection:
        write_keys(connection)
        root = uuid4()
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [root, ROOT])
        connection.execute("INSERT INTO admin_users (user_id, role) VALUES (%s, 'super_admin')", [root])
        for user in (ADA, EVE):
            connection.execute("INSERT INTO avatars (id, user_id, name) VALUES (%s, %s, 'A')", [user, user])
    return migrated_panel_conninfo


def act(conninfo: str, *arguments: str) -> Outcome:
    """Run a command as the admin, now."""
    return invoke(conninfo, *arguments, env={"AVATARLAB_ADMIN": ROOT}, now=datetime.now(UTC))


def row(conninfo: str, key: UUID) -> dict[str, Any]:
    """Return a key's row."""
    with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
        found = connection.execute("SELECT * FROM platform_api_keys WHERE id = %s", [key]).fetchone()
    assert found is not None
    return found


def accepts(conninfo: str, key: str) -> bool:
    """Tell whether the platform would take the key: its hash is known, active, and not past its end."""
    rule = (
        "SELECT count(*) FROM platform_api_keys WHERE api_key_hash = %s AND status = 'active'"
        " AND (expires_at IS NULL OR expires_at > now())"
    )
    with psycopg.connect(conninfo) as connection:
        found = connection.execute(rule, [hashlib.sha256(key.encode()).hexdigest()]).fetchone()
    return found == (1,)


def entries(conninfo: str) -> list[dict[str, Any]]:
    """Return the audit log, oldest first."""
    with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute("SELECT * FROM admin_audit_logs ORDER BY seq").fetchall()


def assert_untold(conninfo: str, plaintext: str) -> None:
    """Check that nothing in the database is the key, and that its hash stands in the keys' own table alone."""
    hashed = hashlib.sha256(plaintext.encode()).hexdigest()
    for name, rows in contents(conninfo).items():
        text = str(rows)
        assert plaintext not in text
        assert plaintext[15:] not in text
        assert (hashed in text) == (name == "public.platform_api_keys")


def test_create(keyed: str) -> None:
    """A new key is printed once, on stdout alone, is taken by the platform, and only its hash is kept."""
    before = datetime.now(UTC)
    made = act(
        keyed, *CREATE, "--scopes", "chat, config", "--expires", "90d", "--description", "for n8n", "--json"
    )
    assert made.code == 0, made.err
    (result,) = json.loads(made.out)
    assert (result["user"], result["result"], result["detail"]) == (
        "ada@example.com",
        "changed",
        "made a key 'n8n' for chat, config",
    )
    key = result["api_key"]
    assert PLAINTEXT.findall(made.out) == [key]
    assert key[15:] not in made.err
    assert accepts(keyed, key)
    assert_untold(keyed, key)
    stored = row(keyed, UUID(result["key_id"]))
    assert {
        name: stored[name] for name in ("user_id", "key_name", "scopes", "avatar_id", "description", "status")
    } == {
        "user_id": ADA,
        "key_name": "n8n",
        "scopes": ["chat", "config"],
        "avatar_id": None,
        "description": "for n8n",
        "status": "active",
    }
    assert stored["api_key_prefix"] == f"{key[:15]}..."
    assert before <= stored["expires_at"] - timedelta(days=90) <= datetime.now(UTC)


def test_create_as_text(keyed: str) -> None:
    """A script takes the key alone; without further options it is for everything, and has no end."""
    made = act(keyed, *CREATE, "--avatar", str(ADA), "--field", "api_key", "--csv", "--no-headers")
    assert re.fullmatch(rf"{PLAINTEXT.pattern}\n", made.out)
    (entry,) = entries(keyed)
    stored = row(keyed, entry["resource_id"])
    assert (entry["action"], entry["resource_type"]) == ("key.create", "key")
    assert (stored["scopes"], stored["avatar_id"], stored["expires_at"]) == (
        ["chat", "config", "knowledge"],
        ADA,
        None,
    )
    assert accepts(keyed, made.out.strip())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((*CREATE, "--avatar", str(EVE)), ExitCode.FAILED, "ada@example.com has no such avatar"),
        ((*CREATE, "--avatar", "A"), ExitCode.USAGE, "--avatar"),
        (
            (*CREATE, "--scopes", "chat,admin"),
            ExitCode.USAGE,
            "'admin' is not a scope\nscopes: chat, config, knowledge",
        ),
        ((*CREATE, "--scopes", ","), ExitCode.USAGE, "a key without a scope is of no use"),
        ((*CREATE, "--name", " "), ExitCode.USAGE, "a key needs a name"),
        ((*CREATE, "--expires", "2020-01-01"), ExitCode.USAGE, "--expires 2020-01-01 is past"),
        ((*CREATE, "--expires", "soon"), ExitCode.USAGE, "'soon' is not a time"),
        (("key", "create", "EVE", "--name", "x"), ExitCode.FAILED, "has an account that is banned"),
        (("key", "create", "adele", "--name", "x"), ExitCode.FAILED, "has an account that is suspended"),
        (("key", "create", "dan@", "--name", "x"), ExitCode.FAILED, "has an account that is deleted"),
        (("key", "revoke", str(KEYS["bridge"])), ExitCode.USAGE, "a reason is required"),
        (("key", "revoke", "zzz", *REASON), ExitCode.NOT_FOUND, "there is no key 'zzz'"),
        (
            ("key", "rotate", str(KEYS["bridge"]), "--grace", "2030-01-01"),
            ExitCode.USAGE,
            "is not a time of grace",
        ),
        (("key", "rotate", str(KEYS["gone"])), ExitCode.FAILED, "does not work any more"),
        (("key", "rotate", str(KEYS["paused"])), ExitCode.FAILED, "does not work any more"),
        (("key", "rotate", str(KEYS["lasting"])), ExitCode.FAILED, "does not work any more"),
        (("key", "rotate", str(KEYS["old"])), ExitCode.FAILED, "belongs to an account that is suspended"),
        (("key", "rotate", str(KEYS["banned"])), ExitCode.FAILED, "belongs to an account that is banned"),
        (("key", "rotate", str(KEYS["deleted"])), ExitCode.FAILED, "belongs to an account that is deleted"),
        (("key", "expire", str(KEYS["loose"])), ExitCode.FAILED, "is revoked; `avatarlab key create`"),
        (("key", "expire", str(KEYS["lasting"]), "--at", "1d"), ExitCode.FAILED, "is revoked; `avatarlab"),
        (
            ("key", "expire", str(KEYS["gone"]), "--at", "365d"),
            ExitCode.FAILED,
            "has ended already; `avatarlab key create` makes another",
        ),
    ],
)
def test_what_is_refused(keyed: str, arguments: tuple[str, ...], code: ExitCode, message: str) -> None:
    """What cannot be is refused with the reason, and nothing is changed."""
    before = contents(keyed)
    refused = act(keyed, *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err
    assert contents(keyed) == before


@pytest.mark.parametrize("verb", [("revoke", *REASON), ("rotate",), ("expire",)])
@pytest.mark.parametrize("given", [secret("bridge"), digest("bridge")])
def test_a_key_itself_is_no_target(keyed: str, verb: tuple[str, ...], given: str) -> None:
    """A key as an argument is refused without being repeated."""
    refused = act(keyed, "key", verb[0], given, *verb[1:], "--debug")
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert "key find --stdin" in refused.err
    assert given[15:] not in refused.err


@pytest.mark.parametrize(
    "arguments",
    [
        CREATE,
        ("key", "revoke", str(KEYS["bridge"]), *REASON),
        ("key", "rotate", str(KEYS["bridge"])),
        ("key", "rotate", str(KEYS["bridge"]), "--grace", "0"),
        ("key", "expire", str(KEYS["bridge"])),
    ],
)
def test_dry_run(keyed: str, arguments: tuple[str, ...]) -> None:
    """A dry run shows what would change, makes no key that could be mistaken for one, and leaves all as it is."""
    before = contents(keyed)
    for form in ("--csv", "--json"):
        shown = act(keyed, *arguments, "--dry-run", form)
        assert shown.code == 0, shown.err
        assert "would change" in shown.out
        assert not PLAINTEXT.search(shown.out + shown.err)
    assert contents(keyed) == before


def test_revoke_lasts(keyed: str) -> None:
    """A revoked key stays refused when its owner sets the status back, and can still be found."""
    key, former = KEYS["bridge"], row(keyed, KEYS["bridge"])
    done = act(
        keyed, "key", "revoke", secret("bridge")[:12], *REASON, "--csv", "--fields", "id,result,detail"
    )
    assert (done.code, done.out) == (0, f"id,result,detail\n{key},changed,revoked for good\n")
    stored = row(keyed, key)
    assert (stored["status"], stored["api_key_hash"]) == ("revoked", f"revoked:{digest('bridge')}")
    assert former["expires_at"] > datetime.now(UTC) >= stored["expires_at"]
    with psycopg.connect(keyed) as connection:
        connection.execute(
            "UPDATE platform_api_keys SET status = 'active', expires_at = NULL WHERE id = %s", [key]
        )
    assert not accepts(keyed, secret("bridge"))
    assert_untold(keyed, secret("bridge"))


def test_revoke_again_changes_nothing(keyed: str) -> None:
    """A key that is revoked for good is left alone; one that its owner could take back is not."""
    before = row(keyed, KEYS["lasting"])
    done = act(
        keyed,
        "key",
        "revoke",
        str(KEYS["lasting"]),
        str(KEYS["loose"]),
        *REASON,
        "--yes",
        "--csv",
        "--field",
        "result",
    )
    assert (done.code, done.out) == (0, "result\nunchanged\nchanged\n")
    assert row(keyed, KEYS["lasting"]) == before
    assert row(keyed, KEYS["loose"])["api_key_hash"] == f"revoked:{digest('loose')}"
    assert [(entry["resource_id"], entry["justification"]) for entry in entries(keyed)] == [
        (KEYS["loose"], "leaked")
    ]


def test_rotate(keyed: str) -> None:
    """The new key is as the former one was and works at once; the former works on for the time of grace."""
    former, now = row(keyed, KEYS["bridge"]), datetime.now(UTC)
    done = act(keyed, "key", "rotate", str(KEYS["bridge"]), "--grace", "48h", "--json")
    (result,) = json.loads(done.out)
    new = row(keyed, UUID(result["key_id"]))
    same = ("user_id", "key_name", "scopes", "avatar_id", "description", "expires_at")
    assert [new[name] for name in same] == [former[name] for name in same]
    assert (new["status"], new["request_count"], new["last_used_at"]) == ("active", 0, None)
    assert (accepts(keyed, result["api_key"]), accepts(keyed, secret("bridge"))) == (True, True)
    end = row(keyed, KEYS["bridge"])["expires_at"]
    assert now <= end - timedelta(hours=48) <= datetime.now(UTC)
    assert_untold(keyed, result["api_key"])
    (entry,) = entries(keyed)
    assert (entry["resource_id"], entry["changes"]["new_key"]) == (KEYS["bridge"], result["key_id"])


def test_rotate_without_grace(keyed: str) -> None:
    """Without grace the former key is revoked for good in the same act."""
    done = act(
        keyed, "key", "rotate", str(KEYS["bridge"]), str(KEYS["test"]), "--grace", "0", "--yes", "--json"
    )
    results = json.loads(done.out)
    assert len({result["api_key"] for result in results}) == 2
    for name, result in zip(("bridge", "test"), results, strict=True):
        assert (accepts(keyed, result["api_key"]), accepts(keyed, secret(name))) == (True, False)
        assert row(keyed, KEYS[name])["api_key_hash"] == f"revoked:{digest(name)}"
    assert len(entries(keyed)) == 2


def test_rotate_waits_for_a_ban(keyed: str) -> None:
    """A ban of the owner that is not committed yet is waited for, and then there is no new key."""
    before = len(contents(keyed)["public.platform_api_keys"])
    with psycopg.connect(keyed) as other, ThreadPoolExecutor(1) as pool:
        other.execute("UPDATE auth.users SET banned_until = '2999-01-01Z' WHERE id = %s", [ADA])
        rotation = pool.submit(act, keyed, "key", "rotate", str(KEYS["bridge"]))
        wait_for_lock(keyed, rotation)
        other.commit()
        refused = rotation.result()
    assert (refused.code, "belongs to an account that is banned" in refused.err) == (ExitCode.FAILED, True)
    assert len(contents(keyed)["public.platform_api_keys"]) == before


def wait_for_lock(conninfo: str, running: Future[Outcome]) -> None:
    """Return once somebody waits for a lock in this database; fails where the command ends without."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while not connection.execute(waiting).fetchone():
            assert not running.done()


def test_a_planned_rotation(keyed: str, tmp_path: Path) -> None:
    """A plan makes no key and holds no secret; the key is made, and printed, where the plan is carried out."""
    plan, before = tmp_path / "plan", contents(keyed)
    planned = act(keyed, "key", "rotate", str(KEYS["bridge"]), "--plan", str(plan), "--json")
    assert (planned.code, contents(keyed)) == (0, before)
    assert not PLAINTEXT.search(planned.out + planned.err + plan.read_text())
    applied = act(keyed, "apply", str(plan), "--json")
    (result,) = json.loads(applied.out)
    assert PLAINTEXT.findall(applied.out) == [result["api_key"]]
    assert (accepts(keyed, result["api_key"]), accepts(keyed, secret("bridge"))) == (True, True)


def test_grace_never_lengthens_a_life(keyed: str) -> None:
    """A key that ends before the time of grace does ends when it would have, and so does the new one."""
    end = datetime.now(UTC) + timedelta(hours=1)
    with psycopg.connect(keyed) as connection:
        connection.execute(
            "UPDATE platform_api_keys SET expires_at = %s WHERE id = %s", [end, KEYS["bridge"]]
        )
    (result,) = json.loads(act(keyed, "key", "rotate", str(KEYS["bridge"]), "--json").out)
    assert [row(keyed, UUID(str(key)))["expires_at"] for key in (KEYS["bridge"], result["key_id"])] == [
        end,
        end,
    ]


def test_expire(keyed: str) -> None:
    """Keys end now or at a time, and one that has ended keeps its end unless an earlier one is named."""
    assert act(keyed, "key", "expire", str(KEYS["bridge"])).code == 0
    assert not accepts(keyed, secret("bridge"))
    assert (
        act(keyed, "key", "expire", str(KEYS["gone"]), "--field", "result", "--csv").out
        == "result\nunchanged\n"
    )
    assert act(keyed, "key", "expire", str(KEYS["gone"]), "--at", "2025-01-15").code == 0
    assert row(keyed, KEYS["gone"])["expires_at"] == datetime(2025, 1, 15, tzinfo=UTC)
    assert act(keyed, "key", "expire", str(KEYS["test"]), "--at", "2999-01-01").code == 0
    assert row(keyed, KEYS["test"])["expires_at"] == FAR
    now = datetime.now(UTC)
    assert act(keyed, "key", "expire", str(KEYS["test"]), "--at", "7d").code == 0
    assert now <= row(keyed, KEYS["test"])["expires_at"] - timedelta(days=7) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        (("revoke", *REASON), "bridge"),
        (("revoke", *REASON), "loose"),
        (("rotate",), "bridge"),
        (("rotate", "--grace", "0"), "test"),
        (("expire",), "bridge"),
    ],
)
def test_undo(keyed: str, verb: tuple[str, ...], name: str) -> None:
    """What was done to a key is taken back whole: its row is as before, and a new key is gone."""
    former, others = row(keyed, KEYS[name]), len(contents(keyed)["public.platform_api_keys"])
    assert act(keyed, "key", verb[0], str(KEYS[name]), *verb[1:]).code == 0
    (entry,) = entries(keyed)
    undone = act(keyed, "audit", "undo", str(entry["id"]), "--yes")
    assert undone.code == 0, undone.err
    assert {**row(keyed, KEYS[name]), "updated_at": None} == {**former, "updated_at": None}
    assert len(contents(keyed)["public.platform_api_keys"]) == others


def test_undo_of_a_new_key(keyed: str) -> None:
    """A key nobody has used yet is taken away again."""
    before = {name: rows for name, rows in contents(keyed).items() if "audit" not in name}
    (result,) = json.loads(act(keyed, *CREATE, "--json").out)
    assert act(keyed, "audit", "undo", str(entries(keyed)[0]["id"]), "--yes").code == 0
    assert not accepts(keyed, result["api_key"])
    assert {name: rows for name, rows in contents(keyed).items() if "audit" not in name} == before


def test_undo_of_a_key_in_use(keyed: str) -> None:
    """A key that was used since it was made is not taken away: its requests would go with it."""
    (result,) = json.loads(act(keyed, *CREATE, "--json").out)
    with psycopg.connect(keyed) as connection:
        connection.execute("UPDATE platform_api_keys SET request_count = 1 WHERE id = %s", [result["key_id"]])
    (entry,) = entries(keyed)
    refused = act(keyed, "audit", "undo", str(entry["id"]), "--yes")
    assert refused.code == ExitCode.REFUSED
    assert accepts(keyed, result["api_key"])
