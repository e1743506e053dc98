"""Fill an empty AvatarLab database with an invented platform."""

import sqlalchemy as sa

from avatarlab_cli.demo import (
    api,
    avatars,
    chat,
    knowledge,
    marketplace,
    media,
    memories,
    people,
    plans,
    storage,
    training,
    voice,
)
from avatarlab_cli.demo.clock import Clock
from avatarlab_cli.demo.rows import Progress, Rows
from avatarlab_cli.demo.world import DemoOptions, User, World

__all__ = ["DemoOptions", "load"]


def load(connection: sa.Connection, options: DemoOptions, progress: Progress | None = None) -> dict[str, int]:
    """Write the platform that `options` describe and return the rows written by table.

    Needs a superuser's connection to a database as `create_reference(state)` leaves it; works in the caller's
    transaction. `progress` hears a table's name and its rows so far, after each batch. ANALYZE is left to the
    caller.
    """
    # Else the trigger on auth.users would write the profiles, and rows would have to come parents first.
    connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
    rows = Rows(connection, progress)
    world = World(
        options=options,
        rows=rows,
        clock=Clock(options.start, options.until),
        tiers=_tiers(connection) if options.state == "panel" else {},
        has_vectors=_has_vectors(connection),
    )
    _write(world)
    rows.flush()
    connection.execute(sa.text("SET LOCAL session_replication_role = DEFAULT"))
    return dict(rows.written)


def _write(world: World) -> None:
    marketplace.write_catalogue(world)
    users = [people.invent(world, index) for index in range(world.options.users)]
    if world.is_panel:
        plans.write_admins(world, users)
    for user in users:
        _write_user(world, user, referrer=users[user.index // 3])
    storage.write_removed_accounts(world)


def _write_user(world: World, user: User, referrer: User) -> None:
    people.write(world, user, plans.standing_of(world, user), referrer)
    made = avatars.invent(world, user)
    if world.is_panel:
        plans.write(world, user, made)
    for avatar in made:
        training.write(world, avatar)
        memories.write(world, avatar)
        chat.write(world, avatar, knowledge.write(world, avatar))
    api.write(world, user, made)
    media.write(world, user)
    voice.write(world, user)
    marketplace.write_purchases(world, user)


def _tiers(connection: sa.Connection) -> dict[str, str]:
    """Return the ids of the plans by name."""
    found = connection.execute(sa.text("SELECT name, CAST(id AS text) FROM subscription_tiers"))
    return {name: tier_id for name, tier_id in found}  # noqa: C416 - dict(rows) does not type-check


def _has_vectors(connection: sa.Connection) -> bool:
    """Whether embeddings are pgvector's, not arrays of real."""
    return bool(connection.execute(sa.text("SELECT to_regtype('vector') IS NOT NULL")).scalar_one())
