"""What deleting users would do, against what a deletion then does."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.errors import NotPermittedError
from avatarlab_cli.queries import deletion
from tests.conftest import plain_engine
from tests.database.logins import as_role, login

ADA, BEN = UUID(int=0xADA), UUID(int=0xBE)
Effect = tuple[str, str, str | None, int]


def sign_up(connection: sa.Connection, *users: UUID) -> None:
    for user in users:
        insert(connection, "auth.users", id=user, email=f"{user.int:x}@example.com")


def insert(connection: sa.Connection, table: str, **values: object) -> UUID:
    """Insert one row, under a new id unless it has one, and return the id."""
    row = {"id": uuid4(), **values}
    names = ", ".join(row)
    binds = ", ".join(f":{name}" for name in row)
    connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({binds})"), row)
    found = row["id"]
    assert isinstance(found, UUID)
    return found


def avatar(connection: sa.Connection, user: UUID, **values: object) -> UUID:
    return insert(connection, "avatars", user_id=user, name="Juno", **values)


def plan(connection: sa.Connection, *users: UUID) -> list[Mapping[str, Any]]:
    report = deletion.plan(connection, users)
    return [dict(row) for row in connection.execute(report.select).mappings()]


def effects(rows: Iterable[Mapping[str, Any]], *wanted: str) -> list[Effect]:
    """Return the effects of these kinds, without the objects."""
    return sorted(
        (row["effect"], row["table"], row["column"], row["rows"])
        for row in rows
        if row["effect"] in wanted and row["bucket"] is None
    )


def counted(connection: sa.Connection) -> Counter[str]:
    """Count every row of every table."""
    names = connection.scalars(
        sa.text("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^pg_|information'")
    ).all()
    return Counter({name: connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) or 0 for name in names})


def deletes(connection: sa.Connection, user: UUID) -> Counter[str] | None:
    """Delete a user, count what is gone, and take it back; None where the database refuses."""
    before = counted(connection)
    undone = connection.begin_nested()
    try:
        connection.execute(sa.text("DELETE FROM auth.users WHERE id = :user"), {"user": user})
        return before - counted(connection)
    except sa.exc.IntegrityError:
        return None
    finally:
        undone.rollback()


def test_the_plan_is_what_happens(demo_conninfo: str) -> None:
    """Of each user of the demo platform the database deletes exactly the rows foretold, or refuses as foretold."""
    with plain_engine(demo_conninfo).begin() as connection:
        users = connection.scalars(sa.text("SELECT id FROM auth.users")).all()
        rows, held = plan(connection, *users), deletion.blockers(connection, users)
        done = {user: deletes(connection, user) for user in users}
        admins = set(connection.scalars(sa.text("SELECT user_id FROM admin_users WHERE is_active")))

    assert {user for user, gone in done.items() if gone is None} == set(held)
    assert 0 < len(held) < len(users)
    for user, gone in done.items():
        own = [row for row in rows if row["user_id"] == user]
        assert gone is None or gone == Counter(
            {table: count for _, table, _, count in effects(own, "deletes")}
        )
        # The database would delete an admin that nothing else holds; the command does not.
        assert [(row["table"], row["column"], row["rows"]) for row in own if row["effect"] == "blocks"] == [
            *((blocker.table, blocker.column, blocker.rows) for blocker in held.get(user, ())),
            *([("public.admin_users", "is_active", 1)] if user in admins else []),
        ]


def test_many_users_cost_no_more_statements_than_one(demo_conninfo: str) -> None:
    """The plan of all users says of each what the plan of that one says, in as many statements."""
    engine = plain_engine(demo_conninfo)
    statements: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    with engine.begin() as connection:
        users = connection.scalars(sa.text("SELECT id FROM auth.users ORDER BY id")).all()
        statements.clear()
        together = plan(connection, *users)
        counts = [len(statements)]
        alone = [row for user in users for row in plan(connection, user)]
        counts.append(len(statements) - counts[0])

    def ordered(rows: list[Mapping[str, Any]]) -> list[str]:
        return sorted(str(sorted(row.items(), key=str)) for row in rows)

    assert ordered(together) == ordered(alone)
    assert counts[1] == counts[0] * len(users)


def block_by_purchase(connection: sa.Connection) -> None:
    insert(connection, "purchases", user_id=BEN, avatar_id=avatar(connection, ADA), price_paid=1)
    # What one bought of oneself goes with the buyer.
    insert(connection, "purchases", user_id=ADA, avatar_id=avatar(connection, ADA), price_paid=1)


def block_by_referral(connection: sa.Connection) -> None:
    connection.execute(sa.text("UPDATE profiles SET referrer_id = :ada"), {"ada": ADA})


def block_by_activity(connection: sa.Connection) -> None:
    insert(connection, "user_activities", user_id=ADA, activity_type="x")


def block_by_log(connection: sa.Connection) -> None:
    for _ in range(3):
        insert(connection, "system_logs", user_id=ADA, level="info", category="x", message="x")


def block_by_template(connection: sa.Connection) -> None:
    insert(
        connection,
        "avatar_templates",
        author_id=ADA,
        title="x",
        content="{}",
        category="x",
        template_type="voice",
    )


def block_by_deleted_avatar(connection: sa.Connection) -> None:
    avatar(connection, BEN, deleted_by=ADA)
    avatar(connection, ADA, deleted_by=ADA)


@pytest.mark.parametrize(
    ("arrange", "expected"),
    [
        (block_by_purchase, "public.purchases.avatar_id (1 row)"),
        (block_by_referral, "public.profiles.referrer_id (1 row)"),
        (block_by_activity, "public.user_activities.user_id (1 row)"),
        (block_by_log, "public.system_logs.user_id (3 rows)"),
        (block_by_template, "public.avatar_templates.author_id (1 row)"),
        (block_by_deleted_avatar, "public.avatars.deleted_by (1 row)"),
    ],
)
def test_what_blocks_is_named(seed_database: sa.Engine, arrange: Any, expected: str) -> None:  # noqa: ANN401 (one of the functions above)
    """Rows that refer to the user and would stay are named with their column and number; those that go are not."""
    with seed_database.begin() as connection:
        sign_up(connection, ADA, BEN)
        arrange(connection)
        held = deletion.blockers(connection, [ADA, BEN])
        assert {user: [str(blocker) for blocker in found] for user, found in held.items()} == {
            ADA: [expected]
        }
        assert deletes(connection, ADA) is None


def test_an_admin_is_held_by_what_he_did(migrated_panel_database: sa.Engine) -> None:
    """Audit entries, bans, reviews and appointments of an admin each hold the account, two tables away."""
    with migrated_panel_database.begin() as connection:
        sign_up(connection, ADA, BEN)
        ada, ben = (insert(connection, "admin_users", user_id=user) for user in (ADA, BEN))
        update = "UPDATE profiles SET banned_by = :ada; UPDATE admin_users SET created_by = :ada"
        for statement in update.split(";"):
            connection.execute(sa.text(statement), {"ada": ada})
        insert(connection, "admin_audit_logs", admin_user_id=ada, action="x", resource_type="x")
        insert(connection, "admin_audit_logs", admin_user_id=ben, action="x", resource_type="x")
        held = deletion.blockers(connection, [ADA])

    assert [str(blocker) for blocker in held[ADA]] == [
        "public.admin_audit_logs.admin_user_id (1 row)",
        "public.admin_users.created_by (1 row)",
        "public.profiles.banned_by (1 row)",
    ]


def test_a_key_nobody_foresaw(seed_database: sa.Engine) -> None:
    """A table added later counts at once, whatever its schema, the width of its key and what its rows do."""
    with seed_database.begin() as connection:
        sign_up(connection, ADA)
        for statement in (
            "CREATE SCHEMA billing",
            "CREATE TABLE billing.account (user_id uuid REFERENCES auth.users ON DELETE CASCADE, n int, UNIQUE (user_id, n))",
            "CREATE TABLE billing.invoice (u uuid, n int, FOREIGN KEY (u, n) REFERENCES billing.account (user_id, n) ON DELETE RESTRICT)",
            "CREATE TABLE billing.note (u uuid, n int, FOREIGN KEY (u, n) REFERENCES billing.account (user_id, n) ON DELETE SET NULL)",
            f"INSERT INTO billing.account VALUES ('{ADA}', 1), ('{ADA}', 2)",
            f"INSERT INTO billing.invoice VALUES ('{ADA}', 2), ('{ADA}', NULL)",
            f"INSERT INTO billing.note VALUES ('{ADA}', 1), ('{ADA}', 2), (NULL, 1)",
        ):
            connection.execute(sa.text(statement))
        rows = plan(connection, ADA)

    assert effects(rows, "blocks", "sets null", "deletes") == [
        ("blocks", "billing.invoice", "u, n", 1),
        ("deletes", "auth.users", None, 1),
        ("deletes", "billing.account", None, 2),
        ("deletes", "public.profiles", None, 1),
        ("sets null", "billing.note", "u, n", 2),
    ]


def test_what_loses_its_reference(seed_database: sa.Engine) -> None:
    """Another's speech made with the user's voice stays without it; the user's own goes and is not counted."""
    with seed_database.begin() as connection:
        sign_up(connection, ADA, BEN)
        voice = insert(connection, "voice_clones", user_id=ADA, name="x", elevenlabs_voice_id="x")
        for user in (ADA, BEN, BEN):
            insert(connection, "tts_generations", user_id=user, voice_clone_id=voice, text="x")
        rows = plan(connection, ADA)

    assert effects(rows, "sets null") == [("sets null", "public.tts_generations", "voice_clone_id", 2)]
    assert ("deletes", "public.tts_generations", None, 1) in effects(rows, "deletes")


