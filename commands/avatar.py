"""avatarlab avatar: which avatars there are, which should be gone, and what moderators mark."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.timeframe import parse_coming
from commands import options

app = App()
Avatars = Annotated[
    list[str] | None, typer.Argument(metavar="[AVATAR]...", help="UUIDs, or their beginnings.")
]


@app.callback()
def avatar() -> None:
    """Avatars: whose, in which state, due to be deleted, flagged."""


@app.report()
def summary(context: typer.Context) -> None:
    """Show all avatars in figures, those of the last 30 days, and the templates for making some.

    \b
    Examples:
      avatarlab avatar summary
      avatarlab avatar summary --json --field overdue
    """
    from avatarlab_cli.queries import avatar_summary
    from avatarlab_cli.show import show

    span = options.span(context, None, None)
    show(context, lambda connection: avatar_summary.summary(connection, span))


@app.report("list")
def list_avatars(
    context: typer.Context,
    user: options.OfUser = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help="Only active, archived or deleted ones.")
    ] = None,
    flagged: Annotated[bool, typer.Option("--flagged", help="Only flagged ones.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Only public ones.")] = False,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="TEXT", help="A part of the avatar's name, case ignored."),
    ] = None,
) -> None:
    """List avatars, the latest first: whose, in which state, of which model.

    \b
    Examples:
      avatarlab avatar list --user ada@example.com
      avatarlab avatar list --status deleted --search nova --csv
    """
    from avatarlab_cli.queries import avatar_list
    from avatarlab_cli.show import show

    wanted = avatar_list.Wanted(user, status, flagged, public, search)
    show(context, lambda connection: avatar_list.listing(connection, wanted))


@app.report()
def due(
    context: typer.Context,
    within: Annotated[
        str, typer.Option("--within", metavar="AGE", help="Due by then: 30d, 48h, or an ISO 8601 time.")
    ] = "30d",
) -> None:
    """List deleted avatars that are due for their final deletion; exit code 3 where one is overdue.

    The app only notes a day for it: nothing ever deletes the row. Purchases of the avatar forbid that anyway.

    \b
    Examples:
      avatarlab avatar due
      avatarlab avatar due --within 7d --csv
    """
    from avatarlab_cli.queries import avatar_due
    from avatarlab_cli.show import show_findings

    now = current(context).clock()
    until = max(now, parse_coming(within, now))
    show_findings(context, lambda connection: avatar_due.due(connection, now, until))


@app.report()
def queue(context: typer.Context) -> None:
    """List the avatars that wait for a moderator, longest first; exit code 3 where there is any, or it is not known.

    One waits that is flagged, or that nobody has decided on.

    \b
    Examples:
      avatarlab avatar queue
      avatarlab avatar queue --fields id,name,email,reason,flagged_by
    """
    from avatarlab_cli.queries import moderation
    from avatarlab_cli.show import show_findings

    show_findings(context, moderation.avatar_queue)


@app.act()
def flag(context: typer.Context, avatars: Avatars = None) -> None:
    """Mark avatars for a moderator. A reason is required.

    It is a mark alone: the app itself does not hide what carries one. Of an avatar that is flagged already the
    reason changes, not since when.

    \b
    Examples:
      avatarlab avatar flag 3fa85f64 --reason "resembles a public figure"
      avatarlab avatar list --user ada@example.com --csv | avatarlab avatar flag --from-csv - --reason spam --dry-run
    """
    from avatarlab_cli.actions.moderation import FlagAvatar
    from avatarlab_cli.perform import perform

    perform(context, FlagAvatar(), avatars)


@app.act()
def unflag(context: typer.Context, avatars: Avatars = None) -> None:
    """Take the mark away from avatars that wait, and approve those that are not rejected.

    \b
    Examples:
      avatarlab avatar unflag 3fa85f64 --reason "a common name"
    """
    from avatarlab_cli.actions.moderation import UnflagAvatar
    from avatarlab_cli.perform import perform

    perform(context, UnflagAvatar(), avatars)
