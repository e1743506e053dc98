"""systemd's units, from the templates in config/systemd."""

from importlib import resources

from jobs.registry import BY_NAME, SCHEDULED
from jobs.schedule import Scheduled
from jobs.timers.program import Program

MARK = "# Written by `avatarlab job timers install`, and written anew by it. What is to differ belongs in a drop-in.\n"
PREFIX = "avatarlab-"


def render(program: Program, *, is_user: bool) -> dict[str, str]:
    """Return each unit file's text by its name, for the system's manager or a user's own."""
    more = "" if is_user else _template("system.conf")
    failed = _filled("failed.service", AVATARLAB=program.line())
    units = {f"{PREFIX}failed@.service": failed + more}
    for entry in SCHEDULED:
        units[f"{PREFIX}{entry.name}.service"] = _service(entry, program) + more
        units[timer_of(entry)] = _filled("job.timer", NAME=entry.name, CALENDAR=entry.schedule.calendar)
    return units


def timer_of(entry: Scheduled) -> str:
    """Return the name of the timer."""
    return f"{PREFIX}{entry.name}.timer"


def _service(entry: Scheduled, program: Program) -> str:
    commands = [*entry.first, entry.words]
    return _filled(
        "job.service",
        SUMMARY=f"{entry.name}: {entry.summary}".rstrip("."),
        COMMANDS="\n".join(f"ExecStart={program.line(*words)}" for words in commands),
        # A job's log says all its record does; what a check lists is nowhere else.
        OUTPUT="null" if entry.name in BY_NAME else "journal",
    )


def _filled(name: str, **values: str) -> str:
    text = MARK + _template(name)
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _template(name: str) -> str:
    return (resources.files("config") / "systemd" / name).read_text(encoding="utf-8")
