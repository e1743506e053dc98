"""avatarlab db capture: triggers that tell the jobs what changed."""

import typer

from avatarlab_cli.cli import App, current
from commands import options

app = App()


@app.callback()
def capture() -> None:
    """Triggers that tell the jobs what changed, so that a run reads that alone.

    Without them each run counts all open days anew, which is as exact, and takes longer the more there are.
    """


@app.command()
def install(context: typer.Context, dry_run: options.DryRun = False) -> None:
    """Put the tables whose rows make figures under triggers, in one transaction, or renew them.

    Each table is locked against writers for a moment. A trigger that fails never fails the platform's own write: it
    warns in the server's log, and the next run reads its source whole. Where not even that can be put down, every run
    counts all open days anew until the triggers are renewed: `db capture status` says so.

    \b
    Examples:
      avatarlab db capture install --dry-run
      avatarlab db capture install
    """
    from avatarlab_cli.rollup import capture
    from avatarlab_cli.schema.live import probe
    from jobs.runner import demand_current_schema

    invocation = current(context)
    say = invocation.environment.say
    with invocation.database.read() as connection:
        demand_current_schema(connection)
        tables = capture.present(probe(connection))
    if dry_run:
        say("\n".join(f"would put {table.name} under triggers" for table in tables))
        return
    with invocation.database.write() as connection:
        capture.install(connection, probe(connection))
    say(
        f"{len(tables)} tables are under triggers: the next run counts all open days anew, later ones what changed"
    )
    say("avatarlab db capture status names the indexes by which that is quick")


@app.report()
def status(context: typer.Context) -> None:
    """Show of each table whether its changes are captured; exit code 3 where something is wrong.

    \b
    Examples:
      avatarlab db capture status
      avatarlab db capture status --field index
    """
    from avatarlab_cli.errors import ExitCode
    from avatarlab_cli.queries import capture
    from avatarlab_cli.show import show_rows
    from jobs.runner import demand_current_schema

    invocation = current(context)
    with invocation.database.read() as connection:
        demand_current_schema(connection)
        rows, wrong = capture.status(connection)
    show_rows(context, capture.COLUMNS, rows)
    for sentence in wrong:
        invocation.environment.say(sentence)
    if wrong:
        raise typer.Exit(ExitCode.FOUND)


@app.command()
def remove(context: typer.Context, dry_run: options.DryRun = False) -> None:
    """Drop the triggers and empty the queue; the figures stay, and each run counts all open days anew.

    \b
    Examples:
      avatarlab db capture remove --dry-run
      avatarlab db capture remove
    """
    from avatarlab_cli.rollup import capture
    from jobs.runner import demand_current_schema

    invocation = current(context)
    with invocation.database.read() as connection:
        demand_current_schema(connection)
        tables = sorted(capture.touched(connection))
    if dry_run:
        invocation.environment.say(
            "\n".join(f"would take the triggers off {table}" for table in tables) or "nothing to do"
        )
        return
    with invocation.database.write() as connection:
        capture.remove(connection)
    invocation.environment.say(f"{len(tables)} tables are free of triggers")
