"""`job timers` as its users meet it: what is installed, found to differ, and removed; systemctl and crontab are stand-ins."""

import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from avatarlab_cli.errors import ConfigurationError, ExitCode
from jobs.registry import SCHEDULED
from jobs.timers import cron, crontab, program, systemd, units
from tests.cli.invoking import Outcome, invoke
from tests.cli.standins import Machine

SECRET = "postgresql://ada:hunter2@db.example.com/postgres"  # noqa: S105 (to be found nowhere)
TIMERS = {f"avatarlab-{entry.name}.timer" for entry in SCHEDULED}
FOREIGN = "MAILTO=ada@example.com\n5 4 * * * /usr/local/bin/backup 100\\%\n"


@dataclass(frozen=True)
class Host:
    """A machine with directories of its own, on which this process is root."""

    machine: Machine
    root: Path
    variables: Mapping[str, str]

    def timers(self, verb: str, *words: str, before: tuple[str, ...] = ()) -> Outcome:
        """Run a verb of `job timers` there."""
        return invoke(SECRET, *before, "job", "timers", verb, *words, env=self.variables)

    def rows(self, verb: str, *words: str, code: int = 0) -> dict[str, str]:
        """Return what a verb says: the state of each thing."""
        told = self.timers(verb, *words, "--json")
        assert told.code == code, told.err
        return {row["what"]: row["state"] for row in json.loads(told.out)}

    def files(self) -> dict[str, str]:
        """Return the text of everything there."""
        found = {str(path): path.read_text() for path in self.root.rglob("*") if path.is_file()}
        table = self.machine.table
        return found if table is None else {**found, "crontab": table}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A machine nobody has installed anything on."""
    programs, root = tmp_path / "programs", tmp_path / "root"
    for place in (programs, root / "units", root / "cron.d"):
        place.mkdir(parents=True)
    monkeypatch.setattr(systemd, "SYSTEM", root / "units")
    monkeypatch.setattr(cron, "SYSTEM", root / "cron.d/avatarlab")
    monkeypatch.setattr(cron, "USER", pwd.getpwuid(os.getuid()).pw_name)
    monkeypatch.setattr(cron, "STATE", root / "state")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    # Where the tests' own environment is, is not the point.
    for module in (systemd, cron):
        monkeypatch.setattr(module, "demand_readable", lambda _: None)
    monkeypatch.setattr(systemd, "demand_visible", lambda _: None)
    variables = {"PATH": f"{programs}:{os.environ['PATH']}", "XDG_CONFIG_HOME": str(root / "config")}
    return Host(Machine(programs), root, variables)


WAYS = [("--systemd",), ("--systemd", "--user"), ("--cron",), ("--cron", "--user")]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_from_install_to_remove(host: Host, way: tuple[str, ...]) -> None:
    """One command installs all, a second changes nothing, check finds nothing; after remove nothing is left."""
    scope = way[1:]
    assert host.rows("check", *scope, code=ExitCode.FOUND) == {"timers": "not installed"}
    assert "written" in host.rows("install", *way).values()
    before, known = host.files(), [path.stat().st_ino for path in sorted(host.root.rglob("*"))]
    assert before
    assert set(host.rows("install", *way).values()) == {"unchanged"}
    assert (host.files(), [path.stat().st_ino for path in sorted(host.root.rglob("*"))]) == (before, known)
    assert host.rows("check", *scope) == {}
    would = host.rows("remove", *scope, "--dry-run")
    assert set(would.values()) == {"would be removed"}
    assert host.files() == before
    assert host.rows("remove", *scope) == dict.fromkeys(would, "removed")
    assert host.files() == {}
    assert host.rows("check", *scope, code=ExitCode.FOUND) == {"timers": "not installed"}
    assert host.rows("remove", *scope) == {}


def test_timers_are_started_and_stopped(host: Host) -> None:
    """Every timer is enabled and started once its unit is read; only those that rest are, the next time."""
    host.rows("install", "--systemd")
    assert host.machine.timers == {name: ["enabled", "active"] for name in TIMERS}
    reads = host.machine.calls.index("daemon-reload")
    starts = next(n for n, call in enumerate(host.machine.calls) if call.startswith("enable --now"))
    assert reads < starts
    host.machine.set_timer("avatarlab-verify.timer", "enabled", "inactive")
    assert host.rows("install", "--systemd")["avatarlab-verify.timer"] == "started"
    assert host.machine.calls[-1] == "enable --now avatarlab-verify.timer"
    host.rows("remove")
    assert {*map(tuple, host.machine.timers.values())} == {("disabled", "inactive")}
    assert host.machine.calls[-1] == "daemon-reload"


def test_files_are_for_all_to_read(host: Host) -> None:
    """What is written can be read by everybody, whatever the umask is."""
    old = os.umask(0o077)
    try:
        host.rows("install", "--systemd")
    finally:
        os.umask(old)
    assert {path.stat().st_mode & 0o777 for path in (host.root / "units").iterdir()} == {0o644}


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_dry_run_prints_every_file_whole(host: Host, way: tuple[str, ...]) -> None:
    """The texts are those that an installation writes, and nothing is done or asked."""
    told = host.timers("install", *way, "--dry-run")
    assert told.code == 0, told.err
    assert host.files() == {}
    assert host.machine.calls == []
    host.rows("install", *way)
    assert told.out == "\n".join(f"# {path}\n{text}" for path, text in _in_order(host.files(), told.out))


def test_dry_run_to_a_file(host: Host, tmp_path: Path) -> None:
    """The texts go where --out says, as they would to stdout."""
    shown = host.timers("install", "--systemd", "--dry-run").out
    told = host.timers("install", "--systemd", "--dry-run", "--out", str(tmp_path / "units"))
    assert (told.code, told.out) == (0, "")
    assert (tmp_path / "units").read_text() == shown


def _in_order(files: Mapping[str, str], page: str) -> list[tuple[str, str]]:
    return sorted(files.items(), key=lambda item: page.index(f"# {item[0]}\n"))


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_no_secret_is_written(host: Host, way: tuple[str, ...]) -> None:
    """The password this process knows is in no file and no message, and no unit sets a variable."""
    said = [host.timers("install", *way, *more) for more in (("--dry-run",), ())]
    texts = [*host.files().values(), *(told.out + told.err for told in said)]
    assert texts
    assert not any("hunter2" in text or "\nEnvironment=" in text for text in texts)


def test_each_difference_is_found(host: Host) -> None:
    """A unit edited by hand, one missing, one of an older version, and timers that do not run: a row each."""
    host.rows("install", "--systemd")
    place = host.root / "units"
    edited, gone = place / "avatarlab-verify.service", place / "avatarlab-close-month.timer"
    edited.write_text(edited.read_text().replace("TimeoutStartSec=3h", "TimeoutStartSec=1min"))
    gone.unlink()
    old = place / "avatarlab-of-old.timer"
    old.write_text(f"{units.MARK}[Timer]\n")
    host.machine.set_timer("avatarlab-check-limits.timer", "disabled", "active")
    host.machine.set_timer("avatarlab-verify.timer", "enabled", "failed")
    told = host.timers("check", "--json")
    assert told.code == ExitCode.FOUND
    assert {row["what"]: (row["state"], row["more"]) for row in json.loads(told.out)} == {
        str(edited): ("differs", "TimeoutStartSec=3h"),
        str(gone): ("missing", None),
        str(old): ("not scheduled any more", None),
        "avatarlab-check-limits.timer": (
            "not enabled",
            "systemctl enable --now avatarlab-check-limits.timer",
        ),
        "avatarlab-verify.timer": ("not running", "systemctl start avatarlab-verify.timer"),
    }
    done = host.rows("install", "--systemd")
    assert done[str(old)] == "removed"
    assert host.machine.timers[old.name] == ["disabled", "inactive"]
    assert {what for what, state in done.items() if state in ("written", "started")} == {
        *(str(edited), str(gone), "avatarlab-check-limits.timer", "avatarlab-verify.timer"),
    }
    assert host.rows("check") == {}


@pytest.mark.parametrize("scope", [(), ("--user",)], ids=["system", "user"])
def test_changed_lines_of_cron_are_found(host: Host, scope: tuple[str, ...]) -> None:
    """A line that was changed, or added, among ours is a difference; install sets it right."""
    host.rows("install", "--cron", *scope)
    file = Path(cron.SYSTEM) if not scope else host.machine.home / "table"
    for before, after in (("47 * * * *", "48 * * * *"), ("# <<<", "1 2 3 4 5 true\n# <<<")):
        good = file.read_text()
        file.write_text(good.replace(before, after))
        assert set(host.rows("check", *scope, code=ExitCode.FOUND).values()) == {"differs"}
        host.rows("install", "--cron", *scope)
        assert file.read_text() == good


def test_other_lines_of_a_crontab_stay(host: Host) -> None:
    """Lines before and after the block are as they were, after installing, renewing and removing."""
    host.machine.set_table(FOREIGN)
    host.rows("install", "--cron", "--user")
    table = host.machine.table
    assert table is not None
    assert table.startswith(FOREIGN)
    later = "@reboot /usr/local/bin/hello\n"
    host.machine.set_table(table.replace("37 * * * *", "38 * * * *") + later)
    host.rows("install", "--cron", "--user")
    assert host.machine.table == table + later
    # It sets no variables for the crontab: they would hold for the lines after it.
    block = crontab.parted(table)[1]
    assert all(line[0] in "0123456789#" for line in block.splitlines())
    host.rows("remove", "--user")
    assert host.machine.table == FOREIGN + later


def test_the_lines_have_where_to_remember(host: Host) -> None:
    """The system's lines keep what was told in a directory of their user's alone, whatever home that has."""
    host.rows("install", "--cron")
    assert f"\nSTATE_DIRECTORY={cron.STATE}\n" in cron.SYSTEM.read_text()
    assert (cron.STATE.stat().st_mode & 0o777, cron.STATE.owner()) == (0o700, cron.USER)
    cron.STATE.rmdir()
    assert host.rows("check", code=ExitCode.FOUND) == {str(cron.STATE): "missing"}
    host.rows("install", "--cron")
    assert host.rows("check") == {}


def test_a_crontab_without_a_last_newline(host: Host) -> None:
    """The block begins on a line of its own."""
    host.machine.set_table("1 2 3 4 5 true")
    host.rows("install", "--cron", "--user")
    assert (host.machine.table or "").startswith(f"1 2 3 4 5 true\n{crontab.BEGIN}")


def test_units_of_others_stay(host: Host) -> None:
    """A unit that has a name like ours and not our mark is neither touched nor told."""
    foreign = host.root / "units/avatarlab-web.service"
    foreign.write_text("[Service]\nExecStart=/bin/true\n")
    host.rows("install", "--systemd")
    assert host.rows("check") == {}
    host.rows("remove")
    assert host.files() == {str(foreign): "[Service]\nExecStart=/bin/true\n"}


def test_the_options_of_a_run(host: Host, tmp_path: Path) -> None:
    """The profile and the configuration named at the installation are named in every command; check must be told too."""
    options = ("--profile", "production", "--config", str(tmp_path / "avatarlab.yaml"))
    (tmp_path / "avatarlab.yaml").write_text("profiles:\n  production:\n    database_url: postgresql:///x\n")
    assert host.timers("install", "--systemd", before=options).code == 0
    commands = [line for text in host.files().values() for line in text.splitlines() if "ExecStart=" in line]
    assert commands
    assert all(f"/avatarlab {' '.join(options)} " in line for line in commands)
    assert host.timers("check", before=options).code == 0
    assert "differs" in host.rows("check", code=ExitCode.FOUND).values()


def test_what_is_still_needed_is_said(host: Host) -> None:
    """Where the URL goes, who may read it, and that a user's timers end with the session."""
    said = {way: host.timers("install", *way).err + host.timers("remove", *way[1:]).err for way in WAYS}
    assert "/etc/credstore/avatarlab.database_url" in said[WAYS[0]]
    assert "loginctl enable-linger" in said[WAYS[1]]
    assert "/etc/avatarlab/config.yaml" in said[WAYS[2]]
    assert said[WAYS[3]] == ""


