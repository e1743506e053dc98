"""What adds up to one user's cost of a month: quantities, the rates in force, and their products."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries import costs
from avatarlab_cli.queries.cost_lines import Lines
from avatarlab_cli.queries.costs import PLACES, Expression, Month, storage_cost
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.availability import availability
from avatarlab_cli.schema.base import TIME
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.private import storage_daily
from avatarlab_cli.timeframe import month_window

ROUNDING, CHANGED = "(rounding)", "(changed since)"
"""What the lines and the stored figure differ by: less than a millionth, or rows that are gone, late or altered."""
_STORAGE = "storage"
# What every line has, whether it stands for one row or for many.
_PARTS: Mapping[str, sa.types.TypeEngine[Any]] = {
    "kind": sa.Text(),
    "item": sa.Text(),
    "unit": sa.Text(),
    "quantity": sa.Numeric(),
    "rate": sa.Numeric(),
    "rate_from": sa.Date(),
    "amount": sa.Numeric(),
}
_OF_ROW: Mapping[str, sa.types.TypeEngine[Any]] = {"row_id": sa.Uuid(), "at": TIME}
_COLUMNS = (
    Column("kind", help="what was used"),
    Column("item", help="the name the rate is found by, or what the rest is due to", null="-"),
    Column("unit", help="what the rate is for", null="-"),
    Column("quantity", Kind.DECIMAL, "how much: tokens, characters, images, videos, bytes by day", null="-"),
    Column("units", Kind.DECIMAL, "the same in the rate's unit; of storage, to 20 decimals", null="-"),
    Column("rate", Kind.DECIMAL, "the price of a unit", null="-"),
    Column("rate_from", Kind.DATE, "since when that rate holds", wide=True, null="-"),
    Column("rate_version", help="the rate card the month was computed with", wide=True),
    Column("amount", Kind.COST, "units times rate, exactly", total=True),
)
_ROW_COLUMNS = (
    Column("row_id", Kind.ID, "the row; NULL for a day of storage", null="-"),
    Column("at", Kind.TIME, "when it happened", null="-"),
)


def explain(connection: sa.Connection, user: UserName, month: date, *, is_by_row: bool) -> Report:
    """Report what a user's stored cost of the month consists of, line by line; the amounts add up to it exactly.

    With `is_by_row` each row that was counted has its line. A rest of its own says what rounding to a millionth made,
    and what rows that changed since the figure was stored.
    """
    found = costs.computed_months(connection, month_window(month))
    who = user.email or str(user.id)
    empty = f"{who} has no cost in {month:%Y-%m}, or it was never computed."
    columns = (*(_ROW_COLUMNS if is_by_row else ()), *_COLUMNS)
    if not found:
        return Report(_nothing(columns), columns, empty=empty)
    (known,) = found
    stored = _stored(user, known)
    lines = _lines(connection, user, known, is_by_row=is_by_row).cte("explained")
    everything = sa.union_all(sa.select(lines), _rest(lines, stored, is_by_row=is_by_row)).subquery(
        "everything"
    )
    made = {
        "rate_version": sa.literal(known.version).label("rate_version"),
        "units": _units(everything, known).label("units"),
    }
    shown = [made[column.name] if column.name in made else everything.c[column.name] for column in columns]
    is_stored = sa.exists().select_from(stored)
    return Report(
        sa.select(*shown).where(is_stored),
        columns,
        sort="kind,at,item,unit" if is_by_row else "kind,item,unit",
        notes=_notes(connection, stored, known),
        empty=empty,
    )


def _units(lines: sa.Subquery, month: Month) -> Expression:
    """Return a line's quantity in units of its rate."""
    window = month_window(month.first)
    days = (window.end - window.first).days
    shares = rates.UNITS[rates.STORED] * days
    of_storage = sa.func.round(sa.cast(lines.c.quantity, sa.Numeric(60, 20)) / shares, 20)
    exact = {
        unit: lines.c.quantity * (Decimal(1) / size)
        for unit, size in rates.UNITS.items()
        if unit != rates.STORED
    }
    units = sa.case({**exact, rates.STORED: of_storage}, value=lines.c.unit)
    return sa.func.trim_scale(units, type_=sa.Numeric())


def _stored(user: UserName, month: Month) -> sa.CTE:
    """Return what is stored of the user's month, a row a kind."""
    every = costs.costs([month])
    return sa.select(every.c.kind, every.c.cost).where(every.c.user_id == user.id).cte("stored")


