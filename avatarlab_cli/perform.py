"""What a changing verb ends with: targets, one question, transactions, a result for each target, an exit code."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import uuid4

import sqlalchemy as sa
import typer

from avatarlab_cli.actions.act import Act, Item, Outcome
from avatarlab_cli.actions.batch import carry_out_all
from avatarlab_cli.actions.engine import Order
from avatarlab_cli.cli import current
from avatarlab_cli.context import Context
from avatarlab_cli.errors import ExitCode, RefusedError, UsageError
from avatarlab_cli.outcomes import Tally, columns, rows
from avatarlab_cli.output.options import Format
from avatarlab_cli.plan import Plan, write_plan
from avatarlab_cli.queries.naming import error_of, rows_named
from avatarlab_cli.show import demand_options, show_rows
from avatarlab_cli.spool import Spool
from avatarlab_cli.targets import read_targets


@dataclass(frozen=True)
class ChangeOptions:
    """The options every changing verb takes."""

    reason: str | None
    is_dry_run: bool
    yes: bool
    ids_from: str | None
    from_csv: str | None
    max_rows: int | None
    max_percent: Decimal | None
    plan: str | None

    @property
    def is_preview(self) -> bool:
        """Whether nothing is to be changed."""
        return self.is_dry_run or self.plan is not None

    @classmethod
    def of(cls, invocation: Context) -> "ChangeOptions":
        """Read them from the invocation's flags; raises UsageError."""
        flags = invocation.flags
        return cls(
            reason=_text(flags.get("reason")),
            is_dry_run=bool(flags.get("dry_run")),
            yes=bool(flags.get("yes")),
            ids_from=_text(flags.get("ids_from")),
            from_csv=_text(flags.get("from_csv")),
            max_rows=invocation.max_rows,
            max_percent=_percent(_text(flags.get("max_percent"))),
            plan=_text(flags.get("plan")),
        )


def perform(context: typer.Context, act: Act, names: Sequence[str] | None = None) -> None:
    """Do the act to all targets given, and show what became of each; raises an AvatarLabError, or typer.Exit.

    For one target its failure is the command's; of several, those that fail do not stop the others, and the exit
    code is 1.
    """
    invocation = current(context)
    options = ChangeOptions.of(invocation)
    if options.plan and not act.plannable:
        raise UsageError(f"`{act.command}` changes no rows that a plan could show")
    with Spool() as targets:
        read_targets(act.naming, names or (), options.ids_from, options.from_csv, targets)
        items = (Item(number, *target) for number, target in enumerate(targets, start=1))
        _carry_out(context, act, items, len(targets), options)


def perform_plan(context: typer.Context, plan: Plan, act: Act) -> None:
    """Do what was planned, where nothing has moved since; raises RefusedError or exits 7 where something has."""
    options = replace(ChangeOptions.of(current(context)), reason=plan.reason)
    _carry_out(context, act, plan.items(), plan.targets, options)


def _carry_out(
    context: typer.Context, act: Act, items: Iterable[Item], count: int, options: ChangeOptions
) -> None:
    invocation = current(context)
    if act.needs_reason and not options.reason:
        raise UsageError("a reason is required", hint="--reason TEXT; it is kept in the audit log")
    shown = columns(act, is_preview=options.is_preview)
    demand_options(context, shown)
    if act.shows_once and not options.is_preview:
        _demand_shown(invocation, act)
    order = Order(invocation.settings.get("admin"), options.reason, uuid4(), is_preview=options.is_preview)
    items = _demand_allowed(invocation, act, items, count, options)
    tally = Tally(count, is_preview=options.is_preview)
    with Spool(secret=bool(act.shows_once)) as results, Spool() as planned:
        try:
            for outcome in _outcomes(invocation, act, items, order, tally):
                _keep(act, outcome, results, planned, is_preview=options.is_preview)
        except BaseException:
            # What was done before is told all the same: a new key is shown now or never.
            if tally.done and not options.is_preview:
                show_rows(context, shown, results)
            raise
        if count == 1 and tally.failure:
            raise tally.failure
        if options.plan:
            head = {"act": act.name, "parameters": act.parameters(), "reason": options.reason}
            write_plan(options.plan, head, planned)
        try:
            show_rows(context, shown, results)
        finally:
            # Also where nobody could read the rows: it is done, and this is the way back.
            _tell(invocation, act, tally, order, options)
    if tally.failure:
        raise typer.Exit(ExitCode.REFUSED if tally.has_moved else ExitCode.FAILED)


