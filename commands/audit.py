"""avatarlab audit: what admins did, and proof that the record of it is whole."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.timeframe import parse_moment
from commands import options

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()


@app.callback()
def audit() -> None:
    """What admins did, whether the record is whole, and undo."""


@app.report("list")
def list_entries(
    context: typer.Context,
    admin: Annotated[
        str | None, typer.Option("--admin", metavar="ADMIN", help="Only this admin's acts.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="USER", help="Only acts on this account, and on what is its own."),
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="NAME", help="user.ban, or all of a noun: user.")
    ] = None,
    batch: Annotated[
        UUID | None, typer.Option("--batch", metavar="UUID", help="Only what one command did.")
    ] = None,
    severity: Annotated[
        str | None, typer.Option("--severity", metavar="NAME", help="info, warning or critical.")
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """List what admins did, the latest first.

    \b
    Examples:
      avatarlab audit list --since 7d
      avatarlab audit list --user ada@example.com --action key
      avatarlab audit list --admin eve@example.com --severity critical --csv
    """
    from avatarlab_cli.queries import audit as queries
    from avatarlab_cli.queries.naming import ADMIN, find
    from avatarlab_cli.schema.live import probe
    from avatarlab_cli.show import show

    first, end = _moment(context, since), _moment(context, until)

    def build(connection: "sa.Connection") -> "Report":
        which = queries.EntryFilter(
            admin=None if admin is None else find(connection, ADMIN, admin),
            target=None if user is None else queries.find_target(connection, user),
            action=action,
            batch=batch,
            severity=severity,
            since=first,
            until=end,
        )
        return queries.listed(which, probe(connection))

    show(context, build)


@app.report("show")
def show_entry(
    context: typer.Context,
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="UUID, its beginning, or number.")],
) -> None:
    """Show one entry whole; a table has a line for each value that changed, before -> after.

    \b
    Examples:
      avatarlab audit show 3fa8
      avatarlab audit show 42 --json
    """
    from avatarlab_cli.output.options import Format
    from avatarlab_cli.queries import audit as queries
    from avatarlab_cli.queries.naming import ENTRY, find
    from avatarlab_cli.report import Column
    from avatarlab_cli.schema.live import probe
    from avatarlab_cli.show import show, show_rows

    invocation = current(context)
    if invocation.output.resolved_format is not Format.TABLE or invocation.output.fields:
        show(context, lambda connection: queries.show(find(connection, ENTRY, entry), probe(connection)))
        return
    with invocation.reading() as connection:
        found = find(connection, ENTRY, entry)
        row = queries.whole(connection, found)
        changes = dict(queries.changes(connection, found))
    columns = (*queries.COLUMNS, *map(Column, changes))
    show_rows(context, columns, [{**row, **changes}], single=True)


@app.report("export")
def export(context: typer.Context, since: options.Since = None, until: options.Until = None) -> None:
    """Write whole entries, the oldest first, hashes included: what the chain is verified by elsewhere.

    \b
    Examples:
      avatarlab audit export -o ndjson --out audit.ndjson
      avatarlab audit export --since 2026-01-01 --until 2026-02-01 --csv
    """
    from avatarlab_cli.queries import audit as queries
    from avatarlab_cli.show import show

    first, end = _moment(context, since), _moment(context, until)
    show(context, lambda _: queries.exported(first, end))


@app.report()
def verify(
    context: typer.Context,
    anchor: Annotated[
        str | None,
        typer.Option(
            "--anchor", metavar="SEQ:HASH", help="A head noted earlier; it must still be in the chain."
        ),
    ] = None,
) -> None:
    """Walk the chain of hashes through the whole log, and name the first break; exit code 3 where there is one.

    Note the head it prints outside the database: only with --anchor is a log found out that was rewritten from
    some entry on.

    \b
    Examples:
      avatarlab audit verify
      avatarlab audit verify --field head -o tsv --no-headers >> heads.txt
      avatarlab audit verify --anchor "$(tail -n 1 heads.txt)"
    """
    from dataclasses import asdict

    from avatarlab_cli.audit_chain import VERDICT, Anchor
    from avatarlab_cli.audit_chain import verify as walk
    from avatarlab_cli.show import demand_options, show_rows

    noted = None if anchor is None else Anchor.parse(anchor)
    demand_options(context, VERDICT)
    with current(context).reading() as connection:
        verdict = walk(connection, noted)
    show_rows(context, VERDICT, [asdict(verdict)], single=True)
    if verdict.problem is not None:
        raise typer.Exit(ExitCode.FOUND)


@app.act()
def undo(
    context: typer.Context,
    entries: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ENTRY]...", help="Ids or numbers, as `audit list` shows them."),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option("--batch", metavar="ID", help="All that one command did and that still stands."),
    ] = None,
) -> None:
    """Take acts back: every row becomes what it was, if it still is as the act left it.

    Where a row has changed since, nothing of that act is undone and the exit code is 7. The undoing is an act with
    an entry of its own, and can be undone as well.

    \b
    Examples:
      avatarlab audit undo 4711 --dry-run
      avatarlab audit undo 4711 --reason "Wrong user"
      avatarlab audit undo --batch 5b0f6a3e-8d1c-4c1e-9a70-0f8f1d2f9a11
    """
    from avatarlab_cli.actions.undo import Undo
    from avatarlab_cli.perform import perform
    from avatarlab_cli.queries import audit as queries

    names = list(entries or ())
    if batch is not None:
        with current(context).reading() as connection:
            names += queries.standing(connection, batch)
    perform(context, Undo(), names)


def _moment(context: typer.Context, text: str | None) -> "datetime | None":
    return None if text is None else parse_moment(text, current(context).clock())
