"""avatarlab job: run the aggregation jobs and look at their runs."""

import functools
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import AvatarLabError, ExitCode, UsageError
from avatarlab_cli.timeframe import Window, month_window, parse_day, parse_month
from commands import job_telling, job_timers, options
from jobs.registry import BY_NAME, DOING, JOBS, job_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from avatarlab_cli.report import Report
    from avatarlab_cli.rollup.rates import RateCard
    from jobs.result import Result
    from jobs.runner import Order, Preview, Run

app = App()
app.add_typer(job_telling.app)
app.add_typer(job_timers.app, name="timers")
_LONGEST_PAUSE_SECONDS = 86_400
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
    scheduled: Annotated[
        bool | None,
        typer.Option(
            "--scheduled/--no-scheduled",
            help="It is a timer's run, for the slot of its schedule; else as systemd's timers tell.",
        ),
    ] = None,
    dry_run: options.DryRun = False,
) -> None:
    """Run a job now, for all open days unless some are named, and show its record.

    A run is all or nothing and may be repeated: values are computed anew and set, never added to. While another
    run has the job, this one ends with exit code 75. With --quiet a successful run prints nothing. Where verify found
    differences, or close-month could not close all that is due, it says so and ends with exit code 3.

    A slot that a timer's run has done, on whichever host, is not done again: the run ends with 0. At night it waits for a
    database out of reach, as long as `job_retry_within` allows. Told to end, by SIGTERM or Ctrl-C, it does so after its
    current transaction; told twice, at once.

    \b
    Examples:
      avatarlab job run monthly-usage
      avatarlab --quiet job run monthly-usage --scheduled
      avatarlab job run monthly-usage --month 2026-03 --dry-run
      avatarlab job run platform-statistics --from 2026-03-01 --to 2026-03-31
    """
    from avatarlab_cli.process import signals_deferred
    from avatarlab_cli.queries import changes, jobs
    from avatarlab_cli.rollup import rates
    from avatarlab_cli.show import demand_options, show
    from avatarlab_cli.telling.attending import Outcome, attended
    from jobs import findings
    from jobs.patience import Patience, is_lost
    from jobs.runner import execute

    invocation = current(context)
    chosen = job_named(name)
    window = _window(month, day, first, last)
    slot = _slot(context, scheduled, window)
    demand_options(context, changes.COLUMNS if dry_run else jobs.COLUMNS)
    preview = functools.partial(_preview, context) if dry_run else None
    run_id = uuid4()
    telling = nullcontext(Outcome()) if dry_run else attended(invocation, chosen.name, run_id, DOING)
    # What is told of a run that a signal came too late for is that it succeeded.
    with signals_deferred() as ending, telling as outcome:
        prices = rates.load(invocation.settings.get("rates_file"))
        order = replace(
            _order(context, prices, window, preview, slot=slot),
            run_id=run_id,
            progress=outcome.progress,
            permit=invocation.demand_permission,
        )
        done = execute(invocation.job_database, chosen, order)
        found = list(_found(done))
        outcome.code = ExitCode.FOUND if found else ExitCode.OK
        outcome.is_idle = done.status == "skipped"
        outcome.findings = functools.partial(findings.matters, invocation.database, chosen.name, done)
        if not (dry_run or invocation.is_quiet):
            # What was done is not to fail because its record cannot be shown at once.
            patience = Patience.of(invocation.database, chosen, order, ending)
            patience.borne(lambda: show(context, lambda _: jobs.show(done.record)), is_lost)
    if done.status == "skipped":
        invocation.environment.say(f"the slot {done.slot:%Y-%m-%d %H:%M}Z is done, by run {done.done_by}")
    for sentence in found:
        invocation.environment.show(sentence)
    if found:
        raise typer.Exit(ExitCode.FOUND)


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

    chosen = None if name is None else job_named(name).name
    show(context, lambda _: jobs.history(chosen))


