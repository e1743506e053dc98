"""From rows in machine form to text: one renderer a format."""

from collections.abc import Iterable, Iterator, Sequence

from avatarlab_cli.output import structured, table
from avatarlab_cli.output.delimited import delimited
from avatarlab_cli.output.environment import Environment
from avatarlab_cli.output.machine import Row
from avatarlab_cli.output.options import Format, OutputOptions
from avatarlab_cli.output.sink import is_terminal
from avatarlab_cli.report import Column


def rendered(
    columns: Sequence[Column],
    rows: Iterable[Row],
    options: OutputOptions,
    environment: Environment,
    *,
    single: bool = False,
) -> Iterator[str]:
    """Render rows in the format asked for; a `single` report is one object, not a list of one."""
    match options.resolved_format:
        case Format.TABLE:
            draw = table.fields if single else table.table
            text = draw(columns, rows, _style(options, environment))
        case Format.CSV | Format.TSV:
            text = delimited(columns, rows, options)
        case Format.JSON:
            text = (structured.json_single if single else structured.json_array)(columns, rows)
        case Format.NDJSON:
            text = structured.ndjson(columns, rows)
        case Format.YAML:
            text = (structured.yaml_single if single else structured.yaml_list)(columns, rows)
        case Format.MARKDOWN:
            text = table.markdown(columns, rows)
        case Format.IDS:
            text = (f"{row[0]}\n" for row in rows if row[0] is not None)
        case Format.COUNT:
            text = iter([f"{sum(1 for _ in rows)}\n"])
    return text


def _style(options: OutputOptions, environment: Environment) -> table.Style:
    return table.Style(
        width=environment.width if is_terminal(options, environment) else None,
        color=options.path is None and environment.use_color(environment.stdout_is_tty),
        headers=options.headers,
    )
