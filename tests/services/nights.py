"""A bad night: timers on two hosts start runs all the while, and everything that can break does.

The process that starts the runs has all modules loaded and forks for each; a test tells it what to do, and judges.
"""

import json
import os
import platform
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import psycopg

from jobs.schedule import Schedule
from jobs.slots import VARIABLE
from tests.database import chaos
from tests.services.conftest import PGBOUNCER, PORT, POSTGRES, run_as_service

SLOT_SECONDS = 3
HOSTS = ("adam", "bela")
# What is run, each with how often; `verify` and `close-month` look at all that the others left.
JOBS = {
    "monthly-usage": 6,
    "platform-statistics": 4,
    "storage-snapshot": 2,
    "check-limits": 2,
    "verify": 1,
    "close-month": 1,
}
# What happens while they run, each with how often.
TROUBLES = {
    "nothing": 5,
    "told to end": 5,
    "told twice": 2,
    "killed": 5,
    "hung": 2,
    "reading only": 2,
    "connections dropped": 4,
    "database restarted": 3,
    "pooler killed": 3,
}
LIMITS = {
    "AVATARLAB_LOCK_TIMEOUT": "500ms",
    "AVATARLAB_IDLE_IN_TRANSACTION_SESSION_TIMEOUT": "1s",
    "AVATARLAB_JOB_RETRY_WITHIN": "20s",
    "AVATARLAB_LOG_FORMAT": "json",
    "HOME": "/nonexistent",
}


@dataclass(frozen=True)
class Servers:
    """PostgreSQL and a PgBouncer before it, whose processes outlive whoever starts them."""

    home: Path

    @property
    def direct(self) -> str:
        """A connection string, without a database, to PostgreSQL."""
        return f"host={self.home} port={PORT} user=postgres"

    @property
    def pooled(self) -> str:
        """The same through the pooler."""
        return f"host={self.home / 'pooler'} port={PORT} user=postgres"

    def control(self, *words: str) -> None:
        """Start, stop or restart PostgreSQL."""
        own = ("-D", self.home / "data", "-l", self.home / "log", "-s", "-w", "-t", "30")
        run_as_service([POSTGRES / "pg_ctl", *words, *own])

    def start_pooler(self) -> None:
        """Start the pooler, over what a killed one left."""
        for left in (f".s.PGSQL.{PORT}", "pid"):
            (self.home / "pooler" / left).unlink(missing_ok=True)
        run_as_service([PGBOUNCER, "-q", "-d", self.home / "pooler" / "ini"])

    def kill_pooler(self) -> None:
        """Kill the pooler with everything it has in its hands."""
        with suppress(ProcessLookupError, FileNotFoundError):
            os.kill(int((self.home / "pooler" / "pid").read_text()), signal.SIGKILL)


@dataclass(frozen=True)
class Ended:
    """A run as whoever started it saw it: its process, and the code it ended with, or minus the signal that killed it."""

    pid: int
    host: str
    job: str
    code: int
    trouble: str
    log: str


