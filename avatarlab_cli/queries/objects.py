"""Which objects in the buckets are whose: what a few users have stored, object by object."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.rollup.availability import STORAGE
from avatarlab_cli.rollup.ledger import ledger, owner_in_path
from avatarlab_cli.rollup.names import names, namings_in
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.supabase import objects

# What must be there of the objects for any report on them.
OBJECT_COLUMNS = ("id", "bucket_id", "name", "metadata", "created_at")


def is_stored_here(live: LiveSchema) -> bool:
    """Tell whether this login sees the buckets' objects, all of them."""
    found = live.relation(STORAGE)
    return live.has(STORAGE, *OBJECT_COLUMNS) and bool(found and found.is_readable and not found.is_filtered)


def objects_of(live: LiveSchema, ids: Sequence[UUID]) -> sa.Select[Any]:
    """Select the objects of these users, with the columns of the ledger, from their own objects alone.

    Raises NotPermittedError where a table that names objects cannot be read.
    """
    identity = (objects.c.id, objects.c.bucket_id, objects.c.name)
    named = names([naming for naming in namings_in(live) if naming.owner], owners=ids)
    in_path = owner_in_path(objects.c.name) == sa.any_(
        sa.cast([str(user) for user in ids], sa.ARRAY(sa.Text))
    )
    # Somebody else's older row may name what lies under a user's path.
    candidates = sa.union(
        sa.select(*identity).where(in_path),
        sa.select(*identity).join(
            named, sa.and_(named.c.bucket == objects.c.bucket_id, named.c.key == objects.c.name)
        ),
    ).cte("candidates")
    found = ledger(live, among=candidates).subquery("found")
    return sa.select(found).where(found.c.user_id == sa.any_(sa.cast(list(ids), sa.ARRAY(sa.Uuid))))
