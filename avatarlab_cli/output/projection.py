"""The one SELECT that brings a report into machine form; every format is made from it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from avatarlab_cli.output.delimited import FORMULA_KINDS, FORMULA_START
from avatarlab_cli.output.options import OutputOptions
from avatarlab_cli.output.paging import first_rows
from avatarlab_cli.output.selection import SortKey, identifying, sort_keys
from avatarlab_cli.report import Column, Kind, Report

Expression = sa.ColumnElement[Any]

_APOSTROPHE, _UTC, _SPACE, _T, _Z = (
    sa.literal_column(text, sa.Text) for text in ("''''", "'UTC'", "' '", "'T'", "'Z'")
)


def machine_select(
    report: Report, columns: Sequence[Column], options: OutputOptions, limit: int | None
) -> sa.Select[Any]:
    """Wrap the report's SELECT: chosen columns in machine form, order, offset and limit."""
    keys = _keys(report, options)
    select = report.select
    if keys and limit is not None:
        names = [key.column.name for key in keys]
        select = first_rows(select, names, partial(_order, report, keys), limit + options.offset)
    inner = select.subquery("report")
    statement = sa.select(*(_projected(inner.c[column.name], column, options) for column in columns))
    order = _order(report, keys, inner.c)
    return statement.order_by(*order).limit(limit).offset(options.offset or None)


def count_select(report: Report) -> sa.Select[Any]:
    """Count the report's rows, whatever limit and offset say."""
    return sa.select(sa.func.count()).select_from(report.select.subquery("report"))


def _projected(value: Expression, column: Column, options: OutputOptions) -> Expression:
    if options.escapes_formulas and column.kind in FORMULA_KINDS:
        return _formula_safe(value).label(column.name)
    convert = _CONVERSIONS.get(column.kind)
    return convert(value).label(column.name) if convert else value


def _formula_safe(value: Expression) -> Expression:
    text = sa.cast(value, sa.Text)
    return sa.case((text.regexp_match(FORMULA_START), _APOSTROPHE + text), else_=text)


def _time(value: Expression) -> Expression:
    """Write RFC 3339 with Z: half the price of to_char, and it shows no more digits than the time has."""
    moment = value if getattr(value.type, "timezone", False) else sa.cast(value, sa.DateTime(timezone=True))
    local = sa.cast(sa.func.timezone(_UTC, moment), sa.Text)
    written = sa.func.replace(local, _SPACE, _T, type_=sa.Text) + _Z
    return sa.case((sa.func.isfinite(moment), written), else_=sa.cast(moment, sa.Text))


def _month(value: Expression) -> Expression:
    return value if isinstance(value.type, sa.String) else sa.func.to_char(value, "YYYY-MM")


def _date(value: Expression) -> Expression:
    return value if isinstance(value.type, sa.Date) else sa.cast(value, sa.Date)


def _json(value: Expression) -> Expression:
    # jsonb is written on one line, whatever line breaks the source has.
    return value if isinstance(value.type, JSONB) else sa.func.to_jsonb(value)


# Kinds that are not named here already read as they should.
_CONVERSIONS: dict[Kind, Callable[[Expression], Expression]] = {
    Kind.BOOLEAN: lambda value: sa.cast(value, sa.Text),
    Kind.DATE: _date,
    Kind.JSON: _json,
    Kind.MONTH: _month,
    Kind.TIME: _time,
}


def _keys(report: Report, options: OutputOptions) -> list[SortKey]:
    keys = sort_keys(report.columns, report.sort if options.sort is None else options.sort)
    tie = identifying(report.columns)
    # Equal rows keep one order between two pages; without an order asked for, none is paid for.
    if keys and all(column is not tie for column, _ in keys):
        keys.append(SortKey(tie, descending=False))
    return keys


def _order(report: Report, keys: Sequence[SortKey], values: Any) -> list[Expression]:  # noqa: ANN401 (columns by name)
    return [_ordered(report, values[key.column.name], key) for key in keys]


def _ordered(report: Report, value: Expression, key: SortKey) -> Expression:
    """Put what is unknown last; said of what is always known, that would keep PostgreSQL from reading its index."""
    if not key.descending:
        return value.asc()
    return value.desc() if key.column.name in report.never_null else value.desc().nulls_last()
