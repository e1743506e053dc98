"""Small, nasty data sets of the whole platform, drawn by hypothesis and written in a few statements."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import sqlalchemy as sa
from hypothesis import strategies as st

from tests.reference.chance import Chance
from tests.reference.rows import MAKERS, World, tiers
from tests.reference.source import Row, existing_columns

UNIQUE = {
    "storage.objects": ("bucket_id", "name"),
    "user_subscriptions": ("user_id", "tier_id"),
    "purchases": ("user_id", "avatar_id"),
    "avatar_fine_tune_usage": ("user_id", "avatar_id", "fine_tuned_model", "usage_date"),
}
"""What the platform's constraints allow once only."""
BUCKETS = "storage.buckets"
TIERS = "subscription_tiers"
INSERTED = (BUCKETS, "auth.users", TIERS, *(table for table in MAKERS if table != "auth.users"))
"""The tables in an order that respects their foreign keys."""


@dataclass(frozen=True)
class Dataset:
    """Rows by table; its printed form is all that is needed to make it again."""

    today: date
    seed: int
    sizes: Mapping[str, int]
    rows: Mapping[str, list[Row]] = field(repr=False)


def datasets(today: date, most_users: int = 5, most_rows: int = 6) -> st.SearchStrategy[Dataset]:
    """Draw data sets reaching up to `today`; they shrink by losing rows, table by table."""
    sizes = {table: st.integers(0, most_rows) for table in MAKERS} | {
        "auth.users": st.integers(0, most_users),
        # A movement of revenue takes several subscriptions of one user.
        "user_subscriptions": st.integers(0, 3 * most_users),
    }
    return st.builds(partial(dataset, today), st.integers(0, 2**32 - 1), st.fixed_dictionaries(sizes))


def dataset(today: date, seed: int, sizes: Mapping[str, int]) -> Dataset:
    """Make the data set of a seed, with at most so many rows a table."""
    world = World({TIERS: tiers(Chance(f"{seed} tiers", today))})
    for table, make in MAKERS.items():
        drawn = (
            make(Chance(f"{seed} {table} {number}", today), world, number)
            for number in range(sizes.get(table, 0))
        )
        world.rows[table] = _distinct([row for row in drawn if row is not None], UNIQUE.get(table))
    buckets = sorted({row["bucket_id"] for row in world.rows["storage.objects"]})
    world.rows[BUCKETS] = [{"id": bucket, "name": bucket} for bucket in buckets]
    return Dataset(today, seed, sizes, world.rows)


def _distinct(rows: list[Row], columns: Iterable[str] | None) -> list[Row]:
    if columns is None:
        return rows
    return list({tuple(row[column] for column in columns): row for row in rows}.values())


def insert(connection: sa.Connection, data: Dataset, tables: Iterable[str] = INSERTED) -> None:
    """Write a data set, or its rows of these tables, to a migrated database of either state, leaving out what does not exist there.

    Tiers are matched by name, so that those the migration inserted take the data set's limits.
    """
    existing = existing_columns(connection)
    tier_ids: dict[str, str] = {}
    for table in tables:
        if table in existing:
            rows = [_with_tier_ids(row, tier_ids) for row in data.rows[table]]
            _insert(connection, table, existing[table], rows)
        if table == TIERS:
            found = connection.execute(sa.text("select name, id from subscription_tiers"))
            tier_ids = {name: str(identifier) for name, identifier in found}
        if table == "auth.users":
            # The platform's trigger has made a profile of every account; the data set has its own.
            connection.execute(sa.text("delete from profiles"))


def _with_tier_ids(row: Row, tier_ids: Mapping[str, str]) -> Row:
    named = {
        column: tier_ids[row[column]] for column in ("tier_id", "subscription_tier_id") if row.get(column)
    }
    return {**row, **named}


def _insert(connection: sa.Connection, table: str, existing: Iterable[str], rows: list[Row]) -> None:
    if not rows:
        return
    columns = ", ".join(f'"{column}"' for column in rows[0] if column in existing)
    conflict = {
        TIERS: "on conflict (name) do update set limits = excluded.limits, max_avatars = excluded.max_avatars",
        BUCKETS: "on conflict do nothing",
    }
    statement = (
        f"insert into {table} ({columns}) select {columns}"
        f" from jsonb_populate_recordset(cast(null as {table}), cast(:rows as jsonb)) {conflict.get(table, '')}"
    )
    connection.execute(sa.text(statement), {"rows": json.dumps(rows, default=str)})
