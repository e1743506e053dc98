"""The demo platform in a real database: the same each time, whole, and with every shape real ones have."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import pytest
import sqlalchemy as sa

from avatarlab_cli.demo.load import DemoOptions, load
from tests.conftest import created_database, plain_engine
from tests.database.demo_shapes import KEYS, PANEL_SHAPES, SHAPES

State = Literal["seed", "panel"]
UNTIL = datetime(2025, 6, 18, 14, 35, 7, tzinfo=UTC)
UNUSED = (
    "user_sessions",
    "user_activities",
    "user_preferences",
    "user_favorites",
    "avatar_versions",
    "avatar_reviews",
    "knowledge_chunks",
    "n8n_integrations",
    "system_logs",
    "ui_state_cache",
    "training_cache",
    "memory_categories",
    "memory_category_mappings",
)

FOREIGN_KEYS = """
    SELECT conrelid::regclass::text, confrelid::regclass::text, child.attname, parent.attname
    FROM pg_constraint
    JOIN pg_attribute child ON child.attrelid = conrelid AND child.attnum = conkey[1]
    JOIN pg_attribute parent ON parent.attrelid = confrelid AND parent.attnum = confkey[1]
    WHERE contype = 'f'
"""


def options(state: State, *, users: int = 80, months: int = 12, seed: int = 7) -> DemoOptions:
    return DemoOptions(users=users, months=months, seed=seed, state=state, until=UNTIL)


@pytest.fixture(scope="module")
def seed_demo(server_conninfo: str, seed_template: str) -> Iterator[sa.Engine]:
    """Load a small demo in the seed state, to be read only."""
    yield from loaded(server_conninfo, seed_template, "seed")


@pytest.fixture(scope="module")
def panel_demo(server_conninfo: str, panel_template: str) -> Iterator[sa.Engine]:
    """Load a small demo in the panel state, to be read only."""
    yield from loaded(server_conninfo, panel_template, "panel")


@pytest.fixture(params=["seed", "panel"])
def demo(request: pytest.FixtureRequest) -> sa.Engine:
    """Return a small demo, in each of the two states."""
    engine: sa.Engine = request.getfixturevalue(f"{request.param}_demo")
    return engine


def loaded(server: str, template: str, state: State) -> Iterator[sa.Engine]:
    with created_database(server, template) as conninfo:
        engine = plain_engine(conninfo)
        with engine.begin() as connection:
            load(connection, options(state))
        yield engine


def fingerprints(connection: sa.Connection) -> dict[str, str]:
    """Digest every table's rows, whatever their order on disk."""
    tables = connection.execute(
        sa.text(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('public', 'auth', 'storage')"
        )
    )
    digests = {}
    for table in tables.scalars().all():
        rows = connection.execute(sa.text(f'SELECT t::text FROM {table} t ORDER BY t::text COLLATE "C"'))
        digests[table] = hashlib.sha256("\n".join(rows.scalars()).encode()).hexdigest()
    return digests


def repeated(engine: sa.Engine, *demos: DemoOptions) -> list[dict[str, str]]:
    """Load each of the demos into the same empty database."""
    found = []
    with engine.connect() as connection:
        for demo in demos:
            load(connection, demo)
            found.append(fingerprints(connection))
            connection.rollback()
    return found


def test_the_same_options_give_the_same_rows(panel_database: sa.Engine) -> None:
    """Two loads agree in every table to the last byte; another seed's do not."""
    small = options("panel", users=30, months=6)
    first, second, other = repeated(
        panel_database, small, small, options("panel", users=30, months=6, seed=8)
    )
    assert first == second
    assert {name for name in first if first[name] == other[name]}.isdisjoint({"public.avatars", "auth.users"})


def test_more_users_leave_the_others_as_they_are(seed_database: sa.Engine) -> None:
    """A larger demo holds the smaller one's accounts with all they did."""
    query = sa.text("SELECT id::text || timestamp FROM conversations")
    found = []
    with seed_database.connect() as connection:
        for users in (10, 20):
            load(connection, options("seed", users=users))
            found.append(set(connection.scalars(query)))
            connection.rollback()
    small, large = found
    assert small
    assert small < large


def test_rows_are_counted_and_reported(seed_database: sa.Engine) -> None:
    """The result and the last word to `progress` are what the tables hold."""
    heard: dict[str, int] = {}
    with seed_database.connect() as connection:
        written = load(connection, options("seed", users=5, months=2), heard.__setitem__)
        actual = {
            table: connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in written
        }
    assert written == heard == actual


