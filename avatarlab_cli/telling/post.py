"""One POST that gives up in time, and says why without the URL: its path is a secret."""

import threading
import time
import urllib.request
from dataclasses import dataclass
from random import uniform
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from avatarlab_cli import __version__

if TYPE_CHECKING:
    import urllib3

_TOO_MANY, _SERVER_ERRORS = 429, 500
_FIRST_WAIT_SECONDS = 0.5
_LATE = "no answer came in time"


@dataclass(frozen=True)
class Patience:
    """How often a POST is tried, how long one try may take, and how long all of it, in seconds."""

    tries: int
    each: float
    total: float


@dataclass(frozen=True)
class _Answer:
    """What became of a try: None where it was taken. `wait` is how long until another, in seconds; None for never."""

    failure: str | None
    wait: float | None = None


def post(url: str, body: bytes, content_type: str, patience: Patience) -> str | None:
    """Post the body, and return None where it was taken, else why not. Redirections are not followed.

    Tried again is what may go better: no connection, no answer, too many requests, an error of the server.
    """
    until = time.monotonic() + patience.total
    for number in range(1, patience.tries + 1):
        answer = _bounded(url, body, content_type, min(patience.each, until - time.monotonic()))
        if answer.failure is None or answer.wait is None or number == patience.tries:
            break
        wait = max(answer.wait, uniform(0, _FIRST_WAIT_SECONDS * 2**number))  # noqa: S311 (a jitter, not a secret)
        if time.monotonic() + wait >= until:
            break
        time.sleep(wait)
    return answer.failure


def _bounded(url: str, body: bytes, content_type: str, seconds: float) -> _Answer:
    """Try once; neither a name that is not resolved nor an answer that comes byte by byte takes longer than this."""
    answers: list[_Answer] = []
    sending = threading.Thread(
        target=lambda: answers.append(_try(url, body, content_type, seconds)), daemon=True
    )
    sending.start()
    sending.join(seconds)
    return answers[0] if answers else _Answer(_LATE, 0)


def _try(url: str, body: bytes, content_type: str, seconds: float) -> _Answer:
    headers = {"Content-Type": content_type, "User-Agent": f"avatarlab/{__version__}"}
    try:
        with _manager(url) as manager:
            response = manager.request(
                "POST", url, body=body, headers=headers, timeout=seconds, retries=False, preload_content=False
            )
            return _judged(response)
    except ValueError:
        return _Answer("the URL cannot be read")
    except Exception as error:  # noqa: BLE001 (the traceback of a thread would show the URL)
        return _Answer(_why(error), 0)


def _manager(url: str) -> "urllib3.PoolManager":
    """Return what connects, through the proxy that the environment names for the URL, if it does."""
    import urllib3

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(parts.scheme)
    proxy = urllib.request.getproxies_environment().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass_environment(parts.netloc):  # type: ignore[attr-defined]
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()


def _judged(response: "urllib3.BaseHTTPResponse") -> _Answer:
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 (the codes of success)
        return _Answer(None)
    if status != _TOO_MANY and status < _SERVER_ERRORS:
        return _Answer(f"the answer was HTTP {status}")
    try:
        wait = Retry().get_retry_after(response) or 0
    except InvalidHeader:
        wait = 0
    return _Answer(f"the answer was HTTP {status}", max(0, wait))


def _why(error: Exception) -> str:
    """Say why nothing was taken. The library's own words may hold the URL."""
    from urllib3 import exceptions

    meanings = (
        (exceptions.NameResolutionError, "the host's name is not known"),
        (exceptions.NewConnectionError, "no connection was to be had"),
        (exceptions.TimeoutError, _LATE),
        (exceptions.SSLError, "TLS failed: is the server's certificate known here?"),
        (exceptions.ProxyError, "the proxy was not to be had"),
        (exceptions.ProtocolError, "the connection was closed before an answer"),
    )
    return next((meaning for kind, meaning in meanings if isinstance(error, kind)), type(error).__name__)
