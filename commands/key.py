"""avatarlab key: the platform's own API keys, and those users hold at providers."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import NotFoundError, UsageError
from avatarlab_cli.timeframe import parse_coming, parse_moment
from commands import options

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()
provider = App()
app.add_typer(provider, name="provider")

Key = Annotated[
    str, typer.Argument(metavar="KEY", help="UUID, prefix (pk_live_ab12), or the beginning of one.")
]
Keys = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY]...", help="UUIDs, prefixes (pk_live_ab12), or the beginnings of them."),
]
Owner = Annotated[
    str | None, typer.Option("--user", metavar="USER", help="Only this user's; as USER elsewhere.")
]
Days = Annotated[
    int,
    typer.Option("--days", metavar="N", min=1, max=36_500, help="How many days without use are too many."),
]
_HOURS = re.compile(r"(\d{1,4})([hd])")


@app.callback()
def key() -> None:
    """API keys: the platform's own, and those users hold at providers.

    A key is named by its UUID, its prefix or the beginning of one, never by the key itself.
    """


@app.report("list")
def list_keys(
    context: typer.Context,
    user: Owner = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help="active, inactive, revoked or expired.")
    ] = None,
    unused_since: Annotated[
        str | None, typer.Option("--unused-since", metavar="TIME", help="Not used since then, or ever.")
    ] = None,
    expires_before: Annotated[
        str | None, typer.Option("--expires-before", metavar="TIME", help="With an end before then.")
    ] = None,
) -> None:
    """List the platform's keys with owner, status and last use, the latest issued first.

    \b
    Examples:
      avatarlab key list
      avatarlab key list --user ada@example.com --status active
      avatarlab key list --status active --unused-since 90d --csv
    """
    from avatarlab_cli.queries import keys, users
    from avatarlab_cli.show import show

    unused, expiring = _moment(context, unused_since), _moment(context, expires_before)

    def build(connection: "sa.Connection") -> "Report":
        owner = None if user is None else users.find_user(connection, user)
        return keys.listed(keys.KeyFilter(owner, status, unused, expiring))

    show(context, build)


@app.report("show")
def show_key(context: typer.Context, key: Key) -> None:
    """Show everything about one key but what it is.

    \b
    Examples:
      avatarlab key show pk_live_ab12
      avatarlab key show 3fa8 --json
    """
    from avatarlab_cli.queries import keys
    from avatarlab_cli.queries.naming import find
    from avatarlab_cli.show import show

    show(context, lambda connection: keys.show(find(connection, keys.KEY, key)))


@app.report()
def usage(
    context: typer.Context, key: Key, since: options.Since = "30d", until: options.Until = None
) -> None:
    """Count a key's logged requests by day and endpoint, the latest day first.

    \b
    Examples:
      avatarlab key usage pk_live_ab12
      avatarlab key usage 3fa8 --since 2026-01-01 --until 2026-02-01 --csv
    """
    from avatarlab_cli.queries import keys
    from avatarlab_cli.queries.naming import find
    from avatarlab_cli.show import show

    now = current(context).clock()
    first, end = parse_moment(since or "30d", now), parse_moment(until, now) if until else None
    show(context, lambda connection: keys.usage(connection, find(connection, keys.KEY, key), first, end))


@app.report()
def audit(
    context: typer.Context,
    days: Days = 90,
    finding: Annotated[
        list[str] | None,
        typer.Option("--finding", metavar="NAME", help="Only these findings; a wrong one lists all."),
    ] = None,
) -> None:
    """Find what is wrong with the platform's keys, one row a finding; exit code 3 where there is any.

    Keys nobody uses, without an end, or past it; keys that work though their owner is suspended, banned or deleted;
    counts that differ from the log; revocations their owner can take back.

    \b
    Examples:
      avatarlab key audit
      avatarlab key audit --days 30 --finding unused --finding never_used
      avatarlab key audit --finding not_lasting -o ids
    """
    from avatarlab_cli.queries import key_audit
    from avatarlab_cli.schema.live import probe
    from avatarlab_cli.show import show_findings

    show_findings(context, lambda connection: key_audit.audit(probe(connection), days, finding or ()))


@app.report()
def find(
    context: typer.Context,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the keys from stdin, one a line.")] = False,
) -> None:
    """Tell whose a leaked key is, revoked ones too; exit code 5 where no key is the platform's.

    Keys come from stdin alone, and nothing of them is shown but the prefix that is stored.

    \b
    Examples:
      avatarlab key find --stdin < leaked.txt
      avatarlab key find --stdin --json < leaked.txt
    """
    from avatarlab_cli.queries.keys import FOUND_COLUMNS, find_owners
    from avatarlab_cli.show import demand_options, show_rows

    if not stdin:
        raise UsageError(
            "keys are read from stdin alone",
            hint="avatarlab key find --stdin < FILE, or | avatarlab key find --stdin",
        )
    demand_options(context, FOUND_COLUMNS)
    invocation = current(context)
    if invocation.environment.stdin_is_tty:
        raise UsageError("a terminal would show the keys", hint="avatarlab key find --stdin < FILE")
    with invocation.reading() as connection:
        rows = list(find_owners(connection, invocation.environment.stdin.buffer))
    show_rows(context, FOUND_COLUMNS, rows)
    if not any(row["id"] for row in rows):
        raise NotFoundError("none of these is a key of the platform")


@app.act()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What it is called.")],
    users: options.Users = None,
    scopes: Annotated[
        str, typer.Option("--scopes", metavar="A,B", help="What it may be used for: chat, config, knowledge.")
    ] = "chat,config,knowledge",
    avatar: Annotated[
        UUID | None, typer.Option("--avatar", metavar="ID", help="Only for this avatar of the user's.")
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="Its end: ISO 8601, 90d from now, or never.")
    ] = "never",
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT", help="A note.")] = None,
) -> None:
    """Make a key for a user and print it, this once: only its hash is kept.

    \b
    Examples:
      avatarlab key create ada@example.com --name n8n --expires 90d
      avatarlab key create ada@example.com --name bridge --scopes chat --field api_key --csv --no-headers
    """
    from avatarlab_cli.actions.key import Create
    from avatarlab_cli.perform import perform

    wanted = tuple(scope.strip() for scope in scopes.split(",") if scope.strip())
    end = None if expires == "never" else parse_coming(expires, current(context).clock())
    if end is not None and end <= current(context).clock():
        raise UsageError(f"--expires {expires} is past")
    act = Create(key_name=name, scopes=wanted, avatar=avatar, expires=end, description=description)
    perform(context, act, users)


@app.act()
def revoke(context: typer.Context, keys: Keys = None) -> None:
    """Revoke keys for good: unlike the platform's own revocation, their owners cannot take it back.

    \b
    Examples:
      avatarlab key revoke pk_live_ab12 --reason "found in a public repository"
      avatarlab key find --stdin -o ids < leaked.txt | avatarlab key revoke --ids-from - --reason leaked --yes
    """
    from avatarlab_cli.actions.key import Revoke
    from avatarlab_cli.perform import perform

    perform(context, Revoke(), keys)


@app.act()
def rotate(
    context: typer.Context,
    keys: Keys = None,
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="How long the former key works on: 48h, 7d, 0.")
    ] = "48h",
) -> None:
    """Replace keys by new ones of the same use and end, and print the new ones, this once.

    A former key works for the time of grace, so that its users can change over; with --grace 0 it is revoked for good.

    \b
    Examples:
      avatarlab key rotate pk_live_ab12 --grace 48h
      avatarlab key rotate 3fa8 --grace 0 --reason leaked --json
    """
    from avatarlab_cli.actions.key import Rotate
    from avatarlab_cli.perform import perform

    perform(context, Rotate(grace_hours=_hours(grace)), keys)


@app.act()
def expire(
    context: typer.Context,
    keys: Keys = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="ISO 8601, or 7d from now; now by default.")
    ] = None,
) -> None:
    """Let keys end, now or at a time; a key that has ended or was revoked is not brought back.

    \b
    Examples:
      avatarlab key expire pk_live_ab12
      avatarlab key list --unused-since 90d -o ids | avatarlab key expire --ids-from - --at 14d --yes
    """
    from avatarlab_cli.actions.key import Expire
    from avatarlab_cli.perform import perform

    perform(context, Expire(at=None if at is None else parse_coming(at, current(context).clock())), keys)


@provider.callback()
def provider_keys() -> None:
    """Keys that users hold at providers such as OpenAI; the keys themselves are never read."""


@provider.report("list")
def list_provider_keys(
    context: typer.Context,
    user: Owner = None,
    service: Annotated[
        str | None, typer.Option("--service", metavar="NAME", help="Only this provider's, in any case.")
    ] = None,
) -> None:
    """List users' own provider keys with their age and last use.

    \b
    Examples:
      avatarlab key provider list
      avatarlab key provider list --service openai --sort -age_days
    """
    from avatarlab_cli.queries import provider_keys, users
    from avatarlab_cli.show import show

    def build(connection: "sa.Connection") -> "Report":
        owner = None if user is None else users.find_user(connection, user)
        return provider_keys.listed(owner, service)

    show(context, build)


@provider.report("audit")
def audit_provider_keys(context: typer.Context, days: Days = 90) -> None:
    """Count users' own provider keys by service: in use, never used, unused, old, and more than one a user.

    \b
    Examples:
      avatarlab key provider audit
      avatarlab key provider audit --days 365 --json
    """
    from avatarlab_cli.queries import provider_keys
    from avatarlab_cli.show import show

    show(context, lambda _: provider_keys.audit(days))


def _moment(context: typer.Context, text: str | None) -> datetime | None:
    return None if text is None else parse_moment(text, current(context).clock())


def _hours(text: str) -> int:
    match = _HOURS.fullmatch("0h" if text == "0" else text)
    if not match:
        raise UsageError(f"{text!r} is not a time of grace", hint="write 48h, 7d or 0")
    return int(match[1]) * (24 if match[2] == "d" else 1)
