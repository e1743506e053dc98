"""All that a database holds, to be compared before and after."""

import time
from collections.abc import Callable

import psycopg
from psycopg import sql

DEADLINE_SECONDS = 30.0
_TABLES = """
    SELECT schemaname, tablename FROM pg_tables
    WHERE schemaname IN ('public', 'auth', 'storage', 'avatarlab_admin') AND tablename NOT IN ('job_runs', 'rollup_state')
"""
Contents = dict[str, list[tuple[object, ...]]]


def contents(conninfo: str) -> Contents:
    """Return every row of every table but what tells of runs, as text with the transaction that wrote it."""
    with psycopg.connect(conninfo) as connection:
        names = [(str(schema), str(name)) for schema, name in connection.execute(_TABLES)]
        return {
            ".".join(name): connection.execute(
                sql.SQL("SELECT t::text, t.xmin::text FROM {} t ORDER BY 1").format(sql.Identifier(*name))
            ).fetchall()
            for name in names
        }


def runs(conninfo: str) -> list[dict[str, object]]:
    """Return the run records, oldest first."""
    with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute("SELECT * FROM avatarlab_admin.job_runs ORDER BY started_at").fetchall()


def wait_until(condition: Callable[[], object]) -> None:
    """Return once the condition holds; fails when it does not within DEADLINE_SECONDS."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def is_anyone_waiting(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Tell whether some transaction waits for a lock in this database."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    row = connection.execute(waiting).fetchone()
    return row != (0,)
