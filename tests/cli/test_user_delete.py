"""Deleting accounts as a state and for good, and handing out what is stored about a user."""

import json
import tarfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.acting import (
    ROOT,
    act,
    changes_between,
    entries,
    rows,
    stored_hash,
    user_id,
)
from tests.cli.invoking import Outcome
from tests.database.contents import contents

ANN, BEN, IDLE = "ann@example.com", "ben@example.com", "idle1@example.com"
WHY = ("--reason", "asked to leave", "--yes")
GOOD = ("--hard", "--confirm", ANN, *WHY)


def execute(conninfo: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Do what somebody else does, or look; returns the rows where there are any."""
    with psycopg.connect(conninfo) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def only(outcome: Outcome) -> dict[str, Any]:
    """Return the one row of a command that ended well."""
    assert outcome.code == 0, outcome.err
    (row,) = json.loads(outcome.out)
    assert isinstance(row, dict)
    return row


def store(conninfo: str, *keys: str) -> None:
    for key in keys:
        execute(conninfo, "INSERT INTO storage.objects (bucket_id, name) VALUES ('voice-samples', %s)", key)


def test_delete_is_a_state(conninfo: str) -> None:
    """The account is dated and labelled, the user shut out, no key works; every row is still there, and undo restores it."""
    before = rows(conninfo)
    done = act(conninfo, "user", "delete", ANN, *WHY)
    entry = entries(conninfo)[-1]
    assert done == Outcome(
        0,
        "user             result   detail\nann@example.com  changed  deleted; the data is kept\n",
        f"`avatarlab audit undo {entry['id']}` takes it back\n",
    )
    after = rows(conninfo)
    assert before.keys() == after.keys()
    assert {change["table"]: sorted(change["after"]) for change in changes_between(before, after)} == {
        "auth.users": ["banned_until", "deleted_at"],
        "public.platform_api_keys": ["api_key_hash", "expires_at", "status"],
        "public.profiles": ["account_status"],
    }
    assert (entry["action"], entry["severity"], entry["justification"]) == (
        "user.delete",
        "critical",
        "asked to leave",
    )
    assert act(conninfo, "audit", "undo", str(entry["id"]), "--yes").code == 0
    assert changes_between(before, rows(conninfo)) == []


def test_deleted_twice(conninfo: str) -> None:
    """An account that is deleted stays as it is, the date of its deletion too."""
    assert act(conninfo, "user", "delete", ANN, *WHY).code == 0
    before = contents(conninfo)
    assert only(act(conninfo, "user", "delete", ANN, *WHY, "--json"))["result"] == "unchanged"
    assert contents(conninfo) == before


def test_a_banned_account_deleted_and_restored(conninfo: str) -> None:
    """Deletion lies over a ban and is taken back to it; the ban can then be lifted to what was before both."""
    before = rows(conninfo)
    assert act(conninfo, "user", "ban", ANN, *WHY).code == 0
    banned = rows(conninfo)
    gone = only(act(conninfo, "user", "delete", ANN, *WHY, "--json"))
    assert act(conninfo, "user", "unban", ANN).code == 1
    assert act(conninfo, "audit", "undo", gone["entry"], "--yes").code == 0
    assert changes_between(banned, rows(conninfo)) == []
    assert only(act(conninfo, "user", "unban", ANN, "--json"))["stays"] is None
    assert changes_between(before, rows(conninfo)) == []


def test_the_plan(conninfo: str) -> None:
    """A dry run of a deletion for good names what goes, what forbids it and what stays, and changes nothing."""
    store(conninfo, f"{user_id(ANN)}/1.mp3", f"{user_id(BEN)}/2.mp3")
    execute(conninfo, "UPDATE profiles SET referrer_id = %s WHERE email = %s", user_id(ANN), BEN)
    execute(conninfo, "INSERT INTO memory_categories (user_id, name) VALUES (%s, 'x')", user_id(ANN))
    before = contents(conninfo)
    shown = act(
        conninfo,
        "user",
        "delete",
        ANN,
        "--hard",
        "--dry-run",
        "--csv",
        "--fields",
        "effect,table,column,rows,bucket,key",
    )
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        "effect,table,column,rows,bucket,key",
        "blocks,public.profiles,referrer_id,1,,",
        "deletes,auth.sessions,,1,,",
        "deletes,auth.users,,1,,",
        "deletes,public.avatars,,1,,",
        "deletes,public.generated_images,,1,,",
        "deletes,public.platform_api_keys,,1,,",
        "deletes,public.profiles,,1,,",
        "deletes,public.user_api_keys,,1,,",
        "deletes,public.user_sessions,,1,,",
        "stays,public.memory_categories,user_id,1,,",
        f"stays,storage.objects,,1,voice-samples,{user_id(ANN)}/1.mp3",
    ]
    assert contents(conninfo) == before


def test_the_plan_says_what_the_deletion_would_refuse(conninfo: str) -> None:
    """An active admin blocks the deletion, as does another address than the account's, in the dry run already."""
    plan = ("user", "delete", "second@example.com", "--hard", "--dry-run")
    shown = act(conninfo, *plan, "--csv", "--fields", "effect,table,column,rows")
    assert (shown.code, shown.out.splitlines()[1]) == (0, "blocks,public.admin_users,is_active,1")
    refused = act(conninfo, *plan, "--confirm", BEN)
    assert (refused.code, refused.out) == (6, "")
    assert "second@example.com has another e-mail address than --confirm says" in refused.err
    assert act(conninfo, "admin", "deactivate", "second@example.com", "--yes").code == 0
    assert "blocks" not in act(conninfo, *plan, "--confirm", "SECOND@example.com", "--csv").out


def test_without_a_confirmation_the_plan_is_shown(conninfo: str) -> None:
    """Whoever does not confirm sees what would go, and nothing does."""
    before = contents(conninfo)
    done = act(conninfo, "user", "delete", ANN, "--hard", *WHY, "--csv")
    assert (done.code, contents(conninfo)) == (ExitCode.DECLINED, before)
    assert f"{ANN},deletes,auth.users,," in done.out
    assert "not confirmed: this cannot be taken back" in done.err


def test_delete_for_good(conninfo: str) -> None:
    """The account and all that hangs on it are gone, counted in the answer and in the entry; nobody else's row is."""
    store(conninfo, f"{user_id(ANN)}/1.mp3", f"{user_id(ANN)}/2.mp3", f"{user_id(BEN)}/3.mp3")
    before = rows(conninfo)
    done = only(act(conninfo, "user", "delete", ANN, *GOOD, "--json"))
    after = rows(conninfo)

    gone = Counter(table for table, _ in before.keys() - after.keys())
    # This month's usage is aggregated first and goes with the account.
    assert done["deleted"] == {**gone, "public.monthly_usage": 1}
    assert gone["auth.users"] == gone["public.profiles"] == gone["public.platform_api_keys"] == 1
    written = {table for table, key in after if after[table, key] != before.get((table, key))}
    assert written == {
        "avatarlab_admin.storage_daily",
        "avatarlab_admin.usage_daily",
        "avatarlab_admin.judged_limits",
    }
    assert done["objects"] == [
        {"bucket": "voice-samples", "key": f"{user_id(ANN)}/{name}.mp3"} for name in (1, 2)
    ]
    entry = entries(conninfo)[-1]
    (month,) = entry["changes"].pop("usage")
    assert month["usage_month"] == f"{datetime.now(UTC):%Y-%m-01}"
    assert entry["changes"] == {
        "rows": [],
        "deleted": done["deleted"],
        "cleared": {},
        "kept": done["kept"],
        "objects": {"voice-samples": 2},
    }
    assert (entry["action"], entry["resource_id"]) == ("user.delete.hard", user_id(ANN))
    assert stored_hash(ANN) not in json.dumps(entry["changes"])


def test_usage_outlives_the_account(conninfo: str) -> None:
    """What the user did this month is in usage_daily although no job had run, and the rows it was counted from are gone."""
    execute(
        conninfo,
        "INSERT INTO conversation_feedback (avatar_id, user_id, user_message, avatar_response, feedback)"
        " SELECT %s, %s, 'x', 'y', 'neutral' FROM generate_series(1, 3)",
        *(user_id(ANN), user_id(ANN)),
    )
    assert act(conninfo, "user", "delete", ANN, *GOOD).code == 0
    assert execute(conninfo, "SELECT count(*) FROM conversation_feedback") == [(0,)]
    assert execute(
        conninfo,
        "SELECT sum(chat_messages_count) FROM avatarlab_admin.usage_daily WHERE user_id = %s",
        user_id(ANN),
    ) == [(3,)]


def test_what_refers_to_rows_that_go_anyway_does_not_forbid(conninfo: str) -> None:
    """A reference from a row that goes too is no reason to refuse, however deep the row lies."""
    ann = user_id(ANN)
    execute(conninfo, "UPDATE avatars SET deleted_by = user_id WHERE user_id = %s", ann)
    execute(
        conninfo,
        "INSERT INTO avatar_versions (avatar_id, version_number, name, created_by) VALUES (%s, 1, 'x', %s)",
        *(ann, ann),
    )
    execute(conninfo, "INSERT INTO purchases (user_id, avatar_id, price_paid) VALUES (%s, %s, 1)", ann, ann)
    execute(
        conninfo,
        "WITH image AS (INSERT INTO generated_images (user_id, prompt, image_url) VALUES (%s, 'x', 'y') RETURNING id)"
        " INSERT INTO image_collections (user_id, name, cover_image_id) SELECT %s, 'x', id FROM image",
        *(ann, ann),
    )
    done = only(act(conninfo, "user", "delete", ANN, *GOOD, "--json"))
    assert {
        done["deleted"][f"public.{table}"] for table in ("avatar_versions", "purchases", "image_collections")
    } == {1}
    assert execute(conninfo, "SELECT count(*) FROM auth.users WHERE id = %s", ann) == [(0,)]


def test_what_forbids_a_deletion_is_named(conninfo: str) -> None:
    """While others' rows refer to the account, it is refused with all of them named, and nothing is changed."""
    execute(conninfo, "UPDATE profiles SET referrer_id = %s WHERE email IN (%s, %s)", user_id(ANN), BEN, IDLE)
    execute(
        conninfo,
        "INSERT INTO purchases (user_id, avatar_id, price_paid) VALUES (%s, %s, 1)",
        *(user_id(BEN), user_id(ANN)),
    )
    before = contents(conninfo)
    assert act(conninfo, "user", "delete", ANN, *GOOD) == Outcome(
        7,
        "",
        "avatarlab: ann@example.com cannot be deleted for good while these refer to it:"
        " public.profiles.referrer_id (2 rows), public.purchases.avatar_id (1 row)\n",
    )
    assert contents(conninfo) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((ANN, "--yes"), 2, "a reason is required"),
        ((ANN, "--reason", "x"), 6, "not confirmed: Delete ann@example.com?"),
        ((ANN, "--confirm", ANN, *WHY), 2, "--confirm goes with --hard"),
        (
            (ANN, "--hard", "--confirm", BEN, *WHY),
            6,
            "ann@example.com has another e-mail address than --confirm says",
        ),
        ((ANN, "--hard", "--confirm", ANN, "--yes"), 2, "a reason is required"),
        ((ANN, BEN, *GOOD), 2, "an account is deleted for good alone"),
        (("--ids-from", "-", *GOOD), 2, "an account is deleted for good alone"),
        ((ANN, "--plan", "plan.ndjson", *GOOD), 2, "an account is deleted for good alone"),
        (("second@example.com", *WHY), 7, "second@example.com is an admin"),
        (
            ("second@example.com", "--hard", "--confirm", "second@example.com", *WHY),
            7,
            "second@example.com is an admin",
        ),
        (("nobody@example.com", *GOOD), 5, "there is no user 'nobody@example.com'"),
    ],
)
def test_what_is_refused(platform: str, arguments: tuple[str, ...], code: int, message: str) -> None:
    """What is not confirmed, not one account, or an admin's, is not deleted."""
    before = contents(platform)
    done = act(platform, "user", "delete", *arguments, stdin=f"{ANN}\n")
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"avatarlab: {message}")
    assert contents(platform) == before


