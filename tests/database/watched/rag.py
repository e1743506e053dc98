"""The reports on retrieval."""

from datetime import timedelta

from avatarlab_cli.queries import rag_files, rag_searches
from tests.database.busiest import busiest, busiest_of
from tests.database.watching import NOW, SPAN, Case
from tests.reference import rag

_LOG, _FILES = "rag_search_logs", "avatar_knowledge_files"
_BEFORE = NOW - timedelta(days=7)


def _searches(by: str) -> Case:
    return Case(
        "rag searches",
        lambda connection: rag_searches.searches(connection, SPAN, by),
        lambda tables: rag.searches(tables, by),
        label=by,
    )


def _files(by: str) -> Case:
    return Case(
        "rag files",
        lambda connection: rag_files.files(connection, by, _BEFORE),
        lambda tables: rag.files(tables, by, _BEFORE),
        label=by,
    )


CASES = (
    Case("rag summary", lambda connection: rag_searches.summary(connection, SPAN), rag.summary),
    *(_searches(by) for by in rag_searches.DIMENSIONS),
    Case(
        "rag searches",
        lambda connection: rag_searches.searches(connection, SPAN, "day", busiest(connection, _LOG)),
        lambda tables: rag.searches(tables, "day", busiest_of(tables, _LOG)),
        label="of an avatar",
    ),
    Case("rag slow", lambda connection: rag_searches.slow(connection, SPAN), rag.slow),
    *(_files(by) for by in rag_files.DIMENSIONS),
    Case(
        "rag files",
        lambda connection: rag_files.files(
            connection, "status", _BEFORE, busiest(connection, _FILES, "user_id")
        ),
        lambda tables: rag.files(tables, "status", _BEFORE, busiest_of(tables, _FILES, "user_id")),
        label="of a user",
    ),
    Case("rag chunks", rag_files.chunks, rag.chunks),
    Case(
        "rag chunks",
        lambda connection: rag_files.chunks(connection, only_problems=True),
        lambda tables: rag.chunks(tables, only_problems=True),
        label="problems",
    ),
    Case(
        "rag chunks",
        lambda connection: rag_files.chunks(connection, avatar_id=busiest(connection, _FILES)),
        lambda tables: rag.chunks(tables, avatar=busiest_of(tables, _FILES)),
        label="of an avatar",
    ),
    Case(
        "rag chunks",
        lambda connection: rag_files.chunks(connection, user_id=busiest(connection, _FILES, "user_id")),
        lambda tables: rag.chunks(tables, user=busiest_of(tables, _FILES, "user_id")),
        label="of a user",
    ),
)
