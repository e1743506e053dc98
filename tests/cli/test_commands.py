"""Every command on known rows: what it shows on a terminal, in a pipe, and as data."""

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import ADA, RUNS
from tests.cli.invoking import BARE, Outcome, invoke, process, terminal
from tests.database.contents import contents, runs

TOP = ("usage", "top", "--by", "chat_messages_count", "--fields", "rank,email,chat_messages_count,share")
BOLD = "\x1b[1m{}\x1b[0m"


def data(outcome: Outcome) -> object:
    """Return what a command wrote as JSON, after checking that it ended well."""
    assert outcome.code == 0, outcome.err
    parsed: object = json.loads(outcome.out)
    return parsed


def test_usage_top_in_a_pipe(known: str) -> None:
    """A pipe gets plain columns and raw values, and nobody without any of it."""
    assert invoke(known, *TOP) == Outcome(
        0,
        "rank  email              chat_messages_count     share\n"
        "   1  ada@example.com                   1200  0.800000\n"
        "   2  adele@example.com                  300  0.200000\n",
        "",
    )


def test_usage_top_on_a_terminal(known: str) -> None:
    """A terminal gets the same rows with bold names and numbers as people read them."""
    shown = terminal(known, *TOP, "--month", "2025-06")
    header, *lines = shown.out.splitlines()
    assert shown.code == 0
    assert header == "  ".join(
        (
            BOLD.format("rank"),
            BOLD.format("email") + " " * 12,
            BOLD.format("chat_messages_count"),
            " " + BOLD.format("share"),
        )
    )
    assert lines == [
        "   1  ada@example.com                  1,200  80.0 %",
        "   2  adele@example.com                  300  20.0 %",
    ]


def test_usage_top_as_json(known: str) -> None:
    """JSON has the same rows whole: counts as numbers, ratios as exact text."""
    assert data(invoke(known, *TOP, "--json")) == [
        {"rank": 1, "email": "ada@example.com", "chat_messages_count": 1200, "share": "0.800000"},
        {"rank": 2, "email": "adele@example.com", "chat_messages_count": 300, "share": "0.200000"},
    ]


def test_a_cut_list_says_so(known: str) -> None:
    """What is left out is told on stderr, beside the data."""
    shown = invoke(known, "usage", "top", "--by", "chat_messages_count", "-o", "ids", "--limit", "1")
    assert shown == Outcome(0, f"{ADA}\n", shown.err)
    assert "--all" in shown.err
    assert invoke(known, "usage", "top", "-o", "ids", "--limit", "1", "-q").err == ""


def test_usage_month(known: str) -> None:
    """A month lists its users by cost; a cost nobody knows is empty, not nothing."""
    arguments = (
        "usage",
        "month",
        "--month",
        "2025-06",
        "--fields",
        "email,images_generated,total_cost,is_over_limit",
    )
    assert invoke(known, *arguments, "--csv") == Outcome(
        0,
        "email,images_generated,total_cost,is_over_limit\r\n".replace("\r", "")
        + "ada@example.com,60,7.156209,true\nadele@example.com,0,0.004000,false\nEve@example.org,4,,false\n",
        "",
    )


def test_usage_month_into_a_file(known: str, tmp_path: Path) -> None:
    """With --out the file has what stdout would, and stdout is empty."""
    file = tmp_path / "june.csv"
    arguments = ("usage", "month", "--csv", "--fields", "email,total_cost")
    assert invoke(known, *arguments, "--out", str(file)).out == ""
    assert file.read_text() == invoke(known, *arguments).out


def test_usage_show(known: str) -> None:
    """One user's figures stand beside the month before, with the limit that is exceeded."""
    rows = data(
        invoke(
            known,
            "usage",
            "show",
            "ADA@example.com",
            "--json",
            "--fields",
            "metric,value,previous,exceeded_limit",
        )
    )
    assert isinstance(rows, list)
    by_metric = {row["metric"]: row for row in rows}
    assert by_metric["images_generated"] == {
        "metric": "images_generated",
        "value": "60",
        "previous": "9",
        "exceeded_limit": 50,
    }
    assert by_metric["total_cost"]["value"] == "7.156209"
    assert by_metric["voice_cost"]["value"] is None


