"""The program timers start: where it is, with which options, and whether the user they run as can reach it."""

import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import avatarlab_cli
from avatarlab_cli.errors import ConfigurationError, UsageError

# Nothing systemd, cron or the shell would read in another way.
_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
# What units with ProtectHome and PrivateTmp do not see.
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 (they are avoided)
_ELSEWHERE = "install the toolkit where every user can read it, under /opt or /usr/local, or give --user"


@dataclass(frozen=True)
class Program:
    """An installed toolkit: its path, the options each command takes first, and the files it cannot do without."""

    path: Path
    options: tuple[str, ...] = ()
    needs: tuple[Path, ...] = ()

    def line(self, *words: str) -> str:
        """Return the command line that runs a command; no word of it needs quoting."""
        return " ".join([str(self.path), *self.options, *words])


def installed(flags: Mapping[str, object]) -> Program:
    """Return this installation, with the profile and configuration file named on the command line.

    Raises UsageError for an option, and ConfigurationError for a path, that would have to be quoted.
    """
    python = Path(sys.executable)
    path = python.with_name("avatarlab")
    if not path.exists():
        raise ConfigurationError(
            f"there is no program {path}", hint="install the toolkit as README describes"
        )
    if not _PLAIN.fullmatch(str(path)):
        raise ConfigurationError(
            f"a timer cannot name the program {path}",
            hint="install the toolkit under a path of plain characters",
        )
    options: list[str] = []
    needs = [path, python, Path(avatarlab_cli.__file__)]
    if (profile := flags.get("profile")) is not None:
        options += ["--profile", _plain("--profile", str(profile))]
    if (config := flags.get("config")) is not None:
        file = Path(str(config)).absolute()
        options += ["--config", _plain("--config", str(file))]
        needs.append(file)
    return Program(path, tuple(options), tuple(needs))


def _plain(option: str, text: str) -> str:
    if not _PLAIN.fullmatch(text):
        raise UsageError(f"a timer cannot name {option} {text!r}", hint="use letters, digits and ._-/")
    return text


def demand_visible(program: Program) -> None:
    """Raise ConfigurationError where a unit that sees no home and no temporary files would miss the program."""
    for path in program.needs:
        for place in {path, path.resolve()}:
            if above := next((hidden for hidden in _HIDDEN if place.is_relative_to(hidden)), None):
                raise ConfigurationError(
                    f"{place} is under {above}, which the units do not see", hint=_ELSEWHERE
                )


def demand_readable(program: Program) -> None:
    """Raise ConfigurationError where only its owner can reach the program: timers run as another user."""
    for path in program.needs:
        for place in (path, path.resolve()):
            for each, right in ((place, stat.S_IROTH), *((above, stat.S_IXOTH) for above in place.parents)):
                if not each.stat().st_mode & right:
                    raise ConfigurationError(
                        f"{place} cannot be read by others, because of {each}", hint=_ELSEWHERE
                    )
