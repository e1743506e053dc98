"""The frame every command stands in: groups, global options, help layout.

A noun's module makes `app = App()` and decorates its verbs with `@app.command()`, with `@app.report()` where the
verb shows a report and so takes the output options as well, or with `@app.act()` where it changes something.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from avatarlab_cli.context import Context

# Rich would cut tables at 80 columns in a pipe, and costs every command 75 ms.
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Option(NamedTuple):
    declarations: tuple[str, ...]
    help: str
    metavar: str | None = None
    multiple: bool = False


# Flags that name an output format.
_SHORT_FORMATS = frozenset({"json", "csv"})
_GLOBAL = (
    _Option(("--profile", "profile"), "Which database, by the name of its profile.", "NAME"),
    _Option(("--config", "config"), "Read this configuration file alone.", "FILE"),
    _Option(
        ("-o", "--output", "output"), "table, csv, tsv, json, ndjson, yaml, markdown, ids or count.", "FORMAT"
    ),
    _Option(("--json", "json"), "Short for -o json."),
    _Option(("--csv", "csv"), "Short for -o csv."),
    _Option(("--color", "color"), "auto, always or never.", "WHEN"),
    _Option(("--log-format", "log_format"), "auto, console or json.", "FORMAT"),
    _Option(("--no-input", "no_input"), "Never ask; what needs an answer fails."),
    _Option(("-q", "--quiet", "quiet"), "No notices, no progress."),
    _Option(("-v", "--verbose", "verbose"), "Say more on stderr."),
    _Option(("--debug", "debug"), "Show tracebacks and statements."),
)
_REPORT = (
    _Option(("--out", "out"), "Write to this file, whole or not at all; - is stdout.", "FILE"),
    _Option(
        ("--fields", "--field", "fields"), "Columns to show, in this order: a,b.", "NAMES", multiple=True
    ),
    _Option(("--sort", "sort"), "Columns to sort by; -a is descending.", "NAMES"),
    _Option(("--limit", "limit"), "Show at most so many rows.", "N"),
    _Option(("--offset", "offset"), "Leave out the first rows.", "N"),
    _Option(("--all", "all"), "Show all rows on a terminal too."),
    _Option(("--no-headers", "no_headers"), "Leave out the header of table, csv and tsv."),
    _Option(("--null", "null"), "What csv and tsv show for an unknown value.", "TEXT"),
    _Option(("--bom", "bom"), "Begin csv with a byte order mark."),
    _Option(("--csv-safe", "csv_safe"), "Escape text a spreadsheet would run as a formula."),
    _Option(("--show-sql", "show_sql"), "Print the statement on stderr."),
)
_PREVIEW = (
    _Option(("-n", "--dry-run", "dry_run"), "Show each change, before and after; change nothing."),
    _Option(("-y", "--yes", "yes"), "Do not ask for confirmation."),
    _Option(("--max-rows", "max_rows"), "Refuse if more targets are named.", "N"),
    _Option(("--max-percent", "max_percent"), "Refuse if more of all there are is named.", "P"),
)
_REASON = _Option(("--reason", "reason"), "Why; it goes to the audit log.", "TEXT")
_PLAN = _Option(("--plan", "plan"), "Write the changes to this file, for `apply`; change nothing.", "FILE")
_CHANGE = (
    _REASON,
    *_PREVIEW,
    _Option(("--ids-from", "ids_from"), "Targets, one a line; - is stdin.", "FILE"),
    _Option(("--from-csv", "from_csv"), "Targets from a list's own CSV; - is stdin.", "FILE"),
    _PLAN,
)


def _remember(context: typer.Context, parameter: Any, value: object) -> object:
    """Keep what was given on whichever side of the verb; the later one wins."""
    if value not in (None, False, (), []):
        is_format = parameter.name in _SHORT_FORMATS
        name, kept = ("output", parameter.name) if is_format else (parameter.name, value)
        context.find_root().obj.flags[name] = kept
    return value


def _parameters(options: tuple[_Option, ...], section: str) -> list[TyperOption]:
    return [
        TyperOption(
            param_decls=list(option.declarations),
            help=option.help,
            metavar=option.metavar,
            type=str if option.metavar else None,
            is_flag=option.metavar is None,
            default=None if option.metavar else False,
            multiple=option.multiple,
            callback=_remember,
            expose_value=False,
            rich_help_panel=section,
        )
        for option in options
    ]


def _format_options(command: Any, context: typer.Context, formatter: Any) -> None:
    """List a command's own options first, then those many or all commands share."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            is_argument = parameter.param_type_name == "argument"
            title = "Arguments" if is_argument else getattr(parameter, "rich_help_panel", None) or "Options"
            sections.setdefault(title, []).append(record)
    for title in sorted(sections, key=_SECTIONS.index):
        with formatter.section(title):
            formatter.write_dl(sections[title])


