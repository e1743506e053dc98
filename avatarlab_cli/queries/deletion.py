"""What deleting users would do: the rows that go with them, that lose a reference, that forbid it, that stay."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries import objects
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.admin import admin_users
from avatarlab_cli.schema.foreign_keys import ForeignKey, OnDelete, foreign_keys, relation
from avatarlab_cli.schema.live import LiveSchema, probe, row_security_error
from avatarlab_cli.schema.supabase import users

ROOT = "auth.users"
# What names a user in a table without a foreign key to say so.
OWNER = "user_id"
BLOCKS, DELETES, NULLS, DEFAULTS, STAYS = "blocks", "deletes", "sets null", "sets default", "stays"
_EFFECTS = {OnDelete.SET_NULL: NULLS, OnDelete.SET_DEFAULT: DEFAULTS}
COLUMNS = (
    Column("email", Kind.TEXT, "the user"),
    Column("effect", Kind.TEXT, "blocks (so nothing can be deleted), deletes, sets null, or stays"),
    Column("table", Kind.TEXT, "where the rows are; storage.objects: for the Storage API to delete"),
    Column("column", Kind.TEXT, "what refers to the user, or to a row that goes", null="-"),
    Column("rows", Kind.INTEGER, "how many"),
    Column("bucket", Kind.TEXT, "of an object left behind", null="-"),
    Column("key", Kind.TEXT, "of an object left behind", null="-"),
    Column("user_id", Kind.ID, "the user", wide=True),
)


@dataclass(frozen=True)
class Blocker:
    """Rows that forbid a deletion: `rows` of `table` refer in `column` to what would go, and do not go themselves."""

    table: str
    column: str
    rows: int

    def __str__(self) -> str:
        return f"{self.table}.{self.column} ({self.rows} {'row' if self.rows == 1 else 'rows'})"


@dataclass(frozen=True)
class Cascade:
    """The rows that go with some users, as one chain of CTEs.

    `rows` maps each table that is reached to its CTE: `target` (the user it goes with), `in_table` and `place`
    (the row), and the columns others refer to. `keys` are those that refer to these tables. A row of two of the
    users stands there twice. `unread` tables cannot be seen by this login, and `uncounted` keys close a circle.
    """

    rows: Mapping[str, sa.CTE]
    keys: Sequence[ForeignKey]
    unread: Sequence[str] = field(default=())
    uncounted: Sequence[ForeignKey] = field(default=())

    def blocking(self) -> Iterator[ForeignKey]:
        """Yield the keys that forbid deleting a row which is referred to."""
        return (key for key in self.keys if key.on_delete in (OnDelete.BLOCK, OnDelete.RESTRICT))

    def goes_too(
        self, row: sa.TableClause, name: str, target: sa.ColumnElement[Any]
    ) -> sa.ColumnElement[bool]:
        """Return the condition that this row of the table `name` goes with the user `target` itself."""
        if name not in self.rows:
            return sa.false()
        # The row that is referred to may be one of the same table.
        going = self.rows[name].alias()
        same = sa.and_(
            going.c.target == target, going.c.in_table == row.c.tableoid, going.c.place == row.c.ctid
        )
        return sa.exists().where(same)


def cascade(keys: Iterable[ForeignKey], ids: Sequence[UUID]) -> Cascade:
    """Follow ON DELETE CASCADE from these users; raises NotPermittedError where row security hides rows."""
    by_target = defaultdict(list)
    for key in keys:
        by_target[key.target].append(key)
    order, circular = _in_order(by_target)
    reached = [key for table in order for key in by_target[table]]
    for key in reached:
        if key.is_filtered and key.is_readable:
            raise row_security_error(key.table)
    followed = [key for key in reached if key.cascades and key.is_readable and key not in circular]
    rows: dict[str, sa.CTE] = {}
    for table in order:
        wanted = sorted({column for key in by_target[table] for column in key.target_columns})
        rows[table] = _rows(table, wanted, [key for key in followed if key.table == table], rows, ids)
    return Cascade(
        rows,
        [key for key in reached if key.is_readable],
        sorted({key.table for key in reached if not key.is_readable}),
        circular,
    )


def _in_order(by_target: Mapping[str, Sequence[ForeignKey]]) -> tuple[list[str], list[ForeignKey]]:
    """Return the tables reached by cascades, each after those it is reached from, and the keys that close a circle."""
    finished: list[str] = []
    open_tables: list[str] = []
    circular: list[ForeignKey] = []

    def visit(table: str) -> None:
        open_tables.append(table)
        for key in by_target.get(table, ()):
            if not (key.cascades and key.is_readable):
                continue
            if key.table in open_tables:
                circular.append(key)
            elif key.table not in finished:
                visit(key.table)
        open_tables.remove(table)
        finished.append(table)

    visit(ROOT)
    return finished[::-1], circular


def _rows(
    table: str,
    wanted: Sequence[str],
    ways: Sequence[ForeignKey],
    above: Mapping[str, sa.CTE],
    ids: Sequence[UUID],
) -> sa.CTE:
    row = relation(table, ["tableoid", "ctid", *{*wanted, *(c for key in ways for c in key.columns)}])
    shown = [row.c.tableoid.label("in_table"), row.c.ctid.label("place"), *(row.c[name] for name in wanted)]
    if table == ROOT:
        chosen = row.c.id == sa.any_(sa.cast(list(ids), sa.ARRAY(sa.Uuid)))
        return sa.select(row.c.id.label("target"), *shown).where(chosen).cte("deleted_users")
    reached = [
        sa.select(above[key.target].c.target, *shown).join_from(
            row, above[key.target], refers(key, row, above[key.target])
        )
        for key in ways
    ]
    # By two ways the same row is reached twice.
    union = sa.union(*reached) if len(reached) > 1 else reached[0]
    return union.cte(f"deleted_{table.replace('.', '_')}")


def refers(key: ForeignKey, row: sa.TableClause, target: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return the condition that `row` refers to `target` by this key."""
    pairs = zip(key.columns, key.target_columns, strict=True)
    return sa.and_(*(row.c[own] == target.c[other] for own, other in pairs))


