"""Many targets in one command: where they come from, what limits them, what becomes of each, and what breaks it off."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
from collections.abc import Callable

import psycopg
import pytest

from avatarlab_cli.actions.act import Act
from avatarlab_cli.errors import ExitCode
from tests.cli.acting import ROOT, act, chain_breaks, entries, hashes, key_id, user_id
from tests.cli.invoking import command, terminal, variables
from tests.database.contents import contents, wait_until

ANN, BEN, IDLE = "ann@example.com", "ben@example.com", "idle1@example.com"
SUSPEND = ("user", "suspend")
CROWD = 1200
HELD_BACK = 1100


@pytest.fixture
def crowd(conninfo: str) -> str:
    """A copy with so many users that a command takes several transactions."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "INSERT INTO auth.users (id, email)"
            " SELECT gen_random_uuid(), 'crowd' || to_char(n, 'FM0000') || '@example.org' FROM generate_series(1, %s) n",
            [CROWD],
        )
    return conninfo


def statuses(conninfo: str, *emails: str) -> list[str]:
    """Return the label of each account."""
    with psycopg.connect(conninfo) as connection:
        found = connection.execute("SELECT email, account_status FROM profiles").fetchall()
    by_email = {str(email): str(status) for email, status in found}
    return [by_email[email] for email in emails]


def crowd_names(*numbers: int) -> str:
    """Return the crowd's e-mail addresses as lines, all of them unless some are named."""
    chosen = numbers or range(1, CROWD + 1)
    return "".join(f"crowd{number:04}@example.org\n" for number in chosen)


def suspended_crowd(conninfo: str) -> int:
    """Return how many of the crowd are suspended."""
    statement = "SELECT count(*) FROM profiles WHERE email LIKE 'crowd%' AND account_status = 'suspended'"
    with psycopg.connect(conninfo) as connection:
        ((count,),) = connection.execute(statement).fetchall()
    return int(count)


def entries_of_crowd(conninfo: str) -> list[int]:
    """Return how many entries there are for each of the crowd who have any."""
    statement = """
        SELECT count(*) FROM admin_audit_logs e JOIN auth.users u ON u.id = e.resource_id
        WHERE u.email LIKE 'crowd%' GROUP BY u.id
    """
    with psycopg.connect(conninfo) as connection:
        return [count for (count,) in connection.execute(statement)]


@pytest.mark.parametrize("output", ["--json", "--csv"])
def test_each_target_has_a_result(conninfo: str, output: str) -> None:
    """Targets on the command line and on stdin are done in their order, with a row each in any format."""
    done = act(
        conninfo, *SUSPEND, ANN, "--ids-from", "-", "--yes", output, stdin=f"\n  {BEN}  \n{user_id(IDLE)}\n\n"
    )
    assert done.code == 0, done.err
    found = json.loads(done.out) if output == "--json" else list(csv.DictReader(io.StringIO(done.out)))
    assert [(row["user"], row["result"], row["detail"]) for row in found] == [
        (email, "changed", "suspended") for email in (ANN, BEN, IDLE)
    ]
    assert [row["entry"] for row in found] == [str(entry["id"]) for entry in entries(conninfo)[-3:]]
    assert statuses(conninfo, ANN, BEN, IDLE, "idle2@example.com") == [*["suspended"] * 3, "active"]
    assert "3 changed" in done.err


def _as_it_is(text: str) -> str:
    return text


def _quoted(text: str) -> str:
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(csv.reader(io.StringIO(text)))
    return stream.getvalue()


