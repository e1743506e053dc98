"""What a report's command ends with: one read-only transaction, one report, the output the user asked for."""

from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa
import typer
from sqlalchemy.sql import visitors

from avatarlab_cli.cli import current
from avatarlab_cli.output.selection import selected, sort_keys
from avatarlab_cli.output.write import write, write_rows
from avatarlab_cli.report import Column, Report
from avatarlab_cli.schema.live import row_security_error


def demand_options(context: typer.Context, columns: tuple[Column, ...]) -> None:
    """Raise UsageError where the output options do not fit these columns: before anything is done, not after."""
    options = current(context).output
    selected(columns, options, single=False)
    sort_keys(columns, options.sort or "")


def show(context: typer.Context, build: Callable[[sa.Connection], Report]) -> None:
    """Build the report on the configured database and write it; raises an AvatarLabError."""
    invocation = current(context)
    options = invocation.output
    with invocation.database.read() as connection:
        report = build(connection)
        _demand_all_rows(connection, report)
        write(report, connection, options, invocation.environment)


def _demand_all_rows(connection: sa.Connection, report: Report) -> None:
    """Raise NotPermittedError where row security would leave rows out: a report must not look complete and be not."""
    tables = {part.fullname for part in visitors.iterate(report.select) if isinstance(part, sa.Table)}
    filtered = connection.scalar(_FILTERED, {"tables": sorted(tables)})
    if filtered:
        raise row_security_error(filtered)


_FILTERED = sa.text(
    "SELECT min(name) FROM unnest(CAST(:tables AS text[])) AS t (name) WHERE row_security_active(to_regclass(name))"
)


def show_rows(
    context: typer.Context,
    columns: tuple[Column, ...],
    rows: Iterable[Mapping[str, object]],
    *,
    single: bool = False,
) -> None:
    """Write rows that do not come from a SELECT, by the same rules."""
    invocation = current(context)
    write_rows(columns, rows, invocation.output, invocation.environment, single=single)