def test_what_stays_behind(migrated_seed_database: sa.Engine) -> None:
    """Rows that name the user without a foreign key stay, unless they go with something else of the user's."""
    with migrated_seed_database.begin() as connection:
        sign_up(connection, ADA, BEN)
        own, others = avatar(connection, ADA), avatar(connection, BEN)
        insert(connection, "memory_categories", user_id=ADA, name="x")
        insert(connection, "memory_categories", user_id=BEN, name="x")
        for home in (own, others):
            insert(
                connection,
                "avatar_memories",
                avatar_id=home,
                user_id=ADA,
                title="x",
                memory_date="2025-01-01",
                image_url="x",
                image_path="x",
                memory_description="x",
                memory_summary="x",
            )
        connection.execute(
            sa.text(
                "INSERT INTO avatarlab_admin.usage_daily (day, user_id, definition_version)"
                " VALUES ('2025-01-01', :ada, 1), ('2025-01-02', :ada, 1)"
            ),
            {"ada": ADA},
        )
        connection.execute(
            sa.text(
                "INSERT INTO avatarlab_admin.pruned_daily (day, user_id, definition_version) VALUES ('2025-01-01', :ada, 2)"
            ),
            {"ada": ADA},
        )
        rows = plan(connection, ADA)

    assert effects(rows, "stays") == [
        ("stays", "avatarlab_admin.pruned_daily", "user_id", 1),
        ("stays", "avatarlab_admin.usage_daily", "user_id", 2),
        ("stays", "public.avatar_memories", "user_id", 1),
        ("stays", "public.memory_categories", "user_id", 1),
    ]


