"""The timers on a machine of their own: a systemd booted in namespaces, beside this one, that runs real jobs.

Run by `make test-boot`; its name keeps it out of `make test-services`, for it takes rights a container seldom has. What
it mounts and writes is its own: the machine's /etc and /var lie below it and stay as they are.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.demo.install import install
from avatarlab_cli.demo.world import DemoOptions
from jobs.registry import SCHEDULED
from tests.conftest import created_database
from tests.services.conftest import demand, directory

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
PROGRAM = "/opt/avatarlab/bin/avatarlab"
PATIENCE_SECONDS = 30.0
# What systemd itself brings and the units refer to; nothing else of the machine is to start.
TARGETS = (
    *("basic", "sysinit", "timers", "sockets", "paths", "slices", "shutdown", "umount", "local-fs", "final"),
    *("network", "network-online", "time-set", "time-sync"),
)
VENDOR = (*(f"{name}.target" for name in TARGETS), "systemd-journald.service", "systemd-journald.socket")
# Process 1 of the new namespaces. A container does not share its mounts by itself, which credentials need.
SETUP = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir {home}/layers
mount -t tmpfs tmpfs {home}/layers
for place in etc var; do
    mkdir {home}/layers/$place {home}/layers/$place.work
    mount -t overlay -o lowerdir=/$place,upperdir={home}/layers/$place,workdir={home}/layers/$place.work overlay /$place
done
rm -rf /etc/systemd/system /etc/avatarlab /etc/credstore
mkdir -m 755 /etc/systemd/system /run/vendor /run/database
mkdir -m 700 /etc/credstore
mount --bind {database} /run/database
mkdir {home}/layers/opt
mount --bind {home}/opt /opt
mount --bind {python} /opt/python
mount --bind {packages} /opt/packages
mount -t tmpfs tmpfs /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
for unit in {vendor}; do ln -s /lib/systemd/system/$unit /run/vendor/; done
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nForwardToSyslog=no\\n' > /etc/systemd/journald.conf.d/tests.conf
mount --make-rshared /
export container=tests SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/vendor
exec {systemd} --unit=timers.target --log-target=console
"""


class Machine:
    """A booted systemd; what it is told runs as root in its namespaces."""

    def __init__(self, pid: int, console: Path) -> None:
        self._pid = pid
        self._console = console

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command and return what it wrote to stdout."""
        inside = ("nsenter", "--target", str(self._pid), "--mount", "--pid", "--uts", "--ipc", "--cgroup")
        plain = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C")
        done = subprocess.run(
            [*inside, *plain, *command], capture_output=True, text=True, check=False, timeout=120, cwd="/"
        )
        assert done.returncode == code, f"{command}: {done.stdout}{done.stderr}\n{self._console.read_text()}"
        return done.stdout

    def succeeds(self, *command: str) -> bool:
        """Tell whether a command ends with 0."""
        with suppress(AssertionError):
            self.run(*command)
            return True
        return False

    def write(self, path: str, text: str) -> None:
        """Write a file only root can read."""
        self.run("sh", "-c", f'umask 077; mkdir -p "$(dirname {path})"; printf %s "$1" > {path}', "sh", text)

    def journal(self, unit: str) -> str:
        """Return what a unit's processes have said."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"_SYSTEMD_UNIT={unit}")

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()


@pytest.fixture(scope="module")
def platform(debian_server: str) -> Iterator[str]:
    """A small migrated platform on PostgreSQL 15."""
    from avatarlab_cli.migrations import upgrade

    with created_database(debian_server, "template1") as conninfo:
        database = Database(conninfo)
        options = DemoOptions(users=20, months=2, seed=5, state="panel", until=datetime.now(UTC))
        install(database, options, replace=False)
        with database.engine.connect() as connection:
            upgrade(connection)
        yield conninfo


@pytest.fixture(scope="module")
def machine(platform: str) -> Iterator[Machine]:
    """A machine with the toolkit in /opt and the database's URL in the credential store; no timer is installed."""
    demand(SYSTEMD, "systemd")
    socket = Path(platform.partition("host=")[2].split()[0])
    # The data below it are closed by themselves.
    socket.chmod(0o711)
    with directory() as home:
        home.chmod(0o755)
        _lay_out(home / "opt")
        script = SETUP.format(
            home=home,
            database=socket,
            python=sys.base_prefix,
            packages=sysconfig.get_path("purelib"),
            vendor=" ".join(VENDOR),
            systemd=SYSTEMD,
        )
        with _booted(script, home) as machine:
            url = platform.replace(str(socket), "/run/database")
            machine.write("/etc/credstore/avatarlab.database_url", url)
            yield machine


