"""Programs of the machine that stand in for systemctl and crontab: they keep what they are told, and write it down."""

import json
import sys
from pathlib import Path

_SYSTEMCTL = """
import json, pathlib, sys
home = pathlib.Path(__file__).parent
words = [word for word in sys.argv[1:] if word != "--user"]
with (home / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
state = home / "timers.json"
timers = json.loads(state.read_text()) if state.exists() else {}
verb, names = words[0], [word for word in words[1:] if not word.startswith("--")]
if verb == "--version":
    print("systemd " + (home / "version").read_text() + " (as packaged)")
elif verb in ("enable", "disable"):
    timers.update({name: ["enabled", "active"] if verb == "enable" else ["disabled", "inactive"] for name in names})
    state.write_text(json.dumps(timers))
elif verb == "show":
    # Of a unit there is not, systemd says so by empty values.
    print("\\n".join(
        "Id={}\\nUnitFileState={}\\nActiveState={}\\n".format(name, *timers.get(name, ["", "inactive"]))
        for name in names
    ))
elif verb == "daemon-reload" and (home / "broken").exists():
    sys.exit("Failed to connect to bus: No medium found")
"""
_CRONTAB = """
import pathlib, sys
table = pathlib.Path(__file__).with_name("table")
if sys.argv[1] == "-l":
    sys.exit("no crontab for ada") if not table.exists() else print(table.read_text(), end="")
elif sys.argv[1] == "-r":
    table.unlink()
else:
    table.write_text(sys.stdin.read())
"""


class Machine:
    """A directory of programs, to be the first in PATH."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "version").write_text("252")
        for name, text in (("systemctl", _SYSTEMCTL), ("crontab", _CRONTAB)):
            (home / name).write_text(f"#!{sys.executable} -I\n{text}")
            (home / name).chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """What systemctl was told, in order."""
        file = self.home / "calls"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def timers(self) -> dict[str, list[str]]:
        """Of each timer that systemctl was told of, whether it is enabled and active."""
        file = self.home / "timers.json"
        found: dict[str, list[str]] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def set_timer(self, name: str, *state: str) -> None:
        """Put a timer into a state, as somebody else did."""
        (self.home / "timers.json").write_text(json.dumps({**self.timers, name: state}))

    @property
    def table(self) -> str | None:
        """The user's crontab, None where there is none."""
        file = self.home / "table"
        return file.read_text() if file.exists() else None

    def set_table(self, text: str) -> None:
        """Put lines into the user's crontab."""
        (self.home / "table").write_text(text)