def test_confirmed_whatever_the_case(conninfo: str) -> None:
    """The e-mail address confirms in whatever case it is written; --dry-run asks for none."""
    assert act(conninfo, "user", "delete", "ann@", "--hard", "--dry-run").code == 0
    assert act(conninfo, "user", "delete", "ann@", "--hard", "--confirm", ANN.upper(), *WHY).code == 0


def test_not_to_be_undone(conninfo: str) -> None:
    """What was deleted for good says so when it is asked back."""
    done = act(conninfo, "user", "delete", ANN, *GOOD, "--json")
    assert "audit undo" not in done.err
    undone = act(conninfo, "audit", "undo", only(done)["entry"], "--yes")
    assert undone.code == 7
    assert "cannot be undone" in undone.err


def test_a_running_job_is_not_disturbed(conninfo: str) -> None:
    """While a job computes usage the deletion waits for another time, with nothing changed."""
    before = contents(conninfo)
    with psycopg.connect(conninfo) as job:
        job.execute("SELECT pg_advisory_xact_lock(hashtextextended('avatarlab:rollup', 0))")
        done = act(conninfo, "user", "delete", ANN, *GOOD)
    assert (done.code, done.err.splitlines()[0]) == (75, "avatarlab: a job is computing usage")
    assert contents(conninfo) == before


