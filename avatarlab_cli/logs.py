"""Logs on stderr: readable on a terminal, JSON lines elsewhere."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Protocol

from avatarlab_cli.context import Context

# Under systemd the journal adds the time, and reads the priority from this prefix.
_PRIORITIES = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}


class Log(Protocol):
    """What writes log lines: an event and what belongs to it; what is bound stands on each line.

    A line with `is_summary` says at the end what was done, to those who read logs: on a terminal the command's own output does.
    """

    def bind(self, **values: object) -> "Log":
        """Return a log with these on each line."""

    def info(self, event: str, **values: object) -> object:
        """Say what is as it should be."""

    def warning(self, event: str, **values: object) -> object:
        """Say what somebody may have to look at."""

    def error(self, event: str, **values: object) -> object:
        """Say what failed."""


class Silence:
    """A log that nobody reads."""

    def bind(self, **_: object) -> "Silence":
        """Bind nothing."""
        return self

    def info(self, event: str, **_: object) -> None:
        """Say nothing."""

    warning = error = info


def logger(context: Context) -> Log:
    """Return the invocation's logger; --quiet leaves warnings, --verbose adds details."""
    import structlog

    is_journal = "JOURNAL_STREAM" in context.variables
    is_readable = _is_readable(context)
    is_brief = is_readable and not context.flags.get("verbose")
    level = logging.WARNING if context.is_quiet or is_brief else logging.INFO
    times = [] if is_journal else [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    plain, lines = structlog.dev.ConsoleRenderer(colors=False), structlog.processors.JSONRenderer()

    def summarised(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.pop("is_summary", False) and is_brief:
            raise structlog.DropEvent
        return event

    own = [structlog.processors.add_log_level, summarised]
    processors: list[Any] = [*own, *times, plain if is_readable else lines]
    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[*processors, _prioritised] if is_journal else processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return log


def _is_readable(context: Context) -> bool:
    form = context.settings.require("log_format")
    return form == "console" or (form == "auto" and sys.stderr.isatty())


def _prioritised(_: object, method: str, line: Any) -> str:  # noqa: ANN401 (structlog declares it wider)
    return f"{_PRIORITIES.get(method, '')}{line}"
