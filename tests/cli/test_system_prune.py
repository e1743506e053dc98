"""`system prune`: what it shows, refuses, deletes and keeps, on the demo platform."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.actions.engine import Order as ActOrder
from avatarlab_cli.actions.pruning import Deleted, Prune
from avatarlab_cli.actions.pruning import prune as prune_log
from avatarlab_cli.database import Database
from avatarlab_cli.queries.pruned_notes import notes
from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.pruned import Batch
from avatarlab_cli.schema.logs import PRUNABLE, time_of
from jobs import monthly_usage
from jobs.registry import COMPUTING
from jobs.result import Task
from jobs.runner import Order, execute
from tests.cli.acting import act, chain_breaks, copied, entries
from tests.cli.invoking import Outcome, invoke
from tests.conftest import DEMO_END
from tests.database.contents import contents

BEFORE = date(2025, 5, 10)
LOG = "conversation_feedback"
REASON = ("--reason", "retention")
AGGREGATES = ("avatarlab_admin.usage_daily", "public.monthly_usage", "public.platform_statistics")


@pytest.fixture
def pruned(computed: str) -> Iterator[str]:
    """A copy of the computed demo, to prune."""
    with copied(computed) as conninfo:
        yield conninfo


def prune(conninfo: str, *arguments: str, log: str = LOG, before: date = BEFORE) -> Outcome:
    command = ("system", "prune", log, "--older-than", str(before), *arguments)
    return act(conninfo, *command, admin="admin@example.com")


def confirmed(conninfo: str, *arguments: str, log: str = LOG, before: date = BEFORE) -> Outcome:
    return prune(conninfo, "--confirm", log, *REASON, *arguments, log=log, before=before)


def query(conninfo: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        connection.execute("set timezone = 'UTC'")
        return connection.execute(statement.encode()).fetchall()


def due(conninfo: str, log: str = LOG, before: date = BEFORE) -> int:
    column = next(time_of(table).name for table in PRUNABLE if table.name == log)
    return int(query(conninfo, f"select count(*) from {log} where {column} < '{before}'")[0][0])


def written_by_jobs(conninfo: str) -> int:
    """Run the jobs on the demo's last day; returns how many rows they wrote."""
    database = Database(conninfo)
    runs = (execute(database, job, Order(rates.load(), today=DEMO_END.date())) for job in COMPUTING)
    return sum(run.result.rows_written for run in runs)