def _lay_out(place: Path) -> None:
    """Make a directory an environment, once it lies at /opt and the interpreter and packages of this one are there."""
    home = place / "avatarlab"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = home / "lib" / version / "site-packages"
    for each in (site, home / "bin", place / "python", place / "packages"):
        each.mkdir(parents=True)
    (home / "pyvenv.cfg").write_text("home = /opt/python/bin\n")
    (home / "bin/python").symlink_to(f"/opt/python/bin/{version}")
    (site / "packages.pth").write_text("/opt/packages\n")
    for package in ("avatarlab_cli", "commands", "jobs", "config"):
        shutil.copytree(ROOT / package, site / package)
    program = home / "bin/avatarlab"
    program.write_text(
        "#!/opt/avatarlab/bin/python\nfrom avatarlab_cli.__main__ import run\nraise SystemExit(run())\n"
    )
    program.chmod(0o755)
    subprocess.run(["chmod", "-R", "a+rX", place], check=True)  # noqa: S607 (coreutils')


@contextmanager
def _booted(script: str, home: Path) -> Iterator[Machine]:
    group = _cgroup() / f"avatarlab-{os.getpid()}"
    group.mkdir()
    apart = "unshare --mount --pid --fork --kill-child --uts --ipc --cgroup --mount-proc sh -c"
    enter = f'echo 0 > {group}/cgroup.procs && exec {apart} "$1"'
    console = home / "console"
    with (
        console.open("wb") as output,
        subprocess.Popen(
            ["sh", "-c", enter, "sh", script],  # noqa: S607 (sh)
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
        ) as process,
    ):
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            wait(lambda: process.poll() is not None or bool(children.read_text()), "a process in namespaces")
            assert process.poll() is None, console.read_text()
            machine = Machine(int(children.read_text()), console)
            wait(lambda: machine.succeeds("systemctl", "is-active", "timers.target"), "systemd")
            machine.run("systemctl", "start", "systemd-journald.service")
            # Where an interpreter has a library of its own, it looks for it where it was before.
            moved = "[Service]\nEnvironment=LD_LIBRARY_PATH=/opt/python/lib\n"
            machine.write("/etc/systemd/system/avatarlab-.service.d/moved.conf", moved)
            yield machine
        finally:
            process.kill()
            process.wait()
            wait(lambda: _is_gone(group), "the end of all its processes")


def _cgroup() -> Path:
    """Return the directory of this process's control group, where the kernel's second version is mounted."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    place = next((Path(fields[4]) for fields in mounts if "cgroup2" in fields), None)
    own = [line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    if place is None or not own or os.geteuid() != 0:
        pytest.fail("to boot a systemd takes root, and control groups of version 2")
    return place / own[0].lstrip("/")


def _is_gone(group: Path) -> bool:
    try:
        for below in sorted(group.rglob("*/"), reverse=True):
            below.rmdir()
        group.rmdir()
    except OSError:
        return False
    return True


def wait(is_so: Callable[[], bool], what: str, why: Callable[[], str] = str) -> None:
    """Wait until something is so; fails after half a minute, with what there is to say then."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come in {PATIENCE_SECONDS:g} seconds. {why()}")
        time.sleep(0.1)


def runs(conninfo: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "SELECT job, status, os_user FROM avatarlab_admin.job_runs ORDER BY started_at"
        ).fetchall()


def test_a_timer_runs_a_job(machine: Machine, platform: str) -> None:
    """Installed by one command, a timer that is due runs its job as a user nobody has, with nothing but its credential."""
    machine.run(PROGRAM, "job", "timers", "install", "--systemd")
    machine.run(PROGRAM, "job", "timers", "check")
    timers = machine.run("systemctl", "list-timers", "--all", "--no-legend", "avatarlab-*")
    assert len(timers.splitlines()) == len(SCHEDULED)
    drop_in = "[Timer]\nOnCalendar=\nOnCalendar=*-*-* *:*:* UTC\nRandomizedDelaySec=0\n"
    machine.write("/etc/systemd/system/avatarlab-check-limits.timer.d/now.conf", drop_in)
    machine.run("systemctl", "daemon-reload")
    wait(
        lambda: ("check-limits", "succeeded", "avatarlab") in runs(platform),
        "a run of check-limits",
        lambda: machine.journal("avatarlab-check-limits.service"),
    )
    machine.run("rm", "-r", "/etc/systemd/system/avatarlab-check-limits.timer.d")
    machine.run("systemctl", "daemon-reload")
    # A drop-in is the administrator's own.
    machine.run(PROGRAM, "job", "timers", "check")


