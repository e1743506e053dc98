"""What the reference reads: the platform's rows as lists of dicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

Row = dict[str, Any]

UNATTRIBUTED = UUID(int=0)
"""The owner of everything that has no owner."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "auth.users": ("id", "created_at", "deleted_at", "last_sign_in_at"),
    "storage.objects": ("bucket_id", "name", "metadata", "created_at"),
    "profiles": ("id", "created_at", "last_login", "avatar_url", "account_status", "subscription_tier_id"),
    "avatars": ("id", "user_id", "status", "created_at", "deleted_at", "avatar_images", "gallery_images"),
    "conversations": ("avatar_id", "timestamp"),
    "conversation_feedback": ("user_id", "feedback", "created_at"),
    "generated_images": (
        *("user_id", "created_at", "provider", "model"),
        *("image_url", "original_image_url", "thumbnail_url"),
    ),
    "generated_videos": (
        *("user_id", "created_at", "status", "provider", "model"),
        *("video_url", "thumbnail_url"),
    ),
    "avatar_memories": ("user_id", "created_at", "image_path", "image_url", "thumbnail_url"),
    "memory_images": ("user_id", "created_at", "image_path", "image_url", "thumbnail_url"),
    "avatar_knowledge_files": ("user_id", "uploaded_at", "file_path", "file_size", "link_url"),
    "avatar_training_data": ("user_id", "created_at"),
    "avatar_training_files": ("user_id", "uploaded_at", "file_path", "file_name", "file_size"),
    "avatar_fine_tune_jobs": ("user_id", "created_at", "finished_at", "trained_tokens", "base_model"),
    "avatar_fine_tune_usage": ("user_id", "usage_date", "input_tokens", "output_tokens", "fine_tuned_model"),
    "voice_clones": ("user_id", "created_at", "preview_url"),
    "voice_samples": ("user_id", "created_at", "file_url", "file_size_bytes"),
    "tts_voices": ("sample_url",),
    "tts_generations": ("user_id", "created_at", "text", "audio_url", "model"),
    "platform_api_keys": ("id", "user_id"),
    "api_request_logs": ("user_id", "api_key_id", "created_at"),
    "rag_search_logs": ("user_id", "created_at"),
    "purchases": ("status", "currency", "price_paid", "purchased_at"),
    "subscription_tiers": ("id", "name", "price_monthly", "price_yearly", "max_avatars", "limits"),
    "user_subscriptions": (
        "id",
        "user_id",
        "tier_id",
        "status",
        "billing_cycle",
        "started_at",
        "expires_at",
        "is_trial",
        "trial_ends_at",
        "custom_limits",
        "override_expires_at",
        "created_at",
    ),
}


@dataclass(frozen=True)
class Table:
    """The columns a table really has, of those the reference wants, and its rows."""

    columns: frozenset[str]
    rows: list[Row]


@dataclass(frozen=True)
class Source:
    """Every table that exists; one that does not is absent."""

    tables: Mapping[str, Table]

    def rows(self, table: str, *columns: str) -> list[Row] | None:
        """Return the table's rows, or None where the table or one of the columns does not exist."""
        found = self.tables.get(table)
        if found is None or not found.columns.issuperset(columns):
            return None
        return found.rows

    def rows_if_any(self, table: str, *columns: str) -> list[Row]:
        """Return the rows where absence means the same as an empty table."""
        return self.rows(table, *columns) or []

    def accounts(self) -> set[UUID]:
        """Return every user id that exists, accounts marked as deleted included."""
        return {row["id"] for row in self.rows_if_any("auth.users", "id")}


def source_of(tables: Mapping[str, list[Row]]) -> Source:
    """Build a source by hand: every wanted column exists, and one a row does not give is NULL."""
    return Source(
        {
            name: Table(frozenset(COLUMNS[name]), [dict.fromkeys(COLUMNS[name]) | row for row in rows])
            for name, rows in tables.items()
        }
    )


def read_source(connection: sa.Connection) -> Source:
    """Read the wanted columns of every table that exists in the connected database."""
    existing = existing_columns(connection)
    tables = {}
    for name, wanted in COLUMNS.items():
        if name in existing:
            columns = [column for column in wanted if column in existing[name]]
            tables[name] = Table(frozenset(columns), _read(connection, name, columns))
    return Source(tables)


def existing_columns(connection: sa.Connection) -> dict[str, set[str]]:
    """Return the columns of each table; those of `public` are named without their schema."""
    statement = sa.text(
        "select table_schema, table_name, column_name from information_schema.columns"
        " where table_schema in ('public', 'auth', 'storage')"
    )
    found: dict[str, set[str]] = {}
    for schema, table, column in connection.execute(statement):
        name = table if schema == "public" else f"{schema}.{table}"
        found.setdefault(name, set()).add(column)
    return found


def _read(connection: sa.Connection, table: str, columns: list[str]) -> list[Row]:
    quoted = ", ".join(f'"{column}"' for column in columns)
    result = connection.execute(sa.text(f"select {quoted} from {table}"))
    return [dict(row) for row in result.mappings()]


def day_of(moment: datetime | date) -> date:
    """Return the UTC day a moment belongs to."""
    return moment.astimezone(UTC).date() if isinstance(moment, datetime) else moment


def end_of(day: date) -> datetime:
    """Return the first moment after the day, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def days_between(first: date, last: date) -> list[date]:
    """Return the days from first to last, both included."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def month_of(day: date) -> date:
    """Return the first day of the day's month."""
    return day.replace(day=1)


def last_day(month: date) -> date:
    """Return the last day of the month that holds the given day."""
    return month_of(month_of(month) + timedelta(days=31)) - timedelta(days=1)
