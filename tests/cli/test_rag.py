"""The noun `rag` as its users meet it: a few known files, chunks and searches."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.queries import rag_files
from tests.cli.acting import copied
from tests.cli.conftest import ADA, ADELE, EMAILS
from tests.cli.invoking import invoke
from tests.conftest import DEMO_END, created_database

FILES = (
    ("good.pdf", "processed", 1000, 3, ("one", "three")),
    ("twice.pdf", "processed", 2000, 4, ("same", "same", " \n")),
    ("waiting.pdf", "pending", 3000, 5, ()),
    ("new.pdf", "pending", 4000, 0, ()),
    ("broken.pdf", "error", 5000, 6, ()),
)
EMBEDDING = "[" + ",".join(["0.5"] * 1536) + "]"


@pytest.fixture(scope="module")
def known(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Ada's files and searches; one request of the API has a duration."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            _write(connection)
        yield conninfo


def _write(connection: psycopg.Connection[Any]) -> None:
    for user in (ADA, ADELE):
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, EMAILS[user]])
    connection.execute("INSERT INTO avatars (id, user_id, name) VALUES (%s, %s, 'Ava')", [ADA, ADA])
    for name, status, size, days, texts in FILES:
        row = connection.execute(
            "INSERT INTO avatar_knowledge_files (avatar_id, user_id, file_name, original_name, file_path, file_size,"
            " content_type, processing_status, uploaded_at) VALUES (%s, %s, %s, %s, %s, %s, 'application/pdf', %s, %s)"
            " RETURNING id",
            [ADA, ADA, name, name, name, size, status, DEMO_END - timedelta(days=days, hours=1)],
        ).fetchone()
        for number, text in enumerate(texts):
            connection.execute(
                "INSERT INTO document_chunks (knowledge_file_id, user_id, avatar_id, chunk_text, chunk_index, chunk_size,"
                " embedding) VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [
                    row and row[0],
                    ADA,
                    ADA,
                    text,
                    number,
                    len(text),
                    EMBEDDING if name == "good.pdf" else None,
                ],
            )
    for found, score in ((3, 0.9), (1, 0.75), (0, 0), (None, None)):
        connection.execute(
            "INSERT INTO rag_search_logs (user_id, avatar_id, query_text, chunks_found, top_similarity_score, created_at)"
            " VALUES (%s, %s, 'my secret question', %s, %s, %s)",
            [ADA, ADA, found, score, DEMO_END - timedelta(days=1)],
        )
    for took in (None, 120):
        connection.execute(
            "INSERT INTO api_request_logs (user_id, endpoint, method, request_duration_ms, created_at)"
            " VALUES (%s, '/avatar-chat', 'POST', %s, %s)",
            [ADA, took, DEMO_END - timedelta(days=1)],
        )


def test_searches(known: str) -> None:
    """A similarity of 0 is in no average, an unknown number of results in no rate, and a day without search has a row."""
    shown = invoke(known, "rag", "searches", "--since", "2025-06-14")
    assert shown.out.splitlines() == [
        "day         searches  results  without_result  empty_rate  similarity",
        "2025-06-14         4        4               1    0.333333       0.825",
        "2025-06-15         0        0               0         n/a         n/a",
        "total              4        4               1",
    ]
    assert "not logged" in shown.err
    assert "in no average" in shown.err


def test_what_was_searched_for_is_not_shown(known: str) -> None:
    """No report has it, in whatever column."""
    for verb in ("summary", "searches", "chunks", "files", "slow"):
        assert "secret" not in invoke(known, "rag", verb, "--json").out


def test_chunks_with_problems(known: str) -> None:
    """What is wrong with a file is told in words, and a file in order is left out."""
    fields = ("--fields", "file,status,chunks,smallest,median,largest,problems")
    shown = invoke(known, "rag", "chunks", "--problems", *fields, "--sort", "file", "--csv")
    assert shown.out.splitlines()[1:] == [
        "broken.pdf,error,0,,,,no chunk",
        "new.pdf,pending,0,,,,no chunk",
        'twice.pdf,processed,3,2,4,4,"1 empty, 1 duplicated, 3 without embedding"',
        "waiting.pdf,pending,0,,,,no chunk",
    ]
    every = json.loads(invoke(known, "rag", "chunks", "--json").out)
    assert [row["problems"] for row in every if row["file"] == "good.pdf"] == [None]


def test_chunks_that_are_missing(known: str) -> None:
    """Where nothing tells what is wrong with a file, that is not shown as if nothing were; what is known is."""
    fields = ("rag", "chunks", "--fields", "file,problems", "--sort", "file", "--no-headers", "--limit", "2")
    whole = {"broken.pdf": "no chunk", "good.pdf": "-"}
    with copied(known) as conninfo:
        for change, told in (
            ("SELECT", whole),
            ("ALTER TABLE document_chunks DROP COLUMN embedding CASCADE", whole | {"good.pdf": "n/a"}),
            ("DROP TABLE document_chunks CASCADE", dict.fromkeys(whole, "n/a")),
        ):
            with psycopg.connect(conninfo) as connection:
                connection.execute(change.encode())
            shown = invoke(conninfo, *fields).out.splitlines()
            assert dict(line.split(maxsplit=1) for line in shown) == told


def test_only_the_wanted_chunks_are_read(known: str) -> None:
    """Whose files are asked for is asked before their chunks are counted: of all there are too many."""
    with Database(known).read() as connection:
        statement = str(rag_files.chunks(connection, user_id=ADA).select)
    assert "document_chunks.knowledge_file_id IN (SELECT" in statement


def test_files(known: str) -> None:
    """Pending for longer than a day is stuck, unless another age is named."""
    shown = invoke(known, "rag", "files", "--fields", "email,files,pending,stuck,errors,bytes")
    assert shown.out.splitlines()[1].split() == ["ada@example.com", "5", "2", "1", "1", "15000"]
    (row,) = json.loads(invoke(known, "rag", "files", "--older-than", "7d", "--json").out)
    assert (row["pending"], row["stuck"]) == (2, 0)


def test_files_of_a_user_without_any(known: str) -> None:
    """An empty list says what there is not."""
    shown = invoke(known, "rag", "files", "--user", "adele@example.com")
    assert (shown.code, shown.err.splitlines()[0]) == (0, "There are no knowledge files.")


def test_slow_says_what_is_not_recorded(known: str) -> None:
    """Beside each figure stands how many requests it is of, and that no search has one."""
    shown = invoke(known, "rag", "slow", "--csv")
    assert shown.out.splitlines()[1:] == ["/avatar-chat,POST,2,1,120,120,120"]
    assert "no search's duration is recorded" in shown.err


def test_summary(known: str) -> None:
    """It is one object of all three tables."""
    found = json.loads(invoke(known, "rag", "summary", "--json").out)
    assert (found["searches_30d"], found["without_result_30d"], found["empty_rate_30d"]) == (4, 1, "0.333333")
    assert (found["files"], found["bytes"], found["chunks"], found["without_embedding"]) == (5, 15000, 5, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("searches", "--by", "week"), "by: day, avatar, user"),
        (("files", "--by", "day"), "by: user, avatar, status, error"),
        (("files", "--older-than", "long"), "'long' is not a time"),
        (("files", "--older-than", "2030-01-01"), "lies ahead"),
        (("slow", "--since", "2025-06-02", "--until", "2025-06-01"), "nothing lies between"),
        (("chunks", "--by", "file"), "No such option"),
    ],
)
def test_what_is_not_understood(known: str, arguments: tuple[str, ...], said: str) -> None:
    """A wrong option is told in a sentence that names the right ones."""
    shown = invoke(known, "rag", *arguments)
    assert (shown.code, shown.out) == (ExitCode.USAGE, "")
    assert said in shown.err
