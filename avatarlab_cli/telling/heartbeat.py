"""Pings as healthchecks.io knows them: a run began, and how it ended, with the end of its log."""

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import UUID

from avatarlab_cli.errors import ExitCode
from avatarlab_cli.telling.post import Patience, post

# A run waits for this before it begins.
_AT_START = Patience(tries=1, each=5, total=5)
_AT_END = Patience(tries=3, each=5, total=20)
_LONGEST = 10_000


@dataclass(frozen=True)
class Heartbeat:
    """The pings of one run; in its URL `{job}` stands for the job's name. Each returns why it failed, None where not."""

    url: str
    job: str
    run_id: UUID

    def began(self) -> str | None:
        """Say that the run begins."""
        return post(self._url("/start"), b"", "text/plain", _AT_START)

    def ended(self, code: ExitCode, log: str) -> str | None:
        """Say with which exit code the run ended, and send the last 10 kB of its log.

        A run that gave way to another is but noted: whether its work is done in time, the monitor sees by itself.
        """
        ending = {ExitCode.OK: "", ExitCode.BUSY: "/log"}.get(code, f"/{code:d}")
        # Not from the middle of a character.
        body = log.encode()[-_LONGEST:].decode(errors="ignore").encode()
        return post(self._url(ending), body, "text/plain; charset=utf-8", _AT_END)

    def _url(self, ending: str) -> str:
        """Return the URL of a ping; what is asked of the URL itself stays after it."""
        parts = urlsplit(self.url.replace("{job}", self.job))
        query = "&".join(filter(None, (parts.query, urlencode({"rid": self.run_id}))))
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + ending, query, ""))
