"""Which objects in the buckets are whose: what a few users have stored, object by object."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from avatarlab_cli.rollup.availability import STORAGE, demand_access
from avatarlab_cli.rollup.storage import NAMINGS, names_of, owner_in_path
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.supabase import objects


def is_stored_here(live: LiveSchema) -> bool:
    """Tell whether this login sees the buckets' objects, all of them."""
    found = live.relation(STORAGE)
    return live.has(STORAGE, "id", "bucket_id", "name", "metadata") and bool(
        found and found.is_readable and not found.is_filtered
    )


def objects_of(live: LiveSchema, ids: Sequence[UUID]) -> sa.Select[Any]:
    """Select the objects of these users: user_id, bucket, key, bytes (NULL where it is unknown), created_at.

    An object is attributed as in storage_daily: to the owner of the oldest row that names it, else to the owner
    in its key. Raises NotPermittedError where a table that names objects cannot be read.
    """
    namings = [n for n in NAMINGS if live.has(qualified(n.column.table), *n.columns)]
    demand_access(live, {qualified(naming.column.table) for naming in namings})
    users = sa.cast(list(ids), sa.ARRAY(sa.Uuid))
    path = owner_in_path(objects.c.name)
    identity = (objects.c.id, objects.c.bucket_id, objects.c.name)
    own = [
        names_of(naming).where(naming.column.table.c[naming.owner] == sa.any_(users)) for naming in namings
    ]
    by_name = sa.union_all(*own).subquery("own")
    candidates = sa.union(
        sa.select(*identity).where(path == sa.any_(sa.cast(users, sa.ARRAY(sa.Text)))),
        sa.select(*identity).join(
            by_name, sa.and_(by_name.c.bucket == objects.c.bucket_id, by_name.c.key == objects.c.name)
        ),
    ).cte("candidates")
    each = sa.union_all(*(names_of(naming) for naming in namings)).subquery("each_name")
    # Somebody else's older row may name what lies under a user's path.
    oldest = (
        sa.select(candidates.c.id, each.c.owner)
        .join(each, sa.and_(each.c.bucket == candidates.c.bucket_id, each.c.key == candidates.c.name))
        .ext(distinct_on(candidates.c.id))
        .order_by(candidates.c.id, each.c.since.nulls_last(), each.c.owner)
        .subquery("oldest")
    )
    owner = sa.case((oldest.c.id.is_not(None), sa.cast(oldest.c.owner, sa.Text)), else_=path)
    size = objects.c.metadata["size"].astext
    found = candidates.join(objects, objects.c.id == candidates.c.id).outerjoin(
        oldest, oldest.c.id == candidates.c.id
    )
    return (
        sa.select(
            sa.cast(owner, sa.Uuid).label("user_id"),
            objects.c.bucket_id.label("bucket"),
            objects.c.name.label("key"),
            sa.case((size.regexp_match(r"^\d{1,18}$"), sa.cast(size, sa.BigInteger))).label("bytes"),
            objects.c.created_at,
        )
        .select_from(found)
        .where(owner == sa.any_(sa.cast(users, sa.ARRAY(sa.Text))))
    )
