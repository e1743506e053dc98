"""Whether the jobs run and the database is well: one page of checks."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries import schema, storage_tables, wanted_indexes
from avatarlab_cli.queries.job_success import FAILED_RUNS, RUN_EVERY, Doing, covers, successes
from avatarlab_cli.queries.platform import Platform
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.rollup import statistics, windows
from avatarlab_cli.schema.admin import platform_statistics
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.private import job_runs, period_close, usage_daily, usage_dirty
from avatarlab_cli.timeframe import Window

# No run takes so long.
STUCK_AFTER = timedelta(hours=2)
LARGEST = 5
# Below this, dead rows are no concern; autovacuum begins at a fifth of the table by itself.
DEAD_ROWS, DEAD_SHARE = 10_000, 0.25
OK, WARN, BAD, UNKNOWN = "ok", "warn", "bad", "unknown"
COLUMNS = (
    Column("check", Kind.ID, "what is looked at"),
    Column("state", help="ok, warn, bad, or unknown"),
    Column("value", help="what was found; of a job, its last success"),
    Column("bytes", Kind.BYTES, "of a table, with its indexes and TOAST", null="-"),
    Column("more", help="the command that shows more or helps, or the statement", null="-"),
)
Row = dict[str, object]


def health(connection: sa.Connection, now: datetime, jobs: Doing) -> list[Row]:
    """Return one row a check, whatever of the toolkit's tables is there."""
    platform = Platform(connection)
    return [
        *_schema(connection),
        *(_of_jobs(platform, now, jobs) if _has(platform, job_runs) else _unknown("jobs")),
        *(_windows(platform, now) if _has(platform, *_USAGE) else _unknown("usage")),
        *(_revenue(connection) if _sees_revenue(platform) else _unknown("revenue follows")),
        *_largest(connection),
        *_dead(connection),
        *_indexes(connection, platform),
    ]


def is_bad(rows: list[Row]) -> bool:
    """Tell whether any check found something bad."""
    return any(row["state"] == BAD for row in rows)


_USAGE = (period_close, usage_daily, usage_dirty)


def _has(platform: Platform, *tables: sa.Table) -> bool:
    return all(platform.live.has(qualified(table)) for table in tables)


def _unknown(check: str) -> Iterator[Row]:
    yield _row(check, UNKNOWN, "n/a", "avatarlab db migrate")


def _of_jobs(platform: Platform, now: datetime, jobs: Doing) -> Iterator[Row]:
    yield from _jobs(platform, now, jobs)
    yield from _runs(platform, now)


def _row(check: str, state: str, value: object, more: str | None = None, size: int | None = None) -> Row:
    # What is well needs nothing more.
    return {
        "check": check,
        "state": state,
        "value": value,
        "bytes": size,
        "more": None if state == OK else more,
    }


def _schema(connection: sa.Connection) -> Iterator[Row]:
    """Check what `db status` tells."""
    found = schema.describe(connection)
    pending, drift = _sized(found["pending"]), _sized(found["drift"])
    if pending:
        yield _row("migrations", BAD, f"{pending} to apply", "avatarlab db migrate")
    else:
        value = f"{drift} differences" if drift else f"at {found['revision']}"
        yield _row("migrations", WARN if drift else OK, value, "avatarlab db status")
    if not found["sees_all_rows"]:
        yield _row("row security", BAD, "hides rows from this login", "avatarlab db status")


def _sized(items: Any) -> int:  # noqa: ANN401 (a list, to those who read `db status`)
    return len(items)


def _jobs(platform: Platform, now: datetime, jobs: Doing) -> Iterator[Row]:
    """Check that each job had a success over all outstanding within a day, its own or that of a job which does its work too."""
    runs = platform[job_runs]
    latest = sa.select(runs.c.job, sa.func.max(runs.c.finished_at)).where(*successes(runs), covers(runs))
    rows = platform.connection.execute(latest.group_by(runs.c.job))
    found: Mapping[str, datetime] = {name: at for name, at in rows}  # noqa: C416 (rows are not pairs to mypy)
    for job, doing in jobs.items():
        last = max((found[name] for name in doing if name in found), default=None)
        is_late = last is None or last < now - RUN_EVERY
        value = "never" if last is None else _at(last)
        yield _row(f"job {job}", BAD if is_late else OK, value, f"avatarlab job run {job}")


def _runs(platform: Platform, now: datetime) -> Iterator[Row]:
    """Check that no run failed in a week, least of all the latest of a job, and none is still under way."""
    runs, more = platform[job_runs], "avatarlab job history"
    recent = sa.select(runs.c.job, runs.c.status, runs.c.started_at).where(
        sa.not_(runs.c.is_dry_run),
        sa.or_(runs.c.started_at >= now - timedelta(days=7), runs.c.status == "running"),
    )
    found = platform.connection.execute(recent.order_by(runs.c.started_at)).all()
    ended = {run.job: run.status for run in found if run.status not in ("running", "busy", "skipped")}
    failed = sum(run.status in FAILED_RUNS for run in found)
    state = BAD if any(status in FAILED_RUNS for status in ended.values()) else WARN if failed else OK
    yield _row("runs failed in 7 days", state, str(failed), more)
    stuck = sum(run.status == "running" and run.started_at < now - STUCK_AFTER for run in found)
    yield _row("runs under way for 2 hours", WARN if stuck else OK, str(stuck), more)


