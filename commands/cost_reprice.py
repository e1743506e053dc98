"""avatarlab cost reprice: a month by another rate card."""

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import current
from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import month_window, parse_month

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import sqlalchemy as sa

    from avatarlab_cli.context import Context
    from avatarlab_cli.report import Report
    from avatarlab_cli.rollup.rates import RateCard


def reprice(
    context: typer.Context,
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Which month, UTC.")],
    version: Annotated[
        str | None,
        typer.Option(
            "--version",
            metavar="V",
            help="Price a closed month by a stored card: its version, or the beginning of one.",
        ),
    ] = None,
) -> None:
    """Price a month by the rate card in force, and show the difference kind by kind.

    That card is the one the setting rates_file names, unless --version names one that was used before. An open month is recomputed by the job monthly-usage, which
    prices it so on every run anyway; so it takes the permission for `job run` as well. A closed month keeps its
    figures; the differences are recorded as adjustments, for good: what takes them back is a repricing by the former
    card, which is named. `period list` shows which months are closed.

    \b
    Examples:
      avatarlab cost reprice --month 2026-03 --dry-run
      avatarlab cost reprice --month 2026-03 --reason "New contract"
      avatarlab cost reprice --month 2026-03 --version 3fa8 --reason "It was the old one after all"
    """
    from avatarlab_cli.queries import periods, rate_cards
    from avatarlab_cli.rollup import rates

    invocation = current(context)
    when = parse_month(month)
    with invocation.reading() as connection:
        is_closed = periods.is_closed(connection, when)
        stored = None if version is None else rate_cards.find(connection, version).card
    if stored and not is_closed:
        raise UsageError(
            f"{when:%Y-%m} is open: each run prices it by the card of the setting rates_file",
            hint="leave out --version",
        )
    card = stored or rates.load(invocation.settings.get("rates_file"))
    (_adjust if is_closed else _recompute)(context, when, card)


def _adjust(context: typer.Context, month: date, card: "RateCard") -> None:
    """Say what a closed month would cost by the card, and record it."""
    from avatarlab_cli.actions.reprice import Reprice
    from avatarlab_cli.perform import ChangeOptions, perform
    from avatarlab_cli.queries import cost_reprice
    from avatarlab_cli.rollup import adjusting

    invocation = current(context)
    with invocation.reading() as connection:
        report = cost_reprice.difference(connection, month, card, is_closed=True)
        rows = [dict(row) for row in connection.execute(report.select.order_by("kind")).mappings()]
        former = adjusting.card_version(connection, month)
    _say(invocation, report, rows)
    perform(context, Reprice(card.as_dict()), [f"{month:%Y-%m}"])
    is_preview = ChangeOptions.of(invocation).is_preview
    if former not in (None, card.version) and not is_preview:
        back = f"avatarlab cost reprice --month {month:%Y-%m} --version {former}"
        invocation.environment.say(f"`{back}` takes it back")


def _recompute(context: typer.Context, month: date, card: "RateCard") -> None:
    """Show what an open month costs by the card, and let the job set it, unless that is not wanted."""
    from avatarlab_cli.queries import cost_reprice
    from avatarlab_cli.show import demand_options, show, show_rows
    from jobs.registry import BY_NAME
    from jobs.runner import Order, execute

    invocation = current(context)
    _demand_a_run(invocation, month)

    def build(connection: "sa.Connection") -> "Report":
        return cost_reprice.difference(connection, month, card, is_closed=False)

    if invocation.flags.get("dry_run"):
        show(context, build)
        invocation.environment.say("nothing was changed")
        return
    demand_options(context, cost_reprice.OF_OPEN)
    with invocation.reading() as connection:
        report = build(connection)
        rows = [dict(row) for row in connection.execute(report.select.order_by("kind")).mappings()]
    _say(invocation, report, [] if invocation.flags.get("yes") else rows)
    if not invocation.flags.get("yes"):
        invocation.confirm(f"Compute {month:%Y-%m} anew by rate card {card.version}?")
    done = execute(invocation.job_database, BY_NAME["monthly-usage"], Order(card, month_window(month)))
    show_rows(context, cost_reprice.OF_OPEN, rows)
    invocation.environment.say(f"{month:%Y-%m} is priced by rate card {card.version} now (run {done.run_id})")


def _demand_a_run(invocation: "Context", month: date) -> None:
    """Raise NotPermittedError unless the acting admin may run jobs, UsageError for options that a run has no use for."""
    from avatarlab_cli.actions.actor import demand_actor
    from avatarlab_cli.permissions import COMMANDS

    for option, what in (("plan", "a plan is"), ("reason", "a reason is kept")):
        if invocation.flags.get(option):
            raise UsageError(
                f"{month:%Y-%m} is open, and {what} for closed months",
                hint=f"leave out --{option}; --dry-run shows the difference",
            )
    with invocation.reading() as connection:
        actor = demand_actor(connection, invocation.settings.get("admin"))
    actor.demand(COMMANDS["job run"], "job run")


def _say(invocation: "Context", report: "Report", rows: "Iterable[Mapping[str, object]]") -> None:
    from avatarlab_cli.queries import cost_reprice

    for line in cost_reprice.sentences(report, rows):
        invocation.environment.say(line)
