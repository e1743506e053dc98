"""A command beside another transaction that was there first."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.cli.invoking import Outcome, process

_WAITING = """
    SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database()
"""


def overtaken(conninfo: str, change: str, *command: str, env: Mapping[str, str]) -> Outcome:
    """Run a command while another transaction has changed something, which commits when the command waits for it.

    It commits too once the command has ended without waiting.
    """
    with ThreadPoolExecutor(1) as pool, psycopg.connect(conninfo) as other:
        other.execute(change.encode())
        running = pool.submit(process, conninfo, *command, env=env)
        with psycopg.connect(conninfo, autocommit=True) as watching:
            while not (running.done() or watching.execute(_WAITING).fetchone()):
                time.sleep(0.05)
        other.commit()
        return running.result()
