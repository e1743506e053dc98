"""Pruning a log: old rows go for good, some thousand a transaction, and what they counted for is kept."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import ClassVar
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.actions.act import Act, Item, Run, Touched
from avatarlab_cli.actions.batch import carry_out_all
from avatarlab_cli.actions.engine import Order
from avatarlab_cli.database import Database
from avatarlab_cli.errors import AvatarLabError
from avatarlab_cli.queries.pruning import LOG, demand_countable, prunable
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.rollup.pruned import Batch, delete_some
from avatarlab_cli.schema.private import pruned


@dataclass(frozen=True)
class Prune(Act):
    """Delete the next rows of a log, its target, that are dated before the day, those whose id comes after `after`."""

    name = "system.prune"
    naming = LOG
    severity = "critical"
    needs_reason = True
    undoable = False
    plannable = False
    is_long = True
    is_whole = True
    rows_per_transaction: ClassVar[int] = 5000
    log: str
    before: date
    after: UUID | None = None

    def describe(self) -> str:
        return f"pruned {self.log} of rows before {self.before}"

    def describe_done(self, run: Run) -> str:
        rows = run.execute("SELECT sum(CAST(facts ->> 'deleted' AS bigint)) FROM targets").scalar_one()
        return f"pruned {self.log} of {rows} {'row' if rows == 1 else 'rows'} before {self.before}"

    def touched(self, run: Run) -> tuple[Touched, ...]:
        demand_countable(run.live, prunable(self.log))
        return (Touched(pruned, "r.id = t.id"),)

    def apply(self, run: Run) -> None:
        for item in run.execute("SELECT item FROM targets WHERE label = :log").scalars().all():
            most = self.rows_per_transaction
            batch = delete_some(run.connection, prunable(self.log), self.before, self.after, most)
            if batch.last_id is not None:
                self._record(run, item, batch)

    def _record(self, run: Run, item: int, batch: Batch) -> None:
        run.execute(
            """
            UPDATE avatarlab_admin.pruned r
            SET before = greatest(r.before, :before), rows = r.rows + :deleted, pruned_at = now()
            FROM targets t WHERE r.id = t.id AND t.item = :item
            """,
            deleted=batch.rows,
            item=item,
        )
        facts = {
            "table": self.log,
            "deleted": batch.rows,
            "first_day": batch.first_day,
            "last_day": batch.last_day,
        }
        run.execute(
            "UPDATE targets SET facts = CAST(:facts AS jsonb) WHERE item = :item",
            facts=json.dumps(facts),
            item=item,
        )
        run.revealed[item] = asdict(batch)


def prune(database: Database, table: sa.Table, before: date, order: Order) -> Iterator[Batch]:
    """Delete a log's rows before the day; yields what each transaction deleted, once it is committed.

    Raises an AvatarLabError; what was yielded before stays deleted, and the same call goes on.
    """
    after: UUID | None = None
    while True:
        ((outcome,),) = carry_out_all(
            database, Prune(table.name, before, after), [Item(1, table.name)], order
        )
        if outcome.result == "failed":
            error = AvatarLabError(f"{table.name}: {outcome.detail}")
            error.exit_code = outcome.code
            raise error
        if outcome.result == "unchanged":
            return
        batch = Batch(**outcome.revealed)  # type: ignore[arg-type]  # what _record put there
        yield batch
        after = batch.last_id


@dataclass
class Deleted:
    """What became of a command: the rows before the day that are deleted, and those without a time, which stay."""

    table: str
    before: date
    undated: int
    rows: int = 0
    transactions: int = 0
    first_day: str | None = None
    last_day: str | None = None

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("table", help="what was pruned"),
        Column("before", Kind.DATE, "the first day that stays"),
        Column("rows", Kind.INTEGER, "how many were deleted"),
        Column("transactions", Kind.INTEGER, "in how many steps, each with its entry in the audit log"),
        Column("first_day", help="the earliest day of these rows", null="-"),
        Column("last_day", help="the latest", null="-"),
        Column("undated", Kind.INTEGER, "rows without a time, which stay"),
    )

    def add(self, batch: Batch) -> None:
        """Count one transaction more."""
        self.rows += batch.rows
        self.transactions += 1
        days = (self.first_day, self.last_day, batch.first_day, batch.last_day)
        known = sorted(day for day in days if day is not None)
        self.first_day, self.last_day = (known[0], known[-1]) if known else (None, None)

    def row(self) -> dict[str, object]:
        """Return what is shown."""
        return {column.name: getattr(self, column.name) for column in self.COLUMNS}
