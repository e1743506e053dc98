"""What a closed month would have cost by another rate card, kept beside its figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.queries import costs
from avatarlab_cli.queries.cost_reprice import repriced
from avatarlab_cli.queries.periods import PERIOD
from avatarlab_cli.rollup import adjusting, closing, rates
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema.private import usage_adjustment
from avatarlab_cli.timeframe import month_window

_MONTH = "(SELECT p.month FROM avatarlab_admin.period_close p WHERE p.id = t.id)"


@dataclass(frozen=True)
class Reprice(Act):
    """Record by how much the costs of a closed month differ by the rate card; the month's figures stay.

    To undo it would delete what was known until then; a repricing by the former card records that it holds again.
    """

    name = "cost.reprice"
    naming = PERIOD
    severity = "warning"
    question = "Record adjustments of the costs of"
    is_long = True
    undoable = False
    card: Mapping[str, Any]

    def describe(self) -> str:
        return f"repriced by rate card {self._card.version}"

    @property
    def _card(self) -> RateCard:
        return RateCard.from_dict(self.card)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        closing.lock(run.connection)
        return (Touched(usage_adjustment, f"r.month = {_MONTH}"),)

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return (Refusal("r.reopened_at IS NOT NULL", "is open again: the job monthly-usage prices it"),)

    def apply(self, run: Run) -> None:
        months = run.execute(f"SELECT DISTINCT {_MONTH} AS month FROM targets t ORDER BY 1").scalars().all()
        for month in months:
            self._adjust(run, month)

    def _adjust(self, run: Run, month: date) -> None:
        found = costs.computed_months(run.connection, month_window(month))
        if not found:
            return
        card = self._card
        rates.keep(run.connection, card)
        each = repriced(run.connection, found[0], card, is_closed=True)
        changed = (
            sa.select(each.c.user_id, (each.c.kind + "_cost").label("metric"), each.c.before, each.c.after)
            .where(each.c.before.is_distinct_from(each.c.after))
            .subquery("changed")
        )
        adjusting.record(
            run.connection, month, changed, f"repriced by rate card {card.version}", card.version
        )
