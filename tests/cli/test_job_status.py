"""How the jobs do: the page for people, the line for monitoring, the metrics for Prometheus."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from avatarlab_cli import __version__
from avatarlab_cli.telling.textfile import NAMES
from jobs.registry import BY_NAME
from tests.cli.invoking import Outcome, invoke, process
from tests.conftest import DEMO_END as NOW
from tests.conftest import created_database

HOUR = timedelta(hours=1)
# Hours before now at which a run began, how it ended, how long it took, what it read and wrote.
Ran = tuple[float, str, float | None, int | None, int | None]
HISTORY: dict[str, list[Ran]] = {
    "monthly-usage": [
        *((float(hour), "succeeded", 10 + hour % 3, 5, 1) for hour in range(2, 14)),
        (1, "succeeded", 18, 70, 7),
        (0.5, "busy", 0, None, None),
        (0.1, "running", None, None, None),
    ],
    "platform-statistics": [(30, "succeeded", 4, 1, 1), (2, "failed", 3, None, None)],
    "storage-snapshot": [(3, "succeeded", 2, 0, 9), (200, "failed", 1, None, None)],
    "close-month": [
        (5, "succeeded", 1, 0, 0),
        (4, "crashed", 3600, None, None),
        (1, "interrupted", 2, None, None),
    ],
    "verify": [(26, "succeeded", 60, 0, 0), (1, "skipped", 0, None, None)],
}
# Runs over days that somebody named, the latest of all and the longest: nothing but the history tells of them.
NAMED: dict[str, Ran] = dict.fromkeys(BY_NAME, (0.05, "succeeded", 999, 1, 1))
# Whose runs do the work of a job.
DOING: dict[str, tuple[str, ...]] = {job: (job,) for job in BY_NAME} | {
    "storage-snapshot": ("storage-snapshot", "monthly-usage", "platform-statistics")
}


@pytest.fixture(scope="module")
def database(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Runs of known times: check-limits has none but a dry one, and verify found two figures wrong."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            for job, ran in HISTORY.items():
                for hours, status, seconds, read, written in ran:
                    begun = NOW - hours * HOUR
                    ended = None if seconds is None else begun + timedelta(seconds=seconds)
                    connection.execute(INSERT, [job, status, begun, ended, read, written, False, "{}"])
            connection.execute(INSERT, ["check-limits", "succeeded", NOW, NOW, 1, 1, True, "{}"])
            connection.execute(
                "UPDATE avatarlab_admin.job_runs SET covers_outstanding = true WHERE job <> 'monthly-usage'"
            )
            for job, (hours, status, seconds, read, written) in NAMED.items():
                begun = NOW - hours * HOUR
                ended = begun + timedelta(seconds=seconds or 0)
                connection.execute(INSERT, [job, status, begun, ended, read, written, False, "{}"])
            connection.execute(
                "UPDATE avatarlab_admin.job_runs SET covers_outstanding = false WHERE finished_at - started_at = '999s'"
            )
            connection.execute(
                "UPDATE avatarlab_admin.job_runs SET details = %s WHERE job = 'verify'",
                [json.dumps({"months": ["2025-03"], "mismatches": 2, "by_month": {"2025-03": {"mrr": 2}}})],
            )
            for days in (3, 5):
                connection.execute(
                    "INSERT INTO avatarlab_admin.usage_dirty (source, day, enqueued_at) VALUES ('avatars', now(), %s)",
                    [NOW - timedelta(days=days)],
                )
            connection.execute(
                "INSERT INTO avatarlab_admin.usage_daily (day, user_id, definition_version)"
                " VALUES ('2025-03-31', gen_random_uuid(), 1), ('2025-06-01', gen_random_uuid(), 1)"
            )
        yield conninfo


INSERT = """
    INSERT INTO avatarlab_admin.job_runs
        (job, status, started_at, finished_at, rows_read, rows_written, is_dry_run, details)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


def ended(job: str, *status: str) -> list[Ran]:
    """Return a job's runs of these ends, the latest first."""
    return sorted(ran for ran in HISTORY.get(job, []) if ran[1] in status)


def success(job: str) -> datetime | None:
    """Return when a job's work was last done."""
    ends = [_end(ran) for doing in DOING[job] for ran in ended(doing, "succeeded")]
    return datetime.fromtimestamp(max(ends), UTC) if ends else None


