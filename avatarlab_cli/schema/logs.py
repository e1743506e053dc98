"""The logs that only ever grow, and to which no other table refers: what may be pruned."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.schema.api import api_request_logs
from avatarlab_cli.schema.conversations import conversation_feedback, conversations
from avatarlab_cli.schema.knowledge import rag_search_logs
from avatarlab_cli.schema.training import avatar_training_logs

PRUNABLE: tuple[sa.Table, ...] = (
    api_request_logs,
    rag_search_logs,
    avatar_training_logs,
    conversation_feedback,
    conversations,
)


def time_of(table: sa.Table) -> sa.Column[Any]:
    """Return the column that dates a log's rows."""
    column: sa.Column[Any] = table.c[table.info["event_time"]]
    return column