@pytest.mark.parametrize("name", ["eve@example.org", "EVE", "2c00", "2c000000-0000-0000-0000-000000000000"])
def test_a_user_by_any_name(known: str, name: str) -> None:
    """A user is found by address, whole or begun, case ignored, and by UUID, whole or begun."""
    shown = invoke(known, "usage", "show", name, "--csv", "--fields", "metric,value")
    assert "images_generated,4\n" in shown.out


def test_stats_show(known: str) -> None:
    """The latest day is shown unless another is named."""
    fields = ("--fields", "stat_date,total_users,mrr,users_by_tier,storage_bytes")
    assert invoke(known, "stats", "show", *fields).out == (
        "stat_date      2025-06-15\n"
        "total_users    1009\n"
        "mrr            94.98\n"
        'users_by_tier  {"pro": 3, "free": 1000}\n'
        "storage_bytes  713683128\n"
    )
    assert data(
        invoke(known, "stats", "show", "--day", "2025-06-13", "--json", *fields[:1], "stat_date,mrr")
    ) == {
        "stat_date": "2025-06-13",
        "mrr": "74.98",
    }


def test_stats_trend(known: str) -> None:
    """A figure's trend shows each day's change, the first day's too where the day before is known."""
    assert invoke(known, "stats", "trend", "--metric", "total_users", "--since", "2d").out == (
        "day         total_users  change\n"
        "2025-06-13         1001       1\n"
        "2025-06-14         1004       3\n"
        "2025-06-15         1009       5\n"
    )
    until = invoke(
        known, "stats", "trend", "--metric", "mrr", "--since", "2025-06-12", "--until", "2025-06-14", "--csv"
    )
    assert until.out == "day,mrr,change\n2025-06-12,64.98,\n2025-06-13,74.98,10.00\n"


def test_job_list() -> None:
    """The jobs are known without a database."""
    assert invoke(None, "job", "list").out == (
        "job                  summary\n"
        "monthly-usage        Usage, cost and limits by user and month.\n"
        "platform-statistics  The platform's figures by day.\n"
        "storage-snapshot     What is stored today, and on days no run saw.\n"
        "close-month          Closes months that are over, once their figures are verified.\n"
        "check-limits         Who is over a limit, by the limits of today.\n"
        "verify               Compares stored figures with their sources, months by turns.\n"
    )


def test_job_history(known: str) -> None:
    """The latest run stands first; a job's name leaves the others out."""
    fields = ("--fields", "job,status,started_at,seconds,rows_written")
    assert invoke(known, "job", "history", *fields).out == (
        "job            status     started_at            seconds  rows_written\n"
        "monthly-usage  failed     2025-06-15T10:00:00Z    2.500             -\n"
        "monthly-usage  succeeded  2025-06-15T09:00:00Z    2.500          1234\n"
    )
    assert invoke(known, "job", "history", "platform-statistics", "-o", "count").out == "0\n"


def test_job_show(known: str) -> None:
    """A run is found by the beginning of its id, and tells what ended it."""
    fields = ("--fields", "run,status,error_class,error_message,rows_read")
    assert data(invoke(known, "job", "show", str(RUNS[1])[:2], "--json", *fields)) == {
        "run": str(RUNS[1]),
        "status": "failed",
        "error_class": "UnavailableError",
        "error_message": "the database went away",
        "rows_read": None,
    }


def test_job_run(demo_conninfo: str) -> None:
    """A run ends with its own record, which is the one that is stored."""
    shown = invoke(demo_conninfo, "job", "run", "monthly-usage", "--month", "2025-06", "--json")
    record = data(shown)
    (stored,) = runs(demo_conninfo)
    assert isinstance(record, dict)
    assert (record["run"], record["status"]) == (str(stored["id"]), "succeeded")
    assert (record["window_from"], record["window_to"]) == ("2025-06-01", "2025-07-01")
    assert record["rows_written"] == stored["rows_written"] != 0
    logged = json.loads(shown.err)
    assert (logged["event"], logged["job"], logged["run"]) == (
        "job succeeded",
        "monthly-usage",
        record["run"],
    )


