"""A change of tier for many users out of a CSV, each with its audit entry, against the same in plain SQL run by psql.

Run as `python -m benchmarks.bulk [--users N] [--rows N] [--rounds N]`. Each run moves the same users to the other of
two tiers, so that every one of them changes. By hand, no row is looked at before or after.
"""

import argparse
import itertools
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from avatarlab_cli.embedded import EmbeddedServer
from benchmarks import measure

TOOL, HAND = "avatarlab tier set", "by hand"
ADMIN = "admin@example.com"
MOST_SECONDS = 60
FEW_ROWS, MANY_ROWS = 1_000, 50_000
# Far below what the rows would take: they are not kept.
MOST_MORE_MEGABYTES = 40


class Mover:
    """Moves the users of a CSV from one tier to the other and back."""

    def __init__(self, conninfo: str, file: Path, rows: int) -> None:
        self.conninfo, self.file, self.rows = conninfo, file, rows
        self._tiers = itertools.cycle(("pro", "starter"))
        statement = f"COPY (SELECT id, email FROM auth.users WHERE email <> '{ADMIN}' ORDER BY id LIMIT {rows}) TO STDOUT CSV HEADER"
        with psycopg.connect(conninfo) as connection, connection.cursor().copy(statement.encode()) as copy:
            file.write_bytes(b"".join(copy))

    def command(self) -> list[str]:
        """Return the tool's command for the next move."""
        program = str(Path(sysconfig.get_path("scripts")) / "avatarlab")
        return [
            program,
            "-q",
            "tier",
            "set",
            "--from-csv",
            str(self.file),
            next(self._tiers),
            "--yes",
            "--csv",
        ]

    def by_tool(self) -> None:
        """Move them by the tool."""
        measure.run(self.command())

    def by_hand(self) -> None:
        """Move them in plain SQL."""
        script = str(Path(__file__).with_name("bulk.sql"))
        command = measure.psql(self.conninfo, "-f", script, tier=next(self._tiers))
        with self.file.open("rb") as stream:
            subprocess.run(command, stdin=stream, stdout=subprocess.DEVNULL, check=True)

    def demand_entries(self, moves: int) -> None:
        """Exit where there are not as many entries as users moved, so many times."""
        with psycopg.connect(self.conninfo) as connection:
            ((count,),) = connection.execute("SELECT count(*) FROM admin_audit_logs").fetchall()
        if count != moves * self.rows:
            sys.exit(f"{count} entries for {moves} moves of {self.rows} users")


def main() -> None:
    """Measure, print, and exit with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=10_000, help="users to move in one command")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.environ["AVATARLAB_ADMIN"] = ADMIN
    with measure.server() as server, TemporaryDirectory(prefix="avatarlab-bench-") as directory:
        conninfo = fill(server, given.users)
        os.environ["AVATARLAB_DATABASE_URL"] = conninfo
        mover = Mover(conninfo, Path(directory) / "users.csv", given.rows)
        times = measure.take_turns({TOOL: mover.by_tool, HAND: mover.by_hand}, given.rounds)
        mover.demand_entries(2 * (given.rounds + 1))
        measure.show(times, HAND)
        megabytes = {rows: peak(conninfo, directory, rows) for rows in (FEW_ROWS, given.rows, MANY_ROWS)}
    print(", ".join(f"{rows:,} rows: {size:.0f} MB" for rows, size in megabytes.items()))
    more = megabytes[MANY_ROWS] - megabytes[FEW_ROWS]
    measure.conclude(
        measure.Promise(f"seconds for {given.rows:,} users", times[TOOL].median, MOST_SECONDS),
        measure.Promise(f"MB more for {MANY_ROWS:,} rows than {FEW_ROWS:,}", more, MOST_MORE_MEGABYTES),
    )


def fill(server: EmbeddedServer, users: int) -> str:
    """Create a platform with so many users and return its connection string."""
    conninfo = measure.create_platform(server, "bulk")
    script = str(Path(__file__).with_name("bulk_platform.sql"))
    measure.run(measure.psql(conninfo, "-f", script, users=users))
    return conninfo


def peak(conninfo: str, directory: str, rows: int) -> float:
    """Return the most memory the tool holds while it moves so many users, in MB."""
    mover = Mover(conninfo, Path(directory) / f"{rows}.csv", rows)
    return measure.peak_bytes(mover.command()) / 1e6


if __name__ == "__main__":
    main()