def test_the_smallest_demo_loads(panel_database: sa.Engine) -> None:
    """One user and one month that is a microsecond old are enough."""
    until = datetime(2025, 6, 1, 0, 0, 0, 1, tzinfo=UTC)
    with panel_database.connect() as connection:
        written = load(connection, DemoOptions(users=1, months=1, seed=1, state="panel", until=until))
    assert written["auth.users"] == written["profiles"] == written["admin_users"] == 1


def test_triggers_work_again_after_loading(seed_database: sa.Engine) -> None:
    """Still in the loading transaction, a new account gets its profile from the trigger."""
    with seed_database.connect() as connection:
        load(connection, options("seed", users=1, months=1))
        connection.execute(
            sa.text("INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'x@example.com')")
        )
        profile = connection.execute(sa.text("SELECT count(*) FROM profiles WHERE email = 'x@example.com'"))
        assert profile.scalar_one() == 1


def test_every_foreign_key_holds(demo: sa.Engine) -> None:
    """Loading checks no foreign key, so each is checked here by query."""
    with demo.connect() as connection:
        keys = connection.execute(sa.text(FOREIGN_KEYS)).all()
        broken = [
            f"{table}.{column}"
            for table, target, column, key in keys
            if connection.execute(
                sa.text(
                    f"SELECT EXISTS (SELECT FROM {table} c WHERE c.{column} IS NOT NULL"
                    f" AND NOT EXISTS (SELECT FROM {target} p WHERE p.{key} = c.{column}))"
                )
            ).scalar_one()
        ]
    assert len(keys) > 50
    assert broken == []


def test_nothing_happens_after_the_end(demo: sa.Engine) -> None:
    """No row's time of origin lies at or after the demo's end, or before its start."""
    with demo.connect() as connection:
        columns = connection.execute(
            sa.text(
                "SELECT format('%I.%I', table_schema, table_name), column_name FROM information_schema.columns"
                " WHERE table_schema IN ('public', 'auth', 'storage') AND data_type LIKE 'timestamp with%'"
                " AND column_name IN ('created_at', 'updated_at', 'timestamp', 'uploaded_at', 'finished_at',"
                " 'completed_at', 'deleted_at', 'purchased_at', 'started_at', 'last_used_at', 'last_login')"
                # Written when the schema is made, not by the demo.
                " AND table_name NOT IN ('buckets', 'subscription_tiers')"
            )
        ).all()
        outside = [
            f"{table}.{column}"
            for table, column in columns
            if connection.execute(
                sa.text(f"SELECT EXISTS (SELECT FROM {table} WHERE {column} >= :end OR {column} < :start)"),
                {"end": UNTIL, "start": options("seed").start},
            ).scalar_one()
        ]
    assert len(columns) > 40
    assert outside == []


def test_unused_tables_stay_empty(demo: sa.Engine) -> None:
    """The app writes none of these tables, so neither does the demo."""
    with demo.connect() as connection:
        for table in UNUSED:
            assert connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one() == 0


def count_of(engine: sa.Engine, sql: str) -> int:
    statement = sa.text(sql)
    if ":until" in sql:
        statement = statement.bindparams(until=UNTIL)
    with engine.connect() as connection:
        return int(connection.execute(statement).scalar_one())


@pytest.mark.parametrize(
    ("sql", "least"), [shape[1:] for shape in SHAPES], ids=[shape[0] for shape in SHAPES]
)
def test_every_shape_of_a_real_platform_occurs(demo: sa.Engine, sql: str, least: int) -> None:
    """Eighty accounts already show each irregularity that reports and jobs must bear."""
    assert count_of(demo, sql) >= least


@pytest.mark.parametrize(
    ("sql", "least"), [shape[1:] for shape in PANEL_SHAPES], ids=[shape[0] for shape in PANEL_SHAPES]
)
def test_every_shape_of_the_panel_occurs(panel_demo: sa.Engine, sql: str, least: int) -> None:
    """Where the web panel's tables exist, each way an account can stand in them occurs."""
    assert count_of(panel_demo, sql) >= least


@pytest.mark.parametrize(("bucket", "pattern"), KEYS, ids=[bucket for bucket, _ in KEYS])
def test_object_keys_are_the_apps(demo: sa.Engine, bucket: str, pattern: str) -> None:
    """Every object of a bucket is named as the app names it there."""
    with demo.connect() as connection:
        total, matching = connection.execute(
            sa.text(
                "SELECT count(*), count(*) FILTER (WHERE name ~ :pattern) FROM storage.objects"
                " WHERE bucket_id = :bucket"
            ),
            {"bucket": bucket, "pattern": pattern},
        ).one()
    assert total == matching > 3
