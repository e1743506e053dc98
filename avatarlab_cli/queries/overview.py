"""The page an admin opens in the morning: yesterday beside the week before, and what is not as it should be."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries import api_unusual, cost_anomalies, overview_counts
from avatarlab_cli.queries.job_success import Doing, successes
from avatarlab_cli.queries.overview_counts import Line, Times
from avatarlab_cli.queries.platform import Expression, Platform, unknown
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.platform_usage import TODAY_COLUMNS
from avatarlab_cli.schema import private
from avatarlab_cli.schema.admin import monthly_usage, platform_statistics
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.timeframe import Window

YESTERDAY = "yesterday"
COMPUTE = "job run platform-statistics"
FIGURES = {
    "new_users": ("new users", "stats show"),
    "daily_active_users": ("active users", "stats show"),
    "chat_messages_today": ("web chat messages", "conversation volume"),
    "conversations_today": ("WhatsApp/API exchanges", "conversation volume"),
    "images_generated_today": ("images", "image volume"),
    "videos_generated_today": ("videos", "image videos"),
    "tts_generations_today": ("texts spoken", "voice tts"),
    "api_requests_today": ("API requests", "api endpoints"),
    "estimated_cost_today": ("estimated cost, USD", "cost report"),
    "mrr": ("MRR, USD", "stats show"),
    "storage_bytes": ("bytes stored", "storage summary"),
}
"""The stored statistics of the page: what each is, and the command that shows more."""
COLUMNS = (
    Column("section", help="yesterday, over, stale, failing, waiting or unusual"),
    # What a list of ids names the lines by.
    Column("what", Kind.ID, "what the figure counts"),
    Column("value", Kind.DECIMAL, "how much: on the last complete day, or now"),
    Column("before", Kind.DECIMAL, "on an average day of the seven before", wide=True, null="-"),
    Column("change", Kind.PERCENT, "from before to the value", null="-"),
    Column("state", help="ok, warn, bad, or unknown"),
    Column("more", help="what to call `avatarlab` with to see more"),
    Column("position", Kind.INTEGER, "the order of the lines", wide=True),
)


def overview(connection: sa.Connection, now: datetime, jobs: Doing) -> Report:
    """Report the figures of yesterday beside the week before, then what an admin should look at."""
    platform = Platform(connection)
    today = datetime.combine(now.astimezone(UTC), time(), UTC)
    times = Times(now, today - timedelta(days=8), today - timedelta(days=1), today)
    yesterday, bounds = times.yesterday.date(), api_unusual.Bounds()
    begins = api_unusual.history_begins(connection, yesterday, bounds)
    unusual = api_unusual.found(platform, yesterday, bounds, begins)
    keys = overview_counts.count_of(platform, unusual.subquery("unusual"))
    if api_unusual.is_too_short(yesterday, begins):
        keys = unknown(keys)
    run = _latest_run(platform)
    lines = [
        *_yesterday(platform, times, run),
        *overview_counts.lines(platform, times, jobs),
        Line("unusual", "API keys", keys, "api unusual"),
        Line("unusual", "costs", _anomalies(platform, times), "cost anomalies"),
    ]
    each = sa.union_all(*(_select(position, line) for position, line in enumerate(lines, 1))).subquery(
        "lines"
    )
    notes = (*api_unusual.pruned_notes(yesterday, bounds, begins), *_age_notes(times, run))
    return platform.report(_judged(each), COLUMNS, of_lines=True, sort="position", notes=notes)


def _select(position: int, line: Line) -> sa.Select[Any]:
    before = sa.null() if line.before is None else line.before
    return sa.select(
        sa.literal(position).label("position"),
        sa.literal(line.section).label("section"),
        sa.literal(line.what).label("what"),
        sa.cast(line.value, sa.Numeric).label("value"),
        sa.cast(before, sa.Numeric).label("before"),
        sa.literal(line.severity).label("severity"),
        sa.literal(line.more).label("more"),
    )


def _judged(each: sa.Subquery) -> sa.Select[Any]:
    is_unknown, is_figure = each.c.value.is_(None), each.c.section == YESTERDAY
    state = sa.case(
        (is_unknown, "unknown"), (sa.or_(is_figure, each.c.value == 0), "ok"), else_=each.c.severity
    )
    change = sa.func.round(each.c.value / sa.func.nullif(each.c.before, 0) - 1, 6)
    more = sa.case((sa.and_(is_unknown, is_figure), COMPUTE), else_=each.c.more)
    before = sa.func.trim_scale(sa.func.round(each.c.before, 2))
    return sa.select(
        each.c.section,
        each.c.what,
        each.c.value,
        before.label("before"),
        change.label("change"),
        state.label("state"),
        more.label("more"),
        each.c.position,
    )


def _yesterday(platform: Platform, times: Times, run: Any) -> Iterator[Line]:  # noqa: ANN401 (a row)
    """Yield the stored statistics; what the run could not count is stored as 0 in some columns, and not known."""
    stored = platform[platform_statistics]
    skipped = {} if run is None else run.metrics_skipped
    day = stored.c.stat_date
    for name, (what, more) in FIGURES.items():
        figure = stored.c[name] if not {name, TODAY_COLUMNS.get(name)} & skipped.keys() else sa.null()
        # Of one day there is one row.
        value, before = (
            sa.select(platform.known(sa.func.avg(sa.cast(figure, sa.Numeric)), day))
            .where(day >= first.date(), day < end.date())
            .having(sa.literal_column("true"))
            .scalar_subquery()
            for first, end in ((times.yesterday, times.today), (times.week, times.yesterday))
        )
        yield Line(YESTERDAY, what, sa.func.trim_scale(value), more, before)


def _anomalies(platform: Platform, times: Times) -> Expression:
    """Count what `cost anomalies` finds of yesterday; not known before a run has computed all of it."""
    day = times.yesterday.date()
    needed = (*vars(private).values(), monthly_usage)
    if not all(platform.live.has(qualified(table)) for table in needed if isinstance(table, sa.Table)):
        return sa.null()
    window = Window(day, times.today.date())
    found = cost_anomalies.anomalies(platform.connection, window, cost_anomalies.Bounds())
    is_computed = overview_counts.is_computed(platform[private.job_runs], day, times.today)
    count = sa.select(sa.func.count()).select_from(found.select.subquery()).scalar_subquery()
    return sa.case((is_computed, count))


def _latest_run(platform: Platform) -> Any:  # noqa: ANN401 (a row)
    runs = platform[private.job_runs]
    return platform.connection.execute(
        sa.select(runs.c.started_at, runs.c.metrics_skipped)
        .where(runs.c.job == "platform-statistics", *successes(runs))
        .order_by(runs.c.started_at.desc())
        .limit(1)
    ).one_or_none()


def _age_notes(times: Times, run: Any) -> tuple[str, ...]:  # noqa: ANN401 (a row)
    if run is None:
        return (f"the platform's figures were never computed: `avatarlab {COMPUTE}`",)
    if run.started_at < times.today:
        at = f"{run.started_at:%Y-%m-%d %H:%M}Z"
        return (
            f"the figures were last computed at {at}, before yesterday was over: `avatarlab {COMPUTE}` anew",
        )
    return ()
