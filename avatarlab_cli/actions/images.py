"""Rows as they are before and after an act, and what differs: what an entry keeps, and what undoing needs."""

import sqlalchemy as sa

from avatarlab_cli.actions.act import Run, Touched
from avatarlab_cli.schema.base import qualified

# Triggers of the platform set it on every update, so it says nothing.
_UNSEEN = frozenset({"updated_at"})
# Never read: their values belong in no other table. Of a key's hash a fingerprint will do to tell whether it changed.
_SECRET = frozenset({"api_key_encrypted", "two_factor_secret", "backup_codes", "token_hash", "n8n_api_key"})
# May be megabytes; no act changes them.
_LARGE = frozenset({"image_url", "original_image_url", "thumbnail_url", "avatar_images", "gallery_images"})
_FINGERPRINTED = frozenset({"api_key_hash"})

TABLES = """
    CREATE TEMPORARY TABLE act_images
        (item bigint, relation text, key jsonb, is_after boolean, image jsonb) ON COMMIT DROP;
"""
_DIFFERENCES = """
    CREATE TEMPORARY TABLE act_changes ON COMMIT DROP AS
    SELECT item, relation, key,
           CASE WHEN a.image IS NULL THEN b.image ELSE
               (SELECT jsonb_object_agg(name, value) FROM jsonb_each(b.image) AS v (name, value)
                WHERE value IS DISTINCT FROM a.image -> name) END AS before,
           CASE WHEN b.image IS NULL THEN a.image ELSE
               (SELECT jsonb_object_agg(name, value) FROM jsonb_each(a.image) AS v (name, value)
                WHERE value IS DISTINCT FROM b.image -> name) END AS after
    FROM (SELECT item, relation, key, image FROM act_images WHERE NOT is_after) AS b
    FULL JOIN (SELECT item, relation, key, image FROM act_images WHERE is_after) AS a USING (item, relation, key)
    WHERE b.image IS DISTINCT FROM a.image
"""


def fingerprint(column: str) -> str:
    """Return the SQL for what stands for a secret: the SHA-256 of the stored value."""
    return f"encode(sha256(convert_to({column}, 'UTF8')), 'hex')"


def lock(run: Run, touched: tuple[Touched, ...]) -> None:
    """Lock the touched rows, each table's in the order of its key."""
    for part in touched:
        keys = ", ".join(f"r.{name}" for name in _keys(part.table))
        run.execute(
            f"SELECT 1 FROM {qualified(part.table)} r, targets t WHERE {part.on} ORDER BY {keys} FOR NO KEY UPDATE OF r"
        )


def take(run: Run, touched: tuple[Touched, ...], *, is_after: bool) -> None:
    """Keep an image of each touched row."""
    for part in touched:
        found = run.live.relation(qualified(part.table))
        live_columns = found.columns if found else {}
        columns = ", ".join(
            _shown(column) for column in part.table.c if column.name in live_columns and is_kept(column)
        )
        key = ", ".join(f"'{name}', r.{name}" for name in _keys(part.table))
        run.execute(
            f"""
            INSERT INTO act_images
            SELECT t.item, '{qualified(part.table)}', jsonb_build_object({key}), :is_after, to_jsonb(i)
            FROM {qualified(part.table)} r JOIN targets t ON {part.on} CROSS JOIN LATERAL (SELECT {columns}) AS i
            """,
            is_after=is_after,
        )


def compare(run: Run) -> None:
    """Create the temporary table act_changes: each row that differs, with the columns that do."""
    run.execute(_DIFFERENCES)


def _shown(column: sa.Column[object]) -> str:
    name = f"r.{column.name}"
    return f"{fingerprint(name)} AS {column.name}" if column.name in _FINGERPRINTED else name


def is_kept(column: sa.Column[object]) -> bool:
    """Tell whether images have the column."""
    return column.name not in _UNSEEN | _SECRET | _LARGE


def _keys(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]
