"""What a query hands to the output layer: one SELECT and a description of its columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # A list made without a database describes its columns too, and need not wait for this import.
    import sqlalchemy as sa


class Kind(StrEnum):
    """How a column's values are shown; a terminal and a machine format may differ.

    The query gives bytes as a number of bytes, a percentage as a ratio (0.25 for 25 %), a month as its first
    day or as text, a time as a timestamptz. Money is rounded to cents for a terminal; a cost is never rounded, so
    that what is shown adds up.
    """

    TEXT = "text"
    ID = "id"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"
    COST = "cost"
    BYTES = "bytes"
    PERCENT = "percent"
    BOOLEAN = "boolean"
    DATE = "date"
    MONTH = "month"
    TIME = "time"
    JSON = "json"


@dataclass(frozen=True)
class Column:
    """One column of a report.

    `name` is the label in the SELECT, the header and the name `--fields` takes. A `wide` column is left out
    of a table unless `--fields` names it; machine formats always carry it. `null` is what a table shows for
    NULL; a machine format shows its own null. A table ends with the `total` of such a column's rows.
    """

    name: str
    kind: Kind = Kind.TEXT
    help: str = ""
    wide: bool = False
    null: str = "n/a"
    total: bool = False


@dataclass(frozen=True)
class Report:
    """One SELECT and its columns, in the order they are shown.

    `select` yields exactly the labels of `columns` and carries no LIMIT. `sort` is the default order, written
    as `--sort` is: `-spend,email`. A `single` report has at most one row: a table shows it as a list of fields,
    JSON and YAML as one object. `notes` are sentences for stderr: what is missing, partial or estimated. Of a check,
    `unjudged` names what it could not look at: nothing found is then no good news; and where not every row is a
    finding, `findings` selects those that are.
    `never_null` names columns that are known to hold no NULL: the order by one can be read from its index.
    """

    select: sa.Select[Any]
    columns: tuple[Column, ...]
    sort: str = ""
    single: bool = False
    empty: str = "Nothing to show."
    notes: tuple[str, ...] = field(default=())
    unjudged: tuple[str, ...] = field(default=())
    findings: sa.Select[Any] | None = None
    never_null: frozenset[str] = frozenset()
