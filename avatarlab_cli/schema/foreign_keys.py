"""Which rows stand on which others in the connected database, whoever made its tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa


class OnDelete(StrEnum):
    """What happens to a row when the row it refers to is deleted, by PostgreSQL's letters."""

    BLOCK = "a"
    RESTRICT = "r"
    CASCADE = "c"
    SET_NULL = "n"
    SET_DEFAULT = "d"


@dataclass(frozen=True)
class ForeignKey:
    """One foreign key: the `columns` of `table` refer to the `target_columns` of `target`.

    Tables are named with their schema. `is_readable` and `is_filtered` say of `table` what `live.Relation` does.
    """

    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    on_delete: OnDelete
    is_readable: bool
    is_filtered: bool

    @property
    def cascades(self) -> bool:
        """Whether the row goes with the row it refers to."""
        return self.on_delete is OnDelete.CASCADE


_KEYS = sa.text("""
    SELECT own.nspname || '.' || child.relname AS "table", columns.own AS columns,
           other.nspname || '.' || parent.relname AS target, columns.other AS target_columns,
           k.confdeltype::text AS on_delete,
           has_schema_privilege(own.oid, 'USAGE') AND has_table_privilege(child.oid, 'SELECT') AS is_readable,
           row_security_active(child.oid) AS is_filtered
    FROM pg_constraint k
    JOIN pg_class child ON child.oid = k.conrelid
    JOIN pg_namespace own ON own.oid = child.relnamespace
    JOIN pg_class parent ON parent.oid = k.confrelid
    JOIN pg_namespace other ON other.oid = parent.relnamespace
    CROSS JOIN LATERAL (
        SELECT array_agg(a.attname::text ORDER BY u.place) AS own, array_agg(b.attname::text ORDER BY u.place) AS other
        FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS u (own, other, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own
        JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.other
    ) columns
    WHERE k.contype = 'f' AND k.conparentid = 0
    ORDER BY 1, k.conname
""")


def foreign_keys(connection: sa.Connection) -> list[ForeignKey]:
    """Read every foreign key of the database from the catalogue; a partition's stand for the whole table's."""
    return [
        ForeignKey(
            table=row["table"],
            columns=tuple(row["columns"]),
            target=row["target"],
            target_columns=tuple(row["target_columns"]),
            on_delete=OnDelete(row["on_delete"]),
            is_readable=row["is_readable"],
            is_filtered=row["is_filtered"],
        )
        for row in connection.execute(_KEYS).mappings()
    ]


def relation(name: str, columns: Sequence[str]) -> sa.TableClause:
    """Return the table called `schema.name` with these columns, to write SQL about it without knowing it."""
    schema, _, table = name.partition(".")
    return sa.table(table, *(sa.column(column) for column in columns), schema=schema)
