"""The noun `training` as its users meet it: a few known trainings, and the demo against what its costs are."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.queries import training_summary
from avatarlab_cli.timeframe import Span
from tests.cli.conftest import ADA, EMAILS, EVE
from tests.cli.invoking import Outcome, invoke
from tests.conftest import DEMO_END, created_database
from tests.database.comparing import shipped

PIXEL = UUID(int=0xA7 << 120)
DONE, BROKEN, WAITING = (UUID(int=number << 120) for number in (0xD1, 0xD2, 0xD3))
TUNED, RUNNING, ODD = (UUID(int=number << 120) for number in (0xF1, 0xF2, 0xF3))
Row = dict[str, Any]


@pytest.fixture(scope="module")
def known(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """An avatar with three sessions, three jobs, their logs, two files, examples and three versions of its prompt."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            _write(connection)
        yield conninfo


def _write(connection: psycopg.Connection[Any]) -> None:
    for user in (ADA, EVE):
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, EMAILS[user]])
    connection.execute("INSERT INTO avatars (id, user_id, name) VALUES (%s, %s, 'Pixel')", [PIXEL, ADA])
    _write_sessions(connection)
    _write_jobs(connection)
    _write_prompts(connection)


def _write_sessions(connection: psycopg.Connection[Any]) -> None:
    for session, status, days in ((DONE, "completed", 3), (BROKEN, "failed", 2), (WAITING, "pending", 2)):
        begun = DEMO_END - timedelta(days=days)
        connection.execute(
            "INSERT INTO avatar_training_data (id, user_id, avatar_id, training_type, status, created_at, completed_at)"
            " VALUES (%s, %s, %s, 'file_upload', %s, %s, %s)",
            [
                session,
                ADA,
                PIXEL,
                status,
                begun,
                begun + timedelta(seconds=90) if status == "completed" else None,
            ],
        )
    connection.execute(
        "UPDATE avatar_training_data SET fine_tune_error = 'profile-settings of file-settings lack file-a1b2c3' WHERE id = %s",
        [DONE],
    )
    logs = (
        (DONE, "training_start", "Training started", None, 0),
        (DONE, "completion", "Training completed", None, 90),
        (BROKEN, "error", "Training failed", "429: quota of 10 exceeded\nat x", 5),
        (BROKEN, "error", "Training failed", "429: quota of 99 exceeded", 6),
        (BROKEN, "error", "No file 7d1f0c1e-0000-4000-8000-00000000abcd", None, 7),
    )
    for number, (session, kind, message, error, seconds) in enumerate(logs):
        connection.execute(
            "INSERT INTO avatar_training_logs (avatar_id, user_id, training_data_id, log_type, message, details, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                *(PIXEL, EVE if number == 3 else ADA, session, kind, message),
                error and json.dumps({"error": error}),
                DEMO_END - timedelta(days=2) + timedelta(seconds=seconds),
            ],
        )
    for name, status in (("a", "completed"), ("b", "failed")):
        connection.execute(
            "INSERT INTO avatar_training_files (training_data_id, user_id, file_name, original_name, file_path,"
            " file_size, content_type, processing_status, uploaded_at) VALUES (%s, %s, %s, %s, %s, 100, 'text/plain', %s, %s)",
            [DONE, ADA, name, f"{name}.txt", f"x/{name}", status, DEMO_END],
        )
    for score, is_used in (("0.50", True), ("0.90", False), (None, False)):
        connection.execute(
            "INSERT INTO avatar_training_examples (user_id, avatar_id, system_prompt, user_message, assistant_message,"
            " source_type, quality_score, used_in_training) VALUES (%s, %s, '', '', '', 'manual_entry', %s, %s)",
            [ADA, PIXEL, score, is_used],
        )


