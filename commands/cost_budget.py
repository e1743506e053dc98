"""avatarlab cost budget: how much a month may cost, and whether it does."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.timeframe import parse_month
from commands import options

app = App()


@app.callback()
def budget() -> None:
    """How much a month may cost: altogether, by kind, and by user.

    The budgets stand in a YAML file which the setting budgets_file names.
    """


@app.report()
def check(
    context: typer.Context,
    month: options.Month = None,
    near: Annotated[
        int,
        typer.Option("--near", metavar="PERCENT", min=1, max=100, help="How much of a budget is nearly all."),
    ] = 90,
    notify: options.Notify = False,
) -> None:
    """List the budgets that are spent, or nearly, in the month so far; exit code 3 if there are any.

    So too where a budget could not be checked, as its costs are not known.

    \b
    Examples:
      avatarlab cost budget check
      avatarlab cost budget check --near 75 --json
      avatarlab cost budget check --month 2026-03
      avatarlab -q cost budget check --notify
    """
    from avatarlab_cli import budget_file
    from avatarlab_cli.queries import cost_budget
    from avatarlab_cli.show import Build, show_findings

    invocation = current(context)
    today = invocation.clock().date()
    when = today.replace(day=1) if month is None else parse_month(month)

    def build() -> Build:
        budgets = budget_file.load(invocation.settings.get("budgets_file"))
        return lambda connection: cost_budget.check(connection, budgets, when, near, today)

    if notify:
        from avatarlab_cli.telling import costs
        from avatarlab_cli.telling.showing import show_and_tell

        show_and_tell(context, "budget-check", build, costs.budgets)
    else:
        show_findings(context, build())
