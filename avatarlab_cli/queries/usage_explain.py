"""What adds up to one stored figure of usage: day by day beside what the source rows say now, or row by row."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries import users
from avatarlab_cli.queries.usage import NOBODY, demand_measure, help_of, is_nobody
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup import pruned, windows
from avatarlab_cli.rollup.availability import Availability, availability
from avatarlab_cli.rollup.metrics import UNATTRIBUTED, Expression, Source
from avatarlab_cli.rollup.pricing import Extract, owned_rows
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.base import TIME, qualified
from avatarlab_cli.schema.live import demand_all_rows, probe
from avatarlab_cli.schema.private import pruned_daily, storage_daily, usage_daily
from avatarlab_cli.timeframe import Window, month_window

STORED_BYTES = ("storage_bytes", "storage_byte_days")


def find_user(connection: sa.Connection, name: str) -> UserName:
    """Return the user of this name, or nobody where it says so; raises as `users.find_user` does."""
    if is_nobody(name):
        return UserName(UNATTRIBUTED, NOBODY)
    return users.find_user(connection, name)


def demand_counted(metric: str, user: str) -> None:
    """Raise UsageError for what is no metric, and for a cost, which another command explains."""
    demand_measure(metric)
    if metric.endswith("_cost"):
        raise UsageError(
            f"{metric} is a cost: quantities times rates", hint=f"run: avatarlab cost explain {user}"
        )


def explain(
    connection: sa.Connection, user: UserName, month: date, metric: str, *, is_by_row: bool
) -> Report:
    """Report the days a user's stored figure of the month is the sum of, beside what the source rows say now.

    With `is_by_row` the rows that are counted now have a line each, and what pruned rows counted for a line a day. Notes
    name the stored figure, and what it differs by. Raises ConfigurationError where it is not known what pruned rows
    counted for.
    """
    demand_all_rows(connection, [qualified(monthly_usage)])
    window = month_window(month)
    counted = _Counted(availability(probe(connection)), user, window, metric)
    if metric in pruned.METRICS:
        pruned.demand_kept(connection)
    days = connection.execute(_by_day(connection, counted)).all()
    notes = tuple(_notes(connection, counted, days))
    who = user.email or user.id
    empty = f"Of {who} there is no {metric} in {month:%Y-%m}: nothing to add up, and no row."
    if is_by_row:
        return Report(
            _by_row(counted), _row_columns(metric), sort="at,table,row_id", notes=notes, empty=empty
        )
    return Report(_told(days), _day_columns(metric), sort="day", notes=notes, empty=empty)


class _Counted:
    """A metric of one user as the source rows give it now, in one month."""

    def __init__(self, available: Availability, user: UserName, window: Window, metric: str) -> None:
        self.user, self.window, self.metric = user, window, metric
        self.is_storage = metric in STORED_BYTES
        self.column = "storage_bytes" if self.is_storage else metric
        self.source = next((source for source, given in available.measured if metric in given), None)
        self.reason = available.skipped.get(metric)

    def is_known(self, day: Expression) -> Expression:
        """Return the condition that it is known what was there on the day."""
        if self.is_storage:
            return sa.exists().where(storage_daily.c.day == day)
        return sa.literal(self.source is not None)

    def rows(self) -> Iterator[sa.Select[Any]]:
        """Yield what is counted of rows: day, table, row_id, at, quantity; nothing where that is not known."""
        if self.is_storage:
            yield self._stored()
        elif self.source is not None:
            by = {"row_id": self.source.table.c.id, "at": sa.cast(self.source.time, TIME)}
            owned, quantity = self._of(self.source, by)
            table = sa.literal(qualified(self.source.table)).label("table")
            yield _dated(sa.select(owned.c.day, table, owned.c.row_id, owned.c.at, quantity), owned, quantity)

    def days(self) -> Iterator[sa.Select[Any]]:
        """Yield what is counted of rows, day and quantity alone: rows need not be told apart to be added up."""
        if self.is_storage:
            yield self._stored()
        elif self.source is not None:
            owned, quantity = self._of(self.source, {})
            yield _dated(sa.select(owned.c.day, quantity), owned, quantity)

    def _of(self, source: Source, by: Mapping[str, Expression]) -> tuple[sa.CTE, sa.Label[int]]:
        owned = owned_rows(source, (self.metric,), Extract(self.window, self.user.id, by=by), None)
        return owned, sa.cast(owned.c[self.metric], sa.BigInteger).label("quantity")

    def _stored(self) -> sa.Select[Any]:
        own, account = storage_daily, supabase.users.alias("account")
        whose = sa.func.coalesce(account.c.id, UNATTRIBUTED)
        return (
            sa.select(
                own.c.day,
                sa.literal(qualified(own)).label("table"),
                sa.cast(sa.null(), sa.Uuid).label("row_id"),
                sa.cast(own.c.day, TIME).label("at"),
                own.c.bytes.label("quantity"),
            )
            .select_from(own.outerjoin(account, account.c.id == own.c.user_id))
            .where(own.c.day >= self.window.first, own.c.day < self.window.end)
            .where(whose == self.user.id, own.c.bytes != 0)
        )

    def pruned(self) -> Iterator[sa.Select[Any]]:
        """Yield what pruned rows counted for, in the same columns."""
        if self.metric not in pruned.METRICS:
            return
        kept = pruned.kept(self.window, (self.metric,)).subquery("kept")
        yield sa.select(
            kept.c.day,
            sa.literal(qualified(pruned_daily)).label("table"),
            sa.cast(sa.null(), sa.Uuid).label("row_id"),
            sa.cast(kept.c.day, TIME).label("at"),
            kept.c[self.metric].label("quantity"),
        ).where(kept.c.user_id == self.user.id, kept.c[self.metric] != 0)


def _dated(select: sa.Select[Any], owned: sa.CTE, quantity: sa.Label[int]) -> sa.Select[Any]:
    """Leave out what counts for nothing, and rows without a time: the jobs report them, and they belong to no day."""
    return select.where(owned.c.day.is_not(None), quantity.element != 0)


def _by_row(counted: _Counted) -> sa.Select[Any]:
    parts = [*counted.rows(), *counted.pruned()]
    if not parts:
        parts = [_nothing()]
    every = sa.union_all(*parts).subquery("every")
    return sa.select(every.c.table, every.c.row_id, every.c.at, every.c.quantity)


def _by_day(connection: sa.Connection, counted: _Counted) -> sa.Select[Any]:
    own, window = usage_daily, counted.window
    is_computed = connection.scalar(
        sa.select(sa.exists().where(own.c.day >= window.first, own.c.day < window.end))
    )
    rows, gone = (
        _sums(parts, name) for parts, name in ((counted.days(), "rows"), (counted.pruned(), "gone"))
    )
    stored = (
        sa.select(own.c.day, own.c[counted.column].label("stored"))
        .where(own.c.user_id == counted.user.id, own.c.day >= window.first, own.c.day < window.end)
        .subquery("stored")
    )
    day = sa.func.coalesce(stored.c.day, rows.c.day, gone.c.day)
    # A day without a row is one on which nothing was counted, where anything of the month was.
    absent = sa.literal(0) if is_computed else sa.null()
    kept = sa.case((stored.c.day.is_(None), absent), else_=stored.c.stored)
    found = sa.case((counted.is_known(day), sa.func.coalesce(rows.c.quantity, 0)))
    known: dict[str, Expression] = {
        "stored": sa.cast(kept, sa.BigInteger),
        "rows": sa.cast(found, sa.BigInteger),
        "pruned": sa.cast(sa.func.coalesce(gone.c.quantity, 0), sa.BigInteger),
    }
    known["difference"] = known["stored"] - known["rows"] - known["pruned"]
    joined = stored.join(rows, rows.c.day == stored.c.day, full=True)
    joined = joined.join(gone, gone.c.day == sa.func.coalesce(stored.c.day, rows.c.day), full=True)
    every = (
        sa.select(day.label("day"), *(v.label(n) for n, v in known.items())).select_from(joined).subquery()
    )
    is_anything = (every.c[name].is_distinct_from(0) for name in ("stored", "rows", "pruned"))
    return sa.select(*every.c).where(sa.or_(*is_anything))


def _told(days: Sequence[sa.Row[Any]]) -> sa.Select[Any]:
    """Return the SELECT of the days as they were found: what the notes say of them is said of the same rows."""
    figures = (sa.column(name, sa.BigInteger) for name in ("stored", "rows", "pruned", "difference"))
    # A VALUES needs a row.
    rows = [tuple(day) for day in days] or [(None,) * 5]
    listed = sa.values(sa.column("day", sa.Date), *figures, name="days").data(rows)
    columns = (sa.cast(column, column.type).label(column.name) for column in listed.c)
    return sa.select(*columns).where(listed.c.day.is_not(None))


def _sums(parts: Iterator[sa.Select[Any]], name: str) -> sa.Subquery:
    each = next(parts, None)
    each = _nothing() if each is None else each
    line = each.subquery(f"{name}_lines")
    return (
        sa.select(line.c.day, sa.func.sum(line.c.quantity).label("quantity"))
        .group_by(line.c.day)
        .subquery(f"{name}_by_day")
    )


def _nothing() -> sa.Select[Any]:
    kinds: dict[str, sa.types.TypeEngine[Any]] = {
        "day": sa.Date(),
        "table": sa.Text(),
        "row_id": sa.Uuid(),
        "at": TIME,
        "quantity": sa.BigInteger(),
    }
    nulls = (sa.cast(sa.null(), kind).label(name) for name, kind in kinds.items())
    return sa.select(*nulls).where(sa.false())


def _notes(connection: sa.Connection, counted: _Counted, days: Sequence[sa.Row[Any]]) -> Iterator[str]:
    metric, month = counted.metric, f"{counted.window.first:%Y-%m}"
    if counted.reason is not None:
        yield f"{metric} cannot be counted here: {counted.reason}"
    found = _month_figure(connection, counted)
    if found is None and counted.user.id != UNATTRIBUTED:
        yield f"no month {month} is stored of {counted.user.email or counted.user.id}"
    elif found is not None and found.value is not None:
        yield f"the stored figure of {month} is {found.value}"
    total = sum(day.stored for day in days if day.stored is not None)
    off = sum(1 for day in days if day.difference)
    if off:
        yield (
            f"on {off} day{'s' if off > 1 else ''} the rows now say something else than what is stored: some came, changed"
            f" or went since; {_remedy(connection, counted)}"
        )
    if found is not None and found.value is not None and metric != "storage_bytes" and found.value != total:
        yield f"the days add up to {total}: they were computed at another time than the month"


def _remedy(connection: sa.Connection, counted: _Counted) -> str:
    """Return what is to be done about a difference: a closed month stays as it is."""
    month = f"{counted.window.first:%Y-%m}"
    if counted.window.first >= windows.first_open(connection):
        return f"`avatarlab job run monthly-usage --month {month}` computes the month anew"
    return f"the month is closed, and `avatarlab usage adjustments --month {month}` tells what is on record of it"


def _month_figure(connection: sa.Connection, counted: _Counted) -> sa.Row[Any] | None:
    """Return the stored month's figure of an account; what belongs to nobody has its days alone."""
    own = monthly_usage
    select = sa.select(own.c[counted.metric].label("value")).where(
        own.c.user_id == counted.user.id, own.c.usage_month == counted.window.first
    )
    return connection.execute(select).one_or_none()


def _day_columns(metric: str) -> tuple[Column, ...]:
    kind = Kind.BYTES if metric == "storage_bytes" else Kind.INTEGER
    # What is stored at the end of a month is that of its last day, no sum.
    is_sum = metric != "storage_bytes"
    return (
        Column("day", Kind.DATE, "the day, UTC"),
        Column("stored", kind, f"what is stored of it: {help_of(metric)}", total=is_sum),
        Column("rows", kind, "what the source rows say now", total=is_sum),
        Column("pruned", kind, "what pruned rows counted for", total=is_sum),
        Column("difference", kind, "stored, less rows and pruned", total=is_sum),
    )


def _row_columns(metric: str) -> tuple[Column, ...]:
    is_sum = metric != "storage_bytes"
    return (
        Column("table", help="where the row is; pruned_daily keeps what pruned rows counted for"),
        Column("row_id", Kind.ID, "the row; NULL for what is kept by day", null="-"),
        Column("at", Kind.TIME, "when it happened"),
        Column("quantity", Kind.INTEGER if is_sum else Kind.BYTES, "how much it counts for", total=is_sum),
    )
