"""Changes planned into a file, looked at, and carried out where nothing has moved."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.actions.act import Act
from avatarlab_cli.errors import ExitCode
from tests.cli.acting import A_CLOSED_MONTH, ROOT, SECRETS, act, entries, hashes, key_id, rows, user_id
from tests.database.contents import contents

ANN, BEN, IDLE = "ann@example.com", "ben@example.com", "idle1@example.com"
BAN = ("user", "ban", "--reason", "spam")


@pytest.fixture
def plan(conninfo: str, tmp_path: Path) -> Path:
    """A plan to ban three users."""
    path = tmp_path / "ban.plan"
    done = act(conninfo, *BAN, ANN, BEN, IDLE, "--plan", str(path))
    assert done.code == 0, done.err
    return path


def change(conninfo: str, statement: str, *values: object) -> None:
    """Do what somebody else does meanwhile."""
    with psycopg.connect(conninfo) as connection:
        assert connection.execute(statement.encode(), values).rowcount == 1


def banned(conninfo: str) -> list[str]:
    """Return who of the three is banned."""
    statement = "SELECT email FROM auth.users WHERE banned_until > now() AND email = ANY (%s) ORDER BY email"
    with psycopg.connect(conninfo) as connection:
        return [email for (email,) in connection.execute(statement, [[ANN, BEN, IDLE]])]


def lines(plan: Path) -> list[dict[str, Any]]:
    """Return the objects in the file."""
    return [json.loads(line) for line in plan.read_text(encoding="utf-8").splitlines()]


def test_what_stands_in_the_file(conninfo: str, plan: Path) -> None:
    """The file is its owner's alone, has each row before and after, and holds no secret; nothing was changed."""
    assert banned(conninfo) == []
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert [path.name for path in plan.parent.iterdir()] == [plan.name]
    head, *targets = lines(plan)
    assert (head["act"], head["reason"], head["parameters"]) == ("user.ban", "spam", {"until": None})
    assert [target["id"] for target in targets] == [str(user_id(email)) for email in (ANN, BEN, IDLE)]
    by_table = {found["table"]: found for found in targets[0]["changes"]}
    assert by_table.keys() == {"auth.users", "public.profiles", "public.platform_api_keys"}
    assert by_table["auth.users"]["before"] == {"banned_until": None}
    assert by_table["public.platform_api_keys"]["key"] == {"id": str(key_id(ANN))}
    assert by_table["public.platform_api_keys"]["before"]["status"] == "active"
    assert by_table["public.platform_api_keys"]["after"]["status"] == "revoked"
    text = plan.read_text(encoding="utf-8")
    assert [secret for secret in {*SECRETS, *hashes(conninfo)} if secret in text] == []


def test_carried_out(conninfo: str, plan: Path) -> None:
    """A preview changes nothing; then all is done, for the reason planned; a second time all is refused."""
    before = rows(conninfo)
    preview = act(conninfo, "apply", str(plan), "--dry-run")
    assert (preview.code, rows(conninfo)) == (0, before)
    last = len(entries(conninfo))
    done = act(conninfo, "apply", str(plan), "--yes", "--json")
    assert done.code == 0, done.err
    written = entries(conninfo)[last:]
    assert {(entry["action"], entry["justification"]) for entry in written} == {("user.ban", "spam")}
    assert len(written) == 3
    assert banned(conninfo) == [ANN, BEN, IDLE]
    after = contents(conninfo)
    again = act(conninfo, "apply", str(plan), "--yes", "--json")
    assert (again.code, contents(conninfo)) == (ExitCode.REFUSED, after)
    assert {row["result"] for row in json.loads(again.out)} == {"failed"}


@pytest.mark.parametrize("size", [500, 1])
@pytest.mark.parametrize(
    "somebody",
    [
        ("UPDATE profiles SET account_status = 'suspended' WHERE id = %s", (user_id(BEN),)),
        ("UPDATE auth.users SET banned_until = '2999-01-01Z' WHERE id = %s", (user_id(BEN),)),
        ("DELETE FROM platform_api_keys WHERE id = %s", (key_id(BEN),)),
        ("UPDATE platform_api_keys SET api_key_hash = 'another' WHERE id = %s", (key_id(BEN),)),
        (
            (
                "INSERT INTO platform_api_keys (user_id, key_name, api_key_hash, api_key_prefix)"
                " VALUES (%s, 'new', 'new', 'new')"
            ),
            (user_id(BEN),),
        ),
        ("DELETE FROM profiles WHERE id = %s", (user_id(BEN),)),
    ],
    ids=["value", "value elsewhere", "row gone", "secret", "row new", "profile gone"],
)
def test_what_has_moved_is_left_alone(
    conninfo: str,
    plan: Path,
    monkeypatch: pytest.MonkeyPatch,
    somebody: tuple[str, tuple[object, ...]],
    size: int,
) -> None:
    """Where a row has changed, gone or come, that user stays as found; the others are done, and the exit code is 7."""
    statement, values = somebody
    change(conninfo, statement, *values)
    monkeypatch.setattr(Act, "items_per_transaction", size)
    before = {key: row for key, row in rows(conninfo).items() if _is_bens(row)}
    done = act(conninfo, "apply", str(plan), "--yes", "--json")
    assert done.code == ExitCode.REFUSED
    found = {row["user"]: (row["result"], row["detail"]) for row in json.loads(done.out)}
    assert [result for result, _ in found.values()] == ["changed", "failed", "changed"]
    assert "no longer as it was" in next(detail for result, detail in found.values() if result == "failed")
    assert {key: row for key, row in rows(conninfo).items() if _is_bens(row)} == before
    assert {ANN, IDLE} <= set(banned(conninfo))


