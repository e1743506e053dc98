"""What an act is: whom it is done to, which rows it may change, when it is refused, and the statements that do it.

An act is a frozen dataclass whose fields are its parameters; `engine` carries it out on many targets at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.actions.actor import Actor, demand_actor
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.permissions import COMMANDS
from avatarlab_cli.queries.naming import Naming
from avatarlab_cli.report import Column
from avatarlab_cli.schema.live import LiveSchema


@dataclass(frozen=True)
class Touched:
    """Rows an act may insert, change or delete: those `r` of a table that belong to a target `t` by this condition.

    They are locked, and looked at before and after; what differs is what the act did. The condition is SQL over
    `t` (the table `targets`) and `r`, and may use the act's parameters.
    """

    table: sa.Table
    on: str


@dataclass(frozen=True)
class Refusal:
    """A target `t`, whose own row is `r`, that is left alone: the SQL condition, and the reason as a sentence's end.

    `values` are SQL texts for the %s of the message.
    """

    condition: str
    message: str
    values: tuple[str, ...] = ()
    code: ExitCode = ExitCode.FAILED


@dataclass
class Run:
    """One transaction of an act: what its statements may use.

    The temporary table `targets` holds what the act is done to: item (its number), name (as given), id, label,
    entry (the id its entry will have), and columns an act may set: resource_type and resource_id (what the entry is
    about, where not the target) and facts (jsonb, kept in the entry beside the changes; a target with facts gets an
    entry even if no row changed). `revealed` maps an item to values for the act's own columns, which are shown once
    and kept nowhere.
    """

    connection: sa.Connection
    live: LiveSchema
    actor: Actor
    bound: Mapping[str, Any]
    revealed: dict[int, dict[str, object]] = field(default_factory=dict)

    def execute(self, sql: str, **more: object) -> sa.CursorResult[Any]:
        """Run a statement; it may use the act's parameters, :actor (the admin's id), :reason, and those given here."""
        statement = sa.text(sql)
        known = {**self.bound, **more}
        names = statement.compile().params
        return self.connection.execute(statement, {name: known[name] for name in names})

    def refuse(self, found: str, code: ExitCode = ExitCode.FAILED, **more: object) -> None:
        """Leave targets alone that turn out to be impossible: `found` is a SELECT of item and detail, the reason."""
        self.execute(
            f"""
            UPDATE act_items SET code = {code:d}, detail = found.detail
            FROM ({found}) AS found WHERE found.item = act_items.item AND act_items.code IS NULL
            """,
            **more,
        )
        for table in ("targets", "act_images"):
            self.execute(
                f"DELETE FROM {table} WHERE item IN (SELECT item FROM act_items WHERE code IS NOT NULL)"
            )


class Act(ABC):
    """One kind of change. Subclasses are frozen dataclasses; their fields must be plain values (JSON, times, UUIDs).

    `name` is the entry's action and the command's words with dots. With a `question` ("Ban") the user is asked
    before even one target; before several always. An act that `is_long` has a job's time and memory; one that
    `is_whole` is done to all of its targets or to none; one that `repeats` does more where it is done again. What
    stands in the column it `shows_once` is kept nowhere. `creates` means that targets are names of what is to be
    made, and `when_there` tells how it ends for what is there already. An act that is not `undoable` says so when it is
    asked to be undone; one that is not `plannable` changes no rows a plan could show. `resource` is what its entries are
    about, where that is not the target: an act sets `targets.resource_id` then.
    """

    name: ClassVar[str]
    naming: ClassVar[Naming]
    severity: ClassVar[str] = "info"
    needs_reason: ClassVar[bool] = False
    question: ClassVar[str] = ""
    creates: ClassVar[bool] = False
    when_there: ClassVar[tuple[ExitCode, str]] = (ExitCode.FAILED, "exists already")
    is_long: ClassVar[bool] = False
    is_whole: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    shows_once: ClassVar[str] = ""
    undoable: ClassVar[bool] = True
    plannable: ClassVar[bool] = True
    resource: ClassVar[str | None] = None
    columns: ClassVar[tuple[Column, ...]] = ()
    items_per_transaction: ClassVar[int] = 500

    @abstractmethod
    def describe(self) -> str:
        """Return what is done, in the past tense, for the entry: "banned until 2027-01-01"."""

    def describe_done(self, run: Run) -> str:
        """Return it for an entry of what is done now, where more can be told."""
        return self.describe()

    @abstractmethod
    def touched(self, run: Run) -> tuple[Touched, ...]:
        """Return the rows the act may change; may refuse altogether by raising an AvatarLabError."""

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        """Return why a target may be left alone; the first that holds is told."""
        return ()

    def check(self, run: Run) -> None:  # noqa: B027 (most acts need none)
        """Refuse targets by what their rows are, now that these are locked; `act_images` has them."""

    @abstractmethod
    def apply(self, run: Run) -> None:
        """Change the rows of all `targets` at once."""

    def conclude(self, run: Run) -> None:  # noqa: B027 (likewise)
        """Do what needs the entries to be there; not in a preview."""

    def authorized(self, connection: sa.Connection, admin: str | None) -> Actor:
        """Return the acting admin; raises NotPermittedError where there is none, or one who may not do this."""
        actor = demand_actor(connection, admin)
        actor.demand(COMMANDS[self.command], self.command)
        return actor

    @property
    def command(self) -> str:
        """The words of the verb that does it."""
        return self.name.replace(".", " ")

    def parameters(self) -> dict[str, Any]:
        """Return the act's fields by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]  # subclasses are dataclasses


@dataclass(frozen=True)
class Change:
    """One row before and after: the columns that differ, all of them where the other side is None.

    `key` is the row's primary key. Secret columns stand as a fingerprint, or not at all; numbers with decimals as text.
    """

    table: str
    key: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True)
class Expected:
    """What a plan says is to change, and the time it was as of."""

    at: datetime
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Item:
    """One target by the name it was given, typed by hand or read from a file, and where there is a plan, its part."""

    number: int
    name: str
    is_typed: bool = False
    expected: Expected | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one target: `result` is changed, unchanged or failed, and `detail` why; `code` as for errors.

    `at` is the database's time when it was done; `hint` is what to do about a failure.
    """

    item: Item
    id: UUID | None
    label: str | None
    result: str
    code: ExitCode = ExitCode.OK
    detail: str | None = None
    entry: UUID | None = None
    changes: tuple[Change, ...] = ()
    revealed: Mapping[str, object] = field(default_factory=dict)
    at: datetime | None = None
    hint: str | None = None
