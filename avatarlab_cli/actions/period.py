"""Closing a month, after which its figures are final, and reopening the last one that was closed."""

import json
from dataclasses import dataclass
from datetime import date

from avatarlab_cli.actions.act import Act, Run, Touched
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.queries.periods import CLOSED, CLOSING
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.rollup import closing, rates
from avatarlab_cli.schema.private import period_close

# Somebody may have closed it between the look at its name and the lock.
_CLOSED = """
    SELECT t.item, 'is closed already' AS detail FROM targets t
    JOIN avatarlab_admin.period_close c ON c.month = to_date(t.label, 'YYYY-MM') AND c.reopened_at IS NULL
"""
_FACTS = "UPDATE targets SET facts = CAST(:facts AS jsonb) WHERE item = :item"


@dataclass(frozen=True)
class Close(Act):
    """Close a month: verify its figures, or set them where told to `recompute`, and freeze them.

    Rows of monthly_usage are marked but not in the entry: it would hold every user. The rates are those of `rates_file`.
    """

    name = "period.close"
    naming = CLOSING
    severity = "warning"
    question = "Close"
    creates = True
    when_there = (ExitCode.OK, "is closed already")
    is_long = True
    undoable = False
    plannable = False
    columns = (
        Column("users", Kind.INTEGER, "who has figures in it", null="-"),
        Column("digest", help="of what was closed", null="-"),
        Column("set", Kind.INTEGER, "rows that differed and were set first", null="-"),
    )
    recompute: bool = False
    rates_file: str | None = None

    def describe(self) -> str:
        return "closed"

    def touched(self, run: Run) -> tuple[Touched, ...]:
        closing.lock(run.connection)
        return (Touched(period_close, "r.month = to_date(t.label, 'YYYY-MM')"),)

    def check(self, run: Run) -> None:
        run.refuse(_CLOSED, ExitCode.OK)

    def apply(self, run: Run) -> None:
        card = rates.load(self.rates_file)
        today: date = run.execute("SELECT current_date").scalar_one()
        found = run.execute(
            "SELECT item, id, to_date(label, 'YYYY-MM') AS month FROM targets ORDER BY month"
        ).all()
        for row in found:
            done = closing.close(
                run.connection,
                row.month,
                today=today,
                card=card,
                by=run.actor.email or str(run.actor.id),
                closing=row.id,
                recompute=self.recompute,
            )
            run.execute(_FACTS, facts=json.dumps(done.facts()), item=row.item)
            run.revealed[row.item] = done.facts()


@dataclass(frozen=True)
class Reopen(Act):
    """Reopen the last closed month: jobs compute it anew; what it was closed with stays on record."""

    name = "period.reopen"
    naming = CLOSED
    severity = "critical"
    question = "Reopen"
    needs_reason = True
    undoable = False
    plannable = False

    def describe(self) -> str:
        return "reopened"

    def touched(self, run: Run) -> tuple[Touched, ...]:
        closing.lock(run.connection)
        return (Touched(period_close, "r.id = t.id"),)

    def apply(self, run: Run) -> None:
        reason = str(run.bound["reason"] or "")
        for row in run.execute("SELECT label FROM targets ORDER BY label DESC").all():
            month = date.fromisoformat(f"{row.label}-01")
            closing.reopen(run.connection, month, by=run.actor.email or str(run.actor.id), reason=reason)
