"""Idempotency-Key: what comes with one key is done once, whatever is sent twice, at once, or killed."""

import http.client
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select, text

from app import clock, tick
from app.access import api_tokens
from app.access.api_calls import CallKey, Stored, whole
from app.db import Database
from app.locale import Both
from app.maintenance import purge
from app.members import changes
from app.models import ApiCall, Audit, Member, Report, Role, Task
from app.refused import Code, Refused
from app.services import Services
from tests.api import Got, Program, problem, program
from tests.conftest import NOW, People, task
from tests.databases import on_postgresql
from tests.test_web_logs import gunicorn

pytestmark = pytest.mark.pages

NEW = {"ref": "N-1", "title": "確認"}


@pytest.fixture
def people(db: Database, team: People) -> People:
    """佐藤さん is the admin; 鈴木さん has T-1."""
    with db.write() as session:
        session.get_one(Member, team.sato.id).role = Role.ADMIN
        session.add(task("T-1", team.suzuki))
    return team


@pytest.fixture
def sato(app: Flask, services: Services, people: People) -> Program:
    """Of the admin."""
    return program(app, services, people.sato.email)


def rows(db: Database, table: type) -> int:
    """How many there are."""
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_the_second_call_gets_the_answer_of_the_first(sato: Program, db: Database) -> None:
    first = sato.post("/tasks", NEW, Idempotency_Key='"k-1"')
    sato.call("PATCH", f"/tasks/{first.json['id']}", {"title": "別の名前"})
    again = sato.post("/tasks", NEW, Idempotency_Key="k-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.text == first.text
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert sato.post("/tasks", NEW).status_code == 200, "without the key it is another call"


def test_a_key_that_came_with_something_else_is_refused(sato: Program) -> None:
    sato.post("/tasks", NEW, Idempotency_Key="k")
    for path, body in (
        ("/tasks", NEW | {"title": "x"}),
        ("/tasks?", NEW | {"ref": "N-2"}),
        ("/reports", {"task_ref": "T-1", "percent": 1, "status": "on_track"}),
        ("/pause", None),
    ):
        problem(sato.post(path, body, Idempotency_Key="k"), 422, "key_reused")


def test_keys_of_two_tokens_are_two_keys(
    app: Flask, services: Services, sato: Program, people: People
) -> None:
    other = program(app, services, people.sato.email)
    assert sato.post("/tasks", NEW, Idempotency_Key="k").status_code == 201
    answer = other.post("/tasks", NEW, Idempotency_Key="k")
    assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (200, False)


def test_what_was_refused_is_not_remembered(sato: Program, db: Database) -> None:
    problem(sato.post("/tasks", {"ref": "N-1"}, Idempotency_Key="k"), 422, "unusable_values")
    problem(sato.post("/tasks", b"{", Idempotency_Key="k"), 400, "bad_request")
    problem(sato.post("/mails/5/cancel", Idempotency_Key="k"), 404, "no_such_mail")
    assert rows(db, ApiCall) == 0
    assert sato.post("/tasks", NEW, Idempotency_Key="k").status_code == 201


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "a b", '"a', "あ", '"a"; q=1'])
def test_what_is_no_key_is_refused(sato: Program, key: str) -> None:
    sent = key.encode().decode("latin-1")
    problem(sato.post("/tasks", NEW, Idempotency_Key=sent), 400, "bad_request")


def test_keys_are_forgotten_after_a_day(
    sato: Program, services: Services, db: Database, travel: time_machine.Traveller
) -> None:
    sato.post("/tasks", NEW, Idempotency_Key="k")
    travel.shift(timedelta(hours=23))
    assert "Idempotent-Replayed" in sato.post("/tasks", NEW, Idempotency_Key="k").headers
    travel.shift(timedelta(hours=2))
    answer = sato.post("/tasks", NEW, Idempotency_Key="k")
    assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (200, False)
    sato.post("/pause", Idempotency_Key="other")
    tick.run(services, NOW + timedelta(hours=26))
    assert rows(db, ApiCall) == 2
    assert purge.forget_calls(services, NOW + timedelta(hours=50)) == 2
    assert rows(db, ApiCall) == 0


@on_postgresql
def test_while_the_first_call_runs_the_second_is_told_to_wait(
    sato: Program, services: Services, db: Database
) -> None:
    (row,) = api_tokens.listing(services, NOW)
    key, running, over = CallKey(row.id, "k", "x"), threading.Event(), threading.Event()

    def slowly(_: Services) -> Stored:
        running.set()
        over.wait(30)
        return Stored(200, "{}")

    with ThreadPoolExecutor(1) as hand:
        first = hand.submit(whole, services, key, NOW, slowly)
        running.wait(30)
        answer = sato.post("/tasks", NEW, Idempotency_Key="k")
        problem(answer, 409, "call_in_progress")
        assert answer.headers["Retry-After"] == "1"
        over.set()
        assert first.result().status == 200


