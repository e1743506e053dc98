"""A POST: what it takes for an answer, when it tries again, when it gives up, and what it never says."""

import json
from collections.abc import Iterator

import pytest

from avatarlab_cli import __version__
from avatarlab_cli.telling import post as module
from avatarlab_cli.telling.post import Patience, post
from tests.listening import Answer, Listener, byte_by_byte, closing, listening, refusing, slowly, status

SECRET = "/services/T0/s3cr3t"  # noqa: S105 (an invented one, to be looked for where it must not be)
# A busy machine may take a while to send something at all; what is to give up waits longer for an answer than that.
PATIENT, HASTY = Patience(tries=3, each=10, total=30), Patience(tries=2, each=2, total=30)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait but a moment between two tries, and through no proxy of the machine's."""
    monkeypatch.setattr(module, "_FIRST_WAIT_SECONDS", 0.005)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def sent(url: str, patience: Patience = PATIENT) -> str | None:
    return post(f"{url}{SECRET}", json.dumps({"text": "grüße"}).encode(), "application/json", patience)


def test_what_is_sent() -> None:
    """The body arrives as it is, with its type and who sends it."""
    with listening() as listener:
        assert sent(listener.url) is None
    (request,) = listener.requests
    assert (request.path, json.loads(request.body)) == (SECRET, {"text": "grüße"})
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"] == f"avatarlab/{__version__}"


@pytest.mark.parametrize(
    ("answers", "why", "tries"),
    [
        ([status(204)], None, 1),
        ([status(500), status(503), status(200)], None, 3),
        ([status(500)] * 3, "the answer was HTTP 500", 3),
        ([status(404)], "the answer was HTTP 404", 1),
        ([status(302, Location="/elsewhere")], "the answer was HTTP 302", 1),
        ([status(308, Location="http://example.com/elsewhere")], "the answer was HTTP 308", 1),
        ([status(429, Retry_After="0"), status(200)], None, 2),
        ([status(429, Retry_After="600"), status(200)], "the answer was HTTP 429", 1),
        ([status(429, Retry_After="soon"), status(200)], None, 2),
        ([closing, status(200)], None, 2),
        ([closing] * 3, "the connection was closed before an answer", 3),
        ([slowly(0.1)], None, 1),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_answers(answers: list[Answer], why: str | None, tries: int) -> None:
    """What may go better is tried again, what will not is not; nobody is sent elsewhere."""
    with listening() as listener:
        listener.answers = list(answers)
        assert sent(listener.url) == why
        assert listener.paths == [SECRET] * tries


@pytest.mark.parametrize("answer", [slowly(5), byte_by_byte])
def test_it_gives_up_in_time(answer: Answer) -> None:
    """Neither silence nor an answer without end is waited for: what would be well in the end is tried again, and given up."""
    with listening() as listener:
        listener.ever = answer
        assert sent(listener.url, HASTY) == "no answer came in time"
        assert listener.paths == [SECRET] * 2


def test_nobody_there() -> None:
    """A port at which nobody listens is no connection, and a name that nobody has is not known."""
    with refusing() as url:
        assert sent(url) == "no connection was to be had"
    # Some resolvers take their time to say so.
    assert sent("http://nowhere.invalid", HASTY) in {"the host's name is not known", "no answer came in time"}


@pytest.mark.parametrize(
    "url", ["", "hooks.example.com", "ftp://example.com", "http://", "http://[::1", "http://a:b"]
)
def test_no_url(url: str) -> None:
    """What is no address of a web server is said to be none, whatever it is."""
    assert sent(url) == "the URL cannot be read"


def test_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy that the environment names is used, except for hosts it leaves out."""
    with listening() as proxy, listening() as target:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "elsewhere")
        assert sent("http://hooks.example.com") is None
        assert proxy.paths == [f"http://hooks.example.com{SECRET}"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert sent(target.url) is None
        assert target.paths == [SECRET]


def test_a_server_nobody_vouches_for(listener: Listener) -> None:
    """TLS that is none is said to have failed, not the connection."""
    assert (
        sent(listener.url.replace("http:", "https:")) == "TLS failed: is the server's certificate known here?"
    )


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server that speaks no TLS."""
    with listening() as found:
        yield found
