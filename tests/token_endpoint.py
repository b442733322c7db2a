"""A token endpoint on loopback that checks what it is shown, or fails as it is told."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import jwt

from tests.http_server import Handler, HttpServer

CLIENT, SECRET = "11111111-2222-3333-4444-555555555555", "hush~Secret.of.the.app_0123456789"
NO_CLIENT = {
    "error": "invalid_client",
    "error_description": "AADSTS7000215: Invalid client secret.",
}


class TokenEndpoint(HttpServer):
    """Issues tokens that begin with `begins`; `issued` is the set of those a mail server may take.

    does: answers, hangs, 500, 429, no json, no token, long. `check`: what a client must show;
    None lets it in, a mapping is the error.
    """

    def __init__(self, check: Callable[[Mapping[str, str]], Mapping[str, str] | None]) -> None:
        super().__init__(_Handler)
        self.check = check
        self.does = "answers"
        self.life: Any = 3600
        self.begins = "eyJ0b2tlbg.himitsu"
        self.issued: set[str] = set()
        self.asked = 0
        self.takes = 0.0  # seconds
        self.date: str | None = None  # in place of the hour
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/tenant/oauth2/v2.0/token"

    def token(self, number: int) -> str:
        """The one that is issued after so many."""
        return f"{self.begins}.{number}.{'x' * 80}"

    def issue(self) -> str:
        with self._lock:
            token = self.token(len(self.issued))
            self.issued.add(token)
        return token

    def answer_to(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        """The status and the body."""
        refused = self.check(form)
        if self.does == "no json":
            return 200, b"<html>Log in to this network</html>"
        if self.does == "no token":
            two_lines = "of \r\nMAIL FROM:<x>"
            return 200, json.dumps({"access_token": two_lines, "expires_in": 9}).encode()
        if self.does == "long":
            return 200, b" " * 1_000_000
        if self.does.isdigit():
            return int(self.does), b"{}"
        if refused is not None:
            return 401, json.dumps(refused).encode()
        good = {"token_type": "Bearer", "expires_in": self.life, "access_token": self.issue()}
        return 200, json.dumps(good).encode()


class _Handler(Handler):
    server: TokenEndpoint

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The answer's Date."""
        return self.server.date or super().date_time_string(timestamp)

    def answer(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked += 1
        time.sleep(self.server.takes)
        if self.server.does == "hangs":
            self.server.released.wait(60)
        status, body = self.server.answer_to({k: v[0] for k, v in parse_qs(text).items()})
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)


def by_secret(form: Mapping[str, str]) -> Mapping[str, str] | None:
    """RFC 6749 4.4, as Microsoft answers."""
    assert form["grant_type"] == "client_credentials"
    good = (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
    return None if good else NO_CLIENT


def by_certificate(
    key: Any, thumbprint: str, url: Callable[[], str], ahead: float = 0.0
) -> Callable[[Mapping[str, str]], Mapping[str, str] | None]:
    """RFC 7523 2.2, as Microsoft checks it; its clock is `ahead` seconds of ours."""

    def check(form: Mapping[str, str]) -> Mapping[str, str] | None:
        text = form["client_assertion"]
        assert form["client_assertion_type"].endswith(":jwt-bearer")
        assert jwt.get_unverified_header(text)["x5t#S256"] == thumbprint
        claims = _claims(text, key, "PS256", url())
        assert (claims["iss"], claims["sub"]) == (CLIENT, CLIENT)
        assert claims["jti"]
        if claims["nbf"] - 60 <= time.time() + ahead <= claims["exp"]:
            return None
        said = "AADSTS700024: Client assertion is not within its valid time range."
        return {"error": "invalid_client", "error_description": said}

    return check


def by_service_account(
    key: Any, user: str, url: Callable[[], str]
) -> Callable[[Mapping[str, str]], Mapping[str, str] | None]:
    """RFC 7523 2.1, as Google checks it."""

    def check(form: Mapping[str, str]) -> Mapping[str, str] | None:
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        claims = _claims(form["assertion"], key, "RS256", url())
        assert claims["scope"] == "https://mail.google.com/"
        assert claims["exp"] - claims["iat"] <= 3600
        if claims["sub"] == user:
            return None
        return {"error": "unauthorized_client", "error_description": "Client is unauthorized."}

    return check


def _claims(text: str, key: Any, algorithm: str, url: str) -> dict[str, Any]:
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    return jwt.decode(text, key, algorithms=[algorithm], audience=url, options=options)
