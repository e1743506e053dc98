"""avatarlab tier, the verbs on users: their limits, subscriptions and requests."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import parse_coming
from commands import options

if TYPE_CHECKING:
    from avatarlab_cli.actions.act import Act

app = App()
trial, requests = App(), App()
app.add_typer(trial, name="trial")
app.add_typer(requests, name="requests")
Targets = Annotated[
    list[str],
    typer.Argument(metavar="[USER]... TIER", help="Users, unless a file names them, and last their tier."),
]
# PostgreSQL's bigint has 19.
_MOST_DIGITS = 18
Requests = Annotated[
    list[str] | None, typer.Argument(metavar="[REQUEST]...", help="Their ids, or the beginnings of them.")
]


@trial.callback()
def _trial() -> None:
    """Trials of a tier."""


@requests.callback()
def _requests() -> None:
    """Users' requests for another tier."""


@app.report("limits")
def show_limits(context: typer.Context, user: options.User) -> None:
    """Show each limit in force for a user: how much is allowed, used this month and left, and where it comes from.

    \b
    Examples:
      avatarlab tier limits ada@example.com
      avatarlab tier limits 3fa8 --fields metric,left --json
    """
    from avatarlab_cli.queries import limits, users
    from avatarlab_cli.show import show

    show(context, lambda connection: limits.of_user(connection, users.find_user(connection, user)))


@app.report()
def check(
    context: typer.Context,
    near: Annotated[
        int,
        typer.Option("--near", metavar="PERCENT", min=1, max=100, help="How much of a limit counts as near."),
    ] = 90,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="METRIC", help="Only this limit; a wrong one lists all.")
    ] = None,
    tier: Annotated[
        str | None, typer.Option("--tier", metavar="TIER", help="Only users of this tier.")
    ] = None,
) -> None:
    """List who is over a limit, at it, or near it; exit code 3 where there is anybody, or a limit cannot be checked.

    It judges this month's stored usage, and the avatars there are now, by today's limits.

    \b
    Examples:
      avatarlab tier check
      avatarlab tier check --near 100 --metric max_avatars
      avatarlab tier check --tier free --csv
    """
    from avatarlab_cli.queries import limits
    from avatarlab_cli.show import show_findings

    show_findings(
        context,
        lambda connection: limits.check(connection, near_percent=near, metric=metric, tier=tier),
    )


@app.act("set")
def set_tier(
    context: typer.Context,
    targets: Targets,
    cycle: Annotated[
        str | None,
        typer.Option(
            "--cycle",
            metavar="CYCLE",
            help="monthly, yearly or lifetime; by default the one the user has, else monthly.",
        ),
    ] = None,
) -> None:
    """Give users a tier: one live subscription each, the others ended, and the profile set to it.

    A user who had the tier before gets the former subscription back, begun anew and without its overrides.

    \b
    Examples:
      avatarlab tier set ada@example.com pro
      avatarlab tier set ada@ eve@ pro --cycle yearly --reason "Contract 2041"
      avatarlab user list --tier starter --csv | avatarlab tier set --from-csv - pro --yes
    """
    from avatarlab_cli.actions.subscription import Set
    from avatarlab_cli.perform import perform

    names, (tier,) = _split(context, targets, "TIER")
    perform(context, Set(tier=_tier_named(context, tier), cycle=cycle), names)


@app.act()
def cancel(
    context: typer.Context,
    users: options.Users = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="End it now, and give the free tier, instead of at the period's end."),
    ] = False,
) -> None:
    """Cancel users' subscriptions at the end of the month, year or trial that runs.

    Until then the tier stays. The profile keeps it even then, and whoever has no subscription has the profile's tier.
    `avatarlab tier repair --everyone --trust subscription --yes`, best on a timer, gives them the free one.

    \b
    Examples:
      avatarlab tier cancel ada@example.com --reason "Asked by e-mail"
      avatarlab tier cancel ada@example.com --now
    """
    from avatarlab_cli.actions.subscription import Cancel
    from avatarlab_cli.perform import perform

    perform(context, Cancel(now=now), users)


