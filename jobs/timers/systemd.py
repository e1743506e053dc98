"""Timers of systemd, of the system or of one user."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from avatarlab_cli.errors import ConfigurationError, RefusedError
from jobs.registry import SCHEDULED
from jobs.timers import host, units
from jobs.timers.manager import Row, first_difference
from jobs.timers.program import Program, demand_readable, demand_visible

SYSTEM = Path("/etc/systemd/system")
_STORES = tuple(map(Path, ("/etc/credstore", "/run/credstore", "/usr/lib/credstore")))
# The first that finds credentials in a store by their names, and tells a job which timer's slot it is.
_OLDEST = 252
_HINT = "`journalctl --unit 'avatarlab-*'` may say more"


class Systemd:
    """systemd's timers; the user's own where `is_user`."""

    name = "--systemd"

    def __init__(self, variables: Mapping[str, str], *, is_user: bool) -> None:
        self.is_user = is_user
        self._variables = variables
        home = variables.get("XDG_CONFIG_HOME") or Path(variables.get("HOME", "/")) / ".config"
        self.directory = Path(home) / "systemd/user" if is_user else SYSTEM

    def places(self) -> list[str]:
        """Return the paths of the units of ours."""
        return [str(path) for path in self._ours()]

    def files(self, program: Program) -> dict[str, str]:
        """Return every unit's text by its path."""
        wanted = units.render(program, is_user=self.is_user)
        return {str(self.directory / name): text for name, text in wanted.items()}

    def install(self, program: Program) -> Iterator[Row]:
        """Write what differs, have systemd read it, and start the timers that do not run."""
        self._demand(program)
        wanted = units.render(program, is_user=self.is_user)
        for name in wanted:
            self._demand_ours(self.directory / name)
        yield from self._remove([path for path in self._ours() if path.name not in wanted])
        for name, text in wanted.items():
            path = self.directory / name
            is_same = host.read(path) == text
            if not is_same:
                host.write(path, text)
            yield {"what": str(path), "state": "unchanged" if is_same else "written"}
        # Also where nothing differs: a run before this one may have been broken off here.
        self._systemctl("daemon-reload")
        resting = [name for name, (enabled, active) in self._states().items() if not (enabled and active)]
        if resting:
            self._systemctl("enable", "--now", *resting)
        for name in resting:
            yield {"what": name, "state": "started"}

    def differences(self, program: Program) -> Iterator[Row]:
        """Yield files that are missing, changed or nobody's any more, and timers that do not run."""
        wanted = units.render(program, is_user=self.is_user)
        for name, text in wanted.items():
            path = self.directory / name
            found = host.read(path)
            if found is None:
                yield {"what": str(path), "state": "missing", "more": None}
            elif found != text:
                yield {"what": str(path), "state": "differs", "more": first_difference(found, text)}
        for path in self._ours():
            if path.name not in wanted:
                yield {"what": str(path), "state": "not scheduled any more", "more": None}
        for name, (is_enabled, is_active) in self._states().items():
            if not is_enabled:
                yield {"what": name, "state": "not enabled", "more": self._command("enable", "--now", name)}
            elif not is_active:
                yield {"what": name, "state": "not running", "more": self._command("start", name)}

    def remove(self) -> Iterator[Row]:
        """Stop the timers and remove all units of ours; a run under way goes on to its end."""
        if not self.is_user:
            host.demand_root()
        yield from self._remove(self._ours())
        self._systemctl("daemon-reload")

    def notes(self) -> Iterator[str]:
        """Yield what the timers still need, as far as can be seen."""
        if self.is_user:
            yield "without `loginctl enable-linger` they run while you are logged in alone"
        elif not any((place / "avatarlab.database_url").exists() for place in _STORES):
            yield (
                "put the database's URL into /etc/credstore/avatarlab.database_url (chmod 600), unless"
                " /etc/avatarlab/config.yaml names the database"
            )

    def _remove(self, paths: list[Path]) -> Iterator[Row]:
        timers = [path.name for path in paths if path.suffix == ".timer"]
        if timers:
            self._systemctl("disable", "--now", *timers)
        for path in paths:
            host.remove(path)
            yield {"what": str(path), "state": "removed"}

    def _ours(self) -> list[Path]:
        """Return the units that carry our mark, as this version or another wrote it."""
        found = sorted(self.directory.glob(f"{units.PREFIX}*"))
        return [path for path in found if path.is_file() and self._is_marked(path)]

    def _is_marked(self, path: Path) -> bool:
        return (host.read(path) or "").startswith(units.MARK[: units.MARK.index(",")])

    def _demand_ours(self, path: Path) -> None:
        # A link to /dev/null is a unit that an administrator has masked.
        if (path.exists() or path.is_symlink()) and not self._is_marked(path):
            raise RefusedError(
                f"{path} is not the toolkit's own", hint="move it away, or `systemctl unmask` it"
            )

    def _demand(self, program: Program) -> None:
        if not self.is_user:
            host.demand_root()
            demand_visible(program)
            demand_readable(program)
        found = re.match(r"systemd (\d+)", self._systemctl("--version"))
        if found is None or int(found[1]) < _OLDEST:
            version = found[1] if found else "of unknown version"
            raise ConfigurationError(
                f"systemd {version} is here, and {_OLDEST} is the oldest that will do", hint="give --cron"
            )

    def _states(self) -> dict[str, tuple[bool, bool]]:
        """Return of each timer whether it is enabled, and whether it waits for its slot."""
        names = [units.timer_of(entry) for entry in SCHEDULED]
        said = self._systemctl("show", "--property=Id,UnitFileState,ActiveState", *names)
        states = {}
        for paragraph in said.strip().split("\n\n"):
            values = dict(line.split("=", 1) for line in paragraph.splitlines() if "=" in line)
            states[values.get("Id", "")] = values
        told = {name: states.get(name, {}) for name in names}
        return {
            name: (values.get("UnitFileState") == "enabled", values.get("ActiveState") == "active")
            for name, values in told.items()
        }

    def _systemctl(self, *words: str) -> str:
        program = host.program("systemctl", self._variables, hint="give --cron")
        user = ["--user"] if self.is_user else []
        return host.demand_done([program, *user, *words], self._variables, hint=_HINT)

    def _command(self, *words: str) -> str:
        return " ".join(["systemctl", *(["--user"] if self.is_user else []), *words])
