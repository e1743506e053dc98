"""What a run found that somebody should hear of: nobody's name, but how many, and the command that shows whom."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from avatarlab_cli.database import Database
from avatarlab_cli.queries import findings as queries
from avatarlab_cli.telling.news import mark_of, users
from avatarlab_cli.telling.webhook import Matter
from jobs.order import Run
from jobs.result import Result


def matters(database: Database, job: str, run: Run) -> Iterator[Matter]:
    """Yield what a run of the job has looked at, well or not; raises an AvatarLabError."""
    if run.status == "succeeded" and job in _OF_JOBS:
        yield from _OF_JOBS[job](database, run.result)


def _limits(database: Database, result: Result) -> Iterator[Matter]:
    # The last month judged is that of the day the run was on.
    with database.read() as connection:
        over = queries.over_limits(connection, result.window.end - timedelta(days=1))
    verb = "is" if over.users == 1 else "are"
    finding = f"{users(over.users)} {verb} over a limit this month: `avatarlab tier check`"
    relief = "no user is over a limit any more"
    yield Matter("limits", finding if over.users else None, over.digest, relief)


def _differences(_: Database, result: Result) -> Iterator[Matter]:
    """Yield what was found in each month whose turn it was: of others a run of verify says nothing."""
    months, by_month = result.details.get("months"), result.details.get("by_month")
    for month in months if isinstance(months, list) else []:
        counts = by_month.get(month, {}) if isinstance(by_month, dict) else {}
        listed = ", ".join(f"{metric} {count}" for metric, count in sorted(counts.items()))
        finding = (
            f"stored figures differ from their sources in {month}: {listed}\n"
            f"`avatarlab job verify --month {month}` lists them, with --repair it sets them right"
        )
        relief = f"nothing differs from its sources in {month} any more"
        mark = mark_of(sorted(counts.items()))
        yield Matter(f"verify {month}", finding if counts else None, mark, relief)


def _closing(_: Database, result: Result) -> Iterator[Matter]:
    refused = result.details.get("refused")
    finding = (
        f"a month that is due was not closed: {refused}\n`avatarlab period check` says why"
        if refused
        else None
    )
    yield Matter("closing", finding, mark_of(refused), relief="every month that is due is closed")


_OF_JOBS: dict[str, Callable[[Database, Result], Iterator[Matter]]] = {
    "check-limits": _limits,
    "verify": _differences,
    "close-month": _closing,
}
