"""avatarlab memory: photo memories, and what is wrong with their images."""

from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App
from commands import options

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()


@app.callback()
def memory() -> None:
    """Photo memories: with which images, left behind by whom.

    What a private one says is never read.
    """


@app.report()
def summary(context: typer.Context) -> None:
    """Show all memories and their images in figures, and those of the last 30 days.

    \b
    Examples:
      avatarlab memory summary
      avatarlab memory summary --json --field without_image
    """
    from avatarlab_cli.queries import memories
    from avatarlab_cli.show import show

    span = options.span(context, None, None)
    show(context, lambda connection: memories.summary(connection, span))


@app.report("list")
def list_memories(
    context: typer.Context,
    user: options.OfUser = None,
    avatar: options.OfAvatar = None,
    problems: Annotated[
        bool, typer.Option("--problems", help="Only those without an image, or without one primary image.")
    ] = False,
) -> None:
    """List memories, the latest first: of which avatar, with how many images, and what is wrong with those.

    \b
    Examples:
      avatarlab memory list --problems
      avatarlab memory list --user ada@example.com --fields avatar,title,images
    """
    from avatarlab_cli.queries import memories, naming, users
    from avatarlab_cli.show import show

    def build(connection: "sa.Connection") -> "Report":
        wanted = memories.Wanted(
            None if user is None else users.find_user(connection, user).id,
            None if avatar is None else naming.find(connection, naming.AVATAR, avatar).id,
            problems,
        )
        return memories.listing(connection, wanted)

    show(context, build)