def test_job_run_dry(demo_conninfo: str) -> None:
    """A dry run shows each row before and after, and the database is as it was."""
    before = contents(demo_conninfo)
    shown = invoke(demo_conninfo, "job", "run", "monthly-usage", "--month", "2025-06", "-n", "--json")
    changes = data(shown)
    assert isinstance(changes, list)
    assert {"insert"} <= {change["change"] for change in changes} <= {"insert", "update", "delete"}
    assert "nothing was changed" in shown.err
    assert contents(demo_conninfo) == before


def test_job_run_quietly(demo_conninfo: str) -> None:
    """A timer's successful run says nothing under -q."""
    quiet = invoke(demo_conninfo, "-q", "job", "run", "platform-statistics", "--day", "2025-06-15")
    assert quiet == Outcome(0, "", "")


def test_a_job_as_a_module(demo_conninfo: str) -> None:
    """`python -m jobs.NAME` is the same command under another name."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.platform_statistics", "--day", "2025-06-15", "--fields", "job,status"],
        env={**BARE, "AVATARLAB_DATABASE_URL": demo_conninfo},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "job     platform-statistics\nstatus  succeeded\n"


@pytest.mark.parametrize(
    "option", [("--fields", "nope"), ("--sort", "nope"), ("-o", "xml"), ("--limit", "x")]
)
@pytest.mark.parametrize("verb", [("job", "run", "monthly-usage"), ("job", "run", "monthly-usage", "-n")])
def test_a_wrong_option_is_refused_before_a_job_runs(
    demo_conninfo: str, verb: tuple[str, ...], option: tuple[str, ...]
) -> None:
    """Nobody waits for a run to be told of a typing error, and nothing is recorded."""
    refused = invoke(demo_conninfo, *verb, *option)
    assert (refused.code, refused.out) == (2, "")
    assert runs(demo_conninfo) == []


def test_db_tables(computed: str) -> None:
    """All tables are listed by area, and what each is used for is said whole in a pipe."""
    rows = data(invoke(computed, "db", "tables", "--json"))
    assert isinstance(rows, list)
    tables = {row["table"]: row for row in rows}
    assert len(tables) == 50
    assert tables["conversations"]["is_present"] is True
    assert tables["conversations"]["rows"] > 0
    assert tables["conversations"]["last_event"].endswith("Z")
    assert tables["system_logs"]["used_for"] == "unused by the app: nothing writes it"


def test_db_tables_of_a_database_without_some(empty_conninfo: str) -> None:
    """Tables that are missing are listed as such."""
    with psycopg.connect(empty_conninfo) as connection:
        connection.execute("CREATE TABLE avatars (id uuid, created_at timestamptz)")
    rows = data(invoke(empty_conninfo, "db", "tables", "--json"))
    assert isinstance(rows, list)
    assert [row["table"] for row in rows if row["is_present"]] == ["avatars"]


def test_db_tables_where_a_time_is_infinite(empty_conninfo: str) -> None:
    """The latest event is the latest there was; what was dated to infinity is none."""
    with psycopg.connect(empty_conninfo) as connection:
        connection.execute("CREATE TABLE avatars (id uuid, created_at timestamptz)")
        connection.execute(
            "INSERT INTO avatars (created_at) VALUES ('infinity'), ('2025-05-01Z'), ('-infinity')"
        )
    shown = invoke(empty_conninfo, "db", "tables", "--json")
    rows = data(shown)
    assert isinstance(rows, list)
    assert {row["last_event"] for row in rows if row["is_present"]} == {"2025-05-01T00:00:00Z"}


def test_db_status(computed: str) -> None:
    """A migrated database is at the newest revision, and nothing differs."""
    status = data(invoke(computed, "db", "status", "--json"))
    assert isinstance(status, dict)
    assert (status["state"], status["pending"], status["drift"]) == ("panel", [], [])
    assert (status["login"], status["sees_all_rows"]) == ("postgres", True)


def test_db_migrate(panel_conninfo: str) -> None:
    """A dry run says what is pending and changes nothing; then all is applied, once."""
    before = contents(panel_conninfo)
    dry = invoke(panel_conninfo, "db", "migrate", "-n")
    assert contents(panel_conninfo) == before
    assert dry.err.startswith("would apply 0001\n")
    done = invoke(panel_conninfo, "db", "migrate")
    assert (done.code, done.err) == (0, dry.err.replace("would apply", "applied"))
    assert invoke(panel_conninfo, "db", "migrate").err.startswith("already at ")


def test_db_migrate_as_a_script(seed_conninfo: str) -> None:
    """The script needs no database to be written, and brings one to the same state."""
    script = invoke(None, "db", "migrate", "--sql")
    with psycopg.connect(seed_conninfo, autocommit=True) as connection:
        connection.execute(script.out.encode())
    assert invoke(seed_conninfo, "db", "status").code == 0


def test_the_local_database_from_nothing_to_nothing(tmp_path: Path) -> None:
    """The demo is loaded, migrated, computed and shown, then stopped and deleted, as README tells."""
    env = {"XDG_DATA_HOME": str(tmp_path), "AVATARLAB_PROFILE": "demo"}
    empty = invoke(None, "demo", "snapshots", env=env)
    assert (empty.code, empty.out) == (7, "")
    assert "run: avatarlab demo load" in empty.err
    load = ("demo", "load", "--users", "20", "--months", "2", "--until", "2025-06-15T12:00Z")
    loaded = invoke(None, *load, "--csv", env=env)
    try:
        assert "auth.users,20\n" in loaded.out
        assert "avatarlab --profile demo db migrate" in loaded.err
        assert invoke(None, "demo", "snapshots", env=env) == Outcome(
            78, "", "avatarlab: the database has not been migrated\nrun: avatarlab db migrate\n"
        )
        refused = invoke(None, *load, env=env)
        assert (refused.code, refused.out) == (7, "")
        assert "--replace" in refused.err
        assert invoke(None, *load, "--replace", env=env).code == 6
        assert invoke(None, *load, "--replace", "--yes", "--csv", env=env).out == loaded.out
        assert invoke(None, "db", "migrate", env=env).code == 0
        told = invoke(None, "demo", "snapshots", "--days", "10", "--csv", env=env)
        assert (told.code, "database_daily,135\n" in told.out) == (0, True)
        again = invoke(None, "demo", "snapshots", "--days", "10", "--csv", "--fields", "rows", env=env)
        assert again.out == "rows\n0\n0\n"
        assert invoke(None, "job", "run", "monthly-usage", env=env).code == 0
        assert invoke(None, "usage", "month", "--month", "2025-06", "-o", "count", env=env).out != "0\n"
        assert invoke(None, "db", "stop", env=env).err == "stopped\n"
        assert invoke(None, "db", "stop", env=env).err == "it was not running\n"
        assert invoke(None, "db", "start", env=env).code == 0
        assert invoke(None, "usage", "month", "--month", "2025-06", "-o", "count", env=env).out != "0\n"
    finally:
        gone = invoke(None, "db", "reset", "--yes", env=env)
    assert gone == Outcome(0, "", "deleted\n")
    assert not (tmp_path / "avatarlab" / "postgres" / "demo").exists()


def test_local_verbs_leave_other_databases_alone(known: str) -> None:
    """Stop and reset are for the local PostgreSQL; on any other database they are a usage error."""
    for verb in ("start", "stop", "reset"):
        refused = invoke(known, "db", verb)
        assert (refused.code, refused.out) == (2, "")
        assert "local PostgreSQL alone" in refused.err


def test_local_verbs_mean_the_demo_where_nothing_is_configured(tmp_path: Path) -> None:
    """Without a database named anywhere, the only one they can mean is the demo's."""
    done = invoke(None, "db", "stop", env={"XDG_DATA_HOME": str(tmp_path)})
    assert done == Outcome(0, "", "it was not running\n")


