"""A scripted OpenAI-compatible server on loopback: real HTTP, each answer as the test wants it."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.http_server import Handler, HttpServer, serving

KEY = "sk-a-made-up-key-for-tests-0123456789"

Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


class AiServer(HttpServer):
    """Answers with `script`, one entry a question, the last one for all further ones."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.script: list[Answer] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []

    @property
    def url(self) -> str:
        """What AI_BASE_URL says."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def data(self, number: int = -1) -> list[dict[str, Any]]:
        """The reports that the question held."""
        found: list[dict[str, Any]] = json.loads(self.asked[number]["messages"][-1]["content"])[
            "reports"
        ]
        return found


class _Handler(Handler):
    server: AiServer
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = len(self.server.asked)
        self.server.asked.append(body)
        self.server.keys.append(self.headers["Authorization"])
        self.server.script[min(number, len(self.server.script) - 1)](self, body)


@contextlib.contextmanager
def running() -> Iterator[AiServer]:
    """A server for the block."""
    with serving(AiServer()) as server:
        yield server


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def completion(text: str) -> bytes:
    """A chat completion as servers send it."""
    return json.dumps(
        {
            "id": "c-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                }
            ],
            "usage": {"prompt_tokens": 300, "completion_tokens": 50, "total_tokens": 350},
        }
    ).encode()


def says(text: str) -> Answer:
    """This text, whatever was asked."""
    return lambda handler, _: _send(handler, 200, completion(text))


def recap(write: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Answer:
    """The lines that `write` makes of the reports it was given."""

    def answer(handler: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        reports = json.loads(asked["messages"][-1]["content"])["reports"]
        text = json.dumps({"lines": write(reports)}, ensure_ascii=False)
        _send(handler, 200, completion(text))

    return answer


def status(code: int, **headers: str) -> Answer:
    """Refuses with this status."""
    return lambda handler, _: _send(handler, code, b'{"error":{"message":"no"}}', **headers)


def raw(body: bytes) -> Answer:
    """200 and these bytes."""
    return lambda handler, _: _send(handler, 200, body)


def hangs(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
    """Never answers."""
    handler.server.released.wait(30)  # type: ignore[attr-defined]  # it is an AiServer


def drips(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
    """A byte now and then, for ever: no single wait is long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "60000")
    handler.end_headers()
    while not handler.server.released.is_set():  # type: ignore[attr-defined]  # it is an AiServer
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.02)


def cut(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
    """Half an answer, then nothing."""
    body = completion('{"lines": []}')
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True
