"""Who is told of a job's run, and a job that does what a test says."""

import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from avatarlab_cli.timeframe import Window
from jobs.result import Result, Task
from tests.listening import Listener

RUN = ("-q", "job", "run", "check-limits")
SECRET = "s3cr3t"  # noqa: S105 (an invented one, to be looked for where it must not be)
NOTHING = Result(Window(date(2026, 3, 1), date(2026, 4, 1)), rows_read=0, rows_written=0)


def standing_in(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Have check-limits, verify and close-month do what `run` of the object returned does; at first nothing."""
    does = SimpleNamespace(run=lambda _, __: NOTHING)

    def run(connection: sa.Connection, task: Task) -> Result:
        done: Result = does.run(connection, task)
        return done

    for name in ("check_limits", "verify", "close_month"):
        monkeypatch.setattr(f"jobs.{name}.run", run)
    return does


def told(monitor: Listener, tmp_path: Path, **more: str) -> dict[str, str]:
    """Return the settings by which everybody is told."""
    return {
        "AVATARLAB_HEARTBEAT_URL": f"{monitor.url}/{SECRET}/{{job}}?create=1",
        "AVATARLAB_WEBHOOK_URL": f"{monitor.url}/services/{SECRET}",
        "AVATARLAB_METRICS_FILE": str(tmp_path / "avatarlab.prom"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
        **more,
    }


def texts(monitor: Listener) -> list[str]:
    """Return what was posted to the webhook, without who posted it."""
    posted = [json.loads(request.body)["text"] for request in monitor.requests if "services" in request.path]
    return [text.partition(": ")[2] for text in posted]