def test_config_show(tmp_path: Path) -> None:
    """Each setting's value has its origin, the nearest wins, and secrets are masked."""
    user = tmp_path / "avatarlab" / "config.yaml"
    user.parent.mkdir()
    user.write_text("color: never\nlock_timeout: 1s\n")
    env = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "AVATARLAB_DATABASE_URL": "postgresql://ada:s3cr3t-value@db/app",
        "AVATARLAB_LOCK_TIMEOUT": "2s",
        "AVATARLAB_WEBHOOK_URL": "https://hooks.example.com/services/s3cr3t",
    }
    shown = invoke(
        None,
        "config",
        "show",
        "--origin",
        "--csv",
        "--fields",
        "setting,value,origin",
        "--color",
        "auto",
        env=env,
    )
    assert "s3cr3t" not in shown.out
    lines = shown.out.splitlines()
    assert lines[0] == "setting,value,origin"
    assert {
        "database_url,postgresql://ada:***@db/app,environment AVATARLAB_DATABASE_URL",
        "color,auto,flag",
        "lock_timeout,2s,environment AVATARLAB_LOCK_TIMEOUT",
        "webhook_url,https://hooks.example.com/***,environment AVATARLAB_WEBHOOK_URL",
        "statement_timeout,60s,default",
        "rates_file,,",
    } <= set(lines)
    del env["AVATARLAB_LOCK_TIMEOUT"]
    assert (
        f"lock_timeout,1s,{user}"
        in invoke(None, "config", "show", "--csv", "--fields", "setting,value,origin", env=env).out
    )