def test_objects_left_behind(seed_database: sa.Engine) -> None:
    """Objects are listed by bucket and key: those a row of the user's names, and those in the user's folders."""
    site = "https://x.supabase.co/storage/v1/object/public"
    stored = {
        ("generated-images", f"{ADA}/1.png"): ADA,
        ("avatars", f"profiles/{ADA}-1.jpg"): ADA,
        # Named by a row of Ben's before one of Ada's.
        ("generated-images", f"{ADA}/2.png"): BEN,
        ("generated-images", "odd/3.png"): ADA,
        ("voice-samples", f"{BEN}/4.mp3"): BEN,
        ("other", f"{str(ADA).upper()}/5.bin"): ADA,
        ("other", "nobody"): None,
    }
    with seed_database.begin() as connection:
        sign_up(connection, ADA, BEN)
        insert_bucket = sa.text("INSERT INTO storage.buckets (id, name) VALUES ('other', 'other')")
        connection.execute(insert_bucket)
        for bucket, key in stored:
            insert(connection, "storage.objects", bucket_id=bucket, name=key)
        for user, key, day in ((BEN, f"{ADA}/2.png", 1), (ADA, f"{ADA}/2.png", 2), (ADA, "odd/3.png", 3)):
            insert(
                connection,
                "generated_images",
                user_id=user,
                prompt="x",
                image_url=f"{site}/generated-images/{key}?t=1",
                created_at=f"2025-01-0{day}",
            )
        for user in (ADA, BEN):
            listed = {(row["bucket"], row["key"]) for row in plan(connection, user) if row["bucket"]}
            assert listed == {place for place, owner in stored.items() if owner == user}


