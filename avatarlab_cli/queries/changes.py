"""What a dry run would change, while both the former rows and the new ones are at hand."""

from collections.abc import Sequence

import sqlalchemy as sa

from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import fresh
from avatarlab_cli.schema.base import JSONB

# Columns that change with every write say nothing about it.
_STAMPS = ("id", "created_at", "updated_at", "computed_at")
COLUMNS = (
    Column("item", Kind.ID, "the row: its key"),
    Column("change", Kind.TEXT, "insert, update or delete"),
    Column("before", Kind.JSON, "what differs, as it is", null="-"),
    Column("after", Kind.JSON, "and as it would be", null="-"),
)


def remember(connection: sa.Connection, target: sa.Table) -> None:
    """Copy the table's rows as they are, for `changes` to compare with later in this transaction."""
    fresh.temporary(connection, "rows_before", sa.text(f"SELECT * FROM {target.fullname}"))


def changes(target: sa.Table, keys: Sequence[str]) -> Report:
    """Report each row that differs from the remembered one: its key, and the columns before and after."""
    name = target.fullname
    key = " || ' ' || ".join(f"coalesce(a.{column}, b.{column})::text" for column in keys)
    same = " AND ".join(f"a.{column} = b.{column}" for column in keys)
    stamps = ", ".join(f"'{column}'" for column in _STAMPS)
    is_written = (
        "a.computed_at IS DISTINCT FROM b.computed_at"
        if "computed_at" in target.c
        else "a IS DISTINCT FROM b"
    )
    select = f"""
        SELECT {key} AS item,
               CASE WHEN b.{keys[0]} IS NULL THEN 'insert' WHEN a.{keys[0]} IS NULL THEN 'delete' ELSE 'update' END AS change,
               (SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(b)) AS old (key, value)
                WHERE key <> ALL (ARRAY[{stamps}]) AND value IS DISTINCT FROM to_jsonb(a) -> key) AS before,
               (SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(a)) AS new (key, value)
                WHERE key <> ALL (ARRAY[{stamps}]) AND value IS DISTINCT FROM to_jsonb(b) -> key) AS after
        FROM rows_before b FULL JOIN {name} a ON {same}
        WHERE a.{keys[0]} IS NULL OR b.{keys[0]} IS NULL OR {is_written}"""
    rows = sa.text(select).columns(
        sa.column("item", sa.Text),
        sa.column("change", sa.Text),
        sa.column("before", JSONB),
        sa.column("after", JSONB),
    )
    return Report(
        sa.select(rows.subquery("changes")),
        COLUMNS,
        sort="item",
        empty="Nothing would change.",
    )
