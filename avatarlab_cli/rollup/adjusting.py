"""Late changes under closed months: what their figures would be now, recorded beside them and never in them.

A figure as it is known is the `after` of its last adjustment since the month was closed, else what the month was closed
with. An adjustment's `before` is what was known until then.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.rollup import accounts, capture, closing, fresh, frozen, limits, pruned, rates, windows
from avatarlab_cli.rollup.availability import Availability, availability
from avatarlab_cli.rollup.daily import Scope, select_days
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import probe
from avatarlab_cli.schema.private import period_close, usage_adjustment
from avatarlab_cli.timeframe import month_window

ADJUSTED = "closing_adjusted"
"""The temporary table of what `adjust` recorded last: month, user_id, metric, before, after."""
CHANGED = "source rows changed after the month was closed"
_CLOSING = sa.text("SELECT id FROM avatarlab_admin.period_close WHERE month = :month AND reopened_at IS NULL")
# Adjustments, as `a`, that hold: those since the month was closed. Once it is reopened its figures have what they said.
SINCE = """a.recorded_at > coalesce(
    (SELECT greatest(p.closed_at, p.reopened_at) FROM avatarlab_admin.period_close p WHERE p.month = a.month), '-infinity')"""
_EVERYBODY = f"""
    SELECT user_id FROM closing_sources UNION SELECT user_id FROM ({frozen.FROZEN}) AS f
    UNION SELECT user_id FROM avatarlab_admin.usage_adjustment WHERE month = :month
    UNION SELECT unnest(ARRAY['{UNATTRIBUTED}', '{frozen.IDLE}']::uuid[])
"""
# By which card a month's figures, adjustments included, are priced.
_VERSION = sa.text(f"""
    SELECT coalesce(
        (SELECT a.rate_card_version FROM avatarlab_admin.usage_adjustment a
         WHERE a.month = :month AND a.rate_card_version IS NOT NULL AND {SINCE}
         ORDER BY a.recorded_at DESC, a.id LIMIT 1),
        (SELECT c.version FROM avatarlab_admin.rate_card c WHERE c.version IN (
             SELECT rate_card_version FROM public.monthly_usage WHERE usage_month = :month
             UNION SELECT rate_card_version FROM avatarlab_admin.usage_daily
             WHERE day >= :month AND day < CAST(:month AS date) + interval '1 month')
         ORDER BY c.loaded_at DESC, c.version LIMIT 1),
        (SELECT version FROM avatarlab_admin.rate_card ORDER BY loaded_at DESC, version LIMIT 1))
""")
_DIFFERENCES = """
    WITH frozen AS MATERIALIZED ({frozen}), known AS (
        SELECT DISTINCT ON (a.user_id, a.metric) a.user_id, a.metric, a.after FROM avatarlab_admin.usage_adjustment a
        WHERE a.month = :month AND {since} ORDER BY a.user_id, a.metric, a.recorded_at DESC
    ), idle AS (
        SELECT coalesce((SELECT figures FROM frozen WHERE user_id = '{idle}'), to_jsonb(m)) AS figures
        FROM usage_month_fresh m WHERE m.user_id = '{idle}'
    ), compared AS (
        SELECT m.user_id, v.metric, v.after, CASE WHEN k.metric IS NOT NULL THEN k.after
            ELSE (coalesce(f.figures, i.figures) ->> v.metric)::numeric END AS before
        FROM usage_month_fresh m
        CROSS JOIN idle i
        CROSS JOIN LATERAL (VALUES {values}) AS v (metric, after)
        LEFT JOIN frozen f ON f.user_id = m.user_id
        LEFT JOIN known k ON k.user_id = m.user_id AND k.metric = v.metric
        WHERE m.user_id <> '{idle}'
    )
    SELECT user_id, metric, before, after FROM compared WHERE before IS DISTINCT FROM after