def test_export(conninfo: str, tmp_path: Path) -> None:
    """The archive lies there, nothing is changed, and the entry says who handed out how many rows under which digest."""
    before = rows(conninfo)
    path = tmp_path / "ann.tar.gz"
    done = act(conninfo, "user", "export", ANN, "--out", str(path), "--reason", "request 12")
    assert done == Outcome(
        0,
        "user             result   detail\nann@example.com  changed  exported 8 rows of 8 tables\n",
        f"the archive is {path}\n",
    )
    assert changes_between(before, rows(conninfo)) == []
    with tarfile.open(path) as packed:
        manifest = packed.extractfile(f"{user_id(ANN)}/manifest.json")
        assert manifest is not None
        files = json.load(manifest)["files"]
    entry = entries(conninfo)[-1]
    assert (entry["action"], entry["justification"]) == ("user.export", "request 12")
    assert entry["changes"]["exported"] == {file["table"]: file["rows"] for file in files}


@pytest.mark.parametrize("admin", [None, "analyst@example.com", "bare1@example.com"])
def test_no_export_without_the_right(platform: str, tmp_path: Path, admin: str | None) -> None:
    """Whoever may not write users hands out no data, and no file is left."""
    done = act(platform, "user", "export", ANN, "--out", str(tmp_path / "ann"), admin=admin)
    assert done.code == 4
    assert list(tmp_path.iterdir()) == []