@app.report()
def verify(
    context: typer.Context,
    month: Annotated[
        str | None,
        typer.Option("--month", metavar="YYYY-MM", help="Verify this month; the running one by default."),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="Verify the months from this day's.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Up to this day's, included.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="NAME", help="Only this figure; a wrong one lists all.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set open months anew, and adjust closed ones.")
    ] = False,
) -> None:
    """Compute figures anew and list where what is stored differs; exit code 3 where anything does.

    Of users' days and months, costs and limits included, and of the platform's days before today, revenue included.
    Nothing is changed without --repair. Rows that came since the last runs of monthly-usage and platform-statistics differ
    too, so run these first.

    \b
    Examples:
      avatarlab job verify
      avatarlab job verify --from 2026-01-01 --to 2026-03-31 --metric images_generated
      avatarlab job verify --metric mrr
      avatarlab job verify --month 2026-03 --repair
    """
    from avatarlab_cli.queries import verification
    from avatarlab_cli.rollup import rates
    from avatarlab_cli.show import demand_options, show_rows
    from jobs.runner import execute, today_of

    invocation = current(context)
    demand_options(context, verification.COLUMNS)
    verification.demand_metric(metric)
    window = _window(month, None, first, last)
    prices = rates.load(invocation.settings.get("rates_file"))
    invocation.demand_permission()
    database = invocation.job_database
    if window is None:
        with database.read() as connection:
            window = month_window(today_of(connection).replace(day=1))
    found = _differences(context, prices, window, metric)
    show_rows(context, verification.COLUMNS, found)
    if found and repair:
        for name, days in verification.repairs(database, window):
            execute(database, BY_NAME[name], _order(context, prices, days))
        # For the record, which is what monitoring knows of these months until their next turn.
        left = execute(database, BY_NAME["verify"], _order(context, prices, window)).result
        if count := left.details.get("mismatches"):
            raise _unrepaired(count)
        invocation.environment.say("repaired: looked at again, nothing differs")
    elif found:
        raise typer.Exit(ExitCode.FOUND)


def _differences(
    context: typer.Context, prices: "RateCard", window: Window, metric: str | None
) -> list[dict[str, object]]:
    """Return where what is stored of the window's months differs from the sources, of one figure or of all."""
    from avatarlab_cli.queries import verification
    from jobs.runner import execute

    found: list[dict[str, object]] = []

    def look(connection: "sa.Connection", _: "Result", __: "Report") -> None:
        found.extend(verification.differences(connection, metric))

    execute(current(context).job_database, BY_NAME["verify"], _order(context, prices, window, look))
    return found


def _unrepaired(count: object) -> AvatarLabError:
    error = AvatarLabError(
        f"{count} figures differ after the repair",
        hint="`avatarlab job verify` lists them; rows may have come since",
    )
    error.exit_code = ExitCode.FOUND
    return error


@app.report()
def gaps(context: typer.Context) -> None:
    """List the days and months before today that were never computed; exit code 3 where any can be.

    Stored bytes of days before the first snapshot, and of long gaps, cannot be told any more: they are listed, and
    no finding. Days of a closed month can be computed once it is reopened.

    \b
    Examples:
      avatarlab job gaps
      avatarlab job gaps --field more
    """
    from avatarlab_cli.queries import job_gaps
    from avatarlab_cli.show import show_findings
    from jobs.runner import today_of

    show_findings(context, lambda connection: job_gaps.gaps(connection, today_of(connection)))


