"""JSON-RPC as MCP speaks it: one message of a request, which version it is in, and its errors.

A message of 2026-07-28 says all of itself, and its headers say it again for what stands between;
both must be the same. Clients of the versions before begin with `initialize`, which is answered
without anything being kept.
(modelcontextprotocol.io/specification/2026-07-28: basic, basic/transports/streamable-http.)
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from werkzeug.datastructures import Headers

from app.api import reading
from app.api.problems import BadCall
from app.models import LARGEST_ID
from app.util.parse import shown

NEWEST = "2026-07-28"
WITH_HANDSHAKE = ("2025-11-25", "2025-06-18")  # the newest first
SUPPORTED = (NEWEST, *WITH_HANDSHAKE)

_MOST_DEEP = 16  # what a client says of itself nests, too
_LONGEST = 255  # characters of a method's name, and of an id
_META = "io.modelcontextprotocol/"
_ENCODED = ("=?base64?", "?=")


class ErrorCode(IntEnum):
    """Of JSON-RPC 2.0 (5.1), and those that MCP adds."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    HEADER_MISMATCH = -32020
    UNSUPPORTED_VERSION = -32022


class RpcError(Exception):
    """A message that cannot be answered as it is meant. `data`: more about it, for programs."""

    def __init__(self, code: ErrorCode, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data

    def status(self, version: str) -> int:
        """Of HTTP. Before 2026-07-28 an answer to a request that was understood is a 200."""
        understood = (ErrorCode.METHOD_NOT_FOUND, ErrorCode.INVALID_PARAMS)
        if version in WITH_HANDSHAKE and self.code in understood:
            return 200
        return 404 if self.code == ErrorCode.METHOD_NOT_FOUND else 400


@dataclass(frozen=True, slots=True)
class Message:
    """A request; without an id a notification, which is not answered."""

    method: str
    params: Mapping[str, Any]
    id: str | int | None


def read(sent: bytes) -> Message:
    """The one message of a body. Raises RpcError: no JSON, a batch, an answer, no message at all."""
    try:
        found = reading.document(sent, _MOST_DEEP)
    except BadCall as error:
        raise RpcError(ErrorCode.PARSE_ERROR, error.sentence.en) from None
    if not isinstance(found, dict) or found.get("jsonrpc") != "2.0":
        raise RpcError(ErrorCode.INVALID_REQUEST, "Send one JSON-RPC 2.0 message; no batch.")
    method, params, key = found.get("method"), found.get("params", {}), found.get("id")
    if not isinstance(method, str) or not 0 < len(method) <= _LONGEST:
        raise RpcError(ErrorCode.INVALID_REQUEST, "Only requests and notifications are taken.")
    if not isinstance(params, dict):
        raise RpcError(ErrorCode.INVALID_REQUEST, "params must be an object.")
    if "id" in found and not _is_id(key):
        raise RpcError(ErrorCode.INVALID_REQUEST, "id must be a string or a whole number.")
    return Message(method, params, key)


def version_of(message: Message, headers: Headers) -> str:
    """The version that the message is in, its headers being what they must be. Raises RpcError."""
    said, meta = headers.get("MCP-Protocol-Version"), message.params.get("_meta")
    meta = meta if isinstance(meta, dict) else {}
    named = meta.get(f"{_META}protocolVersion")
    if message.method == "initialize" and named is None and said != NEWEST:
        return WITH_HANDSHAKE[0]  # what it wants is in its params
    if message.id is None and said is None:
        return NEWEST  # of a notification no header is asked for
    if said is None or named not in (None, said):
        raise RpcError(ErrorCode.HEADER_MISMATCH, _must_equal("MCP-Protocol-Version", "_meta"))
    if said not in SUPPORTED:
        data = {"supported": SUPPORTED, "requested": shown(said)}
        raise RpcError(ErrorCode.UNSUPPORTED_VERSION, "Unsupported protocol version", data)
    if said == NEWEST and message.id is not None:
        _check_newest(message, meta, headers)
    return said


def _check_newest(message: Message, meta: Mapping[str, Any], headers: Headers) -> None:
    for name, kind in (("protocolVersion", str), ("clientCapabilities", dict)):
        if not isinstance(meta.get(_META + name), kind):
            raise RpcError(ErrorCode.INVALID_PARAMS, f"params._meta lacks {_META}{name}.")
    if headers.get("Mcp-Method") != message.method:
        raise RpcError(ErrorCode.HEADER_MISMATCH, _must_equal("Mcp-Method", "method"))
    if message.method == "tools/call" and _decoded(headers.get("Mcp-Name")) != message.params.get(
        "name"
    ):
        raise RpcError(ErrorCode.HEADER_MISMATCH, _must_equal("Mcp-Name", "params.name"))


def _must_equal(header: str, field: str) -> str:
    return f"The header {header} must be there, and equal {field} of the body."


def _decoded(header: str | None) -> str | None:
    """What is no plain ASCII comes as =?base64?…?=; None where that cannot be read."""
    first, last = _ENCODED
    if header is None or not (header.startswith(first) and header.endswith(last)):
        return header
    try:
        found = base64.b64decode(header[len(first) : -len(last)], validate=True)
        return found.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST
    return type(value) is int and abs(value) <= LARGEST_ID