def _write_jobs(connection: psycopg.Connection[Any]) -> None:
    jobs = (
        (TUNED, "gpt-4o-mini-2024-07-18", "succeeded", 1_000_000, None),
        (RUNNING, "gpt-4o", "running", None, None),
        (ODD, "mystery-9", "failed", 500, "Job ftjob-abc12345 failed after 3 steps"),
    )
    for job, model, status, tokens, error in jobs:
        begun = DEMO_END - timedelta(days=4)
        connection.execute(
            "INSERT INTO avatar_fine_tune_jobs (id, user_id, avatar_id, openai_job_id, base_model, status, trained_tokens,"
            " error_message, created_at, started_at, finished_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                *(job, ADA, PIXEL, str(job), model, status, tokens, error, begun, begun),
                begun + timedelta(hours=1) if tokens else None,
            ],
        )


def _write_prompts(connection: psycopg.Connection[Any]) -> None:
    versions = (
        ("v1.0", "You are Pixel.\nBe kind.\nBe brief.", ["no spam"], 9, True),
        ("v1.9", "You are Pixel.\nBe kind.\nBe funny.", ["no spam", "no ads"], 8, True),
        ("v1.10", "You are Pixel.\nBe kind.\nBe brief.", ["no spam"], 7, False),
    )
    for version, prompt, rules, days, is_active in versions:
        connection.execute(
            "INSERT INTO avatar_prompt_versions (avatar_id, user_id, version_number, system_prompt, behavior_rules,"
            " is_active, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [PIXEL, ADA, version, prompt, rules, is_active, DEMO_END - timedelta(days=days)],
        )


def training(conninfo: str, *arguments: str, **more: Any) -> Outcome:  # noqa: ANN401 (invoke's own)
    return invoke(conninfo, "training", *arguments, **more)


def rows_of(outcome: Outcome, code: int = 0) -> list[Row]:
    """Return a report's rows."""
    assert outcome.code == code, outcome.err
    found = json.loads(outcome.out)
    return found if isinstance(found, list) else [found]


def test_jobs(known: str) -> None:
    """Sessions and jobs together; what has no price, and what a session costs, is not known, and so is the total."""
    shown = training(known, "jobs", "--fields", "kind,avatar,status,duration_seconds,tokens,cost,unpriced")
    assert sorted(" ".join(line.split()) for line in shown.out.splitlines()[1:-1]) == [
        "fine-tune Pixel failed 3600.000000 500 n/a 500",
        "fine-tune Pixel running - - n/a -",
        "fine-tune Pixel succeeded 3600.000000 1000000 3.000000 0",
        "session Pixel completed 90.000000 - n/a -",
        "session Pixel failed - - n/a -",
        "session Pixel pending - - n/a -",
    ]
    assert shown.out.splitlines()[-1].split() == ["total", "1000500", "3.000000", "+", "n/a", "500"]
    assert "it may be older than the truth" in shown.err


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--status", "failed"), 2),
        (("--avatar", "a7000000"), 6),
        (("--user", "Eve@"), 0),
        (("--since", "60h"), 2),
    ],
)
def test_some_of_the_jobs(known: str, options: tuple[str, ...], count: int) -> None:
    """Those of a status, an avatar, a user, a time."""
    assert training(known, "jobs", *options, "-o", "count").out == f"{count}\n"


def test_jobs_divided(known: str) -> None:
    """A success rate stands beside its denominator; what is unfinished is in neither."""
    rows = rows_of(training(known, "jobs", "--by", "type", "--json"))
    told = ("type", "jobs", "succeeded", "failed", "success_rate", "tokens", "cost", "unpriced")
    assert [[row[name] for name in told] for row in rows] == [
        ["fine-tune", 3, 1, 1, "0.500000", 1_000_500, "3.000000", 500],
        ["file_upload", 3, 1, 1, "0.500000", None, None, None],
    ]


def test_errors(known: str) -> None:
    """Messages that differ by numbers and ids alone are one, with whom they met."""
    rows = rows_of(training(known, "errors", "--json"))
    assert [(row["source"], row["message"], row["occurrences"], row["users"]) for row in rows] == [
        ("log", "<n>: quota of <n> exceeded", 2, 2),
        ("fine-tune", "Job <id> failed after <n> steps", 1, 1),
        ("log", "No file <id>", 1, 1),
        ("session", "profile-settings of file-settings lack <id>", 1, 1),
    ]
    # Whenever the row was last changed.
    assert rows[-1]["last_seen"] == "2025-06-12T12:01:30Z"
    assert (rows[0]["first_seen"], rows[0]["last_seen"]) == ("2025-06-13T12:00:05Z", "2025-06-13T12:00:06Z")