@pytest.mark.parametrize("more", [(), ("--bom",), ("--fields", "name,email,id"), ("--fields", "name,email")])
@pytest.mark.parametrize("change", [_as_it_is, _quoted])
def test_the_csv_of_a_list(conninfo: str, more: tuple[str, ...], change: Callable[[str], str]) -> None:
    """What a list writes as CSV names the targets, with a byte order mark, in quotes, or with other columns."""
    listed = act(conninfo, "user", "list", "--search", "idle", "--csv", *more)
    assert listed.code == 0, listed.err
    assert listed.out.startswith("\ufeff") == ("--bom" in more)
    text = listed.out.removeprefix("\ufeff")
    given = listed.out.removesuffix(text) + change(text)
    done = act(conninfo, *SUSPEND, "--from-csv", "-", "--yes", "--json", stdin=given)
    assert done.code == 0, done.err
    assert sorted(row["user"] for row in json.loads(done.out)) == [IDLE, "idle2@example.com"]
    assert statuses(conninfo, IDLE, "idle2@example.com", ANN) == ["suspended", "suspended", "active"]


def test_the_csv_of_another_list(conninfo: str) -> None:
    """A list of keys names keys to a verb of keys, and their owners to a verb of users."""
    listed = act(conninfo, "key", "list", "--user", ANN, "--csv").out
    revoked = act(
        conninfo, "key", "revoke", "--from-csv", "-", "--reason", "leaked", "--yes", "--json", stdin=listed
    )
    assert [row["id"] for row in json.loads(revoked.out)] == [str(key_id(ANN))]
    suspended = act(conninfo, *SUSPEND, "--from-csv", "-", "--yes", "--json", stdin=listed)
    assert [row["user"] for row in json.loads(suspended.out)] == [ANN]


def test_a_result_names_the_next_targets(conninfo: str) -> None:
    """The CSV an act prints is one more list."""
    first = act(conninfo, *SUSPEND, ANN, BEN, "--yes", "--csv")
    second = act(conninfo, "user", "activate", "--from-csv", "-", "--yes", "--csv", stdin=first.out)
    assert second.code == 0, second.err
    assert statuses(conninfo, ANN, BEN) == ["active", "active"]


@pytest.mark.parametrize(
    ("options", "stdin", "said"),
    [
        (("--from-csv", "-"), "tier,price\nfree,0\n", "no column that names a user"),
        (("--from-csv", "-"), "", "no column that names a user"),
        (("--from-csv", "-"), "id,email\n,ann@example.com\n", "line 2"),
        (("--ids-from", "-"), b"ann@example.com\nb\xe9n@example.com\n", "cannot read"),
        (("--from-csv", "-"), b"email\nb\xe9n@example.com\n", "cannot read"),
        (("--ids-from", "not-there.txt"), "", "cannot read not-there.txt"),
        ((), "", "no user is named"),
        ((" ",), "", "empty"),
        (("ann@example.com", "--max-rows", "many"), "", "--max-rows takes a whole number"),
    ],
)
def test_input_that_names_nobody(
    conninfo: str, options: tuple[str, ...], stdin: str | bytes, said: str
) -> None:
    """What cannot be read, or names nobody, is a usage error and changes nothing."""
    before = contents(conninfo)
    done = act(conninfo, *SUSPEND, *options, "--yes", stdin=stdin)
    assert (done.code, contents(conninfo)) == (ExitCode.USAGE, before)
    assert said in done.err


@pytest.mark.parametrize(("option", "stdin"), [("--from-csv", "id,email\n"), ("--ids-from", "\n \n")])
def test_an_empty_list_is_no_error(conninfo: str, option: str, stdin: str) -> None:
    """A list that found nobody may be piped on: nothing is done, and that is well."""
    before = contents(conninfo)
    done = act(conninfo, *SUSPEND, option, "-", stdin=stdin)
    assert (done.code, contents(conninfo)) == (0, before)
    assert "nobody was named" in done.err


def test_ids_with_a_byte_order_mark(conninfo: str) -> None:
    """A file that Windows wrote begins with a mark, which belongs to nobody's name."""
    done = act(conninfo, *SUSPEND, "--ids-from", "-", "--yes", stdin=f"\ufeff{ANN}\r\n{BEN}\r\n")
    assert done.code == 0, done.err
    assert statuses(conninfo, ANN, BEN) == ["suspended", "suspended"]


