"""The noun `system` as its users meet it: each check in its bad case, and the log that nobody writes."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.conftest import ADA, EMAILS
from tests.cli.invoking import invoke, terminal
from tests.conftest import DEMO_END, created_database


@pytest.fixture
def copy(computed: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a copy of the computed demo, to make something bad of."""
    server, _, name = computed.rpartition(" dbname=")
    with created_database(server, name) as conninfo, psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


def _health(conninfo: str, code: int = 0) -> dict[str, dict[str, Any]]:
    found = invoke(conninfo, "system", "health", "--json")
    assert found.code == code, found.err
    return {row["check"]: row for row in json.loads(found.out)}


def _conninfo(connection: psycopg.Connection[Any]) -> str:
    return f"{connection.info.dsn}"


def test_all_is_well(copy: psycopg.Connection[Any]) -> None:
    """After the jobs have run every check is ok or of unknown size, and the exit code 0."""
    # Of the runs there only the first are this test's: others share the platform, and some let a job fail.
    copy.execute("DELETE FROM avatarlab_admin.job_runs WHERE status <> 'succeeded'")
    found = _health(_conninfo(copy))
    assert {row["state"] for row in found.values()} <= {"ok", "unknown"}
    assert datetime.fromisoformat(found["job monthly-usage"]["value"]).tzinfo is not None
    assert found["open months"]["value"] == "3, since 2025-04"
    assert found["runs failed in 7 days"]["value"] == "0"
    assert all(row["bytes"] > 0 for check, row in found.items() if check.startswith("table "))


def test_jobs_that_fail_or_do_not_run(known: str) -> None:
    """A job without success is bad, and so is one whose latest run failed; the snapshot came with the others."""
    found = _health(known, ExitCode.FOUND)
    assert found["job monthly-usage"]["state"] == "ok"
    late = found["job platform-statistics"]
    assert (late["state"], late["value"], late["more"]) == (
        "bad",
        "never",
        "avatarlab job run platform-statistics",
    )
    assert found["job storage-snapshot"]["value"] == "2025-06-15T09:00Z"
    failed = found["runs failed in 7 days"]
    assert (failed["state"], failed["value"], failed["more"]) == ("bad", "1", "avatarlab job history")
    assert found["usage of today"]["state"] == "warn"


def test_a_failure_made_up_for_and_a_run_that_hangs(copy: psycopg.Connection[Any]) -> None:
    """A run that failed before one that did not is a warning, and so is one under way since this morning."""
    for status, hours in (("failed", 30), ("running", 3), ("running", 1)):
        copy.execute(
            "INSERT INTO avatarlab_admin.job_runs (job, status, started_at) VALUES ('monthly-usage', %s, %s)",
            [status, DEMO_END - timedelta(hours=hours)],
        )
    copy.execute(
        "INSERT INTO avatarlab_admin.usage_dirty (source, day, enqueued_at) VALUES ('avatars', '2025-06-01', '2025-06-01')"
    )
    found = _health(_conninfo(copy))
    for check in ("runs failed in 7 days", "runs under way for 2 hours", "days to recompute"):
        assert found[check]["state"] == "warn"
        assert found[check]["value"].split(",")[0] == "1"


def test_closed_months_are_not_open(copy: psycopg.Connection[Any]) -> None:
    """Months count from the one after the last closed."""
    copy.execute("INSERT INTO avatarlab_admin.period_close (month, digest) VALUES ('2025-05-01', 'x')")
    assert _health(_conninfo(copy))["open months"]["value"] == "1, since 2025-06"


def test_revenue_that_cannot_be_followed(known: str, copy: psycopg.Connection[Any]) -> None:
    """Where no revenue was ever stored nothing is said to follow; where a column is missing, the page goes on."""
    never = _health(known, ExitCode.FOUND)["revenue follows"]
    assert (never["state"], never["value"]) == ("unknown", "no day stored yet")
    assert never["more"] == "avatarlab job run platform-statistics"
    assert _health(_conninfo(copy))["revenue follows"]["state"] == "ok"
    copy.execute("ALTER TABLE platform_statistics DROP COLUMN mrr_churn")
    lacking = _health(_conninfo(copy))
    assert (lacking["revenue follows"]["state"], lacking["revenue follows"]["value"]) == ("unknown", "n/a")
    copy.execute("DROP TABLE platform_statistics")
    assert _health(_conninfo(copy)).keys() >= {"revenue follows", "open months", "dead rows"}