def test_logs(known: str) -> None:
    """A session's log in order, found by the beginning of its id."""
    assert training(known, "logs", "d100", "--fields", "created_at,type,message,error").out == (
        "created_at            type            message             error\n"
        "2025-06-13T12:00:00Z  training_start  Training started    -\n"
        "2025-06-13T12:01:30Z  completion      Training completed  -\n"
    )
    gone = training(known, "logs", "99999999")
    assert (gone.code, gone.out) == (ExitCode.NOT_FOUND, "")
    assert "there is no training run '99999999'" in gone.err


def test_files(known: str) -> None:
    """By status, with the share that was processed; those that failed are listed by name."""
    assert training(known, "files").out == (
        "status     uploads  users  bytes  processed  failed  success_rate\n"
        "completed        1      1    100          1       0      1.000000\n"
        "failed           1      1    100          0       1      0.000000\n"
        "total            2           200          1       1\n"
    )
    assert [row["name"] for row in rows_of(training(known, "files", "--status", "failed", "--json"))] == [
        "b.txt"
    ]


@pytest.mark.parametrize(("user", "files"), [("ada@", 2), ("Eve@", 0)])
def test_files_of_a_user(known: str, user: str, files: int) -> None:
    """Only that user's files are counted, and listed."""
    counted = rows_of(training(known, "files", "--user", user, "--json"))
    assert sum(row["uploads"] for row in counted) == files
    assert training(known, "files", "--list", "--user", user, "-o", "count").out == f"{files}\n"


def test_stale(known: str) -> None:
    """What waits or runs for too long is a finding, with exit code 3; without any it is 0."""
    rows = rows_of(training(known, "stale", "--json"), ExitCode.FOUND)
    assert [(row["kind"], row["id"], row["status"]) for row in rows] == [
        ("fine-tune", str(RUNNING), "running"),
        ("session", str(WAITING), "pending"),
    ]
    assert [row["age_seconds"] for row in rows] == ["345600.000000", "172800.000000"]
    none = training(known, "stale", "--older-than", "5d")
    assert (none.code, none.out) == (0, "")
    assert "Nothing waits or runs for too long." in none.err


