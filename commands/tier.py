"""avatarlab tier: the plans, who has which, and what they bring in."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, OneActCommand, current
from avatarlab_cli.errors import ExitCode, UsageError
from avatarlab_cli.timeframe import parse_month
from commands import tier_users

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from avatarlab_cli.report import Report
    from avatarlab_cli.tier_file import Change

app = App()
app.add_typer(tier_users.app)
Name = Annotated[str, typer.Argument(metavar="TIER", help="Its name, the beginning of one, or its UUID.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TIER]...", help="Their names, the beginnings of them, or UUIDs."),
]
DisplayName = Annotated[str | None, typer.Option("--display-name", metavar="TEXT", help="What users see.")]
Description = Annotated[
    str | None, typer.Option("--description", metavar="TEXT", help="What the tier offers.")
]
PriceMonthly = Annotated[
    str | None, typer.Option("--price-monthly", metavar="USD", help="What a month costs.")
]
PriceYearly = Annotated[str | None, typer.Option("--price-yearly", metavar="USD", help="What a year costs.")]
TrialDays = Annotated[
    int | None, typer.Option("--trial-days", metavar="N", help="How long a trial lasts; 0 for none.")
]
MaxAvatars = Annotated[
    int | None, typer.Option("--max-avatars", metavar="N", help="Most avatars at a time; -1 is unlimited.")
]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--set-limit",
        metavar="METRIC=N",
        help="Most of a metric in a month, -1 is unlimited; METRIC= takes the limit away. May be repeated.",
    ),
]
Active = Annotated[
    bool | None,
    typer.Option("--active/--inactive", help="Whether users can be given the tier; an archived one is back."),
]
Featured = Annotated[
    bool | None, typer.Option("--featured/--no-featured", help="Whether the tier is recommended.")
]
File = Annotated[
    str,
    typer.Option("-f", "--file", metavar="FILE", help="The tiers as they should be, in YAML; - is stdin."),
]
Prune = Annotated[bool, typer.Option("--prune", help="Archive the tiers the file does not name.")]


@app.callback()
def tier() -> None:
    """Plans and subscriptions: limits, prices, who has which."""


@app.report("list")
def list_tiers(
    context: typer.Context,
    archived: Annotated[bool, typer.Option("--archived", help="Show archived tiers too.")] = False,
) -> None:
    """List the tiers: prices, limits, and how many users have each.

    \b
    Examples:
      avatarlab tier list
      avatarlab tier list --archived --fields tier,users,state
    """
    from avatarlab_cli.queries import tiers
    from avatarlab_cli.schema.live import probe
    from avatarlab_cli.show import show

    show(
        context,
        lambda connection: tiers.every(probe(connection), tiers.today(connection), archived=archived),
    )


@app.report("show")
def show_tier(context: typer.Context, name: Name) -> None:
    """Show everything about a tier: limits, prices over time, users by billing cycle.

    \b
    Examples:
      avatarlab tier show pro
      avatarlab tier show pro --json --field prices
    """
    from avatarlab_cli.queries import naming, tiers
    from avatarlab_cli.schema.live import probe
    from avatarlab_cli.show import show

    def build(connection: "sa.Connection") -> "Report":
        found = naming.find(connection, tiers.TIER, name)
        return tiers.show(found, probe(connection), tiers.today(connection))

    show(context, build)


@app.report()
def distribution(context: typer.Context) -> None:
    """Show how users and revenue are spread over the tiers now.

    \b
    Examples:
      avatarlab tier distribution
      avatarlab tier distribution --sort -arr --csv
    """
    from avatarlab_cli.queries import tiers
    from avatarlab_cli.schema.live import probe
    from avatarlab_cli.show import show

    show(context, lambda connection: tiers.distribution(probe(connection), tiers.today(connection)))


@app.report()
def diff(context: typer.Context, file: File, prune: Prune = False) -> None:
    """Compare the tiers with a file; exit code 3 where they differ.

    What the file leaves out stays as it is: a key of a tier, and without --prune a whole tier.

    \b
    Examples:
      avatarlab tier diff -f tiers.yaml
      avatarlab tier diff -f tiers.yaml --prune --json
    """
    from avatarlab_cli import tier_file
    from avatarlab_cli.queries import tier_plans, tiers
    from avatarlab_cli.show import show_rows

    wanted = tier_file.read(file)
    invocation = current(context)
    with invocation.reading() as connection:
        present = tiers.present(connection)
    changes = tier_file.compare(wanted, present, prune=prune)
    show_rows(context, tier_plans.DIFFERENCES, tier_plans.differences(changes))
    if not prune and (names := tier_file.unnamed(wanted, present)):
        invocation.environment.say(f"note: left alone, as the file does not name them: {', '.join(names)}")
    if changes:
        raise typer.Exit(ExitCode.FOUND)


@app.report("what-if")
def what_if(
    context: typer.Context,
    file: File,
    month: Annotated[
        str | None,
        typer.Option(
            "--month", metavar="YYYY-MM", help="Whose usage to replay; the last whole month's by default."
        ),
    ] = None,
    users: Annotated[bool, typer.Option("--users", help="List who would be newly over which limit.")] = False,
) -> None:
    """Show what a file's limits and prices would do: who would be over a limit, what would be earned.

    It judges a month's stored usage, and the avatars there are now, by the limits of today and by those of the file;
    users' own overrides go before either. Subscriptions are those of now, at the prices of now and of the file.

    \b
    Examples:
      avatarlab tier what-if -f tiers.yaml
      avatarlab tier what-if -f tiers.yaml --month 2026-03 --users
    """
    from avatarlab_cli import tier_file
    from avatarlab_cli.queries import tier_plans, tiers
    from avatarlab_cli.schema.live import probe
    from avatarlab_cli.show import show

    wanted = tier_file.read(file)
    asked = None if month is None else parse_month(month)

    def build(connection: "sa.Connection") -> "Report":
        today = tiers.today(connection)
        plan = tier_plans.WhatIf(
            probe(connection),
            wanted,
            tiers.present(connection),
            month=asked or _last_whole_month(today),
            today=today,
        )
        notes = plan.notes(connection)
        return plan.newly_over(notes) if users else plan.by_tier(notes)

    show(context, build)


@app.act(of=OneActCommand)
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the tier is called, such as pro.")],
    display_name: DisplayName = None,
    description: Description = None,
    price_monthly: PriceMonthly = None,
    price_yearly: PriceYearly = None,
    trial_days: TrialDays = None,
    max_avatars: MaxAvatars = None,
    limits: Limits = None,
    active: Active = None,
    featured: Featured = None,
) -> None:
    """Make a tier; without further options it costs nothing and allows one avatar.

    \b
    Examples:
      avatarlab tier create team --price-monthly 99 --price-yearly 990 --max-avatars 10
      avatarlab tier create beta --inactive --set-limit images_generated=50 --dry-run
    """
    from avatarlab_cli.actions.tier import Create
    from avatarlab_cli.perform import perform

    _checked({"name": name})
    values = _values(
        display_name, description, price_monthly, price_yearly, trial_days, max_avatars, active, featured
    )
    set_limits, _ = _limits(limits)
    perform(context, Create(values={**values, "limits": set_limits}), [name])


@app.act()
def update(
    context: typer.Context,
    names: Names = None,
    display_name: DisplayName = None,
    description: Description = None,
    price_monthly: PriceMonthly = None,
    price_yearly: PriceYearly = None,
    trial_days: TrialDays = None,
    max_avatars: MaxAvatars = None,
    limits: Limits = None,
    active: Active = None,
    featured: Featured = None,
) -> None:
    """Change tiers; what no option names stays as it is. Former prices are kept.

    \b
    Examples:
      avatarlab tier update pro --price-monthly 34.99 --reason "New prices for 2027"
      avatarlab tier update free starter --set-limit images_generated=50 --set-limit tts_characters=
    """
    from avatarlab_cli.actions.tier import Update
    from avatarlab_cli.perform import perform

    values = _values(
        display_name, description, price_monthly, price_yearly, trial_days, max_avatars, active, featured
    )
    if active:
        values["archived_at"] = None
    set_limits, unlimited = _limits(limits)
    if not (values or set_limits or unlimited):
        raise UsageError("nothing is to be changed", hint="name what is, such as --price-monthly 34.99")
    perform(context, Update(values=values, limits=set_limits, unlimited=unlimited), names)


@app.act()
def archive(context: typer.Context, names: Names = None) -> None:
    """Put tiers away that nobody has: they are kept, but nobody can be given one.

    \b
    Examples:
      avatarlab tier archive beta
    """
    from avatarlab_cli.actions.tier import Archive
    from avatarlab_cli.perform import perform

    perform(context, Archive(), names)


@app.act(of=OneActCommand)
def apply(context: typer.Context, file: File, prune: Prune = False) -> None:
    """Bring the tiers to what a file says, all of them or none.

    What the file leaves out stays as it is: a key of a tier, and without --prune a whole tier. Archiving one takes
    the permission for `tier archive` too.

    \b
    Examples:
      avatarlab tier apply -f tiers.yaml --dry-run
      avatarlab tier apply -f tiers.yaml --yes --reason "Prices of 2027"
    """
    from avatarlab_cli import tier_file
    from avatarlab_cli.actions.tier import Apply
    from avatarlab_cli.perform import ChangeOptions, perform
    from avatarlab_cli.queries import tier_plans, tiers
    from avatarlab_cli.show import show_rows

    wanted = tier_file.read(file)
    invocation = current(context)
    options = ChangeOptions.of(invocation)
    with invocation.reading() as connection:
        changes = tier_file.compare(wanted, tiers.present(connection), prune=prune)
    if not changes:
        show_rows(context, tier_plans.DIFFERENCES, [])
        return
    if not (options.is_dry_run or options.plan):
        _tell(context, changes)
        if not options.yes:
            invocation.confirm("Change the tiers so?")
            invocation.flags["yes"] = True
    act = Apply.of(file, wanted, changes, prune=prune)
    perform(context, act, [change.tier for change in changes])


def _tell(context: typer.Context, changes: "list[Change]") -> None:
    """Say on stderr what is going to be changed."""
    import json

    from avatarlab_cli.queries.tier_plans import differences

    for row in differences(changes):
        before, after = (
            json.dumps(row[side], default=str, ensure_ascii=False) for side in ("before", "after")
        )
        said = after if row["change"] == "create" else f"{before} -> {after}"
        current(context).environment.say(f"{row['change']} {row['tier']}: {row['field']} {said}")


# In the order of the options of `create` and `update`.
_COLUMNS = (
    "display_name",
    "description",
    "price_monthly",
    "price_yearly",
    "trial_days",
    "max_avatars",
    "is_active",
    "is_featured",
)


def _values(*options: object) -> dict[str, object]:
    """Return the columns whose options are given; raises UsageError."""
    return _checked(dict(zip(_COLUMNS, options, strict=True)))


def _checked(values: "Mapping[str, object]") -> dict[str, object]:
    """Return the options that are given as their columns have them; raises UsageError."""
    from decimal import Decimal, InvalidOperation

    from avatarlab_cli import tier_file
    from avatarlab_cli.actions.tier import plain

    given = {name: value for name, value in values.items() if value is not None}
    try:
        for name in {"price_monthly", "price_yearly"} & given.keys():
            given[name] = Decimal(str(given[name]))
        return plain({name: tier_file.checked(name, value) for name, value in given.items()})
    except InvalidOperation:
        raise UsageError("a price must be an amount in USD such as 9.99") from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def _limits(texts: list[str] | None) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the limits to set, and the metrics to limit no more; raises UsageError."""
    given = dict(_limit(text) for text in texts or ())
    limits = {name: value for name, value in given.items() if value is not None}
    return limits, tuple(name for name in given if name not in limits)


def _limit(text: str) -> tuple[str, int | None]:
    from avatarlab_cli import tier_file

    name, is_given, number = text.partition("=")
    if not is_given:
        raise UsageError(f"--set-limit takes METRIC=N, or METRIC= to take the limit away, not {text!r}")
    value = int(number) if number.removeprefix("-").isdecimal() else number
    try:
        limit = tier_file.limit(name, value if number else tier_file.UNLIMITED)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return name, limit if number else None


def _last_whole_month(today: date) -> date:
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)
