"""The rows behind a metric, with their day, their owner and their price.

The rollup groups them by day and user. A report may read one owner's alone, and group by more: by model, or by row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from avatarlab_cli.rollup.metrics import UNATTRIBUTED, Expression, Priced, Source, columns_of
from avatarlab_cli.rollup.rates import rate_key
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.base import fenced
from avatarlab_cli.timeframe import Window

# What has neither a provider nor a model.
UNKNOWN_KEY = "unknown"


@dataclass(frozen=True)
class Extract:
    """Which rows are read, and what they are grouped by besides day, owner and what may name a rate.

    With a `user` only that account's rows are read, UNATTRIBUTED for those of nobody. `by` maps labels to columns
    of the source's table. Several extracts in one statement need a `suffix` to be told apart by. With `rows` these
    are read instead of the source's table, whose columns they have.
    """

    window: Window
    user: UUID | None = None
    suffix: str = ""
    by: Mapping[str, Expression] = field(default_factory=dict)
    rows: sa.FromClause | None = None

    def read(self, expression: Expression) -> Expression:
        """Return an expression over the source's table as one over what is read."""
        return expression if self.rows is None else moved(expression, self.rows)


def owned_rows(source: Source, metrics: Sequence[str], extract: Extract, pricing: Priced | None) -> sa.CTE:
    """Return the source's measures by day, user, what may name a rate, and the extract's own columns.

    Rows are grouped before their owner is looked up, so the lookup runs once a group and not once a row. Those of a
    source without an owner are nobody's.
    """
    groups = _grouped(source, metrics, extract, pricing)
    owner, found = _owner(source, groups)
    account = supabase.users.alias("account")
    kept = [column for column in groups.c if column.name not in {"owner", "key"}]
    user_id = sa.func.coalesce(account.c.id, UNATTRIBUTED)
    select = sa.select(user_id.label("user_id"), *kept)
    select = select.select_from(found.outerjoin(account, account.c.id == owner))
    if extract.user is not None:
        select = select.where(user_id == extract.user)
    cte = select.cte(f"owned_{metrics[0]}{extract.suffix}")
    return cte.prefix_with("MATERIALIZED") if pricing is not None else cte


def _grouped(source: Source, metrics: Sequence[str], extract: Extract, pricing: Priced | None) -> sa.Subquery:
    """Return the source's measures by day, owner, key to an owner, what may name a rate, and the extract's columns.

    OFFSET 0 leaves out no row. It hides the moments behind the days from the planner, which would expect a group
    for each moment: a hash table many times too large, or a sort where that exceeds work_mem. Only where it is written as
    a bigint does the planner see at once that it is 0, and reads in parallel.
    """
    key: Expression | None = None if source.via is None else source.via.key
    if source.via is not None and source.owner is not None:
        key = sa.case((source.owner.is_(None), source.via.key))
    by = [_day(source.time).label("day")]
    by += [source.owner.label("owner")] if source.owner is not None else []
    by += [key.label("key")] if key is not None else []
    by += [name.label(label) for label, name in named(pricing).items()]
    by += [column.label(label) for label, column in extract.by.items()]
    measured = {column.name: column for metric in metrics for column in columns_of(source.measures[metric])}
    conditions = [_in_window(source.time, extract.window), *_of_user(source, extract)]
    if source.where is not None:
        conditions.append(source.where)
    shown = (extract.read(column).label(column.name) for column in [*by, *measured.values()])
    select = sa.select(*shown).where(*map(extract.read, conditions))
    rows = fenced(select, f"rows_{metrics[0]}")
    keys = [rows.c[label.name] for label in by]
    measures = [moved(source.measures[metric], rows).label(metric) for metric in metrics]
    return sa.select(*keys, *measures).group_by(*keys).subquery(f"grouped_{metrics[0]}")


def _of_user(source: Source, extract: Extract) -> Iterator[Expression]:
    """Yield what rows of a named user fulfil before anybody is looked up: an index may know it."""
    if extract.user not in (None, UNATTRIBUTED) and source.owner is not None and source.via is None:
        yield source.owner == extract.user


