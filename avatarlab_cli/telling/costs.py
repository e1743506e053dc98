"""What the checks of costs found that somebody should hear of: kinds and how many users, nobody's name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.report import Report
from avatarlab_cli.telling.news import mark_of
from avatarlab_cli.telling.webhook import Matter

_LISTED = 10


def budgets(connection: sa.Connection, report: Report) -> Matter:
    """Return what `cost budget check` reports: which budgets are spent or nearly, and of which that is not known."""
    rows = _rows(connection, report)
    facts = sorted((row["line"], str(row["user_id"]), row["state"]) for row in rows)
    said = list(_said_of(rows))
    if report.unjudged:
        said.append(f"could not be checked: line {', '.join(report.unjudged)}")
    return Matter(
        "budgets",
        _finding("budgets are spent, or nearly", said, "cost budget check"),
        mark_of(facts, report.unjudged),
        relief="no budget is spent, or nearly",
    )


def anomalies(connection: sa.Connection, report: Report) -> Matter:
    """Return what `cost anomalies` reports: which kinds and how many users are far outside their history."""
    rows = _rows(connection, report)
    facts = sorted((str(row["day"]), str(row["user_id"] or row["who"]), row["direction"]) for row in rows)
    kinds = [row for row in rows if row["subject"] == "kind"]
    said = [f"{row['who']} on {row['day']}: {row['cost']}, usually {row['median']}" for row in kinds]
    if users := len({row["user_id"] for row in rows if row["subject"] == "user"}):
        said.append(_users(users))
    return Matter(
        "anomalies",
        _finding("costs are far outside their history", said, "cost anomalies"),
        mark_of(facts),
        relief="no cost is far outside its history",
    )


def _rows(connection: sa.Connection, report: Report) -> Sequence[Mapping[str, Any]]:
    return [dict(row) for row in connection.execute(report.select).mappings()]


def _said_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each budget, and of one that is each user's own for each state, with how many are in it."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        group = row["line"], row["kind"] or "all", row["state"], row["user_id"] is None
        groups.setdefault(group, []).append(row)
    for (line, kind, state, is_of_all), found in sorted(groups.items()):
        percent = found[0]["percent"]
        of_all = "" if percent is None else f", {percent:.0%}"
        yield f"line {line}, {kind}: {state}{of_all if is_of_all else f', {_users(len(found))}'}"


def _users(count: int) -> str:
    return "1 user" if count == 1 else f"{count} users"


def _finding(what: str, said: Sequence[str], command: str) -> str | None:
    if not said:
        return None
    more = [f"and {len(said) - _LISTED} more"] if len(said) > _LISTED else []
    return "\n".join((f"{what}:", *said[:_LISTED], *more, f"`avatarlab {command}` lists them"))
