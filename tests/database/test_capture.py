"""Change capture: what is put down, and that a run which reads the queue alone leaves what a count of everything would."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli import migrations
from avatarlab_cli.database import Database
from avatarlab_cli.errors import BusyError
from avatarlab_cli.queries.capture import status
from avatarlab_cli.rollup import capture, closing, dirty, limits, pruned, rates
from avatarlab_cli.rollup.daily import EVERY_SOURCE
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.rates import Rate
from avatarlab_cli.rollup.rejudging import rejudge
from avatarlab_cli.schema.api import api_request_logs
from avatarlab_cli.schema.live import probe
from avatarlab_cli.timeframe import month_window
from jobs.registry import BY_NAME
from jobs.runner import Order, Run, execute
from tests.database import chaos
from tests.database.logins import login
from tests.examples import examples

PATIENT = {"lock_timeout": "20s", "statement_timeout": "120s"}
STORED = ("avatarlab_admin.usage_daily", "public.monthly_usage")
UNCOMPARED = ("computed_at", "id", "created_at", "updated_at")


@pytest.fixture
def database(migrated_panel_conninfo: str) -> Database:
    """A platform with users, avatars and keys, whose changes are captured and counted up to now."""
    chaos.populate(migrated_panel_conninfo)
    database = Database(migrated_panel_conninfo, PATIENT)
    install_capture(database)
    run(database)
    return database


def install_capture(database: Database) -> None:
    with database.write() as connection:
        capture.install(connection, probe(connection))


def run(database: Database, job: str = "monthly-usage", **more: Any) -> Run:  # noqa: ANN401 (the rest of Order's fields)
    # The day on which the tests began, though midnight has passed.
    given: dict[str, Any] = {"rates": rates.load(), "today": chaos.NOW.date()} | more
    return execute(database, BY_NAME[job], Order(**given))


def stored(database: Database) -> dict[str, list[Any]]:
    """Return every row the jobs keep of users' usage."""
    with database.read() as connection:
        return {
            table: sorted(
                connection.scalars(
                    sa.text(f"SELECT (to_jsonb(t) - CAST(:left_out AS text[]))::text FROM {table} t"),
                    {"left_out": list(UNCOMPARED)},
                )
            )
            for table in STORED
        }


def assert_exact(database: Database, **more: Any) -> None:  # noqa: ANN401 (the rest of Order's fields)
    """What is stored after a run that reads the queue is what a count of all rows leaves."""
    run(database, **more)
    by_queue = stored(database)
    with database.write() as connection:
        assert (
            connection.scalar(
                sa.text("SELECT count(*) FROM avatarlab_admin.usage_dirty WHERE day <= current_date")
            )
            == 0
        )
        capture.forget_state(connection)
    run(database, **more)
    of_all = stored(database)
    for table in STORED:
        lost, doubled = (set(of_all[table]) - set(by_queue[table]), set(by_queue[table]) - set(of_all[table]))
        assert (lost, doubled) == (set(), set()), f"{table}: {lost} should be there instead of {doubled}"


def sql(database: Database, *statements: str, **bound: object) -> None:
    with database.write() as connection:
        for statement in statements:
            connection.execute(sa.text(statement), bound)


def entries(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        found = connection.execute(
            sa.text("SELECT source, day::text, user_id, via_id FROM avatarlab_admin.usage_dirty ORDER BY id")
        )
        return [tuple(row) for row in found]


ADA, AVATAR, KEY = chaos.USERS[0], chaos.AVATARS[0], chaos.KEYS[0]
SPOKEN = "INSERT INTO tts_generations (user_id, text, created_at) VALUES (:user, 'abc', :at)"


def test_every_source_is_captured(database: Database) -> None:
    """After the installation each source's changes are put down, and nothing waits."""
    with database.read() as connection:
        assert capture.captured(connection) == EVERY_SOURCE
    assert entries(database) == []


def test_a_statement_puts_down_each_key_once(database: Database) -> None:
    """Many rows of one user's day are one entry, a row of another day another."""
    sql(
        database,
        "INSERT INTO tts_generations (user_id, text, created_at)"
        " SELECT :user, 'abc', CASE WHEN n < 5 THEN timestamptz '2025-05-01 23:59:59.999999Z'"
        " ELSE timestamptz '2025-05-02 00:00Z' END FROM generate_series(1, 9) AS n",
        user=ADA,
    )
    assert sorted(entries(database)) == [
        ("tts_generations", "2025-05-01", ADA, None),
        ("tts_generations", "2025-05-02", ADA, None),
    ]


def test_an_update_puts_down_both_ends(database: Database) -> None:
    """A row that changes day and user is counted anew at its old place and its new one."""
    sql(database, SPOKEN, user=ADA, at="2025-05-01")
    sql(
        database, "UPDATE tts_generations SET user_id = :user, created_at = '2025-05-03'", user=chaos.USERS[1]
    )
    assert sorted(entries(database)[1:], key=str) == [
        ("tts_generations", "2025-05-01", ADA, None),
        ("tts_generations", "2025-05-03", chaos.USERS[1], None),
    ]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE avatars SET name = 'B', updated_at = now()", "UPDATE tts_generations SET audio_url = 'x'"],
)
def test_an_update_of_nothing_that_counts_puts_nothing_down(database: Database, statement: str) -> None:
    """What leaves every figure alone costs the jobs nothing."""
    sql(database, SPOKEN, user=ADA, at="2025-05-01")
    run(database)
    sql(database, statement)
    assert entries(database) == []


