"""Messages as Slack takes them, each finding once: again when it changed or stayed long, and once when it is over."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from avatarlab_cli.telling.memory import Told
from avatarlab_cli.telling.post import Patience, post

_PATIENCE = Patience(tries=4, each=5, total=20)
# Slack cuts what is longer than 4,000.
_LONGEST = 3_000


@dataclass(frozen=True)
class Matter:
    """Something that is well or is not.

    `key` names it. `finding` says what is wrong with it, None where nothing is; findings of one `mark` are the same, however
    they read. `relief` is what to say when it is well again.
    """

    key: str
    finding: str | None = None
    mark: str = ""
    relief: str = ""


@dataclass(frozen=True)
class Webhook:
    """Where to post, `sender` being how each message begins; `now` and systemd's `invocation` are remembered with it."""

    url: str
    sender: str
    now: datetime
    remind_after: timedelta
    invocation: str | None = None

    def tell(self, matters: Iterable[Matter], told: dict[str, Told]) -> list[str]:
        """Post what of the matters is news, and put it down in `told`; returns why some of it could not be posted.

        Once a message has used up all patience no other is tried: they are news next time.
        """
        failures: list[str] = []
        until = time.monotonic() + _PATIENCE.total
        for matter in matters:
            text, before = matter.finding, told.get(matter.key)
            if text is None and before is None:
                continue
            if before is None or not self._is_known(matter, before):
                if failures and time.monotonic() >= until:
                    break
                failure = self.post(matter.relief if text is None else text)
                if failure is not None:
                    failures.append(failure)
                    continue
                before = Told(matter.mark, self.now)
            if text is None:
                del told[matter.key]
            else:
                told[matter.key] = replace(before, invocation=self.invocation)
        return failures

    def _is_known(self, matter: Matter, before: Told) -> bool:
        # A clock that was set back makes nothing known for longer.
        is_recent = timedelta(0) <= self.now - before.at < self.remind_after
        return matter.finding is not None and matter.mark == before.mark and is_recent

    def post(self, text: str) -> str | None:
        """Post a text, and return why it was not taken, None where it was."""
        body = json.dumps({"text": _escaped(f"{self.sender}: {text}")})
        return post(self.url, body.encode(), "application/json", _PATIENCE)


def _escaped(text: str) -> str:
    """Return a text in which nothing is a link or a mention to Slack, as long as it may be."""
    cut = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
