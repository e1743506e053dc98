"""A run that somebody hears of: in which order who is told, and that none of it reaches the run itself."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from avatarlab_cli.context import Context
from avatarlab_cli.errors import AvatarLabError, ExitCode, exit_code_of
from avatarlab_cli.logs import Log, logger
from avatarlab_cli.settings import masked
from avatarlab_cli.telling import textfile
from avatarlab_cli.telling.heartbeat import Heartbeat
from avatarlab_cli.telling.news import mark_of, tell, webhook_of
from avatarlab_cli.telling.notify import notify
from avatarlab_cli.telling.webhook import Matter

if TYPE_CHECKING:
    from avatarlab_cli.queries.job_success import Doing

# Ends that are neither good nor bad: another run does the work, or who mistyped or interrupted it knows.
_NO_NEWS = frozenset({ExitCode.USAGE, ExitCode.BUSY, ExitCode.INTERRUPTED})
_WELL = frozenset({ExitCode.OK, ExitCode.FOUND})
# Of a message so much tells it from another.
_ALIKE = 500


@dataclass
class Outcome:
    """How a run ended: as the caller has said, whatever comes after, else as what it raises says.

    What it found is asked for only where somebody is told. `progress` is told of transactions and rows written so far.
    A run that had nothing to do, as another one had done it, is no sign that it could.
    """

    code: ExitCode | None = None
    findings: Callable[[], Iterable[Matter]] = tuple
    error: BaseException | None = None
    is_idle: bool = False
    progress: Callable[[int, int], None] | None = None


@contextmanager
def attended(invocation: Context, job: str, run_id: UUID, jobs: "Doing") -> Iterator[Outcome]:
    """Tell whom the settings name of a job's run: that it begins; then metrics of all `jobs`, how it ended, what is wrong."""
    notify(invocation.variables, READY="1", STATUS=f"{job}: run {run_id}")
    log = logger(invocation).bind(job=job, run=str(run_id))

    def progress(transactions: int, rows: int) -> None:
        notify(
            invocation.variables, STATUS=f"{job}: transaction {transactions} done, {rows} rows written so far"
        )

    outcome = Outcome(progress=progress)
    try:
        with _noted(outcome):
            # Who is told to end while the monitor does not answer ends here, and is told of like any other.
            _quietly(log, "heartbeat", lambda: _ping(invocation, job, run_id, None))
            yield outcome
    finally:
        notify(invocation.variables, STOPPING="1", STATUS=f"{job}: telling how it ended")
        _to_the_end(log, "metrics", lambda: textfile.write(invocation, jobs))
        _to_the_end(log, "heartbeat", lambda: _ping(invocation, job, run_id, outcome))
        _to_the_end(log, "webhook", lambda: _post(invocation, log, job, outcome))


@contextmanager
def watched(invocation: Context, check: str) -> Iterator[Outcome]:
    """Tell the webhook what a check found, or that it could not be made."""
    outcome, log = Outcome(), logger(invocation).bind(check=check)

    def tell_of_it() -> str | None:
        if webhook_of(invocation) is None:
            invocation.environment.say("nobody is told: no webhook_url is set")
        return _post(invocation, log, check, outcome)

    try:
        with _noted(outcome):
            yield outcome
    finally:
        _to_the_end(log, "webhook", tell_of_it)


@contextmanager
def _noted(outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if outcome.code is None:
            outcome.code, outcome.error = exit_code_of(error), error
        raise
    if outcome.code is None:
        outcome.code = ExitCode.OK


def _to_the_end(log: Log, whom: str, telling: Callable[[], str | None]) -> None:
    """Tell somebody after the run: an interrupt ends the telling, the run has ended before."""
    try:
        _quietly(log, whom, telling)
    except KeyboardInterrupt:
        log.warning("not told", whom=whom, why="interrupted")


def _quietly(log: Log, whom: str, telling: Callable[[], str | None]) -> None:
    try:
        failure = telling()
    except AvatarLabError as error:
        failure = error.message
    except Exception as error:  # noqa: BLE001 (whatever it is, the run goes on)
        failure = type(error).__name__
    if failure is not None:
        log.warning("not told", whom=whom, why=masked(failure))


def _ping(invocation: Context, job: str, run_id: UUID, outcome: Outcome | None) -> str | None:
    url = invocation.settings.secret("heartbeat_url")
    if url is None:
        return None
    heartbeat = Heartbeat(url.text, job, run_id)
    if outcome is None:
        return heartbeat.began()
    lines = [*invocation.log, *([] if outcome.error is None else _described(outcome.error))]
    return heartbeat.ended(ExitCode(outcome.code or 0), masked("\n".join(lines)))


def _post(invocation: Context, log: Log, name: str, outcome: Outcome) -> str | None:
    """Tell the webhook how it went, where there is one and that is news."""
    code = ExitCode(outcome.code or 0)
    if code in _NO_NEWS or webhook_of(invocation) is None:
        return None
    if outcome.is_idle:
        return None
    if outcome.error is None or code in _WELL:
        return tell(invocation, log, Matter(name, relief=f"{name} runs again"), *outcome.findings())
    what, *more = _described(outcome.error)
    text = "\n".join((f"{name} failed with exit code {code:d}: {what}", *more))
    # Other numbers, ids and times in a message make no other failure of it.
    alike = re.sub(r"[0-9a-f-]*\d[0-9a-f-]*", "#", what[:_ALIKE])
    mark = f"{code:d} {mark_of(type(outcome.error).__name__, alike)}"
    return tell(invocation, log, Matter(name, masked(text), mark))


def _described(error: BaseException) -> list[str]:
    """Return in lines what happened and what to do."""
    if isinstance(error, AvatarLabError):
        return [error.message, *([error.hint] if error.hint else [])]
    if isinstance(error, KeyboardInterrupt):
        return [exit_code_of(error).name.lower()]
    return [f"{type(error).__name__}: {error}"]
