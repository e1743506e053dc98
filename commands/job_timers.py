"""avatarlab job timers: have the jobs and checks run by themselves."""

from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import ExitCode, RefusedError, UsageError
from commands import options

if TYPE_CHECKING:
    from jobs.timers.manager import Manager, Row

app = App()
ForUser = Annotated[bool, typer.Option("--user", help="For your own user, not for the system.")]


@app.callback()
def timers() -> None:
    """Have the jobs and checks run by themselves, by systemd's timers or by cron."""


@app.report()
def install(
    context: typer.Context,
    systemd: Annotated[bool, typer.Option("--systemd", help="By systemd's timers.")] = False,
    cron: Annotated[bool, typer.Option("--cron", help="By cron, where systemd is not to be had.")] = False,
    user: ForUser = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Print every file whole; change nothing.")
    ] = False,
) -> None:
    """Install a timer for each job and check, or bring those installed up to date; a second time changes nothing.

    For the system this takes root, and for cron a user avatarlab. A --profile or --config given here is given to each
    run. No file written holds a secret: systemd hands units the database's URL from /etc/credstore/avatarlab.database_url,
    and cron's lines read the configuration.

    \b
    Examples:
      avatarlab job timers install --systemd --dry-run
      avatarlab job timers install --systemd
      avatarlab --profile production job timers install --cron --user
    """
    from avatarlab_cli.output.sink import opened
    from avatarlab_cli.show import demand_options, show_rows
    from jobs.timers.manager import COLUMNS
    from jobs.timers.program import installed

    if systemd == cron:
        raise UsageError("choose how: --systemd or --cron", hint="--systemd where the machine has it")
    invocation = current(context)
    demand_options(context, COLUMNS)
    chosen, other = _managers(context, user=user)
    if cron:
        chosen, other = other, chosen
    program = installed(invocation.flags)
    if dry_run:
        texts = chosen.files(program).items()
        with opened(invocation.output, invocation.environment) as sink:
            sink.write("\n".join(f"# {place}\n{text}" for place, text in texts))
        return
    if other.places():
        raise RefusedError(
            f"timers are installed by {other.name}, and would run twice",
            hint=f"first: avatarlab job timers remove{' --user' if user else ''}",
        )
    show_rows(context, COLUMNS, list(chosen.install(program)))
    for sentence in chosen.notes():
        invocation.environment.say(sentence)


@app.report()
def check(context: typer.Context, user: ForUser = False) -> None:
    """Compare the timers installed with what this version would install; exit code 3 where anything differs.

    Also where none is installed, or one does not run. Give the --profile and --config they were installed with.

    \b
    Examples:
      avatarlab job timers check
      avatarlab job timers check --user --json
    """
    from avatarlab_cli.show import show_rows
    from jobs.timers.manager import DIFFERENCES
    from jobs.timers.program import installed

    there = [manager for manager in _managers(context, user=user) if manager.places()]
    program = installed(current(context).flags)
    rows = [row for manager in there for row in manager.differences(program)]
    if len(there) != 1:
        state = "installed twice" if there else "not installed"
        more = "avatarlab job timers remove" if there else "avatarlab job timers install --systemd"
        rows.append({"what": "timers", "state": state, "more": f"{more}{' --user' if user else ''}"})
    show_rows(context, DIFFERENCES, rows, empty="All is as it should be.")
    if rows:
        raise typer.Exit(ExitCode.FOUND)


@app.report()
def remove(context: typer.Context, user: ForUser = False, dry_run: options.DryRun = False) -> None:
    """Remove the timers and all that was written for them, by systemd and by cron; nothing else is touched.

    A run that is under way goes on to its end.

    \b
    Examples:
      avatarlab job timers remove --dry-run
      avatarlab job timers remove
    """
    from avatarlab_cli.show import demand_options, show_rows
    from jobs.timers.manager import COLUMNS

    demand_options(context, COLUMNS)
    there = [manager for manager in _managers(context, user=user) if manager.places()]
    if dry_run:
        places = [place for manager in there for place in manager.places()]
        rows: list[Row] = [{"what": place, "state": "would be removed"} for place in places]
    else:
        rows = [row for manager in there for row in manager.remove()]
    show_rows(context, COLUMNS, rows, empty="Nothing is installed.")


def _managers(context: typer.Context, *, user: bool) -> "tuple[Manager, Manager]":
    """Return systemd and cron, of the system or of the user."""
    from jobs.timers.cron import SystemCron, UserCron
    from jobs.timers.systemd import Systemd

    variables = current(context).variables
    return Systemd(variables, is_user=user), UserCron(variables) if user else SystemCron(variables)
