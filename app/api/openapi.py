"""The document of the API (OpenAPI 3.1), made of the declarations; it is made once."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from flask import Response
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from app.api.operation import OPERATIONS, Asked, Operation
from app.api.problems import CONTENT_TYPE, HTTP, Problem, status_of, title

_REF = "#/components/schemas/{model}"
_ALWAYS = (400, 401, 403, 422, 429, 503)  # an operation may always answer so
_ID = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_ABOUT = (
    "Tasks, reports, mails and why they (did not) go, for programs. Send a token as "
    "`Authorization: Bearer tpk_…`. Refusals are problem documents (RFC 9457) whose `code` never "
    "changes. A POST with an `Idempotency-Key` is done once, however often it is sent within 24 hours."
)
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "done once within 24 hours, however often it is sent",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]+$"},
}


def answer() -> Response:
    """`GET /api/openapi.json`."""
    return Response(
        json.dumps(document(), ensure_ascii=False, indent=1), content_type="application/json"
    )


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(f"/api/v1{one.path}", {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Task Progress", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def statuses(op: Operation) -> list[int]:
    """The statuses of all refusals that this operation may answer."""
    found = {*_ALWAYS, *map(status_of, op.refuses)}
    if op.body is not None:
        found |= {413, 415}
    if op.method == "POST":
        found |= {409, 413}
    if "{" in op.path:
        found.add(404)
    return sorted(found)


def _schemas() -> dict[str, Any]:
    asked = [one.body for one in OPERATIONS if one.body is not None]
    told: list[type[BaseModel]] = [Problem]
    for one in OPERATIONS:
        told += one.answers.values()
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in dict.fromkeys(asked)),
        *((model, "serialization") for model in dict.fromkeys(told)),
    ]
    _, found = models_json_schema(wanted, ref_template=_REF)
    schemas: dict[str, Any] = found["$defs"]
    return schemas


def _operation(op: Operation) -> dict[str, Any]:
    said = " ".join((op.view.__doc__ or "").split())
    made: dict[str, Any] = {
        "operationId": op.name,
        "tags": [op.tag],
        "summary": op.summary.en,
        "description": f"{said} Scope: {op.scope or 'any'}.",
        "parameters": [*_parameters(op), *([_KEY] if op.method == "POST" else [])],
        "responses": {
            **{str(status): _good(model) for status, model in op.answers.items()},
            **{str(status): _refusal(op, status) for status in statuses(op)},
        },
    }
    if op.body is not None:
        content: dict[str, Any] = {"schema": {"$ref": _REF.format(model=op.body.__name__)}}
        if "body" in op.example:
            content["example"] = op.example["body"]
        made["requestBody"] = {"required": True, "content": {"application/json": content}}
    return made


def _parameters(op: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", op.path):
        yield _parameter(name, "path", _ID, op.example, required=True)
    if op.query is not None:
        schema = inlined(op.query)
        for name, described in schema["properties"].items():
            required = name in schema.get("required", ())
            yield _parameter(name, "query", described, op.example, required=required)


def _parameter(
    name: str, place: str, schema: dict[str, Any], example: Mapping[str, Any], *, required: bool
) -> dict[str, Any]:
    made = {"name": name, "in": place, "required": required, "schema": schema}
    known = example.get(place, {})
    return made | ({"example": known[name]} if name in known else {})


def inlined(model: type[Asked]) -> dict[str, Any]:
    """The schema of a query's model; an address has no null, and what it refers to stands in it."""
    schema = model.model_json_schema()
    known = schema.get("$defs", {})
    for name, described in schema["properties"].items():
        kinds = described.pop("anyOf", [described])
        (kind,) = [one for one in kinds if one.get("type") != "null"]
        kind = known[kind["$ref"].rpartition("/")[2]] if "$ref" in kind else kind
        both = {**kind, **described}
        kept = {key: value for key, value in both.items() if value is not None and key != "title"}
        schema["properties"][name] = kept
    return schema


def _good(model: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {
        "description": (model.__doc__ or "").strip().partition("\n")[0],
        "content": {"application/json": {"schema": schema}},
    }


def _refusal(op: Operation, status: int) -> dict[str, Any]:
    own = [str(code) for code in op.refuses if status_of(code) == status]
    words = ", ".join(own) or title(HTTP[status][0] if status in HTTP else _WORDS[status])
    content = {CONTENT_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    return {"description": words, "content": content}


_WORDS = {
    401: "token_unknown",
    403: "missing_scope",
    409: "call_in_progress",
    422: "unusable_values",
    429: "too_many_calls",
    503: "database_down",
}
