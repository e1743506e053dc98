"""Crontabs: the lines, and a marked block of them among a user's own."""

from importlib import resources

from avatarlab_cli.errors import RefusedError
from jobs.registry import SCHEDULED
from jobs.schedule import Scheduled
from jobs.timers.program import Program

BEGIN = "# >>> avatarlab: written by `avatarlab job timers install`, and written anew by it\n"
END = "# <<< avatarlab\n"
_WAIT_SECONDS = 1800
_SETTINGS = "SHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nTZ=UTC\n"


def system(program: Program, flock: str, user: str) -> str:
    """Return a file for /etc/cron.d, whose lines run as the user."""
    lines = "".join(f"{fields} {user} {command}\n" for fields, command in _lines(program, flock))
    return f"{BEGIN}{_head()}{_SETTINGS}{lines}{END}"


def block(program: Program, flock: str) -> str:
    """Return the block for a user's crontab. It sets no variables: they would hold for the lines after it too."""
    lines = "".join(f"{fields} {command}\n" for fields, command in _lines(program, flock))
    return f"{BEGIN}{_head()}{lines}{END}"


def _head() -> str:
    return (resources.files("config") / "cron" / "head").read_text(encoding="utf-8")


def _lines(program: Program, flock: str) -> list[tuple[str, str]]:
    return [(f"{entry.schedule.minute} * * * *", _command(entry, program, flock)) for entry in SCHEDULED]


def _command(entry: Scheduled, program: Program, flock: str) -> str:
    """Return the command of a line, where % would end it."""
    steps = " && ".join(program.line("--quiet", *words) for words in (*entry.first, entry.words))
    # The program's own file is there to be locked, whoever runs it. What a job starts must not hold the lock.
    locked = f"{flock} --close --wait {_WAIT_SECONDS} {program.path} "
    run = f"{locked}/bin/sh -c '{steps}'" if entry.first else f"{locked}{steps}"
    hour = entry.schedule.hour
    return run if hour is None else rf'[ "$(date -u +\%H)" != {hour:02} ] || {run}'


def parted(text: str) -> tuple[str, str, str]:
    """Return what stands before the block in a crontab, the block, and what stands after it; raises RefusedError.

    Where there is no block, all stands before it.
    """
    before, begin, rest = text.partition(BEGIN)
    inner, end, after = rest.partition(END)
    if not begin and END not in text:
        return text, "", ""
    if not end or BEGIN in rest or END in before or END in after:
        raise RefusedError(
            "the crontab has half a block of avatarlab's",
            hint=f"remove the lines from {BEGIN[:13]!r} to {END[:13]!r}: crontab -e",
        )
    return before, begin + inner + end, after
