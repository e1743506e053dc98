"""avatarlab api: who calls the public API, what they call, and which key does what it never did."""

from datetime import timedelta
from typing import Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import parse_day
from commands import options

app = App()


@app.callback()
def api() -> None:
    """The public API: keys, endpoints, users, and what is unusual.

    Only calls that succeeded are logged, without latency: no error rate can be told.
    """


@app.report()
def summary(context: typer.Context) -> None:
    """Show how many keys there are, and the requests of the last 30 days.

    \b
    Examples:
      avatarlab api summary
      avatarlab api summary --json --fields keys_active,requests_30d
    """
    from avatarlab_cli.queries import api_requests
    from avatarlab_cli.show import show

    span = options.span(context, None, None)
    show(context, lambda connection: api_requests.summary(connection, span))


@app.report()
def keys(context: typer.Context, since: options.Since = None, until: options.Until = None) -> None:
    """List the keys by how much each was used, in the last 30 days unless others are named.

    Keys without any use are listed too. `key usage` shows one key day by day, `key list` how the keys are set up.

    \b
    Examples:
      avatarlab api keys --limit 10
      avatarlab api keys --since 7d --fields email,prefix,requests,called
    """
    from avatarlab_cli.queries import api_keys
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(context, lambda connection: api_keys.used(connection, span))


@app.report()
def endpoints(context: typer.Context, since: options.Since = None, until: options.Until = None) -> None:
    """Count the calls of each endpoint, in the last 30 days unless others are named.

    \b
    Examples:
      avatarlab api endpoints
      avatarlab api endpoints --since 2026-03-01 --until 2026-04-01 --csv
    """
    from avatarlab_cli.queries import api_requests
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(context, lambda connection: api_requests.endpoints(connection, span))


@app.report()
def users(context: typer.Context, since: options.Since = None, until: options.Until = None) -> None:
    """List who called the API, in the last 30 days unless others are named.

    A request is of the user it names, else of the owner of its key.

    \b
    Examples:
      avatarlab api users --limit 10
      avatarlab api users --since 24h --csv
    """
    from avatarlab_cli.queries import api_requests
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(context, lambda connection: api_requests.users(connection, span))


@app.report()
def unusual(
    context: typer.Context,
    day: options.Day = None,
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=7, max=92, help="So many days before are the history.")
    ] = 28,
    at_least: Annotated[
        int, typer.Option("--at-least", metavar="N", min=1, help="Fewer requests do not matter.")
    ] = 20,
    score: Annotated[
        str, typer.Option("--score", metavar="N", help="How many deviations are far outside.")
    ] = "6",
) -> None:
    """Find keys whose day was far outside their own history, or who fell silent; exit code 3 if there are any.

    Yesterday is looked at unless another day is named. A key is above or below where the day is beyond all days of
    its history, and far from their median, in deviations that are usual for it. It is silent where it has now been
    without a request longer than between any two days of use.

    \b
    Examples:
      avatarlab api unusual
      avatarlab api unusual --day 2026-03-14 --days 60
      avatarlab api unusual --at-least 1000 --score 10 --json
    """
    from avatarlab_cli.queries import api_unusual
    from avatarlab_cli.show import show_findings

    today = current(context).clock().date()
    judged = today - timedelta(days=1) if day is None else parse_day(day)
    if judged > today:
        raise UsageError(f"{judged} lies in the future")
    bounds = api_unusual.Bounds(days, at_least, options.positive("--score", score))
    show_findings(context, lambda connection: api_unusual.unusual(connection, judged, bounds))


@app.report()
def gaps(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--every", help="Also the keys of which nothing differs.")] = False,
) -> None:
    """List the keys whose own count is not that of their log rows, and rows that lack a key, a user or a time.

    A key counts on when rows of the log are pruned. A row without a time is in no day's figures; one without a user
    is its key's owner's; one without a key, and without a user, is nobody's.

    \b
    Examples:
      avatarlab api gaps
      avatarlab api gaps --every --sort -surplus --csv
    """
    from avatarlab_cli.queries import api_gaps
    from avatarlab_cli.show import show

    show(context, lambda connection: api_gaps.gaps(connection, is_every=every))
