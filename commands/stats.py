"""avatarlab stats: the platform's figures, day by day."""

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.timeframe import parse_day, parse_moment
from commands import options

app = App()


@app.callback()
def stats() -> None:
    """The platform's figures, day by day.

    They are those the job platform-statistics last stored.
    """


@app.report()
def show(context: typer.Context, day: options.Day = None) -> None:
    """Show all figures of a day, the latest stored one by default.

    \b
    Examples:
      avatarlab stats show
      avatarlab stats show --day 2026-03-31 --json
      avatarlab stats show --fields total_users,mrr,paying_users
    """
    from avatarlab_cli.queries import stats
    from avatarlab_cli.show import show

    when = None if day is None else parse_day(day)
    show(context, lambda _: stats.show(when))


@app.report()
def trend(
    context: typer.Context,
    metric: str = typer.Option(..., "--metric", metavar="NAME", help="Which figure; a wrong one lists all."),
    since: options.Since = "30d",
    until: options.Until = None,
) -> None:
    """Follow one figure day by day.

    \b
    Examples:
      avatarlab stats trend --metric daily_active_users
      avatarlab stats trend --metric mrr --since 2026-01-01 --csv
    """
    from avatarlab_cli.queries import stats
    from avatarlab_cli.show import show

    now = current(context).clock()
    first = parse_moment(since or "30d", now)
    last = None if until is None else parse_moment(until, now)
    show(context, lambda _: stats.trend(metric, first, last))
