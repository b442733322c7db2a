"""A program that calls the API: a token of a member, and JSON both ways."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from app import clock
from app.access import api_tokens
from app.services import Services

ALL = ("read", "report", "send", "data")


class Got(NamedTuple):
    """An answer; `json` is None where it is none."""

    status_code: int
    headers: Headers
    text: str
    json: Any
    content_type: str | None


def got(answer: TestResponse) -> Got:
    """The answer of a test client."""
    as_json = answer.get_json(force=True, silent=True)
    return Got(answer.status_code, answer.headers, answer.text, as_json, answer.content_type)


@dataclass
class Program:
    """Calls with this key."""

    app: Flask
    key: str
    headers: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> "Got":
        """`path` behind /api/v1; `body`: what is sent as JSON, or bytes as they are."""
        sent = {"Authorization": f"Bearer {self.key}"} | self.headers
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        more: dict[str, Any] = {}
        if body is not None:
            more["data"] = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        address = f"/api/v1{path}"
        return got(self.app.test_client().open(address, method=method, headers=sent, **more))

    def get(self, path: str, **headers: str) -> Any:
        """The JSON of a good answer."""
        answer = self.call("GET", path, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json

    def post(self, path: str, body: Any = None, **headers: str) -> "Got":
        """The answer."""
        return self.call("POST", path, body, **headers)


def program(
    app: Flask, services: Services, email: str, *scopes: str, test: bool = False
) -> Program:
    """A program with a new token of this member; without scopes it has all."""
    now = clock.now()
    name = f"T{len(api_tokens.listing(services, now))}"
    key = api_tokens.create(services, email, name, scopes or ALL, who=email, now=now, test=test)
    return Program(app, key)


def problem(answer: Got, status: int, code: str) -> dict[str, Any]:
    """The problem document, which is this one."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.content_type == "application/problem+json"
    found: dict[str, Any] = answer.json
    assert (found["code"], found["status"]) == (code, status), found
    assert found["title"].isascii()
    assert found["detail"]
    return found