def page(database: str, *arguments: str) -> dict[str, dict[str, Any]]:
    shown = invoke(database, "job", "status", "--json", *arguments)
    assert shown.code == 0, shown.err
    return {row["job"]: row for row in json.loads(shown.out)}


def number(text: str | None) -> float | None:
    return None if text is None else float(text)


def test_status(database: str) -> None:
    """Each job has its last success, how its last run ended, its next slot, and its time beside what is usual."""
    rows = page(database)
    assert list(rows) == list(BY_NAME)
    assert {job: row["state"] for job, row in rows.items()} == {
        "monthly-usage": "ok",
        "platform-statistics": "late",
        "storage-snapshot": "ok",
        "close-month": "failed",
        "check-limits": "never",
        "verify": "ok",
    }
    for job, row in rows.items():
        good = ended(job, "succeeded")
        times = [seconds for _, _, seconds, *_ in good[:10] if seconds is not None]
        assert number(row["median_seconds"]) == (median(times) if times else None), job
        if done := success(job):
            assert datetime.fromisoformat(row["last_success"]) == done
            assert number(row["age_hours"]) == round((NOW - done) / HOUR, 1)
        else:
            assert (row["last_success"], row["age_hours"], row["last_status"]) == (None, None, None)
    monthly = rows["monthly-usage"]
    assert (number(monthly["seconds"]), number(monthly["trend"])) == (18, round(18 / 11 - 1, 4))
    # Two runs tell nothing of what is usual.
    assert rows["platform-statistics"]["trend"] is None
    assert [rows[job]["last_status"] for job in ("platform-statistics", "close-month", "verify")] == [
        *("failed", "interrupted", "succeeded")
    ]
    assert [rows[job]["failures"] for job in rows] == [0, 1, 0, 2, 0, 0]
    slots = {job: datetime.fromisoformat(row["next_slot"]) for job, row in rows.items()}
    assert slots == {job: BY_NAME[job].schedule.after(NOW) for job in BY_NAME}


def test_status_of_some(database: str) -> None:
    """Jobs that are named are shown once each; another bound judges otherwise."""
    assert list(page(database, "verify", "monthly-usage", "verify")) == ["verify", "monthly-usage"]
    assert page(database, "verify", "--max-age", "25h")["verify"]["state"] == "late"
    assert invoke(database, "job", "status", "nothing").code == 5
    assert invoke(database, "job", "status", "--max-age", "soon").code == 2
    shown = invoke(database, "job", "status", "check-limits", "verify").out.splitlines()
    header = "job state last_success age_hours last_status next_slot seconds median_seconds trend"
    assert " ".join(shown[0].split()) == header
    assert shown[1].split()[:5] == ["check-limits", "never", "never", "-", "-"]


CLOSING = (
    "close-month last succeeded 5.0 h ago, its last run interrupted",
    "close-month_age=17999s;;93600;0 close-month_seconds=2.000s;;;0",
)
STATISTICS = (
    "platform-statistics last succeeded 30.0 h ago, its last run failed",
    "platform-statistics_age=107996s;;93600;0 platform-statistics_seconds=3.000s;;;0",
)
MONTHLY = f"monthly-usage_age={3600 - 18}s;;{{}};0 monthly-usage_seconds=18.000s;;;0"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("monthly-usage",), 0, f"OK - 1 job succeeded within 26h | {MONTHLY.format(93_600)}"),
        (
            ("monthly-usage", "--max-age", "90min"),
            0,
            f"OK - 1 job succeeded within 90min | {MONTHLY.format(5_400)}",
        ),
        (
            ("monthly-usage", "--max-age", "0.5h"),
            3,
            "UNKNOWN - '0.5h' is not a duration",
        ),
        (
            ("close-month",),
            1,
            f"WARNING - {CLOSING[0]} | {CLOSING[1]}",
        ),
        (
            ("close-month", "check-limits", "platform-statistics"),
            2,
            f"CRITICAL - check-limits never succeeded; {STATISTICS[0]}; {CLOSING[0]} | {CLOSING[1]} {STATISTICS[1]}",
        ),
        (
            ("verify", "--max-age", "1d"),
            2,
            "CRITICAL - verify last succeeded 26.0 h ago | verify_age=93540s;;86400;0",
        ),
        (("nothing",), 3, "UNKNOWN - there is no job 'nothing'"),
    ],
    ids=lambda value: value[:8] if isinstance(value, str) else None,
)
def test_the_line_for_monitoring(database: str, arguments: tuple[str, ...], code: int, line: str) -> None:
    """One line with a word, what is the matter and figures, and the exit code that goes with the word."""
    told = invoke(database, "job", "status", "--check", *arguments)
    assert (told.code, told.err) == (code, "")
    assert told.out.startswith(line)
    assert told.out.count("\n") == 1


