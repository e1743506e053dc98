"""avatarlab cost rates: the prices that usage is reckoned with."""

from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import ExitCode, UsageError
from avatarlab_cli.timeframe import parse_day

if TYPE_CHECKING:
    from avatarlab_cli.queries.rate_cards import Named

app = App()
Card = Annotated[
    str | None,
    typer.Argument(metavar="[CARD]", help="A file, or a stored version or the beginning of one."),
]


@app.callback()
def rates() -> None:
    """The prices that usage is reckoned with: the card in force, and those of former runs."""


@app.report()
def show(
    context: typer.Context,
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="V", help="A stored card: its version, or the beginning of one."),
    ] = None,
    day: Annotated[
        str | None,
        typer.Option("--day", metavar="YYYY-MM-DD", help="In force on which day; today by default."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only rates of this kind.")
    ] = None,
) -> None:
    """Show a rate card: each price, from when until when it holds, and whether it does on a day.

    It is the card of the setting rates_file, or the one shipped, unless --version names one that a job has used.

    \b
    Examples:
      avatarlab cost rates show
      avatarlab cost rates show --kind image --day 2026-03-31
      avatarlab cost rates show --version 3fa8 --csv
    """
    from avatarlab_cli.queries import rate_cards
    from avatarlab_cli.rollup.rates import CARD_KINDS
    from avatarlab_cli.show import show_rows

    if kind is not None and kind not in CARD_KINDS:
        raise UsageError(f"{kind!r} is no kind of cost", hint=f"kinds: {', '.join(CARD_KINDS)}")
    invocation = current(context)
    asked = parse_day(day) if day else invocation.clock().date()
    found = _in_force(context) if version is None else _stored(context, version)
    show_rows(context, rate_cards.RATES, rate_cards.rates(found.card, asked, kind))
    invocation.environment.say(f"note: rate card {found}")


@app.report()
def validate(
    context: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]", help="A rate card in YAML; the one in force by default, - is stdin."
        ),
    ] = None,
) -> None:
    """Check a rate card, without a database: list every fault with its line; exit code 3 where there is any.

    \b
    Examples:
      avatarlab cost rates validate rates.yaml
      avatarlab cost rates validate rates.yaml --json
    """
    from avatarlab_cli import rate_file
    from avatarlab_cli.queries import rate_cards
    from avatarlab_cli.show import show_rows

    path = file or current(context).settings.get("rates_file")
    card, faults = rate_file.check(rate_file.text(path))
    if faults:
        show_rows(context, rate_cards.FAULTS, rate_cards.faults(faults))
        raise typer.Exit(ExitCode.FOUND)
    rates = f"{len(card.rates)} rate{'' if len(card.rates) == 1 else 's'}"
    valid = f"{rates}, version {card.version}, currency {card.currency}: valid"
    show_rows(context, rate_cards.FAULTS, [], empty=valid)


@app.report()
def diff(context: typer.Context, before: Card = None, after: Card = None) -> None:
    """Compare two rate cards; exit code 3 where they differ.

    Without any, the card of the latest run of monthly-usage is compared with the one in force now; with one, that
    one is.

    \b
    Examples:
      avatarlab cost rates diff
      avatarlab cost rates diff 3fa8
      avatarlab cost rates diff old.yaml new.yaml --csv
    """
    from avatarlab_cli.queries import rate_cards
    from avatarlab_cli.show import show_rows

    old = _named(context, before)
    new = _in_force(context) if after is None else _named(context, after)
    changes = rate_cards.differences(old.card, new.card)
    show_rows(context, rate_cards.DIFFERENCES, changes, empty="No price differs.")
    current(context).environment.say(f"note: before is {old}, after is {new}")
    if changes:
        raise typer.Exit(ExitCode.FOUND)


def _in_force(context: typer.Context) -> "Named":
    from avatarlab_cli import rate_file
    from avatarlab_cli.queries.rate_cards import Named

    path = current(context).settings.get("rates_file")
    return Named(rate_file.origin(path), rate_file.read(path))


def _stored(context: typer.Context, version: str) -> "Named":
    from avatarlab_cli.queries import rate_cards

    with current(context).reading() as connection:
        return rate_cards.find(connection, version)


def _named(context: typer.Context, card: str | None) -> "Named":
    """Return a card by its file or stored version, without either that of the latest run."""
    from pathlib import Path

    from avatarlab_cli import rate_file
    from avatarlab_cli.queries import rate_cards

    if card is None:
        with current(context).reading() as connection:
            return rate_cards.latest(connection)
    if rate_cards.is_version(card) and not Path(card).exists():
        return _stored(context, card)
    return rate_cards.Named(rate_file.origin(card), rate_file.read(card))
