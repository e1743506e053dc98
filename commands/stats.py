"""avatarlab stats: the platform's figures, day by day."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import parse_day, parse_moment
from commands import options

if TYPE_CHECKING:
    from avatarlab_cli.timeframe import Window

app = App()
Months = Annotated[
    int | None,
    typer.Option(
        "--months", min=1, max=240, metavar="N", help="The last N months, this one included; 12 by default."
    ),
]


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


@app.report()
def mrr(
    context: typer.Context, months: Months = None, since: options.Since = None, until: options.Until = None
) -> None:
    """Show month by month how recurring revenue moved: new, reactivation, expansion, contraction, churn.

    Each month begins with what the one before ended with, and ends with that and its movements: unexplained, in cents
    of ARR, is 0. MRR is a twelfth of ARR, rounded once, so that rounded parts may miss their sum by a cent;
    the columns named _cents are exact. A month is told whole, the running one up to the last day stored.

    \b
    Examples:
      avatarlab stats mrr
      avatarlab stats mrr --months 24 --csv
      avatarlab stats mrr --since 2026-01-01 --until 2026-07-01 --json
    """
    from avatarlab_cli.queries import money
    from avatarlab_cli.show import show

    window = _months(context, months, since, until)
    show(context, lambda connection: money.mrr(connection, window))


@app.report()
def churn(
    context: typer.Context, months: Months = None, since: options.Since = None, until: options.Until = None
) -> None:
    """Show month by month who came and left, what share of subscribers and revenue was lost, and revenue per user.

    \b
    Examples:
      avatarlab stats churn
      avatarlab stats churn --months 24 --fields month,subscribers,churned,subscriber_churn
    """
    from avatarlab_cli.queries import money
    from avatarlab_cli.show import show

    window = _months(context, months, since, until)
    show(context, lambda connection: money.churn(connection, window))


@app.report()
def cohorts(
    context: typer.Context,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="users, or revenue.")] = "users",
    months: Months = None,
    triangle: Annotated[
        bool, typer.Option("--triangle", help="A row a cohort, a column a month since: shares, or MRR.")
    ] = False,
) -> None:
    """Follow those who signed up in one month: how many are still active, and what they pay, in each month since.

    By users, retained are those who did anything in the month; by revenue, those who pay at its end.

    \b
    Examples:
      avatarlab stats cohorts --triangle
      avatarlab stats cohorts --by revenue --months 24 --csv
    """
    from avatarlab_cli.queries import cohorts
    from avatarlab_cli.show import show

    window = _months(context, months, None, None)
    show(context, lambda connection: cohorts.cohorts(connection, window, by, is_triangle=triangle))


def _months(context: typer.Context, months: int | None, since: str | None, until: str | None) -> "Window":
    """Return the months the options name, those whole that a time lies in; raises UsageError."""
    from avatarlab_cli.queries import money

    if since is None and until is None:
        return money.latest(months or 12, current(context).clock().date())
    if months is not None:
        raise UsageError("--months does not go with --since and --until", hint="give the one or the others")
    days = options.span(context, since, until, days=365).days
    return money.window_of(days.first, days.end - timedelta(days=1))