def test_global_options_work_on_either_side_of_the_verb(known: str) -> None:
    """An option for all commands means the same before the noun, between, and at the end."""
    arguments = ["usage", "top", "--by", "images_generated", "--fields", "email", "--month", "2025-06"]
    shown = [
        invoke(known, *arguments[:at], "-o", "json", *arguments[at:]).out for at in (0, 1, 2, len(arguments))
    ]
    assert set(shown) == {'[\n  {"email": "ada@example.com"},\n  {"email": "Eve@example.org"}\n]\n'}


def test_show_sql_goes_to_stderr(known: str) -> None:
    """The statement is shown beside the data, not in it."""
    plain, shown = (invoke(known, *TOP, *more) for more in ((), ("--show-sql",)))
    assert shown.out == plain.out
    assert "FROM monthly_usage" in shown.err


@pytest.mark.parametrize("columns", [100, 140])
def test_a_table_fits_the_terminal(computed: str, columns: int) -> None:
    """Texts give way until a table fits, at any width that leaves them some room."""
    shown = terminal(computed, "db", "tables", "--color", "never", columns=columns)
    lines = shown.out.splitlines()
    assert (shown.code, len(lines)) == (0, 51)
    assert max(map(len, lines)) <= columns


def test_asking_on_a_terminal(computed: str, tmp_path: Path) -> None:
    """A question is answered on the terminal; a no leaves everything as it is."""
    env = {"XDG_DATA_HOME": str(tmp_path), "AVATARLAB_PROFILE": "demo"}
    refused = terminal(None, "db", "reset", answer="n\n", env=env)
    assert refused.code == 6
    assert "Delete the local database" in refused.out
    assert "[y/N]" in refused.out
    assert invoke(computed, "db", "status").code == 0


def test_data_never_commands_a_terminal(known: str, migrated_panel_conninfo: str) -> None:
    """Escape sequences in an address are shown on a terminal and handed on unchanged in a pipe."""
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute("INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), E'a\\x1b[31m@x')")
        connection.execute(
            "INSERT INTO monthly_usage (user_id, usage_month, images_generated) SELECT id, '2025-06-01', 1 FROM auth.users"
        )
    arguments = ("usage", "top", "--by", "images_generated", "--fields", "email", "--month", "2025-06")
    assert r"a\x1b[31m@x" in terminal(migrated_panel_conninfo, *arguments, "--color", "never").out
    assert process(migrated_panel_conninfo, *arguments, "--csv").out == "email\na\x1b[31m@x\n"
    assert process(known, *arguments, "--csv").code == 0
