"""A job run as a timer runs it: its slot, its line in the log, and how it ends when it is told to."""

import json
import os
import pty
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from jobs.slots import VARIABLE
from tests.cli.invoking import Outcome, command, invoke, terminal, variables
from tests.database.contents import is_anyone_waiting, runs, wait_until

RUN = ("job", "run", "storage-snapshot")
COUNTED = {
    "job", "run", "slot", "status", "seconds", "attempts", "transactions", "window", "rows_read", "rows_written",
    "skipped", "undated", "details",
}  # fmt: skip


def test_a_slot_is_done_once(demo_conninfo: str) -> None:
    """A second run for a slot shows the record of the first, and ends well."""
    now = datetime.now(UTC)
    first = invoke(
        demo_conninfo, *RUN, "--scheduled", "--fields", "run,status,is_scheduled", "--json", now=now
    )
    again = invoke(
        demo_conninfo, *RUN, "--scheduled", "--fields", "run,status,is_scheduled", "--json", now=now
    )
    assert (first.code, again.code, again.out) == (0, 0, first.out)
    record = json.loads(first.out)
    assert (record["status"], record["is_scheduled"]) == ("succeeded", True)
    logged, said = again.err.splitlines()
    assert (json.loads(logged)["event"], json.loads(logged)["done_by"]) == ("job skipped", record["run"])
    assert said.startswith("the slot ")
    assert f"is done, by run {record['run']}" in said
    assert invoke(demo_conninfo, "-q", *RUN, "--scheduled", now=now) == Outcome(0, "", "")
    assert len(runs(demo_conninfo)) == 1


def test_systemd_tells_of_a_timer(demo_conninfo: str) -> None:
    """What a timer starts is for its slot without being told so, unless it is told that it is not."""
    told = {VARIABLE: str(int(datetime.now(UTC).timestamp()) * 1_000_000)}
    for more in ((), (), ("--no-scheduled",), ("--dry-run",)):
        assert invoke(demo_conninfo, "-q", *RUN, *more, env=told).code == 0
    assert [(record["is_scheduled"], record["is_dry_run"]) for record in runs(demo_conninfo)] == [
        (True, False),
        (False, False),
        (False, True),
    ]


def test_a_slot_is_all_that_is_outstanding(demo_conninfo: str) -> None:
    """Days and a slot contradict each other; a timer's variable does not turn days into a slot."""
    days = ("job", "run", "monthly-usage", "--month", "2025-06")
    refused = invoke(demo_conninfo, *days, "--scheduled")
    assert (refused.code, runs(demo_conninfo)) == (ExitCode.USAGE, [])
    assert "--scheduled does all that is outstanding" in refused.err
    told = {VARIABLE: str(int(datetime.now(UTC).timestamp()) * 1_000_000)}
    assert invoke(demo_conninfo, "-q", *days, env=told).code == 0
    assert [record["is_scheduled"] for record in runs(demo_conninfo)] == [False]


def test_a_run_ends_with_a_line_that_counts_everything(demo_conninfo: str) -> None:
    """One line of JSON says who ran for what, how it went and what it did, as the record has it."""
    done = invoke(demo_conninfo, *RUN, "-o", "count")
    (line,) = (json.loads(line) for line in done.err.splitlines())
    (record,) = runs(demo_conninfo)
    assert line.keys() >= COUNTED
    assert (line["event"], line["level"], line["run"]) == ("job succeeded", "info", str(record["id"]))
    assert datetime.fromisoformat(line["slot"]) == record["slot"].replace(microsecond=0)  # type: ignore[attr-defined]  # a record's values are untyped
    for name in ("status", "attempts", "transactions", "rows_read", "rows_written", "undated", "details"):
        assert line[name] == record[name]
    assert line["skipped"] == record["metrics_skipped"]
    today = datetime.now(UTC).date()
    assert line["window"] in ([f"{today}"] * 2, [f"{today - timedelta(days=1)}"] * 2)


