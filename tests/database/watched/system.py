"""The log of the system; `system health` shows no rows of the platform's, and is tested at the command line."""

import sqlalchemy as sa

from avatarlab_cli.queries import system_logs
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Report
from tests.database.watching import SPAN, Case, Tables
from tests.reference import system
from tests.reference.rows import GHOST
from tests.reference.source import Row


def _of_first(connection: sa.Connection) -> Report:
    """Report the entries about the user with the smallest id."""
    first = connection.scalar(sa.text("select id from auth.users order by id limit 1")) or GHOST
    return system_logs.logs(connection, SPAN, user=UserName(first, None))


def _recount_of_first(tables: Tables) -> list[Row]:
    first = min((user["id"] for user in tables["auth.users"]), default=GHOST)
    return list(system.logs(tables, user=first))


CASES = (
    Case("system logs", lambda connection: system_logs.logs(connection, SPAN), system.logs),
    Case(
        "system logs",
        lambda connection: system_logs.logs(connection, SPAN, level="error", category=""),
        lambda tables: system.logs(tables, "error", ""),
        label="--level error --category ''",
    ),
    Case("system logs", _of_first, _recount_of_first, label="--user"),
)
