"""What a changing verb refuses before it is too late: keys that would be lost, plans that moved, names that only begin so."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.context import Context
from avatarlab_cli.errors import ExitCode
from tests.cli.acting import act, copied, entries, key_id, user_id
from tests.database.contents import contents, wait_until
from tests.database.logins import as_role, login

ANN, BEN, IDLE = "ann@example.com", "ben@example.com", "idle1@example.com"
PAYING = "paying1@example.com"
SUSPEND = ("user", "suspend")
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
OURS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'avatarlab%' AND xact_start IS NOT NULL
"""


@pytest.fixture(scope="module")
def untouched(platform: str) -> Iterator[str]:
    """A copy of the platform for commands that must do nothing."""
    with copied(platform) as conninfo:
        yield conninfo


def change(conninfo: str, statement: str, *values: object) -> None:
    """Do what somebody else does meanwhile."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(statement.encode(), values or None)


def suspended(conninfo: str) -> list[str]:
    """Return who of the three is suspended."""
    statement = (
        "SELECT email FROM profiles WHERE account_status = 'suspended' AND email = ANY (%s) ORDER BY 1"
    )
    with psycopg.connect(conninfo) as connection:
        return [email for (email,) in connection.execute(statement, [[ANN, BEN, IDLE]])]


@pytest.mark.parametrize(
    "options",
    [
        ("--out", "keys.csv", "--csv"),
        ("--limit", "1"),
        ("--offset", "1"),
        ("--fields", "result"),
        ("--fields", "result,key_id", "--json"),
        ("-o", "ids"),
        ("-o", "count"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    "command",
    [("key", "create", ANN, BEN, "--name", "n8n"), ("key", "rotate", str(key_id(ANN)))],
    ids=["create", "rotate"],
)
def test_a_new_key_is_not_lost(
    untouched: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """Output that would leave the new key out is refused before a key is made: it is kept nowhere."""
    monkeypatch.chdir(tmp_path)
    before = contents(untouched)
    done = act(untouched, *command, *options, "--yes")
    assert (done.code, done.out, contents(untouched)) == (ExitCode.USAGE, "", before)
    assert "shown once" in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_key_alone_will_do(conninfo: str) -> None:
    """Whoever wants nothing but the key gets it."""
    done = act(
        conninfo, "key", "create", ANN, "--name", "n8n", "--fields", "api_key", "--csv", "--no-headers"
    )
    assert done.code == 0, done.err
    assert done.out.startswith("pk_live_")


def planned(conninfo: str, path: Path, *command: str) -> list[dict[str, Any]]:
    """Plan a command; returns what stands in the file."""
    done = act(conninfo, *command, "--plan", str(path))
    assert done.code == 0, done.err
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def test_a_time_that_moved(conninfo: str, tmp_path: Path) -> None:
    """A subscription planned to end with its paid period is left alone once that period is another."""
    move = "UPDATE user_subscriptions SET next_billing_date = current_date + %s WHERE user_id = %s"
    change(conninfo, move, 10, user_id(PAYING))
    path = tmp_path / "cancel.plan"
    records = planned(conninfo, path, "tier", "cancel", PAYING, "--reason", "asked")
    assert len(records) == 2
    change(conninfo, move, 20, user_id(PAYING))
    before = contents(conninfo)
    moved = act(conninfo, "apply", str(path), "--yes")
    assert (moved.code, contents(conninfo)) == (ExitCode.REFUSED, before)
    assert f"{user_id(PAYING)}: it is no longer as it was when the plan was made" in moved.err
    change(conninfo, move, 10, user_id(PAYING))
    assert act(conninfo, "apply", str(path), "--yes").code == 0


def test_a_time_that_was_tampered_with(conninfo: str, tmp_path: Path) -> None:
    """A plan that says another day than the act would set is refused."""
    path = tmp_path / "ban.plan"
    records = planned(conninfo, path, "user", "ban", IDLE, "--reason", "spam")
    (account,) = (found for found in records[1]["changes"] if found["table"] == "auth.users")
    account["after"]["banned_until"] = "2030-01-01T00:00:00+00:00"
    write(path, records)
    before = contents(conninfo)
    assert act(conninfo, "apply", str(path), "--yes").code == ExitCode.REFUSED
    assert contents(conninfo) == before


def test_times_that_follow_the_clock(conninfo: str, tmp_path: Path) -> None:
    """What is set to now, or so long from now, has not moved because a plan is carried out later."""
    commands = (
        ("user", "ban", IDLE, "--reason", "spam"),
        ("user", "ban", "idle2@example.com", "--until", "2999-01-01", "--reason", "spam"),
        ("user", "delete", "asking1@example.com", "--reason", "asked"),
        ("tier", "set", ANN, "pro"),
        ("tier", "trial", "start", BEN, "pro"),
        ("tier", "cancel", PAYING, "--now", "--reason", "asked"),
        ("key", "rotate", str(key_id(ANN)), "--grace", "2h"),
        ("key", "revoke", str(key_id(BEN)), "--reason", "leaked"),
    )
    paths = [tmp_path / f"{number}.plan" for number in range(len(commands))]
    for path, command in zip(paths, commands, strict=True):
        assert len(planned(conninfo, path, *command)) == 2
    time.sleep(1.1)
    for path in paths:
        done = act(conninfo, "apply", str(path), "--yes")
        assert done.code == 0, done.err


@pytest.mark.parametrize("reason", [None, "", 7, {}])
def test_a_reason_taken_out_of_a_plan(untouched: str, tmp_path: Path, reason: object) -> None:
    """A verb that needs a reason needs it in a plan as well, and as a text."""
    path = tmp_path / "ban.plan"
    records = planned(untouched, path, "user", "ban", IDLE, "--reason", "spam")
    records[0]["reason"] = reason
    write(path, records)
    before = contents(untouched)
    done = act(untouched, "apply", str(path), "--yes")
    assert (done.code, contents(untouched)) == (ExitCode.USAGE, before)


UNPLANNED: tuple[tuple[str, dict[str, object]], ...] = (
    ("user.delete.hard", {"confirm": ANN, "rates_file": None}),
    ("user.export", {"rows": 1, "manifest_sha256": "0"}),
    ("admin.bootstrap", {}),
)


@pytest.mark.parametrize(("name", "parameters"), UNPLANNED, ids=[name for name, _ in UNPLANNED])
def test_what_no_plan_can_show(untouched: str, tmp_path: Path, name: str, parameters: object) -> None:
    """An act that cannot be planned is not carried out by a plan written by hand."""
    path = tmp_path / "hand.plan"
    target = {"id": str(user_id(ANN)), "at": "2025-01-01T00:00:00+00:00", "changes": []}
    head = {"plan": 1, "act": name, "parameters": parameters, "reason": "why not"}
    write(path, [head, target])
    before = contents(untouched)
    done = act(untouched, "apply", str(path), "--yes")
    assert (done.code, contents(untouched)) == (ExitCode.USAGE, before)
    assert "there is no act" in done.err


@pytest.mark.parametrize(
    "command",
    [
        ("user", "export", ANN, "--out", "ann.tar.gz", "--reason", "asked"),
        ("user", "delete", ANN, "--hard", "--confirm", ANN, "--reason", "asked"),
        ("admin", "bootstrap", ANN),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_no_plan_for_these(
    untouched: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """Nor is a plan of such an act made."""
    monkeypatch.chdir(tmp_path)
    before = contents(untouched)
    done = act(untouched, *command, "--plan", "some.plan")
    assert (done.code, contents(untouched)) == (ExitCode.USAGE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_cannot_be_written_leaves_nothing(untouched: str, tmp_path: Path) -> None:
    """Where the plan cannot take its place, nothing of it stays beside that."""
    (tmp_path / "taken").mkdir()
    done = act(untouched, *SUSPEND, ANN, "--plan", str(tmp_path / "taken"))
    assert done.code == ExitCode.FAILED
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_dry_run_of_many_says_would(untouched: str) -> None:
    """The count of a preview is of what would be, not of what is."""
    done = act(untouched, *SUSPEND, ANN, BEN, "suspended1@example.com", "--dry-run")
    assert done.code == 0
    assert "2 would change, 1 unchanged\nnothing was changed\n" in done.err


@pytest.mark.parametrize(
    ("option", "text"), [("--from-csv", "email\n{}\n"), ("--ids-from", "{}\n")], ids=["csv", "ids"]
)
@pytest.mark.parametrize("name", ["ann@example.co", "ann", str(user_id(ANN))[:8]])
def test_names_in_files_are_whole(
    untouched: str, monkeypatch: pytest.MonkeyPatch, name: str, option: str, text: str
) -> None:
    """Whoever is gone from a list's table is not found again in somebody whose name begins the same."""
    monkeypatch.setattr(Context, "confirm", lambda *_: None)
    before = contents(untouched)
    for verb in (SUSPEND, ("user", "ban")):
        done = act(untouched, *verb, option, "-", "--reason", "spam", stdin=text.format(name))
        assert (done.code, contents(untouched)) == (ExitCode.NOT_FOUND, before)
        assert f"there is no user {name!r}" in done.err


