"""The crontab's lines, run as cron runs them: by sh, in an environment that holds next to nothing."""

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from jobs.registry import BY_NAME, SCHEDULED
from jobs.timers import crontab, program, units
from tests.conftest import created_database
from tests.listening import Listener

FLOCK = "/usr/bin/flock"
TOOLS = crontab.Tools(FLOCK, "/usr/bin/timeout")
STATE = Path("/var/lib/avatarlab-cron")
# What cron gives a command of its own accord.
OWN = {"LOGNAME": "avatarlab", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
# Somebody who had one image made where none is allowed.
OVER = """
    WITH tier AS (UPDATE subscription_tiers SET limits = '{"images_generated": 0}'),
         one AS (INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'a@example.com') RETURNING id)
    INSERT INTO avatarlab_admin.usage_daily (day, user_id, definition_version, images_generated)
    SELECT (now() AT TIME ZONE 'UTC')::date, id, 1, 1 FROM one
"""
ENTRIES = {entry.name: entry for entry in SCHEDULED}


@dataclass(frozen=True)
class Line:
    """A line of a crontab: its five fields, and the command as cron hands it to the shell."""

    fields: str
    command: str


def lines(text: str, *, has_user: bool) -> tuple[dict[str, str], list[Line]]:
    """Return the variables a crontab sets and its lines, read as crontab(5) says."""
    settings, found = {}, []
    for line in text.splitlines():
        assert "%" not in re.sub(r"\\%", "", line), "a bare % ends the command"
        if match := re.fullmatch(r"([A-Z_]+)=(.*)", line):
            settings[match[1]] = match[2]
        elif line and not line.startswith("#"):
            parts = line.split(maxsplit=6 if has_user else 5)
            assert not has_user or parts[5] == "avatarlab"
            found.append(Line(" ".join(parts[:5]), parts[-1].replace(r"\%", "%")))
    return settings, found


@pytest.fixture(scope="module")
def table() -> tuple[dict[str, str], list[Line]]:
    """The file for the system, of this installation."""
    return lines(crontab.system(program.installed({}), TOOLS, "avatarlab", STATE), has_user=True)


@pytest.fixture
def platform(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """A migrated platform on which nothing has happened yet."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        yield conninfo


@pytest.fixture
def home(platform: str, tmp_path: Path) -> Path:
    """The home of a user who may read the database's URL, and whose clock's hour can be set."""
    config = tmp_path / ".config/avatarlab"
    config.mkdir(parents=True)
    secret = config / "database_url"
    secret.touch(0o600)
    secret.write_text(platform)
    (config / "config.yaml").write_text(f"database_url_file: {secret}\n")
    return tmp_path


def run(
    command: str, settings: Mapping[str, str], home: Path, hour: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a command as cron does; with an `hour`, that is what date(1) says it is."""
    variables = {**OWN, **settings, "HOME": str(home)}
    if hour is not None:
        date = home / "date"
        date.write_text(f'#!/bin/sh\n[ "$*" = "-u +%H" ] && echo {hour}\n')
        date.chmod(0o755)
        variables["PATH"] = f"{home}:{variables['PATH']}"
    pairs = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(
        ["/usr/bin/env", "-i", *pairs, "sh", "-c", command],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def runs(conninfo: str) -> list[str]:
    with psycopg.connect(conninfo) as connection:
        return [
            row[0]
            for row in connection.execute(
                "SELECT job FROM avatarlab_admin.job_runs WHERE status = 'succeeded' ORDER BY started_at"
            )
        ]


def locks() -> list[str]:
    """Return the kernel's list of locks; -> is somebody who waits for one."""
    return Path("/proc/locks").read_text().splitlines()


def test_both_crontabs_have_a_line_for_each(table: tuple[dict[str, str], list[Line]]) -> None:
    """Every job and check has one line, every hour at its minute; a user's own has the same, with its variables in each."""
    settings, found = table
    assert [line.fields for line in found] == [f"{entry.schedule.minute} * * * *" for entry in SCHEDULED]
    assert settings["TZ"] == "UTC"
    own = f"export TZ=UTC PATH={settings['PATH']}; "
    # Set for the block, they would hold for the lines after it.
    assert lines(crontab.block(program.installed({}), TOOLS), has_user=False) == (
        {},
        [Line(line.fields, own + line.command) for line in found],
    )


def test_a_line_of_a_users_own(platform: str, home: Path) -> None:
    """It runs in UTC and finds its programs, whatever the crontab around it sets."""
    found = lines(crontab.block(program.installed({}), TOOLS), has_user=False)[1]
    (home / "bin").mkdir()
    (home / "bin/sh").symlink_to("/bin/sh")
    elsewhere = {"TZ": "Asia/Kathmandu", "PATH": str(home / "bin")}
    done = run(found[list(ENTRIES).index("check-limits")].command, elsewhere, home, None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert runs(platform) == ["check-limits"]
    asked = run(found[0].command.partition("; ")[0] + "; echo $TZ; command -v date", elsewhere, home, None)
    assert asked.stdout.splitlines()[0] == "UTC"
    assert asked.stdout.splitlines()[1].endswith("/date")


@pytest.mark.parametrize("name", ENTRIES)
def test_each_line_runs_as_cron_runs_it(
    table: tuple[dict[str, str], list[Line]], platform: str, home: Path, name: str
) -> None:
    """In its hour a line does what it is for, and prints nothing; a job is recorded, after those it follows."""
    settings, found = table
    entry = ENTRIES[name]
    before = len(runs(platform))
    hour = entry.schedule.hour
    done = run(
        found[list(ENTRIES).index(name)].command, settings, home, None if hour is None else f"{hour:02}"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    expected = [words[2] for words in (*entry.first, entry.words)] if name in BY_NAME else []
    assert runs(platform)[before:] == expected


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.schedule.hour is not None])
def test_what_is_daily_waits_for_its_hour(
    table: tuple[dict[str, str], list[Line]], platform: str, home: Path, name: str
) -> None:
    """In the hours before and after its own, by UTC, a line does nothing and prints nothing."""
    settings, found = table
    hour = ENTRIES[name].schedule.hour
    assert hour is not None
    before = runs(platform)
    for other in ((hour - 1) % 24, (hour + 1) % 24):
        done = run(found[list(ENTRIES).index(name)].command, settings, home, f"{other:02}")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert runs(platform) == before


def test_the_hour_is_that_of_utc(home: Path) -> None:
    """Whatever time zone a user's crontab or the host sets, the hour asked for is the one in UTC."""
    asked = re.search(r'\[ "(\$\(.*?\))" != 04 \]', crontab.block(program.installed({}), TOOLS))
    assert asked is not None
    command = f"echo {asked[1]}".replace(r"\%", "%")
    told = {
        run(command, {"TZ": zone}, home, None).stdout
        for zone in ("UTC", "Asia/Kathmandu", "America/New_York")
    }
    # The hour may end in between.
    assert len(told) <= 2
    assert told & {run("date -u +%H", {}, home, None).stdout}


def test_a_line_waits_for_the_one_before_it(
    table: tuple[dict[str, str], list[Line]], platform: str, home: Path
) -> None:
    """While another line of this host works, one waits, and then does its work in silence."""
    settings, found = table
    path = program.installed({}).path
    held = home / "held"
    os.mkfifo(held)
    holder = subprocess.Popen([FLOCK, "--close", path, "sh", "-c", f"read line < {held}"])
    with open(held, "w") as release:  # noqa: PTH123 (it blocks until the holder has the lock)
        before = len(runs(platform))
        waiting = subprocess.Popen(
            ["/bin/sh", "-c", found[0].command],
            env={**OWN, **settings, "HOME": str(home)},
            stderr=subprocess.PIPE,
        )
        # It has begun to wait once the kernel says that somebody does.
        while not any("->" in each and f":{path.stat().st_ino} " in each for each in locks()):
            assert waiting.poll() is None
        assert len(runs(platform)) == before
        release.write("go\n")
    _, err = waiting.communicate(timeout=60)
    assert (holder.wait(), waiting.returncode, err) == (0, 0, b"")
    assert runs(platform)[before:] == ["monthly-usage"]


def test_a_line_that_waits_in_vain_says_so(
    table: tuple[dict[str, str], list[Line]], platform: str, home: Path
) -> None:
    """One sentence for cron to mail, and the exit code of what gave way; nothing is run."""
    settings, found = table
    command = found[list(ENTRIES).index("check-limits")].command
    assert "--wait 1800 " in command
    with program.installed({}).path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = run(command.replace("--wait 1800", "--wait 0.1"), settings, home, None)
    said = "avatarlab: check-limits gives up, as another line still works after 30 minutes\n"
    assert (done.returncode, done.stdout, done.stderr) == (75, "", said)
    assert runs(platform) == []


def test_a_run_that_hangs_is_ended(home: Path) -> None:
    """It has as long as a unit, and after that a while to end; then it is killed, and cron has something to mail."""
    hanging = home / "hanging"
    hanging.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")
    hanging.chmod(0o755)
    settings, found = lines(
        crontab.system(program.Program(hanging), TOOLS, "avatarlab", STATE), has_user=True
    )
    unit = units.render(program.Program(hanging), is_user=True)["avatarlab-check-limits.service"]
    assert {"TimeoutStartSec=3h", "TimeoutStopSec=15min"} <= set(unit.splitlines())
    command = found[list(ENTRIES).index("check-limits")].command
    assert "--kill-after=15m 3h " in command
    done = run(command.replace("--kill-after=15m 3h", "--kill-after=0.2 0.2"), settings, home, None)
    assert done.returncode == 137
    assert "sending signal KILL" in done.stderr


def test_what_was_told_is_remembered(
    table: tuple[dict[str, str], list[Line]], platform: str, home: Path, monitor: Listener
) -> None:
    """With a webhook a line is silent and tells a finding once; where that cannot be kept it says which run told it again."""
    settings, found = table
    command = found[list(ENTRIES).index("check-limits")].command
    secret = home / ".config/avatarlab/webhook_url"
    secret.touch(0o600)
    secret.write_text(f"{monitor.url}/services/x")
    with (home / ".config/avatarlab/config.yaml").open("a") as config:
        config.write(f"webhook_url_file: {secret}\n")
    with psycopg.connect(platform) as connection:
        connection.execute(OVER)
    assert settings["STATE_DIRECTORY"] == str(STATE)
    (home / "file").touch()
    told, warnings = [], []
    for place in ("state", "file"):
        for _ in range(2):
            done = run(command, {**settings, "STATE_DIRECTORY": str(home / place)}, home, None)
            assert (done.returncode, done.stdout) == (0, "")
            told.append(len(monitor.requests))
            warnings += [json.loads(line) for line in done.stderr.splitlines()]
            # As if it were the next slot.
            with psycopg.connect(platform) as connection:
                connection.execute("UPDATE avatarlab_admin.job_runs SET is_scheduled = false")
    assert told == [1, 1, 2, 3]
    with psycopg.connect(platform) as connection:
        ids = connection.execute(
            "SELECT id::text FROM avatarlab_admin.job_runs ORDER BY started_at"
        ).fetchall()
    assert [(line["event"], line["job"], line["run"]) for line in warnings] == [
        ("what is told is not remembered", "check-limits", run_id) for (run_id,) in ids[2:]
    ]
