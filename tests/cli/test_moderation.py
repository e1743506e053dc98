"""Flagging avatars and images, beyond what holds for every act."""

import json
from collections.abc import Iterable

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.acting import SECRETS, act, entries, image_id, rows, user_id

ANN, BEN = "ann@example.com", "ben@example.com"
KINDS = {
    "avatar": ("avatars", str(user_id(ANN)), str(user_id(BEN))),
    "image": ("generated_images", str(image_id(ANN)), str(image_id(BEN))),
}
MARKS = ("is_flagged", "flagged_reason", "moderation_status")


def _change(conninfo: str, statement: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(statement.encode())


def _values(conninfo: str, table: str, identity: str, names: Iterable[str] = MARKS) -> list[object]:
    """Return the values of some columns of a row."""
    row = rows(conninfo)[f"public.{table}", json.dumps({"id": identity})]
    return [row[name] for name in names]


@pytest.mark.parametrize("noun", KINDS)
def test_from_flag_to_unflag(conninfo: str, noun: str) -> None:
    """What is flagged waits in the queue with its reason, and no longer once it is approved."""
    table, ann, _ = KINDS[noun]
    queue = (noun, "queue", "--json", "--fields", "id,reason")
    empty = act(conninfo, *queue)
    assert (empty.code, json.loads(empty.out)) == (0, [])
    assert act(conninfo, noun, "flag", ann, "--reason", "looks real").code == 0
    assert _values(conninfo, table, ann) == [True, "looks real", "flagged"]
    waiting = act(conninfo, *queue)
    assert (waiting.code, json.loads(waiting.out)) == (ExitCode.FOUND, [{"id": ann, "reason": "looks real"}])
    assert act(conninfo, noun, "unflag", ann).code == 0
    assert _values(conninfo, table, ann) == [False, None, "approved"]
    assert json.loads(act(conninfo, *queue).out) == []


@pytest.mark.parametrize("noun", KINDS)
def test_a_queue_that_cannot_be_judged(conninfo: str, noun: str) -> None:
    """Where a column is missing that tells who waits, that nobody does is no good news; another one is no matter."""
    table = KINDS[noun][0]
    for column, code in (
        ("flagged_reason", 0),
        ("is_flagged", ExitCode.FOUND),
        ("moderation_status", ExitCode.FOUND),
    ):
        _change(conninfo, f"ALTER TABLE {table} DROP COLUMN {column} CASCADE")
        shown = act(conninfo, noun, "queue", "--csv", "--no-headers")
        assert (shown.code, shown.out) == (code, "")
        assert f"public.{table}.{column} is missing" in shown.err


def test_who_flagged_an_avatar(conninfo: str) -> None:
    """It is the acting admin; a later reason changes neither since when it waits."""
    _, ann, _ = KINDS["avatar"]
    flag = ("avatar", "flag", ann, "--reason")
    assert act(conninfo, *flag, "first", admin="moderator@example.com").code == 0
    by, since = _values(conninfo, "avatars", ann, ("flagged_by", "flagged_at"))
    assert by == str(user_id("admin moderator@example.com"))
    shown = json.loads(act(conninfo, "avatar", "queue", "--json", "--fields", "flagged_by").out)
    assert shown == [{"flagged_by": "moderator@example.com"}]
    assert act(conninfo, *flag, "second").code == 0
    reason, later = _values(conninfo, "avatars", ann, ("flagged_reason", "flagged_at"))
    assert (reason, later) == ("second", since)


@pytest.mark.parametrize("noun", KINDS)
def test_what_is_so_already_is_unchanged(conninfo: str, noun: str) -> None:
    """The same reason again, and approving what does not wait, leave no entry."""
    _, ann, ben = KINDS[noun]
    assert act(conninfo, noun, "flag", ann, "--reason", "x").code == 0
    last = len(entries(conninfo))
    again = act(conninfo, noun, "flag", ann, "--reason", "x", "--json")
    approved = act(conninfo, noun, "unflag", ben, "--json")
    assert [json.loads(done.out)[0]["result"] for done in (again, approved)] == ["unchanged"] * 2
    assert len(entries(conninfo)) == last


@pytest.mark.parametrize("noun", KINDS)
def test_unflag_decides_what_is_pending_and_leaves_a_rejection(conninfo: str, noun: str) -> None:
    """Of two, the pending one is approved; the rejected one fails alone."""
    table, ann, ben = KINDS[noun]
    for identity, status in ((ann, "pending"), (ben, "rejected")):
        _change(conninfo, f"UPDATE {table} SET moderation_status = '{status}' WHERE id = '{identity}'")
    done = act(conninfo, noun, "unflag", ann[:14], ben, "--yes", "--json")
    assert done.code == ExitCode.FAILED
    assert [(row["result"], row["detail"]) for row in json.loads(done.out)] == [
        ("changed", "unflagged, and approved unless rejected"),
        ("failed", "is rejected, and not flagged"),
    ]
    assert _values(conninfo, table, ben) == [False, None, "rejected"]


@pytest.mark.parametrize("noun", KINDS)
def test_a_rejection_stays_one(conninfo: str, noun: str) -> None:
    """A rejected row that is flagged waits, and is rejected as before once it is unflagged."""
    table, ann, _ = KINDS[noun]
    _change(conninfo, f"UPDATE {table} SET moderation_status = 'rejected' WHERE id = '{ann}'")
    for result in ("changed", "unchanged"):
        done = act(conninfo, noun, "flag", ann, "--reason", "see this", "--json")
        assert json.loads(done.out)[0]["result"] == result
        assert _values(conninfo, table, ann) == [True, "see this", "rejected"]
    assert [row["id"] for row in json.loads(act(conninfo, noun, "queue", "--json").out)] == [ann]
    assert act(conninfo, noun, "unflag", ann).code == 0
    assert _values(conninfo, table, ann) == [False, None, "rejected"]


@pytest.mark.parametrize("noun", KINDS)
def test_a_list_names_what_to_flag(conninfo: str, noun: str) -> None:
    """A list's own CSV is taken, and all of it is one batch that can be taken back."""
    before = rows(conninfo)
    listed = act(conninfo, noun, "list", "--csv")
    done = act(conninfo, noun, "flag", "--from-csv", "-", "--reason", "spam", "--yes", stdin=listed.out)
    assert done.code == 0, done.err
    count = listed.out.count("\n") - 1
    assert f"{count} changed" in done.err
    batch = str(entries(conninfo)[-1]["batch_id"])
    assert act(conninfo, "audit", "undo", "--batch", batch, "--yes").code == 0
    assert rows(conninfo) == before


@pytest.mark.parametrize("noun", KINDS)
@pytest.mark.parametrize("column", MARKS)
def test_a_database_without_the_columns(conninfo: str, noun: str, column: str) -> None:
    """One sentence says which is missing, nothing is done, and that is a matter of configuration."""
    table, ann, _ = KINDS[noun]
    _change(conninfo, f"ALTER TABLE {table} DROP COLUMN {column} CASCADE")
    before, last = rows(conninfo), len(entries(conninfo))
    for verb, *more in (("flag", "--reason", "x"), ("unflag",)):
        refused = act(conninfo, noun, verb, ann, *more)
        assert (refused.code, refused.out) == (ExitCode.CONFIGURATION, "")
        assert refused.err.startswith(
            f"avatarlab: {noun}s cannot be flagged in this database: public.{table}.{column} is missing\n"
        )
    assert (rows(conninfo), len(entries(conninfo))) == (before, last)


def test_without_a_column_for_who_and_when(conninfo: str) -> None:
    """An avatar is flagged all the same, and waits since it was made."""
    _, ann, _ = KINDS["avatar"]
    _change(conninfo, "ALTER TABLE avatars DROP COLUMN flagged_by, DROP COLUMN flagged_at")
    assert act(conninfo, "avatar", "flag", ann, "--reason", "x").code == 0
    shown = json.loads(act(conninfo, "avatar", "queue", "--json").out)
    assert [(row["id"], row["flagged_by"]) for row in shown] == [(ann, None)]


@pytest.mark.parametrize("noun", KINDS)
def test_a_reason_is_required(conninfo: str, noun: str) -> None:
    """A flag without one tells the moderator nothing."""
    refused = act(conninfo, noun, "flag", KINDS[noun][1])
    assert refused.code == ExitCode.USAGE
    assert "a reason is required" in refused.err


@pytest.mark.parametrize("noun", KINDS)
def test_one_that_is_typed_twice_is_one(conninfo: str, noun: str) -> None:
    """Nobody is asked whether two are meant; what names none is told in good English."""
    ann = KINDS[noun][1]
    done = act(conninfo, noun, "flag", ann, ann, "--reason", "spam", "-o", "count")
    assert (done.code, done.out) == (0, "1\n")
    wrong = act(conninfo, noun, "flag", "--from-csv", "-", "--reason", "spam", stdin="x\n1\n")
    assert f"no column that names an {noun}" in wrong.err


def test_an_image_is_never_shown(conninfo: str) -> None:
    """Neither what would change nor what did quotes its address."""
    _, ann, _ = KINDS["image"]
    for more in ((), ("--dry-run",)):
        shown = act(conninfo, "image", "flag", ann, "--reason", "x", *more, "--json")
        assert SECRETS[6] not in shown.out


def test_an_image_that_is_not_there(conninfo: str) -> None:
    """The error names it."""
    refused = act(conninfo, "image", "flag", "ffffffff", "--reason", "x")
    assert refused.code == ExitCode.NOT_FOUND
    assert "there is no image 'ffffffff'" in refused.err
