"""HTTP: from a request to an operation, and back.

In this order: is it bounded, who calls, how often, is it within the token's scopes, what is asked
for; then the operation, what it changes being one transaction (app/access/api_calls.py).
"""

import hashlib
import re
from functools import partial
from typing import Any

from flask import Flask, Response, request
from pydantic import BaseModel
from werkzeug.routing import BaseConverter

from app import clock
from app.access import api_calls
from app.access.api_calls import CallKey, Stored
from app.access.api_tokens import Caller
from app.api import docs_page, gate, openapi, reading, resources  # noqa: F401 - they declare
from app.api.operation import OPERATIONS, Call, Operation, Reply
from app.api.problems import BadCall
from app.locale import Both
from app.models import LARGEST_ID
from app.refused import Code, Refused
from app.services import Services

MOST_KEY = 255  # characters of an Idempotency-Key
_KEY = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"|([\x21\x23-\x7e]+)')


def application(services: Services) -> Flask:
    """All operations, the document and its page."""
    app = gate.application(services)
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = _RowId
    for one in OPERATIONS:
        path = re.sub(r"{(\w+)}", r"<id:\1>", one.path)
        view = partial(_answer, services, one)
        gate.add(app, f"/v1{path}", one.name, view, one.method)
    gate.add(app, "/openapi.json", "document", openapi.answer, "GET")
    gate.add(app, "/docs", "docs", docs_page.answer, "GET")
    return app


class _RowId(BaseConverter):
    """The number of a row; one that no row can have is that of none. By its form alone, or an id
    that is none would be taken for a wrong method.
    """

    regex = "[1-9][0-9]{0,18}"

    def to_python(self, value: str) -> int:
        return min(int(value), LARGEST_ID)


def _answer(services: Services, op: Operation, **path: int) -> Response:
    caller = gate.caller(services)
    gate.take_quota(services, caller)
    if op.scope is not None and op.scope not in caller.scopes:
        raise Refused(Code.MISSING_SCOPE, _scope(op.scope))
    asked: dict[str, Any] = dict(path)
    if (found := reading.query(op.query, request.args)) is not None:
        asked["asked"] = found
    sent = _sent(op)
    if op.body is not None:
        asked["body"] = reading.body(op.body, sent)
    now = clock.now()  # a body may take its time, and the hour be a quiet one at its end

    def act(with_these: Services) -> Stored:
        # In the transaction once more: token, owner and rights may have ended meanwhile.
        still = gate.caller(with_these) if op.writes else caller
        return _stored(op, op.view(Call(with_these, still, now), **asked))

    if not op.writes:
        return _response(act(services))
    key = _key(caller, sent) if op.method == "POST" else None
    return _response(api_calls.whole(services, key, now, act))


def _stored(op: Operation, made: BaseModel | Reply) -> Stored:
    if not isinstance(made, Reply):
        made = Reply(made, next(iter(op.answers)))
    return Stored(made.status, made.model.model_dump_json(), made.location)


def _response(stored: Stored) -> Response:
    response = Response(stored.answer, stored.status, content_type="application/json")
    if stored.location:
        response.headers["Location"] = stored.location
    if stored.again:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _sent(op: Operation) -> bytes:
    """The body; where none is asked for there may be none."""
    sent = gate.body()
    if op.body is None:
        if sent.strip() not in (b"", b"{}"):
            raise BadCall(400, _NO_BODY)
    elif request.mimetype != "application/json":
        raise BadCall(415)
    return sent


def _key(caller: Caller, sent: bytes) -> CallKey | None:
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    found = _KEY.fullmatch(header.strip())
    key = (found[1] if found[1] is not None else found[2]) if found else ""
    if not 0 < len(key) <= MOST_KEY:
        raise BadCall(400, _BAD_KEY)
    called = f"{request.method} {request.full_path}\n".encode() + sent
    return CallKey(caller.token_id, key, hashlib.sha256(called).hexdigest())


def _scope(scope: str) -> Both:
    return Both(
        f"このトークンには「{scope}」の範囲がありません。",
        f'This token does not have the scope "{scope}".',
    )


_NO_BODY = Both("この操作に本文は要りません。", "This operation takes no body.")
_BAD_KEY = Both(
    f"Idempotency-Key は、1〜{MOST_KEY}文字の英数字と記号にしてください。",
    f"An Idempotency-Key has 1 to {MOST_KEY} printable ASCII characters.",
)
