"""avatarlab system: whether the database and the jobs are well, what the app logged, and how long logs are kept."""

from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import ExitCode
from commands import options, system_prune
from jobs.registry import DAILY

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()


@app.callback()
def system() -> None:
    """Whether jobs and database are well, logs, and what is pruned."""


@app.report()
def health(
    context: typer.Context,
    indexes: Annotated[
        bool, typer.Option("--indexes", help="The missing indexes, with the statements that make them.")
    ] = False,
) -> None:
    """Check the jobs and the database; exit code 3 where something is bad.

    Looked at are migrations, whether each job succeeded within 26 hours, failed and stuck runs, open months, the
    largest tables, dead rows, and indexes that reports would use. A missing index matters from 100,000 rows on. What
    stands under `more` is a command of this toolkit, or a statement for the database.

    \b
    Examples:
      avatarlab system health
      avatarlab system health -q --json | jq -r '.[] | select(.state != "ok") | .check'
      avatarlab system health --indexes --fields statement --no-headers
    """
    from avatarlab_cli.queries import health as page
    from avatarlab_cli.queries import wanted_indexes
    from avatarlab_cli.schema.live import probe
    from avatarlab_cli.show import show_rows

    invocation = current(context)
    with invocation.reading() as connection:
        if indexes:
            rows = [index.row() for index in wanted_indexes.missing(probe(connection))]
        else:
            rows = page.health(connection, invocation.clock(), DAILY)
    columns = wanted_indexes.COLUMNS if indexes else page.COLUMNS
    show_rows(context, columns, rows, empty="Every index that reports would use is there.")
    if page.is_bad(rows):
        raise typer.Exit(ExitCode.FOUND)


@app.report()
def logs(
    context: typer.Context,
    level: Annotated[
        str | None, typer.Option("--level", metavar="NAME", help="Only debug, info, warn or error.")
    ] = None,
    category: Annotated[
        str | None, typer.Option("--category", metavar="NAME", help="Only entries of this category.")
    ] = None,
    user: options.OfUser = None,
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """List the entries of system_logs, of the last 30 days unless others are named, the latest first.

    Today's app does not write that table: an empty page does not mean that nothing went wrong.

    \b
    Examples:
      avatarlab system logs --level error
      avatarlab system logs --category auth --user ada@example.com --since 7d --json
    """
    from avatarlab_cli.queries import system_logs
    from avatarlab_cli.queries.users import find_user
    from avatarlab_cli.show import show

    span = options.span(context, since, until)

    def build(connection: "sa.Connection") -> "Report":
        whom = None if user is None else find_user(connection, user)
        return system_logs.logs(connection, span, level=level, category=category, user=whom)

    show(context, build)


app.add_typer(system_prune.app)