def _is_bens(row: dict[str, Any]) -> bool:
    return str(user_id(BEN)) in (row.get("id"), row.get("user_id"))


def test_a_user_who_is_gone(conninfo: str, plan: Path) -> None:
    """A user who is not there any more cannot be banned; the others are."""
    change(conninfo, "DELETE FROM auth.users WHERE id = %s", user_id(BEN))
    done = act(conninfo, "apply", str(plan), "--yes", "--json")
    assert done.code in {ExitCode.FAILED, ExitCode.REFUSED}
    assert [row["result"] for row in json.loads(done.out)] == ["changed", "failed", "changed"]
    assert banned(conninfo) == [ANN, IDLE]


def test_what_does_not_matter_may_move(conninfo: str, plan: Path) -> None:
    """A value that the act neither reads nor writes may be another by now."""
    change(conninfo, "UPDATE profiles SET name = 'Benjamin' WHERE id = %s", user_id(BEN))
    assert act(conninfo, "apply", str(plan), "--yes").code == 0


def test_new_rows_with_new_ids(conninfo: str, tmp_path: Path) -> None:
    """Several rows that get another id each time are planned and done, whichever order the ids put them in."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(A_CLOSED_MONTH.encode())
        connection.execute("UPDATE monthly_usage SET voice_cost = 0.07 WHERE user_id = %s", [user_id(BEN)])
    path = tmp_path / "reprice.plan"
    assert act(conninfo, "cost", "reprice", "--month", "2025-03", "--plan", str(path)).code == 0
    planned = lines(path)[1]["changes"]
    assert {(row["after"]["before"], row["after"]["after"]) for row in planned} == {
        ("0.000005", "0.000220"),
        ("0.070000", "0.070215"),
    }
    for records in (planned, planned[::-1]):
        path.write_text(
            "".join(
                json.dumps(record) + "\n"
                for record in [lines(path)[0], {**lines(path)[1], "changes": records}]
            ),
            encoding="utf-8",
        )
        done = act(conninfo, "apply", str(path), "--dry-run")
        assert done.code == 0, done.err
    assert act(conninfo, "apply", str(path), "--yes").code == 0
    with psycopg.connect(conninfo) as connection:
        found = connection.execute("SELECT count(*) FROM avatarlab_admin.usage_adjustment").fetchone()
    assert found == (2,)


def _another_value(records: list[dict[str, Any]]) -> None:
    records[2]["changes"][-1]["after"]["account_status"] = "active"


def _another_user(records: list[dict[str, Any]]) -> None:
    records[2]["id"] = str(user_id("idle2@example.com"))


def _fewer_rows(records: list[dict[str, Any]]) -> None:
    records[2]["changes"].pop()


@pytest.mark.parametrize("tamper", [_another_value, _another_user, _fewer_rows])
def test_a_plan_that_was_tampered_with(
    conninfo: str, plan: Path, tamper: Callable[[list[dict[str, Any]]], None]
) -> None:
    """A plan cannot make an act do something else: where it does not say what the act does, it is refused."""
    records = lines(plan)
    tamper(records)
    plan.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    done = act(conninfo, "apply", str(plan), "--yes", "--json")
    assert done.code == ExitCode.REFUSED
    assert [row["result"] for row in json.loads(done.out)] == ["changed", "failed", "changed"]
    assert banned(conninfo) == [ANN, IDLE]


@pytest.mark.parametrize(
    ("number", "record"),
    [
        (0, {"plan": 2, "act": "user.ban", "parameters": {"until": None}, "reason": "spam"}),
        (0, {"plan": 1, "act": "user.praise", "parameters": {}, "reason": "spam"}),
        (0, {"plan": 1, "act": "user.ban", "parameters": {"for": "days"}, "reason": "spam"}),
        (0, {"plan": 1, "act": "user.ban", "parameters": {"until": "tomorrow"}, "reason": "spam"}),
        (0, {"plan": 1, "act": "user.ban", "parameters": "until", "reason": "spam"}),
        (0, {"plan": 1, "act": "user.ban", "parameters": {"until": None}}),
        (0, {"plan": 1}),
        (0, []),
        (1, []),
        (1, {"id": "1"}),
        (1, {"id": "1", "changes": 1}),
        (1, {"id": "1", "changes": [1]}),
        (1, {"id": "1", "changes": [{"table": "auth.users"}]}),
    ],
)
def test_what_is_no_plan(conninfo: str, plan: Path, number: int, record: object) -> None:
    """A file of another version, or none at all, is a usage error, and nothing is done."""
    records: list[object] = [*lines(plan)]
    records[number] = record
    plan.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    done = act(conninfo, "apply", str(plan), "--yes")
    assert (done.code, banned(conninfo)) == (ExitCode.USAGE, [])


@pytest.mark.parametrize("text", [b"", b"not JSON\n", b"\xff\xfe\n", b"1\n"])
def test_another_file(conninfo: str, tmp_path: Path, text: bytes) -> None:
    """Any other file is a usage error."""
    path = tmp_path / "other.txt"
    path.write_bytes(text)
    assert act(conninfo, "apply", str(path), "--yes").code == ExitCode.USAGE
    assert act(conninfo, "apply", str(tmp_path / "none"), "--yes").code == ExitCode.USAGE


def test_limits_and_confirmation(conninfo: str, plan: Path) -> None:
    """A plan asks, and is limited, like the command that made it."""
    assert act(conninfo, "apply", str(plan)).code == ExitCode.DECLINED
    assert act(conninfo, "apply", str(plan), "--yes", "--max-rows", "2").code == ExitCode.REFUSED
    assert banned(conninfo) == []


def test_a_plan_for_nothing(conninfo: str, tmp_path: Path) -> None:
    """Where nothing would change, the plan is empty, and carrying it out ends well."""
    path = tmp_path / "nothing.plan"
    assert act(conninfo, "user", "activate", ANN, BEN, "--plan", str(path)).code == 0
    assert len(lines(path)) == 1
    assert act(conninfo, "apply", str(path), "--yes").code == 0


def test_only_what_can_be_done_is_planned(conninfo: str, tmp_path: Path) -> None:
    """Who is refused is told so, and left out of the plan."""
    path = tmp_path / "some.plan"
    done = act(
        conninfo, "user", "suspend", ANN, "banned1@example.com", "nobody@example.com", "--plan", str(path)
    )
    assert done.code == ExitCode.FAILED
    assert [target["id"] for target in lines(path)[1:]] == [str(user_id(ANN))]


def test_a_file_that_cannot_be_written(conninfo: str, tmp_path: Path) -> None:
    """It is said, and nothing is changed."""
    before = contents(conninfo)
    done = act(conninfo, *BAN, ANN, "--plan", str(tmp_path / "none" / "ban.plan"))
    assert (done.code, contents(conninfo)) == (ExitCode.FAILED, before)


def test_another_admin_carries_it_out(conninfo: str, plan: Path) -> None:
    """Two pairs of eyes: one admin plans, another looks and applies, under the second's name."""
    done = act(conninfo, "apply", str(plan), "--yes", admin="second@example.com")
    assert done.code == 0, done.out
    assert {entry["admin_user_id"] for entry in entries(conninfo)[-3:]} == {
        user_id("admin second@example.com")
    }