def test_stale_that_cannot_be_judged(server_conninfo: str, migrated_panel_template: str) -> None:
    """Without the jobs nothing is found, and that is no good news: exit code 3, and why."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("DROP TABLE avatar_fine_tune_jobs CASCADE")
            connection.execute("DROP TABLE avatar_training_data CASCADE")
        shown = training(conninfo, "stale")
        assert (shown.code, shown.out) == (ExitCode.FOUND, "")
        assert "Nothing that could be looked at waits" in shown.err
        assert "public.avatar_fine_tune_jobs is missing here" in shown.err
        lost = training(conninfo, "logs", "d100")
        assert (lost.code, lost.out) == (ExitCode.CONFIGURATION, "")
        assert "avatar_training_data" in lost.err


def test_examples(known: str) -> None:
    """How many are used, how good they are, how many are below the score asked for."""
    (row,) = rows_of(training(known, "examples", "--below", "0.6", "--json"))
    told = ("source", "examples", "used", "average_quality", "below", "unscored")
    assert [row[name] for name in told] == ["manual_entry", 3, 1, "0.700", 1, 1]


def test_prompts(known: str) -> None:
    """The versions in the order they were made, which their names would not give; that two are active is said."""
    shown = training(known, "prompts", "a700", "--fields", "version,is_active,characters")
    assert shown.out == (
        "version  is_active  characters\n"
        "v1.0     true               33\n"
        "v1.9     true               33\n"
        "v1.10    false              33\n"
    )
    assert "2 of its versions are active; there should be one" in shown.err


def test_two_prompts(known: str) -> None:
    """The lines that differ, with what stands around them and where."""
    assert training(known, "prompts", "a700", "--from", "v1.0", "--to", "v1.9").out == (
        "field           change  from_line  to_line  text\n"
        "system_prompt                   1        1  You are Pixel.\n"
        "system_prompt                   2        2  Be kind.\n"
        "system_prompt   -               3           Be brief.\n"
        "system_prompt   +                        3  Be funny.\n"
        "behavior_rules                  1        1  no spam\n"
        "behavior_rules  +                        2  no ads\n"
    )
    same = training(known, "prompts", "a700", "--from", "v1.0", "--to", "v1.10")
    assert (same.code, same.out) == (0, "")
    assert "The two versions say the same." in same.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("jobs", "--by", "month"), ExitCode.USAGE, "by: status, type, model, user, avatar"),
        (("files", "--by", "avatar"), ExitCode.USAGE, "by: status, type, user, day"),
        (("files", "--by", "day", "--list"), ExitCode.USAGE, "a list is not divided"),
        (("examples", "--by", "tag"), ExitCode.USAGE, "by: source, pattern, avatar, user"),
        (("examples", "--below", "7"), ExitCode.USAGE, "a number from 0 to 1"),
        (("examples", "--below", "nan"), ExitCode.USAGE, "a number from 0 to 1"),
        (("files", "--status", "nope"), ExitCode.USAGE, "statuses: pending, processing, completed, failed"),
        (("jobs", "--status", "nope"), ExitCode.USAGE, "running, succeeded, failed, cancelled"),
        (("jobs", "--by", "type", "--status", "nope"), ExitCode.USAGE, "'nope' is not a status"),
        (("stale", "--older-than", "2030-01-01"), ExitCode.USAGE, "lies ahead"),
        (("errors", "--since", "never"), ExitCode.USAGE, "'never' is not a time"),
        (("prompts", "a700", "--from", "v1.0"), ExitCode.USAGE, "two versions are compared"),
        (
            ("prompts", "a700", "--from", "v1.0", "--to", "v3"),
            ExitCode.NOT_FOUND,
            "versions: v1.0, v1.9, v1.10",
        ),
        (("prompts", "99999999"), ExitCode.NOT_FOUND, "there is no avatar '99999999'"),
        (("jobs", "--avatar", "99999999"), ExitCode.NOT_FOUND, "there is no avatar '99999999'"),
    ],
)
def test_what_cannot_be_understood(known: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    """It is said in a sentence, with what would do."""
    shown = training(known, *arguments)
    assert (shown.code, shown.out) == (code, "")
    assert said in shown.err


def test_a_month_costs_what_the_stored_one_does(demo: str) -> None:
    """Where the same card applies, a month's fine-tuning and answers cost what `cost report` says."""
    reported = invoke(demo, "cost", "report", "--month", "2025-05", "--json")
    stored = {row["kind"]: Decimal(row["cost"] or 0) for row in rows_of(reported)}
    may = Span(datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC))
    with Database(demo).read() as connection:
        report = training_summary.summary(connection, may, DEMO_END, shipped())
        page = connection.execute(report.select).mappings().one()
    assert page["fine_tuning_cost_30d"] == stored["fine_tuning"] > 0
    # What is stored is rounded to the millionth, user by user.
    assert abs(page["inference_cost_30d"] - stored["inference"]) < Decimal("0.000040")
    assert stored["inference"] > 0


def test_a_summary_tells_what_does_not_hang_on_a_missing_table(known: str) -> None:
    """Without the logs the errors of the time are not known, and all else is as it was."""
    before = json.loads(invoke(known, "training", "summary", "--json").out)
    with psycopg.connect(known, autocommit=True) as connection:
        connection.execute("ALTER TABLE avatar_training_logs RENAME TO elsewhere")
        try:
            found = json.loads(invoke(known, "training", "summary", "--json").out)
        finally:
            connection.execute("ALTER TABLE elsewhere RENAME TO avatar_training_logs")
    assert found == {**before, "errors_30d": None}
