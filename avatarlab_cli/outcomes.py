"""What is shown of an act's outcomes: a row for each target, or in a preview for each value that would change."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from avatarlab_cli.actions.act import Act, Change, Outcome
from avatarlab_cli.errors import AvatarLabError, ExitCode
from avatarlab_cli.report import Column, Kind

_VALUES = (
    Column("table", Kind.TEXT, "whose row would change", null="-"),
    Column("row", Kind.JSON, "which row: its key", wide=True, null="-"),
    Column("column", Kind.TEXT, "which column; none where the whole row comes or goes", null="-"),
    Column("before", Kind.JSON, "as it is", null="-"),
    Column("after", Kind.JSON, "as it would be", null="-"),
)


def columns(act: Act, *, is_preview: bool) -> tuple[Column, ...]:
    """Return the columns of `rows`."""
    target = (
        Column("id", Kind.ID, "what the act was done to", wide=True, null="-"),
        Column(act.naming.noun, Kind.TEXT, "its name"),
        Column("result", Kind.TEXT, "changed, unchanged or failed"),
        Column("detail", Kind.TEXT, "what was done, or why not", null="-"),
    )
    changes = Column("changes", Kind.JSON, "the rows that changed, before and after", wide=True)
    entry = Column("entry", Kind.ID, "of the audit log", wide=True, null="-")
    return (*target, *_VALUES) if is_preview else (*target, *act.columns, changes, entry)


def rows(act: Act, outcome: Outcome, *, is_preview: bool) -> Iterator[dict[str, object]]:
    """Yield what is shown of a target."""
    is_changed = outcome.result == "changed"
    target = {
        "id": outcome.id,
        act.naming.noun: outcome.label or outcome.item.name,
        "result": "would change" if is_changed and is_preview else outcome.result,
        "detail": outcome.detail or (act.describe() if is_changed else None),
    }
    if is_preview:
        nothing: dict[str, object] = dict.fromkeys(column.name for column in _VALUES)
        yield from ({**target, **values} for values in [*_values(outcome.changes)] or [nothing])
    else:
        blank = {column.name: None for column in act.columns}
        changes = list(map(vars, outcome.changes))
        yield {**target, **blank, "changes": changes, "entry": outcome.entry, **outcome.revealed}


def _values(changes: Iterable[Change]) -> Iterator[dict[str, object]]:
    for change in changes:
        row = {"table": change.table.removeprefix("public."), "row": change.key}
        if change.before is None or change.after is None:
            yield {**row, "column": None, "before": _known(change.before), "after": _known(change.after)}
        else:
            for name, value in change.after.items():
                yield {**row, "column": name, "before": change.before[name], "after": value}


def _known(image: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if image is None else {name: value for name, value in image.items() if value is not None}


class Tally:
    """What has become of `count` targets so far; `failure` is the last one's."""

    def __init__(self, count: int, *, is_preview: bool) -> None:
        self.count = count
        self._is_preview = is_preview
        self.results = {"changed": 0, "unchanged": 0, "failed": 0}
        self.failure: AvatarLabError | None = None
        self.has_moved = False
        self.last: Outcome | None = None

    @property
    def done(self) -> int:
        """How many targets have been dealt with."""
        return sum(self.results.values())

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.results[outcome.result] += 1
        self.last = outcome
        if outcome.result == "failed":
            self.failure = AvatarLabError(_sentence(outcome), hint=outcome.hint)
            self.failure.exit_code = outcome.code
            self.has_moved |= outcome.item.expected is not None and outcome.code is not ExitCode.BUSY

    def __str__(self) -> str:
        words = {"changed": "would change"} if self._is_preview else {}
        counts = (
            f"{number} {words.get(result, result)}" for result, number in self.results.items() if number
        )
        return ", ".join(counts) or "nobody was named"


def _sentence(outcome: Outcome) -> str:
    """Return what went wrong as a sentence that names the target."""
    if outcome.id is not None:
        return f"{outcome.label} {outcome.detail}"
    says_it = str(outcome.detail).startswith(f"{outcome.label} ")
    names_it = says_it or outcome.code in (ExitCode.NOT_FOUND, ExitCode.USAGE)
    return str(outcome.detail) if names_it else f"{outcome.label}: {outcome.detail}"