def test_dead_rows_and_broken_indexes(copy: psycopg.Connection[Any]) -> None:
    """A table that vacuum does not keep up with is named with what helps, and so is an index of no use."""
    copy.execute("CREATE TABLE swollen (n int) WITH (autovacuum_enabled = false)")
    copy.execute("INSERT INTO swollen SELECT generate_series(1, 20000)")
    copy.execute("DELETE FROM swollen WHERE n <= 12000")
    copy.execute("CREATE INDEX broken ON swollen (n)")
    copy.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass")
    copy.execute("SELECT pg_stat_force_next_flush()")
    copy.execute("SELECT 1")
    found = _health(_conninfo(copy))
    dead, broken = found["dead rows swollen"], found["index public.broken"]
    assert (dead["state"], dead["value"]) == ("warn", "12000 of 20000, vacuumed never")
    assert dead["more"] == "VACUUM (ANALYZE) public.swollen;"
    assert (broken["state"], broken["more"]) == ("warn", "DROP INDEX CONCURRENTLY public.broken;")


def test_the_statements_make_the_missing_indexes(copy: psycopg.Connection[Any]) -> None:
    """Small tables need none, large ones do; once the statements were run, none is missing."""
    copy.execute("ANALYZE")
    copy.execute("UPDATE pg_class SET reltuples = 5e6 WHERE relname IN ('api_request_logs', 'conversations')")
    conninfo = _conninfo(copy)
    assert _health(conninfo)["indexes"] == {
        "check": "indexes",
        "state": "warn",
        "value": "2 missing",
        "bytes": None,
        "more": "avatarlab system health --indexes",
    }
    found = json.loads(invoke(conninfo, "system", "health", "--indexes", "--json").out)
    large = {(row["table"], row["column"], row["rows"]) for row in found if row["state"] == "warn"}
    assert large == {("api_request_logs", "user_id", 5_000_000), ("conversations", "timestamp", 5_000_000)}
    statements = invoke(
        conninfo, "system", "health", "--indexes", "--fields", "statement", "-o", "tsv", "--no-headers"
    ).out
    assert len(statements.splitlines()) == len(found)
    for statement in statements.splitlines():
        copy.execute(statement.encode())
    done = invoke(conninfo, "system", "health", "--indexes")
    assert (done.code, done.out) == (0, "")
    assert "Every index that reports would use is there." in done.err
    assert _health(conninfo)["indexes"]["value"] == "0 missing"


def test_before_migrating_it_is_an_honest_page(panel_conninfo: str, empty_conninfo: str) -> None:
    """Without the toolkit's tables the jobs are unknown, the migrations bad, and what to do stands beside it."""
    for conninfo in (panel_conninfo, empty_conninfo):
        found = _health(conninfo, ExitCode.FOUND)
        assert (found["migrations"]["state"], found["migrations"]["more"]) == ("bad", "avatarlab db migrate")
        assert (found["jobs"]["state"], found["jobs"]["value"]) == ("unknown", "n/a")


def test_health_at_a_terminal(known: str) -> None:
    """What is well stands without a command beside it."""
    shown = terminal(known, "system", "health", "--color", "never", columns=110).out
    assert "indexes" in shown
    line = next(line for line in shown.splitlines() if line.startswith("runs under way"))
    assert line.split() == ["runs", "under", "way", "for", "2", "hours", "ok", "0", "-", "-"]


def test_logs_show_what_there_is(copy: psycopg.Connection[Any]) -> None:
    """Entries are found by level, category and user, the latest first; and who reads none is told why."""
    copy.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [ADA, EMAILS[ADA]])
    for hours, level, category, user in (
        (1, "error", "auth", ADA),
        (2, "error", "mail", None),
        (3, "info", "auth", ADA),
    ):
        copy.execute(
            "INSERT INTO system_logs (level, category, message, user_id, created_at) VALUES (%s, %s, %s, %s, %s)",
            [level, category, f"{hours} hours ago", user, DEMO_END - timedelta(hours=hours)],
        )
    conninfo = _conninfo(copy)

    def messages(*options: str) -> list[str]:
        return [
            row["message"] for row in json.loads(invoke(conninfo, "system", "logs", "--json", *options).out)
        ]

    assert messages() == ["1 hours ago", "2 hours ago", "3 hours ago"]
    assert messages("--level", "error") == ["1 hours ago", "2 hours ago"]
    assert messages("--category", "auth", "--user", EMAILS[ADA], "--since", "2h") == ["1 hours ago"]
    found = invoke(conninfo, "system", "logs", "--category", "none")
    assert (found.code, found.out) == (0, "")
    assert "today's app does not write system_logs" in found.err
    refused = invoke(conninfo, "system", "logs", "--level", "fatal")
    assert refused.code == ExitCode.USAGE
    assert "levels: debug, info, warn, error" in refused.err


def test_logs_without_the_table(copy: psycopg.Connection[Any]) -> None:
    """A platform that has dropped the table gets an empty page that says so."""
    copy.execute("DROP TABLE system_logs")
    found = invoke(_conninfo(copy), "system", "logs", "--json")
    assert (found.code, json.loads(found.out)) == (0, [])
    assert "public.system_logs is missing here" in found.err
