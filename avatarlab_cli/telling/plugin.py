"""One line as monitoring plugins answer: a word, what is the matter, and figures to draw."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from avatarlab_cli.queries.job_states import State
from avatarlab_cli.settings import masked


class Code(IntEnum):
    """The exit codes of monitoring plugins, which are not the toolkit's own."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_CODES = {"ok": Code.OK, "failed": Code.WARNING, "late": Code.CRITICAL, "never": Code.CRITICAL}


@dataclass(frozen=True)
class Verdict:
    """How it stands, and the line that says so."""

    code: Code
    line: str


def verdict(states: Sequence[State], now: datetime, max_age: timedelta, written: str) -> Verdict:
    """Judge the jobs by their last success, which may be `max_age` old; `written` is how the user put that."""
    judged = [(_CODES[state.judged(now, max_age)], state) for state in states]
    worst = max((code for code, _ in judged), default=Code.OK)
    bad = sorted((pair for pair in judged if pair[0] > Code.OK), key=lambda pair: -pair[0])
    told = "; ".join(_sentence(state, now) for _, state in bad)
    figures = " ".join(filter(None, (_figures(state, now, max_age) for state in states)))
    return _verdict(worst, told or f"{_jobs(len(states))} succeeded within {written}", figures)


def unknown(why: str) -> Verdict:
    """Return the verdict where nothing can be judged."""
    return _verdict(Code.UNKNOWN, masked(why))


def _verdict(code: Code, text: str, figures: str = "") -> Verdict:
    # What follows a bar is figures, and a second line is for another kind of reader.
    line = re.sub(r"\s+", " ", f"{code.name} - {text}".replace("|", "/")).strip()
    return Verdict(code, f"{line} | {figures}" if figures else line)


def _sentence(state: State, now: datetime) -> str:
    if state.succeeded_at is None:
        return f"{state.job} never succeeded"
    since = f"succeeded {state.age_hours(now)} h ago"
    return f"{state.job} last {since}" + (
        "" if state.status == "succeeded" else f", its last run {state.status}"
    )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _figures(state: State, now: datetime, max_age: timedelta) -> str:
    """Return the age of a job's success and how long its last run took, in seconds; the first with its bound."""
    age = state.age(now)
    figures = (
        []
        if age is None
        else [f"{state.job}_age={age.total_seconds():.0f}s;;{max_age.total_seconds():.0f};0"]
    )
    if state.seconds is not None:
        figures.append(f"{state.job}_seconds={state.seconds}s;;;0")
    return " ".join(figures)