def test_what_is_rolled_back_was_never_put_down(database: Database) -> None:
    """The queue is part of the writer's transaction."""
    with database.preview() as connection:
        connection.execute(sa.text(SPOKEN), {"user": ADA, "at": "2025-05-01"})
    assert entries(database) == []


CHANGES = {
    "late row": [SPOKEN],
    "update": [SPOKEN, "UPDATE tts_generations SET text = 'abcdef'"],
    "delete": [SPOKEN, "DELETE FROM tts_generations"],
    "row without a time": [
        "INSERT INTO api_request_logs (user_id, endpoint, method, created_at) VALUES (:user, '/', 'GET', NULL)"
    ],
    "row of infinity": ["INSERT INTO tts_generations (user_id, text, created_at) VALUES (:user, 'a', 'infinity')"],
    "row before Christ": ["INSERT INTO tts_generations (user_id, text, created_at) VALUES (:user, 'a', '0044-03-15 BC')"],
    "row to come": ["INSERT INTO tts_generations (user_id, text, created_at) VALUES (:user, 'a', now() + interval '80 days')"],
    "by an avatar": ["INSERT INTO conversations (avatar_id, phone_number, text, timestamp) VALUES (:avatar, '1', 't', :at)"],
    "by nobody's avatar": [
        "UPDATE avatars SET user_id = NULL WHERE id = :avatar",
        "INSERT INTO conversations (avatar_id, phone_number, text, timestamp) VALUES (:avatar, '1', 't', :at)",
    ],
    "avatar changes hands": [
        "INSERT INTO conversations (avatar_id, phone_number, text, timestamp) VALUES (:avatar, '1', 't', :at)",
        "UPDATE avatars SET user_id = :other WHERE id = :avatar",
    ],
    "nobody's avatar is taken": [
        "UPDATE avatars SET user_id = NULL WHERE id = :avatar",
        "INSERT INTO conversations (avatar_id, phone_number, text, timestamp) VALUES (:avatar, '1', 't', :at)",
        "UPDATE avatars SET user_id = :other WHERE id = :avatar",
    ],
    "avatar is deleted": [
        "INSERT INTO conversations (avatar_id, phone_number, text, timestamp) VALUES (:avatar, '1', 't', :at)",
        "DELETE FROM avatars WHERE id = :avatar",
    ],
    "key changes hands": [
        "INSERT INTO api_request_logs (api_key_id, endpoint, method, created_at) VALUES (:key, '/', 'GET', :at)",
        "UPDATE platform_api_keys SET user_id = :other WHERE id = :key",
    ],
    "key is deleted": [
        "INSERT INTO api_request_logs (api_key_id, endpoint, method, created_at) VALUES (:key, '/', 'GET', :at)",
        "DELETE FROM platform_api_keys WHERE id = :key",
    ],
    "nobody's row": ["INSERT INTO api_request_logs (endpoint, method, created_at) VALUES ('/', 'GET', :at)"],
    "memory of a ghost": [
        ("INSERT INTO avatar_memories (user_id, avatar_id, title, memory_date, image_url, image_path, memory_description, memory_summary, created_at)"
        " VALUES (gen_random_uuid(), :avatar, 'm', '2025-01-01', 'u', 'p', 'd', 's', :at)")
    ],
    "account is deleted": [
        SPOKEN,
        ("INSERT INTO avatar_memories (user_id, avatar_id, title, memory_date, image_url, image_path, memory_description, memory_summary, created_at)"
        " VALUES (:user, :foreign, 'm', '2025-01-01', 'u', 'p', 'd', 's', :at)"),
        "DELETE FROM auth.users WHERE id = :user",
    ],
    "account comes back": [
        ("INSERT INTO avatar_memories (user_id, avatar_id, title, memory_date, image_url, image_path, memory_description, memory_summary, created_at)"
        " VALUES (:user, :foreign, 'm', '2025-01-01', 'u', 'p', 'd', 's', :at)"),
        "DELETE FROM auth.users WHERE id = :user",
        "INSERT INTO auth.users (id, email, created_at) VALUES (:user, 'again@example.com', now())",
    ],
    "truncate": [SPOKEN, "TRUNCATE tts_generations"],
    "priced": [
        ("INSERT INTO generated_images (user_id, prompt, image_url, provider, created_at)"
        " VALUES (:user, 'p', 'u', 'kie-nano-banana', :at), (:user, 'p', 'u', 'mystery', :at)"),
        "UPDATE generated_images SET provider = 'imagen4-ultra' WHERE provider = 'mystery'",
    ],
    "storage": [
        ("INSERT INTO storage.objects (bucket_id, name, metadata, created_at)"
        " VALUES ('generated-images', :user || '/a.png', '{\"size\": 1000}', :at)")
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_each_kind_of_change_is_counted(database: Database, what: str) -> None:
    """Whatever changes, and with a run between any two changes, the figures are those of a count of everything."""
    bound = {
        "user": ADA,
        "other": chaos.USERS[1],
        "avatar": AVATAR,
        "foreign": chaos.AVATARS[1],
        "key": KEY,
        "at": chaos.NOW.replace(day=1),
    }
    sql(database, *CHANGES[what], **bound)
    run(database)
    others = {"user": chaos.USERS[2], "avatar": chaos.AVATARS[3], "key": chaos.KEYS[2]}
    for statement in CHANGES[what]:
        sql(database, statement, **bound | others)
        run(database)
    assert_exact(database)


TALK = "INSERT INTO conversations (avatar_id, phone_number, text, timestamp) VALUES (:avatar, '1', 't', :at)"
MEMORY = (
    "INSERT INTO avatar_memories (user_id, avatar_id, title, memory_date, image_url, image_path, memory_description,"
    " memory_summary, created_at) VALUES (:user, :foreign, 'm', '2025-01-01', 'u', 'p', 'd', 's', :at)"
)
FREE, TAKEN = (f"UPDATE avatars SET user_id = {owner} WHERE id = :avatar" for owner in ("NULL", ":other"))
GONE = "DELETE FROM auth.users WHERE id = :user"
BACK = "INSERT INTO auth.users (id, email, created_at) VALUES (:user, 'again@example.com', now())"
# What is counted, and what then happens before the next run; `at` is a day with nothing else.
BETWEEN_RUNS = {
    "nobody's avatar is taken, its row deleted": ([FREE, TALK], [TAKEN, "DELETE FROM conversations"]),
    "nobody's avatar is taken, its row moved": (
        [FREE, TALK],
        [TAKEN, "UPDATE conversations SET timestamp = timestamp - interval '3 days'"],
    ),
    "nobody's row is deleted, its avatar taken": ([FREE, TALK], ["DELETE FROM conversations", TAKEN]),
    "an avatar is left, its row deleted": ([TALK], [FREE, "DELETE FROM conversations"]),
    "a ghost comes back, its row deleted": ([GONE, MEMORY], [BACK, "DELETE FROM avatar_memories"]),
    "a ghost comes back, its row moved": (
        [GONE, MEMORY],
        [BACK, "UPDATE avatar_memories SET created_at = created_at - interval '3 days'"],
    ),
    "an account goes, its row deleted": ([MEMORY], [GONE, "DELETE FROM avatar_memories"]),
}


@pytest.mark.parametrize("what", BETWEEN_RUNS)
def test_an_owner_and_a_row_change_between_two_runs(database: Database, what: str) -> None:
    """Whose a row was when it was counted no longer has it, whoever has it or its avatar since."""
    bound = {"user": ADA, "other": chaos.USERS[1], "avatar": AVATAR, "foreign": chaos.AVATARS[1]}
    before, between = BETWEEN_RUNS[what]
    for most in (dirty.BATCH, 1):
        at = chaos.NOW - timedelta(days=20 + most % 7)
        sql(database, *before, **bound, at=at)
        run(database)
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(dirty, "BATCH", most)
            sql(database, *between, **bound)
            assert_exact(database)
        sql(database, "UPDATE avatars SET user_id = :user WHERE id = :avatar", **bound)


def test_an_account_that_goes_between_two_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its last row is in one batch and its deletion in the next, no month is stored for nobody there."""
    sql(database, SPOKEN, user=ADA, at="2025-05-01")
    run(database)
    sql(database, SPOKEN, user=ADA, at="2025-05-02")
    sql(database, "DELETE FROM auth.users WHERE id = :user", user=ADA)
    monkeypatch.setattr(dirty, "BATCH", 1)
    run(database)
    assert_exact(database)


def test_a_long_history_that_changes_hands_is_taken_in_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction takes more than a batch, be it one account's every day, and afterwards nothing waits."""
    taken: list[int] = []

    def watched(connection: sa.Connection, *rest: Any) -> dirty.Batch:  # noqa: ANN401 (as take)
        batch = take(connection, *rest)
        cells = (
            0 if batch.cells is None else connection.scalar(sa.text(f"SELECT count(*) FROM {dirty.CELLS}"))
        )
        taken.append(cells or 0)
        return batch

    take = dirty.take
    monkeypatch.setattr(dirty, "take", watched)
    monkeypatch.setattr(dirty, "BATCH", 30)
    days = "generate_series(timestamptz '2025-05-01', '2025-06-30', '1 day') AS d"
    sql(
        database,
        f"INSERT INTO tts_generations (user_id, text, created_at) SELECT :user, 'abc', d FROM {days}",
        f"INSERT INTO conversations (avatar_id, phone_number, text, timestamp) SELECT :avatar, '1', 't', d FROM {days}",
        user=ADA,
        avatar=AVATAR,
    )
    run(database)
    sql(
        database,
        "UPDATE avatars SET user_id = :other WHERE id = :avatar",
        other=chaos.USERS[1],
        avatar=AVATAR,
    )
    sql(database, "DELETE FROM auth.users WHERE id = :user", user=ADA)
    run(database)
    assert len(taken) > 20
    # Of an entry whoever has or had the avatar, and nobody, are looked at.
    assert max(taken) <= 4 * 30
    assert_exact(database)


def test_without_its_indexes_a_log_is_read_all_the_same(database: Database) -> None:
    """Where nothing leads to an owner's, a key's or a day's rows, a run counts what a count of everything counts."""
    sql(
        database,
        """DO $$ DECLARE found text; BEGIN
            FOR found IN SELECT i.indexrelid::regclass::text FROM pg_index i
                JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'public' AND NOT i.indisunique
            LOOP EXECUTE 'DROP INDEX ' || found; END LOOP;
        END $$""",
        *[SPOKEN] * 2,
        user=ADA,
        at=chaos.NOW,
    )
    run(database)
    for user in (ADA, chaos.USERS[1]):
        sql(database, SPOKEN, user=user, at=chaos.NOW - timedelta(days=3))
    sql(database, "DELETE FROM auth.users WHERE id = :user", user=ADA)
    run(database)
    assert_exact(database)


LIMITED = """
    UPDATE subscription_tiers SET max_avatars = 100, limits = '{"tts_generations": 1, "storage_bytes": 500}'"""
LIMITS = {
    "a limit falls": ["""UPDATE subscription_tiers SET limits = '{"tts_generations": 0}'"""],
    "a limit rises": [
        """UPDATE subscription_tiers SET limits = '{"tts_generations": 0}'""",
        """UPDATE subscription_tiers SET limits = '{"tts_generations": 9}'""",
    ],
    "avatars of who did nothing": ["UPDATE subscription_tiers SET max_avatars = 0"],
    "avatars that are many no longer": [
        "UPDATE subscription_tiers SET max_avatars = 0",
        "UPDATE avatars SET status = 'deleted' WHERE user_id <> :user",
    ],
    "a plan begins and is changed": [
        ("INSERT INTO user_subscriptions (user_id, tier_id, status, started_at, custom_limits)"
        " SELECT :user, id, 'active', now() - interval '1 day', '{\"tts_generations\": 0}' FROM subscription_tiers WHERE name = 'free'"),
        """UPDATE user_subscriptions SET custom_limits = '{"conversations_count": 0}'""",
        "DELETE FROM user_subscriptions",
    ],
    "another tier in the profile": [
        """INSERT INTO subscription_tiers (name, display_name, limits, max_avatars) VALUES ('none', 'None', '{"tts_generations": 0}', 0) ON CONFLICT DO NOTHING""",
        "UPDATE profiles SET subscription_tier_id = (SELECT id FROM subscription_tiers WHERE name = 'none') WHERE id = :user",
    ],
    "an account that is deleted, and its plan with it": [
        ("INSERT INTO user_subscriptions (user_id, tier_id, status, started_at, custom_limits)"
        " SELECT :user, id, 'active', now() - interval '1 day', '{\"tts_generations\": 0}' FROM subscription_tiers WHERE name = 'free'"),
        "UPDATE auth.users SET deleted_at = now() WHERE id = :user",
    ],
    "avatars of no known day": [
        "UPDATE subscription_tiers SET max_avatars = 2",
        "INSERT INTO avatars (user_id, name, created_at) SELECT :user, 'A', 'infinity' FROM generate_series(1, 5)",
        "UPDATE avatars SET status = 'deleted' WHERE created_at = 'infinity'",
    ],
    "a user's own object": [
        ("INSERT INTO storage.objects (bucket_id, name, metadata, created_at)"
        " VALUES ('generated-images', :user || '/a.png', '{\"size\": 1000}', now())"),
        "DELETE FROM storage.objects",
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", LIMITS)
def test_other_limits_on_the_same_day_are_judged_by(database: Database, what: str) -> None:
    """Where only limits, avatars or objects change, every open month is judged as a sum of all would, on any day."""
    sql(database, LIMITED)
    for days in (0, 40, 80):
        sql(database, *[SPOKEN] * 2, user=ADA, at=chaos.NOW - timedelta(days=days))
    run(database)
    for statement in LIMITS[what]:
        sql(database, statement, user=ADA)
        run(database)
    assert_exact(database)
    for statement in LIMITS[what]:
        sql(database, statement, user=chaos.USERS[1])
        assert_exact(database)
    sql(database, LIMITED, """UPDATE user_subscriptions SET custom_limits = '{"tts_generations": 0}'""")
    assert_exact(database, today=chaos.NOW.date() + timedelta(days=1))


def test_as_long_as_limits_stay_only_who_did_something_is_judged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a later run of a day no limits are found, users with changes are judged by the last ones, and invalid ones stay told."""
    sql(database, """UPDATE subscription_tiers SET limits = '{"tts_generations": 1, "unheard_of": 2}'""")
    told = run(database).result.details["invalid_limits"]
    run(database, "check-limits")
    sql(database, *[SPOKEN] * 2, user=ADA, at=chaos.NOW)

    def collect(*_: object) -> dict[str, int]:
        raise AssertionError("everybody's limits are found anew")

    monkeypatch.setattr(limits, "collect", collect)
    assert run(database).result.details["invalid_limits"] == told == {"unheard_of": len(chaos.USERS)}
    monkeypatch.undo()
    assert_exact(database)
    with database.read() as connection:
        over = sa.text("SELECT user_id FROM monthly_usage WHERE exceeded_limits ? 'tts_generations'")
        assert connection.scalars(over).all() == [ADA]


def judge_ada(database: Database) -> None:
    """Count one user's month anew and judge it, as an act does before it restricts them."""
    with database.write() as connection:
        closing.lock(connection)
        chosen = "CREATE TEMPORARY TABLE chosen ON COMMIT DROP AS SELECT CAST(:user AS uuid) AS id"
        connection.execute(sa.text(chosen), {"user": ADA})
        rejudge(connection, probe(connection), "chosen", chaos.NOW.date(), rates.load())


# What judges everybody's months, some months, and some users' running month.
JUDGING: dict[str, Callable[[Database], object]] = {
    "the job check-limits": lambda database: run(database, "check-limits"),
    "a run over one month": lambda database: run(
        database, window=month_window(chaos.NOW.date().replace(day=1))
    ),
    "an act that restricts": judge_ada,
}


@pytest.mark.parametrize("by", JUDGING)
def test_limits_that_were_others_for_a_while_leave_nothing(database: Database, by: str) -> None:
    """Whatever judges months by a limit that is then taken back, the next run judges them by those in force."""
    sql(database, "UPDATE subscription_tiers SET max_avatars = -1, limits = '{}'")
    for days in (0, 40):
        sql(database, SPOKEN, user=ADA, at=chaos.NOW - timedelta(days=days))
    run(database)
    sql(database, """UPDATE subscription_tiers SET limits = '{"tts_generations": 0}'""")
    JUDGING[by](database)
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM monthly_usage WHERE is_over_limit"))
    sql(database, "UPDATE subscription_tiers SET limits = '{}'")
    assert_exact(database)
    with database.read() as connection:
        assert not connection.scalar(sa.text("SELECT count(*) FROM monthly_usage WHERE is_over_limit"))


@pytest.mark.parametrize("by", JUDGING)
def test_avatars_that_were_too_many_for_a_while_leave_nothing(database: Database, by: str) -> None:
    """Whatever judges the month by avatars that are deleted then, the next run judges it by those there are."""
    sql(database, "UPDATE subscription_tiers SET max_avatars = 10", SPOKEN, user=ADA, at=chaos.NOW)
    run(database)
    many = "INSERT INTO avatars (user_id, name, created_at) SELECT :user, 'A', 'infinity' FROM generate_series(1, 20)"
    sql(database, many, user=ADA)
    JUDGING[by](database)
    sql(database, "DELETE FROM avatars WHERE created_at = 'infinity'")
    assert_exact(database)


def test_of_a_missing_table_nothing_is_known_of_who_did_nothing(database: Database) -> None:
    """A month without a day, of whoever has too many avatars, is 0 of what can be counted, and unknown of the rest."""
    sql(
        database,
        "UPDATE subscription_tiers SET max_avatars = 0",
        "ALTER TABLE tts_generations RENAME TO elsewhere",
    )
    judge_ada(database)
    month = chaos.NOW.date().replace(day=1)
    with database.read() as connection:
        found = connection.execute(
            sa.text(
                "SELECT tts_generations, voice_cost, api_requests_count, is_over_avatar_limit FROM monthly_usage"
                " WHERE user_id = :user AND usage_month = :month"
            ),
            {"user": ADA, "month": month},
        ).one()
    assert tuple(found) == (None, None, 0, True)


def test_limits_checked_on_another_basis_leave_nothing(database: Database) -> None:
    """Where the job check-limits sums months without a source, or by other rates, the next run sets them right."""
    sql(database, SPOKEN, user=ADA, at=chaos.NOW)
    run(database)
    sql(database, "ALTER TABLE tts_generations RENAME TO elsewhere")
    run(database, "check-limits")
    sql(database, "ALTER TABLE elsewhere RENAME TO tts_generations")
    assert_exact(database)
    card = rates.load()
    other = replace(card, rates=tuple(replace(rate, price=rate.price * 2) for rate in card.rates))
    run(database, "check-limits", rates=other)
    assert_exact(database)


@pytest.mark.parametrize("is_repriced", [True, False])
def test_storage_costs_each_day_what_that_day_costs(database: Database, *, is_repriced: bool) -> None:
    """Of a user the queue names, each day's bytes have their own day's price, though it changes amid the month."""
    first = (chaos.NOW.date().replace(day=1) - timedelta(days=1)).replace(day=1)
    month = month_window(first)
    days = [first + timedelta(days=n) for n in range((month.end - first).days)]
    prices = [
        (first, Decimal("0.0213")),
        (first + timedelta(days=11 if is_repriced else 70), Decimal("0.0371")),
    ]
    card = rates.load()
    others = tuple(rate for rate in card.rates if rate.kind != "storage")
    card = replace(
        card, rates=(*others, *(Rate("storage", "storage", "GB-month", *price) for price in prices))
    )
    kept = "INSERT INTO avatarlab_admin.storage_daily (day, user_id, kind, bucket, bytes) VALUES (:day, :user, 'image', 'b', :bytes)"
    stored_on = {day: 10**9 + 7 * 10**6 * day.day for day in days}
    for day, stored_bytes in stored_on.items():
        sql(database, kept, day=day, user=ADA, bytes=stored_bytes)
    run(database, rates=card)
    forget = "UPDATE monthly_usage SET storage_cost = NULL WHERE usage_month = :month"
    sql(database, forget, SPOKEN, user=ADA, at=chaos.NOW - timedelta(days=chaos.NOW.day), month=first)
    done = run(database, rates=card)
    assert done.result.details["changes_taken"] == 1
    each = (size * [price for since, price in prices if since <= day][-1] for day, size in stored_on.items())
    cost = sum(each, Decimal()) / 10**9 / len(days)
    with database.read() as connection:
        found = sa.text(
            "SELECT storage_cost FROM monthly_usage WHERE user_id = :user AND usage_month = :month"
        )
        assert connection.scalar(found, {"user": ADA, "month": first}) == round(cost, 6)


@examples(6)
@given(data=st.data())
def test_any_mix_of_changes_is_counted(database: Database, data: st.DataObject) -> None:
    """Any statements in any order, run after run, one job or the other, leave what a count of everything leaves."""
    chance = data.draw(st.randoms(use_true_random=False))
    for _ in range(data.draw(st.integers(1, 4))):
        write_anything(database, chance, data.draw(st.integers(1, 12)))
        run(database, data.draw(st.sampled_from(["monthly-usage", "platform-statistics"])))
    assert_exact(database)


def write_anything(database: Database, chance: random.Random, times: int) -> None:
    statements = [sql for weight, sql in chaos.WRITES for _ in range(weight)]
    with psycopg.connect(database.conninfo) as connection:
        for _ in range(times):
            try:
                with connection.transaction():
                    connection.execute(chance.choice(statements), chaos._given(chance))
            except psycopg.errors.IntegrityError:
                pass


@pytest.mark.parametrize("uncaptured", [["tts_generations"], ["conversations", "generated_images"]])
def test_some_sources_are_read_whole_and_of_others_the_queue(
    database: Database, uncaptured: list[str]
) -> None:
    """In one run the open days of a source without triggers are counted anew, and of the others what the queue names."""
    for table in uncaptured:
        sql(database, f"ALTER TABLE {table} DISABLE TRIGGER USER")
    chance = random.Random(str(uncaptured))  # noqa: S311 (a seed, not a secret)
    for _ in range(4):
        write_anything(database, chance, 30)
        run(database)
    write_anything(database, chance, 30)
    assert_exact(database)


def test_other_rates_count_everything_anew(database: Database) -> None:
    """What hangs on the rates is not in the queue; a run with another card leaves nothing of the old one."""
    sql(database, SPOKEN, user=ADA, at="2025-05-01")
    run(database)
    card = rates.load()
    other = replace(card, rates=card.rates[1:])
    run(database, rates=other)
    with database.read() as connection:
        versions = connection.scalars(
            sa.text("SELECT DISTINCT rate_card_version FROM avatarlab_admin.usage_daily")
        ).all()
    assert versions == [other.version]


def test_a_failing_trigger_lets_the_platform_write(database: Database) -> None:
    """A column under another name stops no write; it is counted, said, and the next run is exact all the same."""
    sql(database, SPOKEN, user=ADA, at="2025-05-01")
    run(database)
    sql(database, "ALTER TABLE avatarlab_admin.usage_dirty RENAME COLUMN via_id TO gone")
    with psycopg.connect(database.conninfo) as connection:
        said: list[str] = []
        connection.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
        connection.execute(
            "INSERT INTO tts_generations (user_id, text, created_at) VALUES (%s, 'abc', '2025-05-01')", (ADA,)
        )
    assert any("tts_generations is not on record" in line for line in said)
    sql(database, "ALTER TABLE avatarlab_admin.usage_dirty RENAME COLUMN gone TO via_id")
    assert entries(database)[-1] == ("tts_generations", "-infinity", None, None)
    run(database)
    with database.read() as connection:
        found = connection.scalar(
            sa.text("SELECT tts_generations FROM avatarlab_admin.usage_daily WHERE day = '2025-05-01'")
        )
    assert found == 2
    assert_exact(database)


def test_a_failure_that_cannot_be_put_down_is_counted(database: Database) -> None:
    """Without its queue a trigger counts, and every run reads all open days until the triggers are installed anew."""
    sql(database, "ALTER TABLE avatarlab_admin.usage_dirty RENAME TO gone", SPOKEN, user=ADA, at="2025-05-01")
    sql(database, "ALTER TABLE avatarlab_admin.gone RENAME TO usage_dirty")
    with database.read() as connection:
        assert capture.failures(connection) == 1
        (said,) = status(connection)[1]
    assert "what 1 statements changed" in said
    for _ in range(2):
        run(database)
        sql(database, "ALTER TABLE tts_generations DISABLE TRIGGER USER")
        sql(database, SPOKEN, user=ADA, at="2025-05-02")
        for event in capture.EVENTS:
            sql(database, f"ALTER TABLE tts_generations ENABLE ALWAYS TRIGGER avatarlab_capture_{event}")
    assert_exact(database)
    install_capture(database)
    with database.read() as connection:
        assert status(connection)[1] == []


@pytest.mark.parametrize(
    "broken",
    [
        "DROP TRIGGER avatarlab_capture_insert ON tts_generations",
        "ALTER TABLE tts_generations DISABLE TRIGGER avatarlab_capture_insert",
        "ALTER TABLE auth.users DISABLE TRIGGER avatarlab_capture_delete",
    ],
)
def test_a_source_without_its_triggers_is_read_whole(database: Database, broken: str) -> None:
    """Where a trigger is missing or turned off, a run counts that source's open days anew."""
    sql(database, broken, SPOKEN, user=ADA, at="2025-05-01")
    with database.read() as connection:
        assert "tts_generations" not in capture.captured(connection)
    assert_exact(database)


def test_a_log_that_was_pruned_goes_away(database: Database) -> None:
    """What pruned rows counted for is no figure while their log is not there, whichever run looks, and comes back with it."""
    _prune_requests(database)
    for there, away in (("api_request_logs", "elsewhere"), ("elsewhere", "api_request_logs")):
        sql(database, f"ALTER TABLE {there} RENAME TO {away}")
        run(database)
        before = stored(database)
        assert run(database).result.rows_written == 0
        assert stored(database) == before
        assert_exact(database)


@pytest.mark.parametrize("batch", [1, 3])
def test_an_account_goes_whose_rows_were_pruned(
    database: Database, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Of an account that goes what was pruned of it becomes nobody's, however small the batches are."""
    _prune_requests(database)
    sql(database, "DELETE FROM auth.users WHERE id = :user", user=ADA)
    monkeypatch.setattr(dirty, "BATCH", batch)
    assert_exact(database)


def _prune_requests(database: Database) -> None:
    """Have ten days with a request each, of which the log does not know any more."""
    asked = (
        "INSERT INTO api_request_logs (user_id, endpoint, method, created_at)"
        " SELECT :user, '/', 'GET', CAST(:at AS timestamptz) - n * interval '1 day' FROM generate_series(0, 9) AS n"
    )
    sql(database, asked, user=ADA, at=chaos.NOW - timedelta(days=40))
    run(database)
    with database.write() as connection:
        before = chaos.NOW.date() - timedelta(days=10)
        assert pruned.delete_some(connection, api_request_logs, before, None, 100).rows == 10
    run(database)


def test_a_row_from_before_our_era_is_nobodys_day(database: Database) -> None:
    """Such a day has no figures: no month of it is open, and none is closed that could be adjusted."""
    sql(database, SPOKEN, user=ADA, at="0044-03-15 BC")
    assert "adjustments" not in run(database).result.details
    assert_exact(database)


def test_a_snapshot_comes_on_a_later_run_of_the_day(database: Database) -> None:
    """It completes the month for everybody, for whoever has too many avatars and did nothing, too."""
    run(database)
    taken = "INSERT INTO avatarlab_admin.storage_daily (day, user_id, kind, bucket, bytes) VALUES (:day, :nobody, 'other', '', 0)"
    sql(database, taken, day=chaos.NOW.date().replace(day=1), nobody=UNATTRIBUTED)
    assert_exact(database)


def test_limits_that_were_lost_are_found_again(database: Database) -> None:
    """After a repair, nobody is judged by limits that are not there."""
    sql(database, """UPDATE subscription_tiers SET limits = '{"tts_generations": 1}'""")
    run(database)
    sql(database, "DROP TABLE avatarlab_admin.judged_limits")
    _repair(database)
    sql(database, *[SPOKEN] * 2, user=ADA, at=chaos.NOW)
    assert_exact(database)


def test_a_repair_hides_no_failure(database: Database) -> None:
    """Whoever may read the toolkit's tables sees how often a trigger failed, after a repair too."""
    sql(database, f"SELECT nextval('{capture.FAILURES}')")
    _repair(database)
    with login(database.conninfo) as name:
        sql(database, f"GRANT USAGE ON SCHEMA avatarlab_admin TO {name}")
        with database.read() as connection:
            connection.execute(sa.text(f"SET LOCAL ROLE {name}"))
            assert capture.failures(connection) == 1


def _repair(database: Database) -> None:
    with database.engine.connect() as connection:
        migrations.upgrade(connection, repair=True)


def test_removing_leaves_nothing_behind(database: Database) -> None:
    """After removal no trigger, function or entry is left, and figures stay exact."""
    sql(database, SPOKEN, user=ADA, at="2025-05-01")
    with database.write() as connection:
        capture.remove(connection)
    with database.read() as connection:
        assert (
            connection.scalar(
                sa.text("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'avatarlab_capture%'")
            )
            == 0
        )
        assert (
            connection.scalar(sa.text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'capture\\_%'")) == 0
        )
    assert entries(database) == []
    assert_exact(database)


def test_the_installation_waits_for_nobody_for_ever(database: Database) -> None:
    """A writer that is not done holds the installation up no longer than lock_timeout, and nothing is changed."""
    impatient = Database(database.conninfo, {"lock_timeout": "100ms"})
    with psycopg.connect(database.conninfo) as writer:
        writer.execute("INSERT INTO tts_generations (user_id, text) VALUES (%s, 'abc')", (ADA,))
        with pytest.raises(BusyError):
            install_capture(impatient)
        writer.rollback()
    install_capture(database)


@pytest.fixture(params=range(5))
def seed(request: pytest.FixtureRequest) -> Iterator[int]:
    """A number that a failure names."""
    yield request.param
    print(f"seed {request.param}")  # noqa: T201 (pytest shows it where the test fails)


def test_nothing_is_lost_under_fire(database: Database, seed: int) -> None:
    """Six writers, two competing jobs and 12 kills or more: afterwards every day and month is that of a count of everything."""
    assert chaos.under_fire(database.conninfo, seed, kills=12) > chaos.ENOUGH
    assert_exact(database)
    run(database, "platform-statistics")
    with database.read() as connection:
        unfinished = connection.scalar(
            sa.text("SELECT count(*) FROM avatarlab_admin.job_runs WHERE status = 'running'")
        )
    assert unfinished == 0


def late_under_closed_months(database: Database) -> date:
    """Have Ada speak in the last month, close it, and let a row of the same day come late."""
    first = (chaos.NOW.replace(day=1) - timedelta(days=1)).replace(day=2)
    sql(database, SPOKEN, user=ADA, at=first)
    for job in ("monthly-usage", "platform-statistics", "close-month"):
        run(database, job, close_after_days=0)
    sql(database, SPOKEN, user=ADA, at=first)
    return first.date()


def test_what_changes_under_a_closed_month_is_an_adjustment(database: Database) -> None:
    """A late row of a closed month leaves its figures as they are, and is on record beside them, once."""
    late_under_closed_months(database)
    before = stored(database)
    for job in ("monthly-usage", "platform-statistics"):
        run(database, job)
    assert stored(database)["public.monthly_usage"] == before["public.monthly_usage"]
    with database.read() as connection:
        found = connection.execute(
            sa.text(
                "SELECT user_id, metric, before, after FROM avatarlab_admin.usage_adjustment"
                " WHERE metric LIKE 'tts%' ORDER BY metric"
            )
        ).all()
    assert [tuple(row) for row in found] == [(ADA, "tts_characters", 3, 6), (ADA, "tts_generations", 1, 2)]


WHOLE = {
    "emptied": (["TRUNCATE tts_generations"], 0),
    "past its triggers": (["ALTER TABLE tts_generations DISABLE TRIGGER USER", SPOKEN], 3),
}  # fmt: skip


@pytest.mark.parametrize("what", WHOLE)
def test_what_befell_a_whole_source_is_adjusted(database: Database, what: str) -> None:
    """A source that is emptied, or whose triggers are installed anew, is looked at under closed months too, once."""
    late = late_under_closed_months(database)
    run(database)
    statements, expected = WHOLE[what]
    sql(database, *statements, user=ADA, at=late)
    if expected:
        install_capture(database)
    run(database)
    assert_exact(database)
    with database.read() as connection:
        found = connection.scalars(
            sa.text(
                "SELECT after FROM avatarlab_admin.usage_adjustment"
                " WHERE (user_id, metric) = (:user, 'tts_generations') ORDER BY recorded_at"
            ),
            {"user": ADA},
        )
        assert list(found) == [2, expected]


def test_a_reopened_month_has_what_came_while_it_was_closed(database: Database) -> None:
    """A row that came under a closed month is in its figures once the month is open, and it can be closed again."""
    late = late_under_closed_months(database)
    run(database)
    with database.write() as connection:
        closing.lock(connection)
        closing.reopen(connection, late.replace(day=1), by="ada", reason="a row came late")
    assert_exact(database)
    run(database, "platform-statistics")
    assert run(database, "close-month", close_after_days=0).result.rows_written > 0


def test_ids_are_remembered(database: Database) -> None:
    """Every owner an avatar or key ever had is known, also once it is gone."""
    sql(database, "UPDATE avatars SET user_id = :user WHERE id = :avatar", user=chaos.USERS[3], avatar=AVATAR)
    sql(database, "DELETE FROM avatars WHERE id = :avatar", avatar=AVATAR)
    with database.read() as connection:
        owners = set(
            connection.scalars(
                sa.text("SELECT user_id FROM avatarlab_admin.remembered_owner WHERE id = :avatar"),
                {"avatar": AVATAR},
            )
        )
    assert owners == {ADA, chaos.USERS[3]}


@pytest.mark.parametrize("job", ["monthly-usage", "platform-statistics"])
def test_a_run_of_many_batches_records_what_all_did(
    database: Database, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries taken and adjustments made are those of every transaction of the run, whichever job takes the queue."""
    late = (chaos.NOW - timedelta(days=62)).replace(day=2)
    for name in ("monthly-usage", "platform-statistics", "close-month"):
        run(database, name)
    sql(database, "DELETE FROM avatarlab_admin.usage_dirty")
    for user in chaos.USERS[:3]:
        sql(database, SPOKEN, user=user, at=late)
        sql(database, SPOKEN, user=user, at=chaos.NOW)
    waiting = len(entries(database))
    assert waiting >= 6
    monkeypatch.setattr(dirty, "BATCH", 2)
    details = run(database, job).result.details
    with database.read() as connection:
        recorded = connection.scalar(sa.text("SELECT count(*) FROM avatarlab_admin.usage_adjustment"))
    assert details == {"changes_taken": waiting, "adjustments": recorded}
    assert (recorded or 0) >= 6
