"""avatarlab overview: yesterday beside the week before, and what an admin should look at."""

import typer

from avatarlab_cli.cli import App, current
from jobs.registry import DAILY

app = App()


@app.report()
def overview(context: typer.Context) -> None:
    """Show yesterday beside the week before, and what needs a look.

    That is what is over a limit, stale, failing, waiting for an admin, or unusual. Each line names the command that shows more. Yesterday's figures are those the jobs stored, beside the average of
    the seven days before; what failed was begun yesterday, stuck is what has been in progress for more than a day.
    What is not known is n/a, and its state unknown: limits and costs are until usage was computed today.

    \b
    Examples:
      avatarlab overview
      avatarlab overview --json | jq -r '.[] | select(.state != "ok") | .more'
    """
    from avatarlab_cli.queries import overview as page
    from avatarlab_cli.show import show

    now = current(context).clock()
    show(context, lambda connection: page.overview(connection, now, DAILY))