def test_a_circle_of_cascades_is_told(seed_database: sa.Engine) -> None:
    """Rows that go with rows of their own table are not followed, and the plan says so."""
    with seed_database.begin() as connection:
        sign_up(connection, ADA)
        connection.execute(
            sa.text(
                "CREATE TABLE reply (id uuid PRIMARY KEY, user_id uuid REFERENCES auth.users ON DELETE CASCADE,"
                " parent uuid REFERENCES reply ON DELETE CASCADE)"
            )
        )
        first = insert(connection, "reply", user_id=ADA)
        insert(connection, "reply", parent=first)
        assert ("deletes", "public.reply", None, 1) in effects(plan(connection, ADA), "deletes")
        assert deletion.plan(connection, [ADA]).notes == (
            "rows of public.reply that are reached by parent in a circle are not counted",
        )


def test_an_unreadable_table_is_told(seed_conninfo: str) -> None:
    """What this login may not read is named, and the rest is planned."""
    grants = (
        "GRANT USAGE ON SCHEMA public, auth, storage TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, auth, storage TO {role}",
        "REVOKE SELECT ON user_favorites FROM {role}",
    )
    with plain_engine(seed_conninfo).begin() as connection:
        sign_up(connection, ADA)
        insert(connection, "user_favorites", user_id=ADA, entity_type="image", entity_id=ADA)
    with (
        login(seed_conninfo, *grants, options="BYPASSRLS") as role,
        Database(as_role(seed_conninfo, role)).read() as connection,
    ):
        assert effects(plan(connection, ADA), "deletes") == [
            ("deletes", "auth.users", None, 1),
            ("deletes", "public.profiles", None, 1),
        ]
        assert deletion.plan(connection, [ADA]).notes == (
            "public.user_favorites cannot be read by this login: what it holds of the user is neither counted nor checked",
        )


def test_row_security_refuses_a_plan(seed_conninfo: str) -> None:
    """A login that does not see every row gets no plan: it would say that nothing blocks."""
    grants = (
        "GRANT USAGE ON SCHEMA public, auth, storage TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, auth, storage TO {role}",
    )
    with (
        login(seed_conninfo, *grants) as role,
        Database(as_role(seed_conninfo, role)).read() as connection,
        pytest.raises(NotPermittedError, match="row security hides rows"),
    ):
        deletion.blockers(connection, [ADA])


def test_the_plan_only_reads(demo_conninfo: str) -> None:
    """A plan is made in a transaction that may change nothing, not even temporarily."""
    with Database(demo_conninfo).read() as connection:
        user = connection.scalar(sa.text("SELECT user_id FROM avatars WHERE user_id IS NOT NULL LIMIT 1"))
        assert user is not None
        assert plan(connection, user)
        with pytest.raises(sa.exc.DBAPIError) as refused:
            connection.execute(sa.text("CREATE TEMPORARY TABLE t (n int)"))
    assert isinstance(refused.value.orig, psycopg.errors.ReadOnlySqlTransaction)
