"""What is known of the platform's tables, from the fact sheet, for one of the platform's two states."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FACT_SHEET = Path(__file__).parents[1] / "data" / "platform_schema.yaml"
ON_DELETE = {"no action (blocks)": "a", "cascade": "c", "set null": "n"}
TYPES = {
    "timestamptz": "timestamp with time zone",
    "float8": "double precision",
    "varchar": "character varying",
}


@dataclass(frozen=True)
class Facts:
    """One table of the fact sheet, as far as it exists in a state."""

    sheet: dict[str, Any]
    columns: dict[str, dict[str, Any]]

    @property
    def types(self) -> dict[str, str]:
        """Column types as PostgreSQL's catalogue writes them."""
        return {name: _type(column["type"]) for name, column in self.columns.items()}

    @property
    def required(self) -> set[str]:
        """Columns that refuse NULL."""
        return {name for name, column in self.columns.items() if not column["nullable"]}

    @property
    def foreign_keys(self) -> set[tuple[str, str, str]]:
        """Column, referenced column, and PostgreSQL's letter for what a deletion does."""
        return {
            (key["column"], key["references"], ON_DELETE[key["on_delete"]])
            for key in self.sheet["foreign_keys"]
            if key["column"] in self.columns
        }

    @property
    def indexed(self) -> set[str]:
        """Columns, or `(expression)`, that lead an index."""
        known = self.columns.keys() | {"(expression)"}
        return {name for name in self.sheet["indexed_leading_columns"] if name in known}

    @property
    def checked(self) -> set[str]:
        """Columns whose values are restricted."""
        restricted = {*self.sheet.get("allowed_values", {}), *self.sheet.get("value_ranges", {})}
        return restricted & self.columns.keys()


def facts(state: str) -> dict[str, Facts]:
    """Return the tables of `public` that exist in `state`, with the columns they have there."""
    sets = {"seed"} if state == "seed" else {"seed", "missing_in_seed", "extra"}
    return {
        name: Facts(sheet, _columns(sheet, state)) for name, sheet in _sheet().items() if sheet["set"] in sets
    }


@cache
def _sheet() -> dict[str, Any]:
    tables: dict[str, Any] = yaml.safe_load(FACT_SHEET.read_text())["tables"]
    return tables


def _columns(sheet: dict[str, Any], state: str) -> dict[str, dict[str, Any]]:
    return {
        column["name"]: column for column in sheet["columns"] if state == "panel" or "since" not in column
    }


def _type(name: str) -> str:
    base, bracket, arguments = name.partition("(")
    return TYPES.get(base, base) + bracket + arguments