def test_a_use_case_of_several_transactions_is_done_as_a_whole(
    services: Services, db: Database, people: People
) -> None:
    published: list[int] = []

    def halfway(inner: Services) -> Stored:
        changes.set_member(inner, people.suzuki.email, {"name": "別の名"}, "test", NOW)
        inner.publish([5])
        with inner.db.read() as session:
            assert session.get_one(Member, people.suzuki.id).name == "別の名"
        raise Refused(Code.NOT_POSSIBLE, Both("だめ", "no"))

    with pytest.raises(Refused):
        whole(services, None, NOW, halfway)
    assert published == []
    with db.read() as session:
        assert session.get_one(Member, people.suzuki.id).name == people.suzuki.name
        assert session.scalars(select(Audit).where(Audit.what == "member.set")).all() == []


def test_what_is_written_while_something_is_read_stays(
    services: Services, db: Database, people: People
) -> None:
    """No read may take back what a use case called meanwhile has written."""

    def act(inner: Services) -> Stored:
        with inner.db.read() as reading:
            reading.get_one(Member, people.suzuki.id).name = "thrown away"
            with inner.db.write() as writing:
                writing.get_one(Member, people.tanaka.id).name = "written"
        return Stored(200, "{}")

    whole(services, None, NOW, act)
    with db.read() as session:
        names = {one.name for one in session.scalars(select(Member))}
    assert "written" in names
    assert "thrown away" not in names


def until_done(post: Callable[[], Got]) -> Got:
    """The last answer of a program that does as it is told."""
    for _ in range(200):
        answer = post()
        if answer.status_code != 409:
            return answer
        threading.Event().wait(0.05)
    return answer


def test_fifty_at_once_with_one_key_have_one_effect(
    app: Flask, services: Services, db: Database, people: People
) -> None:
    suzuki = program(app, services, people.suzuki.email)
    start = threading.Barrier(50)
    body = {"task_ref": "T-1", "percent": 10, "status": "on_track", "text": "x"}

    def call(_: int) -> Got:
        start.wait(60)
        return until_done(lambda: suzuki.post("/reports", body, Idempotency_Key="k"))

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(call, range(50)))
    assert {one.status_code for one in answers} == {201}, [one.text for one in answers][:3]
    assert len({one.text for one in answers}) == 1
    assert sum("Idempotent-Replayed" in one.headers for one in answers) == 49
    assert (rows(db, Report), rows(db, ApiCall)) == (1, 1)


# --- in real processes, killed ---------------------------------------------------------------------


def call(port: int, key: str) -> tuple[int, str, bool] | None:
    """POST /tasks; None where the process died."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Idempotency-Key": "k",
    }
    try:
        line.request("POST", "/api/v1/tasks", json.dumps(NEW), headers)
        answer = line.getresponse()
        return answer.status, answer.read().decode(), "Idempotent-Replayed" in answer.headers
    except (ConnectionError, http.client.HTTPException):
        return None
    finally:
        line.close()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["acted", "committed"])
def test_a_process_that_is_killed_in_mid_call_does_it_once(
    environ: dict[str, str],
    services: Services,
    db: Database,
    people: People,
    tmp_path: Path,
    *,
    place: str,
) -> None:
    replayed = place == "committed"
    key = api_tokens.create(
        services, people.sato.email, "CI", ["data"], who="test", now=clock.now()
    )
    with gunicorn({**environ, "CRASH_AT": place}, tmp_path / "dying.log") as port:
        assert call(port, key) is None
    with db.read() as session:
        assert session.scalar(text("SELECT count(*) FROM tasks WHERE ref = 'N-1'")) == replayed
    with gunicorn(environ, tmp_path / "living.log") as port, ThreadPoolExecutor(8) as pool:
        answers = {one for one in pool.map(lambda _: call(port, key), range(8)) if one is not None}
    good = [one for one in answers if one[0] == 201]
    assert len({text for _, text, _ in good}) == 1
    assert all(one[2] for one in good) is replayed
    assert {one[0] for one in answers} <= {201, 409}
    with db.read() as session:
        assert len(session.scalars(select(Task).where(Task.ref == "N-1")).all()) == 1
        assert len(session.scalars(select(Audit).where(Audit.what == "task.add")).all()) == 1
