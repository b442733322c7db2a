"""Every operation called as its document allows, and as it does not: no 500, no status unheard of."""

from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.api.gate import QUOTA
from app.api.operation import OPERATIONS
from app.db import Database
from app.models import Member, Role
from app.reminders import plan
from app.services import Services
from tests.api import program
from tests.conftest import NOW, People, task

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 25  # of each operation, in each of the two ways
MODES = list(GenerationMode)


@pytest.fixture
def headers(app: Flask, services: Services, db: Database, team: People) -> dict[str, str]:
    """Of an admin, with something to look at."""
    with db.write() as session:
        session.get_one(Member, team.sato.id).role = Role.ADMIN
        session.add_all([task("T-001", team.sato), task("T-1", team.suzuki)])
    plan(services, NOW)
    return {"Authorization": f"Bearer {program(app, services, team.sato.email).key}"}


def call_often(operation: Any, headers: dict[str, str], mode: GenerationMode) -> None:
    """One operation, as Hypothesis thinks of it."""

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def each(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)

    each()


@pytest.mark.parametrize("mode", MODES, ids=lambda one: one.value)
def test_no_call_breaks_it_and_none_is_answered_otherwise_than_described(
    app: Flask,
    services: Services,
    headers: dict[str, str],
    mode: GenerationMode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each operation on each database in one of the two ways, on the other one in the other."""
    monkeypatch.setattr(QUOTA, "amount", 1_000_000)
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    found = list(schema.get_all_operations())
    assert len(found) == len(OPERATIONS)
    first = (MODES.index(mode) + services.db.is_sqlite) % 2
    for one in found[first::2]:
        call_often(one.ok(), headers, mode)  # type: ignore[union-attr]  # valid: another test
