"""The archive of a user's data: complete, of nobody else, whole or not there."""

import gzip
import hashlib
import io
import json
import stat
import tarfile
import tracemalloc
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.archive.writing import written
from avatarlab_cli.database import Database
from avatarlab_cli.errors import AvatarLabError, RefusedError
from tests.conftest import plain_engine
from tests.database.archives import ADA, BEN, export, insert, rows_of, sign_up
from tests.database.logins import as_role, login

# What is a user's, table by table, as a person would count it.
OWN_ROWS = {
    "auth.users": "SELECT count(*) FROM auth.users WHERE id = :user",
    "public.profiles": "SELECT count(*) FROM profiles WHERE id = :user",
    "public.avatars": "SELECT count(*) FROM avatars WHERE user_id = :user",
    "public.conversations": "SELECT count(*) FROM conversations JOIN avatars a ON a.id = avatar_id WHERE a.user_id = :user",
    "public.conversation_feedback": "SELECT count(*) FROM conversation_feedback WHERE user_id = :user",
    "public.api_request_logs": """
        SELECT count(*) FROM api_request_logs l LEFT JOIN platform_api_keys k ON k.id = l.api_key_id
        WHERE coalesce(l.user_id, k.user_id) = :user""",
    "public.platform_api_keys": "SELECT count(*) FROM platform_api_keys WHERE user_id = :user",
    "public.user_api_keys": "SELECT count(*) FROM user_api_keys WHERE user_id = :user",
    "public.purchases": "SELECT count(*) FROM purchases WHERE user_id = :user",
    "public.avatar_memories": "SELECT count(*) FROM avatar_memories WHERE user_id = :user",
    "public.document_chunks": "SELECT count(*) FROM document_chunks WHERE user_id = :user",
    "public.user_subscriptions": "SELECT count(*) FROM user_subscriptions WHERE user_id = :user",
    "public.monthly_usage": "SELECT count(*) FROM monthly_usage WHERE user_id = :user",
    "public.tier_upgrade_requests": "SELECT count(*) FROM tier_upgrade_requests WHERE user_id = :user",
    "public.admin_users": "SELECT count(*) FROM admin_users WHERE user_id = :user",
    "public.avatar_templates": "SELECT count(*) FROM avatar_templates WHERE author_id = :user",
}


def test_an_archive_is_complete(demo_conninfo: str, tmp_path: Path) -> None:
    """Of busy and idle users the archive has as many rows of each table as the database, and the manifest says so."""
    with plain_engine(demo_conninfo).begin() as connection:
        users = connection.scalars(
            sa.text(
                "SELECT u.id FROM auth.users u LEFT JOIN avatars a ON a.user_id = u.id"
                " GROUP BY u.id ORDER BY count(a.id) DESC, u.id LIMIT 5"
            )
        ).all()
        counts = {
            user: {table: connection.scalar(sa.text(sql), {"user": user}) for table, sql in OWN_ROWS.items()}
            for user in users
        }
    total = 0
    for user in users:
        archive = export(demo_conninfo, user, tmp_path / str(user))
        assert {table: archive.rows.get(table, 0) for table in OWN_ROWS} == counts[user]
        total += archive.rows.get("public.conversations", 0) + archive.rows.get("public.api_request_logs", 0)
    assert total > 100


