"""Estimated spend on one kind of use, as the rows tell it now: quantities times a rate card, divided in any way."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.metrics import SOURCES, Priced, Source
from avatarlab_cli.rollup.pricing import Extract, owned_rows, priced_rows
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.timeframe import Span, Window

_SOURCES = {source.priced.kind: source for source in SOURCES if source.priced}
_ALWAYS = Window(date.min, date.max)


def note(card: RateCard) -> str:
    """Return what is to be said of an estimate by this card."""
    return f"spend is an estimate by rate card {card.version} ({card.currency}): users pay their providers themselves"


def spend(  # noqa: PLR0913 (what is asked, all named)
    platform: Platform,
    kind: str,
    card: RateCard,
    *,
    names: Sequence[str] = (),
    by: Mapping[str, Expression] | None = None,
    span: Span | None = None,
    user: UUID | None = None,
) -> sa.Subquery:
    """Return what a kind of use came to: its source's metrics, cost and unpriced, divided by `names`.

    A name is day, user_id (UNATTRIBUTED for nobody), or a label that `by` gives to a column of the source. Without
    names there is one row. As in docs/metrics.md, cost is exact, 0 where nothing was used and NULL where nothing could
    be priced; `unpriced` is the quantity without a rate. What reads a column that is missing is NULL.
    """
    labels = by or {}
    source = _here(platform, _SOURCES[kind], span)
    if user is None and "user_id" not in names:
        # Without owners the groups are fewer by far.
        source = replace(source, owner=None)
    priced, measures = source.priced, source.measures
    assert priced is not None  # noqa: S101 (_SOURCES holds no others)
    readable = replace(source, measures={name: platform.known(measure) for name, measure in measures.items()})
    extract = Extract(_ALWAYS if span is None else span.days, user, by=labels)
    owned = owned_rows(readable, tuple(measures), extract, priced)
    card_rates = rates.unstored(card).cte(f"rates_of_{kind}")
    found = priced_rows(priced, owned, card_rates, tuple(labels))
    rows = sa.union_all(_used(owned, names, measures), _charged(found, names, measures)).subquery("used")
    keys = [rows.c[name] for name in names]
    select = sa.select(*keys, *_figures(platform, source, priced, rows)).group_by(*keys)
    return select.subquery(f"spend_on_{kind}")


def prices(platform: Platform, kind: str, card: RateCard, *conditions: Expression) -> sa.Subquery:
    """Return the rates of the names that a kind's rows have: name, price, valid_from and valid_until, as `unstored` has them.

    Many rows share a name, which is looked up once; `conditions` choose among the rows. The kind has one quantity, and one
    column that may name its rate.
    """
    priced = _here(platform, _SOURCES[kind], None).priced
    assert priced is not None  # noqa: S101 (_SOURCES holds no others)
    (name,), (unit,) = priced.candidates, priced.quantities
    found = sa.select(sa.type_coerce(name, sa.Text)).where(*conditions).distinct().scalar_subquery()
    # As an array they are found before the rows are read, which they would else keep from being read in parallel.
    names = (
        sa.func.unnest(sa.func.array(found), type_=sa.Text)
        .table_valued("name", name="names")
        .render_derived()
    )
    rate = rates.unstored(card).subquery(f"rates_of_{kind}")
    is_of = sa.and_(rate.c.kind == kind, rate.c.key == rates.rate_key(names.c.name), rate.c.unit == unit)
    select = sa.select(names.c.name, rate.c.price, rate.c.valid_from, rate.c.valid_until)
    return select.select_from(names.join(rate, is_of)).subquery(f"prices_of_{kind}")


def _here(platform: Platform, source: Source, span: Span | None) -> Source:
    """Return the source with the columns this database has, its rows only those of the time."""
    moved: dict[str, Any] = {"time": _moved(platform, source.time)}
    if source.owner is not None:
        moved["owner"] = _moved(platform, source.owner)
    conditions = [] if source.where is None else [_moved(platform, source.where)]
    if span is not None:
        is_day = isinstance(source.time.type, sa.Date)
        first, end = (span.days.first, span.days.end) if is_day else (span.since, span.until)
        conditions += [moved["time"] >= first, moved["time"] < end]
    if source.priced is not None:
        names = (c if isinstance(c, str) else _moved(platform, c) for c in source.priced.candidates)
        moved["priced"] = replace(source.priced, candidates=tuple(names))
    measures = {name: _moved(platform, measure) for name, measure in source.measures.items()}
    return replace(source, measures=measures, where=sa.and_(*conditions) if conditions else None, **moved)


def _moved(platform: Platform, expression: Expression) -> Any:  # noqa: ANN401 (a column for a column)
    def here(element: Any, **_: Any) -> Any:  # noqa: ANN401 (any part of an expression)
        return platform[element.table].c[element.name] if isinstance(element, sa.Column) else None

    return visitors.replacement_traverse(expression, {}, here)


def _used(owned: sa.CTE, names: Sequence[str], metrics: Mapping[str, Expression]) -> sa.Select[Any]:
    return sa.select(
        *(owned.c[name] for name in names),
        *(owned.c[metric] for metric in metrics),
        sa.cast(sa.null(), sa.Numeric).label("amount"),
        sa.cast(sa.null(), sa.Numeric).label("without_rate"),
    )


def _charged(found: sa.Subquery, names: Sequence[str], metrics: Mapping[str, Expression]) -> sa.Select[Any]:
    return sa.select(
        *(found.c[name] for name in names),
        *(sa.cast(sa.null(), sa.BigInteger) for _ in metrics),
        found.c.quantity * found.c.price,
        sa.case((found.c.price.is_(None), found.c.quantity)),
    )


def _figures(platform: Platform, source: Source, priced: Priced, rows: sa.Subquery) -> list[sa.Label[Any]]:
    """Return the figures of a group; each names what it reads, which the rows that are added up do not tell."""
    base = [] if source.where is None else [source.where]
    sums = {
        name: sa.cast(sa.func.coalesce(sa.func.sum(rows.c[name]), 0), sa.BigInteger)
        for name in source.measures
    }
    quantity: Expression = sum((sums[name] for name in priced.quantities.values()), sa.literal(0))
    reads = [*base, source.time, *(source.measures[name] for name in priced.quantities.values())]
    reads += [name for name in priced.candidates if not isinstance(name, str)]
    cost = sa.func.coalesce(sa.func.sum(rows.c.amount), sa.case((quantity == 0, 0)))
    unpriced = sa.cast(sa.func.coalesce(sa.func.sum(rows.c.without_rate), 0), sa.BigInteger)
    return [
        *(
            platform.known(sums[name], *base, measure).label(name)
            for name, measure in source.measures.items()
        ),
        platform.known(cost, *reads).label("cost"),
        platform.known(unpriced, *reads).label("unpriced"),
    ]
