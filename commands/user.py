"""avatarlab user: who the users are, and what they use."""

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import parse_moment, parse_month
from commands import options, user_acts

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()
_SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@app.callback()
def user() -> None:
    """Accounts: who they are, what they use, what admins do to them."""


@app.report("list")
def list_users(
    context: typer.Context,
    tier: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this tier.")] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="active, suspended, banned or deleted.")
    ] = None,
    signed_up_since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Signed up at or after ISO 8601, or an age such as 7d.")
    ] = None,
    active_since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Did something on that day or after it.")
    ] = None,
    over_limit: Annotated[bool, typer.Option("--over-limit", help="Above a limit in the month.")] = False,
    storage_above: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Stores more than 10GB, 500MB, or a number of bytes.")
    ] = None,
    no_subscription: Annotated[
        bool, typer.Option("--no-subscription", help="Has no live subscription.")
    ] = False,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Has this in e-mail address or name.")
    ] = None,
    month: options.Month = None,
) -> None:
    """List accounts, the newest first, with their usage of a month.

    What is asked for must all hold. Every column can be sorted by, every metric of usage and storage too.

    \b
    Examples:
      avatarlab user list --sort -conversations_count --fields email,tier,conversations_count
      avatarlab user list --tier pro --active-since 7d --storage-above 10GB
      avatarlab user list --status banned --csv --out banned.csv
    """
    from avatarlab_cli.queries import account_list
    from avatarlab_cli.show import rows_shown, show

    invocation = current(context)
    now = invocation.clock()
    wanted = account_list.Wanted(
        tier=tier,
        status=status,
        signed_up_since=None if signed_up_since is None else parse_moment(signed_up_since, now),
        active_since=None if active_since is None else parse_moment(active_since, now),
        storage_above=None if storage_above is None else _bytes(storage_above),
        search=search,
        is_over_limit=over_limit,
        lacks_subscription=no_subscription,
    )
    when = _month(context, month)
    sort, rows = invocation.output.sort, rows_shown(context)
    show(
        context,
        lambda connection: account_list.listing(connection, wanted, when, sort=sort, rows=rows),
    )


@app.report("show")
def show_user(context: typer.Context, user: options.User) -> None:
    """Show one account on one page: tier, limits, avatars, keys, storage, spend, sessions, acts of admins.

    \b
    Examples:
      avatarlab user show ada@example.com
      avatarlab user show 3fa8 --json
    """
    from avatarlab_cli.queries import account_show, users
    from avatarlab_cli.show import show

    month = _month(context, None)

    def build(connection: "sa.Connection") -> "Report":
        return account_show.show(connection, users.find_user(connection, user), month)

    show(context, build)


@app.report()
def activity(
    context: typer.Context, user: options.User, since: options.Since = None, until: options.Until = None
) -> None:
    """Show what a user did, day by day, in the last 30 days unless others are named.

    \b
    Examples:
      avatarlab user activity ada@example.com
      avatarlab user activity ada@example.com --since 2026-03-01 --until 2026-04-01 --csv
    """
    from avatarlab_cli.queries import account_activity, users
    from avatarlab_cli.show import show

    now = current(context).clock()
    first = parse_moment("30d" if since is None else since, now)
    end = None if until is None else parse_moment(until, now)
    show(
        context,
        lambda connection: account_activity.activity(users.find_user(connection, user), first, end),
    )


@app.report()
def sessions(context: typer.Context, user: options.User) -> None:
    """Show where a user is logged in.

    \b
    Examples:
      avatarlab user sessions ada@example.com
    """
    from avatarlab_cli.queries import account_sessions, users
    from avatarlab_cli.show import show

    show(
        context,
        lambda connection: account_sessions.sessions(connection, users.find_user(connection, user)),
    )


@app.report()
def duplicates(context: typer.Context) -> None:
    """List accounts that look like one person's, and what they share.

    They share an e-mail address but for case (of Gmail, dots and +tag too), a telephone number, or a name and the
    IP address of a session.

    \b
    Examples:
      avatarlab user duplicates
      avatarlab user duplicates --fields reason,shared,email,status
    """
    from avatarlab_cli.queries import account_duplicates
    from avatarlab_cli.show import show

    month = _month(context, None)
    show(context, lambda connection: account_duplicates.duplicates(connection, month))


@app.report()
def inactive(
    context: typer.Context,
    days: Annotated[int, typer.Option(metavar="N", min=1, max=36500, help="For so many days.")] = 90,
) -> None:
    """List accounts without a login or any usage for a while, those longest away first.

    \b
    Examples:
      avatarlab user inactive --days 180
      avatarlab user inactive --sort -storage_bytes --limit 20
    """
    from avatarlab_cli.queries import account_inactive
    from avatarlab_cli.show import show

    month = _month(context, None)
    cutoff = parse_moment(f"{days}d", current(context).clock())
    show(context, lambda connection: account_inactive.inactive(connection, cutoff, month))


def _month(context: typer.Context, text: str | None) -> date:
    return current(context).clock().date().replace(day=1) if text is None else parse_month(text)


def _bytes(text: str) -> int:
    """Return a size in bytes; raises UsageError."""
    import re
    from decimal import Decimal

    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?([kKMGT]?B)?", text)
    if match is None:
        raise UsageError(f"{text!r} is not a size", hint="write 10GB, 500MB, 1.5TB, or a number of bytes")
    return int(Decimal(match[1]) * _SIZES[(match[2] or "").upper()])


app.add_typer(user_acts.app)