@trial.act("start")
def start_trial(
    context: typer.Context,
    targets: Targets,
    days: Annotated[
        int | None,
        typer.Option("--days", metavar="N", min=1, max=3650, help="How long; by default as the tier says."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also for users who have had the tier.")] = False,
) -> None:
    """Let users try a tier; whoever pays for one is left alone.

    The profile is set to it too. It keeps it when the trial is over, and whoever has no subscription has the profile's
    tier. `avatarlab tier repair --everyone --trust subscription --yes`, best on a timer, gives them the free one.

    \b
    Examples:
      avatarlab tier trial start ada@example.com pro
      avatarlab tier trial start ada@example.com pro --days 60 --again
    """
    from avatarlab_cli.actions.subscription import TrialStart
    from avatarlab_cli.perform import perform

    names, (tier,) = _split(context, targets, "TIER")
    perform(context, TrialStart(tier=_tier_named(context, tier), days=days, again=again), names)


@trial.act("extend")
def extend_trial(
    context: typer.Context,
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=3650, help="How much longer.")],
    users: options.Users = None,
) -> None:
    """Let running trials run longer.

    \b
    Examples:
      avatarlab tier trial extend ada@example.com --days 14
    """
    from avatarlab_cli.actions.subscription import TrialExtend
    from avatarlab_cli.perform import perform

    perform(context, TrialExtend(days=days), users)


@app.act()
def override(
    context: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="[USER]... METRIC LIMIT",
            help="Users, unless a file names them; what is limited; a number, unlimited, or none for the tier's own.",
        ),
    ],
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="When it ends, not included: ISO 8601, 30d, or never."),
    ] = None,
) -> None:
    """Give users a limit of their own, which wins over their tier's; a reason is required.

    It belongs to the subscription and ends with it. All of a user's overrides end at the same time.

    \b
    Examples:
      avatarlab tier override ada@example.com images_generated 500 --until 2027-01-01 --reason "Fair in May"
      avatarlab tier override ada@example.com max_avatars unlimited --until never --reason "Partner"
      avatarlab tier override ada@example.com images_generated none --reason "Fair is over"
    """
    from avatarlab_cli.actions.subscription import Override
    from avatarlab_cli.perform import perform
    from avatarlab_cli.queries.limits import demand_limitable

    names, (metric, limit) = _split(context, targets, "METRIC LIMIT")
    demand_limitable(metric)
    number = _limit(limit)
    ends = None if number is None else _end(until, current(context).clock())
    perform(context, Override(metric=metric, limit=number, until=ends), names)


@app.act()
def repair(
    context: typer.Context,
    users: options.Users = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="All accounts that need it.")] = False,
    trust: Annotated[
        str | None,
        typer.Option(
            "--trust", metavar="SOURCE", help="What is right where they disagree: subscription or profile."
        ),
    ] = None,
) -> None:
    """Leave each user one subscription and a profile that agrees; `tier findings` lists who needs it.

    The current subscription decides, unless the profile is to be trusted. Who has none gets the free tier for life.
    Who has none, but a profile with another tier, is left alone without --trust: a trial or a cancelled subscription
    has ended, or somebody set the profile alone.

    \b
    Examples:
      avatarlab tier repair ada@example.com --trust subscription
      avatarlab tier repair --everyone --dry-run
    """
    from avatarlab_cli.actions.subscription_repair import Repair

    _demand_one_way(context, users, "`avatarlab tier findings` lists who needs it", everyone=everyone)
    if everyone:
        users = _repairable(context, is_trusting=trust is not None)
    _perform_on(context, Repair(trust=trust), users)


def _repairable(context: typer.Context, *, is_trusting: bool) -> list[str]:
    """Return the ids of the users to repair; where there are none, say so."""
    from avatarlab_cli.queries import subscriptions

    invocation = current(context)
    with invocation.reading() as connection:
        found = subscriptions.repairable(connection, is_trusting=is_trusting)
    if not found:
        without = "" if is_trusting else " without --trust; `avatarlab tier findings` lists what needs it"
        invocation.environment.say(f"note: there is nothing to repair{without}")
    return found


@app.act()
def enforce(
    context: typer.Context,
    users: options.Users = None,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="All whom `tier check` lists as over a limit.")
    ] = False,
) -> None:
    """Suspend users who are over a limit; their figures are computed anew first, and who is within is left alone.

    The label `suspended` is all that is set, and the entry holds the figures: nothing in the app looks at the label.
    `user ban` shuts somebody out; `user activate` or `audit undo` takes the label away again. While a job computes usage
    nothing is done (exit code 75).

    \b
    Examples:
      avatarlab tier enforce ada@example.com --dry-run
      avatarlab tier enforce --everyone --reason "Over the limits of May" --yes
      avatarlab tier check --near 100 --metric images_generated --csv | avatarlab tier enforce --from-csv - --yes
    """
    from avatarlab_cli.actions.enforce import Enforce

    _demand_one_way(context, users, "`avatarlab tier check` lists who is over a limit", everyone=everyone)
    if everyone:
        users = _over(context)
    _perform_on(context, Enforce(current(context).settings.get("rates_file")), users)


