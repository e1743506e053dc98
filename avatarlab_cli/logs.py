"""Logs on stderr: readable on a terminal, JSON lines elsewhere."""

import logging
import os
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

    is_journal = _is_journal(context)
    is_readable = _is_readable(context)
    is_brief = is_readable and not context.flags.get("verbose")
    level = logging.WARNING if context.is_quiet or is_brief else logging.INFO
    times = [] if is_journal else [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    plain, lines = structlog.dev.ConsoleRenderer(colors=False), structlog.processors.JSONRenderer()

    def kept(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Keep every line, and let through what is to be seen."""
        is_summary = event.pop("is_summary", False)
        context.log.append(str(lines(None, method, dict(event))))
        if logging.getLevelNamesMapping()[method.upper()] < level or (is_summary and is_brief):
            raise structlog.DropEvent
        return event

    own = [structlog.processors.add_log_level, *times, kept]
    processors: list[Any] = [*own, plain if is_readable else lines]
    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[*processors, _prioritised] if is_journal else processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return log


def priority(context: Context, level: str) -> str:
    """Return what a line on stderr begins with, so that the journal knows its level; nothing elsewhere."""
    return _PRIORITIES.get(level, "") if _is_journal(context) else ""


def _is_journal(context: Context) -> bool:
    """Tell whether stderr is the journal's; a process that has it redirected inherits the variable all the same."""
    try:
        stream = os.fstat(2)
    except OSError:
        return False
    return context.variables.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


def _is_readable(context: Context) -> bool:
    form = context.settings.require("log_format")
    return form == "console" or (form == "auto" and sys.stderr.isatty())


def _prioritised(_: object, method: str, line: Any) -> str:  # noqa: ANN401 (structlog declares it wider)
    return f"{_PRIORITIES.get(method, '')}{line}"