"""


@dataclass(frozen=True)
class Adjusted:
    """How many adjustments were recorded, and of which figures nothing can be said here, and why."""

    recorded: int
    skipped: dict[str, str] = field(default_factory=dict)


def adjust(
    connection: sa.Connection,
    today: date,
    *,
    months: Iterable[date] = (),
    cells: sa.TableClause | None = None,
    reason: str = CHANGED,
) -> Adjusted:
    """Record by how much figures of closed months would now be others, a row for each month, user and metric.

    Looks at everybody in `months`, given by their first days, and at the users named by `cells`, a temporary table of
    month and user_id (UNATTRIBUTED for nobody; months that are open are passed over). Figures that cannot be computed
    here are left as they are known. A second call records nothing. Needs a transaction that may write, and replaces its
    temporary tables of rates, accounts, limits and months. Raises BusyError while a job runs elsewhere, NotPermittedError
    where rows cannot be seen, ConfigurationError where it is not known what was pruned.
    """
    closing.lock(connection)
    pruned.demand_kept(connection)
    live = probe(connection)
    available = availability(live)
    first = windows.first_open(connection)
    wanted = {month: None for month in months if month < first}
    by_month = {
        month: cells for month in _months_of(connection, cells) if month < first and month not in wanted
    }
    fresh.temporary(connection, ADJUSTED, _NONE)
    if not (wanted or by_month):
        return Adjusted(0)
    accounts.collect(connection, live)
    limits.collect(connection, live, today)
    recorded = sum(
        _adjust(connection, month, users, available, today=today, reason=reason)
        for month, users in sorted({**by_month, **wanted}.items(), key=lambda item: item[0])
    )
    return Adjusted(
        recorded, {name: why for name, why in available.skipped.items() if name in frozen.FIGURES}
    )


def closed_months(connection: sa.Connection) -> list[date]:
    """Return the closed months of which anything is on record or in the sources, the earliest first."""
    days = [f"SELECT {day} FROM {table}" for table, day in _ON_RECORD]
    days += [
        f'SELECT {capture.day_of("s", source)} FROM {qualified(source.table)} s WHERE isfinite(s."{source.time.name}")'
        for source, _ in availability(probe(connection)).measured
    ]
    months = f"""
        SELECT DISTINCT date_trunc('month', day::timestamp)::date AS month FROM ({" UNION ".join(days)}) AS each (day)
        WHERE day >= '0001-01-01' AND day < :first ORDER BY month"""
    first = windows.first_open(connection)
    return list(connection.scalars(sa.text(months), {"first": first}))


_ON_RECORD = (
    ("avatarlab_admin.usage_daily", "day"),
    ("avatarlab_admin.pruned_daily", "day"),
    ("avatarlab_admin.storage_daily", "day"),
    ("avatarlab_admin.period_close", "month"),
    ("avatarlab_admin.usage_adjustment", "month"),
    ("public.monthly_usage", "usage_month"),
)


def _months_of(connection: sa.Connection, cells: sa.TableClause | None) -> Iterator[date]:
    if cells is not None:
        yield from connection.scalars(sa.text(f"SELECT DISTINCT month FROM {cells.name}"))


def card_version(connection: sa.Connection, month: date) -> str | None:
    """Return the rate card by which a closed month is priced, adjustments included."""
    found: str | None = connection.scalar(_VERSION, {"month": month})
    return found


def _adjust(  # noqa: PLR0913 - what of which month, and why
    connection: sa.Connection,
    month: date,
    cells: sa.TableClause | None,
    available: Availability,
    *,
    today: date,
    reason: str,
) -> int:
    version = card_version(connection, month)
    if version is None:
        return 0
    closing_id = connection.scalar(_CLOSING, {"month": month})
    _collect_now(connection, month, cells, available, today=today, version=version, closing_id=closing_id)
    values = ", ".join(f"('{name}', m.{name}::numeric)" for name in frozen.FIGURES if available.has(name))
    sql = _DIFFERENCES.format(frozen=frozen.FROZEN, since=SINCE, idle=frozen.IDLE, values=values)
    changed = fresh.temporary(connection, "closing_changed", sa.text(sql), month=month, closing=closing_id)
    connection.execute(_REMEMBER, {"month": month})
    return record(connection, month, changed, reason, version)


_NONE = sa.text(
    "SELECT month, user_id, metric, before, after FROM avatarlab_admin.usage_adjustment WHERE false"
)
_REMEMBER = sa.text(
    f"INSERT INTO {ADJUSTED} SELECT :month, user_id, metric, before, after FROM closing_changed"
)


def _collect_now(  # noqa: PLR0913 - likewise
    connection: sa.Connection,
    month: date,
    cells: sa.TableClause | None,
    available: Availability,
    *,
    today: date,
    version: str,
    closing_id: UUID | None,
) -> None:
    """Create usage_month_fresh of what the users' month would be now, each of them with a row, and IDLE as well."""
    prices = fresh.temporary(connection, "rates_fresh", rates.stored(version))
    days: sa.Select[Any] = select_days(Scope(month_window(month)), available, prices, version)
    bound = {"month": month, "closing": closing_id}
    if cells is not None:
        users = f"SELECT '{frozen.IDLE}'::uuid AS user_id UNION SELECT user_id FROM {cells.name} WHERE month = :month"
        chosen = fresh.temporary(connection, "closing_users", sa.text(users), **bound)
        each = days.subquery("each")
        days = sa.select(each).where(each.c.user_id.in_(sa.select(chosen.c.user_id)))
    fresh.temporary(connection, "closing_sources", days)
    if cells is None:
        fresh.temporary(connection, "closing_users", sa.text(_EVERYBODY), **bound)
    frozen.sum_month(
        connection, month, "closing_sources", "closing_users", available, today=today, version=version
    )


