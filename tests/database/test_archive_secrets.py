"""What never leaves the database in an archive, wherever it was stored; and what only looks like that."""

import json
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from avatarlab_cli.archive import redaction
from tests.database.archives import ADA, export, insert, rows_of, unpacked

SECRET = "s3cr3t"  # noqa: S105 (an invented one, to be looked for where it must not be)
IMAGE = "data:image/png;base64," + "iVBORw0KGgo" * 50_000


@pytest.fixture
def full_of_secrets(migrated_panel_conninfo: str) -> str:
    """Ada's data with a secret in every place that can hold one, as Supabase has them too."""
    conninfo = migrated_panel_conninfo
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "ALTER TABLE auth.users ADD encrypted_password text, ADD confirmation_token text, ADD phone_change text;"
            "ALTER TABLE auth.sessions ADD refresh_token_hmac_key text, ADD tag text;"
            "CREATE TABLE auth.refresh_tokens (id bigint, token text, session_id uuid REFERENCES auth.sessions ON DELETE CASCADE);"
            "CREATE TABLE auth.mfa_factors (id uuid, secret text, user_id uuid REFERENCES auth.users ON DELETE CASCADE)"
        )
    insert(
        conninfo,
        "auth.users",
        id=ADA,
        email="ada@example.com",
        encrypted_password=SECRET,
        confirmation_token=SECRET,
        phone_change=SECRET,
        raw_app_meta_data=json.dumps({"provider": "email", "provider_token": SECRET}),
    )
    session = insert(conninfo, "auth.sessions", user_id=ADA, refresh_token_hmac_key=SECRET, tag=SECRET)
    with psycopg.connect(conninfo) as connection:
        connection.execute("INSERT INTO auth.refresh_tokens VALUES (1, %s, %s)", (SECRET, session))
        connection.execute("INSERT INTO auth.mfa_factors VALUES (%s, %s, %s)", (uuid4(), SECRET, ADA))
    avatar = insert(
        conninfo, "avatars", user_id=ADA, name="Juno", avatar_images=[IMAGE, "https://x.example/1.png"]
    )
    insert(
        conninfo,
        "platform_api_keys",
        user_id=ADA,
        key_name="k",
        api_key_hash=SECRET,
        api_key_prefix="pk_live_abc...",
    )
    insert(conninfo, "user_api_keys", user_id=ADA, name="k", service="openai", api_key_encrypted=SECRET)
    insert(conninfo, "n8n_integrations", user_id=ADA, n8n_api_key=SECRET)
    insert(conninfo, "user_sessions", user_id=ADA, token_hash=SECRET, expires_at="2030-01-01")
    insert(conninfo, "admin_users", user_id=ADA, two_factor_secret=SECRET, backup_codes=[SECRET])
    nested = {"a": [{"Api-Key": "x", "apiKey": SECRET, "Authorization": f"Bearer {SECRET}"}], "max_tokens": 5}
    insert(conninfo, "user_preferences", user_id=ADA, preference_key="k", preference_value=json.dumps(nested))
    insert(
        conninfo,
        "generated_images",
        user_id=ADA,
        prompt=f"look: ![]({IMAGE})",
        image_url=IMAGE,
        parameters=json.dumps({"input": IMAGE}),
    )
    insert(
        conninfo,
        "avatar_fine_tune_usage",
        user_id=ADA,
        avatar_id=avatar,
        fine_tuned_model="ft:x",
        input_tokens=7,
        usage_date="2025-01-01",
    )
    return conninfo


@pytest.mark.parametrize("name", ["ada", "ada.tar.gz"])
def test_no_secret_in_any_byte(full_of_secrets: str, tmp_path: Path, name: str) -> None:
    """Neither passwords, tokens, hashes, keys nor image texts are in any file, wherever they were stored."""
    path = tmp_path / name
    archive = export(full_of_secrets, ADA, path)
    files = unpacked(path) if path.is_file() else {file.name: file.read_bytes() for file in path.iterdir()}

    everything = b"".join(files.values())
    assert SECRET.encode() not in everything
    assert b"iVBORw0KGgo" * 10 not in everything
    assert len(everything) < 50_000
    assert "auth.refresh_tokens.ndjson" not in files
    assert "auth.mfa_factors.ndjson" not in files
    left_out = {file["table"]: file["columns_left_out"] for file in archive.manifest["files"]}
    assert left_out["public.admin_users"] == ["backup_codes", "two_factor_secret"]
    assert left_out["auth.sessions"] == ["refresh_token_hmac_key", "tag"]


def test_what_only_looks_like_a_secret_stays(full_of_secrets: str, tmp_path: Path) -> None:
    """Token counts, key prefixes, ordinary links and what surrounds an image are handed out."""
    export(full_of_secrets, ADA, tmp_path / "ada")

    (usage,) = rows_of(tmp_path / "ada", "public.avatar_fine_tune_usage")
    (key,) = rows_of(tmp_path / "ada", "public.platform_api_keys")
    (image,) = rows_of(tmp_path / "ada", "public.generated_images")
    (avatar,) = rows_of(tmp_path / "ada", "public.avatars")
    (preference,) = rows_of(tmp_path / "ada", "public.user_preferences")
    (account,) = rows_of(tmp_path / "ada", "auth.users")
    cut = "data:image/png;base64,(left out)"
    assert usage["input_tokens"] == 7
    assert key["api_key_prefix"] == "pk_live_abc..."
    assert (image["image_url"], image["prompt"], image["parameters"]) == (
        cut,
        f"look: ![]({cut})",
        {"input": cut},
    )
    assert avatar["avatar_images"] == [cut, "https://x.example/1.png"]
    assert preference["preference_value"]["max_tokens"] == 5
    assert account["raw_app_meta_data"] == {"provider": "email"}


def test_every_secret_column_of_the_platform_is_denied() -> None:
    """What is named one by one is refused, and the rule alone would refuse it as well."""
    for name in redaction.DENIED:
        table, _, column = name.rpartition(".")
        assert not redaction.is_taken(table, column, "text")
        assert not redaction.is_taken("public.other", column, "text")
    assert not redaction.is_taken("public.other", "anything", "extensions.vector(3)")
    assert not redaction.is_taken("auth.users", "anything", "text")
    assert redaction.is_taken("public.avatars", "name", "text")


def test_text_that_begins_like_an_image_stays() -> None:
    """A sentence that begins with data: is somebody's words."""
    assert (
        redaction.redacted("data: what I know of it, " + "and more " * 50)
        == "data: what I know of it, " + "and more " * 50
    )
