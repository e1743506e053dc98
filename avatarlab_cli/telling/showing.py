"""A check that is shown, and told to the webhook."""

from collections.abc import Callable

import sqlalchemy as sa
import typer

from avatarlab_cli.cli import current
from avatarlab_cli.report import Report
from avatarlab_cli.show import Build, show_findings
from avatarlab_cli.telling.attending import watched
from avatarlab_cli.telling.webhook import Matter

Judge = Callable[[sa.Connection, Report], Matter]


def show_and_tell(context: typer.Context, name: str, build: Callable[[], Build], judge: Judge) -> None:
    """Show what a check found, as `show_findings` does, and tell the webhook what is news of it, or that it failed.

    `build` is called within: where what it needs cannot be read, the check failed too.
    """
    with watched(current(context), name) as outcome:
        report_of = build()

        def built(connection: sa.Connection) -> Report:
            report = report_of(connection)
            found = judge(connection, report)
            outcome.findings = lambda: (found,)
            return report

        show_findings(context, built)
