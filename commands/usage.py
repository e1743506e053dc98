"""avatarlab usage: what users did, by user and month."""

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.timeframe import parse_month
from commands import options

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()


@app.callback()
def usage() -> None:
    """What users did, by user and month.

    The figures are those the job monthly-usage last stored.
    """


@app.report()
def show(context: typer.Context, user: options.User, month: options.Month = None) -> None:
    """Show one user's figures of a month beside the month before.

    \b
    Examples:
      avatarlab usage show ada@example.com
      avatarlab usage show 3fa8 --month 2026-03 --json
    """
    from avatarlab_cli.queries import adjustments, usage, users
    from avatarlab_cli.show import show

    when = _month(context, month)

    def build(connection: "sa.Connection") -> "Report":
        found = users.find_user(connection, user)
        notes = usage.find_notes(connection, found, when), adjustments.notes(connection, [when], found.id)
        return usage.show(found, when, sum(notes, ()))

    show(context, build)


@app.report()
def top(
    context: typer.Context,
    by: str = typer.Option(
        "total_cost", "--by", metavar="METRIC", help="What to rank by; a wrong one lists all."
    ),
    month: options.Month = None,
) -> None:
    """Rank users by a metric, with each one's share of all.

    \b
    Examples:
      avatarlab usage top --by conversations_count
      avatarlab usage top --by storage_bytes --month 2026-03 --limit 10
      avatarlab usage top -o ids | head -3
    """
    from avatarlab_cli.queries import usage
    from avatarlab_cli.show import show

    when = _month(context, month)
    show(context, lambda _: usage.top(when, by))


@app.report()
def month(context: typer.Context, month: options.Month = None) -> None:
    """Show every user's figures of a month, and what belongs to nobody.

    \b
    Examples:
      avatarlab usage month
      avatarlab usage month --month 2026-03 --csv --out march.csv
      avatarlab usage month --fields email,images_generated,image_cost --sort -image_cost
    """
    from dataclasses import replace

    from avatarlab_cli.queries import adjustments, usage
    from avatarlab_cli.show import show

    when = _month(context, month)
    show(
        context,
        lambda connection: replace(
            usage.month(connection, when), notes=adjustments.notes(connection, [when])
        ),
    )


@app.report("adjustments")
def list_adjustments(
    context: typer.Context,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Only of this month, UTC.")
    ] = None,
    user: options.OfUser = None,
) -> None:
    """List what has changed under closed months: figure by figure, before and after, the latest first.

    An account that was deleted for good is named by its UUID, and what belongs to nobody as unattributed.

    \b
    Examples:
      avatarlab usage adjustments --month 2026-03
      avatarlab usage adjustments --user ada@example.com --csv
      avatarlab usage adjustments --user unattributed --month 2026-03
    """
    from avatarlab_cli.queries import adjustments
    from avatarlab_cli.show import show

    when = None if month is None else parse_month(month)

    def build(connection: "sa.Connection") -> "Report":
        whose = None if user is None else adjustments.find_user(connection, user)
        return adjustments.adjustments(when, whose)

    show(context, build)


@app.report("as-known-at")
def as_known_at(
    context: typer.Context,
    time: Annotated[str, typer.Argument(metavar="TIME", help="ISO 8601, or an age such as 7d or 24h.")],
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Only of this month, UTC.")
    ] = None,
) -> None:
    """Show each user's figures of closed months as they were known at a time: as closed, and as adjusted until then.

    Of a month that was closed more than once, the closing in force then counts. Months that were open then are named.

    \b
    Examples:
      avatarlab usage as-known-at 2026-05-01
      avatarlab usage as-known-at 30d --month 2026-03 --csv --out march.csv
    """
    from avatarlab_cli.queries import adjustments
    from avatarlab_cli.show import show

    at = options.past(context, "TIME", time)
    when = None if month is None else parse_month(month)
    show(context, lambda connection: adjustments.as_known_at(connection, at, when))


@app.report()
def explain(
    context: typer.Context,
    user: Annotated[
        str,
        typer.Argument(metavar="USER", help="E-mail address, UUID, the beginning of one; or unattributed."),
    ],
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="Which figure; a wrong one lists all.")
    ],
    month: options.Month = None,
    rows: Annotated[bool, typer.Option("--rows", help="A line for each row that is counted.")] = False,
) -> None:
    """Show what adds up to a stored figure: day by day, beside what the source rows say now.

    What rows that were pruned counted for stands apart. A difference is named: rows that came, changed or went since
    the figure was stored. For costs see `avatarlab cost explain`.

    \b
    Examples:
      avatarlab usage explain ada@example.com --metric images_generated
      avatarlab usage explain 3fa8 --month 2026-03 --metric conversations_count --rows
      avatarlab usage explain unattributed --month 2026-03 --metric api_requests_count --json
    """
    from avatarlab_cli.queries import usage_explain
    from avatarlab_cli.show import show

    when = _month(context, month)
    usage_explain.demand_counted(metric, user)

    def build(connection: "sa.Connection") -> "Report":
        found = usage_explain.find_user(connection, user)
        return usage_explain.explain(connection, found, when, metric, is_by_row=rows)

    show(context, build)


def _month(context: typer.Context, text: str | None) -> date:
    return current(context).clock().date().replace(day=1) if text is None else parse_month(text)
