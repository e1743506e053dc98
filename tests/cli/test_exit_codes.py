"""One process a code: how each command that cannot do its work says so, and that nothing is said too much."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import Outcome, command, invoke, process, variables
from tests.database.contents import contents, is_anyone_waiting, runs, wait_until
from tests.database.logins import PASSWORD, as_role, login, login_with_password

DEAD = f"postgresql://ada:{PASSWORD}@127.0.0.1:1/app"


def assert_clear(outcome: Outcome, code: ExitCode, *parts: str) -> None:
    """Check for one clear message: nothing on stdout, one to three lines on stderr, no trace and no secret."""
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith("avatarlab: ")
    assert outcome.err.count("\n") <= 3
    for part in parts:
        assert part in outcome.err
    assert "Traceback" not in outcome.err
    assert PASSWORD not in outcome.err


def test_0_an_empty_list(known: str) -> None:
    """An empty list is no failure; a table says why it is empty, a machine format keeps its form."""
    assert process(known, "usage", "top", "--month", "2020-01", "--json") == Outcome(0, "[]\n", "")
    shown = invoke(known, "usage", "top", "--month", "2020-01")
    assert (shown.code, shown.out, shown.err) == (
        0,
        "",
        "Nobody has any total_cost in 2020-01, or it is not available here.\n",
    )


def test_1_a_file_that_cannot_be_written(known: str, tmp_path: Path) -> None:
    """A file nobody can write fails, and no part of it is left."""
    file = tmp_path / "missing" / "top.csv"
    assert_clear(process(known, "usage", "top", "--out", str(file)), ExitCode.FAILED, f"cannot write {file}")


@pytest.mark.parametrize("arguments", ["stats show", "stats show --csv", "--help", "stats show --help"])
@pytest.mark.parametrize(
    ("stdout", "reason"), [("&-", "Bad file descriptor"), ("/dev/full", "No space left on device")]
)
def test_1_a_stdout_that_takes_nothing(known: str, arguments: str, stdout: str, reason: str) -> None:
    """Data or help for a stdout that is closed or full is not lost in silence."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" >{stdout}', "sh", *command(*arguments.split())],
        env=variables(known),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (ExitCode.FAILED, f"avatarlab: cannot write: {reason}\n")


def test_1_a_statement_that_takes_too_long(known: str) -> None:
    """A statement that exceeds its time names the setting that gives it more."""
    env = {"AVATARLAB_STATEMENT_TIMEOUT": "1ms"}
    assert_clear(
        invoke(known, "db", "tables", env=env),
        ExitCode.FAILED,
        "statement timeout",
        "AVATARLAB_STATEMENT_TIMEOUT",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("usage", "top", "--month", "2025-13"), "'2025-13' is not a month"),
        (("stats", "show", "--day", "2025-02-30"), "'2025-02-30' is not a day"),
        (("stats", "trend", "--metric", "mrr", "--since", "soon"), "'soon' is not a time"),
        (("stats", "trend", "--metric", "mood"), "'mood' is not a statistic"),
        (("usage", "top", "--by", "image_generated"), "did you mean images_generated?"),
        (("usage", "top", "--fields", "e-mail"), "did you mean email?"),
        (("usage", "top", "--sort", "mail"), "there is no sort column 'mail'"),
        (("usage", "top", "-o", "xml"), "'xml' is not an output format"),
        (("usage", "top", "--color", "pink"), "color is 'pink'"),
        (("usage", "top", "--limit", "ten"), "--limit takes a whole number"),
        (("job", "show", "a"), "'a' fits several runs"),
        (("job", "run", "monthly-usage", "--month", "2999-01"), "lies in the future"),
        (("job", "run", "monthly-usage", "--month", "2025-01", "--day", "2025-01-01"), "exclude each other"),
        (("job", "run", "monthly-usage", "--from", "2025-01-01"), "belong together"),
        (("job", "run", "monthly-usage", "--from", "2025-02-01", "--to", "2025-01-01"), "lies before"),
        (("job", "run", "storage-snapshot", "--day", "2025-06-15"), "storage-snapshot takes no days"),
        (("demo", "load", "--state", "none"), "neither seed nor panel"),
        (("demo", "snapshots"), "for the local PostgreSQL alone"),
    ],
)
def test_2_wrong_arguments(known: str, arguments: tuple[str, ...], message: str) -> None:
    """What cannot be understood is named with what could be."""
    assert_clear(invoke(known, *arguments), ExitCode.USAGE, message)


