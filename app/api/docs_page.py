"""`GET /api/docs`: the document as a page, in the look of all pages; it loads nothing but the style."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from flask import Response, render_template, request

from app.api import gate, problems
from app.api.openapi import document, statuses
from app.api.operation import OPERATIONS, Operation
from app.locale import Both
from app.refused import Code

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_TAGS = {
    "days off": Both("休み", "Days off"),
    "mails": Both("メール", "Mails"),
    "people": Both("メンバー", "People"),
    "reports": Both("報告", "Reports"),
    "sending": Both("送信", "Sending"),
    "tasks": Both("タスク", "Tasks"),
    "teams": Both("チーム", "Teams"),
}


def answer() -> Response:
    """The page, in the language of `lang`, else of the browser, else APP_LOCALE."""
    wanted = request.args.get("lang")
    locale = wanted if wanted in ("ja", "en") else gate.locale()
    page = render_template(
        "api_docs.html",
        locale=locale,
        t=lambda ja, en: en if locale == "en" else ja,
        tags=[
            (_TAGS[tag].to(locale), list(some))
            for tag, some in groupby(OPERATIONS, key=lambda one: one.tag)
        ],
        fields=_fields,
        statuses=statuses,
        codes=sorted((problems.status_of(code), code) for code in Code),
        http=[(status, code) for status, (code, _) in problems.HTTP.items()],
    )
    response = Response(page, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _fields(op: Operation) -> Iterator[tuple[str, str, bool, str]]:
    """Name, type, whether it is required, and what it says, of each parameter and field."""
    made = document()["paths"][f"/api/v1{op.path}"][op.method.lower()]
    for said in made["parameters"]:
        if said["in"] != "header":
            schema = said["schema"]
            yield said["name"], _type(schema), said["required"], schema.get("description", "")
    if op.body is not None:
        schema = op.body.model_json_schema()
        for name, field in schema["properties"].items():
            required = name in schema.get("required", ())
            yield name, _type(field), required, field.get("description", "")


def _type(schema: Mapping[str, Any]) -> str:
    """The type in one word or a few."""
    if "enum" in schema:
        return " | ".join(schema["enum"])
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    return str(schema.get("format") or schema.get("type", ""))