@pytest.mark.parametrize(
    "limit", [("--max-rows", "1"), ("--max-percent", "7"), ("--max-rows", "0"), ("--max-percent", "0")]
)
@pytest.mark.parametrize("more", [("--yes",), ("--dry-run",), ()])
def test_a_limit_refuses_before_anything_is_done(
    conninfo: str, limit: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """More targets than a limit allows are refused altogether, and --yes does not lift that."""
    before = contents(conninfo)
    done = act(conninfo, *SUSPEND, ANN, BEN, *limit, *more)
    assert (done.code, done.out, contents(conninfo)) == (ExitCode.REFUSED, "", before)
    assert "allows" in done.err


@pytest.mark.parametrize("limit", [("--max-rows", "2"), ("--max-percent", "19")])
def test_a_limit_allows_what_it_names(conninfo: str, limit: tuple[str, ...]) -> None:
    """Just as many as allowed, of all 11 users there are, are done."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "DELETE FROM auth.users WHERE id NOT IN (SELECT user_id FROM admin_users) AND email <> ALL (%s)",
            [[ANN, BEN, "banned1@example.com"]],
        )
        ((count,),) = connection.execute("SELECT count(*) FROM auth.users").fetchall()
    assert count == 11
    assert act(conninfo, *SUSPEND, ANN, BEN, *limit, "--yes").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (*SUSPEND, ANN, BEN),
        (*SUSPEND, ANN, BEN, "--no-input"),
        ("user", "ban", ANN, "--reason", "spam"),
        ("admin", "deactivate", "support@example.com"),
    ],
)
def test_nobody_to_confirm(conninfo: str, arguments: tuple[str, ...]) -> None:
    """Several targets, and one of a grave act, are not changed where nobody can be asked."""
    before = contents(conninfo)
    done = act(conninfo, *arguments)
    assert (done.code, contents(conninfo)) == (ExitCode.DECLINED, before)
    assert "--yes" in done.err


def test_one_target_of_a_light_act_needs_no_answer(conninfo: str) -> None:
    """Suspending one user asks nothing."""
    assert act(conninfo, *SUSPEND, ANN).code == 0


@pytest.mark.parametrize(
    ("answer", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", ExitCode.DECLINED), ("\n", ExitCode.DECLINED)]
)
def test_the_question_on_a_terminal(conninfo: str, answer: str, code: int) -> None:
    """It says how many are meant, and only a yes goes on."""
    done = terminal(conninfo, *SUSPEND, ANN, BEN, answer=answer, env={"AVATARLAB_ADMIN": ROOT})
    assert done.code == code
    assert "2 users? [y/N]" in done.out
    assert statuses(conninfo, ANN, BEN) == ["active" if code else "suspended"] * 2


def test_failures_do_not_lose_the_others(conninfo: str) -> None:
    """Who is unknown, ambiguous, or refused is told why; the others are done, and the exit code is 1."""
    names = (ANN, "nobody@example.com", "paying", "banned1@example.com", BEN)
    done = act(conninfo, *SUSPEND, *names, "--yes", "--json")
    assert done.code == ExitCode.FAILED
    found = json.loads(done.out)
    assert [row["result"] for row in found] == ["changed", "failed", "failed", "failed", "changed"]
    details = [row["detail"] for row in found]
    assert "no user 'nobody@example.com'" in details[1]
    assert "fits several users: paying1@example.com, paying2@example.com" in details[2]
    assert "is banned" in details[3]
    assert statuses(conninfo, ANN, BEN, "paying1@example.com", "paying2@example.com") == [
        "suspended",
        "suspended",
        "active",
        "active",
    ]
    assert "2 changed, 3 failed" in done.err


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nobody@example.com", ExitCode.NOT_FOUND),
        ("paying", ExitCode.USAGE),
        ("pa", ExitCode.NOT_FOUND),
        ("banned1@example.com", ExitCode.FAILED),
        (ROOT, ExitCode.REFUSED),
    ],
)
def test_the_failure_of_one_is_the_commands(conninfo: str, name: str, code: ExitCode) -> None:
    """For a single target the exit code says what was wrong."""
    verb = ("user", "ban") if name == ROOT else SUSPEND
    done = act(conninfo, *verb, name, "--reason", "spam", "--yes")
    assert (done.code, done.out) == (code, "")


@pytest.mark.parametrize("size", [500, 2, 1])
def test_who_is_named_twice_is_done_once(conninfo: str, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """By whatever names, and in whatever transactions, a user is dealt with but once."""
    monkeypatch.setattr(Act, "items_per_transaction", size)
    names = (ANN, str(user_id(ANN)), BEN, ANN.upper(), str(user_id(ANN)).upper())
    done = act(conninfo, "key", "create", *names, "--name", "n8n", "--yes", "--json")
    assert done.code == 0, done.err
    found = [(row["result"], row["detail"]) for row in json.loads(done.out)]
    assert [result for result, _ in found] == ["changed", "unchanged", "changed", "unchanged", "unchanged"]
    assert {detail for result, detail in found if result == "unchanged"} == {"named twice"}
    with psycopg.connect(conninfo) as connection:
        made = "SELECT count(*) FROM platform_api_keys WHERE user_id = %s AND key_name = 'n8n'"
        assert connection.execute(made, [user_id(ANN)]).fetchone() == (2,)


def test_what_is_so_already_stays(conninfo: str) -> None:
    """A second run changes nothing, has no entry, and ends well."""
    assert act(conninfo, *SUSPEND, ANN, BEN, "--yes").code == 0
    before = contents(conninfo)
    again = act(conninfo, *SUSPEND, ANN, BEN, "--yes", "--json")
    assert again.code == 0
    assert [row["result"] for row in json.loads(again.out)] == ["unchanged", "unchanged"]
    assert contents(conninfo) == before


def test_an_error_in_the_database_concerns_one(crowd: str) -> None:
    """Of a whole transaction's users, the one whose row cannot be written fails, with the database's own words."""
    with psycopg.connect(crowd) as connection:
        connection.execute("""
            CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN IF NEW.email IN ('crowd0007@example.org', 'crowd0333@example.org') THEN RAISE 'not this one'; END IF; RETURN NEW; END $$
        """)
        connection.execute(
            "CREATE TRIGGER stop BEFORE UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION stop()"
        )
    done = act(crowd, *SUSPEND, "--ids-from", "-", "--yes", "--json", stdin=crowd_names(*range(1, 501)))
    assert done.code == ExitCode.FAILED
    failed = {row["user"]: row["detail"] for row in json.loads(done.out) if row["result"] == "failed"}
    assert failed.keys() == {"crowd0007@example.org", "crowd0333@example.org"}
    assert all("not this one" in detail for detail in failed.values())
    assert (suspended_crowd(crowd), entries_of_crowd(crowd)) == (498, [1] * 498)


def test_a_row_somebody_holds_is_busy(crowd: str) -> None:
    """Of a whole transaction's users, the one somebody else is changing fails; the others are done, in good time."""
    env = {"AVATARLAB_LOCK_TIMEOUT": "50ms"}
    with psycopg.connect(crowd) as holder:
        holder.execute("SELECT FROM auth.users WHERE email = 'crowd0333@example.org' FOR UPDATE")
        stdin = crowd_names(*range(1, 501))
        done = act(crowd, *SUSPEND, "--ids-from", "-", "--yes", "--json", stdin=stdin, env=env)
    failed = [row for row in json.loads(done.out) if row["result"] == "failed"]
    assert done.code == ExitCode.FAILED
    assert [(row["user"], row["detail"]) for row in failed] == [
        ("crowd0333@example.org", "canceling statement due to lock timeout")
    ]
    assert (suspended_crowd(crowd), entries_of_crowd(crowd)) == (499, [1] * 499)


def test_one_row_somebody_holds_is_busy(conninfo: str) -> None:
    """A single target that somebody else is changing ends with the code for trying again."""
    with psycopg.connect(conninfo) as holder:
        holder.execute("SELECT FROM auth.users WHERE email = %s FOR UPDATE", [ANN])
        done = act(conninfo, *SUSPEND, ANN, env={"AVATARLAB_LOCK_TIMEOUT": "50ms"})
    assert done.code == ExitCode.BUSY


def start(conninfo: str, *arguments: str, stdin: str) -> subprocess.Popen[str]:
    """Start a command as a process, with a patience of a minute for others' locks."""
    env = {"AVATARLAB_ADMIN": ROOT, "AVATARLAB_LOCK_TIMEOUT": "60s"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = subprocess.Popen(command(*arguments), env=variables(conninfo, env), text=True, **pipes)  # type: ignore[call-overload]  # mypy does not look into **
    assert running.stdin is not None
    running.stdin.write(stdin)
    running.stdin.close()
    running.stdin = None
    return running  # type: ignore[no-any-return]  # as above


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        (signal.SIGTERM, ExitCode.TERMINATED),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_what_is_broken_off_goes_on(crowd: str, number: signal.Signals, code: int) -> None:
    """Broken off in the middle, transactions are whole; the same command again does the rest, and nothing twice."""
    arguments = (*SUSPEND, "--ids-from", "-", "--yes", "-q")
    with psycopg.connect(crowd) as holder, psycopg.connect(crowd, autocommit=True) as looker:
        holder.execute(
            "SELECT FROM auth.users WHERE email = %s FOR UPDATE", [f"crowd{HELD_BACK}@example.org"]
        )
        running = start(crowd, *arguments, stdin=crowd_names())
        wait_until(lambda: looker.execute(_WAITING).fetchall())
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
        assert running.returncode == code
        # A server learns of its client's death only when it has something to say.
        holder.rollback()
        wait_until(lambda: looker.execute(_OTHERS).fetchall() == [])
    assert suspended_crowd(crowd) == 1000
    assert entries_of_crowd(crowd) == [1] * 1000
    assert number is signal.SIGKILL or "1000 of 1200 are done and kept" in err

    again = act(crowd, *arguments, stdin=crowd_names())
    assert again.code == 0, again.err
    assert (suspended_crowd(crowd), entries_of_crowd(crowd)) == (CROWD, [1] * CROWD)
    assert chain_breaks(crowd) == []


def test_what_was_done_before_a_failure_is_shown(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database goes away in the middle, the keys made before are printed: they are kept nowhere else."""
    monkeypatch.setattr(Act, "items_per_transaction", 1)
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            f"""
            CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN IF NEW.user_id = '{user_id(BEN)}' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$
        """.encode()
        )
        connection.execute(
            "CREATE TRIGGER die BEFORE INSERT ON platform_api_keys FOR EACH ROW EXECUTE FUNCTION die()"
        )
    done = act(conninfo, "key", "create", ANN, BEN, IDLE, "--name", "n8n", "--yes", "--csv")
    assert done.code == ExitCode.UNAVAILABLE
    assert "1 of 3 are done and kept; do not name those again" in done.err
    (row,) = csv.DictReader(io.StringIO(done.out))
    made = hashlib.sha256(row["api_key"].encode()).hexdigest()
    assert row["user"] == ANN
    assert made in hashes(conninfo)


# To wait for a row is to wait for a transaction, which belongs to no database.
_WAITING = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
_OTHERS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'avatarlab%' AND pid <> pg_backend_pid()
"""


def test_a_closed_pipe_does_not_stop_the_work(crowd: str) -> None:
    """Whoever reads the results may leave: the command ends with 141, but after its work."""
    running = start(crowd, *SUSPEND, "--ids-from", "-", "--yes", "--csv", stdin=crowd_names())
    assert running.stdout is not None
    running.stdout.close()
    running.stdout = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 (for communicate, which closes it)
    _, err = running.communicate(timeout=60)
    assert running.returncode == ExitCode.CLOSED_PIPE, err
    assert (suspended_crowd(crowd), entries_of_crowd(crowd)) == (CROWD, [1] * CROWD)
