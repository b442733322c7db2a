"""Web servers of tests, on loopback, in a thread: the one that serves, each test's own that answers."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class HttpServer(ThreadingHTTPServer):
    """What hangs waits for `released`, which comes when the test is over."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.released = threading.Event()

    def handle_error(self, *_: object) -> None:
        """A client that hangs up, or refuses a certificate, is part of the test."""


class Handler(BaseHTTPRequestHandler):
    """Answers a question, however it is put, and does not tell the terminal of it."""

    def answer(self) -> None:
        """The test's own."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """As the standard library calls it."""
        self.answer()

    def do_POST(self) -> None:
        """The same."""
        self.answer()

    def log_message(self, *_: object) -> None:
        """Quiet."""


Server = TypeVar("Server", bound=HttpServer)


@contextlib.contextmanager
def serving(server: Server, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serves during the block, over TLS with a `context`."""
    with server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()
