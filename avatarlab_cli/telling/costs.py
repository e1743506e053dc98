"""What the checks of costs found that somebody should hear of: kinds and how many users, nobody's name."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries import findings
from avatarlab_cli.report import Report
from avatarlab_cli.telling.news import mark_of, users
from avatarlab_cli.telling.webhook import Matter

_LISTED = 10


def budgets(connection: sa.Connection, report: Report) -> Matter:
    """Return what `cost budget check` reports: which budgets are spent or nearly, and of which that is not known."""
    rows = findings.budgets(connection, report.select)
    said = list(_said_of(rows))
    if report.unjudged:
        said.append(f"could not be checked: line {', '.join(report.unjudged)}")
    return Matter(
        "budgets",
        _finding("budgets are spent, or nearly", said, "cost budget check"),
        mark_of([(row.line, row.state, row.digest) for row in rows], report.unjudged),
        relief="no budget is spent, or nearly",
    )


def anomalies(connection: sa.Connection, report: Report) -> Matter:
    """Return what `cost anomalies` reports: which kinds and how many users are far outside their history."""
    rows = findings.anomalies(connection, report.select)
    said = [f"{row.kind} on {row.day}: {row.cost}, usually {row.median}" for row in rows if row.kind]
    said += [users(row.users) for row in rows if not row.kind]
    return Matter(
        "anomalies",
        _finding("costs are far outside their history", said, "cost anomalies"),
        mark_of([(row.kind, row.digest) for row in rows]),
        relief="no cost is far outside its history",
    )


def _said_of(rows: Sequence[sa.Row[Any]]) -> Iterator[str]:
    """Yield a line for each budget, and of one that is each user's own for each state, with how many are in it."""
    for row in rows:
        of_all = "" if row.percent is None else f", {row.percent:.0%}"
        yield f"line {row.line}, {row.kind}: {row.state}{of_all if row.is_of_all else f', {users(row.users)}'}"


def _finding(what: str, said: Sequence[str], command: str) -> str | None:
    if not said:
        return None
    more = [f"and {len(said) - _LISTED} more"] if len(said) > _LISTED else []
    return "\n".join((f"{what}:", *said[:_LISTED], *more, f"`avatarlab {command}` lists them"))