@app.report()
def backfill(
    context: typer.Context,
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="From this day's month.")],
    last: Annotated[
        str, typer.Option("--to", metavar="YYYY-MM-DD", help="Up to this day's month, included.")
    ],
    pause: Annotated[
        float, typer.Option("--pause", metavar="SECONDS", help="Rest so long after each month.")
    ] = 1.0,
    dry_run: options.DryRun = False,
) -> None:
    """Compute past months anew, one after the other, while the regular jobs go on.

    Each month is whole by itself, and what is interrupted names the command that goes on; a first Ctrl-C lets the
    current transaction end. While another run has the lock it is waited for.

    \b
    Examples:
      avatarlab job backfill --from 2025-01-01 --to 2025-12-31
      avatarlab job backfill --from 2025-01-01 --to 2025-12-31 --pause 10
      avatarlab job backfill --from 2025-01-01 --to 2025-12-31 --dry-run
    """
    from avatarlab_cli.rollup import rates, verifying
    from avatarlab_cli.show import demand_options, show_rows
    from jobs.backfill import COLUMNS, each_month

    invocation = current(context)
    demand_options(context, COLUMNS)
    _demand_pause(pause)
    window = _window(None, None, first, last)
    assert window is not None  # noqa: S101 (both ends were given)
    prices = rates.load(invocation.settings.get("rates_file"))
    invocation.demand_permission()
    progress = invocation.progress(f"of {len(verifying.months_of(window))} months")
    order = _order(context, prices, None, _shows_nothing if dry_run else None)
    rows: list[dict[str, object]] = []
    try:
        for row in each_month(invocation.job_database, window, order, pause):
            rows.append(row)
            if progress:
                progress(str(row["month"]), len(rows))
    except BaseException:
        if rows and not dry_run:
            invocation.kept = _rest(window, len(rows), pause)
        raise
    show_rows(context, COLUMNS, rows)
    if dry_run:
        invocation.environment.say(f"dry run of {window}: nothing was changed")


def _demand_pause(seconds: float) -> None:
    """Raise UsageError for what nobody can wait; nan is not even less than 0."""
    if not 0 <= seconds <= _LONGEST_PAUSE_SECONDS:
        raise UsageError(
            f"--pause {seconds:g} is no time to rest", hint=f"seconds from 0 to {_LONGEST_PAUSE_SECONDS}"
        )


def _rest(window: Window, done: int, pause: float) -> str | None:
    """Return how to go on where so many months of a window are done; None where all are."""
    from avatarlab_cli.rollup import verifying

    months = verifying.months_of(window)
    if done == len(months):
        return None
    last = window.end - timedelta(days=1)
    return (
        f"done up to {months[done - 1]:%Y-%m}; this goes on:"
        f" avatarlab job backfill --from {months[done]} --to {last} --pause {pause:g}"
    )


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


def _found(done: "Run") -> "Iterator[str]":
    """Yield what a run that did its work met and somebody must look at, in sentences; cron is to show them."""
    details = done.result.details
    if refused := details.get("refused"):
        yield str(refused)
    if mismatches := details.get("mismatches"):
        yield f"{mismatches} figures differ from their sources: `avatarlab job show {done.run_id}` counts them by metric"


def _shows_nothing(connection: "sa.Connection", result: "Result", changes: "Report") -> None:
    """Look at nothing of what a run would change: its count is enough."""


def _order(
    context: typer.Context,
    prices: "RateCard",
    window: Window | None,
    preview: "Preview | None" = None,
    slot: datetime | None = None,
) -> "Order":
    from avatarlab_cli.logs import logger
    from jobs.runner import Order

    settings = current(context).settings
    return Order(
        prices,
        window,
        preview=preview,
        close_after_days=int(settings.require("close_after_days")),
        verify_within_days=int(settings.require("verify_within_days")),
        slot=slot,
        retry_seconds=settings.seconds("job_retry_within"),
        log=logger(current(context)),
    )


def _slot(context: typer.Context, scheduled: bool | None, window: Window | None) -> datetime | None:
    """Return when a timer started this run, None where none did; raises UsageError where it names days as well."""
    from jobs.slots import VARIABLE, told_by_systemd

    invocation = current(context)
    told = told_by_systemd(invocation.variables.get(VARIABLE))
    if window is not None:
        if scheduled:
            raise UsageError("--scheduled does all that is outstanding", hint="leave out the days")
        return None
    if scheduled is None:
        return told
    return (told or invocation.clock()) if scheduled else None


def _window(month: str | None, day: str | None, first: str | None, last: str | None) -> Window | None:
    """Return the days the options name, None for all open ones; raises UsageError where they contradict."""
    ways = {"--month": month, "--day": day, "--from/--to": first or last}
    given = [option for option, value in ways.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", hint="name the days in one way")
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
    is_any = result.window.first < result.window.end
    said = f"dry run of {result.window}: nothing was changed" if is_any else "dry run: there is nothing to do"
    invocation.environment.say(said)
