"""The noun `storage` as its users meet it: known objects with odd names, the demo, and logins without rights."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.rollup.names import MENTIONS, NAMINGS
from tests.cli.conftest import ADA, ADELE, EMAILS, EVE
from tests.cli.invoking import Outcome, invoke, terminal
from tests.conftest import DEMO_END, created_database, plain_engine
from tests.database.logins import as_role, login
from tests.reference import storage_reports as recount
from tests.reference.source import UNATTRIBUTED, read_source
from tests.reference.storage import stored_objects

SITE = "https://x.supabase.co/storage/v1/object/public"
# Bucket, key, size, hash, days ago.
OBJECTS = (
    ("avatars", f"{ADA}/a b ü.png", 100, "aa", 2),
    ("avatars", f"{ADA}/what?.png", 200, "bb", 3),
    ("avatars", f"profiles/{ADELE}-1.png", 300, "aa", 4),
    ("generated-images", f"{ADA}/borrowed.png", 400, None, 5),
    ("generated-images", f"{ADA}/thumb.png", 100, "aa", 6),
    ("generated-images", f'{ADA}/lost, "really".png', 500, "cc", 40),
    ("generated-images", f"{ADELE}/new.png", 700, "cc", 0),
    ("voice-samples", f"{ADELE}/1.mp3", None, "dd", 7),
    ("elsewhere", "nobody's", 11, "ee", 400),
)
ROW_GONE = "00000000-0000-4000-8000-00000000000a"


@pytest.fixture(scope="module")
def known(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Two users' objects: named in every odd way, orphans, one unsized, and a row whose object is gone."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            _write(connection)
        yield conninfo


def _write(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    for user in (ADA, ADELE):
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, EMAILS[user]])
    connection.execute(
        "INSERT INTO storage.buckets (id, name, public) VALUES ('elsewhere', 'elsewhere', true)"
    )
    for bucket, key, size, tag, days in OBJECTS:
        metadata = {"size": size, "eTag": tag and f'"{tag}"'}
        connection.execute(
            "INSERT INTO storage.objects (bucket_id, name, metadata, created_at) VALUES (%s, %s, %s, %s)",
            [bucket, key, json.dumps(metadata), DEMO_END - timedelta(days=days, hours=1)],
        )
    images = [
        f"{SITE}/avatars/{ADA}/a%20b%20%C3%BC.png",
        f"{SITE}/avatars/{ADA}/what?.png",
        f"{SITE.replace('public', 'sign')}/generated-images/{ADA}/borrowed.png?token=t",
    ]
    connection.execute(
        "INSERT INTO avatars (user_id, name, avatar_images) VALUES (%s, 'A', %s)", [ADA, images]
    )
    connection.execute(
        "UPDATE profiles SET avatar_url = %s WHERE id = %s", [f"{SITE}/avatars/profiles/{ADELE}-1.png", ADELE]
    )
    for number, url, thumbnail in (
        (1, "https://tempfile.provider.example/1.png", f"{SITE}/generated-images/{ADA}/thumb.png"),
        (2, "data:image/png;base64,AA/generated-images/x", None),
        (0xA, f"{SITE}/generated-images/{ADA}/g%6Fne.png?t=1", None),
    ):
        connection.execute(
            "INSERT INTO generated_images (id, user_id, prompt, image_url, thumbnail_url) VALUES (%s, %s, 'p', %s, %s)",
            [f"00000000-0000-4000-8000-00000000000{number:x}", ADA, url, thumbnail],
        )
    for size in (12, None):
        connection.execute(
            "INSERT INTO voice_samples (user_id, filename, file_url, file_size_bytes) VALUES (%s, 'f', %s, %s)",
            [ADELE, f"{SITE}/voice-samples/{ADELE}/1.mp3", size],
        )


def rows(outcome: Outcome) -> list[dict[str, Any]]:
    """Return what a command wrote as JSON, after checking that it ended well."""
    assert outcome.code == 0, outcome.err
    found: list[dict[str, Any]] = json.loads(outcome.out)
    return found


def test_summary_in_a_pipe(known: str) -> None:
    """Every kind has a row, the total is the sum of those above, and what is not known is said."""
    fields = ("--fields", "kind,source,objects,bytes,coverage,orphan_objects,orphan_bytes")
    shown = invoke(known, "storage", "summary", *fields)
    header, *lines = shown.out.splitlines()
    assert header.split() == fields[1].split(",")
    assert [line.split() for line in lines[:5]] == [
        ["images", "objects", "7", "2300", "1.000000", "2", "1200"],
        ["documents", "objects", "0", "0", "-", "0", "0"],
        ["voice", "objects", "1", "n/a", "0.000000", "0", "0"],
        ["video", "objects", "0", "0", "-", "0", "0"],
        ["other", "objects", "1", "11", "1.000000", "1", "11"],
    ]
    training, total = (line.split() for line in lines[5:])
    assert training[:3] == ["training", "database", "0"]
    assert total == ["total", "9", str(2311 + int(training[3])), "+", "n/a", "3", "1211"]
    assert "no stored size" in shown.err


def test_summary_on_a_terminal(known: str) -> None:
    """A person reads units, and the table fits eighty columns."""
    shown = terminal(known, "storage", "summary", "--color", "never")
    assert shown.code == 0
    table = [line for line in shown.out.splitlines() if not line.startswith("note:")]
    assert table[1].split()[:5] == ["images", "objects", "7", "2.3", "kB"]
    assert max(map(len, table)) <= 80


def test_orphans_are_fit_for_deletion(known: str) -> None:
    """Only what nothing names is listed, however oddly the rest is named, and keys survive CSV."""
    shown = invoke(known, "storage", "orphans", "--csv", "--fields", "bucket,key,bytes,age_days,user")
    assert list(csv.reader(io.StringIO(shown.out)))[1:] == [
        ["elsewhere", "nobody's", "11", "400", ""],
        ["generated-images", f'{ADA}/lost, "really".png', "500", "40", "ada@example.com"],
        ["generated-images", f"{ADELE}/new.png", "700", "0", "adele@example.com"],
    ]
    assert "--older-than 1d" in shown.err
    older = invoke(known, "storage", "orphans", "--older-than", "1d", "--csv", "--fields", "bucket,key")
    assert (older.out.count("\n"), older.err) == (3, "")
    one = invoke(known, "storage", "orphans", "--bucket", "elsewhere", "-o", "count")
    assert one.out == "1\n"


def test_orphans_by_age(known: str) -> None:
    """Each band is counted apart, the youngest first."""
    shown = invoke(known, "storage", "orphans", "--by-age")
    assert shown.out == (
        "bucket            age            objects  bytes  unsized_objects\n"
        "elsewhere         over a year          1     11                0\n"
        "generated-images  under a day          1    700                0\n"
        "generated-images  30 to 90 days        1    500                0\n"
        "total                                  3   1211                0\n"
    )


def test_missing(known: str) -> None:
    """A row whose object is gone is named with the key it means, never with its URL."""
    shown = invoke(known, "storage", "missing", "--csv", "--fields", "table,column,id,bucket,key,user")
    assert shown.out.splitlines()[1:] == [
        f"generated_images,image_url,{ROW_GONE},generated-images,{ADA}/gone.png,ada@example.com"
    ]
    assert invoke(known, "storage", "missing", "--bucket", "avatars", "-o", "count").out == "0\n"


def test_top(known: str) -> None:
    """The largest stand first; what has no size is counted on stderr."""
    shown = invoke(
        known, "storage", "top", "--limit", "2", "--csv", "--fields", "bucket,key,bytes,user,is_orphan"
    )
    assert shown.out.splitlines()[1:] == [
        f"generated-images,{ADELE}/new.png,700,adele@example.com,true",
        f'generated-images,"{ADA}/lost, ""really"".png",500,ada@example.com,true',
    ]
    assert "not known: 1" in shown.err
    for narrowed, count in (("--kind", "images"), 7), (("--bucket", "avatars"), 3), (("--kind", "voice"), 0):
        assert invoke(known, "storage", "top", *narrowed, "-o", "count").out == f"{count}\n"
    second = invoke(known, "storage", "top", "--offset", "1", "--limit", "1", "--json", "--fields", "bytes")
    assert rows(second) == [{"bytes": 500}]


def test_duplicates(known: str) -> None:
    """The same hash counts only with the same size; what has neither is counted on stderr."""
    fields = ("--fields", "hash,bytes,copies,wasted_bytes,users,example")
    shown = invoke(known, "storage", "duplicates", "--json", *fields)
    assert rows(shown) == [
        {
            "hash": "aa",
            "bytes": 100,
            "copies": 2,
            "wasted_bytes": 100,
            "users": 1,
            "example": f"avatars/{ADA}/a b ü.png",
        }
    ]
    assert "without a hash or a size: 2" in shown.err
    copies = rows(invoke(known, "storage", "duplicates", "--copies", "--json"))
    assert [row["bucket"] for row in copies] == ["avatars", "generated-images"]


def test_users_and_one_user(known: str) -> None:
    """Users are ranked, what is nobody's stands below them, and growth needs a snapshot."""
    shown = invoke(
        known, "storage", "users", "--csv", "--fields", "rank,email,bytes,objects,orphan_bytes,growth"
    )
    assert shown.out.splitlines()[1:] == [
        "1,ada@example.com,1300,5,500,",
        "2,adele@example.com,1000,3,700,",
        ",(unattributed),11,1,11,",
    ]
    assert "there is no snapshot of 2025-05-16" in shown.err
    own = rows(invoke(known, "storage", "user", "adele@", "--json", "--fields", "bucket,objects,bytes"))
    assert own == [
        {"bucket": "avatars", "objects": 1, "bytes": 300},
        {"bucket": "generated-images", "objects": 1, "bytes": 700},
        {"bucket": "voice-samples", "objects": 1, "bytes": None},
    ]