def effects(found: Cascade, live: LiveSchema, ids: Sequence[UUID]) -> sa.CompoundSelect[Any]:
    """Select user_id, effect, table, column and rows: what deleting each of the users would do."""
    going = [
        _count(rows.c.target, DELETES, table).group_by(rows.c.target) for table, rows in found.rows.items()
    ]
    staying = [_referring(found, key) for key in found.keys if not key.cascades]
    unbound = [_unbound(found, name, ids) for name in _unbound_tables(found, live)]
    return sa.union_all(*going, *staying, *unbound)


def blockers(connection: sa.Connection, ids: Sequence[UUID]) -> dict[UUID, list[Blocker]]:
    """Return what forbids deleting each of the users; one whom nothing holds is not in it."""
    found = cascade(foreign_keys(connection), ids)
    held = [_referring(found, key) for key in found.blocking()]
    result: dict[UUID, list[Blocker]] = {}
    if held:
        for row in connection.execute(sa.union_all(*held).order_by("user_id", "table", "column")):
            result.setdefault(row.user_id, []).append(Blocker(row.table, row.column, row.rows))
    return result


def plan(connection: sa.Connection, ids: Sequence[UUID]) -> Report:
    """Report what deleting each of the users for good would do, and the objects it would leave in the buckets."""
    live = probe(connection)
    found = cascade(foreign_keys(connection), ids)
    notes = list(_notes(found))
    effect = effects(found, live, ids).subquery("effects")
    nothing = sa.null().cast(sa.Text)
    parts: list[sa.Select[Any]] = [
        sa.select(effect, nothing.label("bucket"), nothing.label("key")),
    ]
    if live.has(admin_users.name, "is_active"):
        parts.append(_active_admins(ids).add_columns(nothing, nothing))
    if objects.is_stored_here(live):
        stored = objects.objects_of(live, ids).subquery("stored")
        one = sa.literal(1, sa.BigInteger)
        where = (sa.literal(STAYS), sa.literal("storage.objects"), nothing, one)
        parts.append(sa.select(stored.c.user_id, *where, stored.c.bucket, stored.c.key))
    else:
        notes.append("storage.objects cannot be read here: what the buckets hold of the user is not listed")
    rows = sa.union_all(*parts).subquery("rows")
    select = sa.select(
        users.c.email, *(rows.c[column.name] for column in COLUMNS if column.name != "email")
    ).join(users, users.c.id == rows.c.user_id)
    return Report(
        select,
        COLUMNS,
        sort="email,effect,table,column,bucket,key",
        empty="There is no such user.",
        notes=tuple(notes),
    )


def _active_admins(ids: Sequence[UUID]) -> sa.Select[Any]:
    """Count the rows by which a user is an admin: not the database forbids to delete one, but `user delete`."""
    own = admin_users.c
    return (
        _count(own.user_id, BLOCKS, f"public.{admin_users.name}", "is_active")
        .where(own.is_active, own.user_id == sa.any_(sa.cast(list(ids), sa.ARRAY(sa.Uuid))))
        .group_by(own.user_id)
    )


def _notes(found: Cascade) -> Iterator[str]:
    for table in found.unread:
        yield f"{table} cannot be read by this login: what it holds of the user is neither counted nor checked"
    for key in found.uncounted:
        yield f"rows of {key.table} that are reached by {', '.join(key.columns)} in a circle are not counted"


def _count(
    target: sa.ColumnElement[Any], effect: str, table: str, column: str | None = None
) -> sa.Select[Any]:
    return sa.select(
        target.label("user_id"),
        sa.literal(effect).label("effect"),
        sa.literal(table).label("table"),
        (sa.null().cast(sa.Text) if column is None else sa.literal(column)).label("column"),
        sa.func.count().label("rows"),
    )


def _referring(found: Cascade, key: ForeignKey) -> sa.Select[Any]:
    """Count the rows that refer to one that goes and do not go with it."""
    row = relation(key.table, ["tableoid", "ctid", *key.columns])
    going = found.rows[key.target]
    return (
        _count(going.c.target, _EFFECTS.get(key.on_delete, BLOCKS), key.table, ", ".join(key.columns))
        .join_from(row, going, refers(key, row, going))
        .where(~found.goes_too(row, key.table, going.c.target))
        .group_by(going.c.target)
    )


def _unbound_tables(found: Cascade, live: LiveSchema) -> list[str]:
    """Return the tables that name users without a foreign key; raises NotPermittedError where rows are hidden."""
    bound = {key.table for key in found.keys if key.columns == (OWNER,)} | set(found.unread)
    tables = [
        name
        for name, table in sorted(live.relations.items())
        if table.columns.get(OWNER) == "uuid"
        and "table" in table.kind
        and table.is_readable
        and name not in bound
    ]
    for name in tables:
        if live.relations[name].is_filtered:
            raise row_security_error(name)
    return tables


def _unbound(found: Cascade, name: str, ids: Sequence[UUID]) -> sa.Select[Any]:
    row = relation(name, ["tableoid", "ctid", OWNER])
    return (
        _count(row.c[OWNER], STAYS, name, OWNER)
        .where(row.c[OWNER] == sa.any_(sa.cast(list(ids), sa.ARRAY(sa.Uuid))))
        .where(~found.goes_too(row, name, row.c[OWNER]))
        .group_by(row.c[OWNER])
    )
