"""Options that mean the same in every command that has them."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import current
from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import Span, parse_moment, parse_span

if TYPE_CHECKING:
    from decimal import Decimal

    from avatarlab_cli.rollup.rates import RateCard

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
Notify = Annotated[
    bool, typer.Option("--notify", help="Tell the webhook too, what is news; see the setting webhook_url.")
]
Avatar = Annotated[str, typer.Argument(metavar="AVATAR", help="UUID, or the beginning of one.")]
OfUser = Annotated[
    str | None,
    typer.Option("--user", metavar="USER", help="Only this user's: e-mail address, UUID, or its beginning."),
]
OfAvatar = Annotated[
    str | None, typer.Option("--avatar", metavar="AVATAR", help="Only this avatar's: UUID, or its beginning.")
]
OlderThan = Annotated[
    str, typer.Option("--older-than", metavar="AGE", help="How long is too long: 24h, 7d, or ISO 8601.")
]
DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Show what would change; change nothing.")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask for confirmation.")]


def span(context: typer.Context, since: str | None, until: str | None, days: int = 30) -> Span:
    """Return the time the options --since and --until name: by default so many whole days, up to now."""
    return parse_span(since, until, current(context).clock(), days)


def past(context: typer.Context, option: str, age: str) -> datetime:
    """Return the moment an option's age names; raises UsageError where that lies ahead."""
    now = current(context).clock()
    moment = parse_moment(age, now)
    if moment > now:
        raise UsageError(f"{option} {age} lies ahead", hint="name an age, 24h, or a time that is past")
    return moment


def rate_card(context: typer.Context) -> "RateCard":
    """Return the rate card of the setting rates_file, or the one shipped."""
    from avatarlab_cli.rollup import rates

    return rates.load(current(context).settings.get("rates_file"))


def positive(option: str, text: str) -> "Decimal":
    """Return an option's number; raises UsageError for one that is none, or not above 0."""
    from decimal import Decimal, InvalidOperation

    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(-1)
    if not (number.is_finite() and number > 0):
        raise UsageError(f"{option} takes a number above 0, not {text!r}")
    return number
