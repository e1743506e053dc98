"""avatarlab api: who calls the public API, what they call, and which key does what it never did."""

import typer

from avatarlab_cli.cli import App
from commands import options

app = App()


@app.callback()
def api() -> None:
    """The public API: keys, endpoints, users, and what is unusual.

    Only calls that succeeded are logged, without latency: no error rate can be told.
    """


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
