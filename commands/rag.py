"""avatarlab rag: what is searched in knowledge files, and whether it can be found."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App
from commands import options

app = App()


@app.callback()
def rag() -> None:
    """Retrieval: searches in knowledge files, the files, their chunks.

    Web chats log their searches, requests over the API and searches that failed do not. What was searched for is
    never shown.
    """


@app.report()
def summary(context: typer.Context) -> None:
    """Show searches, files and chunks, in all and of the last 30 days.

    \b
    Examples:
      avatarlab rag summary
      avatarlab rag summary --json --fields searches_30d,empty_rate_30d
    """
    from avatarlab_cli.queries import rag_searches
    from avatarlab_cli.show import show

    span = options.span(context, None, None)
    show(context, lambda connection: rag_searches.summary(connection, span))


@app.report()
def searches(
    context: typer.Context,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="day, avatar or user.")] = "day",
    since: options.Since = None,
    until: options.Until = None,
    avatar: options.OfAvatar = None,
) -> None:
    """Count searches and what they found, in the last 30 days unless others are named.

    A search without result found no chunk that was similar enough; its similarity, 0, is in no average.

    \b
    Examples:
      avatarlab rag searches
      avatarlab rag searches --by avatar --sort -empty_rate --limit 10
      avatarlab rag searches --avatar 3fa8 --since 90d --csv
    """
    from avatarlab_cli.queries import rag_searches
    from avatarlab_cli.queries.naming import AVATAR, chosen
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(
        context,
        lambda connection: rag_searches.searches(connection, span, by, chosen(connection, AVATAR, avatar)),
    )


@app.report()
def chunks(
    context: typer.Context,
    problems: Annotated[bool, typer.Option("--problems", help="Only files with a problem.")] = False,
    user: options.OfUser = None,
    avatar: options.OfAvatar = None,
) -> None:
    """List knowledge files with the chunks they were cut into: how many, how long, and what is wrong with them.

    A problem is a file without chunk, or a chunk that is empty, has a text another one of the file has, or has no
    embedding, so that no search finds it. The platform's unused knowledge_chunks are not read.

    \b
    Examples:
      avatarlab rag chunks --problems
      avatarlab rag chunks --user ada@example.com --fields file,chunks,smallest,median,largest
    """
    from avatarlab_cli.queries import rag_files
    from avatarlab_cli.queries.naming import AVATAR, USER, chosen
    from avatarlab_cli.show import show

    show(
        context,
        lambda connection: rag_files.chunks(
            connection,
            only_problems=problems,
            user_id=chosen(connection, USER, user),
            avatar_id=chosen(connection, AVATAR, avatar),
        ),
    )


@app.report()
def files(
    context: typer.Context,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="user, avatar, status or error.")] = "user",
    older_than: options.OlderThan = "24h",
    user: options.OfUser = None,
) -> None:
    """Count knowledge files by how far they are processed, with their bytes; errors and stuck ones come first.

    The app marks a file whose processing failed, and writes no message. When one was processed is not recorded.

    \b
    Examples:
      avatarlab rag files
      avatarlab rag files --by status
      avatarlab rag files --older-than 7d --user ada@example.com --json
    """
    from avatarlab_cli.queries import rag_files
    from avatarlab_cli.queries.naming import USER, chosen
    from avatarlab_cli.show import show

    before = options.past(context, "--older-than", older_than)
    show(
        context,
        lambda connection: rag_files.files(connection, by, before, chosen(connection, USER, user)),
    )


@app.report()
def slow(context: typer.Context, since: options.Since = None, until: options.Until = None) -> None:
    """Show how long requests took, as far as that is recorded, in the last 30 days unless others are named.

    Nothing records how long a search or the processing of a file takes. The API's log has a place for the duration of
    a request, which the platform leaves empty today: `timed` counts those that have one.

    \b
    Examples:
      avatarlab rag slow
      avatarlab rag slow --since 90d --sort -longest_ms
    """
    from avatarlab_cli.queries import rag_searches
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(context, lambda connection: rag_searches.slow(connection, span))
