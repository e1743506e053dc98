"""Lines for cron, in a file for the system or in a block of a user's crontab."""

import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path

from avatarlab_cli.errors import AvatarLabError, ConfigurationError, RefusedError
from jobs.timers import crontab, host
from jobs.timers.manager import Row, first_difference
from jobs.timers.program import Program, demand_readable

SYSTEM = Path("/etc/cron.d/avatarlab")
USER = "avatarlab"
STATE = Path("/var/lib/avatarlab-cron")
"""What was told already: the user may have no home to keep it in."""
_HINT = "install the package cron, or give --systemd"


class SystemCron:
    """The file of /etc/cron.d whose lines run as the user avatarlab."""

    name = "--cron"

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def places(self) -> list[str]:
        """Return the file's path, if it is there and ours."""
        return [str(SYSTEM)] if (host.read(SYSTEM) or "").startswith(crontab.BEGIN) else []

    def files(self, program: Program) -> dict[str, str]:
        """Return the file's text by its path."""
        return {str(SYSTEM): crontab.system(program, _tools(self._variables), USER, STATE)}

    def install(self, program: Program) -> Iterator[Row]:
        """Write the file, and make the directory for its lines' memory; cron looks for changes by itself."""
        host.demand_root()
        if not SYSTEM.parent.is_dir():
            raise ConfigurationError(f"there is no {SYSTEM.parent}: cron is not installed", hint=_HINT)
        user = _demand_user()
        demand_readable(program)
        found, wanted = host.read(SYSTEM), self.files(program)[str(SYSTEM)]
        if found is not None and not self.places():
            raise RefusedError(f"{SYSTEM} is not the toolkit's own", hint="move it away")
        if found != wanted:
            host.write(SYSTEM, wanted)
        host.make_private(STATE, user.pw_uid, user.pw_gid)
        yield {"what": str(SYSTEM), "state": "unchanged" if found == wanted else "written"}

    def differences(self, program: Program) -> Iterator[Row]:
        """Yield how the file differs."""
        yield from _differences(str(SYSTEM), host.read(SYSTEM) or "", self.files(program)[str(SYSTEM)])
        if not STATE.is_dir():
            yield {"what": str(STATE), "state": "missing", "more": "avatarlab job timers install --cron"}

    def remove(self) -> Iterator[Row]:
        """Remove the file; what was told stays, as it does with systemd."""
        host.demand_root()
        host.remove(SYSTEM)
        yield {"what": str(SYSTEM), "state": "removed"}

    def notes(self) -> Iterator[str]:
        """Yield what the lines still need."""
        yield f"let the user {USER} reach the database: by /etc/avatarlab/config.yaml, which may name a file of the user's own"


class UserCron:
    """A block of lines in the crontab of whoever runs this; other lines stay as they are."""

    name = "--cron"
    place = "crontab"

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def places(self) -> list[str]:
        """Return the crontab, if it has our block; without cron there is none."""
        try:
            text = self._text()
        except ConfigurationError:
            return []
        return [self.place] if crontab.parted(text)[1] else []

    def files(self, program: Program) -> dict[str, str]:
        """Return the block."""
        return {self.place: crontab.block(program, _tools(self._variables))}

    def install(self, program: Program) -> Iterator[Row]:
        """Put the block where it was, or at the crontab's end."""
        before, found, after = crontab.parted(self._text())
        wanted = self.files(program)[self.place]
        if found != wanted:
            gap = "" if before.endswith("\n") or not before else "\n"
            self._set(before + gap + wanted + after)
        yield {"what": self.place, "state": "unchanged" if found == wanted else "written"}

    def differences(self, program: Program) -> Iterator[Row]:
        """Yield how the block differs."""
        yield from _differences(self.place, crontab.parted(self._text())[1], self.files(program)[self.place])

    def remove(self) -> Iterator[Row]:
        """Take the block out of the crontab."""
        before, _, after = crontab.parted(self._text())
        self._set(before + after)
        yield {"what": self.place, "state": "removed"}

    def notes(self) -> Iterator[str]:
        """Yield what the lines still need: nothing, they run as who can read the configuration."""
        yield from ()

    def _text(self) -> str:
        code, out, err = host.run([self._crontab(), "-l"], self._variables)
        if code == 0:
            return out
        # Who has none is told so by exit code 1, as who may have none.
        if "no crontab" in err.lower():
            return ""
        raise AvatarLabError(f"crontab: {err}", hint=_HINT)

    def _set(self, text: str) -> None:
        words = ["-"] if text else ["-r"]
        host.demand_done([self._crontab(), *words], self._variables, hint=_HINT, text=text)

    def _crontab(self) -> str:
        return host.program("crontab", self._variables, hint=_HINT)


def _differences(place: str, found: str, wanted: str) -> Iterator[Row]:
    if found != wanted:
        yield {"what": place, "state": "differs", "more": first_difference(found, wanted)}


def _demand_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(USER)
    except KeyError as error:
        raise ConfigurationError(
            f"there is no user {USER}, as whom the jobs are to run",
            hint=f"useradd --system --no-create-home {USER}, it needs no home; or give --user for a crontab of your own",
        ) from error


def _tools(variables: Mapping[str, str]) -> crontab.Tools:
    return crontab.Tools(
        host.program("flock", variables, hint="install the package util-linux"),
        host.program("timeout", variables, hint="install the package coreutils"),
    )
