"""Logs on stderr: readable on a terminal, JSON lines elsewhere."""

import logging
import sys
from typing import Any

from avatarlab_cli.context import Context

# Under systemd the journal adds the time, and reads the priority from this prefix.
_PRIORITIES = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}


def logger(context: Context) -> Any:  # noqa: ANN401 (structlog's proxies are untyped)
    """Return the invocation's logger; --quiet leaves warnings, --verbose adds details."""
    import structlog

    is_journal = "JOURNAL_STREAM" in context.variables
    is_readable = _is_readable(context)
    level = (
        logging.WARNING
        if context.is_quiet or (is_readable and not context.flags.get("verbose"))
        else logging.INFO
    )
    times = [] if is_journal else [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    plain, lines = structlog.dev.ConsoleRenderer(colors=False), structlog.processors.JSONRenderer()
    processors: list[Any] = [structlog.processors.add_log_level, *times, plain if is_readable else lines]
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[*processors, _prioritised] if is_journal else processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


def _is_readable(context: Context) -> bool:
    form = context.settings.require("log_format")
    return form == "console" or (form == "auto" and sys.stderr.isatty())


def _prioritised(_: object, method: str, line: Any) -> str:  # noqa: ANN401 (structlog declares it wider)
    return f"{_PRIORITIES.get(method, '')}{line}"
