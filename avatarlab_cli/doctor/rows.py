"""What the doctor's page consists of."""

from collections.abc import Iterable

from avatarlab_cli.queries.health import BAD, OK
from avatarlab_cli.report import Column, Kind

COLUMNS = (
    Column("check", Kind.ID, "what is looked at"),
    Column("state", Kind.ID, "ok, warn, bad, or unknown"),
    Column("value", help="what was found"),
    Column("more", help="what that rules out, or what to do", null="-"),
)
Row = dict[str, object]


def row(check: str, state: str, value: object, more: str | None = None) -> Row:
    """Return one check; what stands under `more` is said of what is well too."""
    return {"check": check, "state": state, "value": value, "more": more}


def advice(rows: Iterable[Row]) -> list[str]:
    """Return what stands under `more` of each check that is not well, and of the kind of connection.

    On a terminal the table may be too narrow for it.
    """
    said = (each for each in rows if each["state"] != OK or each["check"] == "connection")
    return [f"{each['check']}: {each['more']}" for each in said if each["more"]]


def is_bad(rows: Iterable[Row]) -> bool:
    """Tell whether anything keeps the jobs from running, or lets others listen."""
    return any(each["state"] == BAD for each in rows)