@pytest.mark.parametrize("words", [(), ("--systemd", "--cron"), ("--user",)], ids=" ".join)
def test_one_way_is_to_be_chosen(host: Host, words: tuple[str, ...]) -> None:
    """Neither and both are no choice."""
    told = host.timers("install", *words)
    assert (told.code, told.out) == (ExitCode.USAGE, "")
    assert "choose how: --systemd or --cron" in told.err


@pytest.mark.parametrize("way", ["--systemd", "--cron"])
def test_only_root_installs_for_all(host: Host, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root is told so, may look and see what would be done, and can have timers of their own."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = host.timers("install", way)
    assert told.code == ExitCode.NOT_PERMITTED
    assert "sudo" in told.err
    assert "--user" in told.err
    assert host.files() == {}
    assert host.timers("install", way, "--dry-run").code == 0
    assert host.timers("check").code == ExitCode.FOUND
    assert host.timers("install", way, "--user").code == 0


@pytest.mark.parametrize("way", ["--systemd", "--cron"])
def test_only_root_removes_for_all(host: Host, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What root installed stays until root removes it."""
    host.rows("install", way)
    before = host.files()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert host.timers("remove").code == ExitCode.NOT_PERMITTED
    assert host.files() == before


@pytest.mark.parametrize(("first", "second"), [("--systemd", "--cron"), ("--cron", "--systemd")])
def test_never_by_both(host: Host, first: str, second: str) -> None:
    """While one way is installed the other is refused; where both are all the same, check says so and remove removes both."""
    host.rows("install", first)
    before = host.files()
    told = host.timers("install", second)
    assert told.code == ExitCode.REFUSED
    assert "avatarlab job timers remove" in told.err
    assert host.files() == before
    host.rows("remove")
    host.rows("install", second)
    for path, text in before.items():
        Path(path).write_text(text)
    assert host.rows("check", code=ExitCode.FOUND)["timers"] == "installed twice"
    host.rows("remove")
    assert host.files() == {}


def test_without_the_programs(host: Host) -> None:
    """A machine without systemctl or crontab says so, and names the other way."""
    bare = Host(host.machine, host.root, {**host.variables, "PATH": "/nonexistent"})
    for name in ("systemctl", "crontab"):
        (host.machine.home / name).unlink()
    # Both are looked for where the system has its programs, too.
    for way, other in (("--systemd", "give --cron"), ("--cron", "give --systemd")):
        told = bare.timers("install", way, "--user")
        assert told.code == ExitCode.CONFIGURATION, told.err
        assert other in told.err


def test_a_systemd_too_old(host: Host) -> None:
    """An older systemd would look for no credential in its store: it is refused before anything is written."""
    (host.machine.home / "version").write_text("249")
    told = host.timers("install", "--systemd")
    assert told.code == ExitCode.CONFIGURATION
    assert "systemd 249 is here, and 252 is the oldest that will do" in told.err
    assert host.files() == {}


def test_what_systemctl_cannot_do_is_said(host: Host) -> None:
    """Its own words are shown; the next installation goes on."""
    (host.machine.home / "broken").touch()
    told = host.timers("install", "--systemd", "--user")
    assert told.code == ExitCode.FAILED
    assert "Failed to connect to bus: No medium found" in told.err
    (host.machine.home / "broken").unlink()
    assert host.timers("install", "--systemd", "--user").code == 0
    assert host.rows("check", "--user") == {}


@pytest.mark.parametrize("is_masked", [False, True], ids=["foreign", "masked"])
def test_files_of_others_are_not_replaced(host: Host, is_masked: bool) -> None:
    """A unit that somebody else wrote, or an administrator masked, under one of our names is left alone."""
    path = host.root / "units/avatarlab-verify.timer"
    if is_masked:
        path.symlink_to("/dev/null")
    else:
        path.write_text("[Timer]\nOnBootSec=1\n")
    told = host.timers("install", "--systemd")
    assert told.code == ExitCode.REFUSED
    assert f"{path} is not the toolkit's own" in told.err
    assert [each.name for each in (host.root / "units").iterdir()] == [path.name]


def test_a_file_of_others_for_cron_is_not_replaced(host: Host) -> None:
    """A file that somebody else wrote stays, and is not removed either."""
    cron.SYSTEM.write_text("# mine\n")
    assert host.timers("install", "--cron").code == ExitCode.REFUSED
    assert host.rows("remove") == {}
    assert cron.SYSTEM.read_text() == "# mine\n"


@pytest.mark.parametrize(
    "damaged", [crontab.BEGIN, crontab.END, f"{crontab.BEGIN}{crontab.BEGIN}{crontab.END}"]
)
def test_half_a_block(host: Host, damaged: str) -> None:
    """Where it cannot be told which lines are ours, none is touched."""
    host.machine.set_table(f"{FOREIGN}{damaged}{FOREIGN}")
    for verb, way in (("install", ("--cron",)), ("check", ()), ("remove", ())):
        told = host.timers(verb, *way, "--user")
        assert told.code == ExitCode.REFUSED
        assert "crontab -e" in told.err
    assert host.machine.table == f"{FOREIGN}{damaged}{FOREIGN}"


def test_without_a_user_for_the_lines(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs as root because nobody thought of it."""
    monkeypatch.setattr(cron, "USER", "no-such-user")
    told = host.timers("install", "--cron")
    assert told.code == ExitCode.CONFIGURATION
    assert "useradd --system" in told.err
    assert host.files() == {}


@pytest.mark.parametrize("name", ["a b", "a%b", "a'b", "$HOME", 'a"b', "a\nb", "~ada"])
def test_an_option_that_would_need_quoting(host: Host, tmp_path: Path, name: str) -> None:
    """What systemd, cron or the shell would read in another way is refused, not escaped three times over."""
    file = tmp_path / name
    file.write_text(json.dumps({"profiles": {name: {}}}))
    plain = tmp_path / "avatarlab.yaml"
    plain.write_text(file.read_text())
    options = {"--config": ("--config", str(file)), "--profile": ("--config", str(plain), "--profile", name)}
    for option, words in options.items():
        told = host.timers("install", "--systemd", "--dry-run", before=words)
        assert told.code == ExitCode.USAGE
        assert f"a timer cannot name {option}" in told.err


@pytest.mark.parametrize("place", ["/home/ada", "/root", "/tmp"])  # noqa: S108 (nothing is written there)
def test_a_program_the_units_do_not_see(place: str) -> None:
    """Before anything is written, it is said that the program is where units see nothing, and what to do."""
    path = Path(place) / "bin/avatarlab"
    with pytest.raises(ConfigurationError, match="which the units do not see") as refused:
        program.demand_visible(program.Program(path, needs=(path,)))
    assert place in refused.value.message
    assert "--user" in str(refused.value.hint)


def test_a_link_to_where_units_see_nothing(tmp_path: Path) -> None:
    """A link counts as where it leads to: an interpreter under /root is not to be had."""
    link = tmp_path / "python"
    link.symlink_to("/root/.local/bin/python3")
    with pytest.raises(ConfigurationError, match=r"/root/\.local/bin/python3 is under /root"):
        program.demand_visible(program.Program(Path("/opt/avatarlab"), needs=(link.resolve(),)))
    program.demand_visible(program.Program(Path("/opt/avatarlab"), needs=(Path("/opt/avatarlab"),)))


def test_a_program_only_its_owner_reaches(tmp_path: Path) -> None:
    """A directory above the program that is closed to others is named."""
    inner = tmp_path / "closed/inner"
    inner.mkdir(parents=True)
    file = inner / "avatarlab"
    file.touch()
    each = program.Program(file, needs=(file,))
    for closed in (file, inner.parent):
        before = closed.stat().st_mode
        closed.chmod(0o700)
        with pytest.raises(ConfigurationError, match=f"because of {closed}$"):
            program.demand_readable(each)
        closed.chmod(before)
