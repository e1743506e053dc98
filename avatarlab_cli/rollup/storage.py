"""storage_daily: the objects in the buckets as they stand, by owner, kind and bucket."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.ledger import OTHER, ledger
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import storage_daily
from avatarlab_cli.timeframe import Window

Expression = sa.ColumnElement[Any]


FIGURES = ("bytes", "objects", "unsized_objects", "orphan_bytes", "orphan_objects")


def snapshot(
    connection: sa.Connection, window: Window, today: date, live: LiveSchema, available: Availability
) -> int:
    """Set storage_daily for today, where the window holds it, to what storage.objects holds now.

    A row of nobody's in the kind `other`, with an empty bucket, marks the day as taken even where nothing is
    stored. Raises NotPermittedError where something is, and a table that names objects cannot be read.
    """
    if not (available.has("storage_bytes") and window.first <= today < window.end):
        return 0
    marker = _marker(today)
    state = connection.execute(_state(today)).one()
    if not state.is_stored and state.is_marked:
        return 0
    # Where nothing is stored there is nothing to find owners of.
    select = _select(today, ledger(live).subquery("ledger"), marker) if state.is_stored else marker
    table = fresh.temporary(connection, "storage_daily_fresh", select)
    keys = ["day", "user_id", "kind", "bucket"]
    return fresh.replace(connection, storage_daily, table, keys, window=storage_daily.c.day == today)


def figures(each: sa.Subquery) -> tuple[sa.Label[Any], ...]:
    """Return the FIGURES over the objects of a ledger."""
    is_orphan = each.c.is_orphan
    return (
        _bytes(each.c.bytes).label("bytes"),
        sa.func.count().label("objects"),
        sa.func.count().filter(each.c.bytes.is_(None)).label("unsized_objects"),
        _bytes(each.c.bytes, where=is_orphan).label("orphan_bytes"),
        sa.func.count().filter(is_orphan).label("orphan_objects"),
    )


def _state(today: date) -> sa.Select[bool, bool]:
    """Return the select of whether anything is stored, and whether the marker alone is on record of today."""
    own = storage_daily.c
    is_other = sa.or_(
        own.user_id != UNATTRIBUTED,
        own.kind != OTHER,
        own.bucket != "",
        own.is_interpolated,
        *(own[name] != 0 for name in FIGURES),
    )
    of_today = sa.exists().where(own.day == today)
    is_marked = sa.and_(of_today, ~of_today.where(is_other)).label("is_marked")
    return sa.select(sa.exists().select_from(supabase.objects).label("is_stored"), is_marked)


def _select(today: date, each: sa.Subquery, marker: sa.Select[Any]) -> sa.CompoundSelect[Any]:
    by = [each.c.user_id, each.c.kind, each.c.bucket]
    day = sa.literal(today, sa.Date).label("day")
    selected = sa.select(day, *by, *figures(each), sa.false().label("is_interpolated"))
    cells = selected.group_by(*by).cte("cells")
    # An object in no bucket is in the marker's own cell.
    is_marked = sa.exists().where(
        cells.c.user_id == UNATTRIBUTED, cells.c.kind == OTHER, cells.c.bucket == ""
    )
    return sa.union_all(sa.select(cells), marker.where(~is_marked))


def _marker(today: date) -> sa.Select[Any]:
    values: dict[str, Expression] = {
        "day": sa.literal(today, sa.Date),
        "user_id": sa.literal(UNATTRIBUTED, sa.Uuid),
        "kind": sa.literal(OTHER),
        "bucket": sa.literal(""),
        **{name: sa.literal(0, sa.BigInteger) for name in FIGURES},
        "is_interpolated": sa.false(),
    }
    return sa.select(*(value.label(name) for name, value in values.items()))


def _bytes(column: Expression, where: Expression | None = None) -> Expression:
    total = sa.func.sum(column)
    chosen = total if where is None else total.filter(where)
    return sa.cast(sa.func.coalesce(chosen, 0), sa.BigInteger)
