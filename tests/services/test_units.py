"""The units as systemd's own tools see them: without fault, shut in, and due when the schedule says."""

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.registry import SCHEDULED
from jobs.schedule import Schedule
from jobs.timers import units
from jobs.timers.program import Program
from tests.services.conftest import demand

pytestmark = pytest.mark.services

ANALYZE = Path("/usr/bin/systemd-analyze")
# Of 100; a service that does nothing about it has 96.
MOST_EXPOSED = 20
SERVICES = sorted(
    name for name in units.render(Program(Path("/bin/true")), is_user=False) if "service" in name
)
# Clocks go forward in Berlin one hour after this moment, and in New York they have.
NIGHT = datetime(2026, 3, 29, 0, 3, tzinfo=UTC)


@pytest.fixture(params=[False, True], ids=["system", "user"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The units written for a program there is."""
    return write(tmp_path, is_user=request.param)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """The units of the system's manager, written for a program there is."""
    return write(tmp_path, is_user=False)


def write(place: Path, *, is_user: bool) -> Path:
    for name, text in units.render(Program(Path("/bin/true")), is_user=is_user).items():
        (place / name).write_text(text)
    return place


def analyze(*words: str, zone: str = "UTC") -> subprocess.CompletedProcess[str]:
    demand(ANALYZE, "systemd")
    environment = {**os.environ, "TZ": zone, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return subprocess.run(
        [ANALYZE, *words], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def verify(directory: Path) -> subprocess.CompletedProcess[str]:
    return analyze("--man=no", "verify", *map(str, sorted(directory.iterdir())))


def test_systemd_finds_nothing_wrong(directory: Path) -> None:
    """No unit has a word that systemd does not know, a command that is not there, or a reference to nothing."""
    done = verify(directory)
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "avatarlab" in line] == []


@pytest.mark.parametrize(
    ("unit", "before", "after"),
    [
        ("avatarlab-verify.service", "ProtectHome=true", "ProtectHomes=true"),
        ("avatarlab-verify.service", "ExecStart=/bin/true", "ExecStart=/bin/nowhere"),
        ("avatarlab-verify.timer", "*-*-* 04:47:00 UTC", "*-*-* 04:77:00 UTC"),
        ("avatarlab-failed@.service", "TimeoutStartSec=2min", "TimeoutStartSec=soon"),
    ],
)
def test_systemd_finds_what_is_wrong(system: Path, unit: str, before: str, after: str) -> None:
    """The same look finds a mistake."""
    text = (system / unit).read_text()
    assert before in text
    (system / unit).write_text(text.replace(before, after))
    done = verify(system)
    assert [line for line in done.stderr.splitlines() if unit in line]


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_shut_in(system: Path, name: str) -> None:
    """What systemd counts as exposed stays under 2.0; without the part of the system's manager it does not."""
    threshold = ("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager")
    done = analyze(*threshold, str(system / name))
    assert done.returncode == 0, done.stdout + done.stderr
    bare = write(system, is_user=True)
    assert analyze(*threshold, str(bare / name)).returncode != 0


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
def test_timers_are_due_by_the_schedule(system: Path, zone: str) -> None:
    """In whichever time zone, and where clocks change, systemd reckons the slots that the toolkit reckons."""
    for entry in SCHEDULED:
        timer = (system / units.timer_of(entry)).read_text()
        calendar = re.findall(r"^OnCalendar=(.*)$", timer, re.MULTILINE)
        assert len(calendar) == 1
        assert due(calendar[0], zone) == slots(entry.schedule), entry.name


def due(calendar: str, zone: str) -> list[datetime]:
    """Return the next three moments of a calendar, as systemd reckons them in a time zone."""
    base = f"--base-time={NIGHT:%Y-%m-%d %H:%M:%S} UTC"
    done = analyze("calendar", "--iterations=3", base, calendar, zone=zone)
    assert done.returncode == 0, done.stderr
    # Where the zone is another, the same moment is told in UTC below.
    label = "Next elapse|Iter. #\\d+" if zone == "UTC" else r"\(in UTC\)"
    found = re.findall(rf"(?:{label}): \w+ (\S+ \S+) UTC", done.stdout.replace("Iteration", "Iter."))
    return [datetime.fromisoformat(f"{moment}+00:00") for moment in found]


def slots(schedule: Schedule) -> list[datetime]:
    first = schedule.after(NIGHT)
    step = timedelta(hours=1) if schedule.hour is None else timedelta(days=1)
    return [first, first + step, first + 2 * step]
