"""The job monthly-usage against the same aggregation written by hand and run by psql.

Run as `python -m benchmarks.aggregation [--rows N] [--rounds N]`. Both write the same two tables from nothing,
which is checked. Beside them stand a run that finds nothing to change, and the bare counting of the rows.
"""

import argparse
import sys
from pathlib import Path

import psycopg

from avatarlab_cli.context import Context
from avatarlab_cli.embedded import EmbeddedServer
from avatarlab_cli.rollup import rates
from benchmarks import measure
from jobs.registry import BY_NAME
from jobs.runner import Order, execute

HERE = Path(__file__).parent
USERS = 2_000
YEAR = 365
JOB, HAND, AGAIN, BARE = "job", "by hand", "job again", "bare counting"
TABLES = ("avatarlab_admin.usage_daily", "public.monthly_usage")
MOST_TIMES_BY_HAND = 1.3
# The memory of two equal processes differs by a few percent too.
MOST_MEMORY_GROWTH = 1.1
_RUN_JOB = "import sys; from benchmarks.aggregation import run_job; run_job(sys.argv[1])"


def main() -> None:
    """Measure, print, and exit with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5_000_000, help="log rows of the four logs together")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with measure.server() as server:
        conninfo = fill(server, "large", given.rows)
        check_equal(conninfo)
        times = compare(conninfo, given.rounds)
        measure.show(times, HAND)
        small = measure.peak_bytes(_job_command(fill(server, "small", given.rows // 10)))
        large = measure.peak_bytes(_job_command(conninfo))
    print(
        f"peak memory of the job's process: {small / 1e6:.0f} MB with a tenth of the rows, {large / 1e6:.0f} MB"
    )
    measure.conclude(
        measure.Promise("job / by hand", times[JOB].best / times[HAND].best, MOST_TIMES_BY_HAND),
        measure.Promise("memory, ten times the rows / a tenth", large / small, MOST_MEMORY_GROWTH),
    )


def fill(server: EmbeddedServer, name: str, rows: int, users: int = USERS, days: int = YEAR) -> str:
    """Create a database with so many log rows, of so many users and days, and return its connection string."""
    conninfo = measure.create_platform(server, name)
    script = ("-f", str(HERE / "platform.sql"))
    measure.run(measure.psql(conninfo, *script, users=users, rows=rows, days=days, today=measure.TODAY))
    return conninfo


def run_job(conninfo: str, name: str = "monthly-usage") -> None:
    """Run a job as its command does, on the last of the filled days."""
    database = Context({"AVATARLAB_DATABASE_URL": conninfo}).job_database
    execute(database, BY_NAME[name], Order(rates.load(), today=measure.TODAY))


def run_by_hand(conninfo: str) -> None:
    """Run the hand-written aggregation."""
    _run_script(conninfo, "aggregation.sql", today=measure.TODAY, rates=rates.load().version)


def count(conninfo: str) -> None:
    """Count the rows by user and month, and no more: what no aggregation can do without."""
    _run_script(conninfo, "counting.sql")


def _run_script(conninfo: str, name: str, **variables: object) -> None:
    """Run a script by psql with the memory the job has."""
    work_mem = Context({}).settings.require("job_work_mem")
    measure.run(measure.psql(conninfo, "-f", str(HERE / name), work_mem=work_mem, **variables))


def compare(conninfo: str, rounds: int) -> dict[str, measure.Times]:
    """Time the job and the script from nothing, then the job where nothing has changed and the counting."""
    times = measure.take_turns(
        {JOB: lambda: run_job(conninfo), HAND: lambda: run_by_hand(conninfo)},
        rounds,
        prepare=lambda: empty(conninfo),
    )
    run_job(conninfo)
    return times | measure.take_turns(
        {AGAIN: lambda: run_job(conninfo), BARE: lambda: count(conninfo)}, rounds
    )


def empty(conninfo: str) -> None:
    """Empty what the contenders write, and write out what they left to be written."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {', '.join(TABLES)}, avatarlab_admin.storage_daily")
        connection.execute("CHECKPOINT")


def check_equal(conninfo: str) -> None:
    """Run both, and exit with the table's name where they do not leave the same rows."""
    empty(conninfo)
    run_job(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for number, table in enumerate(TABLES):
            connection.execute(
                f"CREATE TABLE by_job_{number} AS SELECT {_compared(connection, table)} FROM {table}"
            )
    empty(conninfo)
    run_by_hand(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for number, table in enumerate(TABLES):
            by_hand = f"SELECT {_compared(connection, table)} FROM {table}"
            row = connection.execute(_DIFFERING.format(a=f"TABLE by_job_{number}", b=by_hand)).fetchone()
            print(f"{table}: {row[0] if row else 0:,} rows, {row[1] if row else 0:,} differ")
            if row is None or row[1]:
                sys.exit(f"{table}: job and script disagree, so their times cannot be compared")
            connection.execute(f"DROP TABLE by_job_{number}")


# Both ways: neither may have a row that the other has not.
_DIFFERING = """
    SELECT (SELECT count(*) FROM ({a}) AS a),
           (SELECT count(*) FROM (({a} EXCEPT ALL {b}) UNION ALL ({b} EXCEPT ALL {a})) AS differing)"""
_COLUMNS = """
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
      AND attname <> ALL ('{id,created_at,updated_at,computed_at}')"""


def _compared(connection: psycopg.Connection[tuple[str]], table: str) -> str:
    """Return a table's columns without those that tell of the writing alone."""
    row = connection.execute(_COLUMNS, [table]).fetchone()
    return row[0] if row else ""


def _job_command(conninfo: str) -> list[str]:
    return [sys.executable, "-c", _RUN_JOB, conninfo]


if __name__ == "__main__":
    main()
