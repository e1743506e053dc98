"""Every error the toolkit raises on purpose, and the exit code each one ends with."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a process tells its caller; the table stands in README."""

    OK = 0
    FAILED = 1
    USAGE = 2
    FOUND = 3
    NOT_PERMITTED = 4
    NOT_FOUND = 5
    DECLINED = 6
    REFUSED = 7
    UNAVAILABLE = 69
    BUSY = 75
    CONFIGURATION = 78
    INTERRUPTED = 130
    CLOSED_PIPE = 141
    TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Like an interrupt, it makes psycopg cancel the running statement."""


class AvatarLabError(Exception):
    """A failure the user can understand: what happened, and in `hint` what to do about it."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AvatarLabError):
    """The command line or an option's value cannot be understood."""

    exit_code = ExitCode.USAGE


class NotPermittedError(AvatarLabError):
    """The database login or the acting admin lacks a right."""

    exit_code = ExitCode.NOT_PERMITTED


class NotFoundError(AvatarLabError):
    """A named user, job, run or relation does not exist."""

    exit_code = ExitCode.NOT_FOUND


class DeclinedError(AvatarLabError):
    """A confirmation was declined, or nobody could be asked."""

    exit_code = ExitCode.DECLINED


class RefusedError(AvatarLabError):
    """A safety limit forbids the act."""

    exit_code = ExitCode.REFUSED


class UnavailableError(AvatarLabError):
    """The database cannot be reached."""

    exit_code = ExitCode.UNAVAILABLE


class BusyError(AvatarLabError):
    """Somebody else holds what this needs; the same call may succeed later."""

    exit_code = ExitCode.BUSY


class ConfigurationError(AvatarLabError):
    """A setting, a configuration file or the database's schema is not as it must be."""

    exit_code = ExitCode.CONFIGURATION


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the code a process ends with that this error ends; FAILED for what is nobody's intention."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    # The command line's own errors carry a code as ours do.
    return ExitCode(getattr(error, "exit_code", ExitCode.FAILED))


# In this order: being terminated is one way of being interrupted.
_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (Terminated, ExitCode.TERMINATED),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (BrokenPipeError, ExitCode.CLOSED_PIPE),
)
