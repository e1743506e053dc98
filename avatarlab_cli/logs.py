"""Logs on stderr: readable on a terminal, JSON lines elsewhere."""

import logging
import os
import sys
from typing import Any

from avatarlab_cli.context import Context

# Under systemd the journal adds the time, and reads the priority from this prefix.
_PRIORITIES = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}


def logger(context: Context) -> Any:  # noqa: ANN401 (structlog's proxies are untyped)
    """Return the invocation's logger; --quiet leaves warnings, --verbose adds details."""
    import structlog

    is_journal = _is_journal(context)
    is_readable = _is_readable(context)
    level = (
        logging.WARNING
        if context.is_quiet or (is_readable and not context.flags.get("verbose"))
        else logging.INFO
    )
    times = [] if is_journal else [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    plain, lines = structlog.dev.ConsoleRenderer(colors=False), structlog.processors.JSONRenderer()
    processors: list[Any] = [structlog.processors.add_log_level, *times, plain if is_readable else lines]

    def kept(_: object, method: str, line: Any) -> str:  # noqa: ANN401 (structlog declares it wider)
        """Keep every line, and let through those of the level or above."""
        context.log.append(line)
        if logging.getLevelNamesMapping()[method.upper()] < level:
            raise structlog.DropEvent
        return str(line)

    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[*processors, kept, *([_prioritised] if is_journal else [])],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


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
