"""Every command there is, as the root application finds them."""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from avatarlab_cli.main import app


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each verb's words, the noun first, and the verb."""
    root: Any = get_command(app)
    yield from _below(root, root.context_class(root, info_name="avatarlab"), ())


def _below(
    group: Any,  # noqa: ANN401 (typer's types are private)
    context: Any,  # noqa: ANN401 (likewise)
    words: tuple[str, ...],
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if hasattr(found, "list_commands"):
            inner = found.context_class(found, info_name=name, parent=context)
            yield from _below(found, inner, (*words, name))
        else:
            yield (*words, name), found
