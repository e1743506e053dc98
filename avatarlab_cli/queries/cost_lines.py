"""What a cost is made of, as the source rows tell now: quantities with the rate that prices them."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.costs import PLACES, Expression, Month, month_of
from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.metrics import Priced, Source
from avatarlab_cli.rollup.pricing import Extract, owned_rows, priced_rows
from avatarlab_cli.rollup.rates import RateCard, rate_key
from avatarlab_cli.schema.base import TIME, qualified
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.timeframe import Window, month_window

_OF_RATE = {"rate_key": "key", "rate": "list_price", "valid_from": "valid_from"}


@dataclass(frozen=True)
class Lines:
    """What is asked of the source rows.

    Only those of one `user`, UNATTRIBUTED for nobody's, if one is given; `is_by_row` gives each row a line of its own.
    With a `card` all is priced by that instead of the card each month was computed with. Where one statement has the
    lines twice, a `label` tells the two apart.
    """

    live: LiveSchema
    available: Availability
    user: UUID | None = None
    is_by_row: bool = False
    card: RateCard | None = None
    label: str = ""

    def select(self, months: Sequence[Month]) -> sa.CompoundSelect[Any] | None:
        """Return the lines of these months; None where this database has no source of any.

        Columns: day, user_id (UNATTRIBUTED for nobody), kind, provider, model, key, unit, quantity, price (of one
        of the quantity), amount (exact), rate_key, rate (per unit) and valid_from; by row also row_id and at. What
        has no rate has neither price nor amount.
        """
        parts = [
            part
            for number, (version, window) in enumerate(self._spans(months))
            for part in self._of_span(version, window, number)
        ]
        return sa.union_all(*parts) if parts else None

    @staticmethod
    def _spans(months: Sequence[Month]) -> Iterator[tuple[str, Window]]:
        """Yield the months that one card priced as one window, so that their rows are read at once."""
        for version, group in itertools.groupby(months, key=lambda month: month.version):
            firsts = [month.first for month in group]
            yield version, Window(firsts[0], month_window(firsts[-1]).end)

    def _of_span(self, version: str, window: Window, number: int) -> Iterator[sa.Select[Any]]:
        select = rates.stored(version) if self.card is None else rates.unstored(self.card)
        card = select.cte(f"rates_{self.label}{number}")
        for source, metrics in self.available.measured:
            if source.priced is not None and source.priced.kind in self.available.priced:
                by = self._columns(source, source.priced)
                owned = owned_rows(
                    source, metrics, Extract(window, self.user, f"_{self.label}{number}", by), source.priced
                )
                yield self._line(source.priced, priced_rows(source.priced, owned, card, tuple(by), _OF_RATE))

    def _columns(self, source: Source, priced: Priced) -> dict[str, Expression]:
        """Return the columns to group by beside the day and the owner, as they stand: what is read of them comes later."""
        columns: dict[str, Expression] = {}
        if not isinstance(priced.provider, str):
            columns["provider"] = priced.provider
        if self.live.has(qualified(source.table), priced.model.name):
            columns["model"] = priced.model
        if self.is_by_row:
            columns |= {"row_id": source.table.c.id, "at": sa.cast(source.time, TIME)}
        return columns

    def _line(self, priced: Priced, found: sa.Subquery) -> sa.Select[Any]:
        provider = (
            sa.literal(priced.provider, sa.Text)
            if isinstance(priced.provider, str)
            else sa.func.nullif(sa.func.lower(sa.func.btrim(found.c.provider)), "")
        )
        model = rate_key(found.c.model) if "model" in found.c else sa.cast(sa.null(), sa.Text)
        return sa.select(
            found.c.day,
            found.c.user_id,
            sa.literal(priced.kind).label("kind"),
            provider.label("provider"),
            model.label("model"),
            found.c.key,
            found.c.unit,
            sa.cast(found.c.quantity, sa.Numeric).label("quantity"),
            found.c.price,
            (found.c.quantity * found.c.price).label("amount"),
            *(found.c[label] for label in _OF_RATE),
            *(found.c[label] for label in ("row_id", "at") if self.is_by_row),
        )


def by_model(lines: sa.CompoundSelect[Any], months: Sequence[Month]) -> sa.CTE:
    """Return the lines summed by month, user_id, kind, provider, model and unit, with their share of what is stored.

    `cost` is that share, in millionths; the shares of a month, user and kind add up to exactly what is stored of them,
    because each is the difference of two running sums, and only these are rounded. Where there is no rate, `cost` is
    NULL and `unpriced` the quantity.
    """
    line = lines.subquery("lines")
    month = month_of(line.c.day).label("month")
    names = [line.c[name] for name in ("user_id", "kind", "provider", "model", "unit")]
    unpriced = line.c.amount.is_(None).label("is_unpriced")
    summed = (
        sa.select(
            month,
            *names,
            unpriced,
            sa.func.sum(line.c.quantity).label("quantity"),
            sa.func.sum(line.c.amount).label("amount"),
        )
        .group_by(month, *names, unpriced)
        .subquery("summed")
    )
    of = [summed.c.month, summed.c.user_id, summed.c.kind]
    order = [summed.c.provider, summed.c.model, summed.c.unit]
    so_far, before = (
        sa.func.sum(summed.c.amount).over(partition_by=of, order_by=order, rows=(None, last))
        for last in (0, -1)
    )
    share = sa.func.round(so_far, PLACES) - sa.func.coalesce(sa.func.round(before, PLACES), 0)
    return (
        sa.select(
            *(column for column in summed.c if column.name not in {"amount", "is_unpriced"}),
            sa.case((summed.c.is_unpriced, summed.c.quantity)).label("unpriced"),
            sa.case((sa.not_(summed.c.is_unpriced), share)).label("cost"),
        )
        .where(summed.c.month.in_([known.first for known in months]))
        .cte("told")
    )
