"""What the database itself takes, table by table and index by index."""

import json
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.output.human import human
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema import areas

# Sizes take a lock for a moment. Of what somebody is rewriting they would wait for it, so that stays unknown.
# Who holds the locks is asked once. A partition belongs where its table does, as in rollup.database_size.
_RELATIONS = sa.text("""
    WITH locked AS MATERIALIZED (
        SELECT DISTINCT relation FROM pg_locks
        WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL AND pid <> pg_backend_pid()
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    SELECT area, "table", name, type, CAST(sum(rows) FILTER (WHERE type = 'table' AND rows >= 0) AS bigint) AS rows,
           CASE WHEN count(bytes) = count(*) THEN CAST(sum(bytes) AS bigint) END AS bytes
    FROM (
        SELECT coalesce(CAST(:areas AS jsonb) ->> whole, CAST(:schemas AS jsonb) ->> whole_schema, :other) AS area,
               CASE WHEN is_catalogue THEN 'pg_catalog' WHEN schema = 'public' THEN owner ELSE schema || '.' || owner END
                   AS "table",
               CASE WHEN is_catalogue THEN 'pg_catalog' WHEN type = 'toast' THEN 'toast of ' || owner ELSE name END
                   AS name, type, rows, bytes
        FROM (
            SELECT n.nspname AS schema, o.relname AS owner,
                   wn.nspname AS whole_schema, wn.nspname || '.' || w.relname AS whole,
                   c.relname AS name, c.reltuples AS rows,
                   n.nspname IN ('pg_catalog', 'information_schema') AS is_catalogue,
                   CASE WHEN c.relkind = 't' OR t.relkind = 't' THEN 'toast' WHEN c.relkind = 'i' THEN 'index'
                        WHEN c.relkind = 'S' THEN 'sequence' ELSE 'table' END AS type,
                   CASE WHEN l.relation IS NULL THEN (SELECT sum(pg_relation_size(c.oid, fork))
                           FROM unnest(ARRAY['main', 'fsm', 'vm', 'init']) AS fork) END AS bytes
            FROM pg_class c
            LEFT JOIN pg_index i ON i.indexrelid = c.oid
            LEFT JOIN pg_class t ON t.oid = i.indrelid
            LEFT JOIN pg_class toasted
                ON toasted.reltoastrelid = CASE c.relkind WHEN 't' THEN c.oid ELSE i.indrelid END
            JOIN pg_class o ON o.oid = coalesce(toasted.oid, t.oid, c.oid)
            JOIN pg_namespace n ON n.oid = o.relnamespace
            JOIN pg_class w ON w.oid = coalesce(pg_partition_root(o.oid), o.oid)
            JOIN pg_namespace wn ON wn.oid = w.relnamespace
            LEFT JOIN locked l ON l.relation = c.oid
            WHERE c.relkind IN ('r', 'm', 't', 'i', 'S') AND NOT c.relisshared
        ) AS relation
    ) AS described
    GROUP BY area, "table", name, type
""")
# Where no table is known by name, its schema tells whose it is.
_SCHEMAS = {"pg_catalog": "PostgreSQL", "information_schema": "PostgreSQL", **areas.BY_SCHEMA}


def tables(connection: sa.Connection) -> Report:
    """Report every table, its TOAST and its indexes, with what they take on disk."""
    each = _relations().subquery("relations")
    return Report(
        sa.select(each),
        (
            Column("area", Kind.TEXT, "which part of the platform it belongs to"),
            Column("table", Kind.TEXT, "the table, or whose index it is"),
            Column("name", Kind.ID, "the table, or the index"),
            Column("type", Kind.TEXT, "table, toast (its long values), index or sequence"),
            Column("rows", Kind.INTEGER, "as PostgreSQL estimates them", null="-"),
            Column("bytes", Kind.BYTES, "on disk", total=True),
        ),
        sort="-bytes,table,name",
        notes=_notes(connection, each),
    )


def bytes_of_area(area: str) -> sa.ScalarSelect[Any]:
    """Return what the tables of an area take with all that is theirs; NULL where that of one is not known."""
    each = _relations().subquery("relations")
    is_known = sa.func.count(each.c.bytes) == sa.func.count()
    total = sa.func.coalesce(sa.func.sum(each.c.bytes), 0)
    return (
        sa.select(sa.cast(sa.case((is_known, total)), sa.BigInteger))
        .where(each.c.area == area)
        .scalar_subquery()
    )


def _relations() -> sa.TextualSelect:
    text = _RELATIONS.bindparams(
        areas=json.dumps(areas.by_table()), schemas=json.dumps(_SCHEMAS), other=areas.OTHER
    )
    return text.columns(
        sa.column("area", sa.Text),
        sa.column("table", sa.Text),
        sa.column("name", sa.Text),
        sa.column("type", sa.Text),
        sa.column("rows", sa.BigInteger),
        sa.column("bytes", sa.BigInteger),
    )


def _notes(connection: sa.Connection, each: sa.Subquery) -> tuple[str, ...]:
    """Say what is not known, and what the database takes beside its relations."""
    row = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(each.c.bytes), 0).label("listed"),
            (sa.func.count() - sa.func.count(each.c.bytes)).label("locked"),
            sa.func.pg_database_size(sa.func.current_database()).label("whole"),
        )
    ).one()
    if row.locked:
        return (f"{row.locked} of them somebody is changing right now: their size is n/a",)
    rest = row.whole - row.listed
    if rest <= 0:
        return ()
    sizes = (human(str(size), Kind.BYTES) for size in (row.whole, rest))
    return ("the database takes {} in all; {} of it are files beside these relations".format(*sizes),)
