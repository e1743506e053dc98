"""Metrics for Prometheus, in a file that its node exporter reads. What is not known is left out, never 0."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from avatarlab_cli import __version__
from avatarlab_cli.context import Context

if TYPE_CHECKING:
    from datetime import datetime

    from prometheus_client import Metric

    from avatarlab_cli.queries.job_metrics import Figures
    from avatarlab_cli.queries.job_states import State
    from avatarlab_cli.queries.job_success import Doing

_Value = float | None
OF_JOBS: dict[str, tuple[str, "Callable[[State], _Value]"]] = {
    "last_success_timestamp_seconds": (
        "When a run over all that was outstanding last succeeded.",
        lambda job: _seconds(job.succeeded_at),
    ),
    "last_run_timestamp_seconds": ("When the last run ended.", lambda job: _seconds(job.ended_at)),
    "last_run_succeeded": (
        "Whether the last run succeeded.",
        lambda job: None if job.status is None else job.status == "succeeded",
    ),
    "last_run_duration_seconds": ("How long the last run took.", lambda job: _number(job.seconds)),
    "last_run_rows_read": ("User-days the last run counted.", lambda job: job.rows_read),
    "last_run_rows_written": ("Rows the last run wrote.", lambda job: job.rows_written),
    "runs_failed": ("Runs that failed in the last seven days.", lambda job: job.failures),
}
"""Of each job, as avatarlab_job_NAME{job}."""
OF_ALL: dict[str, tuple[str, "Callable[[Figures], _Value]"]] = {
    "open_months": ("Months whose figures are not final.", lambda all_: all_.open_months),
    "dirty_keys": (
        "Entries of the queue of changes; of one day there may be several.",
        lambda all_: all_.dirty_keys,
    ),
    "dirty_oldest_timestamp_seconds": (
        "Since when the first of these waits.",
        lambda all_: _seconds(all_.dirty_since),
    ),
    "verify_mismatches": (
        "Figures that verify found wrong, in each month when it last looked there.",
        lambda all_: all_.mismatches,
    ),
}
"""Of all jobs together, as avatarlab_NAME."""
NAMES = (
    *(f"avatarlab_job_{name}" for name in OF_JOBS),
    *(f"avatarlab_{name}" for name in OF_ALL),
    "avatarlab_info",
)


def text(invocation: Context, jobs: "Doing") -> str:
    """Return the metrics of these jobs, by the database; raises an AvatarLabError."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    from avatarlab_cli.queries.job_metrics import figures

    with invocation.database.read() as connection:
        found = figures(connection, jobs, invocation.clock())

    class Found(Collector):
        def collect(self) -> "Iterator[Metric]":
            yield from _metrics(found)

    registry = CollectorRegistry()
    registry.register(Found())
    return generate_latest(registry).decode()


def write(invocation: Context, jobs: "Doing") -> None:
    """Write the metrics to the file that the settings name, whole or not at all; raises an AvatarLabError."""
    from avatarlab_cli.output.sink import public_file

    name = invocation.settings.get("metrics_file")
    if name is not None:
        found = text(invocation, jobs)
        with public_file(Path(name)) as sink:
            sink.write(found)


def _metrics(found: "Figures") -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily

    for name, (help_, of_job) in OF_JOBS.items():
        metric = GaugeMetricFamily(f"avatarlab_job_{name}", help_, labels=["job"])
        for state in found.states:
            _add(metric.add_metric, [state.job], of_job(state))
        yield metric
    for name, (help_, of_all) in OF_ALL.items():
        metric = GaugeMetricFamily(f"avatarlab_{name}", help_, labels=[])
        _add(metric.add_metric, [], of_all(found))
        yield metric
    info = GaugeMetricFamily(
        "avatarlab_info", "The toolkit, and the database's schema.", labels=["version", "schema"]
    )
    info.add_metric([__version__, found.schema or ""], 1)
    yield info


def _add(add: Callable[[list[str], float], None], labels: list[str], value: _Value) -> None:
    if value is not None:
        add(labels, float(value))


def _seconds(moment: "datetime | None") -> _Value:
    return None if moment is None else moment.timestamp()


def _number(value: object) -> _Value:
    return None if value is None else float(str(value))
