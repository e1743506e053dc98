"""avatarlab demo: a believable AvatarLab database to try things on."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import parse_moment
from commands import options

app = App()
_NEXT = """next:
  avatarlab --profile demo db migrate
  avatarlab --profile demo demo snapshots
  avatarlab --profile demo job run monthly-usage
  avatarlab --profile demo job run platform-statistics"""


@app.callback()
def demo() -> None:
    """A believable AvatarLab database to try things on.

    It lives in a PostgreSQL of its own under your data directory, and touches no other database.
    """


@app.report()
def load(
    context: typer.Context,
    users: Annotated[
        int, typer.Option("--users", metavar="N", min=1, max=100_000, help="How many users.")
    ] = 2000,
    months: Annotated[int, typer.Option("--months", metavar="N", min=1, max=60, help="How far back.")] = 12,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed makes the same data.")] = 1,
    state: Annotated[
        str,
        typer.Option(
            "--state", metavar="STATE", help="seed: before the web panel's migrations; panel: after."
        ),
    ] = "panel",
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Where it ends; now by default.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Drop what the demo database holds.")] = False,
    yes: options.Yes = False,
) -> None:
    """Create the demo database and fill it with an invented platform; show the rows of each table.

    \b
    Examples:
      avatarlab demo load
      avatarlab demo load --users 200 --months 3 --seed 7 --state seed --replace
    """
    from avatarlab_cli.database import Database
    from avatarlab_cli.demo.install import install
    from avatarlab_cli.demo.world import DemoOptions
    from avatarlab_cli.report import Column, Kind
    from avatarlab_cli.show import demand_options, show_rows

    invocation = current(context)
    if state not in ("seed", "panel"):
        raise UsageError(f"--state {state!r} is neither seed nor panel")
    end = invocation.clock() if until is None else parse_moment(until, invocation.clock())
    chosen = DemoOptions(users, months, seed, "seed" if state == "seed" else "panel", end)
    columns = (Column("table", Kind.ID, "its name"), Column("rows", Kind.INTEGER, "rows written"))
    demand_options(context, columns)
    if replace and not yes:
        invocation.confirm("Drop the demo database and load it anew?")
    server = invocation.demo_server
    server.start()
    # A load takes longer than a statement may, but nobody else waits for this database.
    database = Database(server.conninfo(), {"work_mem": "64MB"})
    written = install(database, chosen, replace=replace, progress=invocation.progress("rows"))
    show_rows(context, columns, [{"table": name, "rows": count} for name, count in sorted(written.items())])
    invocation.environment.say(_NEXT)


@app.report()
def snapshots(
    context: typer.Context,
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=366, help="How far back.")] = 62,
) -> None:
    """Give the demo database the history of storage that daily runs would have left; show the rows written.

    What was stored on each day is told from when its objects came. Days that are on record already stay as they
    are. Two days are left out, for the next run of a job to interpolate. Needs `demo load` and `db migrate`.

    \b
    Examples:
      avatarlab demo snapshots
      avatarlab demo snapshots --days 14
    """
    from avatarlab_cli.database import Database
    from avatarlab_cli.demo.snapshots import demand_loaded, write
    from avatarlab_cli.report import Column, Kind
    from avatarlab_cli.show import demand_options, show_rows
    from jobs.runner import demand_current_schema

    columns = (Column("table", Kind.ID, "its name"), Column("rows", Kind.INTEGER, "rows written"))
    demand_options(context, columns)
    server = current(context).demand_local_server()
    server.start()
    with Database(server.conninfo(), {"work_mem": "64MB"}).write() as connection:
        demand_loaded(connection)
        demand_current_schema(connection)
        written = write(connection, days)
    show_rows(context, columns, [{"table": name, "rows": count} for name, count in written.items()])
