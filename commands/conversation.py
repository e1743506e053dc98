"""avatarlab conversation: what is said to avatars, how much of it, how well it is received, and who said what."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App
from commands import options

app = App()


@app.callback()
def conversation() -> None:
    """What is said to avatars: volume, ratings, patterns, search.

    The channel api is WhatsApp and the API, web the web chat. Exchanges that failed leave no row.
    """


@app.report()
def summary(context: typer.Context) -> None:
    """Show exchanges by channel, ratings and learned patterns, in all and of the last 30 days.

    \b
    Examples:
      avatarlab conversation summary
      avatarlab conversation summary --json --fields web_exchanges_30d,rate_30d
    """
    from avatarlab_cli.queries import conversations
    from avatarlab_cli.show import show

    span = options.span(context, None, None)
    show(context, lambda connection: conversations.summary(connection, span))


@app.report()
def volume(
    context: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="day, week, month, channel, avatar or user.")
    ] = "day",
    since: options.Since = None,
    until: options.Until = None,
    avatar: options.OfAvatar = None,
) -> None:
    """Count the exchanges of both channels side by side, in the last 30 days unless others are named.

    Days without any have a row too; the first and the last week or month may be cut by the time named. End customers
    are phone numbers, counted and never shown. Exchanges over the API count for their avatar's owner.

    \b
    Examples:
      avatarlab conversation volume
      avatarlab conversation volume --by user --limit 10
      avatarlab conversation volume --by month --since 2026-01-01 --csv
    """
    from avatarlab_cli.queries import conversations
    from avatarlab_cli.queries.naming import AVATAR, chosen
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(
        context,
        lambda connection: conversations.volume(connection, span, by, chosen(connection, AVATAR, avatar)),
    )


@app.report()
def feedback(
    context: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="avatar, model, user, day or week.")
    ] = "avatar",
    since: options.Since = None,
    until: options.Until = None,
    avatar: options.OfAvatar = None,
) -> None:
    """Count the ratings in the web chat, in the last 30 days unless others are named.

    The rate is good / (good + bad): neutral rows are the exchanges themselves. By model means the model the avatar has
    now, as rows do not record which one answered.

    \b
    Examples:
      avatarlab conversation feedback --sort rate --limit 10
      avatarlab conversation feedback --by week --avatar 3fa8
      avatarlab conversation feedback --by model --since 90d --csv
    """
    from avatarlab_cli.queries import conversation_feedback
    from avatarlab_cli.queries.naming import AVATAR, chosen
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(
        context,
        lambda connection: conversation_feedback.feedback(
            connection, span, by, chosen(connection, AVATAR, avatar)
        ),
    )


@app.report()
def quality(
    context: typer.Context,
    min_ratings: Annotated[
        int, typer.Option("--min-ratings", metavar="N", min=1, help="Leave out avatars with fewer ratings.")
    ] = 1,
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """Rank avatars by how well they are rated for certain, in the last 30 days unless others are named.

    The order is that of the lower bound of the rate's 95 % Wilson interval: three good ratings of three (44 %) stand
    below ninety of a hundred (83 %).

    \b
    Examples:
      avatarlab conversation quality --limit 10
      avatarlab conversation quality --min-ratings 20 --since 90d
      avatarlab conversation quality --sort upper --limit 10
    """
    from avatarlab_cli.queries import conversation_feedback
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(context, lambda connection: conversation_feedback.quality(connection, span, min_ratings))


@app.report()
def patterns(
    context: typer.Context,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="avatar, type or week; each pattern without."),
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    avatar: options.OfAvatar = None,
) -> None:
    """List what avatars have learned to answer, the most used first; or count it, and what of it is new.

    A row tells how often a pattern was used in all, and when last: earlier uses have no time. What --by counts as new
    or used lies in the last 30 days unless others are named; a list holds every pattern.

    \b
    Examples:
      avatarlab conversation patterns --limit 20
      avatarlab conversation patterns --avatar 3fa8 --fields triggers,uses,last_used
      avatarlab conversation patterns --by week --since 90d
    """
    from avatarlab_cli.errors import UsageError
    from avatarlab_cli.queries import conversation_patterns
    from avatarlab_cli.queries.naming import AVATAR, chosen
    from avatarlab_cli.show import show

    if by is None:
        if since or until:
            raise UsageError("--since and --until go with --by", hint="a list holds every pattern")
        show(
            context,
            lambda connection: conversation_patterns.patterns(connection, chosen(connection, AVATAR, avatar)),
        )
        return
    span = options.span(context, since, until)
    show(
        context,
        lambda connection: conversation_patterns.divided_patterns(
            connection, span, by, chosen(connection, AVATAR, avatar)
        ),
    )


@app.report()
def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What was said, whatever its case.")],
    since: options.Since = None,
    until: options.Until = None,
    avatar: options.OfAvatar = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show phone numbers and e-mail addresses whole.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; it goes to the audit log.")
    ] = None,
) -> None:
    """Find exchanges in which a text was said, the newest first: 50, or --limit, of the last 30 days.

    It takes moderation.write. Each search is kept in the audit log before anything is shown: the text, the time, how
    many were found. Phone numbers and e-mail addresses are hidden, also where they were said, and in the log; names are not. --reveal
    shows them, and takes users.delete and a reason.

    \b
    Examples:
      avatarlab conversation search "refund"
      avatarlab conversation search "50%" --avatar 3fa8 --since 90d --limit 200
      avatarlab conversation search "call me" --reveal --reason "police request 12" --csv --out hits.csv
    """
    from avatarlab_cli import searching

    span = options.span(context, since, until)
    searching.search(context, searching.Wanted(text, span, avatar, reason, reveal))
