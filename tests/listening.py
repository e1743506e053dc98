"""A web server on loopback that remembers what it is sent, and answers as badly as a test wants."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Request:
    """What was sent."""

    path: str
    body: str
    headers: dict[str, str]


@dataclass
class Listener:
    """The server: its requests in their order, and what it answers to the next ones; then 200."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    ever: Answer | None = None
    meanwhile: Callable[[Request], None] = lambda _: None

    @property
    def paths(self) -> list[str]:
        """The paths, without what is asked of them."""
        return [request.path.split("?")[0] for request in self.requests]

    def take(self, request: Request) -> Answer:
        """Remember a request, and return how to answer it."""
        self.requests.append(request)
        self.meanwhile(request)
        if self.ever is not None:
            return self.ever
        return self.answers.pop(0) if self.answers else status(200)


def status(code: int, **headers: str) -> Answer:
    """Answer with a code; a header's _ is a -."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def slowly(seconds: float) -> Answer:
    """Answer well, but late."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        status(200)(handler)

    return answer


def byte_by_byte(handler: BaseHTTPRequestHandler) -> None:
    """Answer well, with a moment between any two bytes: never silent, and never done."""
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40 + b"\r\nContent-Length: 0\r\n\r\n":
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def closing(handler: BaseHTTPRequestHandler) -> None:
    """Begin an answer, and hang up in its middle."""
    handler.wfile.write(b"HTTP/1.")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def listening() -> Iterator[Listener]:
    """Run a server for the time of the block."""
    listener = Listener()
    server = _Server(("127.0.0.1", 0), _handler(listener))
    listener.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def refusing() -> Iterator[str]:
    """Yield the URL of a port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class _Server(ThreadingHTTPServer):
    # A client that has gone away is what is tried.
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def _handler(listener: Listener) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            answer = listener.take(Request(self.path, body, dict(self.headers)))
            self.close_connection = True
            with suppress(OSError):
                answer(self)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