def test_buckets(known: str) -> None:
    """An empty bucket is listed as well."""
    found = {row["bucket"]: row for row in rows(invoke(known, "storage", "buckets", "--json"))}
    assert len(found) == 8
    assert (found["elsewhere"]["public"], found["elsewhere"]["kind"], found["elsewhere"]["orphan_bytes"]) == (
        True,
        "other",
        11,
    )
    assert (found["training-files"]["objects"], found["training-files"]["bytes"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("top", "--kind", "picture"), 2, "kinds: images"),
        (("top", "--bucket", "nope"), 5, "elsewhere"),
        (("orphans", "--bucket", "nope"), 5, "avatars"),
        (("missing", "--bucket", "nope"), 5, "avatars"),
        (("orphans", "--older-than", "soon"), 2, "ISO 8601"),
        (("orphans", "--older-than", "2999-01-01"), 2, "lies ahead"),
        (("growth", "--by", "colour"), 2, "kind, bucket"),
        (("user", "nobody@example.com"), 5, "no user"),
    ],
)
def test_what_is_not_there(known: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    """A wrong name ends with one sentence and what there is instead."""
    refused = invoke(known, "storage", *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.err


def test_quota(known: str) -> None:
    """Somebody over the limit of stored bytes, or of whom nothing is known, ends with 3."""
    with psycopg.connect(known) as connection:
        connection.execute(
            """UPDATE subscription_tiers SET limits = '{"storage_bytes": 1000, "images_generated": 1}' WHERE name = 'free'"""
        )
    unknown = invoke(known, "storage", "quota")
    assert (unknown.code, unknown.out) == (3, "")
    assert "storage_bytes" in unknown.err
    with psycopg.connect(known) as connection:
        connection.execute(
            "INSERT INTO avatarlab_admin.job_runs (job, status, started_at, window_to)"
            " VALUES ('monthly-usage', 'succeeded', now(), current_date + 1)"
        )
        connection.execute(
            "INSERT INTO monthly_usage (user_id, usage_month, storage_bytes, images_generated, computed_at)"
            " VALUES (%s, date_trunc('month', current_date::timestamp), 1300, 9, now())",
            [ADA],
        )
    found = invoke(known, "storage", "quota", "--csv", "--fields", "email,metric,value,limit,state")
    assert (found.code, found.out.splitlines()[1:]) == (3, ["ada@example.com,storage_bytes,1300,1000,over"])
    shown = terminal(known, "storage", "quota", "--near", "50", "--color", "never", columns=120)
    assert "1.3 kB  1.0 kB  130.0 %  over" in shown.out


def test_the_demo_is_recounted(computed: str) -> None:
    """On the demo every row and every total equals an independent count of its objects."""
    with plain_engine(computed).connect() as connection:
        source = read_source(connection)
        emails = {
            row.id: row.email for row in connection.execute(sa.text("select id, email from auth.users"))
        }
    objects = stored_objects(source) or []
    assert len(objects) > 400
    kinds = recount.grouped(objects, lambda stored: stored.kind)
    for row in rows(invoke(computed, "storage", "summary", "--json"))[:5]:
        expected = recount.figures(kinds.get(row["kind"], ()))
        names = ("objects", "bytes", "unsized_objects", "orphan_objects", "orphan_bytes")
        assert tuple(row[name] for name in names) == expected
    users = recount.grouped(objects, lambda stored: stored.owner)
    shown = {row["email"]: row["bytes"] for row in rows(invoke(computed, "storage", "users", "--json"))}
    assert shown == {
        "(unattributed)" if user == UNATTRIBUTED else emails[user]: recount.figures(own).bytes
        for user, own in users.items()
    }
    listed = rows(invoke(computed, "storage", "orphans", "--json"))
    assert {(row["bucket"], row["key"]) for row in listed} == {
        (stored.bucket, stored.key) for stored in objects if stored.is_orphan
    }
    gone = rows(invoke(computed, "storage", "missing", "--json"))
    assert len(gone) == sum(recount.missing(source, objects).values()) > 0
    copies = recount.duplicates(objects)
    wasted = rows(invoke(computed, "storage", "duplicates", "--json"))
    assert sum(row["wasted_bytes"] for row in wasted) == sum(
        size * (len(each) - 1) for (_, size), each in copies.items()
    )
    assert len(wasted) == len(copies) > 0


@pytest.mark.parametrize("by", [(), ("--by", "kind"), ("--by", "bucket")])
def test_growth_of_the_demo(computed: str, by: tuple[str, ...]) -> None:
    """Today's snapshot adds up to what is stored, and the days before it are unknown, not left out."""
    found = rows(invoke(computed, "storage", "growth", "--days", "3", *by, "--json"))
    with plain_engine(computed).connect() as connection:
        objects = stored_objects(read_source(connection)) or []
    assert sorted({row["day"] for row in found}) == ["2025-06-13", "2025-06-14", "2025-06-15"]
    assert {row["bytes"] for row in found if row["day"] != "2025-06-15"} == {None}
    today = [row for row in found if row["day"] == "2025-06-15"]
    assert sum(row["bytes"] for row in today) == recount.figures(objects).bytes
    assert sum(row["objects"] for row in today) == len(objects)


@contextmanager
def without_storage(conninfo: str, *grants: str) -> Iterator[str]:
    """Yield the connection string of a login that sees all but what is stored."""
    given = (
        "GRANT USAGE ON SCHEMA public, auth, avatarlab_admin TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, avatarlab_admin TO {role}",
        "GRANT SELECT ON auth.users TO {role}",
        *grants,
    )
    with login(conninfo, *given, options="BYPASSRLS") as role:
        yield as_role(conninfo, role)


ONLY_OBJECTS = (("orphans",), ("orphans", "--by-age"), ("missing",), ("duplicates",), ("buckets",))


def test_without_rights_on_the_objects(known: str) -> None:
    """The tables tell what they can, what they cannot is unknown, and the rest is refused with the right to give."""
    with without_storage(known) as conninfo:
        shown = invoke(conninfo, "storage", "summary", "--json")
        found = {row["kind"]: row for row in rows(shown)}
        assert (found["voice"]["source"], found["voice"]["objects"], found["voice"]["bytes"]) == (
            "tables",
            1,
            12,
        )
        assert found["documents"]["bytes"] == 0
        assert {found[kind]["bytes"] for kind in ("images", "video", "other")} == {None}
        assert found["voice"]["orphan_bytes"] is None
        assert "not known" in shown.err
        users = invoke(conninfo, "storage", "users", "--csv", "--fields", "email,bytes,orphan_bytes,growth")
        assert users.out.splitlines()[1:] == ["adele@example.com,12,,"]
        own = invoke(
            conninfo, "storage", "user", "adele@", "--csv", "--fields", "bucket,bytes,orphan_objects"
        )
        assert own.out.splitlines()[1:] == ["voice-samples,12,"]
        assert invoke(conninfo, "storage", "top", "-o", "count").out == "1\n"
        for arguments in ONLY_OBJECTS:
            refused = invoke(conninfo, "storage", *arguments)
            assert (refused.code, refused.out) == (4, "")
            assert "GRANT SELECT ON storage.objects" in refused.err


@pytest.mark.parametrize(
    ("change", "lacking", "figures"),
    [
        (
            "ALTER TABLE voice_samples DROP COLUMN file_size_bytes",
            "uploaded voice samples take is not known either: public.voice_samples.file_size_bytes is missing",
            {"documents": [2, 30, "1.000000"], "voice": [None, None, None]},
        ),
        (
            "DROP TABLE avatar_training_files CASCADE",
            "training files take is not known either: public.avatar_training_files is missing",
            {"documents": [2, 30, None], "voice": [1, 12, None]},
        ),
    ],
)
def test_without_rights_and_without_a_table_that_tells(
    migrated_panel_conninfo: str, change: str, lacking: str, figures: dict[str, list[object]]
) -> None:
    """What no table tells is unknown, what some tell in part has no coverage, and the notes name what is missing."""
    with psycopg.connect(migrated_panel_conninfo) as connection:
        _write(connection)
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [EVE, EMAILS[EVE]])
        connection.execute("INSERT INTO avatars (id, user_id, name) VALUES (%s, %s, 'B')", [ROW_GONE, ADA])
        for key in "ab":
            connection.execute(
                "INSERT INTO avatar_knowledge_files (user_id, avatar_id, file_name, original_name, file_path,"
                " file_size, content_type) VALUES (%s, %s, 'f', 'f', %s, 15, 'text/plain')",
                [ADA, ROW_GONE, key],
            )
        connection.execute(change.encode())
    with without_storage(migrated_panel_conninfo) as conninfo:
        shown = invoke(conninfo, "storage", "summary", "--json")
        found = {row["kind"]: row for row in rows(shown)}
        names = ("objects", "bytes", "coverage")
        assert {kind: [found[kind][name] for name in names] for kind in figures} == figures
        assert {found[kind]["objects"] for kind in ("images", "video", "other")} == {None}
        assert lacking in shown.err
        assert lacking in invoke(conninfo, "storage", "users").err
        nothing = invoke(conninfo, "storage", "user", "eve@")
        assert "stores nothing" not in nothing.out + nothing.err
        assert "name no file of" in nothing.out + nothing.err


def test_objects_hidden_by_row_security(known: str) -> None:
    """A login that sees but some of the objects is told so, not shown them."""
    rights = "GRANT USAGE ON SCHEMA public, auth, storage, avatarlab_admin TO {role}"
    everything = "GRANT SELECT ON ALL TABLES IN SCHEMA public, auth, storage, avatarlab_admin TO {role}"
    with login(known, rights, everything) as role:
        refused = invoke(as_role(known, role), "storage", "orphans")
    assert refused.code == 4
    assert "row security" in refused.err


def test_a_database_without_the_schema(migrated_seed_conninfo: str) -> None:
    """Where nothing is stored by Supabase the tables tell, and what only it knows does not exist."""
    with psycopg.connect(migrated_seed_conninfo) as connection:
        connection.execute("DROP SCHEMA storage CASCADE")
        connection.execute("DROP TABLE voice_samples, generated_images CASCADE")
    assert invoke(migrated_seed_conninfo, "storage", "summary").code == 0
    for arguments in ONLY_OBJECTS:
        assert invoke(migrated_seed_conninfo, "storage", *arguments).code == 5
    with psycopg.connect(migrated_seed_conninfo) as connection:
        connection.execute("DROP TABLE avatar_knowledge_files, avatar_training_files CASCADE")
    nothing = invoke(migrated_seed_conninfo, "storage", "summary")
    assert (nothing.code, nothing.out) == (5, "")


def test_a_table_that_may_not_be_read(known: str) -> None:
    """What an unreadable table names would be called an orphan, so nothing is."""
    grants = (
        "GRANT USAGE ON SCHEMA storage TO {role}",
        "GRANT SELECT ON storage.objects, storage.buckets TO {role}",
    )
    with without_storage(known, *grants, "REVOKE SELECT ON tts_voices FROM {role}") as conninfo:
        refused = invoke(conninfo, "storage", "orphans", "--csv")
    assert (refused.code, refused.out) == (4, "")
    assert "tts_voices" in refused.err


@pytest.mark.parametrize("table", ["memory_images", "voice_clones", "generated_videos", "avatars"])
def test_missing_tables_name_nothing(migrated_seed_conninfo: str, table: str) -> None:
    """A table that is not there takes nothing from the other reports."""
    with psycopg.connect(migrated_seed_conninfo) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {table} CASCADE".encode())
    for verb in (
        "summary",
        "users",
        "buckets",
        "tables",
        "top",
        "orphans",
        "missing",
        "growth",
        "duplicates",
    ):
        shown = invoke(migrated_seed_conninfo, "storage", verb, "--json")
        assert shown.code == 0, shown.err


COLUMNS_BESIDE = [
    (naming.table.name, name)
    for naming in NAMINGS
    if naming.table.name in {"voice_samples", "tts_generations", "avatar_knowledge_files", "avatars"}
    for name in (naming.since, naming.owner)
]


@pytest.mark.parametrize(("table", "column"), COLUMNS_BESIDE)
def test_what_is_named_stays_so_without_a_column_beside(
    migrated_panel_conninfo: str, table: str, column: str
) -> None:
    """A row that has no time or no owner here still names its object: no orphan, neither listed nor counted."""
    with psycopg.connect(migrated_panel_conninfo) as connection:
        _write(connection)
        connection.execute(
            "INSERT INTO tts_generations (user_id, text, audio_url) VALUES (%s, 't', %s)",
            [ADELE, f"{SITE}/voice-samples/{ADELE}/said.mp3"],
        )
        connection.execute(
            "INSERT INTO storage.objects (bucket_id, name) VALUES ('voice-samples', %s)",
            [f"{ADELE}/said.mp3"],
        )
        connection.execute(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE".encode())
    assert _orphans(migrated_panel_conninfo) == {
        ("elsewhere", "nobody's"),
        ("generated-images", f'{ADA}/lost, "really".png'),
        ("generated-images", f"{ADELE}/new.png"),
    }
    found = {
        row["kind"]: row for row in rows(invoke(migrated_panel_conninfo, "storage", "summary", "--json"))
    }
    assert (found["voice"]["objects"], found["voice"]["orphan_objects"]) == (2, 0)
    assert invoke(migrated_panel_conninfo, "storage", "missing", "-o", "count").out == "1\n"


def _orphans(conninfo: str) -> set[tuple[str, str]]:
    return {(row["bucket"], row["key"]) for row in rows(invoke(conninfo, "storage", "orphans", "--json"))}


@pytest.mark.parametrize(
    ("change", "missing", "unclear"),
    [
        ("ALTER TABLE voice_samples DROP COLUMN file_url", "voice_samples.file_url", {"voice-samples"}),
        ("DROP TABLE tts_generations CASCADE", "tts_generations", {"voice-samples"}),
        (
            "ALTER TABLE avatars DROP COLUMN avatar_images CASCADE",
            "avatars.avatar_images",
            {"avatars", "generated-images"},
        ),
    ],
)
def test_orphans_of_a_bucket_that_something_else_may_name(
    migrated_panel_conninfo: str, change: str, missing: str, unclear: set[str]
) -> None:
    """Where a naming column is not there, its bucket's objects are in no list, and counted as unknown."""
    conninfo = migrated_panel_conninfo
    with psycopg.connect(conninfo) as connection:
        _write(connection)
        connection.execute(change.encode())
    shown = invoke(conninfo, "storage", "orphans", "--json")
    assert {row["bucket"] for row in rows(shown)} == {"elsewhere", "generated-images"} - unclear
    for bucket in unclear:
        assert f"{missing} is missing, so which objects of {bucket} no row names is not known" in shown.err
        refused = invoke(conninfo, "storage", "orphans", "--bucket", bucket)
        assert (refused.code, refused.out) == (5, "")
        assert f"{missing} is missing" in refused.err
    by_age = rows(invoke(conninfo, "storage", "orphans", "--by-age", "--json"))
    assert not {row["bucket"] for row in by_age} & unclear
    summary = {row["kind"]: row for row in rows(invoke(conninfo, "storage", "summary", "--json"))}
    kind = "voice" if unclear == {"voice-samples"} else "images"
    assert (summary[kind]["orphan_objects"], summary[kind]["orphan_bytes"]) == (None, None)
    assert summary["other"]["orphan_objects"] == 1
    buckets = rows(invoke(conninfo, "storage", "buckets", "--json"))
    unknown = {row["bucket"] for row in buckets if row["orphan_objects"] is None}
    assert unknown == unclear == {row["bucket"] for row in buckets if row["orphan_bytes"] is None}
    users = invoke(conninfo, "storage", "users", "--json")
    orphan_bytes = {row["email"]: row["orphan_bytes"] for row in rows(users)}
    assert (orphan_bytes["adele@example.com"], orphan_bytes["(unattributed)"]) == (None, 11)
    assert "is missing" in users.err


def test_without_any_row_that_names_nothing_is_listed(migrated_seed_conninfo: str) -> None:
    """Where none of the tables is there nobody can tell what is an orphan, and nothing is missing."""
    tables = {naming.table.name for naming in (*NAMINGS, *MENTIONS)}
    with psycopg.connect(migrated_seed_conninfo) as connection:
        connection.execute(
            "INSERT INTO storage.objects (bucket_id, name) VALUES ('avatars', 'a'), ('avatars', 'b')"
        )
        connection.execute(f"DROP TABLE IF EXISTS {', '.join(sorted(tables))} CASCADE".encode())
    assert invoke(migrated_seed_conninfo, "storage", "orphans", "-o", "count").out == "0\n"
    assert invoke(migrated_seed_conninfo, "storage", "missing", "-o", "count").out == "0\n"
    assert invoke(migrated_seed_conninfo, "storage", "summary").code == 0
