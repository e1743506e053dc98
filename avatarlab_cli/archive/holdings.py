"""Which rows are a user's own: found through the foreign keys of the database, not from a list of tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.archive.redaction import AUTH, DATA_URI, LEFT_OUT, LONGEST_HEAD, is_taken
from avatarlab_cli.errors import NotPermittedError
from avatarlab_cli.queries import objects
from avatarlab_cli.rollup.availability import STORAGE
from avatarlab_cli.schema import admin
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.foreign_keys import ForeignKey, foreign_keys, relation
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.reference import platform_tables

ACCOUNTS = ("auth.users", "public.profiles")
# A reference to an account under one of these names says whose a row is; deleted_by and the like do not.
OWNERS = ("user_id", "author_id")
UNREADABLE = "cannot be read by this login"
Expression = sa.ColumnElement[Any]
Query = sa.Select[Any] | sa.CompoundSelect[Any]


@dataclass(frozen=True)
class Holding:
    """One table's share of a user's data: a SELECT of one JSON object a row, in an order that stays."""

    table: str
    select: sa.Select[Any]
    left_out: Sequence[str] = ()


@dataclass(frozen=True)
class Ownership:
    """How each table of a database says whose its rows are.

    A row is a user's by its owner column; where it has none, or that is NULL, by a row it goes with: the avatar of
    a conversation, the key of a request.
    """

    live: LiveSchema
    keys: Sequence[ForeignKey]

    def owners(self, table: str) -> list[str]:
        """Return the columns of `table` that hold the id of the user a row belongs to."""
        if table == ACCOUNTS[0]:
            return ["id"]
        own = [key for key in self.keys if key.table == table and len(key.columns) == 1]
        found = [
            key.columns[0]
            for key in own
            if key.target in ACCOUNTS and (key.cascades or key.columns[0] in OWNERS)
        ]
        is_unbound = OWNERS[0] not in {key.columns[0] for key in own}
        if is_unbound and self.live.relations[table].columns.get(OWNERS[0]) == "uuid":
            found.append(OWNERS[0])
        return found

    def ways(self, table: str) -> list[ForeignKey]:
        """Return the keys by which a row of `table` goes with a row that may have an owner."""
        return [
            key
            for key in self.keys
            if key.table == table and key.cascades and key.target in self.held and key.target not in ACCOUNTS
        ]

    @cached_property
    def held(self) -> frozenset[str]:
        """The tables whose rows can be somebody's."""
        tables = [
            name
            for name, found in self.live.relations.items()
            if _is_personal(name) and "table" in found.kind
        ]
        held = {name for name in tables if self.owners(name)}
        while True:
            more = {
                key.table
                for key in self.keys
                if key.cascades and key.target in held and key.table in tables and key.table not in held
            }
            if not more:
                return frozenset(held)
            held |= more

    def rows(self, table: str, columns: Iterable[str], user: UUID, path: tuple[str, ...] = ()) -> Query:
        """Select these columns of the user's rows of `table`."""
        owners, ways = self.owners(table), self.ways(table)
        ways = [key for key in ways if key.target not in (*path, table)]
        shown = list(columns)
        row = relation(table, sorted({*shown, *owners, *(name for key in ways for name in key.columns)}))
        select = sa.select(*(row.c[name] for name in shown))
        parts = [select.where(sa.or_(*(row.c[name] == user for name in owners)))] if owners else []
        if ways:
            # Apart from those with an owner, so that either part can use its own index.
            nobodys = [row.c[name].is_(None) for name in owners]
            above = (self._above(key, row, user, (*path, table)) for key in ways)
            parts.append(select.where(*nobodys, sa.or_(*above)))
        return sa.union_all(*parts) if len(parts) > 1 else parts[0]

    def _above(
        self, key: ForeignKey, row: sa.TableClause, user: UUID, path: tuple[str, ...]
    ) -> sa.ColumnElement[bool]:
        own = sa.tuple_(*(row.c[name] for name in key.columns))
        return own.in_(self.rows(key.target, key.target_columns, user, path))