def test_figures_stay_and_rows_go(pruned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log is pruned, a few rows a transaction; each has its entry, and the jobs change nothing afterwards."""
    monkeypatch.setattr(Prune, "rows_per_transaction", 400)
    before = {name: contents(pruned)[name] for name in AGGREGATES}
    for table in PRUNABLE:
        log, number, last = table.name, due(pruned, table.name), len(entries(pruned))
        done = confirmed(pruned, "--json", log=log)
        assert done.code == 0, done.err
        told, written = json.loads(done.out), entries(pruned)[last:]
        assert (told["table"], told["rows"], told["before"]) == (log, number, str(BEFORE))
        assert told["transactions"] == len(written) == -(-number // 400)
        assert due(pruned, log) == 0
        facts = [entry["changes"] for entry in written]
        assert sum(fact["deleted"] for fact in facts) == number
        assert {fact["table"] for fact in facts} <= {log}
        described = [f"pruned {log} of {fact['deleted']} rows before {BEFORE}" for fact in facts]
        assert [entry["description"].replace(" row ", " rows ") for entry in written] == described
        assert told["first_day"] == min((fact["first_day"] for fact in facts), default=None)
        assert told["last_day"] == max((fact["last_day"] for fact in facts), default=None)
        assert len({entry["xmin"] for entry in written}) == len(written)
        assert {(entry["action"], entry["justification"]) for entry in written} <= {
            ("system.prune", "retention")
        }
    assert chain_breaks(pruned) == []
    assert written_by_jobs(pruned) == 0
    assert {name: contents(pruned)[name] for name in AGGREGATES} == before
    later = confirmed(pruned, "--json", before=date(2025, 6, 1))
    assert json.loads(later.out)["rows"] > 0
    assert written_by_jobs(pruned) == 0
    assert json.loads(confirmed(pruned, "--json").out)["rows"] == 0


def test_a_dry_run_shows_the_months(computed: str) -> None:
    """Without --confirm too, it lists by month what would go, and nothing is other than it was."""
    before = contents(computed)
    expected = [
        {"table": LOG, "month": str(month), "rows": rows, "days": days}
        for month, rows, days in query(
            computed,
            "select to_char(created_at, 'YYYY-MM'), count(*), count(distinct created_at::date)"
            f" from {LOG} where created_at < '{BEFORE}' group by 1 order by 1",
        )
    ]
    shown = prune(computed, "--dry-run", "--json")
    assert (shown.code, shown.err) == (
        0,
        "note: 1 row without a time: not to be pruned at any age\nnothing was changed\n",
    )
    rows = json.loads(shown.out)
    assert [{name: row[name] for name in ("table", "month", "rows", "days")} for row in rows] == expected
    assert rows[-1]["newest"] < str(BEFORE) < rows[-1]["newest"][:8] + "31"
    ids = prune(computed, "--dry-run", "-o", "ids").out.split()
    assert ids == [row["month"] for row in rows]
    unconfirmed = prune(computed, *REASON, "--yes", "--json")
    assert (unconfirmed.code, json.loads(unconfirmed.out)) == (6, rows)
    assert f"--confirm {LOG} confirms it" in unconfirmed.err
    assert contents(computed) == before


@pytest.mark.parametrize(
    ("log", "arguments", "code", "said"),
    [
        ("profiles", ("--dry-run",), 5, "'profiles' is no log that can be pruned"),
        (LOG, ("--confirm", LOG), 2, "a reason is required"),
        (
            LOG,
            ("--confirm", "conversations", *REASON),
            6,
            f"{LOG} is to be pruned, and --confirm says conversations",
        ),
        (
            LOG,
            ("--confirm", LOG, *REASON, "--max-rows", "5"),
            7,
            "and --max-rows allows 5\nnothing was deleted",
        ),
        (LOG, ("--confirm", LOG, *REASON, "--max-rows", "-1"), 2, "--max-rows -1 is negative"),
        (LOG, ("--older-than", "2100-01-01", "-n"), 2, "--older-than 2100-01-01 lies ahead"),
        (LOG, ("--older-than", "soon", "-n"), 2, "'soon' is not a time"),
    ],
)
def test_what_is_refused(computed: str, log: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    """A log that is none, a missing or wrong confirmation, too many rows, a day to come: nothing happens."""
    before = contents(computed)
    refused = prune(computed, *arguments, log=log)
    assert (refused.code, said in refused.err) == (code, True), refused.err
    assert contents(computed) == before


def test_only_what_is_aggregated_goes(pruned: str) -> None:
    """Where rows have come since the last run, it is to run first; a dry run says so too."""
    query(
        pruned,
        f"update {LOG} set created_at = '2025-05-02' where id = (select id from {LOG} limit 1) returning 1",
    )
    for arguments in (("--dry-run",), ("--confirm", LOG, *REASON)):
        refused = prune(pruned, *arguments)
        assert refused.code == 7
        assert "are not aggregated as the rows are now" in refused.err
        assert "run `avatarlab job run monthly-usage` first" in refused.err
    assert written_by_jobs(pruned) > 0
    assert confirmed(pruned).code == 0


def test_an_interrupt_ends_it_after_the_transaction(pruned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how many rows are gone and ends with 130; the same command goes on."""
    monkeypatch.setattr(Prune, "rows_per_transaction", 7)
    number, add = due(pruned), Deleted.add

    def interrupted(self: Deleted, batch: Batch) -> None:
        add(self, batch)
        if self.transactions == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Deleted, "add", interrupted)
    done = confirmed(pruned, "--json")
    assert (done.code, done.out) == (130, "")
    hint = "14 rows are deleted; the same command goes on"
    assert json.loads(done.err) == {"error": "interrupted", "hint": hint, "exit_code": 130}
    assert due(pruned) == number - 14
    assert written_by_jobs(pruned) == 0
    monkeypatch.setattr(Deleted, "add", add)
    assert json.loads(confirmed(pruned, "--json").out)["rows"] == number - 14
    assert written_by_jobs(pruned) == 0


