"""The output options every report takes."""

from dataclasses import dataclass
from enum import StrEnum

from avatarlab_cli.errors import UsageError


class Format(StrEnum):
    """The forms a report can leave in."""

    TABLE = "table"
    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    NDJSON = "ndjson"
    YAML = "yaml"
    MARKDOWN = "markdown"
    IDS = "ids"
    COUNT = "count"


@dataclass(frozen=True)
class OutputOptions:
    """What the user asked for; contradictions raise UsageError at once.

    `out` is a path, `-` or None for stdout; `sort` reads `-spend,email`; `null` is what CSV and TSV show for
    NULL; `all` lifts the limit a table has on a terminal.
    """

    format: Format | None = None
    out: str | None = None
    fields: tuple[str, ...] = ()
    headers: bool = True
    sort: str | None = None
    limit: int | None = None
    offset: int = 0
    all: bool = False
    null: str = ""
    bom: bool = False
    csv_safe: bool = False
    show_sql: bool = False

    def __post_init__(self) -> None:
        for name, value in (("--limit", self.limit), ("--offset", self.offset)):
            if value is not None and value < 0:
                raise UsageError(f"{name} {value} is negative", hint="write 0 or more")
        if self.all and self.limit is not None:
            raise UsageError("--all and --limit contradict each other", hint="leave one of them out")
        forbidden = {Format.CSV: '",\r\n', Format.TSV: "\\\t\r\n"}.get(self.resolved_format, "")
        # A lone \N is how COPY itself writes NULL, and no data can look like it.
        if self.null != r"\N" and set(self.null) & set(forbidden):
            raise UsageError(
                f"--null {self.null!r} has a character that separates fields", hint="choose a plain word"
            )

    @property
    def resolved_format(self) -> Format:
        """The format, a table unless another was asked for."""
        return self.format or Format.TABLE

    @property
    def escapes_formulas(self) -> bool:
        """Whether text is made harmless for a spreadsheet, which opens CSV and TSV alone."""
        return self.csv_safe and self.resolved_format in (Format.CSV, Format.TSV)

    @property
    def path(self) -> str | None:
        """The file to write, None for stdout."""
        return None if self.out in (None, "-") else self.out
