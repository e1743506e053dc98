"""What is really there: the relations, columns, indexes and rights of the connected database, by one query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from avatarlab_cli.errors import NotPermittedError

SCHEMAS = ("public", "auth", "storage", "avatarlab_admin")

KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}

# Sizes take a lock on every relation, so one that is being rewritten would hold up each command: only on demand.
_PROBE = sa.text("""
    SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, columns.types, columns.required,
           coalesce(indexes.leading, '{}') AS indexed,
           CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS estimated_rows,
           CASE WHEN :sizes THEN pg_total_relation_size(c.oid) END AS total_bytes,
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS is_readable,
           row_security_active(c.oid) AS is_filtered
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        -- Since PostgreSQL 18 NOT NULL may be declared of rows that were not looked at.
        SELECT coalesce(array_agg(o.conkey[1]), '{}') AS columns
        FROM pg_constraint o
        WHERE o.conrelid = c.oid AND o.contype = 'n' AND NOT o.convalidated
    ) doubted
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)), '{}') AS types,
               coalesce(array_agg(a.attname::text) FILTER (WHERE a.attnotnull AND a.attnum <> ALL (doubted.columns)), '{}')
                   AS required
        FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) columns
    CROSS JOIN LATERAL (
        SELECT array_agg(DISTINCT a.attname::text) AS leading
        FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
    ) indexes
    WHERE n.nspname = ANY (:schemas) AND c.relkind = ANY (:kinds)
""")


@dataclass(frozen=True)
class Relation:
    """One table or view as the catalogue describes it to the current role.

    `columns` maps names to types as PostgreSQL writes them; `required` holds those that are NOT NULL, `indexed` those
    that lead a complete index. `estimated_rows` is None where nothing was ever analysed, `total_bytes` (with indexes and TOAST)
    where the probe left sizes out. A relation `is_filtered` when row security hides rows from this role.
    """

    schema: str
    name: str
    kind: str
    columns: Mapping[str, str]
    required: frozenset[str]
    indexed: frozenset[str]
    estimated_rows: int | None
    total_bytes: int | None
    is_readable: bool
    is_filtered: bool


@dataclass(frozen=True)
class LiveSchema:
    """The relations of the probed schemas; a name without a schema means `public`."""

    relations: Mapping[str, Relation]

    def relation(self, name: str) -> Relation | None:
        """Return the relation called `name`, None where it does not exist."""
        return self.relations.get(name if "." in name else f"public.{name}")

    def has(self, name: str, *columns: str) -> bool:
        """Tell whether the relation exists with all of `columns`, readable or not."""
        relation = self.relation(name)
        return relation is not None and relation.columns.keys() >= set(columns)

    def readable(self, name: str) -> bool:
        """Tell whether the relation exists and the current role may select from it."""
        relation = self.relation(name)
        return relation is not None and relation.is_readable


def probe(connection: sa.Connection, *, sizes: bool = False) -> LiveSchema:
    """Read the catalogue, which every role may do; `sizes` adds `total_bytes` and waits for exclusive locks."""
    bound = {"schemas": list(SCHEMAS), "kinds": list(KINDS), "sizes": sizes}
    relations = (_relation(row) for row in connection.execute(_PROBE, bound).mappings())
    return LiveSchema({f"{relation.schema}.{relation.name}": relation for relation in relations})


def demand_all_rows(connection: sa.Connection, tables: Iterable[str]) -> None:
    """Raise NotPermittedError where row security hides rows of one of these tables, named with their schemas.

    What is missing altogether is another's to tell.
    """
    filtered = connection.scalar(_FILTERED, {"tables": sorted(tables)})
    if filtered:
        raise row_security_error(filtered)


_FILTERED = sa.text(
    "SELECT min(name) FROM unnest(CAST(:tables AS text[])) AS t (name) WHERE row_security_active(to_regclass(name))"
)


def row_security_error(table: str) -> NotPermittedError:
    """Return the error for a table of which this login does not see every row."""
    return NotPermittedError(
        f"row security hides rows of {table} from this login, so every figure would be too low",
        hint="connect as a role with BYPASSRLS: postgres or service_role",
    )


def _relation(row: sa.RowMapping) -> Relation:
    return Relation(
        schema=row["schema"],
        name=row["name"],
        kind=KINDS[row["kind"]],
        columns=row["types"],
        required=frozenset(row["required"]),
        indexed=frozenset(row["indexed"]),
        estimated_rows=row["estimated_rows"],
        total_bytes=row["total_bytes"],
        is_readable=row["is_readable"],
        is_filtered=row["is_filtered"],
    )
