"""What the verification of a transaction found, for people to read."""

import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.errors import UsageError
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.rollup import verifying, windows
from avatarlab_cli.rollup.verifying import DIFFERENCES
from avatarlab_cli.rollup.verifying_platform import DIVIDED, NUMBERS
from avatarlab_cli.timeframe import Window

FIGURES = tuple(dict.fromkeys((*verifying.FIGURES, *NUMBERS, *DIVIDED)))
COLUMNS = (
    Column("stored_in", help="usage_daily, monthly_usage, platform_statistics, or closed month"),
    Column("day", Kind.DATE, "the day, or the first of the month"),
    Column("user_id", Kind.ID, "whose figure it is; zeros for nobody's, none for the platform's", null="-"),
    Column("metric", help="which figure; of a version 1 stands for the one in force, 0 for another"),
    Column("stored", Kind.DECIMAL, "what is on record, adjustments included"),
    Column("actual", Kind.DECIMAL, "what the sources say now"),
)


def demand_metric(metric: str | None) -> None:
    """Raise UsageError for a name no figure has."""
    if metric is not None and metric not in FIGURES:
        raise UsageError(f"{metric!r} is not a figure", hint=f"figures: {', '.join(FIGURES)}")


def differences(connection: sa.Connection, metric: str | None) -> list[dict[str, object]]:
    """Return what the transaction's verification found, of one figure or of all."""
    found = sa.table(DIFFERENCES, *(sa.column(column.name) for column in COLUMNS))
    wanted = sa.select(found).order_by(found.c.day, found.c.user_id, found.c.metric, found.c.stored_in)
    if metric is not None:
        # A figure's parts, as users_by_tier.pro, are that figure's.
        wanted = wanted.where(sa.func.split_part(found.c.metric, ".", 1) == metric)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def repairs(database: Database, window: Window) -> list[tuple[str, Window]]:
    """Return the jobs that set right what differs in the window, each with its days: closed months, then open ones."""
    with database.read() as connection:
        first = windows.first_open(connection)
    closed = Window(window.first, min(window.end, first))
    opened = Window(max(window.first, first), window.end)
    wanted = (("verify", closed), ("monthly-usage", opened), ("platform-statistics", opened))
    return [(name, days) for name, days in wanted if days.first < days.end]
