"""avatarlab image: what people generate, what hangs, and what moderators mark."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.timeframe import parse_moment
from commands import options

app = App()
Images = Annotated[list[str] | None, typer.Argument(metavar="[IMAGE]...", help="UUIDs, or their beginnings.")]


@app.callback()
def image() -> None:
    """Images and videos: where they are, what hangs, what is flagged.

    An image that could not be made leaves no row, so a rate of success is known of videos alone.
    """


@app.report()
def summary(context: typer.Context) -> None:
    """Show all images, galleries and videos in figures, and those of the last 30 days.

    \b
    Examples:
      avatarlab image summary
      avatarlab image summary --json --field video_success_rate
    """
    from avatarlab_cli.queries import image_summary
    from avatarlab_cli.show import show

    span = options.span(context, None, None)
    show(context, lambda connection: image_summary.summary(connection, span))


@app.report()
def volume(
    context: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="provider, model, type, user or day.")
    ] = "provider",
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """Count the images made, by provider, model, type, user or day; in the last 30 days unless others are named.

    \b
    Examples:
      avatarlab image volume
      avatarlab image volume --by user --since 7d --limit 20
      avatarlab image volume --by day --since 2026-03-01 --until 2026-04-01 --csv
    """
    from avatarlab_cli.queries import images
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(context, lambda connection: images.volume(connection, span, by))


@app.report()
def videos(
    context: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="provider, model, type, user or day.")
    ] = "provider",
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """Show what became of the videos begun, and how many succeed; in the last 30 days unless others are named.

    \b
    Examples:
      avatarlab image videos
      avatarlab image videos --by day --since 14d
    """
    from avatarlab_cli.queries import videos as queries
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(context, lambda connection: queries.outcome(connection, span, by))


@app.report()
def stuck(
    context: typer.Context,
    older_than: options.OlderThan = "24h",
) -> None:
    """List the videos that have been in the making for too long; exit code 3 where there is any.

    \b
    Examples:
      avatarlab image stuck
      avatarlab image stuck --older-than 2h --csv
    """
    from avatarlab_cli.queries import videos as queries
    from avatarlab_cli.show import show_findings

    now, before = current(context).clock(), options.past(context, "--older-than", older_than)
    show_findings(context, lambda connection: queries.stuck(connection, now, before))


@app.report("list")
def list_images(
    context: typer.Context,
    user: options.OfUser = None,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="Only this provider's, case ignored.")
    ] = None,
    moderation: Annotated[
        str | None,
        typer.Option(
            "--moderation", metavar="STATUS", help="Only pending, approved, rejected or flagged ones."
        ),
    ] = None,
    flagged: Annotated[bool, typer.Option("--flagged", help="Only flagged ones.")] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Made since: ISO 8601, or an age such as 7d."),
    ] = None,
) -> None:
    """List images, the latest first: whose, of which provider, where they are.

    \b
    Examples:
      avatarlab image list --user ada@example.com
      avatarlab image list --provider openai --since 7d --fields id,email,place,url_bytes
    """
    from avatarlab_cli.queries import images
    from avatarlab_cli.show import show

    begin = None if since is None else parse_moment(since, current(context).clock())
    wanted = images.Wanted(user, provider, moderation, flagged, begin)
    show(context, lambda connection: images.listing(connection, wanted))


@app.report()
def queue(context: typer.Context) -> None:
    """List the images that wait for a moderator, the oldest first; exit code 3 where there is any, or it is not known.

    One waits that is flagged, or that nobody has decided on.

    \b
    Examples:
      avatarlab image queue
      avatarlab image queue --fields id,email,reason,prompt
    """
    from avatarlab_cli.queries import moderation
    from avatarlab_cli.show import show_findings

    show_findings(context, moderation.image_queue)


@app.act()
def flag(context: typer.Context, images: Images = None) -> None:
    """Mark images for a moderator. A reason is required.

    It is a mark alone: the app itself does not hide what carries one.

    \b
    Examples:
      avatarlab image flag 3fa85f64 --reason "reported, ticket 4711"
      avatarlab image list --user ada@example.com --csv | avatarlab image flag --from-csv - --reason spam --dry-run
    """
    from avatarlab_cli.actions.moderation import FlagImage
    from avatarlab_cli.perform import perform

    perform(context, FlagImage(), images)


@app.act()
def unflag(context: typer.Context, images: Images = None) -> None:
    """Take the mark away from images that wait, and approve those that are not rejected.

    \b
    Examples:
      avatarlab image unflag 3fa85f64 --reason "harmless"
    """
    from avatarlab_cli.actions.moderation import UnflagImage
    from avatarlab_cli.perform import perform

    perform(context, UnflagImage(), images)