def _lines(
    connection: sa.Connection, user: UserName, month: Month, *, is_by_row: bool
) -> sa.Select[Any] | sa.CompoundSelect[Any]:
    live = probe(connection)
    selected = Lines(live, availability(live), user.id, is_by_row=is_by_row).select([month])
    stored = _stored_bytes(user, month).subquery("bytes_by_day")
    parts = [_line(stored, is_by_row=is_by_row)]
    if selected is not None:
        lines = selected.subquery("lines")
        named = sa.select(
            *(column for column in lines.c if column.name not in {"key", "valid_from"}),
            sa.func.coalesce(lines.c.rate_key, lines.c.key).label("item"),
            lines.c.valid_from.label("rate_from"),
        ).subquery("named_lines")
        parts.append(_line(named, is_by_row=is_by_row))
    return sa.union_all(*parts)


def _line(source: sa.FromClause, *, is_by_row: bool) -> sa.Select[Any]:
    by = [source.c[name] for name in ("kind", "item", "unit", "rate", "rate_from")]
    if is_by_row:
        exact = sa.func.trim_scale(source.c.amount, type_=sa.Numeric()).label("amount")
        names = [name for name in (*_OF_ROW, *_PARTS) if name != "amount"]
        return sa.select(*(source.c[name] for name in names), exact)
    sums = {
        "quantity": sa.func.sum(source.c.quantity).label("quantity"),
        "amount": sa.func.trim_scale(sa.func.sum(source.c.amount), type_=sa.Numeric()).label("amount"),
    }
    return sa.select(*(sums[name] if name in sums else source.c[name] for name in _PARTS)).group_by(*by)


def _stored_bytes(user: UserName, month: Month) -> sa.Select[Any]:
    """Return what the user stored on each day of the month; without an amount where a day is not on record."""
    own, rate = storage_daily, rates.stored(month.version).subquery("storage_rate")
    window = month_window(month.first)
    days = (
        sa.select(own.c.day, sa.func.sum(own.c.bytes).label("bytes"))
        .where(own.c.user_id == user.id, own.c.day >= window.first, own.c.day < window.end)
        .group_by(own.c.day)
        .having(sa.func.sum(own.c.bytes) > 0)
        .subquery("days")
    )
    amount = storage_cost(days.c.day, days.c.bytes, rate.c.price)
    return sa.select(
        sa.cast(sa.null(), sa.Uuid).label("row_id"),
        sa.cast(days.c.day, TIME).label("at"),
        sa.literal(_STORAGE).label("kind"),
        sa.literal(_STORAGE).label("item"),
        sa.literal("GB-month").label("unit"),
        sa.cast(days.c.bytes, sa.Numeric).label("quantity"),
        rate.c.list_price.label("rate"),
        rate.c.valid_from.label("rate_from"),
        (amount if month.is_storage_known else sa.cast(sa.null(), sa.Numeric)).label("amount"),
    ).select_from(days.outerjoin(rate, rates.in_force(rate, _STORAGE, days.c.day)))


def _rest(lines: sa.CTE, stored: sa.CTE, *, is_by_row: bool) -> sa.Select[Any]:
    """Return by how much the stored figure of each kind is above its lines; nothing where it is not."""
    sums = (
        sa.select(lines.c.kind, sa.func.sum(lines.c.amount).label("amount"))
        .group_by(lines.c.kind)
        .subquery("sums")
    )
    rest = sa.func.coalesce(stored.c.cost, 0) - sa.func.coalesce(sums.c.amount, 0)
    is_rounding = sa.func.abs(rest) < sa.literal_column(f"0.{'0' * (PLACES - 1)}1", sa.Numeric)
    values: dict[str, Expression] = {
        "kind": sa.func.coalesce(stored.c.kind, sums.c.kind),
        "item": sa.case((is_rounding, ROUNDING), else_=CHANGED),
        "amount": sa.func.trim_scale(rest, type_=sa.Numeric()),
    }
    types = {**(_OF_ROW if is_by_row else {}), **_PARTS}
    return (
        sa.select(*(values.get(name, sa.cast(sa.null(), kind)).label(name) for name, kind in types.items()))
        .select_from(stored.join(sums, sums.c.kind == stored.c.kind, full=True))
        .where(rest != 0)
    )


def _notes(connection: sa.Connection, stored: sa.CTE, month: Month) -> tuple[str, ...]:
    total = connection.scalar(sa.select(costs.total(stored.c.cost)))
    notes = [] if total is None else [f"the stored cost of {month.first:%Y-%m} is {total}"]
    if not month.is_storage_known:
        notes.append("some days of the month have no snapshot of what was stored, so storage has no cost")
    return tuple(notes)


def _nothing(columns: tuple[Column, ...]) -> sa.Select[Any]:
    nothing: list[sa.ColumnElement[Any]] = [sa.null().label(column.name) for column in columns]
    return sa.select(*nothing).where(sa.false())