def holdings(connection: sa.Connection, user: UUID) -> tuple[list[Holding], dict[str, str]]:
    """Return what there is of the user's, table by table, and why each table that is left out is."""
    live = probe(connection)
    ownership = Ownership(live, foreign_keys(connection))
    ordering = {row.name: row.columns for row in connection.execute(_PRIMARY_KEYS)}
    found: list[Holding] = []
    left_out = {name: "missing" for name in _expected() if live.relation(name) is None}
    for table in sorted(ownership.held):
        if reason := _hidden(live, table):
            left_out[table] = reason
        else:
            found.append(_holding(ownership, table, user, ordering.get(table, ())))
    try:
        found.append(_stored(live, user))
    except NotPermittedError as error:
        left_out[STORAGE] = error.message
    return found, left_out


def _is_personal(table: str) -> bool:
    schema = table.partition(".")[0]
    return table in AUTH or schema not in ("auth", "storage")


def _expected() -> list[str]:
    tables = [*platform_tables(), *(item for item in vars(admin).values() if isinstance(item, sa.Table))]
    return [
        qualified(table)
        for table in tables
        if OWNERS[0] in table.c or any(key.ondelete == "CASCADE" for key in table.foreign_keys)
    ]


def _hidden(live: LiveSchema, table: str) -> str | None:
    if not live.readable(table):
        return UNREADABLE
    return "row security hides rows of it from this login" if live.relations[table].is_filtered else None


def _holding(ownership: Ownership, table: str, user: UUID, primary_key: Sequence[str]) -> Holding:
    columns: Mapping[str, str] = ownership.live.relations[table].columns
    taken = [name for name, kind in columns.items() if is_taken(table, name, kind)]
    rows = ownership.rows(table, taken, user).subquery("own")
    shown = sa.select(*(_written(rows.c[name], columns[name]).label(name) for name in taken))
    order = [name for name in primary_key if name in taken]
    return Holding(table, _lines(shown, order), sorted(columns.keys() - set(taken)))


def _stored(live: LiveSchema, user: UUID) -> Holding:
    if not objects.is_stored_here(live):
        raise NotPermittedError(UNREADABLE)
    rows = objects.objects_of(live, [user]).subquery("own")
    time = _written(rows.c.created_at, "timestamp with time zone").label("created_at")
    shown = sa.select(rows.c.bucket, rows.c.key, rows.c.bytes, time)
    return Holding(STORAGE, _lines(shown, ["bucket", "key"]))


def _lines(shown: sa.Select[Any], order: Sequence[str]) -> sa.Select[Any]:
    """Write each row as one JSON object; without a key to order by, the text itself orders them."""
    rows = shown.subquery("shown")
    line = sa.func.row_to_json(sa.literal_column("shown"))
    keys: list[Expression] = [rows.c[name] for name in order] or [sa.cast(line, sa.Text)]
    return sa.select(line.label("line")).select_from(rows).order_by(*keys)


def _written(column: Expression, kind: str) -> Expression:
    """Return a column as the archive writes it: times in UTC, amounts exact, images as text cut short."""
    if kind.endswith("[]"):
        return column
    if kind.startswith("numeric"):
        return sa.cast(column, sa.Text)
    if kind.startswith("timestamp"):
        utc = sa.func.timezone("UTC", column) if kind.endswith("with time zone") else column
        text = sa.func.to_json(utc).op("#>>")(sa.literal_column("'{}'"))
        return sa.case((sa.func.isfinite(column), text + "Z"), else_=sa.cast(column, sa.Text))
    if kind.startswith(("text", "character varying")):
        # Cut here already: megabytes need not travel to be thrown away.
        start = sa.func.left(column, LONGEST_HEAD, type_=sa.Text)
        cut = sa.func.split_part(start, ",", 1, type_=sa.Text) + f",{LEFT_OUT}"
        return sa.case((start.regexp_match(DATA_URI), cut), else_=column)
    return column


_PRIMARY_KEYS = sa.text("""
    SELECT n.nspname || '.' || c.relname AS name, array_agg(a.attname::text ORDER BY k.place) AS columns
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indisprimary
    GROUP BY 1
""")
