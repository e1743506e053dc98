"""What a report's command ends with: one read-only transaction, one report, the output the user asked for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
import typer

from avatarlab_cli.cli import current
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.output.selection import selected, sort_keys
from avatarlab_cli.output.sink import demand_writable, is_terminal
from avatarlab_cli.output.write import TERMINAL_LIMIT, write, write_rows
from avatarlab_cli.queries import pruned_notes
from avatarlab_cli.queries.parts import tables_of
from avatarlab_cli.report import Column, Report
from avatarlab_cli.schema.live import demand_all_rows


def demand_options(context: typer.Context, columns: tuple[Column, ...]) -> None:
    """Raise UsageError where the output options do not fit these columns, AvatarLabError where --out cannot be written.

    Before anything is done, not after.
    """
    options = current(context).output
    selected(columns, options, single=False)
    sort_keys(columns, options.sort or "")
    if options.path is not None:
        demand_writable(Path(options.path))


def rows_shown(context: typer.Context) -> int | None:
    """Return up to which row a list will be shown, None for all."""
    invocation = current(context)
    given = invocation.output
    if given.limit is None and (given.all or not is_terminal(given, invocation.environment)):
        return None
    return given.offset + (TERMINAL_LIMIT if given.limit is None else given.limit)


Build = Callable[[sa.Connection], Report]


def show(context: typer.Context, build: Build) -> None:
    """Build the report on the configured database and write it; raises an AvatarLabError."""
    _show(context, build, is_check=False)


def show_findings(context: typer.Context, build: Build) -> None:
    """Show what a check found; exits with FOUND where that is anything, shown or not, or where it could not judge all."""
    if _show(context, build, is_check=True):
        raise typer.Exit(ExitCode.FOUND)


def _show(context: typer.Context, build: Build, *, is_check: bool) -> bool:
    """Write the report; for a check, tell whether it has rows, or could not have all of them."""
    invocation = current(context)
    options = invocation.output
    with invocation.reading() as connection:
        report = build(connection)
        # A report must not look complete and be not.
        demand_all_rows(connection, {table.fullname for table in tables_of(report.select)})
        report = replace(report, notes=(*report.notes, *pruned_notes.notes(connection, report.select)))
        has_rows = write(report, connection, options, invocation.environment) > 0
        if report.findings is not None:
            is_found = bool(connection.scalar(sa.select(report.findings.exists())))
            return is_found or bool(report.unjudged)
        # --limit and --offset may have left nothing to show of what there is.
        is_cut = is_check and not has_rows and (options.limit is not None or options.offset > 0)
        return (
            has_rows
            or bool(report.unjudged)
            or (is_cut and bool(connection.scalar(sa.select(report.select.exists()))))
        )


def show_rows(
    context: typer.Context,
    columns: tuple[Column, ...],
    rows: Iterable[Mapping[str, object]],
    *,
    single: bool = False,
    empty: str = Report.empty,
) -> None:
    """Write rows that do not come from a SELECT, by the same rules."""
    invocation = current(context)
    write_rows(columns, rows, invocation.output, invocation.environment, single=single, empty=empty)