@dataclass(frozen=True)
class Quick(Schedule):
    """A schedule whose slots follow one another by the second."""

    minute: int = 0

    def at_or_before(self, moment: datetime) -> datetime:
        """Return the latest slot."""
        return datetime.fromtimestamp(moment.timestamp() // SLOT_SECONDS * SLOT_SECONDS, UTC)


class Night:
    """Starts runs and breaks things, as chance has it."""

    def __init__(self, servers: Servers, database: str, seed: int) -> None:
        self.servers, self.database = servers, database
        self.chance = random.Random(seed)  # noqa: S311 (a test's choice, not a secret)
        self.running: dict[int, Ended] = {}
        self.ended: list[Ended] = []
        # When those that hang wake up.
        self.hung: dict[int, float] = {}

    def pass_by(self, count: int) -> list[Ended]:
        """Start so many runs, two hosts at once now and then, and return how they ended."""
        started = 0
        while started < count:
            (job,) = self.chance.choices(list(JOBS), list(JOBS.values()))
            for host in HOSTS if self.chance.random() < 0.4 else self.chance.sample(HOSTS, 1):
                self.start(job, host)
                started += 1
            time.sleep(self.chance.uniform(0, 0.3))
            (trouble,) = self.chance.choices(list(TROUBLES), list(TROUBLES.values()))
            self.trouble(trouble)
            self.look()
            while len(self.running) - len(self.hung) > 1:
                time.sleep(0.01)
                self.look()
        while self.running:
            time.sleep(0.01)
            self.look()
        return self.ended

    def start(self, job: str, host: str) -> None:
        """Start a run, now and then with a clock that is a day off, no place for its report, or nothing to keep."""
        off = self.chance.choice([0, 0, 0, 0, 0, 0, 0, 0, -1, 1])
        server = self.servers.pooled if self.chance.random() < 0.7 else self.servers.direct
        more = self.chance.choice(
            [[], [], [], [], ["--out", "/dev/full"], ["--dry-run", "--out", "/dev/full"]]
        )
        log = self.servers.home / f"{len(self.ended) + len(self.running)}-{job}-{host}.log"
        told = datetime.now(UTC) + timedelta(days=off)
        variables = {
            **LIMITS,
            "AVATARLAB_DATABASE_URL": f"{server} dbname={self.database}",
            VARIABLE: str(int(told.timestamp() * 1_000_000)),
        }
        pid = os.fork()
        if not pid:
            _become(["job", "run", job, "--scheduled", *more], variables, host, log)
        self.running[pid] = Ended(pid, host, job, 0, "nothing", str(log))

    def trouble(self, kind: str) -> None:
        """Let something happen."""
        if kind == "database restarted":
            self.servers.control("restart", "-m", "immediate")
        elif kind == "pooler killed":
            self.servers.kill_pooler()
            time.sleep(self.chance.uniform(0, 0.3))
            self.servers.start_pooler()
        elif kind == "connections dropped":
            ours = f"datname = '{self.database}' AND application_name LIKE 'avatarlab %'"
            self.tell(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
        elif kind == "reading only":
            self.tell(f"ALTER DATABASE {self.database} SET default_transaction_read_only = on")
            time.sleep(self.chance.uniform(0, 0.5))
            self.tell(f"ALTER DATABASE {self.database} RESET default_transaction_read_only")
        elif kind != "nothing" and self.running:
            self.befall(self.chance.choice(list(self.running)), kind)

    def tell(self, statement: str) -> None:
        """Tell PostgreSQL something, as an administrator."""
        with psycopg.connect(f"{self.servers.direct} dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)

    def befall(self, pid: int, kind: str) -> None:
        """Let something happen to a run's process."""
        self.running[pid] = replace(self.running[pid], trouble=kind)
        if kind == "hung":
            self.hung[pid] = time.monotonic() + self.chance.uniform(0, 2)
        os.kill(pid, {"killed": signal.SIGKILL, "hung": signal.SIGSTOP}.get(kind, signal.SIGTERM))
        if kind == "told twice":
            time.sleep(self.chance.uniform(0, 0.1))
            os.kill(pid, signal.SIGTERM)

    def look(self) -> None:
        """Take down which runs have ended, and wake those that have hung for long enough."""
        for pid in [pid for pid, until in self.hung.items() if until < time.monotonic()]:
            del self.hung[pid]
            if pid in self.running:
                os.kill(pid, signal.SIGCONT)
        for pid in list(self.running):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self.ended.append(replace(self.running.pop(pid), code=os.waitstatus_to_exitcode(status)))


def _become(words: list[str], variables: dict[str, str], host: str, log: Path) -> NoReturn:
    """Be the process that a timer on a host starts."""
    from avatarlab_cli.__main__ import run

    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Each process is to have its own luck.
    random.seed()
    os.environ.clear()
    os.environ.update(variables)
    platform.node = lambda: host
    code = 1
    try:
        run(words)
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def writing(conninfo: str, seed: int, writers: int = 2) -> Iterator[list[int]]:
    """Write to the platform's tables for the time of the block, over whatever befalls the server; counts transactions."""
    stop, counted = threading.Event(), list[int]()

    def write(name: str) -> None:
        attempt = 0
        while not stop.is_set():
            attempt += 1
            with suppress(psycopg.Error):
                chaos.write_until(stop, conninfo, f"{seed} {name} {attempt}", counted, pause=0.05)
            time.sleep(0.05)

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield counted
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def spend(servers: Servers, database: str, seed: int, count: int) -> list[Ended]:
    """Have a process of its own spend a night, and return how its runs ended."""
    command = [
        sys.executable,
        "-m",
        "tests.services.nights",
        str(servers.home),
        database,
        str(seed),
        str(count),
    ]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=300
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    return [Ended(**values) for values in json.loads(done.stdout)]


def main(home: str, database: str, seed: str, count: str) -> None:
    """Spend a night, and say how its runs ended."""
    import jobs.check_limits
    import jobs.close_month
    import jobs.monthly_usage
    import jobs.platform_statistics
    import jobs.storage_snapshot
    import jobs.verify  # noqa: F401 (imported once, for every child)
    from avatarlab_cli import main as _main  # noqa: F401 (likewise)
    from avatarlab_cli.rollup import dirty
    from commands import job as _job  # noqa: F401 (likewise)
    from jobs import patience
    from jobs.registry import BY_NAME

    dirty.BATCH, patience.LONGEST_WAIT_SECONDS = 100, 0.3
    for name, job in BY_NAME.items():
        BY_NAME[name] = replace(job, schedule=Quick())
    ended = Night(Servers(Path(home)), database, int(seed)).pass_by(int(count))
    sys.stdout.write(json.dumps([vars(one) for one in ended]))


if __name__ == "__main__":
    main(*sys.argv[1:])
