"""The document of the API: valid, as reviewed, with examples that work; and the page that shows it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from openapi_spec_validator import validate
from sqlalchemy import select, update

from app import create_app
from app.api.openapi import document
from app.api.operation import OPERATIONS
from app.config import load
from app.db import Database
from app.models import Member, OutboxMail, Role, State
from app.refused import Code
from app.reminders import plan
from app.services import Services
from tests.api import program
from tests.conftest import NOW, People, task

pytestmark = pytest.mark.pages

GOLDEN = Path(__file__).parent / "golden" / "openapi.json"


def test_the_document_is_an_openapi_document(app: Flask) -> None:
    answer = app.test_client().get("/api/openapi.json")
    assert answer.content_type == "application/json"
    found = json.loads(answer.text)
    validate(found)
    assert found == document()
    names = [one.name for one in OPERATIONS]
    assert len(set(names)) == len(names)


def test_the_document_is_the_one_reviewed_in_golden(app: Flask) -> None:
    """GOLDEN=write writes it anew: whatever is taken away or renamed breaks somebody's program."""
    made = json.dumps(document(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(made, encoding="utf-8")
    assert made == GOLDEN.read_text(encoding="utf-8")


def test_every_example_is_answered_as_the_document_says(
    app: Flask, services: Services, db: Database, team: People, travel: time_machine.Traveller
) -> None:
    with db.write() as session:
        session.get_one(Member, team.sato.id).role = Role.ADMIN
        for ref, member in (("T-001", team.sato), ("T-2", team.suzuki), ("T-3", team.tanaka)):
            session.add(task(ref, member))
            session.flush()
    plan(services, NOW)
    with db.write() as session:
        mails = session.scalars(select(OutboxMail).order_by(OutboxMail.id)).all()
        assert mails[1].user_id != team.tanaka.id
        others = update(OutboxMail).where(OutboxMail.id != mails[1].id)
        session.execute(others.values(state=State.CANCELLED))
    travel.shift(2 * 3600)
    caller = program(app, services, team.sato.email)
    for one in OPERATIONS:
        path = one.path.format(**one.example.get("path", {}))
        asked = "&".join(f"{name}={value}" for name, value in one.example.get("query", {}).items())
        answer = caller.call(one.method, f"{path}?{asked}", one.example.get("body"))
        expected = 201 if one.name == "put_task" else next(iter(one.answers))
        assert answer.status_code == expected, (one.name, answer.text)
        one.answers[expected].model_validate(answer.json)


def test_an_operation_names_every_value_that_its_path_and_body_need() -> None:
    for one in OPERATIONS:
        assert set(re.findall(r"{(\w+)}", one.path)) == set(one.example.get("path", {})), one.name
        assert ("body" in one.example) == (one.body is not None), one.name
        if one.body is not None:
            one.body.model_validate_json(json.dumps(one.example["body"]))


def test_every_answer_is_described_to_the_last_field() -> None:
    schemas: dict[str, Any] = document()["components"]["schemas"]
    for name, schema in schemas.items():
        assert schema.get("description"), name
    for one in OPERATIONS:
        if one.body is not None:
            assert schemas[one.body.__name__]["additionalProperties"] is False


def test_the_page_is_in_the_language_of_the_browser_else_in_that_of_the_organisation(
    environ: dict[str, str],
) -> None:
    browser = create_app(load({**environ, "APP_LOCALE": "en"})).test_client()
    assert '<html lang="en"' in browser.get("/api/docs").text
    japanese = {"Accept-Language": "ja"}
    assert '<html lang="ja"' in browser.get("/api/docs", headers=japanese).text


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_a_page_shows_it_and_loads_nothing_from_elsewhere(app: Flask, locale: str) -> None:
    answer = app.test_client().get(f"/api/docs?lang={locale}")
    assert answer.status_code == 200
    for one in OPERATIONS:
        assert f"/api/v1{one.path}" in answer.text
        assert one.summary.to(locale) in answer.text.replace("&#39;", "'")
    for code in Code:
        assert f'id="{code}"' in answer.text, "the type of a problem leads there"
    assert re.findall(r'(?:src|href)="(?:https?:)?//', answer.text) == []
    assert "<script" not in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src")
