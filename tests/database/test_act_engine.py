"""How an act is carried out: what is locked, what is compared, who may, and what others do meanwhile."""

from dataclasses import dataclass
from threading import Thread
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import event

from avatarlab_cli.actions.act import Act, Item, Run
from avatarlab_cli.actions.admin import Grant
from avatarlab_cli.actions.batch import carry_out_all
from avatarlab_cli.actions.catalog import acts, revive
from avatarlab_cli.actions.engine import Order
from avatarlab_cli.actions.key import Create
from avatarlab_cli.actions.subscription import Override
from avatarlab_cli.actions.subscription import Set as SetTier
from avatarlab_cli.actions.user import Ban, Suspend
from avatarlab_cli.database import Database
from avatarlab_cli.errors import ExitCode, NotPermittedError, UnavailableError
from avatarlab_cli.permissions import COMMANDS
from tests.cli.acting import ROOT, carry_out, chain_breaks, entries, user_id
from tests.database.contents import contents, wait_until

ANN, BEN, IDLE = "ann@example.com", "ben@example.com", "idle1@example.com"
PEOPLE = (ANN, BEN, IDLE)
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@dataclass(frozen=True)
class Meddled(Ban):
    """A ban, in the middle of which the app does something by a connection of its own."""

    conninfo: str = ""
    statement: str = ""

    def apply(self, run: Run) -> None:
        """Ban, but let the other one try first."""
        impatient = f"{self.conninfo} options='-c lock_timeout=50ms'"
        with psycopg.connect(impatient) as other, pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(self.statement.encode())
        super().apply(run)


@pytest.mark.parametrize(
    "statement",
    [
        f"""
        INSERT INTO platform_api_keys (user_id, key_name, api_key_hash, api_key_prefix)
        VALUES ('{user_id(ANN)}', 'new', 'new', 'new')
        """,
        f"UPDATE platform_api_keys SET status = 'inactive' WHERE user_id = '{user_id(ANN)}'",
        f"DELETE FROM platform_api_keys WHERE user_id = '{user_id(ANN)}'",
        f"UPDATE profiles SET name = 'Anna' WHERE id = '{user_id(ANN)}'",
        f"DELETE FROM auth.users WHERE id = '{user_id(ANN)}'",
    ],
)
def test_others_wait(conninfo: str, statement: str) -> None:
    """What an act looks at before and after cannot change, go or come in between: it would pass for the act's."""
    (done,) = carry_out(conninfo, Meddled(conninfo=conninfo, statement=statement), ANN)
    assert done.result == "changed"
    assert len(done.changes) == 3


def test_an_entry_says_who_what_and_why(conninfo: str) -> None:
    """An entry has the admin, the act, the target, the reason, its gravity, the batch and the machine."""
    carry_out(conninfo, Ban(), ANN, BEN, reason="spam")
    first, second = entries(conninfo)[-2:]
    assert first["admin_user_id"] == user_id(f"admin {ROOT}")
    assert (first["action"], first["resource_type"], first["resource_id"]) == (
        "user.ban",
        "user",
        user_id(ANN),
    )
    assert (first["description"], first["justification"], first["severity"]) == (
        "banned for good",
        "spam",
        "warning",
    )
    assert first["user_agent"].startswith("avatarlab ")
    assert first["actor_host"]
    assert first["actor_os_user"]
    assert first["batch_id"] == second["batch_id"]
    assert second["seq"] == first["seq"] + 1
    assert chain_breaks(conninfo) == []


def test_a_preview_says_the_same_and_does_nothing(conninfo: str) -> None:
    """Its outcomes are those of the act, but for the entries and the times."""
    before = contents(conninfo)
    foreseen = carry_out(conninfo, Suspend(), *PEOPLE, "banned1@example.com", preview=True)
    assert contents(conninfo) == before
    done = carry_out(conninfo, Suspend(), *PEOPLE, "banned1@example.com")
    assert [(outcome.result, outcome.code, outcome.detail, outcome.changes) for outcome in foreseen] == [
        (outcome.result, outcome.code, outcome.detail, outcome.changes) for outcome in done
    ]
    assert {outcome.entry for outcome in foreseen} == {None}


