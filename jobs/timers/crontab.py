"""Crontabs: the lines, and a marked block of them among a user's own."""

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from avatarlab_cli.errors import ExitCode, RefusedError
from jobs.registry import SCHEDULED
from jobs.schedule import Scheduled
from jobs.timers.program import Program

BEGIN = "# >>> avatarlab: written by `avatarlab job timers install`, and written anew by it\n"
END = "# <<< avatarlab\n"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WAIT_SECONDS = 1800
# As long as the units have: to run, and to end once told to.
_LONGEST, _ENDING = "3h", "15m"


class Tools(NamedTuple):
    """The machine's programs that lines need, by their paths."""

    flock: str
    timeout: str


def system(program: Program, tools: Tools, user: str, state: Path) -> str:
    """Return a file for /etc/cron.d, whose lines run as the user and keep in `state` what was told."""
    settings = f"SHELL=/bin/sh\nPATH={_PATH}\nTZ=UTC\nSTATE_DIRECTORY={state}\n"
    lines = "".join(f"{fields} {user} {command}\n" for fields, command in _lines(program, tools))
    return f"{BEGIN}{_head()}{settings}{lines}{END}"


def block(program: Program, tools: Tools) -> str:
    """Return the block for a user's crontab. Each line sets its own variables: a block's would hold for the lines after it."""
    own = f"export TZ=UTC PATH={_PATH}; "
    lines = "".join(f"{fields} {own}{command}\n" for fields, command in _lines(program, tools))
    return f"{BEGIN}{_head()}{lines}{END}"


def _head() -> str:
    return (resources.files("config") / "cron" / "head").read_text(encoding="utf-8")


def _lines(program: Program, tools: Tools) -> list[tuple[str, str]]:
    return [(f"{entry.schedule.minute} * * * *", _command(entry, program, tools)) for entry in SCHEDULED]


def _command(entry: Scheduled, program: Program, tools: Tools) -> str:
    """Return the command of a line, where % would end it."""
    # In the foreground, the program alone is told to end, and once: told twice it would end at once.
    bounded = f"{tools.timeout} --foreground --verbose --kill-after={_ENDING} {_LONGEST} "
    steps = " && ".join(bounded + program.line("--quiet", *words) for words in (*entry.first, entry.words))
    late = (
        f"avatarlab: {entry.name} gives up, as another line still works after {_WAIT_SECONDS // 60} minutes"
    )
    wait = f'{tools.flock} --wait {_WAIT_SECONDS} 9 || {{ echo "{late}" >&2; exit {ExitCode.BUSY:d}; }}'
    # The program's own file is there to be locked, whoever runs it. What a job starts must not hold the lock.
    run = f"{{ {wait}; {{ {steps}; }} 9<&-; }} 9<{program.path}"
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