def test_a_failure_says_so_in_its_line(demo_conninfo: str) -> None:
    """Even under -q: with the class of the error, before the sentence for people."""
    with psycopg.connect(demo_conninfo) as connection:
        connection.execute("ALTER TABLE avatarlab_admin.storage_daily RENAME TO elsewhere")
    failed = invoke(demo_conninfo, "-q", *RUN)
    line, said = failed.err.split("\n", 1)
    found = json.loads(line)
    assert failed.code == ExitCode.CONFIGURATION
    assert (found["event"], found["level"], found["status"]) == ("job failed", "error", "failed")
    assert (found["error_class"], found["attempts"]) == ("ConfigurationError", 1)
    assert said.startswith(f"avatarlab: {found['error']}")


def test_a_timers_run_waits_for_its_database(demo_conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its first question to the report of what it did, which says nothing twice; who sits before it is told at once."""
    connect, refused = psycopg.connect, list[int]()

    def refusing(*arguments: Any, **more: Any) -> object:  # noqa: ANN401 (handed through)
        with connect(demo_conninfo) as connection:
            is_done = connection.execute(
                "SELECT count(*) FROM avatarlab_admin.job_runs WHERE status = 'succeeded'"
            )
            at = is_done.fetchone() == (1,)
        if refused.count(at) < 2:
            refused.append(at)
            raise psycopg.OperationalError("connection failed: Connection refused")
        return connect(*arguments, **more)

    monkeypatch.setattr("jobs.patience.FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr("avatarlab_cli.database.psycopg.connect", refusing)
    assert invoke(demo_conninfo, *RUN).code == ExitCode.UNAVAILABLE
    refused.clear()
    done = invoke(demo_conninfo, *RUN, "--scheduled", "--json", "--fields", "status")
    assert (done.code, json.loads(done.out), refused) == (0, {"status": "succeeded"}, [0, 0, 1, 1])
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert [line["event"] for line in lines] == ["trying again"] * 2 + ["job succeeded"] + [
        "trying again"
    ] * 2
    assert len({line["run"] for line in lines}) == 1


def test_on_a_terminal_the_record_suffices(demo_conninfo: str) -> None:
    """Who sits before it reads what the command says, and the line only where details are asked for."""
    assert "job succeeded" not in terminal(demo_conninfo, *RUN).out
    assert "job succeeded" in terminal(demo_conninfo, "--verbose", *RUN).out


def test_ctrl_c_lets_the_transaction_end(demo_conninfo: str) -> None:
    """The first one says what it does; the run ends by itself, has succeeded, and the process ends as interrupted."""
    primary, secondary = pty.openpty()
    with psycopg.connect(demo_conninfo) as blocker:
        blocker.execute("LOCK TABLE avatarlab_admin.storage_daily")
        running = subprocess.Popen(
            command(*RUN), env=variables(demo_conninfo), stdout=subprocess.PIPE, stderr=secondary
        )
        wait_until(lambda: is_anyone_waiting(blocker))
        running.send_signal(signal.SIGINT)
        said = b""
        while b"ends at once" not in said:
            said += os.read(primary, 1000)
        blocker.rollback()
        running.communicate(timeout=60)
    os.close(secondary)
    os.close(primary)
    assert running.returncode == ExitCode.INTERRUPTED
    (record,) = runs(demo_conninfo)
    assert (record["status"], record["transactions"]) == ("succeeded", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_backfill_that_rests_ends_at_once(demo_conninfo: str, number: signal.Signals) -> None:
    """Between two months nothing is waited for, and the command that goes on is named."""
    backfill = ("job", "backfill", "--from", "2025-04-01", "--to", "2025-05-31", "--pause", "3600")
    running = subprocess.Popen(
        command("-q", *backfill),
        env=variables(demo_conninfo),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: [record["status"] for record in runs(demo_conninfo)] == ["succeeded", "succeeded"])
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (128 + number, "")
    assert "avatarlab job backfill --from 2025-05-01 --to 2025-05-31 --pause 3600" in err
    assert len(runs(demo_conninfo)) == 2
