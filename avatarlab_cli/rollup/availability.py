"""Which metrics this database can answer, and why it cannot answer the others."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import NotPermittedError
from avatarlab_cli.rollup.metrics import SOURCES, Source, columns_of
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema, row_security_error

STORAGE = "storage.objects"
# Read beside the sources, for accounts, plans and revenue.
_ALWAYS_READ = ("auth.users", "profiles", "user_subscriptions", "subscription_tiers", "purchases")


@dataclass(frozen=True)
class Availability:
    """What can be computed here.

    `skipped` maps each metric or cost that cannot to the reason. `measured` lists, for each source that can be
    read, the metrics it gives; `priced` holds the kinds of cost whose quantities and names can be read. `indexed` are the
    sources' owners, keys and times that lead an index.
    """

    skipped: Mapping[str, str]
    measured: tuple[tuple[Source, tuple[str, ...]], ...]
    priced: frozenset[str]
    indexed: frozenset[sa.Column[Any]]

    def __hash__(self) -> int:
        """Hash what tells one platform from another; a mapping has no hash of its own."""
        return hash(frozenset(self.skipped.items()))

    def has(self, metric: str) -> bool:
        """Tell whether a metric, or a kind's cost column, can be computed."""
        return metric not in self.skipped


def availability(live: LiveSchema) -> Availability:
    """Compare the metric definitions with the tables and columns that are there.

    Raises NotPermittedError where a source exists but the login cannot read all of it: that would count too
    little, which is worse than nothing.
    """
    owners = (qualified(source.via.target.table) for source in SOURCES if source.via)
    demand_access(live, [*_ALWAYS_READ, *owners, *(qualified(source.table) for source in SOURCES)])
    skipped: dict[str, str] = {}
    measured: list[tuple[Source, tuple[str, ...]]] = []
    priced: set[str] = set()
    for source in SOURCES:
        reasons = {metric: _reason(live, source, metric) for metric in source.measures}
        skipped |= {metric: reason for metric, reason in reasons.items() if reason}
        metrics = tuple(metric for metric, reason in reasons.items() if not reason)
        if metrics:
            measured.append((source, metrics))
        if source.priced is not None:
            reason = next(filter(None, reasons.values()), None) or _missing(live, source.price_columns())
            if reason:
                skipped[f"{source.priced.kind}_cost"] = reason
            else:
                priced.add(source.priced.kind)
    if reason := _storage_reason(live):
        skipped |= {"storage_bytes": reason, "storage_byte_days": reason, "storage_cost": reason}
    else:
        priced.add("storage")
    return Availability(skipped, tuple(measured), frozenset(priced), frozenset(_indexed(live)))


def _indexed(live: LiveSchema) -> Iterator[sa.Column[Any]]:
    for source in SOURCES:
        relation = live.relation(qualified(source.table))
        known = frozenset() if relation is None else relation.indexed
        looked_up_by = (source.owner, source.time, source.via.key if source.via else None)
        yield from (column for column in looked_up_by if column is not None and column.name in known)


def demand_access(live: LiveSchema, tables: Iterable[str]) -> None:
    """Raise NotPermittedError where one of the tables exists but cannot be read, or is filtered by row security."""
    for name in tables:
        relation = live.relation(name)
        if relation is not None and not relation.is_readable:
            raise NotPermittedError(
                f"permission denied for {name}",
                hint=f"GRANT SELECT ON {name} to this login, and USAGE on its schema",
            )
        if relation is not None and relation.is_filtered:
            raise row_security_error(name)


def _reason(live: LiveSchema, source: Source, metric: str) -> str | None:
    return _missing(live, [*source.base_columns(), *columns_of(source.measures[metric])])


def _missing(live: LiveSchema, columns: Iterable[sa.Column[Any]]) -> str | None:
    for column in columns:
        name = qualified(column.table)
        if not live.has(name):
            return f"{name} is missing"
        if not live.has(name, column.name):
            return f"{name}.{column.name} is missing"
    return None


def _storage_reason(live: LiveSchema) -> str | None:
    if not live.has(STORAGE, "bucket_id", "name", "metadata"):
        return f"{STORAGE} is missing"
    relation = live.relation(STORAGE)
    if relation is None or not relation.is_readable or relation.is_filtered:
        return f"{STORAGE} cannot be read by this login"
    return None
