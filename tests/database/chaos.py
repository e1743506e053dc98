"""A platform under fire: writers that do everything at once, and job runs of which some are killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg

NOW = datetime.now(UTC).replace(microsecond=0)
USERS = [UUID(int=100 + n) for n in range(8)]
AVATARS = [UUID(int=200 + n) for n in range(12)]
KEYS = [UUID(int=300 + n) for n in range(8)]
# What a writer does, each with how often: SQL, and the names of what it is given.
WRITES = (
    (5, "INSERT INTO conversations (avatar_id, phone_number, text, \"timestamp\") VALUES (%(avatar)s, '1', 't', %(at)s)"),
    (5, "INSERT INTO api_request_logs (api_key_id, endpoint, method, created_at) VALUES (%(key)s, '/', 'GET', %(at)s)"),
    (3, ("INSERT INTO api_request_logs (user_id, endpoint, method, created_at) SELECT %(user)s, '/', 'GET', %(at)s"
        " FROM generate_series(1, 20)")),
    (3, "INSERT INTO tts_generations (user_id, text, created_at) VALUES (%(user)s, repeat('x', %(number)s), %(at)s)"),
    (3, ("INSERT INTO avatar_memories (user_id, avatar_id, title, memory_date, image_url, image_path, memory_description, memory_summary, created_at)"
        " VALUES (%(user)s, %(avatar)s, 'm', '2025-01-01', 'u', 'p', 'd', 's', %(at)s)")),
    (2, ("INSERT INTO avatars (id, user_id, name, created_at) VALUES (%(avatar)s, %(user)s, 'A', %(at)s)"
        " ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id")),
    (2, ("INSERT INTO platform_api_keys (id, user_id, key_name, api_key_hash, api_key_prefix)"
        " VALUES (%(key)s, %(user)s, 'k', gen_random_uuid()::text, 'p') ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id")),
    (1, ("INSERT INTO auth.users (id, email, created_at) VALUES (%(user)s, gen_random_uuid()::text || '@example.com', now())"
        " ON CONFLICT DO NOTHING")),
    (2, "UPDATE avatars SET user_id = %(user)s WHERE id = %(avatar)s"),
    (1, "UPDATE avatars SET user_id = NULL WHERE id = %(avatar)s"),
    (2, "UPDATE platform_api_keys SET user_id = %(user)s WHERE id = %(key)s"),
    (2, 'UPDATE conversations SET "timestamp" = %(at)s WHERE id IN (SELECT id FROM conversations WHERE avatar_id = %(avatar)s LIMIT 3)'),
    (2, ("UPDATE tts_generations SET text = repeat('y', %(number)s), user_id = %(user)s WHERE id IN"
        " (SELECT id FROM tts_generations ORDER BY id LIMIT 2)")),
    (2, "UPDATE avatar_memories SET user_id = %(user)s WHERE id IN (SELECT id FROM avatar_memories LIMIT 2)"),
    (2, "DELETE FROM conversations WHERE id IN (SELECT id FROM conversations WHERE avatar_id = %(avatar)s LIMIT 5)"),
    (2, "DELETE FROM api_request_logs WHERE id IN (SELECT id FROM api_request_logs LIMIT 5)"),
    (1, "DELETE FROM avatars WHERE id = %(avatar)s"),
    (1, "DELETE FROM platform_api_keys WHERE id = %(key)s"),
    (1, "DELETE FROM auth.users WHERE id = %(user)s"),
)  # fmt: skip


def populate(conninfo: str) -> None:
    """Make the users, avatars and keys that everything belongs to."""
    with psycopg.connect(conninfo, prepare_threshold=None) as connection:
        for number, user in enumerate(USERS):
            connection.execute(
                "INSERT INTO auth.users (id, email, created_at) VALUES (%s, %s, now() - interval '90 days')",
                (user, f"user{number}@example.com"),
            )
        for number, avatar in enumerate(AVATARS):
            connection.execute(
                "INSERT INTO avatars (id, user_id, name, created_at) VALUES (%s, %s, 'A', now() - interval '60 days')",
                (avatar, USERS[number % len(USERS)]),
            )
        for number, key in enumerate(KEYS):
            connection.execute(
                "INSERT INTO platform_api_keys (id, user_id, key_name, api_key_hash, api_key_prefix)"
                " VALUES (%s, %s, 'k', %s, 'p')",
                (key, USERS[number], f"hash {number}"),
            )


def write_until(
    stop: threading.Event, conninfo: str, seed: str, counted: list[int], pause: float = 0
) -> None:
    """Write at random until told to stop: some transactions are rolled back, and some stay open for a while."""
    chance = random.Random(seed)  # noqa: S311 (a test's choice, not a secret)
    statements = [sql for weight, sql in WRITES for _ in range(weight)]
    with psycopg.connect(conninfo, prepare_threshold=None) as connection:
        while not stop.is_set():
            try:
                connection.execute("SET LOCAL lock_timeout = '2s'")
                for _ in range(chance.randint(1, 4)):
                    connection.execute(chance.choice(statements), _given(chance))
                if chance.random() < 0.2:
                    time.sleep(chance.random() / 4)
                if chance.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    counted.append(1)
            except (psycopg.errors.OperationalError, psycopg.errors.IntegrityError):
                # Two in each other's way, or what it refers to is gone.
                connection.rollback()
            time.sleep(pause)


def _given(chance: random.Random) -> dict[str, object]:
    return {
        "user": chance.choice(USERS),
        "avatar": chance.choice(AVATARS),
        "key": chance.choice(KEYS),
        "number": chance.randint(0, 400),
        # Most rows are of today; some come late.
        "at": NOW - timedelta(days=chance.choice([0, 0, 0, 1, 2, 30, 45]), minutes=chance.randint(0, 600)),
    }


ENOUGH = 20


def under_fire(conninfo: str, seed: int, kills: int, writers: int = 6) -> int:
    """Let the writers write while two runs compete and so many are killed; returns how many transactions committed.

    As long as these are not more than ENOUGH, as many runs again are killed.
    """
    stop, counted = threading.Event(), list[int]()
    threads = [
        threading.Thread(target=write_until, args=(stop, conninfo, f"{seed} {n}", counted))
        for n in range(writers)
    ]
    for thread in threads:
        thread.start()
    try:
        command = [sys.executable, "-m", "tests.database.chaos", conninfo, str(seed), str(kills)]
        # The kills may be over before writers who wait for each other have written much.
        for _ in range(5):
            subprocess.run(command, check=True, cwd=Path(__file__).parents[2], timeout=240)
            if len(counted) > ENOUGH:
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return len(counted)


def _run_for_ever(conninfo: str, job: str) -> None:
    from avatarlab_cli.database import Database
    from avatarlab_cli.errors import BusyError
    from avatarlab_cli.rollup import dirty, rates
    from jobs.registry import BY_NAME
    from jobs.runner import Order, execute

    dirty.BATCH = 40
    database = Database(conninfo, {"lock_timeout": "5s"})
    while True:
        try:
            execute(database, BY_NAME[job], Order(rates.load()))
        except BusyError:
            time.sleep(0.02)


def main(conninfo: str, seed: str, kills: str) -> None:
    """Keep two runs going, and kill one of them at a time."""
    import jobs.monthly_usage
    import jobs.platform_statistics
    import jobs.runner  # noqa: F401 (imported once, for every child)

    chance = random.Random(seed)  # noqa: S311 (a test's choice, not a secret)
    running: dict[str, int] = {}
    for _ in range(int(kills)):
        for job in ("monthly-usage", "platform-statistics"):
            if job not in running:
                running[job] = os.fork()
                if not running[job]:
                    _run_for_ever(conninfo, job)
        time.sleep(chance.uniform(0.02, 0.4))
        victim = running.pop(chance.choice(["monthly-usage", "platform-statistics"]))
        os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(victim, 0)
        # One that ended by itself ended with an error.
        assert os.WIFSIGNALED(status), f"a run failed, seed {seed}"
    for pid in running.values():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