def _windows(platform: Platform, now: datetime) -> Iterator[Row]:
    """Check which months are open, whether today's usage is on record, and what waits to be recomputed."""
    connection, today = platform.connection, now.astimezone(UTC).date()
    months, first = windows.open_months(connection, today)
    since = "" if first is None else f", since {first:%Y-%m}"
    yield _row("open months", OK, f"{months}{since}")
    counted = sa.select(sa.func.max(usage_daily.c.computed_at)).where(usage_daily.c.day == today)
    at = connection.scalar(counted)
    value = "nothing yet" if at is None else _at(at)
    yield _row("usage of today", WARN if at is None else OK, value, "avatarlab job run monthly-usage")
    queue = sa.select(sa.func.count(), sa.func.min(usage_dirty.c.enqueued_at))
    waiting, oldest = connection.execute(queue).one()
    is_late = oldest is not None and oldest < now - RUN_EVERY
    value = str(waiting) if oldest is None else f"{waiting}, since {_at(oldest)}"
    yield _row("days to recompute", WARN if is_late else OK, value, "avatarlab job run monthly-usage")


def _sees_revenue(platform: Platform) -> bool:
    """Tell whether all days' revenue and movements can be read; of some of them alone nothing follows."""
    relation = platform.live.relation(qualified(platform_statistics))
    columns = {"arr_cents", *(f"mrr_{kind}" for kind in statistics.MOVEMENTS)}
    return (
        relation is not None
        and relation.columns.keys() >= columns
        and relation.is_readable
        and not relation.is_filtered
    )


def _revenue(connection: sa.Connection) -> Iterator[Row]:
    """Check that each day's recurring revenue is the day before's and its movements."""
    more = "avatarlab job run platform-statistics"
    if not connection.scalar(sa.select(sa.exists().where(platform_statistics.c.arr_cents.is_not(None)))):
        yield _row("revenue follows", UNKNOWN, "no day stored yet", more)
        return
    days = statistics.unexplained_days(connection, Window(date.min, date.max))
    broken = f"not on {len(days)} day{'s' if len(days) > 1 else ''}, the last {days[-1]}" if days else ""
    yield _row("revenue follows", BAD if days else OK, broken or "on every day", more)


def _largest(connection: sa.Connection) -> Iterator[Row]:
    """Name the largest tables; that one is large is nothing bad."""
    each = storage_tables.tables(connection).select.subquery("each")
    size, rows = sa.func.sum(each.c.bytes), sa.func.sum(each.c.rows)
    largest = (
        sa.select(each.c.table, size.label("size"), rows.label("rows"))
        .where(each.c.area != "PostgreSQL")
        .group_by(each.c.table)
        .order_by(size.desc().nulls_last(), each.c.table)
        .limit(LARGEST)
    )
    for table, bytes_, count in connection.execute(largest):
        value = "never analysed" if count is None else f"{count} rows"
        yield _row(f"table {table}", OK, value, size=None if bytes_ is None else int(bytes_))


_DEAD = sa.text("""
    SELECT schemaname || '.' || relname AS name, n_dead_tup AS dead, n_live_tup + n_dead_tup AS rows,
           greatest(last_vacuum, last_autovacuum) AS vacuumed
    FROM pg_stat_user_tables
    WHERE n_dead_tup >= :least AND n_dead_tup >= :share * (n_live_tup + n_dead_tup)
    ORDER BY n_dead_tup DESC, name
""")


def _dead(connection: sa.Connection) -> Iterator[Row]:
    """Check that vacuum keeps up: of each table, how much of it is rows that nobody sees any more."""
    found = connection.execute(_DEAD, {"least": DEAD_ROWS, "share": DEAD_SHARE}).all()
    for name, dead, rows, vacuumed in found:
        when = "never" if vacuumed is None else _at(vacuumed)
        value = f"{dead} of {rows}, vacuumed {when}"
        yield _row(f"dead rows {name.removeprefix('public.')}", WARN, value, f"VACUUM (ANALYZE) {name};")
    if not found:
        yield _row("dead rows", OK, "nowhere many")


_INVALID = sa.text("""
    SELECT n.nspname || '.' || c.relname FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND n.nspname = ANY (ARRAY['public', 'avatarlab_admin']) ORDER BY 1
""")


def _indexes(connection: sa.Connection, platform: Platform) -> Iterator[Row]:
    """Check for indexes that reports would use, and for the remains of some that could not be made."""
    states = [index.state for index in wanted_indexes.missing(platform.live)]
    missing, unknown = states.count(WARN), states.count(UNKNOWN)
    state = WARN if missing else UNKNOWN if unknown else OK
    value = f"{missing} missing"
    if unknown:
        value += f", {unknown} of tables of unknown size"
    yield _row("indexes", state, value, "avatarlab system health --indexes")
    for name in connection.scalars(_INVALID):
        yield _row(f"index {name}", WARN, "invalid, and so of no use", f"DROP INDEX CONCURRENTLY {name};")


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
