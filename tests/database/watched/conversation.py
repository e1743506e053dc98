"""The reports on conversations."""

from avatarlab_cli.queries import (
    conversation_feedback,
    conversation_patterns,
    conversation_search,
    conversations,
)
from tests.database.busiest import busiest, busiest_of
from tests.database.watching import SPAN, Case
from tests.reference import conversation


def _volume(by: str) -> Case:
    return Case(
        "conversation volume",
        lambda connection: conversations.volume(connection, SPAN, by),
        lambda tables: conversation.volume(tables, by),
        label=by,
    )


def _feedback(by: str) -> Case:
    return Case(
        "conversation feedback",
        lambda connection: conversation_feedback.feedback(connection, SPAN, by),
        lambda tables: conversation.feedback(tables, by),
        label=by,
    )


def _patterns(by: str) -> Case:
    return Case(
        "conversation patterns",
        lambda connection: conversation_patterns.divided_patterns(connection, SPAN, by),
        lambda tables: conversation.divided_patterns(tables, by),
        label=by,
    )


def _quality(least: int) -> Case:
    return Case(
        "conversation quality",
        lambda connection: conversation_feedback.quality(connection, SPAN, least),
        lambda tables: conversation.quality(tables, least),
        label=str(least),
    )


def _search(text: str) -> Case:
    return Case(
        "conversation search",
        lambda connection: conversation_search.search(connection, text, SPAN, None, 100_000),
        lambda tables: conversation.search(tables, text),
        label=text,
    )


_CHAT, _LEARNED = "conversation_feedback", "conversation_patterns"
CASES = (
    Case(
        "conversation summary",
        lambda connection: conversations.summary(connection, SPAN),
        conversation.summary,
    ),
    *(_volume(by) for by in conversations.DIMENSIONS),
    *(_feedback(by) for by in conversation_feedback.DIMENSIONS),
    *(_quality(least) for least in (1, 3)),
    Case("conversation patterns", conversation_patterns.patterns, conversation.patterns),
    *(_patterns(by) for by in ("avatar", "type")),
    Case(
        "conversation patterns",
        lambda connection: conversation_patterns.divided_patterns(connection, SPAN, "week"),
        conversation.weeks_of_patterns,
        label="week",
    ),
    Case(
        "conversation volume",
        lambda connection: conversations.volume(connection, SPAN, "user", busiest(connection, _CHAT)),
        lambda tables: conversation.volume(tables, "user", busiest_of(tables, _CHAT)),
        label="of an avatar",
    ),
    Case(
        "conversation feedback",
        lambda connection: conversation_feedback.feedback(
            connection, SPAN, "week", busiest(connection, _CHAT)
        ),
        lambda tables: conversation.feedback(tables, "week", busiest_of(tables, _CHAT)),
        label="of an avatar",
    ),
    Case(
        "conversation patterns",
        lambda connection: conversation_patterns.patterns(connection, busiest(connection, _LEARNED)),
        lambda tables: conversation.patterns(tables, busiest_of(tables, _LEARNED)),
        label="of an avatar",
    ),
    *(_search(text) for text in ("HELLO", "50% _OFF_ \\", "x")),
)
