"""The verbs of `db capture` as their users meet them."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import invoke
from tests.conftest import created_database


@pytest.fixture
def own(computed: str) -> Iterator[str]:
    """A copy of the computed demo to put under triggers."""
    server, _, name = computed.rpartition(" dbname=")
    with created_database(server, name) as conninfo:
        yield conninfo


def _states(conninfo: str, code: int = 0) -> set[str]:
    found = invoke(conninfo, "db", "capture", "status", "--json")
    assert found.code == code, found.err
    return {row["state"] for row in json.loads(found.out)}


def test_from_install_to_remove(own: str) -> None:
    """Installed, every table is captured; a run takes what waits; removed, none is."""
    assert _states(own) == {"off"}
    told = invoke(own, "db", "capture", "install", "--dry-run")
    assert (told.code, told.out) == (0, "")
    assert "would put auth.users under triggers" in told.err
    assert _states(own) == {"off"}
    done = invoke(own, "db", "capture", "install")
    assert (done.code, done.out) == (0, "")
    assert "17 tables are under triggers" in done.err
    assert _states(own) == {"captured"}
    with psycopg.connect(own) as connection:
        connection.execute("DELETE FROM tts_generations WHERE id IN (SELECT id FROM tts_generations LIMIT 1)")
    rows = json.loads(invoke(own, "db", "capture", "status", "--json").out)
    # The installation has put down the whole of each source, and the deletion one entry more.
    assert {row["table"]: row["waiting"] for row in rows}["public.tts_generations"] == 2
    assert invoke(own, "job", "run", "monthly-usage").code == 0
    rows = json.loads(invoke(own, "db", "capture", "status", "--json").out)
    assert sum(row["waiting"] for row in rows) == 0
    assert "would take the triggers off auth.users" in invoke(own, "db", "capture", "remove", "--dry-run").err
    assert invoke(own, "db", "capture", "remove").code == 0
    assert _states(own) == {"off"}


def test_an_index_that_would_help_is_named(own: str) -> None:
    """What makes a missing index stands ready to be copied, and is named no more once it is there."""
    rows = json.loads(invoke(own, "db", "capture", "status", "--json").out)
    statements = [part for row in rows for part in (row["index"] or "").split("; ") if part]
    wanted = 'CREATE INDEX CONCURRENTLY ON public.conversations ("avatar_id", "timestamp")'
    assert wanted in statements
    # Rows of nobody are looked up by their time alone.
    assert 'CREATE INDEX CONCURRENTLY ON public.conversations ("timestamp")' in statements
    with psycopg.connect(own, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    assert {row["index"] for row in json.loads(invoke(own, "db", "capture", "status", "--json").out)} == {
        None
    }


def test_a_trigger_that_is_off_is_found(own: str) -> None:
    """A table whose trigger somebody turned off is broken, and the exit code says so."""
    invoke(own, "db", "capture", "install")
    with psycopg.connect(own) as connection:
        connection.execute("ALTER TABLE conversations DISABLE TRIGGER avatarlab_capture_delete")
    assert _states(own, ExitCode.FOUND) == {"captured", "broken"}
    assert "db capture install" in invoke(own, "db", "capture", "status").err
    invoke(own, "db", "capture", "install")
    assert _states(own) == {"captured"}


@pytest.mark.parametrize("verb", ["install", "status", "remove"])
def test_a_database_that_was_not_migrated(panel_conninfo: str, verb: str) -> None:
    """Before the migrations there is nowhere to put anything down: exit code 78, and what to do."""
    found = invoke(panel_conninfo, "db", "capture", verb)
    assert (found.code, found.out) == (ExitCode.CONFIGURATION, "")
    assert "avatarlab db migrate" in found.err
