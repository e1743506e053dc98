"""What every table definition shares: one MetaData, PostgreSQL's own constraint names, and the recurring columns."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType

# PostgreSQL names an unnamed constraint this way, so a database which the platform's scripts built agrees.
NAMING_CONVENTION = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
}

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

TIME = sa.TIMESTAMP(timezone=True)
TEXTS = postgresql.ARRAY(sa.Text)
JSONB = postgresql.JSONB()
INET = postgresql.INET()

EMBEDDING_DIMENSIONS = 1536

OWN_ROWS = "auth.uid() = user_id"
OWN_AVATAR = "EXISTS (SELECT FROM public.avatars a WHERE a.id = avatar_id AND a.user_id = auth.uid())"
PANEL = {"state": "panel"}
"""Marks a column or table which exists only where the web panel's migrations have run."""


def fenced(select: sa.Select[Any], name: str) -> sa.Subquery:
    """Return a select as a subquery whose columns PostgreSQL computes once, and not wherever they are used.

    OFFSET leaves out nothing. Only where it is written as a bigint does the planner see at once that it is 0, and reads in
    parallel.
    """
    return select.offset(_NOTHING).subquery(name)


def looked_up(select: sa.Select[Any], name: str) -> sa.FromClause:
    """Return a select of what belongs to a row beside it, to be joined: it is looked up for each such row.

    Else the planner would read all of a history once it thinks that quicker.
    """
    return select.offset(_NOTHING).lateral(name)


_NOTHING: sa.ColumnElement[int] = sa.literal_column("bigint '0'")


class Vector(UserDefinedType[list[float]]):
    """pgvector's `vector(n)`; the toolkit never reads its values, so no client library is needed."""

    cache_ok = True

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions

    def get_col_spec(self, **_: Any) -> str:  # noqa: ANN401 - the signature is SQLAlchemy's
        """Render the type as the extension spells it."""
        return f"vector({self.dimensions})"


def table(  # noqa: PLR0913 - a table and its facts belong in one call, all named
    name: str,
    *items: sa.schema.SchemaItem,
    area: str,
    used_for: str,
    event_time: str | None,
    schema: str | None = None,
    rls: bool = True,
    policy: str | None = OWN_ROWS,
    into: sa.MetaData = metadata,
    **info: str,
) -> sa.Table:
    """Define a table and what reports say about it.

    `event_time` is the column that dates a row, None if no column does. `policy` is the condition under which
    a signed-in user reaches a row, None where only the service role does; it is idle while `rls` is off.
    """
    facts = {"area": area, "used_for": used_for, "event_time": event_time, "rls": rls, "policy": policy}
    return sa.Table(name, into, *items, schema=schema, info=facts | info)


def qualified(table: sa.Table) -> str:
    """Return a table's name with its schema."""
    return f"{table.schema or 'public'}.{table.name}"


def identifier() -> sa.Column[Any]:
    """Make the primary key nearly every table has: a random UUID."""
    return sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()"))


def reference(  # noqa: PLR0913 - the options of a column, all named
    name: str,
    target: str,
    *,
    ondelete: str | None = None,
    nullable: bool = True,
    index: bool = False,
    info: dict[str, str] | None = None,
) -> sa.Column[Any]:
    """Make a foreign key to a UUID; without `ondelete` a row blocks the deletion of the row it names."""
    key = sa.ForeignKey(target, ondelete=ondelete)
    return sa.Column(name, sa.Uuid, key, nullable=nullable, index=index, info=info)


def stamp(name: str, *, nullable: bool = False, index: bool = False) -> sa.Column[Any]:
    """Make a time that the database fills with the start of the inserting transaction."""
    return sa.Column(name, TIME, nullable=nullable, index=index, server_default=sa.text("now()"))


def one_of(column: str, *values: str) -> sa.CheckConstraint:
    """Restrict a text column to the values the platform knows; NULL passes."""
    allowed = ", ".join(f"'{value}'" for value in values)
    return check(column, f"{column} IN ({allowed})")


def check(column: str, condition: str) -> sa.CheckConstraint:
    """Restrict a column; the constraint is named after it as PostgreSQL would."""
    return sa.CheckConstraint(condition, name=column)
