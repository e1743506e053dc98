"""avatarlab period: which months are closed, and closing and reopening them."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App, OneActCommand, current
from avatarlab_cli.timeframe import parse_month

app = App()
Month = Annotated[str, typer.Argument(metavar="MONTH", help="Which month, UTC: YYYY-MM.")]


@app.callback()
def period() -> None:
    """Which months are closed; closing and reopening them.

    A closed month's figures are final. What changes under it afterwards is recorded beside it: `usage adjustments`.
    """


@app.report("list")
def list_periods(context: typer.Context) -> None:
    """List the months that have figures: open, closed or reopened, and whether they are still what they were closed with.

    \b
    Examples:
      avatarlab period list
      avatarlab period list --fields month,state,digest --json
    """
    from avatarlab_cli.queries import closings
    from avatarlab_cli.show import show

    show(context, lambda _: closings.months())


@app.report()
def check(context: typer.Context) -> None:
    """List closed months whose stored figures are no longer those they were closed with; exits with 3 if there are any.

    \b
    Examples:
      avatarlab period check
    """
    from avatarlab_cli.queries import closings
    from avatarlab_cli.show import show_findings

    show_findings(context, lambda _: closings.altered())


@app.act(of=OneActCommand)
def close(
    context: typer.Context,
    month: Month,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Set figures first that differ from what they are made of.")
    ] = False,
) -> None:
    """Close a month: verify its figures and freeze them. Months are closed in order; `period reopen` is the way back.

    The job close-month does the same by itself. Where a figure differs from what it is made of now, nothing is closed,
    unless --recompute says otherwise.

    \b
    Examples:
      avatarlab period close 2026-03 --dry-run
      avatarlab period close 2026-03 --recompute
    """
    from avatarlab_cli.actions.period import Close
    from avatarlab_cli.perform import perform

    when, rates_file = parse_month(month), current(context).settings.get("rates_file")
    perform(context, Close(recompute, rates_file), [f"{when:%Y-%m}"])


@app.act(of=OneActCommand)
def reopen(context: typer.Context, month: Month) -> None:
    """Reopen the last closed month, so that jobs compute it anew. A reason is required.

    What it was closed with stays on record. `period close` closes it again.

    \b
    Examples:
      avatarlab period reopen 2026-03 --reason "Invoices were late"
    """
    from avatarlab_cli.actions.period import Reopen
    from avatarlab_cli.perform import perform

    perform(context, Reopen(), [f"{parse_month(month):%Y-%m}"])