def named(pricing: Priced | None) -> dict[str, sa.Column[Any]]:
    """Return the columns that may name a rate, by the labels under which `priced_rows` reads them."""
    candidates = enumerate(pricing.candidates if pricing else ())
    return {f"name_{position}": name for position, name in candidates if not isinstance(name, str)}


def moved(measure: Expression, rows: sa.FromClause) -> Expression:
    """Return the measure over the rows of a subquery instead of the table's."""
    return visitors.replacement_traverse(
        measure, {}, lambda element, **_: rows.c[element.name] if isinstance(element, sa.Column) else None
    )


def _owner(source: Source, groups: sa.Subquery) -> tuple[Expression, sa.FromClause]:
    if source.via is None:
        return sa.cast(sa.null(), sa.Uuid) if source.owner is None else groups.c.owner, groups
    target = source.via.target.table.alias("target")
    found = groups.outerjoin(target, target.c[source.via.target.name] == groups.c.key)
    owner = target.c[source.via.owner.name]
    return (owner if source.owner is None else sa.func.coalesce(groups.c.owner, owner)), found


def _day(column: sa.Column[Any]) -> Expression:
    return column if isinstance(column.type, sa.Date) else sa.cast(sa.func.timezone("UTC", column), sa.Date)


def _in_window(column: sa.Column[Any], window: Window) -> Expression:
    """Return the condition that a row lies in the window, or has no time and must be reported."""
    first, end = (
        bound if isinstance(column.type, sa.Date) else datetime.combine(bound, time(), UTC)
        for bound in (window.first, window.end)
    )
    return sa.or_(sa.and_(column >= first, column < end), column.is_(None))


def priced_rows(
    priced: Priced,
    owned: sa.CTE,
    rates: sa.FromClause,
    by: Sequence[str] = (),
    found: Mapping[str, str] | None = None,
) -> sa.Subquery:
    """Return each quantity with the price of the first name that has a rate in force, or NULL.

    Its columns are day, user_id, key (the first name there is), unit, quantity, price, those of `owned` in `by`, and
    of the rate those that `found` maps labels to.
    """
    wanted = {"price": "price", **(found or {})}
    names: list[Expression] = []
    for position, candidate in enumerate(priced.candidates):
        names.append(
            sa.literal(candidate) if isinstance(candidate, str) else rate_key(owned.c[f"name_{position}"])
        )
    # Below an OFFSET 0 a name is reduced once, not anew for each rate it is compared with.
    named = (
        sa.select(
            owned.c.day,
            owned.c.user_id,
            *(owned.c[metric] for metric in priced.quantities.values()),
            *(name.label(f"key_{position}") for position, name in enumerate(names)),
            *(owned.c[label] for label in by),
        )
        .offset(0)
        .subquery("named")
    )
    each = (
        sa.values(sa.column("unit", sa.Text), sa.column("quantity", sa.BigInteger), name="each")
        .data([(sa.literal(unit), named.c[metric]) for unit, metric in priced.quantities.items()])
        .lateral()
    )
    keys = [named.c[f"key_{position}"] for position in range(len(names))]
    joined = named.join(each, sa.true())
    candidates = []
    for key in keys:
        rate = rates.alias()
        candidates.append(rate)
        joined = joined.outerjoin(
            rate,
            sa.and_(
                rate.c.kind == priced.kind,
                rate.c.key == key,
                rate.c.unit == each.c.unit,
                rate.c.valid_from <= named.c.day,
                rate.c.valid_until > named.c.day,
            ),
        )
    return (
        sa.select(
            named.c.day,
            named.c.user_id,
            sa.func.coalesce(*keys, UNKNOWN_KEY).label("key"),
            each.c.unit,
            each.c.quantity,
            *(
                sa.func.coalesce(*(rate.c[name] for rate in candidates)).label(label)
                for label, name in wanted.items()
            ),
            *(named.c[label] for label in by),
        )
        .select_from(joined)
        .where(each.c.quantity > 0, named.c.day.is_not(None))
        .subquery("priced")
    )
