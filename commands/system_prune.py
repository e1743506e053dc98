"""avatarlab system prune: old rows of the logs go, and no figure with them."""

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, SweepCommand, current
from avatarlab_cli.errors import DeclinedError, RefusedError, UsageError
from avatarlab_cli.timeframe import parse_moment

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()


@app.act(of=SweepCommand)
def prune(
    context: typer.Context,
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="api_request_logs, rag_search_logs, avatar_training_logs, conversation_feedback or conversations.",
        ),
    ],
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="TIME", help="An age such as 180d, or a day; whole days go."),
    ],
    confirm: Annotated[
        str,
        typer.Option("--confirm", metavar="TABLE", help="The table's name again; without it nothing goes."),
    ] = "",
) -> None:
    """Delete old rows of a log for good; what they counted for is kept.

    Stored usage and statistics stay as they are; reports on the log itself begin later, and say so.

    Only days that are aggregated when it begins are pruned. Rows go by some thousands a transaction, each with its entry
    in the audit log. When it is interrupted it ends after the one under way, and the same command goes on. Without
    --confirm, or with --dry-run, it shows month by month what would go. A reason is required. Rows that are restored
    from a backup afterwards count twice.

    \b
    Examples:
      avatarlab system prune api_request_logs --older-than 180d --dry-run
      avatarlab system prune rag_search_logs --older-than 2026-01-01 --confirm rag_search_logs --reason "retention"
      avatarlab system prune conversations --older-than 365d --max-rows 1000000 --confirm conversations --reason "ticket 9"
    """
    from avatarlab_cli.queries import pruning

    flags = current(context).flags
    log, before = pruning.prunable(table), _day(context, older_than)
    if flags.get("dry_run"):
        _foretell(context, log, before)
        return
    if not confirm:
        _foretell(context, log, before)
        raise DeclinedError(
            "not confirmed: this cannot be taken back", hint=f"--confirm {log.name} confirms it"
        )
    if confirm != log.name:
        raise DeclinedError(f"{log.name} is to be pruned, and --confirm says {confirm}")
    if not flags.get("reason"):
        raise UsageError("a reason is required", hint="--reason TEXT; it is kept in the audit log")
    _prune(context, log, before)


def _day(context: typer.Context, older_than: str) -> date:
    """Return the day before which rows go; raises UsageError for one to come."""
    now = current(context).clock()
    before = parse_moment(older_than, now).date()
    if before > now.date():
        raise UsageError(
            f"--older-than {older_than} lies ahead", hint="name an age, 180d, or a day that is past"
        )
    return before


def _foretell(context: typer.Context, log: "sa.Table", before: date) -> None:
    from avatarlab_cli.queries import pruning
    from avatarlab_cli.show import show

    def build(connection: "sa.Connection") -> "Report":
        _, undated = _demand(context, connection, log, before)
        return pruning.listing(log, before, undated)

    show(context, build)
    current(context).environment.say("nothing was changed")


def _demand(
    context: typer.Context, connection: "sa.Connection", log: "sa.Table", before: date
) -> tuple[int, int]:
    """Return how many rows are due and how many undated; raises an AvatarLabError where they may not go."""
    from avatarlab_cli.queries import pruning
    from avatarlab_cli.schema.live import probe
    from jobs.runner import demand_current_schema

    most = current(context).max_rows
    demand_current_schema(connection)
    pruning.demand_countable(probe(connection), log)
    pruning.demand_aggregated(connection, log, before)
    due, undated = pruning.count(connection, log, before)
    if most is not None and due > most:
        raise RefusedError(
            f"{due} rows of {log.name} are older than {before}, and --max-rows allows {most}",
            hint="nothing was deleted; raise the limit if all of them are meant",
        )
    return due, undated


def _prune(context: typer.Context, log: "sa.Table", before: date) -> None:
    from uuid import uuid4

    from avatarlab_cli.actions.engine import Order
    from avatarlab_cli.actions.pruning import Deleted, Prune, prune
    from avatarlab_cli.process import signals_deferred
    from avatarlab_cli.show import demand_options, show_rows

    invocation = current(context)
    demand_options(context, Deleted.COLUMNS)
    order = Order(invocation.settings.get("admin"), str(invocation.flags["reason"]), uuid4())
    with invocation.job_database.read() as connection:
        Prune(log.name, before).authorized(connection, order.admin)
        due, undated = _demand(context, connection, log, before)
    progress = invocation.progress(f"of {due:,} rows")
    deleted = Deleted(log.name, before, undated)
    try:
        with signals_deferred() as ending:
            for batch in prune(invocation.job_database, log, before, order):
                deleted.add(batch)
                if progress:
                    progress(log.name, deleted.rows)
                if ending.is_told():
                    break
    except BaseException:
        if deleted.rows:
            invocation.kept = f"{deleted.rows} rows are deleted; the same command goes on"
        raise
    show_rows(context, Deleted.COLUMNS, [deleted.row()], single=True)
