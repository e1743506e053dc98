"""avatarlab apply: carry out what --plan wrote."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App, PlanCommand

app = App()


@app.act(of=PlanCommand)
def apply(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What a changing verb wrote with --plan.")],
) -> None:
    """Carry out a plan, except for what has changed since it was made.

    A target whose rows are no longer as planned is left alone, and the exit code is 7.

    \b
    Examples:
      avatarlab user suspend --from-csv list.csv --plan suspend.plan
      avatarlab apply suspend.plan
    """
    from avatarlab_cli.actions.catalog import revive
    from avatarlab_cli.perform import perform_plan
    from avatarlab_cli.plan import read_plan

    found = read_plan(file)
    perform_plan(context, found, revive(found.act, found.parameters))
