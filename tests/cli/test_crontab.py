"""The crontab's lines, run as cron runs them: by sh, in an environment that holds next to nothing."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from jobs.registry import BY_NAME, SCHEDULED
from jobs.timers import crontab, program
from tests.conftest import created_database

FLOCK = "/usr/bin/flock"
# What cron gives a command of its own accord.
OWN = {"LOGNAME": "avatarlab", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
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
        if match := re.fullmatch(r"([A-Z]+)=(.*)", line):
            settings[match[1]] = match[2]
        elif line and not line.startswith("#"):
            parts = line.split(maxsplit=6 if has_user else 5)
            assert not has_user or parts[5] == "avatarlab"
            found.append(Line(" ".join(parts[:5]), parts[-1].replace(r"\%", "%")))
    return settings, found


@pytest.fixture(scope="module")
def table() -> tuple[dict[str, str], list[Line]]:
    """The file for the system, of this installation."""
    return lines(crontab.system(program.installed({}), FLOCK, "avatarlab"), has_user=True)


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
    """Every job and check has one line, every hour at its minute; a user's own crontab has the same ones."""
    settings, found = table
    assert [line.fields for line in found] == [f"{entry.schedule.minute} * * * *" for entry in SCHEDULED]
    assert settings["TZ"] == "UTC"
    assert lines(crontab.block(program.installed({}), FLOCK), has_user=False)[1] == found


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
    asked = re.search(r'\[ "(\$\(.*?\))" != 04 \]', crontab.block(program.installed({}), FLOCK))
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
