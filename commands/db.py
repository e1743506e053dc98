"""avatarlab db: the database's tables and migrations, and the local PostgreSQL."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App, current
from commands import db_capture, options

app = App()
app.add_typer(db_capture.app, name="capture")


@app.callback()
def db() -> None:
    """The database: tables, migrations, the local PostgreSQL."""


@app.report()
def tables(context: typer.Context) -> None:
    """List the platform's tables by area: what is there, how large, how recent, and what it is used for.

    \b
    Examples:
      avatarlab db tables
      avatarlab db tables --sort -bytes --limit 10
      avatarlab db tables --fields table,used_for --csv
    """
    from avatarlab_cli.queries.tables import COLUMNS, describe
    from avatarlab_cli.show import show_rows

    invocation = current(context)
    with invocation.database.read() as connection:
        rows = describe(connection)
    show_rows(context, COLUMNS, rows)


@app.report()
def status(context: typer.Context) -> None:
    """Compare the database with what this version expects; exit code 3 where they differ.

    \b
    Examples:
      avatarlab db status
      avatarlab db status --json
    """
    from avatarlab_cli.errors import ExitCode
    from avatarlab_cli.queries.schema import COLUMNS, describe
    from avatarlab_cli.show import show_rows

    invocation = current(context)
    with invocation.database.read() as connection:
        row = describe(connection)
    show_rows(context, COLUMNS, [row], single=True)
    if row["pending"] or row["drift"]:
        raise typer.Exit(ExitCode.FOUND)


@app.report()
def doctor(context: typer.Context) -> None:
    """Prove which kind of connection this is, and check that all works through it; exit code 3 where something is bad.

    Told are direct, session pooler and transaction pooler, TLS and whom it keeps out, the server's version and whether
    it takes changes, row security, the rights of the jobs, time limits, clocks, and what is left of connections.
    Under `more` stands what a kind rules out, or what to do. Nothing is changed.

    \b
    Examples:
      avatarlab db doctor
      avatarlab db doctor -q --json | jq -r '.[] | select(.state != "ok") | .more'
    """
    from avatarlab_cli.doctor.page import page
    from avatarlab_cli.doctor.rows import COLUMNS, advice, is_bad
    from avatarlab_cli.errors import ExitCode
    from avatarlab_cli.show import show_rows

    invocation = current(context)
    rows = page(invocation.database, invocation.clock)
    show_rows(context, COLUMNS, rows)
    for sentence in advice(rows):
        invocation.environment.say(sentence)
    if is_bad(rows):
        raise typer.Exit(ExitCode.FOUND)


@app.command()
def migrate(
    context: typer.Context,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the script instead, to paste into Supabase.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Run all migrations again, to restore what was lost.")
    ] = False,
    dry_run: options.DryRun = False,
) -> None:
    """Create what is missing of the toolkit's tables, in one transaction; what is there stays as it is.

    \b
    Examples:
      avatarlab db migrate --dry-run
      avatarlab db migrate
      avatarlab db migrate --sql > avatarlab.sql
    """
    from avatarlab_cli import migrations
    from avatarlab_cli.database import translated

    if sql:
        typer.echo(migrations.script(), nl=False)
        return
    invocation = current(context)
    with invocation.database.read() as connection:
        before = migrations.status(connection)
    say = invocation.environment.say
    if dry_run:
        revisions = migrations.revisions() if repair else before.pending
        say("\n".join(f"would apply {revision}" for revision in revisions) or "nothing to do")
        return
    with translated(), invocation.database.engine.connect() as connection:
        result = migrations.upgrade(connection, repair=repair)
    say("\n".join(f"applied {revision}" for revision in result.applied) or f"already at {result.to_revision}")


@app.command()
def start(context: typer.Context) -> None:
    """Start the local PostgreSQL; commands that use it do so by themselves.

    \b
    Examples:
      avatarlab db start
    """
    invocation = current(context)
    server = invocation.demand_local_server()
    server.start()
    invocation.environment.say(f"running in {server.directory}")


@app.command()
def stop(context: typer.Context) -> None:
    """Stop the local PostgreSQL; its data stays.

    \b
    Examples:
      avatarlab db stop
    """
    invocation = current(context)
    stopped = invocation.demand_local_server().stop()
    invocation.environment.say("stopped" if stopped else "it was not running")


@app.command()
def reset(context: typer.Context, yes: options.Yes = False) -> None:
    """Stop the local PostgreSQL and delete its data.

    \b
    Examples:
      avatarlab db reset --yes
    """
    invocation = current(context)
    server = invocation.demand_local_server()
    if not yes:
        invocation.confirm(f"Delete the local database in {server.directory}?")
    server.reset()
    invocation.environment.say("deleted")
