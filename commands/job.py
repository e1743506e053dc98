"""avatarlab job: run the aggregation jobs and look at their runs."""

import functools
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import NotFoundError, UsageError
from avatarlab_cli.timeframe import Window, month_window, parse_day, parse_month
from commands import options
from jobs.registry import BY_NAME, JOBS, Job

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report
    from jobs.result import Result
    from jobs.runner import Run

app = App()
Name = Annotated[str, typer.Argument(metavar="JOB", help="Its name, as `job list` shows it.")]


@app.callback()
def job() -> None:
    """Run the aggregation jobs and look at their runs."""


@app.report("list")
def list_jobs(context: typer.Context) -> None:
    """List the jobs.

    \b
    Examples:
      avatarlab job list
    """
    from avatarlab_cli.report import Column, Kind
    from avatarlab_cli.show import show_rows

    rows = [{"job": job.name, "summary": job.summary, "lock": job.lock} for job in JOBS]
    columns = (
        Column("job", Kind.ID, "its name"),
        Column("summary", help="what it computes"),
        Column("lock", help="jobs of one lock run one at a time", wide=True),
    )
    show_rows(context, columns, rows)


@app.report()
def run(
    context: typer.Context,
    name: Name,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Recompute this month.")
    ] = None,
    day: Annotated[
        str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="Recompute this day.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="Recompute from this day.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Up to this day, included.")
    ] = None,
    dry_run: options.DryRun = False,
) -> None:
    """Run a job now, for all open days unless some are named, and show its record.

    A run is all or nothing and may be repeated: values are computed anew and set, never added to. While another
    run has the job, this one ends with exit code 75. With --quiet a successful run prints nothing.

    \b
    Examples:
      avatarlab job run monthly-usage
      avatarlab job run monthly-usage --month 2026-03 --dry-run
      avatarlab job run platform-statistics --from 2026-03-01 --to 2026-03-31
    """
    from avatarlab_cli.queries import changes, jobs
    from avatarlab_cli.rollup import rates
    from avatarlab_cli.show import demand_options, show
    from jobs.runner import Order, execute

    invocation = current(context)
    chosen = _job(name)
    window = _window(month, day, first, last)
    prices = rates.load(invocation.settings.get("rates_file"))
    demand_options(context, changes.COLUMNS if dry_run else jobs.COLUMNS)
    invocation.demand_permission()
    preview = functools.partial(_preview, context) if dry_run else None
    order = Order(prices, window, preview=preview, close_after_days=_close_after_days(context))
    done = execute(invocation.job_database, chosen, order)
    _log(context, chosen, done)
    if not (dry_run or invocation.is_quiet):
        show(context, lambda _: jobs.show(done.run_id))


@app.report()
def history(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Only the runs of this job.")] = None,
) -> None:
    """List the runs, the latest first.

    \b
    Examples:
      avatarlab job history
      avatarlab job history monthly-usage --limit 5 --fields started_at,status,seconds
    """
    from avatarlab_cli.queries import jobs
    from avatarlab_cli.show import show

    chosen = None if name is None else _job(name).name
    show(context, lambda _: jobs.history(chosen))


@app.report("show")
def show_run(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, or the beginning of it.")],
) -> None:
    """Show everything about one run: what it did, what it could not compute and why.

    \b
    Examples:
      avatarlab job show 5f0c
    """
    from avatarlab_cli.queries import jobs
    from avatarlab_cli.queries.naming import find
    from avatarlab_cli.show import show

    show(context, lambda connection: jobs.show(find(connection, jobs.RUN, run).id))


def _close_after_days(context: typer.Context) -> int:
    return int(current(context).settings.require("close_after_days"))


def _job(name: str) -> Job:
    if name not in BY_NAME:
        raise NotFoundError(f"there is no job {name!r}", hint=f"jobs: {', '.join(BY_NAME)}")
    return BY_NAME[name]


def _window(month: str | None, day: str | None, first: str | None, last: str | None) -> Window | None:
    """Return the days the options name, None for all open ones; raises UsageError where they contradict."""
    if sum(option is not None for option in (month, day, first or last)) > 1:
        raise UsageError("--month, --day and --from/--to exclude each other", hint="name the days in one way")
    if month is not None:
        return month_window(parse_month(month))
    if day is not None:
        return Window(parse_day(day), parse_day(day) + timedelta(days=1))
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise UsageError("--from and --to belong together", hint="--from 2026-03-01 --to 2026-03-31")
    window = Window(parse_day(first), parse_day(last) + timedelta(days=1))
    if window.end <= window.first:
        raise UsageError(f"--to {last} lies before --from {first}")
    return window


def _preview(
    context: typer.Context, connection: "sa.Connection", result: "Result", changes: "Report"
) -> None:
    """Show what the run would change, while its transaction still holds it."""
    from avatarlab_cli.output.write import write

    invocation = current(context)
    write(changes, connection, invocation.output, invocation.environment)
    invocation.environment.say(f"dry run of {result.window}: nothing was changed")


def _log(context: typer.Context, chosen: Job, done: "Run") -> None:
    from avatarlab_cli.logs import logger

    logger(current(context)).info(
        "job succeeded",
        job=chosen.name,
        run=str(done.run_id),
        seconds=round(done.seconds, 3),
        rows_read=done.result.rows_read,
        rows_written=done.result.rows_written,
        skipped=sorted(done.result.skipped),
    )
