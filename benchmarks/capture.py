"""What change capture saves the job, and what it costs a writer.

Run as `python -m benchmarks.capture [--rows N N N] [--rounds N]`. For each length of history, the last of which is twelve
months: the job on everything, then on 5,000 changed keys of rows with an owner, and of rows whose avatar has one; at the last
also the job platform-statistics, of all days and of those that changed; then single-row and 100-row inserts with the triggers
and without.
"""

import argparse

import psycopg

from avatarlab_cli.database import Database
from avatarlab_cli.queries.capture import status
from avatarlab_cli.rollup import capture
from avatarlab_cli.schema.live import probe
from benchmarks import measure
from benchmarks.aggregation import YEAR, empty, fill, run_job

USERS = 20_000
KEYS = 5_000
MOST_SHARE = 0.01
MOST_GROWTH = 1.5
STATEMENTS = 400
# Most of the last month, some of any day.
_AT = """CAST(%(today)s AS timestamptz)
           - (n %% CASE WHEN n %% 10 = 0 THEN %(days)s ELSE least(%(days)s, 30) END) * interval '1 day'"""
_OF = """generate_series(1, %(keys)s) AS n
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS number FROM {whose}) AS own ON own.number = n %% 1990 + 1"""
CHANGES = {
    "their own": "INSERT INTO tts_generations (user_id, text, created_at)"
    f" SELECT own.id, 'changed', {_AT} FROM {_OF.format(whose='auth.users')}",
    "an avatar's": """INSERT INTO conversations (avatar_id, phone_number, text, "timestamp")"""
    f" SELECT own.id, '+1555', 'changed', {_AT} FROM {_OF.format(whose='avatars WHERE user_id IS NOT NULL')}",
}
_INSERT = "INSERT INTO tts_generations (user_id, text, created_at) SELECT %s, 'what', now() FROM generate_series(1, %s)"


def main() -> None:
    """Measure, print, and exit with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    changed: dict[int, dict[str, float]] = {}
    share = 1.0
    with measure.server() as server:
        for rows in given.rows:
            days = YEAR * rows // given.rows[-1]
            conninfo = fill(server, f"rows_{rows}", rows, USERS, days)
            index(conninfo)
            whole, some = compare(conninfo, days, given.rounds)
            changed[rows], share = some, max(some.values()) / whole
            print(f"{rows:,} rows: {KEYS:,} changed keys take {share:.4f} of everything at most")
        print_statistics(conninfo, given.rounds)
        print_writer_cost(conninfo, given.rounds)
    measure.conclude(
        measure.Promise("changed keys / everything, at the largest", share, MOST_SHARE),
        measure.Promise(
            "changed keys, the longest history / the shortest",
            max(changed[given.rows[-1]][whose] / changed[given.rows[0]][whose] for whose in CHANGES),
            MOST_GROWTH,
        ),
    )


def index(conninfo: str) -> None:
    """Make the indexes that `db capture status` names, and put the tables under triggers."""
    database = Database(conninfo)
    with database.read() as connection:
        rows, _ = status(connection)
    wanted = [part for row in rows for part in str(row["index"] or "").split("; ") if part]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in wanted:
            connection.execute(statement.encode())
    with database.write() as connection_:
        capture.install(connection_, probe(connection_))


def compare(conninfo: str, days: int, rounds: int) -> tuple[float, dict[str, float]]:
    """Return the best times of the job on everything, and on changed keys by whose the rows are, in seconds."""
    whole = "everything"

    def forget() -> None:
        empty(conninfo)
        with Database(conninfo).write() as connection:
            capture.forget_state(connection)

    times = measure.take_turns({whole: lambda: run_job(conninfo)}, rounds, prepare=forget)
    settle(conninfo)
    for whose, statement in CHANGES.items():
        times |= measure.take_turns(
            {whose: lambda: run_job(conninfo)},
            # What else the machine does meets a short one whole or not at all, and a long one always.
            rounds * 3,
            prepare=lambda statement=statement: change(conninfo, statement, days),  # type: ignore[misc]  # bound at once
        )
    measure.show(times, whole)
    return times[whole].best, {whose: times[whose].best for whose in CHANGES}


def print_statistics(conninfo: str, rounds: int) -> None:
    """Show what platform-statistics costs of all open days, and of those that changed: today, or none."""

    def forget() -> None:
        with psycopg.connect(conninfo) as connection:
            connection.execute("UPDATE avatarlab_admin.rollup_state SET stale_days = '{(,)}'")

    def change_today() -> None:
        change(conninfo, CHANGES["their own"], 1)
        run_job(conninfo)

    whole = "statistics, all days"
    kinds = {whole: forget, "statistics, today": change_today, "statistics, nothing": lambda: None}
    times: dict[str, measure.Times] = {}
    for name, prepare in kinds.items():
        times |= measure.take_turns(
            {name: lambda: run_job(conninfo, "platform-statistics")}, rounds, prepare=prepare
        )
    measure.show(times, whole)


def settle(conninfo: str) -> None:
    """Leave the database as autovacuum does after a while: else it would begin its work amid the rounds to come."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def change(conninfo: str, statement: str, days: int) -> None:
    """Change so many keys of one log in the history's days, and leave the database as autovacuum would."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(statement.encode(), {"today": f"{measure.TODAY}", "keys": KEYS, "days": days})
    settle(conninfo)


def print_writer_cost(conninfo: str, rounds: int) -> None:
    """Show what inserts of one row and of 100 cost with the triggers, against none."""
    for size in (1, 100):
        names = {True: f"{size} rows, captured", False: f"{size} rows, free"}
        times = measure.take_turns({names[True]: lambda: insert(conninfo, size)}, rounds)  # noqa: B023 (called at once)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("ALTER TABLE tts_generations DISABLE TRIGGER USER")
        times |= measure.take_turns({names[False]: lambda: insert(conninfo, size)}, rounds)  # noqa: B023 (called at once)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            for event in capture.EVENTS:
                connection.execute(
                    f"ALTER TABLE tts_generations ENABLE ALWAYS TRIGGER avatarlab_capture_{event}".encode()
                )
        measure.show(times, names[False])


def insert(conninfo: str, size: int) -> None:
    """Insert so many rows a statement, each in a transaction of its own, as the platform does."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute("SELECT id FROM auth.users LIMIT 1").fetchone()
        for _ in range(STATEMENTS):
            connection.execute(_INSERT, (row and row[0], size))


if __name__ == "__main__":
    main()