@pytest.mark.parametrize("name", [entry.name for entry in SCHEDULED])
def test_every_unit_does_its_work(machine: Machine, platform: str, name: str) -> None:
    """In its sandbox each service does what it is for, the jobs a job follows first, and says so in the journal alone."""
    entry = next(each for each in SCHEDULED if each.name == name)
    before = len(runs(platform))
    machine.run("systemctl", "start", f"avatarlab-{name}.service")
    assert machine.show(f"avatarlab-{name}.service", "Result") == "success"
    asked = [words[2] for words in (*entry.first, entry.words) if words[:2] == ("job", "run")]
    found = runs(platform)[before:]
    # The slot of check-limits is done already.
    assert found in ([(job, "succeeded", "avatarlab") for job in asked], [])
    assert found or name == "check-limits" or not asked


def test_what_failed_is_told(machine: Machine) -> None:
    """Without its credential a job is not tried again, and the unit that tells of it is started with what systemd knows."""
    machine.run("mv", "/etc/credstore/avatarlab.database_url", "/etc/credstore/elsewhere")
    unit = "avatarlab-close-month.service"
    machine.run("systemctl", "start", unit, code=1)
    assert machine.show(unit, "ActiveState") == "failed"
    assert machine.show(unit, "ExecMainStatus") == "78"
    teller = f"avatarlab-failed@{unit}.service"
    wait(lambda: machine.show(teller, "ExecMainExitTimestamp") != "", "the end of the unit that tells")
    assert machine.show(teller, "Result") == "success"
    machine.run("mv", "/etc/credstore/elsewhere", "/etc/credstore/avatarlab.database_url")


def test_a_run_is_begun_anew(machine: Machine) -> None:
    """While the database cannot be reached a run is tried four times, then told; afterwards the next one does its work."""
    unit = "avatarlab-storage-snapshot.service"
    machine.write(
        f"/etc/systemd/system/{unit}.d/soon.conf",
        "[Service]\nRestartSec=100ms\nEnvironment=AVATARLAB_JOB_RETRY_WITHIN=1s\n",
    )
    machine.run("systemctl", "daemon-reload")
    machine.run("mv", "/etc/credstore/avatarlab.database_url", "/etc/credstore/elsewhere")
    machine.write("/etc/credstore/avatarlab.database_url", "postgresql://nobody@127.0.0.1:1/nowhere")
    machine.run("systemctl", "reset-failed", unit)
    machine.run("systemctl", "start", "--no-block", unit)
    wait(lambda: machine.show(unit, "ActiveState") == "failed", "the last try")
    assert machine.show(unit, "NRestarts") == "4"
    assert machine.show(unit, "ExecMainStatus") == "69"
    wait(lambda: machine.show(f"avatarlab-failed@{unit}.service", "Result") == "success", "the telling")
    machine.run("mv", "/etc/credstore/elsewhere", "/etc/credstore/avatarlab.database_url")


def test_timers_of_a_user(machine: Machine, platform: str) -> None:
    """A user's own manager is given the same timers, and runs the jobs by the configuration in the user's home."""
    home = ("XDG_RUNTIME_DIR=/run/user/0", "HOME=/run/home")
    machine.run("mkdir", "-p", "--mode=700", "/run/user/0")
    where = [f"--property=Environment={pair}" for pair in home]
    manager = ("--unit=own.service", "--property=Delegate=yes", *where, str(SYSTEMD), "--user")
    machine.run("systemd-run", "--quiet", *manager, "--unit=timers.target")
    mine = ("env", *home, "systemctl", "--user")
    wait(lambda: machine.succeeds(*mine, "is-active", "timers.target"), "the user's manager")
    url = platform.replace(platform.partition("host=")[2].split()[0], "/run/database")
    machine.write("/run/home/.config/avatarlab/config.yaml", f"database_url: {url}\n")
    machine.run("env", *home, PROGRAM, "job", "timers", "install", "--systemd", "--user")
    machine.run("env", *home, PROGRAM, "job", "timers", "check", "--user")
    before = len(runs(platform))
    machine.run(*mine, "start", "avatarlab-verify.service")
    assert [run[0] for run in runs(platform)[before:]][:2] == ["monthly-usage", "platform-statistics"]
    machine.run("env", *home, PROGRAM, "job", "timers", "remove", "--user")
    assert machine.run("find", "/run/home/.config/systemd", "-name", "avatarlab-*") == ""


def test_nothing_is_left(machine: Machine) -> None:
    """Removed, no unit of the toolkit's is known to systemd."""
    machine.run(PROGRAM, "job", "timers", "remove")
    assert machine.run("systemctl", "list-unit-files", "--no-legend", "avatarlab-*", code=1) == ""
    assert machine.run("find", "/etc/systemd/system", "-name", "avatarlab-*", "!", "-name", "*.d") == ""
