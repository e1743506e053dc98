"""What the wheel in dist holds, and that it works where nothing else of this project is.

Run by `make wheel-check`; its name keeps it out of `make test`, which needs no wheel.
"""

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from avatarlab_cli import __version__
from avatarlab_cli.errors import ExitCode

ROOT = Path(__file__).parents[2]
PACKAGES = {"avatarlab_cli", "commands", "jobs", "config"}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The one wheel that `make build` made."""
    (path,) = (ROOT / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="session")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program of a fresh environment with the wheel in it, in an empty directory."""
    home = tmp_path_factory.mktemp("elsewhere")
    binaries = tmp_path_factory.mktemp("environment") / "venv" / "bin"
    venv.create(binaries.parent, with_pip=True)

    def program(*command: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        environment = {
            **kept,
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_DATA_HOME": str(home),
            "PIP_CACHE_DIR": pip_cache(),
        }
        return subprocess.run(
            [binaries / command[0], *command[1:]],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    installed = program("pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
    assert installed.returncode == 0, installed.stderr
    return program


def pip_cache() -> str:
    command = [sys.executable, "-m", "pip", "cache", "dir"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def files_of(*patterns: str) -> set[str]:
    found = (path for pattern in patterns for path in ROOT.glob(pattern))
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def test_wheel_holds_the_four_packages_alone(wheel: Path) -> None:
    """No tests, no documents, no stray file stands beside the packages."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Migrations and configuration, which nothing imports, are in it as well."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = files_of(*(f"{package}/**/*.py" for package in PACKAGES), "config/*.yaml", "**/py.typed")
    assert {name for name in expected if name.partition("/")[0] in PACKAGES} <= names
    assert files_of("avatarlab_cli/migrations/versions/*.py") <= names
    assert files_of("config/*.yaml") <= names


def test_version(run: Run) -> None:
    """The installed program knows its version."""
    assert run("avatarlab", "--version").stdout == f"avatarlab {__version__}\n"


@pytest.mark.parametrize(
    "command", [[], ["usage"], ["stats"], ["job"], ["db"], ["demo"], ["config"], ["cost"]]
)
def test_help(run: Run, command: list[str]) -> None:
    """Every noun's module can be imported."""
    done = run("avatarlab", *command, "--help")
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    assert done.stdout.startswith(f"Usage: {' '.join(['avatarlab', *command])} ")


def test_packaged_settings_are_found(run: Run) -> None:
    """The defaults come from config/settings.yaml inside the wheel."""
    settings = json.loads(run("avatarlab", "config", "show", "--json").stdout)
    assert {row["setting"]: row["origin"] for row in settings}["statement_timeout"] == "default"


def test_packaged_rates_are_found(run: Run) -> None:
    """The rate card comes from config/rates.yaml inside the wheel."""
    done = run("python", "-c", "from avatarlab_cli.rollup import rates; print(len(rates.load().rates))")
    assert int(done.stdout) > 0


def test_packaged_budgets_are_found(run: Run) -> None:
    """The budgets, none, come from config/budgets.yaml inside the wheel."""
    done = run("python", "-c", "from avatarlab_cli import budget_file; print(budget_file.load().currency)")
    assert done.stdout == "USD\n"


def test_packaged_migrations_are_found(run: Run) -> None:
    """The script for Supabase holds every migration and the tiers of config/tiers.yaml."""
    script = run("avatarlab", "db", "migrate", "--sql").stdout
    for path in (ROOT / "avatarlab_cli/migrations/versions").glob("[0-9]*.py"):
        assert f"-- {path.name[:4]}: " in script
    assert "enterprise" in script


@pytest.mark.parametrize("way", ["--systemd", "--cron"])
def test_packaged_timers_are_found(run: Run, way: str) -> None:
    """Units and crontab come from config/systemd and config/cron inside the wheel, and name the program installed."""
    done = run("avatarlab", "job", "timers", "install", way, "--dry-run")
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    assert "/venv/bin/avatarlab job run verify --scheduled" in done.stdout.replace(" --quiet", "")


def test_job_can_be_run_as_a_module(run: Run) -> None:
    """`python -m jobs.<job>` is the command of the same name."""
    done = run("python", "-m", "jobs.monthly_usage", "--help")
    assert done.stdout.startswith("Usage: avatarlab job run ")


def test_missing_extra_is_explained(run: Run) -> None:
    """Without the extra `embedded` the demo says what to install."""
    done = run("avatarlab", "demo", "load", "--users", "1")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "avatarlab-admin[embedded]" in done.stderr
