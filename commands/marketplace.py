"""avatarlab marketplace: what is offered, and what was bought."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App
from commands import options

app = App()


@app.callback()
def marketplace() -> None:
    """Avatars for sale or public, and who bought which.

    Revenue is that of completed purchases in USD; other currencies and refunds stand apart.
    """


@app.report()
def summary(context: typer.Context) -> None:
    """Show what is offered and what was bought in figures, and those of the last 30 days.

    \b
    Examples:
      avatarlab marketplace summary
      avatarlab marketplace summary --json --field revenue
    """
    from avatarlab_cli.queries import marketplace as queries
    from avatarlab_cli.show import show

    span = options.span(context, None, None)
    show(context, lambda connection: queries.summary(connection, span))


@app.report("list")
def list_items(context: typer.Context) -> None:
    """List the avatars for sale or public: price, rating, and the sales that have a purchase behind them.

    Deleted ones are left out, although their rows may still say they are offered.

    \b
    Examples:
      avatarlab marketplace list
      avatarlab marketplace list --sort -price --fields name,studio,price,completed
    """
    from avatarlab_cli.queries import marketplace as queries
    from avatarlab_cli.show import show

    show(context, queries.listing)


@app.report()
def purchases(
    context: typer.Context,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="day, avatar, month or user.")] = "day",
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """Count the purchases and what they brought in, by day, avatar, month or user; in the last 30 days by default.

    \b
    Examples:
      avatarlab marketplace purchases
      avatarlab marketplace purchases --by avatar --since 2026-01-01
      avatarlab marketplace purchases --by month --since 365d --csv
    """
    from avatarlab_cli.queries import marketplace as queries
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(context, lambda connection: queries.purchases(connection, span, by))
