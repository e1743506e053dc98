"""What a run found that somebody should hear of: nobody's name, but how many, and the command that shows whom."""

from collections.abc import Callable, Iterator

import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.telling.news import mark_of
from avatarlab_cli.telling.webhook import Matter
from jobs.order import Run
from jobs.result import Result

# How much of a user's use is over a limit changes with every run, which limits it is over seldom.
_OVER = sa.text("""
    SELECT user_id, ARRAY(SELECT key FROM jsonb_object_keys(exceeded_limits) key ORDER BY key) AS limits
    FROM public.monthly_usage
    WHERE usage_month = date_trunc('month', current_date)::date AND is_over_limit ORDER BY user_id
""")


def matters(database: Database, job: str, run: Run) -> Iterator[Matter]:
    """Yield what a run of the job has looked at, well or not; raises an AvatarLabError."""
    if run.status == "succeeded" and job in _OF_JOBS:
        yield from _OF_JOBS[job](database, run.result)


def _limits(database: Database, _: Result) -> Iterator[Matter]:
    with database.read() as connection:
        over = connection.execute(_OVER).all()
    count = len(over)
    finding = f"{_users(count)} over a limit this month: `avatarlab tier check`" if count else None
    mark = mark_of([(str(user), limits) for user, limits in over])
    yield Matter("limits", finding, mark, relief="no user is over a limit any more")


def _users(count: int) -> str:
    return "1 user is" if count == 1 else f"{count} users are"


def _differences(_: Database, result: Result) -> Iterator[Matter]:
    """Yield what was found in the months whose turn it was: of others a run of verify says nothing."""
    months = result.details.get("months")
    if not isinstance(months, list) or not months:
        return
    by_metric = result.details.get("by_metric")
    counts = by_metric if isinstance(by_metric, dict) else {}
    listed = ", ".join(f"{metric} {count}" for metric, count in sorted(counts.items()))
    named = ", ".join(months)
    finding = (
        f"stored figures differ from their sources in {named}: {listed}\n"
        f"`avatarlab job verify --month {months[0]}` lists them, with --repair it sets them right"
    )
    yield Matter(
        f"verify {months[0]}",
        finding if counts else None,
        mark_of(sorted(counts.items())),
        relief=f"nothing differs from its sources in {named} any more",
    )


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
