"""All that a database holds, to be compared before and after."""

import time
from collections.abc import Callable

import psycopg
from psycopg import sql

DEADLINE_SECONDS = 30.0
# Most tables are empty, and one whose file is needs no question.
_TABLES = """
    SELECT schemaname, tablename, pg_relation_size(format('%I.%I', schemaname, tablename)) > 0 FROM pg_tables
    WHERE schemaname IN ('public', 'auth', 'storage', 'avatarlab_admin') AND tablename NOT IN ('job_runs', 'rollup_state')
"""
Contents = dict[str, list[tuple[object, ...]]]


def contents(conninfo: str) -> Contents:
    """Return every row of every table but what tells of runs, as text with the transaction that wrote it."""
    with psycopg.connect(conninfo) as connection:
        tables = connection.execute(_TABLES).fetchall()
        return {
            f"{schema}.{name}": _rows(connection, schema, name) if has else [] for schema, name, has in tables
        }


def _rows(
    connection: psycopg.Connection[tuple[object, ...]], schema: str, name: str
) -> list[tuple[object, ...]]:
    statement = sql.SQL("SELECT t::text, t.xmin::text FROM {} t ORDER BY 1")
    return connection.execute(statement.format(sql.Identifier(schema, name))).fetchall()


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
