"""A run that is told to end: its transaction ends, what it did stays and is on record; told twice it gives up."""

import signal
from dataclasses import replace

import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.errors import Terminated
from avatarlab_cli.timeframe import Window
from jobs import backfill
from jobs.registry import BY_NAME
from jobs.result import Result, Task
from jobs.runner import execute
from tests.database.contents import contents, runs
from tests.database.probing import PATIENT, RESULT, TODAY, Lines, Probe, order, write_tier

pytestmark = pytest.mark.usefixtures("signals_of_the_command_line")

SIGNALS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]


@pytest.fixture
def database(migrated_panel_conninfo: str) -> Database:
    """A migrated database without rows."""
    return Database(migrated_panel_conninfo, PATIENT)


def in_three_steps(connection: sa.Connection, task: Task) -> Result:
    write_tier(connection, task)
    return replace(RESULT, then=task.after() if task.step < 2 else None)


@pytest.mark.parametrize(("number", "error"), SIGNALS)
def test_the_current_transaction_ends(
    database: Database, probe: Probe, number: signal.Signals, error: type[BaseException]
) -> None:
    """What is committed by then is on record, with the line that counts it, and nothing more is begun."""

    def body(connection: sa.Connection, task: Task) -> Result:
        if task.step == 1:
            signal.raise_signal(number)
        return in_three_steps(connection, task)

    log = Lines()
    with pytest.raises(error):
        execute(database, probe(body), order(log=log))
    (record,) = runs(database.conninfo)
    assert (record["status"], record["error_class"]) == ("interrupted", error.__name__)
    assert (record["transactions"], record["rows_written"]) == (2, 2 * RESULT.rows_written)
    ((level, event, values),) = log.lines
    assert (level, event) == ("warning", "job interrupted")
    assert (values["transactions"], values["rows_written"]) == (2, 2 * RESULT.rows_written)


@pytest.mark.parametrize(("number", "error"), SIGNALS)
def test_a_signal_in_the_last_transaction(
    database: Database, probe: Probe, number: signal.Signals, error: type[BaseException]
) -> None:
    """A run that had nothing left to do has succeeded; the process ends all the same."""

    def body(connection: sa.Connection, task: Task) -> Result:
        signal.raise_signal(number)
        return write_tier(connection, task)

    with pytest.raises(error):
        execute(database, probe(body), order())
    (record,) = runs(database.conninfo)
    assert (record["status"], record["error_class"], record["transactions"]) == ("succeeded", None, 1)


def test_told_twice(database: Database, probe: Probe) -> None:
    """The second signal gives the transaction up; those before it stay."""

    def body(connection: sa.Connection, task: Task) -> Result:
        if task.step == 1:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        return in_three_steps(connection, task)

    with pytest.raises(Terminated):
        execute(database, probe(body), order())
    (record,) = runs(database.conninfo)
    assert (record["status"], record["transactions"], record["rows_written"]) == ("interrupted", 1, 2)


def test_nothing_is_tried_again(database: Database, probe: Probe) -> None:
    """Who is told to end does not wait for another attempt, however much patience is left."""
    before = contents(database.conninfo)

    def body(connection: sa.Connection, task: Task) -> Result:
        write_tier(connection, task)
        signal.raise_signal(signal.SIGTERM)
        connection.execute(sa.text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))
        return RESULT

    with pytest.raises(Terminated):
        execute(database, probe(body), order(retry_seconds=3600))
    (record,) = runs(database.conninfo)
    assert (record["status"], record["attempts"]) == ("interrupted", 1)
    assert contents(database.conninfo) == before


def test_a_backfill_ends_between_its_jobs(
    database: Database, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal during a month's first job leaves the second one, and the months after, undone."""

    def body(connection: sa.Connection, task: Task) -> Result:
        signal.raise_signal(signal.SIGTERM)
        return write_tier(connection, task)

    monkeypatch.setitem(BY_NAME, "monthly-usage", probe(body))
    window = Window(TODAY.replace(month=1), TODAY)
    with pytest.raises(Terminated):
        list(backfill.each_month(database, window, order(today=None), 3600))
    assert [(record["job"], record["status"]) for record in runs(database.conninfo)] == [
        ("monthly-usage", "succeeded")
    ]