def record(connection: sa.Connection, month: date, changed: sa.FromClause, reason: str, version: str) -> int:
    """Record adjustments of a closed month: rows of user_id, metric, before and after; returns how many.

    `version` is the rate card that prices what is recorded. Each adjustment is later than the one before of its figure,
    and than the closing, whatever the clock says.
    """
    adjusted = sa.select(
        _identity(month, changed),
        sa.literal(month, sa.Date),
        changed.c.user_id,
        changed.c.metric,
        sa.func.greatest(sa.func.now(), _latest(month, changed) + sa.text("interval '1 microsecond'")),
        changed.c.before,
        changed.c.after,
        sa.literal(reason, sa.Text),
        sa.literal(version, sa.Text),
    )
    names = [
        "id",
        "month",
        "user_id",
        "metric",
        "recorded_at",
        "before",
        "after",
        "reason",
        "rate_card_version",
    ]
    done = connection.execute(
        sa.insert(usage_adjustment).from_select(names, adjusted),
        execution_options={"preserve_rowcount": True},
    )
    return done.rowcount


def _latest(month: date, changed: sa.FromClause) -> sa.ColumnElement[Any]:
    """Return when the figure was last adjusted, or its month closed."""
    own = usage_adjustment
    of_figure = sa.and_(
        own.c.month == month, own.c.user_id == changed.c.user_id, own.c.metric == changed.c.metric
    )
    last = sa.select(sa.func.max(own.c.recorded_at)).where(of_figure).scalar_subquery()
    closed = sa.select(sa.func.max(period_close.c.closed_at)).where(period_close.c.month == month)
    return sa.func.greatest(last, closed.scalar_subquery())


def _identity(month: date, changed: sa.FromClause) -> sa.ColumnElement[Any]:
    """Return the id of a figure's next adjustment: one invented anew would put a plan's rows into another order."""
    named = sa.func.concat_ws(
        "/", sa.literal(month, sa.Date), changed.c.user_id, changed.c.metric, _latest(month, changed)
    )
    return sa.cast(sa.func.md5(named), sa.Uuid)
