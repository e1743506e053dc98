"""avatarlab job: how the jobs do, for people, monitoring and systemd."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import AvatarLabError
from avatarlab_cli.timeframe import parse_duration
from jobs.registry import BY_NAME, DOING, job_named

if TYPE_CHECKING:
    from avatarlab_cli.queries.job_states import State

app = App()


@app.report()
def status(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[JOB]...", help="Only these jobs; all by default.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="One line for monitoring; exit code 0, 1, 2 or 3.")
    ] = False,
    max_age: Annotated[
        str, typer.Option("--max-age", metavar="TIME", help="How old a job's last success may be: 26h, 2d.")
    ] = "26h",
) -> None:
    """Show how each job does: its last success, next slot, and how long it takes beside what is usual.

    What counts is a run over all that is outstanding, as a timer's is, not one over days that somebody named.

    With --check the answer is one line as Nagios and its kin take it, and the exit code is theirs: 0 where all is OK; 1,
    WARNING, where a job's last run did not succeed; 2, CRITICAL, where one has not succeeded within --max-age; 3, UNKNOWN,
    where that cannot be told.

    \b
    Examples:
      avatarlab job status
      avatarlab job status --check --max-age 26h
      avatarlab job status monthly-usage platform-statistics --check --max-age 3h
    """
    if check:
        _check(context, names or [], max_age)
        return
    from avatarlab_cli.queries.job_states import COLUMNS
    from avatarlab_cli.show import demand_options, show_rows

    invocation = current(context)
    demand_options(context, COLUMNS)
    longest, now = parse_duration(max_age), invocation.clock()
    rows: list[dict[str, object]] = [
        {
            "job": state.job,
            "state": state.judged(now, longest),
            "last_success": state.succeeded_at,
            "age_hours": state.age_hours(now),
            "last_status": state.status,
            "next_slot": BY_NAME[state.job].schedule.after(now),
            "seconds": state.seconds,
            "median_seconds": state.median_seconds,
            "trend": state.trend,
            "last_ended": state.ended_at,
            "failures": state.failures,
        }
        for state in _states(context, names or [], now)
    ]
    show_rows(context, COLUMNS, rows)


def _check(context: typer.Context, names: Sequence[str], max_age: str) -> None:
    """Print the one line of `--check`; whatever keeps it from being told is UNKNOWN, and a line too."""
    from avatarlab_cli.telling import plugin

    try:
        longest, now = parse_duration(max_age), current(context).clock()
        verdict = plugin.verdict(_states(context, names, now), now, longest, max_age)
    except AvatarLabError as error:
        verdict = plugin.unknown(error.message)
    except Exception as error:  # noqa: BLE001 (monitoring understands one line alone)
        verdict = plugin.unknown(f"{type(error).__name__}: {error}")
    typer.echo(verdict.line)
    raise typer.Exit(verdict.code)


def _states(context: typer.Context, names: Sequence[str], now: datetime) -> "list[State]":
    from avatarlab_cli.queries.job_states import states

    jobs = [job_named(name).name for name in names] or DOING
    with current(context).reading() as connection:
        return states(connection, {name: DOING[name] for name in jobs}, now)


@app.command()
def metrics(context: typer.Context) -> None:
    """Print how the jobs do as metrics for Prometheus.

    The setting metrics_file names a file that each run of a job writes the same to, for the textfile collector of
    Prometheus' node exporter.

    \b
    Examples:
      avatarlab job metrics
    """
    from avatarlab_cli.telling import textfile

    invocation = current(context)
    invocation.demand_permission()
    typer.echo(textfile.text(invocation, DOING), nl=False)


@app.command()
def failed(
    context: typer.Context,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="The unit of systemd that failed.")],
) -> None:
    """Tell the webhook that a service failed, for systemd's OnFailure=, unless its command has told that itself.

    What failed and why is read from the variables MONITOR_SERVICE_RESULT, MONITOR_EXIT_STATUS and
    MONITOR_INVOCATION_ID, which systemd sets.

    \b
    Examples:
      avatarlab job failed avatarlab-verify.service
    """
    from avatarlab_cli.telling.unit import failed as tell

    if (why := tell(current(context), unit)) is not None:
        raise AvatarLabError(f"the webhook was not told that {unit} failed: {why}")
