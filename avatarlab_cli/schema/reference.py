"""Build an empty AvatarLab database as the platform's own scripts leave it."""

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from avatarlab_cli.schema import (
    accounts,
    api,
    avatars,
    base,
    commerce,
    conversations,
    knowledge,
    media,
    memories,
    panel,
    supabase,
    surroundings,
    system,
    training,
    voice,
)

State = Literal["seed", "panel"]

AREAS = (
    accounts,
    avatars,
    knowledge,
    training,
    conversations,
    memories,
    media,
    voice,
    api,
    commerce,
    system,
    supabase,
)
"""Modules whose tables the platform itself creates, in the order reports show them."""


def platform_tables() -> tuple[sa.Table, ...]:
    """Every table the platform may have besides the six of administration."""
    return tuple(item for area in AREAS for item in vars(area).values() if isinstance(item, sa.Table))


def platform_metadata(state: State, *, vectors: bool = True) -> sa.MetaData:
    """Describe the platform in one of its two states; without `vectors` embeddings are arrays of real."""
    target = sa.MetaData(naming_convention=base.NAMING_CONVENTION)
    for table in platform_tables():
        if _exists(table, state):
            _copy(table, target, state, vectors=vectors)
    if state == "panel":
        for table in panel.metadata.tables.values():
            table.to_metadata(target)
    return target


def create_reference(connection: sa.Connection, state: State) -> None:
    """Build the platform in an empty database, in the caller's transaction.

    Needs the right to create roles unless Supabase's exist; pgvector is used where the server has it.
    """
    vectors = _install_vector(connection)
    target = platform_metadata(state, vectors=vectors)
    for statement in surroundings.before_tables():
        connection.exec_driver_sql(statement)
    target.create_all(connection, checkfirst=False)
    for statement in surroundings.after_tables(target.sorted_tables):
        connection.exec_driver_sql(statement)
    connection.execute(
        sa.insert(supabase.buckets), [{"id": name, "name": name} for name in surroundings.BUCKETS]
    )
    if state == "panel":
        for statement in surroundings.panel_additions(panel.POLICIES):
            connection.exec_driver_sql(statement)
        connection.execute(sa.insert(panel.subscription_tiers), list(panel.DEFAULT_TIERS))


def _install_vector(connection: sa.Connection) -> bool:
    available = sa.text("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')")
    if not connection.execute(available).scalar_one():
        return False
    connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
    return True


def _exists(item: sa.Table | sa.Column[Any], state: State) -> bool:
    return state == "panel" or item.info.get("state") != "panel"


def _copy(table: sa.Table, target: sa.MetaData, state: State, *, vectors: bool) -> None:
    """Rebuild a table in `target`, leaving out what does not exist in `state`.

    `Table.to_metadata` copies whole tables alone, and a foreign key to a table that is left out cannot be created.
    """
    columns = [_column(column, vectors=vectors) for column in table.columns if _exists(column, state)]
    uniques = [
        sa.UniqueConstraint(*item.columns.keys(), name=item.name)
        for item in table.constraints
        if isinstance(item, sa.UniqueConstraint)
    ]
    indexes = [
        sa.Index(item.name, *(item.columns.keys() or item.expressions), **item.dialect_kwargs)
        for item in table.indexes
        if all(_exists(column, state) for column in item.columns)
    ]
    sa.Table(table.name, target, *columns, *uniques, *indexes, schema=table.schema, info=table.info)


def _column(source: sa.Column[Any], *, vectors: bool) -> sa.Column[Any]:
    is_degraded = isinstance(source.type, base.Vector) and not vectors
    keys = [sa.ForeignKey(key.target_fullname, ondelete=key.ondelete) for key in source.foreign_keys]
    checks = [
        sa.CheckConstraint(item.sqltext, name=item.name)
        for item in source.constraints
        if isinstance(item, sa.CheckConstraint)
    ]
    return sa.Column(
        source.name,
        postgresql.ARRAY(sa.REAL) if is_degraded else source.type,
        *keys,
        *checks,
        primary_key=source.primary_key,
        nullable=source.nullable,
        server_default=source.server_default,
    )