def test_a_failure_keeps_what_is_whole(pruned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no further entry can be written, nothing goes without one, and no figure is lost."""
    monkeypatch.setattr(Prune, "rows_per_transaction", 10)
    last = len(entries(pruned))
    with psycopg.connect(pruned) as connection:
        connection.execute(
            f"""
            CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF (SELECT count(*) FROM admin_audit_logs) >= {last + 3} THEN RAISE 'no entry today'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER a_crash BEFORE INSERT ON admin_audit_logs FOR EACH ROW EXECUTE FUNCTION crash();
        """.encode()
        )
    number = due(pruned)
    done = confirmed(pruned)
    assert (done.code, "no entry today" in done.err, "30 rows are deleted" in done.err) == (1, True, True)
    assert (due(pruned), len(entries(pruned))) == (number - 30, last + 3)
    assert written_by_jobs(pruned) == 0


def test_a_job_under_way_counts_each_row_once(pruned: str) -> None:
    """A run that began before the pruning sees the rows; one after it sees what they counted for."""
    task = Task(DEMO_END.date(), rates.load())
    with Database(pruned).engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        connection.exec_driver_sql("select 1 from auth.users limit 1")
        assert confirmed(pruned).code == 0
        assert monthly_usage.run(connection, task).rows_written == 0
        connection.rollback()
    assert written_by_jobs(pruned) == 0


def test_two_at_once_delete_each_row_once(pruned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one log or of two, they share the rows, and both end well."""
    monkeypatch.setattr(Prune, "rows_per_transaction", 20)
    number, other = due(pruned), due(pruned, "api_request_logs")
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda log: _rows_deleted(pruned, log), (LOG, LOG, "api_request_logs")))
    assert sum(done) == number + other
    assert written_by_jobs(pruned) == 0


def _rows_deleted(conninfo: str, log: str) -> int:
    """Prune without the command line, whose signals belong to the main thread."""
    table = next(table for table in PRUNABLE if table.name == log)
    order = ActOrder("admin@example.com", "retention", uuid4())
    return sum(batch.rows for batch in prune_log(Database(conninfo), table, BEFORE, order))


def test_reports_say_what_was_pruned(pruned: str) -> None:
    """A report that asks for the time before says that rows of it are gone; one of later days says nothing."""
    log = "api_request_logs"
    assert confirmed(pruned, log=log).code == 0
    note = f"{log} was pruned: rows before {BEFORE} are gone, and not counted here"
    assert note in invoke(pruned, "api", "endpoints", "--since", "2025-05-01").err
    assert note not in invoke(pruned, "api", "endpoints", "--since", str(BEFORE)).err
    (key,) = query(pruned, "select id::text from platform_api_keys limit 1")[0]
    assert note in invoke(pruned, "key", "usage", key, "--since", "2025-04-01").err
    assert note in invoke(pruned, "key", "audit").err


def test_what_a_report_asks_for_is_understood(pruned: str) -> None:
    """Conditions under one AND count each; a log that is read in an unknown way may have been asked for anything."""
    assert confirmed(pruned).code == 0
    table = next(table for table in PRUNABLE if table.name == LOG)
    midnight = datetime.combine(BEFORE, time(), UTC)
    count = sa.select(sa.func.count())
    later = [time_of(table) >= midnight, time_of(table) < midnight + timedelta(days=1)]
    cases = [(count.where(sa.and_(*later)), 0), (count.where(later[0]), 0), (count.where(later[1]), 1)]
    cases += [(count.select_from(sa.tablesample(table, 10)), 1), (count.where(sa.or_(*later)), 1)]
    with Database(pruned).read() as connection:
        assert [len(notes(connection, select)) for select, _ in cases] == [said for _, said in cases]