def test_of_all_jobs_the_worst_counts(database: str) -> None:
    """Without a name all jobs are judged, as a process too: its exit code is the plugin's."""
    told = process(database, "job", "status", "--check", "--max-age", "999999d")
    assert (told.code, told.out.split(" - ")[0]) == (2, "CRITICAL")


def test_what_cannot_be_told_is_unknown(panel_conninfo: str, tmp_path: Path) -> None:
    """A database that cannot be reached, is not migrated or not configured is UNKNOWN, in one line without a password."""
    broken = tmp_path / "config.yaml"
    broken.write_text("color: 'never\n")
    told = [
        invoke("postgresql://ada:s3cr3t|x@127.0.0.1:1/db", "job", "status", "--check"),
        invoke(panel_conninfo, "job", "status", "--check"),
        invoke(None, "job", "status", "--check"),
        invoke(None, "--config", str(broken), "job", "status", "--check"),
    ]
    for each in told:
        assert (each.code, each.err, each.out.count("\n"), each.out.count("|")) == (3, "", 1, 0)
        assert each.out.startswith("UNKNOWN - ")
        assert "s3cr3t" not in each.out


def samples(text: str) -> dict[tuple[str, str | None], float]:
    """Return each value by its name and its job."""
    return {
        (sample.name, sample.labels.get("job")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics(database: str) -> None:
    """Each figure is what the runs say; what no run tells is left out, and no sample has a time of its own."""
    shown = invoke(database, "job", "metrics")
    assert (shown.code, shown.err) == (0, "")
    expected: dict[tuple[str, str | None], float | None] = {
        ("avatarlab_open_months", None): 4,
        ("avatarlab_dirty_keys", None): 2,
        ("avatarlab_dirty_oldest_timestamp_seconds", None): (NOW - timedelta(days=5)).timestamp(),
        ("avatarlab_verify_mismatches", None): 2,
        ("avatarlab_info", None): 1,
    }
    for job in BY_NAME:
        last = next(iter(ended(job, "succeeded", "failed", "interrupted", "crashed")), None)
        good = success(job)
        week = [ran for ran in ended(job, "failed", "interrupted", "crashed") if ran[0] <= 7 * 24]
        expected |= {
            (f"avatarlab_job_{name}", job): value
            for name, value in {
                "last_success_timestamp_seconds": good.timestamp() if good else None,
                "last_run_timestamp_seconds": last and _end(last),
                "last_run_succeeded": last and last[1] == "succeeded",
                "last_run_duration_seconds": last and last[2],
                "last_run_rows_read": last and last[3],
                "last_run_rows_written": last and last[4],
                "runs_failed": len(week),
            }.items()
        }
    assert samples(shown.out) == {name: value for name, value in expected.items() if value is not None}
    assert {name for name, _ in expected} == set(NAMES)
    assert all(len(line.split()) == 2 for line in shown.out.splitlines() if not line.startswith("#"))
    assert "# HELP avatarlab_dirty_keys Entries of the queue" in shown.out
    (info,) = [line for line in shown.out.splitlines() if line.startswith("avatarlab_info{")]
    assert f'version="{__version__}"' in info


Turn = tuple[str, bool, list[str], dict[str, dict[str, int]]]
TURNS: list[tuple[Turn, int | None]] = [
    (("succeeded", False, [], {}), None),
    (("succeeded", False, ["2026-01", "2026-02"], {"2026-01": {"a": 2, "b": 1}, "2026-02": {"a": 4}}), 7),
    # No month's turn, another's, a run that failed and a look: nothing of these is told of the two.
    (("succeeded", False, [], {}), 7),
    (("succeeded", False, ["2025-12"], {}), 7),
    (("failed", False, ["2026-01"], {}), 7),
    (("succeeded", True, ["2026-01"], {}), 7),
    (("succeeded", False, ["2026-02"], {"2026-02": {"a": 1}}), 4),
    (("succeeded", False, ["2026-01"], {}), 1),
    (("succeeded", False, ["2025-12", "2026-02"], {"2025-12": {"c": 9}}), 9),
]


def test_figures_stay_wrong_until_they_are_looked_at_again(migrated_panel_conninfo: str) -> None:
    """Of each month the last run that looked at it counts; before any has, nothing is known."""
    for number, ((status, is_dry, months, by_month), wrong) in enumerate(TURNS):
        details: dict[str, object] = {"months": months}
        if by_month:
            total = sum(count for counts in by_month.values() for count in counts.values())
            details |= {"mismatches": total, "by_month": by_month}
        begun = NOW - timedelta(days=len(TURNS) - number)
        with psycopg.connect(migrated_panel_conninfo) as connection:
            connection.execute(INSERT, ["verify", status, begun, begun, 0, 0, is_dry, json.dumps(details)])
        found = samples(invoke(migrated_panel_conninfo, "job", "metrics").out)
        assert found.get(("avatarlab_verify_mismatches", None)) == wrong, number


def test_a_record_that_does_not_tell_months_apart(migrated_panel_conninfo: str) -> None:
    """What an older version found in several months together counts once."""
    details = json.dumps({"months": ["2026-01", "2026-02"], "mismatches": 3, "by_metric": {"a": 3}})
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute(INSERT, ["verify", "succeeded", NOW, NOW, 0, 0, False, details])
    found = samples(invoke(migrated_panel_conninfo, "job", "metrics").out)
    assert found["avatarlab_verify_mismatches", None] == 3


def _end(ran: Ran) -> float:
    return (NOW - ran[0] * HOUR).timestamp() + (ran[2] or 0)


def test_metrics_of_a_database_without_runs(migrated_panel_conninfo: str, panel_conninfo: str) -> None:
    """Where no job ran what jobs tell is left out; where no table is there is no page."""
    names = {name for name, _ in samples(invoke(migrated_panel_conninfo, "job", "metrics").out)}
    assert names == {
        "avatarlab_job_runs_failed",
        "avatarlab_open_months",
        "avatarlab_dirty_keys",
        "avatarlab_info",
    }
    refused = invoke(panel_conninfo, "job", "metrics")
    assert (refused.code, refused.out) == (78, "")


def test_a_crash_has_no_duration(migrated_panel_conninfo: str) -> None:
    """How long a run took that died nobody knows, although its record has two times."""
    with psycopg.connect(migrated_panel_conninfo) as connection:
        begun = datetime(2025, 6, 15, 9, tzinfo=UTC)
        values = ["verify", "crashed", begun, begun + HOUR, None, None, False, "{}"]
        connection.execute(INSERT, values)
    found = samples(invoke(migrated_panel_conninfo, "job", "metrics").out)
    assert ("avatarlab_job_last_run_duration_seconds", "verify") not in found
    assert found["avatarlab_job_last_run_succeeded", "verify"] == 0


def test_the_file_is_whole_at_any_time(migrated_panel_conninfo: str, tmp_path: Path) -> None:
    """Who reads while it is written meets one version or the other; everybody may read it, whatever the umask."""
    file = tmp_path / "textfile" / "avatarlab.prom"
    file.parent.mkdir()
    env = {"AVATARLAB_METRICS_FILE": str(file), "STATE_DIRECTORY": str(tmp_path)}
    run = ("-q", "job", "run", "check-limits")
    before = os.umask(0o077)
    try:
        assert invoke(migrated_panel_conninfo, *run, env=env) == Outcome(0, "", "")
        read: list[str] = []
        done = threading.Event()

        def reading() -> None:
            while not done.is_set():
                read.append(file.read_text())

        reader = threading.Thread(target=reading)
        reader.start()
        for _ in range(3):
            assert invoke(migrated_panel_conninfo, *run, env=env) == Outcome(0, "", "")
        done.set()
        reader.join()
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o644
    times = [
        samples(text)["avatarlab_job_last_success_timestamp_seconds", "check-limits"]
        for text in dict.fromkeys(read)
    ]
    assert len(times) >= 3
    assert all(earlier < later for earlier, later in pairwise(times))
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_cannot_be_written(migrated_panel_conninfo: str, tmp_path: Path) -> None:
    """The run is done all the same, and its log says what is missing."""
    env = {"AVATARLAB_METRICS_FILE": str(tmp_path / "nowhere" / "a.prom"), "STATE_DIRECTORY": str(tmp_path)}
    ran = invoke(migrated_panel_conninfo, "-q", "job", "run", "check-limits", env=env)
    assert (ran.code, json.loads(ran.err)["whom"]) == (0, "metrics")
    assert "cannot write" in json.loads(ran.err)["why"]