@pytest.mark.parametrize(
    "arguments",
    [
        ("usage", "nope"),
        ("nope",),
        ("--nope",),
        ("usage", "show"),
        ("demo", "load", "--users", "0"),
        ("usage", "top", "x"),
    ],
)
def test_2_a_command_nobody_knows(arguments: tuple[str, ...]) -> None:
    """A verb, noun, option or argument that does not exist shows how the command is used."""
    refused = invoke(None, *arguments)
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert "Usage: avatarlab" in refused.err
    assert "Traceback" not in refused.err


def test_2_an_ambiguous_beginning(migrated_panel_conninfo: str) -> None:
    """A beginning that fits several users lists them instead of taking one."""
    with psycopg.connect(migrated_panel_conninfo) as connection:
        for name in ("zoe.one", "zoe.two"):
            connection.execute(
                "INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), %s)", [f"{name}@example.com"]
            )
    assert_clear(
        invoke(migrated_panel_conninfo, "usage", "show", "ZOE"),
        ExitCode.USAGE,
        "'ZOE' fits several users: zoe.one@example.com, zoe.two@example.com",
        "write more of it",
    )


def test_3_a_database_to_migrate(panel_conninfo: str) -> None:
    """A check that finds something shows it on stdout and ends with its own code."""
    shown = process(panel_conninfo, "db", "status", "--json")
    assert (shown.code, shown.err) == (ExitCode.FOUND, "")
    assert json.loads(shown.out)["pending"][0] == "0001"


def test_4_a_missing_privilege(demo_conninfo: str) -> None:
    """A login that may not read is told which table, and nothing is written."""
    before = contents(demo_conninfo)
    with login(demo_conninfo) as role:
        outcome = process(as_role(demo_conninfo, role), "job", "run", "monthly-usage")
        assert_clear(outcome, ExitCode.NOT_PERMITTED, "permission denied", "grant")
        assert contents(demo_conninfo) == before
    assert runs(demo_conninfo) == []


def test_4_a_login_that_row_security_filters(demo_conninfo: str) -> None:
    """A report that would leave out rows is refused instead of shown as if it were whole."""
    grants = (
        "GRANT USAGE ON SCHEMA public, auth TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, auth TO {role}",
    )
    with login(demo_conninfo, *grants) as role:
        reports = [("usage", "top"), ("usage", "show", "ada@example.com"), ("stats", "show")]
        shown = [invoke(as_role(demo_conninfo, role), *report) for report in reports]
    assert {(done.code, done.out) for done in shown} == {(ExitCode.NOT_PERMITTED, "")}
    assert all("row security hides rows of" in done.err for done in shown)


def test_4_a_wrong_password(known: str) -> None:
    """A refused login tells the user's name, never the password."""
    with login_with_password(known) as role:
        assert invoke(as_role(known, role, PASSWORD), "db", "tables").code == 0
        refused = process(as_role(known, role, f"not-{PASSWORD}"), "db", "status")
    assert_clear(refused, ExitCode.NOT_PERMITTED, "password authentication failed", role)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("usage", "show", "nobody@example.com"), "there is no user 'nobody@example.com'"),
        (("job", "run", "nothing"), "there is no job 'nothing'"),
        (("job", "history", "nothing"), "monthly-usage"),
        (("job", "show", "ffff"), "there is no run 'ffff'"),
    ],
)
def test_5_not_found(known: str, arguments: tuple[str, ...], message: str) -> None:
    """What a name does not lead to is said with the names there are, or the way to them."""
    assert_clear(invoke(known, *arguments), ExitCode.NOT_FOUND, message)


