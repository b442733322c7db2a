"""HTTP: from a request to a tool, and back. One address, POST alone, and nothing kept between two.

What HTTP itself refuses (who calls, how often, from where) is a problem document as at /api; what
is wrong with a message is an error of JSON-RPC; what a tool refuses is its answer, for the model
to read.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, request
from werkzeug.exceptions import MethodNotAllowed

from app import clock
from app.access import api_calls
from app.access.api_calls import CallKey, Stored
from app.access.api_tokens import Caller
from app.api import gate, problems, reading
from app.api.mcp import messages, tools  # noqa: F401 - they declare
from app.api.mcp.answers import DATA_NOT_ORDERS, MOST_BYTES, fitted
from app.api.mcp.messages import NEWEST, WITH_HANDSHAKE, ErrorCode, Message, RpcError
from app.api.mcp.tool import TOOLS, Tool
from app.api.operation import Call
from app.api.problems import BadCall
from app.locale import Both
from app.models import Via
from app.refused import Code, Refused
from app.services import Services
from app.util.parse import shown
from app.util.version import version

_KEPT = {"ttlMs": 300_000, "cacheScope": "private"}  # of lists: five minutes, and for this token
_ABOUT = (
    "Task Progress asks people each workday for progress on their tasks, and shows their leads who is "
    f"silent or blocked. {DATA_NOT_ORDERS}"
)

Params = Mapping[str, Any]
Result = dict[str, Any]


def application(services: Services) -> Flask:
    """The one address, where it is switched on; else there is nothing."""
    app = gate.application(services)
    app.url_map.strict_slashes = False
    if services.config.mcp_url is not None:
        app.before_request(_check_method)
        gate.add(app, "/", "mcp", partial(_answer, services), "POST")
    app.register_error_handler(Exception, _failed)
    return app


def _answer(services: Services) -> Response:
    _check_origin(services)
    if request.mimetype != "application/json":
        raise BadCall(415)
    caller = gate.caller(services)
    gate.take_quota(services, caller)
    spoken, message = "", None
    try:
        message = messages.read(gate.body())
        spoken = messages.version_of(message, request.headers)
        if message.id is None:
            return Response(status=202)
        g.message = message
        result = _result(Call(services, caller, clock.now(), Via.MCP), message, spoken)
    except RpcError as error:
        body = {"code": error.code, "message": str(error), "data": error.data}
        return _response(message, error=body, status=error.status(spoken))
    return _response(message, result=result)


def _check_method() -> None:
    """There is no stream to get and no session to delete."""
    if request.method != "POST":
        raise MethodNotAllowed(["POST"])


def _check_origin(services: Services) -> None:
    """A page of another site may not call, whatever it knows (DNS rebinding)."""
    base = urlsplit(services.config.app_base_url)
    ours = f"{base.scheme}://{base.netloc}"  # RFC 6454: without a path
    if request.headers.get("Origin", ours) != ours:
        raise Refused(Code.NOT_ALLOWED, _FOREIGN)


def _result(call: Call, message: Message, spoken: str) -> Result:
    method = _METHODS[spoken == NEWEST].get(message.method)
    if method is None:
        raise RpcError(ErrorCode.METHOD_NOT_FOUND, f"There is no {shown(message.method)}.")
    result = method(call, message.params)
    if spoken == NEWEST:
        return {"resultType": "complete", "_meta": {_SERVER: _server()}, **result}
    return {name: value for name, value in result.items() if name not in _KEPT}


def _response(message: Message | None, status: int = 200, **said: Any) -> Response:
    if "error" in said:
        said["error"] = {key: value for key, value in said["error"].items() if value is not None}
    body = {"jsonrpc": "2.0", "id": message and message.id, **said}
    text = json.dumps(body, ensure_ascii=False)
    return Response(text, status, content_type="application/json")


def _failed(error: Exception) -> Response:
    """The problem document; once a message waits for its answer, as an error of JSON-RPC."""
    problem = gate.problem_answer(error)
    if "message" in g:
        document = problem.get_json(force=True)
        body = {"code": ErrorCode.INTERNAL_ERROR, "message": document["title"], "data": document}
        problem.data = _response(g.message, error=body).data
        problem.content_type = "application/json"
    return problem


# --- methods -------------------------------------------------------------------------------------


def _discover(_: Call, __: Params) -> Result:
    said = {"supportedVersions": messages.SUPPORTED, "capabilities": {"tools": {}}}
    return {**said, "instructions": _ABOUT, **_KEPT}


def _initialize(_: Call, params: Params) -> Result:
    """The version that is asked for, where it is known; nothing is kept."""
    wanted = params.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in WITH_HANDSHAKE else WITH_HANDSHAKE[0],
        "capabilities": {"tools": {}},
        "serverInfo": _server(),
        "instructions": _ABOUT,
    }


def _ping(_: Call, __: Params) -> Result:
    return {}


def _list(call: Call, params: Params) -> Result:
    """All that the token may call, in one piece, always in the same order."""
    if params.get("cursor") is not None:
        raise RpcError(ErrorCode.INVALID_PARAMS, "The list has one page; there is no cursor.")
    mine = [one.described for one in TOOLS.values() if one.scope in call.caller.scopes]
    return {"tools": mine, **_KEPT}


def _call(call: Call, params: Params) -> Result:
    """The tool's answer, or why it refuses. One beyond the token's scopes is not there."""
    name, found = params.get("name"), params.get("arguments") or {}
    tool = TOOLS.get(name) if isinstance(name, str) else None
    if tool is None or tool.scope not in call.caller.scopes:
        raise RpcError(ErrorCode.INVALID_PARAMS, f"Unknown tool: {shown(str(name))}")
    if not isinstance(found, dict):
        raise RpcError(ErrorCode.INVALID_PARAMS, "params.arguments must be an object.")
    try:
        answer = _act(call, tool, found)
    except Refused as refused:
        if problems.status_of(refused.code) >= 500:
            raise
        return {"content": _text(_why_not(refused, call.caller.me.locale)), "isError": True}
    return {"content": _text(answer), "structuredContent": json.loads(answer), "isError": False}


def _act(call: Call, tool: Tool, arguments: dict[str, Any]) -> str:
    """What the tool answers, as JSON; what it changes is one transaction."""
    asked = reading.checked(tool.asked, arguments)

    def act(services: Services) -> Stored:
        # In the transaction once more: token, owner and rights may have ended meanwhile.
        still = gate.caller(services) if tool.writes else call.caller
        found = tool.act(Call(services, still, call.now, call.via), asked)
        page = f"{services.config.app_base_url}{found.page}"
        return Stored(200, fitted(found.data, page, still.me.locale))

    if not tool.writes:
        return act(call.services).answer
    key = _key(call.caller, tool, arguments)
    return api_calls.whole(call.services, key, call.now, act).answer


def _key(caller: Caller, tool: Tool, arguments: dict[str, Any]) -> CallKey | None:
    """By which a call is known that comes again."""
    if (form_key := arguments.get("form_key")) is None:
        return None
    called = f"{tool.name}\n{json.dumps(arguments, sort_keys=True)}"
    return CallKey(caller.token_id, f"mcp {form_key}", hashlib.sha256(called.encode()).hexdigest())


def _why_not(refused: Refused, locale: str) -> str:
    found = problems.problem(refused, locale)
    faults = [f"{one.pointer}: {one.detail}" for one in found.errors or ()]
    said = "\n".join([f"{found.code}: {found.detail}", *faults])
    return said.encode()[:MOST_BYTES].decode(errors="ignore")


def _text(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _server() -> dict[str, str]:
    return {"name": "task-progress", "title": "Task Progress", "version": version()}


_SERVER = "io.modelcontextprotocol/serverInfo"
_TOOLS: dict[str, Callable[[Call, Params], Result]] = {"tools/list": _list, "tools/call": _call}
_METHODS: Mapping[bool, Mapping[str, Callable[[Call, Params], Result]]] = {
    True: {"server/discover": _discover, **_TOOLS},
    False: {"initialize": _initialize, "ping": _ping, **_TOOLS},
}
_FOREIGN = Both(
    "別のサイトのページからは呼べません(Origin ヘッダーが APP_BASE_URL と違います)。",
    "A page of another site may not call this: Origin is not APP_BASE_URL.",
)