def test_each_transaction_asks_anew_who_may(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An admin who loses the right in the middle of a long command goes no further; what is done stays."""
    monkeypatch.setattr(Act, "items_per_transaction", 1)
    items = (Item(number, name) for number, name in enumerate(PEOPLE))
    chunks = carry_out_all(Database(conninfo), Suspend(), items, Order("support@example.com", None, uuid4()))
    assert next(chunks)[0].result == "changed"
    with psycopg.connect(conninfo) as connection:
        connection.execute("UPDATE admin_users SET is_active = false WHERE role = 'support'")
    with pytest.raises(NotPermittedError, match="was deactivated"):
        next(chunks)
    assert [entry["resource_id"] for entry in entries(conninfo)[-1:]] == [user_id(ANN)]


@pytest.mark.parametrize("name", ["", "nobody@example.com", "ben@example.com", None])
def test_without_an_admin_nothing_is_touched(conninfo: str, name: str | None) -> None:
    """Whoever is no admin is refused before any row is locked."""
    before = contents(conninfo)
    with pytest.raises(NotPermittedError):
        list(carry_out_all(Database(conninfo), Suspend(), [Item(1, ANN)], Order(name, None, uuid4())))
    assert contents(conninfo) == before


def test_a_deadlock_is_tried_again(conninfo: str) -> None:
    """Where PostgreSQL breaks a deadlock at the act's cost, the act is run again, and done."""
    done = []
    with psycopg.connect(conninfo) as other, psycopg.connect(conninfo, autocommit=True) as looker:
        other.execute("SET deadlock_timeout = '60s'")
        other.execute("SELECT FROM profiles WHERE id = %s FOR UPDATE", [user_id(ANN)])
        acting = Thread(target=lambda: done.extend(carry_out(conninfo, Suspend(), ANN)))
        acting.start()
        wait_until(lambda: looker.execute(WAITING.encode()).fetchall())
        # The act holds the account and waits for the profile; this waits for the account.
        other.execute("SELECT FROM auth.users WHERE id = %s FOR UPDATE", [user_id(ANN)])
        other.commit()
        acting.join(60)
    assert [outcome.result for outcome in done] == ["changed"]
    assert len(entries(conninfo)) == 3


def test_a_lost_connection_ends_it(conninfo: str) -> None:
    """A database that went away is not asked 500 times more: it ends with what was done before."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("""
            CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$
        """)
        connection.execute("CREATE TRIGGER die BEFORE UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION die()")
    with pytest.raises(UnavailableError):
        carry_out(conninfo, Suspend(), *PEOPLE)
    assert len(entries(conninfo)) == 2


def test_rows_are_written_once_per_transaction_not_per_target(conninfo: str) -> None:
    """However many the targets, the statements are as many."""
    counts = []
    for people in ((ANN,), PEOPLE):
        seen: list[str] = []
        database = Database(conninfo)
        note_statements(database, seen)
        items = [Item(number, name) for number, name in enumerate(people)]
        list(carry_out_all(database, Suspend(), items, Order(ROOT, None, uuid4(), is_preview=True)))
        counts.append(len(seen))
    assert counts[0] == counts[1] > 5


def note_statements(database: Database, seen: list[str]) -> None:
    """Note each statement that runs."""
    event.listen(
        database.engine, "before_cursor_execute", lambda _conn, _cursor, statement, *_: seen.append(statement)
    )


EXAMPLES: tuple[tuple[Act, dict[str, Any]], ...] = (
    (SetTier(tier="pro", cycle=None), {"tier": "pro", "cycle": None}),
    (Grant(permissions=("users.read",)), {"permissions": ["users.read"]}),
    (
        Override(metric="max_avatars", limit=3, until=None),
        {"metric": "max_avatars", "limit": 3, "until": None},
    ),
)


@pytest.mark.parametrize(("act", "written"), EXAMPLES)
def test_an_act_comes_back_from_a_file(act: Act, written: dict[str, Any]) -> None:
    """What a plan file holds of an act makes the same act."""
    assert revive(act.name, written) == act


def test_every_act_belongs_to_a_command() -> None:
    """An act asks for the permission of a command there is; three are no command's own."""
    names = {act.name.replace(".", " ") for act in acts()}
    assert names - COMMANDS.keys() == {"admin bootstrap", "user delete hard"}


def test_names_are_one_acts() -> None:
    """No two acts have one name, or the log would not say which it was."""
    names = [act.name for act in acts() if act.__module__.startswith("avatarlab_cli")]
    assert len(names) == len(set(names))


def test_a_failure_keeps_its_code(conninfo: str) -> None:
    """Each outcome has the exit code that its failure alone would end with."""
    done = carry_out(
        conninfo, Create(key_name="n8n"), "nobody@example.com", "paying", "suspended1@example.com", ANN
    )
    assert [outcome.code for outcome in done] == [
        ExitCode.NOT_FOUND,
        ExitCode.USAGE,
        ExitCode.FAILED,
        ExitCode.OK,
    ]