def test_the_manifest_proves_the_files(demo_conninfo: str, tmp_path: Path) -> None:
    """Bytes, rows and SHA-256 of every file are as the manifest says, and there is no other file."""
    with plain_engine(demo_conninfo).begin() as connection:
        user = connection.scalar(
            sa.text("SELECT user_id FROM conversation_feedback WHERE user_id IS NOT NULL LIMIT 1")
        )
    assert user is not None
    archive = export(demo_conninfo, user, tmp_path / "ada")
    manifest = json.loads((tmp_path / "ada" / "manifest.json").read_bytes())

    assert manifest == archive.manifest
    assert hashlib.sha256((tmp_path / "ada" / "manifest.json").read_bytes()).hexdigest() == archive.digest
    assert manifest["user_id"] == str(user)
    assert manifest["created_at"].endswith("Z")
    names = {file["file"] for file in manifest["files"]}
    assert {path.name for path in (tmp_path / "ada").iterdir()} == names | {"manifest.json"}
    for file in manifest["files"]:
        content = (tmp_path / "ada" / file["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert (len(content), content.count(b"\n")) == (file["bytes"], file["rows"])
        assert (
            len({json.dumps(row, sort_keys=True) for row in map(json.loads, content.splitlines())})
            == file["rows"]
        )
        assert file["table"] not in manifest["empty_tables"]


def test_values_are_exact(seed_conninfo: str, tmp_path: Path) -> None:
    """Times are UTC with Z, amounts text, numbers numbers, NULL null, and JSON stays JSON."""
    sign_up(seed_conninfo, ADA)
    avatar = insert(
        seed_conninfo,
        "avatars",
        user_id=ADA,
        name='Jüno "J"\n',
        price="12.50",
        age=30,
        favorites=["a,b", "ü"],
        created_at="2025-06-15T14:00:00.5+02:00",
    )
    insert(
        seed_conninfo,
        "user_preferences",
        user_id=ADA,
        preference_key="k",
        preference_value='{"n": 1.10000000000000000001, "f": 0.1, "t": null}',
    )
    insert(seed_conninfo, "auth.sessions", user_id=ADA, refreshed_at="2025-06-15 12:00", not_after="infinity")
    export(seed_conninfo, ADA, tmp_path / "ada")

    (row,) = rows_of(tmp_path / "ada", "public.avatars")
    wanted = ("id", "name", "price", "age", "favorites", "created_at", "deleted_at", "is_public")
    assert {name: row[name] for name in wanted} == {
        "id": str(avatar),
        "name": 'Jüno "J"\n',
        "price": "12.50",
        "age": 30,
        "favorites": ["a,b", "ü"],
        "created_at": "2025-06-15T12:00:00.5Z",
        "deleted_at": None,
        "is_public": False,
    }
    (preference,) = rows_of(tmp_path / "ada", "public.user_preferences")
    assert preference["preference_value"] == {"n": "1.10000000000000000001", "f": 0.1, "t": None}
    (session,) = rows_of(tmp_path / "ada", "auth.sessions")
    assert (session["refreshed_at"], session["not_after"]) == ("2025-06-15T12:00:00Z", "infinity")


def test_nothing_of_others(migrated_panel_conninfo: str, tmp_path: Path) -> None:
    """What others said to Ada's avatar, bought from her or did with her rows is theirs; what nobody did by way of hers is hers."""
    conninfo = migrated_panel_conninfo
    sign_up(conninfo, ADA, BEN)
    adas, bens = (insert(conninfo, "avatars", user_id=user, name="x") for user in (ADA, BEN))
    for user, home in ((ADA, adas), (BEN, adas), (ADA, bens), (BEN, bens)):
        owner = "ada" if user == ADA else "ben"
        insert(
            conninfo,
            "conversation_feedback",
            user_id=user,
            avatar_id=home,
            user_message=f"by {owner}",
            avatar_response="x",
            feedback="good",
        )
        insert(
            conninfo, "purchases", user_id=user, avatar_id=home, price_paid=1, transaction_id=f"by {owner}"
        )
        insert(conninfo, "avatar_reviews", user_id=user, avatar_id=home, rating=1, review=f"by {owner}")
    for home, text in ((adas, "with ada's"), (bens, "with ben's")):
        insert(conninfo, "conversations", avatar_id=home, phone_number="1", text=text)
    key = insert(
        conninfo, "platform_api_keys", user_id=ADA, key_name="k", api_key_hash="h", api_key_prefix="p"
    )
    for caller, endpoint in ((None, "/ada"), (ADA, "/ada"), (BEN, "/ben")):
        insert(conninfo, "api_request_logs", user_id=caller, api_key_id=key, endpoint=endpoint, method="GET")
    insert(conninfo, "avatars", name="marketplace")
    insert(conninfo, "memory_categories", user_id=ADA, name="ada's")
    insert(conninfo, "memory_categories", user_id=BEN, name="ben's")
    export(conninfo, ADA, tmp_path / "ada")

    found = {
        "feedback": [
            row["user_message"] for row in rows_of(tmp_path / "ada", "public.conversation_feedback")
        ],
        "purchases": [row["transaction_id"] for row in rows_of(tmp_path / "ada", "public.purchases")],
        "reviews": [row["review"] for row in rows_of(tmp_path / "ada", "public.avatar_reviews")],
        "conversations": [row["text"] for row in rows_of(tmp_path / "ada", "public.conversations")],
        "requests": [row["endpoint"] for row in rows_of(tmp_path / "ada", "public.api_request_logs")],
        "avatars": [row["name"] for row in rows_of(tmp_path / "ada", "public.avatars")],
        "categories": [row["name"] for row in rows_of(tmp_path / "ada", "public.memory_categories")],
    }
    assert found == {
        "feedback": ["by ada"] * 2,
        "purchases": ["by ada"] * 2,
        "reviews": ["by ada"] * 2,
        "conversations": ["with ada's"],
        "requests": ["/ada"] * 2,
        "avatars": ["x"],
        "categories": ["ada's"],
    }


def test_stored_objects_are_listed(seed_conninfo: str, tmp_path: Path) -> None:
    """The list names bucket, key and bytes of what the user has stored."""
    sign_up(seed_conninfo, ADA, BEN)
    for user, metadata in ((ADA, '{"size": 7}'), (BEN, '{"size": 8}')):
        insert(
            seed_conninfo,
            "storage.objects",
            bucket_id="voice-samples",
            name=f"{user}/1.mp3",
            metadata=metadata,
            created_at="2025-01-01T00:00:00Z",
        )
    export(seed_conninfo, ADA, tmp_path / "ada")

    assert rows_of(tmp_path / "ada", "storage.objects") == [
        {"bucket": "voice-samples", "key": f"{ADA}/1.mp3", "bytes": 7, "created_at": "2025-01-01T00:00:00Z"}
    ]


def test_the_same_rows_make_the_same_bytes(demo_conninfo: str, tmp_path: Path) -> None:
    """Twice in one transaction, the packed archive is byte for byte the same."""
    with Database(demo_conninfo).read() as connection:
        user = connection.scalar(
            sa.text("SELECT user_id FROM conversation_feedback WHERE user_id IS NOT NULL LIMIT 1")
        )
        assert user is not None
        for name in ("a.tgz", "b.tgz"):
            with written(connection, user, tmp_path / name):
                pass
    assert (tmp_path / "a.tgz").read_bytes() == (tmp_path / "b.tgz").read_bytes()
    assert len(gzip.decompress((tmp_path / "a.tgz").read_bytes())) > 10_000


def test_one_moment(seed_conninfo: str, tmp_path: Path) -> None:
    """What happens while the archive is written is not half in it."""
    sign_up(seed_conninfo, ADA)
    insert(seed_conninfo, "avatars", user_id=ADA, name="before")

    def meanwhile(table: str, _: int) -> None:
        if table == "auth.users":
            insert(seed_conninfo, "avatars", user_id=ADA, name="after")

    with (
        Database(seed_conninfo).read() as connection,
        written(connection, ADA, tmp_path / "ada", meanwhile) as archive,
    ):
        assert archive.rows["public.avatars"] == 1
    assert [row["name"] for row in rows_of(tmp_path / "ada", "public.avatars")] == ["before"]


@pytest.mark.parametrize("name", ["ada", "ada.tar.gz"])
def test_only_the_owner_can_read_it(seed_conninfo: str, tmp_path: Path, name: str) -> None:
    """Files are 0600 and the directory 0700, whatever the umask is."""
    sign_up(seed_conninfo, ADA)
    export(seed_conninfo, ADA, tmp_path / name)
    paths = [tmp_path / name, *(tmp_path / name).glob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == {0}


@pytest.mark.parametrize("name", ["ada", "ada.tar.gz"])
def test_a_failure_leaves_nothing(seed_conninfo: str, tmp_path: Path, name: str) -> None:
    """Where the block fails, neither an archive nor a part of one remains, and a former one stays."""
    sign_up(seed_conninfo, ADA)
    if name.endswith(".gz"):
        (tmp_path / name).write_text("former")
    before = sorted(path.name for path in tmp_path.iterdir())
    with (
        pytest.raises(KeyboardInterrupt),
        Database(seed_conninfo).read() as connection,
        written(connection, ADA, tmp_path / name),
    ):
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert not before or (tmp_path / name).read_text() == "former"


def test_where_it_cannot_be_written(seed_conninfo: str, tmp_path: Path) -> None:
    """A directory that exists is refused, and one that cannot be made is an error with its reason."""
    sign_up(seed_conninfo, ADA)
    with pytest.raises(RefusedError, match="exists already"):
        export(seed_conninfo, ADA, tmp_path)
    with pytest.raises(AvatarLabError, match=r"cannot write .*: No such file or directory"):
        export(seed_conninfo, ADA, tmp_path / "nowhere" / "ada")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_or_hidden_is_named(migrated_seed_conninfo: str, tmp_path: Path) -> None:
    """Tables that are not there, cannot be read, or show only some rows are named, and the rest is written."""
    conninfo = migrated_seed_conninfo
    sign_up(conninfo, ADA)
    insert(conninfo, "user_favorites", user_id=ADA, entity_type="image", entity_id=ADA)
    with psycopg.connect(conninfo) as connection:
        connection.execute("DROP TABLE ui_state_cache")
    grants = (
        "GRANT USAGE ON SCHEMA public, auth, storage TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, auth TO {role}",
        "REVOKE SELECT ON user_favorites FROM {role}",
        "CREATE POLICY everything ON auth.users FOR SELECT TO {role} USING (true)",
        "ALTER TABLE auth.users DISABLE ROW LEVEL SECURITY",
    )
    with (
        login(conninfo, *grants) as role,
        Database(as_role(conninfo, role)).read() as reading,
        written(reading, ADA, tmp_path / "ada") as archive,
    ):
        left_out = archive.manifest["left_out"]
    assert left_out["public.ui_state_cache"] == "missing"
    assert left_out["public.generated_videos"] == "missing"
    assert left_out["public.user_favorites"] == "cannot be read by this login"
    assert left_out["storage.objects"] == "cannot be read by this login"
    assert left_out["public.avatars"] == "row security hides rows of it from this login"
    assert archive.rows == {"auth.users": 1}


def test_memory_does_not_grow_with_the_rows(seed_conninfo: str, tmp_path: Path) -> None:
    """Thirty thousand rows, fifteen megabytes, pass through a few."""
    sign_up(seed_conninfo, ADA)
    avatar = insert(seed_conninfo, "avatars", user_id=ADA, name="x")
    with psycopg.connect(seed_conninfo) as connection:
        connection.execute(
            "INSERT INTO conversations (avatar_id, phone_number, text)"
            " SELECT %s, '1', repeat('x', 500) FROM generate_series(1, 30000)",
            (avatar,),
        )
    export(seed_conninfo, ADA, tmp_path / "warm")
    tracemalloc.start()
    try:
        archive = export(seed_conninfo, ADA, tmp_path / "ada")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert archive.rows["public.conversations"] == 30_000
    assert peak < 8_000_000


def test_a_tar_that_any_tool_opens(seed_conninfo: str, tmp_path: Path) -> None:
    """Everything lies in one folder named after the user, the manifest first."""
    sign_up(seed_conninfo, ADA)
    export(seed_conninfo, ADA, tmp_path / "ada.tar.gz")
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "ada.tar.gz").read_bytes())) as packed:
        names = packed.getnames()
    assert names == [
        f"{ADA}/{name}" for name in ("manifest.json", "auth.users.ndjson", "public.profiles.ndjson")
    ]
