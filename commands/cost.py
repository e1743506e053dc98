"""avatarlab cost: what usage costs, what that is made of, what it will come to."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, OneActCommand, current
from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import Window, month_window, parse_day, parse_month
from commands import cost_budget, cost_rates, cost_reprice, options

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()
app.add_typer(cost_budget.app, name="budget")
app.add_typer(cost_rates.app, name="rates")
First = Annotated[
    str | None,
    typer.Option("--from", metavar="YYYY-MM", help="From this month; with --to, in place of --month."),
]
Last = Annotated[str | None, typer.Option("--to", metavar="YYYY-MM", help="Up to this month, included.")]
OfKind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only this kind of cost.")]


@app.callback()
def cost() -> None:
    """What usage costs, what that is made of, what it will come to.

    Users pay their providers with their own keys, so their spend is an estimate: quantities times the rate card. The
    platform pays for storage and its database. Not covered is what leaves no trace: base-model chat, embeddings,
    vision, egress.
    """


@app.report()
def report(
    context: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="NAMES", help="Of month, kind, provider, model, unit, user, tier.")
    ] = "kind",
    month: options.Month = None,
    first: First = None,
    last: Last = None,
) -> None:
    """Divide the costs of a month, or several, by kind, provider, model, user or tier.

    However they are divided, the parts add up to the same total, which is that of the stored figures. By unit, the
    quantities are shown too: tokens, characters, images, videos.

    \b
    Examples:
      avatarlab cost report
      avatarlab cost report --by provider,model,unit --month 2026-03
      avatarlab cost report --by month,kind --from 2026-01 --to 2026-06 --csv
      avatarlab cost report --by user --sort -cost --limit 20
    """
    from avatarlab_cli.queries import cost_report
    from avatarlab_cli.show import show

    dimensions = cost_report.demand_dimensions(by)
    window = months(context, month, first, last)
    show(context, lambda connection: cost_report.report(connection, window, dimensions))


@app.report()
def explain(
    context: typer.Context,
    user: options.User,
    month: options.Month = None,
    rows: Annotated[bool, typer.Option("--rows", help="A line for each row that was counted.")] = False,
) -> None:
    """Show what a user's cost of a month consists of: quantity times rate, adding up exactly to the stored figure.

    \b
    Examples:
      avatarlab cost explain ada@example.com
      avatarlab cost explain ada@example.com --month 2026-03 --rows --csv --out ada.csv
    """
    from avatarlab_cli.queries import cost_explain, users
    from avatarlab_cli.show import show

    when = months(context, month, None, None).first

    def build(connection: "sa.Connection") -> "Report":
        return cost_explain.explain(connection, users.find_user(connection, user), when, is_by_row=rows)

    show(context, build)


@app.report()
def user(context: typer.Context, user: options.User, month: options.Month = None) -> None:
    """Show what one user cost in a month, kind by kind, beside the month before.

    \b
    Examples:
      avatarlab cost user ada@example.com
      avatarlab cost user 3fa8 --month 2026-03 --json
    """
    from avatarlab_cli.queries import cost_user, users
    from avatarlab_cli.show import show

    when = months(context, month, None, None).first
    show(context, lambda connection: cost_user.user(connection, users.find_user(connection, user), when))


@app.report()
def top(context: typer.Context, month: options.Month = None, kind: OfKind = None) -> None:
    """Rank users by what they cost, with each one's share of all.

    \b
    Examples:
      avatarlab cost top --limit 10
      avatarlab cost top --kind video --month 2026-03
    """
    from avatarlab_cli.queries import cost_user
    from avatarlab_cli.show import show

    when = months(context, month, None, None).first
    show(context, lambda _: cost_user.top(when, kind))


@app.report()
def unpriced(
    context: typer.Context, month: options.Month = None, first: First = None, last: Last = None
) -> None:
    """List what no rate prices, and so is in no cost: which name, how much of it, of how many users.

    A rate for such a name in a rate card of your own (the setting rates_file) prices it from the next run on.

    \b
    Examples:
      avatarlab cost unpriced
      avatarlab cost unpriced --from 2026-01 --to 2026-03 --csv
    """
    from avatarlab_cli.queries import cost_user
    from avatarlab_cli.show import show

    window = months(context, month, first, last)
    show(context, lambda connection: cost_user.unpriced(connection, window))


@app.report()
def forecast(
    context: typer.Context,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="auto, last-7-days or month-so-far.")
    ] = "auto",
    past: Annotated[
        bool, typer.Option("--past", help="What would have been said of past months, and what they came to.")
    ] = False,
) -> None:
    """Tell what the current month will come to, by which method, and how far that was off in past months.

    The days to come are taken to be like the last seven complete ones, or like those of the month so far; auto takes
    for each kind what came closer in past months, looked at on the same day of each.

    \b
    Examples:
      avatarlab cost forecast
      avatarlab cost forecast --past --csv
    """
    from avatarlab_cli.queries import cost_forecast
    from avatarlab_cli.show import show

    today = current(context).clock().date()
    show(context, lambda connection: cost_forecast.forecast(connection, today, method, is_past=past))


@app.report()
def anomalies(
    context: typer.Context,
    day: options.Day = None,
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, max=92, help="So many days, the named one the last.")
    ] = 1,
    score: Annotated[
        str, typer.Option("--score", metavar="N", help="How many deviations are far outside.")
    ] = "6",
    least: Annotated[
        str, typer.Option("--least", metavar="AMOUNT", help="Amounts below this do not matter.")
    ] = "1",
    notify: options.Notify = False,
) -> None:
    """Find users, and kinds of cost, far outside their own history; exit code 3 if there are any.

    Yesterday is looked at unless another day is named, and compared with the 90 days before: how far it is from
    their median, in deviations that are usual for that user or kind.

    \b
    Examples:
      avatarlab cost anomalies
      avatarlab cost anomalies --days 7 --least 5
      avatarlab cost anomalies --day 2026-03-14 --score 4 --json
      avatarlab -q cost anomalies --notify
    """
    from avatarlab_cli.queries import cost_anomalies
    from avatarlab_cli.show import show_findings

    last = current(context).clock().date() - timedelta(days=1) if day is None else parse_day(day)
    if last > current(context).clock().date():
        raise UsageError(f"{last} lies in the future")
    window = Window(last - timedelta(days=days - 1), last + timedelta(days=1))
    bounds = cost_anomalies.Bounds(options.positive("--score", score), options.positive("--least", least))

    def build(connection: "sa.Connection") -> "Report":
        return cost_anomalies.anomalies(connection, window, bounds)

    if notify:
        from avatarlab_cli.telling import costs
        from avatarlab_cli.telling.showing import show_and_tell

        show_and_tell(context, "cost-anomalies", lambda: build, costs.anomalies)
    else:
        show_findings(context, build)


@app.report()
def margin(
    context: typer.Context,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="tier or user.")] = "tier",
    month: options.Month = None,
) -> None:
    """Compare what subscriptions earned in a month with what the platform paid for storage and database.

    Revenue is counted by the day: a day of a subscription earns its MRR divided by the days of the month. So the
    current month compares the days so far on both sides.

    \b
    Examples:
      avatarlab cost margin
      avatarlab cost margin --by user --month 2026-03 --sort margin --limit 20
    """
    from avatarlab_cli.queries import cost_margin
    from avatarlab_cli.show import show

    when = months(context, month, None, None).first
    show(context, lambda connection: cost_margin.margin(connection, when, by))


app.act(of=OneActCommand)(cost_reprice.reprice)


def months(context: typer.Context, month: str | None, first: str | None, last: str | None) -> Window:
    """Return the months the options name, the current one by default; raises UsageError where they contradict."""
    if first is None and last is None:
        today = current(context).clock().date()
        return month_window(today.replace(day=1) if month is None else parse_month(month))
    if month is not None:
        raise UsageError("--month and --from/--to exclude each other", hint="name the months in one way")
    if first is None or last is None:
        raise UsageError("--from and --to belong together", hint="--from 2026-01 --to 2026-03")
    window = Window(parse_month(first), month_window(parse_month(last)).end)
    if window.end <= window.first:
        raise UsageError(f"--to {last} lies before --from {first}")
    return window
