"""How often a call asks the database: a wait for each statement, so their number is held."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import event, update

from app.clock import now
from app.db import Database
from app.models import ApiToken, Member, Role, Task
from app.services import Services
from tests.api import program
from tests.conftest import NOW, People, add_tasks

# With a token used within the hour, by a lead of the team or a member of it, nothing being due.
STATEMENTS = {
    ("lead", "GET", "/me"): 1,
    ("lead", "GET", "/members?limit=100"): 2,
    ("lead", "GET", "/members/{member}/days"): 5,
    ("lead", "GET", "/tasks?limit=100"): 3,
    ("member", "GET", "/tasks/{task}"): 2,
    ("lead", "GET", "/reports?limit=100"): 3,
    ("lead", "GET", "/mails?limit=100"): 3,
    ("lead", "GET", "/teams/{team}/today"): 10,
    ("member", "GET", "/days-off?member={member}"): 4,
    ("member", "POST", "/tasks"): 14,
    ("member", "PATCH", "/tasks/{task}"): 14,
    ("member", "POST", "/reports"): 12,
    ("member", "POST", "/days-off"): 9,
}


@pytest.fixture
def statements(services: Services) -> Iterator[list[str]]:
    """What the database is asked from now on."""
    asked: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        if not statement.startswith("BEGIN"):  # SQLite alone has it as a statement
            asked.append(" ".join(statement.split())[:120])

    event.listen(services.db.engine, "before_cursor_execute", note)
    yield asked
    event.remove(services.db.engine, "before_cursor_execute", note)


def test_an_operation_asks_the_database_no_more_often_than_it_has_to(
    app: Flask, services: Services, db: Database, team: People, statements: list[str]
) -> None:
    add_tasks(db, team)
    with db.write() as session:
        lead = session.get_one(Member, team.sato.id)
        lead.role = Role.LEAD
        session.execute(update(Member).values(next_due_at=NOW.replace(year=2027)))
        task = session.query(Task).filter(Task.assignee_id == team.suzuki.id).first()
    assert task is not None
    callers = {
        "lead": program(app, services, team.sato.email),
        "member": program(app, services, team.suzuki.email),
    }
    services.installation.id()
    with db.write() as session:
        session.execute(update(ApiToken).values(last_used_at=now()))
    names = {"member": team.suzuki.id, "task": task.id, "team": lead.team_id}
    bodies = {
        ("POST", "/tasks"): {"ref": "CI-17", "title": "リリースの確認"},
        ("PATCH", "/tasks/{task}"): {"title": "リリースの再確認"},
        ("POST", "/reports"): {"task_ref": task.ref, "percent": 40, "status": "on_track"},
        ("POST", "/days-off"): {"member": team.suzuki.id, "first": "2026-12-28"},
    }
    over = []
    for (who, method, path), wanted in STATEMENTS.items():
        statements.clear()
        answer = callers[who].call(method, path.format(**names), bodies.get((method, path)))
        assert answer.status_code in {200, 201}, answer.text
        if len(statements) != wanted:
            over += [f"{method} {path}: {len(statements)} instead of {wanted}", *statements]
    assert not over, "\n".join(over)