def test_6_nobody_to_confirm(tmp_path: Path) -> None:
    """Without a terminal a severe verb asks nobody and does nothing."""
    env = {"XDG_DATA_HOME": str(tmp_path)}
    refused = process(None, "--profile", "demo", "db", "reset", env=env)
    assert_clear(refused, ExitCode.DECLINED, "not confirmed", "--yes")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of a user who has loaded the demo."""
    env = {"XDG_DATA_HOME": str(tmp_path_factory.mktemp("data"))}
    invoke(None, "demo", "load", "--users", "5", "--months", "1", env=env)
    yield env
    invoke(None, "--profile", "demo", "db", "reset", "--yes", env=env)


def test_7_a_demo_that_is_loaded_already(local: Mapping[str, str]) -> None:
    """Loading twice is refused unless the first is given up expressly."""
    assert_clear(process(None, "demo", "load", env=local), ExitCode.REFUSED, "loaded already", "--replace")


def test_5_a_user_nobody_knows(known: str) -> None:
    """The process ends with the code the message was given."""
    assert_clear(
        process(known, "usage", "show", "nobody@example.com"), ExitCode.NOT_FOUND, "there is no user"
    )


def test_69_the_process_of_a_dead_database() -> None:
    """The process ends with the code, and the password of the URL is nowhere."""
    assert_clear(process(DEAD, "usage", "top"), ExitCode.UNAVAILABLE, "Connection refused")


@pytest.mark.parametrize("arguments", [("usage", "top"), ("db", "migrate"), ("job", "run", "monthly-usage")])
def test_69_a_dead_database(arguments: tuple[str, ...]) -> None:
    """A database out of reach is named by host and port, with the reason."""
    assert_clear(invoke(DEAD, *arguments), ExitCode.UNAVAILABLE, "127.0.0.1", "port 1", "Connection refused")


def test_75_a_job_that_is_taken(demo_conninfo: str) -> None:
    """While another run has the job, this one names it and leaves everything alone."""
    before = contents(demo_conninfo)
    with psycopg.connect(demo_conninfo) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('avatarlab:rollup', 0))")
        with psycopg.connect(demo_conninfo) as other:
            other.execute(
                "INSERT INTO avatarlab_admin.job_runs (job, status, pid, host)"
                " VALUES ('platform-statistics', 'running', 4242, 'elsewhere')"
            )
        refused = process(demo_conninfo, "job", "run", "monthly-usage")
    line, _, said = refused.err.partition("\n")
    assert (json.loads(line)["event"], json.loads(line)["level"]) == ("job busy", "warning")
    shown = Outcome(refused.code, refused.out, said)
    assert_clear(shown, ExitCode.BUSY, "platform-statistics, process 4242 on elsewhere", "try again")
    assert contents(demo_conninfo) == before
    assert [record["status"] for record in runs(demo_conninfo)] == ["running", "busy"]


def test_78_no_database() -> None:
    """With no database configured the message names the ways to configure one, and the demo."""
    refused = process(None, "usage", "top")
    assert (refused.code, refused.out) == (ExitCode.CONFIGURATION, "")
    for way in ("AVATARLAB_DATABASE_URL", "--profile", "PGSERVICE", "demo load"):
        assert way in refused.err


def test_78_a_half_migrated_database(demo_conninfo: str) -> None:
    """A job refuses a schema it was not made for, and names the command that mends it."""
    with psycopg.connect(demo_conninfo) as connection:
        connection.execute("UPDATE avatarlab_admin.alembic_version SET version_num = '0004'")
    before = contents(demo_conninfo)
    refused = process(demo_conninfo, "job", "run", "monthly-usage")
    assert_clear(refused, ExitCode.CONFIGURATION, "migrated to 0004 alone", "avatarlab db migrate")
    assert (contents(demo_conninfo), runs(demo_conninfo)) == (before, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profile", "nope", "usage", "top"), "there is no profile 'nope'"),
        (("--config", "/nonexistent.yaml", "usage", "top"), "there is no configuration file"),
    ],
)
def test_78_wrong_settings(known: str, arguments: tuple[str, ...], message: str) -> None:
    """A wrong setting is named before any database is asked."""
    assert_clear(invoke(known, *arguments), ExitCode.CONFIGURATION, message)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"AVATARLAB_OUTPUT": "xml"}, "'xml' is not an output format"),
        ({"AVATARLAB_COLOR": "pink"}, "color is 'pink' (environment AVATARLAB_COLOR)"),
        ({"AVATARLAB_DATABASE_URL": ""}, "no database is configured"),
        (
            {"AVATARLAB_DATABASE_URL": "postgresql://u:s3cr3t-value@x/y@h:5/db"},
            "the database URL cannot be read",
        ),
        ({"AVATARLAB_STATEMENT_TIMEOUT": "99999999999d"}, "invalid value"),
    ],
)
def test_78_wrong_environment(known: str, env: dict[str, str], message: str) -> None:
    """A wrong variable is a wrong setting, whatever the command line says."""
    assert_clear(invoke(known, "usage", "top", env=env), ExitCode.CONFIGURATION, message)


def test_78_a_report_before_the_migration(panel_conninfo: str) -> None:
    """A report on tables that are not there yet leads to the migration."""
    assert_clear(invoke(panel_conninfo, "job", "history"), ExitCode.CONFIGURATION, "db migrate")


@pytest.mark.parametrize(
    "words", [("conversation", "search", "hello"), ("avatar", "flag", "a7", "--reason", "spam")]
)
def test_78_an_act_before_the_migration(
    panel_conninfo: str, empty_conninfo: str, words: tuple[str, ...]
) -> None:
    """What is kept under an admin's name leads to the migration too, whether there is a panel or not."""
    for conninfo in (panel_conninfo, empty_conninfo):
        assert_clear(invoke(conninfo, *words), ExitCode.CONFIGURATION, "run: avatarlab db migrate")


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED, "interrupted"),
        (signal.SIGTERM, ExitCode.TERMINATED, "terminated"),
    ],
)
def test_130_and_143_a_signal_during_a_job(
    demo_conninfo: str, number: signal.Signals, code: ExitCode, word: str
) -> None:
    """A job that is told twice to stop gives its statement up, keeps nothing, and records that it was interrupted."""
    before = contents(demo_conninfo)
    with psycopg.connect(demo_conninfo) as blocker:
        blocker.execute("LOCK TABLE monthly_usage")
        running = subprocess.Popen(
            command("job", "run", "monthly-usage"),
            env=variables(demo_conninfo, {"AVATARLAB_LOCK_TIMEOUT": "0"}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: is_anyone_waiting(blocker))
        running.send_signal(number)
        # Two that come at once are one to the process.
        time.sleep(0.5)
        assert (running.poll(), is_anyone_waiting(blocker)) == (None, True)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    line, _, said = err.partition("\n")
    assert Outcome(running.returncode, out, said) == Outcome(code, "", f"avatarlab: {word}\n")
    assert json.loads(line)["event"] == "job interrupted"
    assert contents(demo_conninfo) == before
    (record,) = runs(demo_conninfo)
    assert (record["status"], record["finished_at"] is None) == ("interrupted", False)


@pytest.mark.parametrize("form", ["table", "csv", "ndjson"])
def test_141_a_closed_pipe(computed: str, form: str) -> None:
    """When the reader has had enough the command ends quietly."""
    running = subprocess.Popen(
        command("db", "tables", "-o", form),
        env=variables(computed),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    # Nothing is written before the database was asked, so the pipe is closed in time.
    running.stdout.close()
    assert (running.stderr.read(), running.wait(60)) == ("", ExitCode.CLOSED_PIPE)
    running.stderr.close()


def test_141_a_job_finishes_its_work_first(demo_conninfo: str) -> None:
    """A reader who leaves early misses the record of a run, not the run."""
    running = subprocess.Popen(
        command("job", "run", "monthly-usage"),
        env=variables(demo_conninfo),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert running.stdout is not None
    running.stdout.close()
    assert running.wait(60) == ExitCode.CLOSED_PIPE
    assert [record["status"] for record in runs(demo_conninfo)] == ["succeeded"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("usage", "top", "--by", "nothing"), ExitCode.USAGE),
        (("usage", "show"), ExitCode.USAGE),
        (("usage", "show", "nobody@example.com"), ExitCode.NOT_FOUND),
        (("--profile", "nope", "usage", "top"), ExitCode.CONFIGURATION),
    ],
)
@pytest.mark.parametrize("way", [("--json",), ("-o", "ndjson"), ()])
def test_errors_as_json(known: str, arguments: tuple[str, ...], code: ExitCode, way: tuple[str, ...]) -> None:
    """Whoever asks for JSON gets the error as one object on stderr, whichever way it was asked for."""
    env = {} if way else {"AVATARLAB_OUTPUT": "json"}
    failed = invoke(known, *way, *arguments, env=env)
    assert (failed.code, failed.out) == (code, "")
    error = json.loads(failed.err)
    assert (sorted(error), error["exit_code"]) == (["error", "exit_code", "hint"], code)


@pytest.mark.parametrize("arguments", [("--json", "--nope"), ("--nope", "-o", "json"), ("--nope", "--json")])
def test_errors_of_parsing_are_json_too(known: str, arguments: tuple[str, ...]) -> None:
    """An option nobody knows is told in the form asked for, on whichever side of it that was."""
    done = invoke(known, "usage", "top", *arguments)
    assert (done.code, json.loads(done.err)["exit_code"]) == (2, 2)


def test_later_of_two_formats_wins(known: str) -> None:
    """A format after the verb replaces one before it, short form or long."""
    done = invoke(known, "--json", "usage", "top", "--month", "2020-01", "-o", "csv", "--fields", "rank")
    assert (done.code, done.out) == (0, "rank\n")


def test_errors_of_csv_are_plain(known: str) -> None:
    """A flag for another format wins over JSON in the environment, for errors too."""
    assert_clear(
        invoke(known, "usage", "top", "--by", "x", "--csv", env={"AVATARLAB_OUTPUT": "json"}), ExitCode.USAGE
    )


def test_a_fault_is_shown_without_its_trace(known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is one message too; the trace is for --debug, and values never are in it."""

    def fail(*_: object) -> None:
        password = PASSWORD
        raise RuntimeError(f"postgresql://ada:{password}@db/app")

    monkeypatch.setattr("avatarlab_cli.queries.usage.top", fail)
    assert_clear(invoke(known, "usage", "top"), ExitCode.FAILED, "RuntimeError", "--debug")
    debugged = invoke(known, "usage", "top", "--debug")
    assert "Traceback" in debugged.err
    assert PASSWORD not in debugged.err


def test_3_a_table_that_lost_a_column(migrated_panel_conninfo: str) -> None:
    """A migrated table that is no longer whole is found by the status, and mended by a repair that can be previewed."""
    with psycopg.connect(migrated_panel_conninfo, autocommit=True) as connection:
        connection.execute("ALTER TABLE monthly_usage DROP COLUMN videos_generated")
    found = invoke(migrated_panel_conninfo, "db", "status", "--json")
    assert found.code == ExitCode.FOUND
    assert json.loads(found.out)["drift"] == ["monthly_usage videos_generated missing column"]
    preview = invoke(migrated_panel_conninfo, "db", "migrate", "--repair", "--dry-run")
    assert "would apply 0002" in preview.err
    assert invoke(migrated_panel_conninfo, "db", "migrate", "--repair").code == 0
    assert invoke(migrated_panel_conninfo, "db", "status").code == 0
