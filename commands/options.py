"""Options that mean the same in every command that has them."""

from typing import Annotated

import typer

from avatarlab_cli.cli import current
from avatarlab_cli.timeframe import Span, parse_span

User = Annotated[str, typer.Argument(metavar="USER", help="E-mail address, UUID, or the beginning of one.")]
Users = Annotated[
    list[str] | None,
    typer.Argument(metavar="[USER]...", help="E-mail addresses, UUIDs, or their beginnings."),
]
Month = Annotated[
    str | None,
    typer.Option("--month", metavar="YYYY-MM", help="Which month, UTC; the current one by default."),
]
Day = Annotated[str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="Which day, UTC.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="ISO 8601, or an age such as 7d or 24h.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="The end, not included.")]
Avatar = Annotated[str, typer.Argument(metavar="AVATAR", help="UUID, or the beginning of one.")]
OfUser = Annotated[
    str | None,
    typer.Option("--user", metavar="USER", help="Only this user's: e-mail address, UUID, or its beginning."),
]
OfAvatar = Annotated[
    str | None, typer.Option("--avatar", metavar="AVATAR", help="Only this avatar's: UUID, or its beginning.")
]
DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Show what would change; change nothing.")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask for confirmation.")]


def span(context: typer.Context, since: str | None, until: str | None, days: int = 30) -> Span:
    """Return the time the options --since and --until name: by default so many whole days, up to now."""
    return parse_span(since, until, current(context).clock(), days)