_SECTIONS = ("Arguments", "Options", "Change options", "Output options", "Global options")


_Shared = tuple[tuple[tuple[_Option, ...], str], ...]


class Command(TyperCommand):
    """A verb; it takes the global options."""

    shared: _Shared = ((_GLOBAL, "Global options"),)

    def __init__(self, *arguments: Any, params: list[Any] | None = None, **settings: Any) -> None:
        added = [parameter for options, title in self.shared for parameter in _parameters(options, title)]
        super().__init__(*arguments, params=[*(params or []), *added], **settings)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _format_options(self, ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        current(ctx).command = _words(ctx)
        return super().invoke(ctx)


def _words(context: Any) -> str:
    """Return what names the command below the root: "tier requests list"."""
    words = []
    while context.parent is not None:
        words.append(str(context.info_name))
        context = context.parent
    return " ".join(reversed(words))


class ReportCommand(Command):
    """A verb that shows a report; it takes the output options too."""

    shared: _Shared = ((_REPORT, "Output options"), (_GLOBAL, "Global options"))


class ActCommand(ReportCommand):
    """A verb that changes something; it takes the options of every change too."""

    shared = ((_CHANGE, "Change options"), *ReportCommand.shared)


class OneActCommand(ActCommand):
    """A verb that changes one thing, or what a file of its own says."""

    shared = (((_REASON, *_PREVIEW[:2], _PLAN), "Change options"), *ReportCommand.shared)


class SweepCommand(ReportCommand):
    """A verb that changes whatever fits, with nothing a plan could show."""

    _sweep = (
        _REASON,
        *_PREVIEW[:2],
        _Option(("--max-rows", "max_rows"), "Refuse if more rows would go.", "N"),
    )
    shared = ((_sweep, "Change options"), *ReportCommand.shared)


class PlanCommand(ReportCommand):
    """A verb that changes what a plan says."""

    shared = ((_PREVIEW, "Change options"), *ReportCommand.shared)


class Group(TyperGroup):
    """A noun, or the root; it takes the global options."""

    def __init__(self, *, params: list[Any] | None = None, **settings: Any) -> None:
        super().__init__(params=[*(params or []), *_parameters(_GLOBAL, "Global options")], **settings)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _format_options(self, ctx, formatter)


class App(typer.Typer):
    """A noun's verbs."""

    def __init__(self, *, cls: type[TyperGroup] = Group) -> None:
        super().__init__(
            cls=cls,
            no_args_is_help=True,
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            context_settings=CONTEXT_SETTINGS,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a verb."""
        settings.setdefault("cls", Command)
        settings.setdefault("context_settings", CONTEXT_SETTINGS)
        return super().command(name, **settings)

    def report(self, name: str | None = None) -> Callable[[Any], Any]:
        """Register a verb that shows a report."""
        return self.command(name, cls=ReportCommand)

    def act(self, name: str | None = None, *, of: type[ReportCommand] = ActCommand) -> Callable[[Any], Any]:
        """Register a verb that changes something: several targets, unless it is of another class."""
        return self.command(name, cls=of)


def current(context: typer.Context) -> Context:
    """Return the invocation's Context."""
    found = context.find_root().obj
    if not isinstance(found, Context):
        raise TypeError("the command was not started through the root application")
    return found
