"""The indexes that reports would use and the platform's own scripts do not make."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema.api import api_request_logs
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.conversations import conversations
from avatarlab_cli.schema.knowledge import avatar_knowledge_files, rag_search_logs
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.media import generated_videos
from avatarlab_cli.schema.training import avatar_fine_tune_jobs, avatar_training_files
from avatarlab_cli.schema.voice import tts_generations, voice_clones, voice_samples

MATTERS_FROM = 100_000
"""Rows; of a smaller table all are read in a few hundredths of a second."""
# Each leads with this column. Reports over a time read those of the time alone; deleting a user looks for theirs.
WANTED: tuple[tuple[sa.Column[object], str], ...] = (
    (rag_search_logs.c.created_at, "rag searches, and the jobs"),
    (tts_generations.c.created_at, "voice tts, and the jobs"),
    (conversations.c.timestamp, "conversation volume, and the jobs"),
    (api_request_logs.c.user_id, "user activity, user delete"),
    (generated_videos.c.created_at, "the jobs, overview"),
    (avatar_knowledge_files.c.uploaded_at, "rag files, overview"),
    (avatar_training_files.c.uploaded_at, "training files"),
    (avatar_fine_tune_jobs.c.created_at, "training jobs, overview"),
    (voice_clones.c.created_at, "voice clones, overview"),
    (voice_samples.c.created_at, "voice samples"),
)
COLUMNS = (
    Column("table", help="the table"),
    Column("column", help="what the index would lead with"),
    Column("rows", Kind.INTEGER, "as PostgreSQL estimates them"),
    Column("state", help=f"warn; ok below {MATTERS_FROM:,} rows, where it does not matter; unknown"),
    Column("used_by", help="what would be faster", wide=True),
    Column("statement", Kind.ID, "what makes it, without holding up the platform"),
)


@dataclass(frozen=True)
class Missing:
    """An index that is not there; `rows` is None where the table was never analysed."""

    column: sa.Column[object]
    used_by: str
    rows: int | None

    @property
    def state(self) -> str:
        """Whether it matters."""
        if self.rows is None:
            return "unknown"
        return "warn" if self.rows >= MATTERS_FROM else "ok"

    def row(self) -> dict[str, object]:
        """Return its row of the list."""
        table, column = self.column.table, self.column.name
        return {
            "table": table.name,
            "column": column,
            "rows": self.rows,
            "state": self.state,
            "used_by": self.used_by,
            # No IF NOT EXISTS: it would pass over an invalid one that an earlier attempt left behind.
            "statement": f'CREATE INDEX CONCURRENTLY ON {qualified(table)} ("{column}");',
        }


def missing(live: LiveSchema) -> Iterator[Missing]:
    """Yield the wanted indexes that are not there, of tables and columns that are."""
    for column, used_by in WANTED:
        found = live.relation(qualified(column.table))
        if found is not None and column.name in found.columns and column.name not in found.indexed:
            yield Missing(column, used_by, found.estimated_rows)