def _over(context: typer.Context) -> list[str]:
    """Return the ids of the users who are over a limit by what is stored; says how old that is, or that there are none."""
    from avatarlab_cli.queries import limits

    invocation = current(context)
    with invocation.reading() as connection:
        found, notes = limits.over(connection)
    for note in notes:
        invocation.environment.say(f"note: {note}")
    if not found:
        invocation.environment.say("note: nobody is over a limit")
    return found


def _demand_one_way(context: typer.Context, users: list[str] | None, hint: str, *, everyone: bool) -> None:
    """Raise UsageError unless the users are named, or all of them are meant."""
    if everyone == (bool(users) or _names_a_file(context)):
        message = "users are named beside --everyone" if everyone else "no user is named"
        raise UsageError(message, hint=f"name users, or give --everyone; {hint}")


def _perform_on(context: typer.Context, act: "Act", users: list[str] | None) -> None:
    """Do the act to the users, or those a file names; where there are none, show that."""
    from avatarlab_cli.outcomes import columns
    from avatarlab_cli.perform import ChangeOptions, perform
    from avatarlab_cli.show import show_rows

    if users or _names_a_file(context):
        perform(context, act, users)
    else:
        is_preview = ChangeOptions.of(current(context)).is_preview
        show_rows(context, columns(act, is_preview=is_preview), [])


@app.report("findings")
def show_contradictions(context: typer.Context) -> None:
    """List the users whose subscriptions contradict each other or the profile; exit code 3 where there are any.

    \b
    Examples:
      avatarlab tier findings
      avatarlab tier findings --csv --fields email,finding
    """
    from avatarlab_cli.queries import subscriptions
    from avatarlab_cli.show import show_findings

    show_findings(context, subscriptions.findings)


@requests.report("list")
def list_requests(
    context: typer.Context,
    status: Annotated[
        str,
        typer.Option("--status", metavar="STATUS", help="pending, approved, rejected, cancelled or all."),
    ] = "pending",
) -> None:
    """List the users' requests for another tier, the oldest first.

    \b
    Examples:
      avatarlab tier requests list
      avatarlab tier requests list --status all --csv
    """
    from avatarlab_cli.queries import subscriptions
    from avatarlab_cli.show import show

    show(context, lambda connection: subscriptions.requests(connection, status))


@requests.act()
def approve(context: typer.Context, ids: Requests = None) -> None:
    """Give users the tiers they ask for; the reason is noted in the request.

    \b
    Examples:
      avatarlab tier requests approve 3fa85f64 --reason "As agreed"
      avatarlab tier requests list --csv | avatarlab tier requests approve --from-csv - --yes
    """
    from avatarlab_cli.actions.tier_request import Approve
    from avatarlab_cli.perform import perform

    perform(context, Approve(), ids)


@requests.act()
def reject(context: typer.Context, ids: Requests = None) -> None:
    """Leave users the tiers they have; the reason is noted in the request.

    \b
    Examples:
      avatarlab tier requests reject 3fa85f64 --reason "Unpaid invoices"
    """
    from avatarlab_cli.actions.tier_request import Reject
    from avatarlab_cli.perform import perform

    perform(context, Reject(), ids)


def _names_a_file(context: typer.Context) -> bool:
    return not {"ids_from", "from_csv"}.isdisjoint(current(context).flags)


def _split(context: typer.Context, words: list[str], last: str) -> tuple[list[str], list[str]]:
    """Return the users, and the words for `last` behind them; raises UsageError where some are missing."""
    number = len(last.split())
    names, rest = words[:-number], words[-number:]
    if len(rest) < number or not (names or _names_a_file(context)):
        raise UsageError(
            f"not enough is named: USER... {last}", hint="users may come from --ids-from or --from-csv"
        )
    return names, rest


def _tier_named(context: typer.Context, text: str) -> str:
    """Return the name of the tier; raises NotFoundError or UsageError."""
    from avatarlab_cli.queries import naming
    from avatarlab_cli.queries.tiers import TIER

    with current(context).reading() as connection:
        return str(naming.find(connection, TIER, text).label)


def _limit(text: str) -> int | None:
    """Return the limit, -1 for unlimited, None for none of the user's own; raises UsageError."""
    words = {"unlimited": -1, "none": None}
    if text in words:
        return words[text]
    if not (text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise UsageError(f"{text!r} is not a limit", hint="write a whole number from 0, unlimited, or none")
    return int(text)


def _end(text: str | None, now: datetime) -> datetime | None:
    """Return when an override ends, None for never; raises UsageError unless that is after today."""
    if text is None:
        raise UsageError("it is not said when the override ends", hint="--until 2027-01-01, or --until never")
    if text == "never":
        return None
    moment = parse_coming(text, now)
    if moment.date() <= now.date():
        raise UsageError(
            f"--until {text} would end the override before the day is over", hint="name a later day"
        )
    return moment
