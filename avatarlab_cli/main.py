"""The root of the command line, and the one place where an error becomes a message and an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from avatarlab_cli import __version__
from avatarlab_cli.cli import App, Group
from avatarlab_cli.context import Context
from avatarlab_cli.errors import AvatarLabError, ExitCode, exit_code_of
from avatarlab_cli.registry import NOUNS


class RootGroup(Group):
    """Loads a noun's module when the noun is used, and reports errors."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Give the invocation its Context, with its bare arguments: the second of typer's."""
        context = settings.setdefault("obj", Context())
        context.arguments = tuple(arguments[1])
        with _reported(context):
            return super().make_context(*arguments, **settings)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return _load(cmd_name) if cmd_name in NOUNS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in NOUNS:
            # Typer looks for near names among the commands it has loaded, and none is.
            self.commands = dict.fromkeys(NOUNS, self)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(noun, summary) for noun, (_, summary) in NOUNS.items()])

    def invoke(self, ctx: Any) -> Any:
        with _reported(ctx.obj):
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result


def _load(noun: str) -> Any:
    from importlib import import_module

    from typer.main import get_group

    # A group built by itself would lose the settings it inherits from a parent.
    parent, found = App(), import_module(NOUNS[noun][0]).app
    if found.registered_callback:
        parent.add_typer(found, name=noun)
    else:
        # One verb without a noun.
        parent.registered_commands = found.registered_commands
    return get_group(parent).commands[noun]


@contextmanager
def _reported(context: Context) -> Iterator[None]:
    """Turn what a command raises into a message on stderr and the process's exit code."""
    from avatarlab_cli.settings import masked

    try:
        yield
    except AvatarLabError as error:
        _fail(context, exit_code_of(error), error.message, error.hint, error)
    except typer.TyperException as error:
        if not _wants_json(context):
            error.message = masked(error.message)
            raise
        _fail(context, ExitCode(error.exit_code), error.format_message(), None, error)
    except BrokenPipeError as error:
        _give_up_stdout()
        raise typer.Exit(exit_code_of(error)) from error
    except KeyboardInterrupt as error:
        code = exit_code_of(error)
        _fail(context, code, code.name.lower(), None, error)
    except (typer.Exit, typer.Abort):
        raise
    except OSError as error:
        _give_up_stdout()
        _fail(context, exit_code_of(error), f"cannot write: {error.strerror or error}", None, error)
    except Exception as error:  # noqa: BLE001 (the last line before the user)
        hint = "this is a fault in the toolkit; --debug shows the traceback"
        _fail(context, exit_code_of(error), f"{type(error).__name__}: {error}", hint, error)


def _give_up_stdout() -> None:
    """Drop what is still buffered: it has no reader, and the interpreter must not try again at exit."""
    sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 (it lives as long as the process)


def _fail(context: Context, code: ExitCode, message: str, hint: str | None, cause: BaseException) -> None:
    from avatarlab_cli.logs import priority
    from avatarlab_cli.output.text import visible
    from avatarlab_cli.settings import masked

    if context.is_debugging:
        import traceback

        # Only the frames: a value in scope may be a secret.
        trace = "".join(traceback.format_exception(cause)).splitlines()
        sys.stderr.writelines(f"{visible(masked(line))}\n" for line in trace)
    hint = "\n".join(filter(None, (context.kept, hint)))
    message, hint = visible(masked(message)), visible(masked(hint)) if hint else None
    if _wants_json(context):
        import json

        record = {"error": message, "hint": hint, "exit_code": int(code)}
        said = json.dumps(record, ensure_ascii=False)
    else:
        said = f"avatarlab: {message}" + (f"\n{hint}" if hint else "")
    begin = priority(context, "error")
    sys.stderr.writelines(f"{begin}{line}\n" for line in said.split("\n"))
    raise typer.Exit(int(code)) from cause


def _wants_json(context: Context) -> bool:
    return context.format_name in {"json", "ndjson"}


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"avatarlab {__version__}")
        raise typer.Exit


app = App(cls=RootGroup)


@app.callback()
def root(
    version: bool = typer.Option(
        False, "-V", "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Run an AvatarLab platform: what its users do, what it earns, what it costs.

    \b
    Try it on a database of its own:
      avatarlab demo load
      avatarlab --profile demo db migrate
      avatarlab --profile demo job run monthly-usage
      avatarlab --profile demo usage top --by conversations_count
    """  # noqa: D301 (the \b is for typer: it keeps the lines as they stand)