def _keep(act: Act, outcome: Outcome, results: Spool, planned: Spool, *, is_preview: bool) -> None:
    for row in rows(act, outcome, is_preview=is_preview):
        results.add(row)
    if is_preview and outcome.result == "changed":
        # What is to be made has no id yet that would last.
        name = outcome.item.name if act.creates else outcome.id
        planned.add({"id": name, "at": outcome.at, "changes": list(map(vars, outcome.changes))})


def _outcomes(
    invocation: Context, act: Act, items: Iterable[Item], order: Order, tally: Tally
) -> Iterator[Outcome]:
    """Yield what becomes of each target, and say how far it came should it be broken off."""
    database = invocation.job_database if act.is_long else invocation.database
    progress = invocation.progress(f"of {tally.count}") if tally.count > 1 else None
    try:
        for outcomes in carry_out_all(database, act, items, order):
            for outcome in outcomes:
                tally.add(outcome)
                yield outcome
            if progress:
                progress(act.command, tally.done)
    except BaseException:
        if tally.done and not order.is_preview:
            rest = "do not name those again" if act.repeats else "the same command goes on"
            back = f", `avatarlab audit undo --batch {order.batch}` takes them back" if act.undoable else ""
            invocation.kept = f"{tally.done} of {tally.count} are done and kept; {rest}{back}"
        raise


def _demand_allowed(
    invocation: Context, act: Act, items: Iterable[Item], count: int, options: ChangeOptions
) -> Iterable[Item]:
    """Check the admin's permission and the safety limits, and ask; returns the items to go on with."""
    has_question = not (options.is_preview or options.yes) and (count > 1 or bool(act.question and count))
    question = f"{act.question or act.command}: {count} {act.naming.many}?"
    with invocation.database.read() as connection:
        act.authorized(connection, invocation.settings.get("admin"))
        _demand_limits(connection, act, count, options)
        if has_question and count == 1:
            (item,) = items
            (row,) = rows_named(connection, act.naming, [item.name], is_typed=item.is_typed)
            if row.matches != 1:
                raise error_of(connection, act.naming, item.name, row.candidates)
            question = f"{act.question} {row.label}?"
            # What is confirmed is done, whatever the name might fit by then.
            items = [replace(item, name=str(row.id))]
    if has_question:
        invocation.confirm(question)
    return items


def _demand_shown(invocation: Context, act: Act) -> None:
    """Raise UsageError where the output options would lose what is shown but once."""
    output = invocation.output
    is_whole = output.limit is None and not output.offset and output.path is None
    has_columns = not output.fields or act.shows_once in output.fields
    if not (is_whole and has_columns and output.resolved_format not in (Format.IDS, Format.COUNT)):
        raise UsageError(
            f"{act.shows_once} is shown once, on stdout, and these output options would lose it",
            hint=f"leave out --out, --limit and --offset; let --fields name {act.shows_once}; redirect stdout to keep it",
        )


def _demand_limits(connection: sa.Connection, act: Act, count: int, options: ChangeOptions) -> None:
    if options.max_rows is not None and count > options.max_rows:
        raise RefusedError(
            f"{count} {act.naming.many} are named, and --max-rows allows {options.max_rows}",
            hint="nothing was changed; raise the limit if all of them are meant",
        )
    if options.max_percent is not None:
        total = connection.scalar(sa.text(f"SELECT count(*) FROM {act.naming.table}")) or 0
        if 100 * count > options.max_percent * total:
            raise RefusedError(
                f"{count} of {total} {act.naming.many} are named, and --max-percent allows {options.max_percent} %",
                hint="nothing was changed; raise the limit if all of them are meant",
            )


def _tell(invocation: Context, act: Act, tally: Tally, order: Order, options: ChangeOptions) -> None:
    """Say on stderr what the rows do not: how many, and how to go on or back."""
    say = invocation.environment.say
    if tally.count != 1:
        say(str(tally))
    if options.plan:
        say(f"the plan is in {options.plan}; `avatarlab apply {options.plan}` carries it out")
    elif options.is_dry_run:
        say("nothing was changed")
    elif act.undoable and tally.results["changed"] and tally.last:
        what = f"--batch {order.batch}" if tally.count > 1 else str(tally.last.entry)
        say(f"`avatarlab audit undo {what}` takes it back")


def _percent(text: str | None) -> Decimal | None:
    if text is not None and not re.fullmatch(r"\d{1,3}(\.\d{1,6})?", text):
        raise UsageError(f"--max-percent takes a number such as 1 or 0.5, not {text!r}")
    return None if text is None else Decimal(text)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