def test_no_entry_no_archive(conninfo: str, tmp_path: Path) -> None:
    """Where the entry cannot be written, there is no archive."""
    execute(
        conninfo,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no entry today'; END $$",
    )
    execute(
        conninfo,
        "CREATE TRIGGER a_refusal BEFORE INSERT ON admin_audit_logs FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    done = act(conninfo, "user", "export", ANN, "--out", str(tmp_path / "ann"))
    assert (done.code, done.out) == (1, "")
    assert "no entry today" in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_cannot_be_written_has_no_entry(conninfo: str, tmp_path: Path) -> None:
    """A directory in the way is refused, and the audit log says nothing of an export."""
    count = len(entries(conninfo))
    done = act(conninfo, "user", "export", ANN, "--out", str(tmp_path))
    assert (done.code, done.out) == (7, "")
    assert done.err.splitlines()[0] == f"avatarlab: {tmp_path} exists already"
    zipped = act(conninfo, "user", "export", ANN, "--out", str(tmp_path / "ann.zip"))
    assert (zipped.code, "name it NAME.tar.gz" in zipped.err) == (ExitCode.USAGE, True)
    assert len(entries(conninfo)) == count
    assert act(conninfo, "user", "export", "nobody@example.com", "--out", str(tmp_path / "x")).code == 5


def test_help_says_what_a_suspension_is(platform: str) -> None:
    """Who is about to suspend learns that nothing enforces it, and what does."""
    shown = act(platform, "user", "suspend", "--help", admin=ROOT).out
    assert "nothing in the app looks at it" in " ".join(shown.split())
    assert "`user ban`" in shown