@pytest.mark.parametrize(
    "command",
    [
        ("tier", "set", ANN, BEN, "pro"),
        ("tier", "trial", "start", ANN, BEN, "pro"),
        ("tier", "create", "team", "--price-monthly", "99"),
        ("tier", "update", "pro", "--price-monthly", "34.99"),
        ("key", "create", ANN, BEN, "--name", "n8n", "--expires", "90d"),
        ("key", "rotate", str(key_id(ANN)), str(key_id(BEN))),
        ("admin", "add", ANN, BEN, "--role", "support"),
        (
            "tier",
            "override",
            "paying1@example.com",
            "images_generated",
            "9",
            "--until",
            "2999-01-01",
            "--reason",
            "fair",
        ),
        ("user", "delete", ANN, BEN, "--reason", "asked"),
    ],
)
def test_new_rows_can_be_planned(conninfo: str, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Ids, keys and times that are made up anew each time do not count as moved; parameters survive the file."""
    path = tmp_path / "new.plan"
    assert act(conninfo, *command, "--plan", str(path)).code == 0
    last, planned = len(entries(conninfo)), len(lines(path)) - 1
    done = act(conninfo, "apply", str(path), "--yes", "--json", admin=ROOT)
    assert done.code == 0, done.out + done.err
    assert len(entries(conninfo)) - last == planned > 0
