"""Which of a report's columns are shown, in which order, and what the rows are sorted by."""

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from avatarlab_cli.errors import UsageError
from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.report import Column, Kind


class SortKey(NamedTuple):
    """One column of an order; unknown values stand last in either direction."""

    column: Column
    descending: bool


def selected(columns: Sequence[Column], options: OutputOptions, *, single: bool) -> tuple[Column, ...]:
    """Return the columns to show; raises UsageError for a field the report does not have."""
    shown = tuple(columns)
    if options.fields:
        shown = tuple(_find(name, columns, "field") for name in dict.fromkeys(options.fields))
    elif options.resolved_format is Format.TABLE and not single:
        shown = tuple(column for column in columns if not column.wide)
    if options.resolved_format is Format.IDS:
        return (identifying(shown),)
    return shown


def identifying(columns: Sequence[Column]) -> Column:
    """Return the first column of kind id, else the first."""
    return next((column for column in columns if column.kind is Kind.ID), columns[0])


def sort_keys(columns: Sequence[Column], text: str) -> list[SortKey]:
    """Read an order such as `-spend,email`; raises UsageError for an unknown column."""
    sortable = [column for column in columns if column.kind is not Kind.JSON]
    names = [part.strip() for part in text.split(",") if part.strip()]
    return [SortKey(_find(name.removeprefix("-"), sortable, "sort column"), name[0] == "-") for name in names]


def _find(name: str, columns: Sequence[Column], what: str) -> Column:
    by_name = {column.name: column for column in columns}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=1)
    hint = f"one of: {', '.join(by_name)}" + (f"; did you mean {near[0]}?" if near else "")
    raise UsageError(f"there is no {what} {name!r} here", hint=hint)
