r"""A large report exported as CSV, against psql's own \copy of the same SELECT.

Run as `python -m benchmarks.export [--rows N] [--rounds N]`. Both are whole processes, and write equal files.
"""

import argparse
import filecmp
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from avatarlab_cli.embedded import EmbeddedServer
from benchmarks import measure

MONTH = measure.TODAY.replace(day=1)
TOOL, PSQL = "avatarlab", "psql \\copy"
MOST_TIMES_PSQL = 1.3
MOST_MEGABYTES = 100


def main() -> None:
    """Measure, print, and exit with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="users with usage in the month")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with measure.server() as server, TemporaryDirectory(prefix="avatarlab-bench-") as directory:
        conninfo = fill(server, given.rows)
        os.environ["AVATARLAB_DATABASE_URL"] = conninfo
        by_tool, by_psql = Path(directory) / "tool.csv", Path(directory) / "psql.csv"
        export = export_command("--out", str(by_tool))
        copy = measure.psql(conninfo, "-c", f"\\copy ({statement()}) to '{by_psql}' csv header")
        times = measure.take_turns(
            {TOOL: lambda: measure.run(export), PSQL: lambda: measure.run(copy)}, given.rounds
        )
        if not filecmp.cmp(by_tool, by_psql, shallow=False):
            sys.exit("the two files differ, so their times cannot be compared")
        print(f"two equal files of {by_tool.stat().st_size / 1e6:.0f} MB")
        measure.show(times, PSQL)
        megabytes = measure.peak_bytes(export) / 1e6
    measure.conclude(
        measure.Promise(f"{TOOL} / {PSQL}", times[TOOL].best / times[PSQL].best, MOST_TIMES_PSQL),
        measure.Promise("peak memory of avatarlab in MB", megabytes, MOST_MEGABYTES),
    )


def fill(server: EmbeddedServer, rows: int) -> str:
    """Create a database with a month of so many users and return its connection string."""
    conninfo = measure.create_platform(server, "export")
    measure.run(measure.psql(conninfo, "-f", str(Path(__file__).with_suffix(".sql")), rows=rows, month=MONTH))
    return conninfo


def export_command(*arguments: str) -> list[str]:
    """Return the command that exports the month."""
    program = str(Path(sysconfig.get_path("scripts")) / "avatarlab")
    return [program, "usage", "month", "--month", f"{MONTH:%Y-%m}", "--csv", *arguments]


def statement() -> str:
    r"""Return the SELECT the export runs with its values in place, on one line as \copy wants it."""
    command = export_command("--show-sql", "--out", os.devnull)
    shown = subprocess.run(command, stderr=subprocess.PIPE, check=True, text=True).stderr
    return " ".join(shown.split()).removesuffix(";")


if __name__ == "__main__":
    main()