def test_the_beginning_of_a_typed_name(conninfo: str) -> None:
    """By hand, the beginning of a name will do."""
    assert act(conninfo, *SUSPEND, "ann@example.co").code == 0
    assert suspended(conninfo) == [ANN]


def test_many_unknown_names(conninfo: str) -> None:
    """Names from a file are looked up, not compared with every user's: 500 of them take no time among 20,000."""
    change(
        conninfo,
        "INSERT INTO auth.users (id, email) SELECT gen_random_uuid(), 'crowd' || n || '@example.org' FROM generate_series(1, 20000) n",
    )
    stdin = "".join(f"nobody{number}@example.org\n" for number in range(500)) + f"{ANN}\n"
    env = {"AVATARLAB_STATEMENT_TIMEOUT": "1s"}
    done = act(conninfo, *SUSPEND, "--ids-from", "-", "--yes", "--json", stdin=stdin, env=env)
    results = [row["result"] for row in json.loads(done.out)]
    assert results == [*["failed"] * 500, "changed"], done.err


@pytest.mark.parametrize(
    "command", [(*SUSPEND, ANN, BEN), ("user", "ban", ANN, "--reason", "spam")], ids=["several", "one"]
)
def test_nothing_is_open_while_it_asks(
    conninfo: str, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """An admin may think for an hour: no transaction of ours waits for the answer."""
    seen: list[object] = []

    def look(*_: object) -> None:
        with psycopg.connect(conninfo) as connection:
            seen.append(connection.execute(OURS).fetchone())

    monkeypatch.setattr(Context, "confirm", look)
    assert act(conninfo, *command).code == 0
    assert seen == [(0,)]


def test_row_security_hides_rows(conninfo: str) -> None:
    """Half an act would pass for a whole one, so a login that does not see all rows of a table changes none."""
    tables = (
        "public.profiles, auth.users, public.admin_users, public.admin_audit_logs, public.platform_api_keys"
    )
    grants = (
        "GRANT USAGE ON SCHEMA public, auth, avatarlab_admin TO {role}",
        f"GRANT ALL ON {tables} TO {{role}}",
    )
    for table in tables.split(", ")[:-1]:
        change(conninfo, f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    ban = ("user", "ban", ANN, "--reason", "spam", "--yes")
    with login(conninfo, *grants) as role:
        before = contents(conninfo)
        refused = act(as_role(conninfo, role), *ban)
        assert (refused.code, contents(conninfo)) == (ExitCode.NOT_PERMITTED, before)
        assert "row security hides rows of public.platform_api_keys" in refused.err
        change(conninfo, "ALTER TABLE platform_api_keys DISABLE ROW LEVEL SECURITY")
        done = act(as_role(conninfo, role), *ban)
        assert done.code == 0, done.err


def in_the_way(conninfo: str, statement: str) -> None:
    """Have something happen whenever Ben's profile is written."""
    change(
        conninfo,
        f"""
        CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.email = '{BEN}' THEN {statement}; END IF; RETURN NEW; END $$;
        CREATE TRIGGER stop BEFORE UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION stop()
        """,
    )


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        ("RAISE 'too many' USING ERRCODE = '53300'", ExitCode.BUSY, "no connection left"),
        ("PERFORM pg_sleep(20)", ExitCode.FAILED, "AVATARLAB_STATEMENT_TIMEOUT"),
        ("RAISE 'no room' USING ERRCODE = '53100'", ExitCode.UNAVAILABLE, "no room"),
    ],
    ids=["connections", "time", "disk"],
)
def test_what_is_no_rows_fault_ends_the_command(
    conninfo: str, statement: str, code: ExitCode, said: str
) -> None:
    """A server short of something is not asked for the same again for each half of the targets."""
    in_the_way(conninfo, statement)
    before = contents(conninfo)
    started = time.monotonic()
    env = {"AVATARLAB_STATEMENT_TIMEOUT": "1s"}
    done = act(conninfo, *SUSPEND, ANN, BEN, IDLE, "--yes", "--json", env=env)
    assert (done.code, done.out, contents(conninfo)) == (code, "", before)
    assert said in done.err
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "prepare",
    [
        lambda conninfo: change(
            conninfo,
            f"ALTER TABLE profiles ADD CHECK (email <> '{BEN}' OR account_status <> 'suspended')",
        ),
        lambda conninfo: in_the_way(conninfo, "RAISE 'not this one'"),
    ],
    ids=["constraint", "trigger"],
)
def test_what_is_one_rows_fault_is_that_rows(conninfo: str, prepare: Callable[[str], None]) -> None:
    """A row that a constraint or a trigger does not let be is left out, and the others are done."""
    prepare(conninfo)
    done = act(conninfo, *SUSPEND, ANN, BEN, IDLE, "--yes", "--json")
    assert done.code == ExitCode.FAILED
    assert [row["result"] for row in json.loads(done.out)] == ["changed", "failed", "changed"]
    assert suspended(conninfo) == [ANN, IDLE]


def test_who_is_deleted_while_we_wait(conninfo: str) -> None:
    """A user whom somebody deletes while the act waits for the row is not found, and has no entry."""
    with (
        psycopg.connect(conninfo) as other,
        psycopg.connect(conninfo, autocommit=True) as looker,
        ThreadPoolExecutor() as pool,
    ):
        other.execute("DELETE FROM auth.users WHERE email = %s", [IDLE])
        last = len(entries(conninfo))
        running = pool.submit(act, conninfo, *SUSPEND, IDLE)
        wait_until(lambda: looker.execute(WAITING).fetchall())
        other.commit()
        done = running.result()
    assert (done.code, len(entries(conninfo))) == (ExitCode.NOT_FOUND, last)
    assert f"{IDLE} has just been deleted" in done.err
