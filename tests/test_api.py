"""The door for programs: who may call, what is refused and how, and each operation."""

import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from app.access import api_tokens
from app.alerts import Alarm, open_alerts, raise_alert
from app.api import reading
from app.api.operation import OPERATIONS, Operation
from app.db import Database
from app.members.changes import set_member
from app.members.own_tasks import MOST_OPEN
from app.models import Audit, Member, OutboxMail, Report, Role, State, Task
from app.outbox import sweep
from app.reminders import plan
from app.services import Services
from tests.api import Got, Program, got, problem, program
from tests.conftest import NOW, People, add_tasks, task

pytestmark = pytest.mark.pages


@pytest.fixture
def people(db: Database, team: People) -> People:
    """佐藤さん is the admin; see `add_tasks`."""
    with db.write() as session:
        session.get_one(Member, team.sato.id).role = Role.ADMIN
    add_tasks(db, team)
    return team


@pytest.fixture
def sato(app: Flask, services: Services, people: People) -> Program:
    """Of the admin, with all scopes."""
    return program(app, services, people.sato.email)


@pytest.fixture
def suzuki(app: Flask, services: Services, people: People) -> Program:
    """Of a member, with all scopes."""
    return program(app, services, people.suzuki.email)


@pytest.fixture
def later(services: Services, db: Database, people: People, travel: time_machine.Traveller) -> None:
    """Eleven o'clock: the mails of the morning are settled, none of them went out."""
    plan(services, NOW)
    with db.write() as session:
        session.execute(update(OutboxMail).values(state=State.CANCELLED))
    travel.shift(timedelta(hours=2))


# --- who calls --------------------------------------------------------------------------------


def test_a_token_says_who_calls(suzuki: Program, people: People) -> None:
    found = suzuki.get("/me")
    assert (found["id"], found["email"]) == (people.suzuki.id, people.suzuki.email)
    assert found["scopes"] == ["data", "read", "report", "send"]


def test_without_a_good_token_nothing_is_said(
    app: Flask, suzuki: Program, services: Services, travel: time_machine.Traveller
) -> None:
    bare = got(app.test_client().get("/api/v1/me"))
    problem(bare, 401, "token_unknown")
    assert bare.headers["WWW-Authenticate"] == 'Bearer realm="task-progress"'
    for key in (suzuki.key[:-1], suzuki.key + "x", "tpk_" + "A" * 43, "あ"):
        answer = Program(app, key).call("GET", "/me")
        problem(answer, 401, "token_unknown")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    (row,) = api_tokens.listing(services, NOW)
    travel.shift(timedelta(days=366))
    problem(suzuki.call("GET", "/me"), 401, "token_expired")
    api_tokens.revoke(services, row.id, who="test", now=NOW)
    problem(suzuki.call("GET", "/me"), 401, "token_revoked")


def test_a_cookie_is_no_token_and_an_address_no_place_for_one(app: Flask, suzuki: Program) -> None:
    browser = app.test_client()
    browser.set_cookie("session", suzuki.key)
    problem(got(browser.get("/api/v1/me")), 401, "token_unknown")
    basic = {"Authorization": f"Basic {suzuki.key}"}
    problem(got(browser.get("/api/v1/me", headers=basic)), 401, "token_unknown")
    problem(suzuki.call("GET", f"/me?access_token={suzuki.key}"), 400, "bad_request")
    assert "Set-Cookie" not in suzuki.call("GET", "/me").headers


def test_a_token_does_what_its_scopes_say_and_no_more(
    app: Flask, services: Services, people: People
) -> None:
    reads = program(app, services, people.sato.email, "read")
    for method, path, body in (
        ("POST", "/tasks", {"ref": "X"}),
        ("POST", "/reports", {"task_ref": "T-1", "percent": 1, "status": "on_track"}),
        ("POST", "/reminders", {"member": people.suzuki.id}),
        ("POST", "/pause", None),
        ("DELETE", "/days-off?first=2026-12-01", None),
    ):
        found = problem(reads.call(method, path, body), 403, "missing_scope")
        assert found["type"] == "/api/docs#missing_scope"
    writes = program(app, services, people.sato.email, "data")
    problem(writes.call("GET", "/members"), 403, "missing_scope")


def test_a_token_does_what_its_owner_may_and_no_more(suzuki: Program, people: People) -> None:
    for path in ("/pause", "/resume", "/mails/1/resend", "/mails/1/cancel"):
        problem(suzuki.post(path), 403, "not_allowed")
    problem(suzuki.post("/days-off", {"first": "2026-12-01"}), 403, "not_allowed")
    other = {"member": people.tanaka.id}
    problem(suzuki.post("/reminders", other), 404, "no_such_member")
    problem(suzuki.post("/days-off", {"first": "2026-12-01", **other}), 404, "no_such_member")
    problem(suzuki.post("/tasks", {"ref": "T-2", "title": "x"}), 404, "no_such_task")
    taken = {"ref": "N", "title": "x", "assignee_email": people.tanaka.email}
    assert problem(suzuki.post("/tasks", taken), 422, "unusable_values")["errors"][0]["pointer"]


def test_with_500_open_tasks_a_member_opens_no_more_by_a_program_and_an_admin_does(
    app: Flask, services: Services, db: Database, people: People, suzuki: Program
) -> None:
    with db.write() as session:
        session.get_one(Member, people.sato.id).role = Role.ADMIN
        session.add_all([task(f"M-{number}", people.suzuki) for number in range(MOST_OPEN)])
    another = {"ref": "N", "title": "x"}
    found = problem(suzuki.post("/tasks", another), 422, "unusable_values")
    assert [one["pointer"] for one in found["errors"]] == ["/ref"]
    assert suzuki.post("/tasks", {"ref": "M-1", "title": "y"}).status_code == 200
    given = another | {"assignee_email": people.suzuki.email}
    assert program(app, services, people.sato.email).post("/tasks", given).status_code == 201


def test_ids_of_other_teams_do_not_exist(
    app: Flask, services: Services, db: Database, people: People, suzuki: Program
) -> None:
    with db.write() as session:
        session.get_one(Member, people.sato.id).role = Role.LEAD
        other = session.scalars(select(Member).where(Member.email == "other@example.jp")).one()
        task_id = session.scalars(select(Task.id).where(Task.ref == "T-3")).one()
    lead = program(app, services, people.sato.email)
    for one in (lead, suzuki):
        problem(one.call("GET", f"/members/{other.id}"), 404, "no_such_member")
        problem(one.call("GET", f"/members/{other.id}/days"), 404, "no_such_member")
        problem(one.call("GET", f"/tasks/{task_id}"), 404, "no_such_task")
        problem(one.call("PATCH", f"/tasks/{task_id}", {"title": "x"}), 404, "no_such_task")
        problem(one.post(f"/tasks/{task_id}/close", {}), 404, "no_such_task")
        problem(one.call("GET", f"/teams/{other.team_id}/today"), 404, "no_such_team")
        problem(one.call("GET", f"/days-off?member={other.id}"), 404, "no_such_member")
        assert "other@example.jp" not in json.dumps(one.get("/members"))
        assert one.get(f"/tasks?member={other.id}")["items"] == []
        assert one.get(f"/mails?member={other.id}")["items"] == []
        assert one.get(f"/reports?member={other.id}")["items"] == []
    assert len(lead.get("/members")["items"]) == 3
    assert [one["id"] for one in suzuki.get("/members")["items"]] == [people.suzuki.id]


# --- what is refused, and how -----------------------------------------------------------------


def test_a_problem_speaks_the_language_that_is_asked_for(suzuki: Program) -> None:
    said = {
        locale: problem(
            suzuki.call("GET", "/members/999999", Accept_Language=locale), 404, "no_such_member"
        )
        for locale in ("ja", "en", "fr")
    }
    assert said["ja"]["title"] == said["en"]["title"] == "No such member"
    assert said["ja"]["detail"].startswith("「999999」")
    assert said["en"]["detail"].startswith("There is no member")
    assert said["fr"]["detail"] == said["ja"]["detail"], "APP_LOCALE"


def test_every_field_that_is_wrong_is_named(sato: Program) -> None:
    body = {"ref": "", "title": 5, "due_on": "tomorrow", "is_admin": True, "report_every": "hourly"}
    found = problem(sato.post("/tasks", body, Accept_Language="en"), 422, "unusable_values")
    assert {one["pointer"]: one["detail"] for one in found["errors"]} == {
        "/ref": "It cannot be empty.",
        "/title": "Write a string.",
        "/due_on": "Write a date like 2026-11-24.",
        "/is_admin": "There is no such field.",
        "/report_every": "Write one of: 'daily' or 'weekly'",
    }
    new = problem(sato.post("/tasks", {"ref": "N-1"}, Accept_Language="en"), 422, "unusable_values")
    assert new["errors"] == [{"pointer": "/title", "detail": "It is empty. Write a value."}]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/members?limit=101", "limit"),
        ("/members?limit=x", "limit"),
        ("/members?before=0", "before"),
        ("/members?admin=1", "admin"),
        ("/members?limit=1&limit=2", "limit"),
        ("/members?email=a%00b", "email"),
        ("/me?x=1", "x"),
        ("/mails?date=2026-13-01", "date"),
        ("/mails?state=gone", "state"),
        ("/members/2/days?from=0001-01-01", "from"),
        ("/members/2/days?from=2026-01-01&to=2026-12-31", "to"),
        ("/members/2/days?from=2026-01-02&to=2026-01-01", "to"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(sato: Program, path: str, parameter: str) -> None:
    found = problem(sato.call("GET", path), 422, "unusable_values")
    assert [one["parameter"] for one in found["errors"]] == [parameter]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"null", 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b"\xff{}", 400, "bad_request"),
        (b'{"ref": NaN}', 400, "bad_request"),
        (b'{"ref": "a", "title": Infinity}', 400, "bad_request"),
        (b'{"ref": "a", "ref": "b"}', 400, "bad_request"),
        (b'{"ref": "\\ud800"}', 400, "bad_request"),
        (b'{"ref": "a\\u0000b"}', 400, "bad_request"),
        (b'{"ref": ' + b"[" * 50_000, 400, "bad_request"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, 400, "bad_request"),
        (b'{"ref": "' + b"x" * 1_000_000 + b'"}', 413, "too_large"),
        (b'{"ref": "' + b"x" * 100_000 + b'"}', 422, "unusable_values"),
        (b'{"ref": "a", "title": "x", "id": 5}', 422, "unusable_values"),
        (b'{"ref": "a", "title": "x", "start_on": 20000}', 422, "unusable_values"),
        (b'{"ref": "a", "title": "x\\ny"}', 422, "unusable_values"),
        (b'{"ref": "a", "title": "x", "start_on": "9999-12-31"}', 422, "unusable_values"),
    ],
)
def test_a_body_that_cannot_be_meant_is_refused(
    sato: Program, db: Database, sent: bytes, status: int, code: str
) -> None:
    problem(sato.post("/tasks", sent), status, code)
    with db.read() as session:
        assert len(session.scalars(select(Task)).all()) == 3


def test_a_body_of_another_type_is_refused(sato: Program) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""):
        answer = sato.post("/tasks", b'{"ref": "a"}', Content_Type=kind)
        problem(answer, 415, "wrong_type")
    problem(sato.post("/pause", b'{"for": "ever"}'), 400, "bad_request")


def test_addresses_and_methods_that_are_none(app: Flask, sato: Program) -> None:
    for path in (
        "/nothing",
        "/members/0",
        "/members/x",
        "/members/99999999999999999999",
        "/members/01",
        "/me/",
    ):
        problem(sato.call("GET", path), 404, "not_found")
    problem(sato.call("PATCH", "/tasks/0", {}), 404, "not_found")
    problem(sato.call("GET", "/members/9999999999999999999"), 404, "no_such_member")
    answer = sato.call("DELETE", "/me")
    problem(answer, 405, "wrong_method")
    assert answer.headers["Allow"] == "GET, HEAD"
    problem(got(app.test_client().get("/api")), 404, "not_found")
    problem(sato.call("GET", "/members?email=" + "x" * 9000), 414, "too_long")
    problem(sato.call("GET", "/me", X_Long="x" * 9000), 431, "headers_too_long")


def test_calls_are_counted_and_the_headers_say_so(
    sato: Program, services: Services, travel: time_machine.Traveller
) -> None:
    answer = sato.call("GET", "/me")
    assert answer.headers["RateLimit-Policy"] == '"default";q=600;w=60'
    assert answer.headers["RateLimit"].startswith('"default";r=599;t=')
    from app.api.gate import QUOTA  # noqa: PLC0415 - only here

    token_id = api_tokens.listing(services, NOW)[0].id
    services.limits.take(QUOTA, f"api:{token_id}", cost=599)
    answer = sato.call("GET", "/me")
    found = problem(answer, 429, "too_many_calls")
    assert found["type"].startswith("https://iana.org/")
    assert 0 < int(answer.headers["Retry-After"]) <= 61


def test_answers_have_the_headers_of_answers_for_programs(app: Flask, sato: Program) -> None:
    answer = sato.call("GET", "/me")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert app.test_client().get("/login").status_code == 200, "the pages are there, too"


# --- the operations -----------------------------------------------------------------------------


def test_lists_come_in_pieces(sato: Program) -> None:
    first = sato.get("/members?limit=2")
    rest = sato.get(f"/members?limit=100&before={first['next']}")
    ids = [one["id"] for one in first["items"] + rest["items"]]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), len(set(ids)), rest["next"]) == (4, 4, None)


def test_a_task_is_made_and_changed_by_its_ref(sato: Program, db: Database, people: People) -> None:
    body = {"ref": "CI-1", "title": "確認", "assignee_email": people.suzuki.email}
    made = sato.post("/tasks", body)
    assert made.status_code == 201
    assert made.json["start_on"] == "2026-11-24"
    assert sato.call("GET", made.headers["Location"].removeprefix("/api/v1")).json == made.json
    assert sato.post("/tasks", body).status_code == 200
    again = sato.post("/tasks", {"ref": "CI-1", "due_on": "2026-12-11"})
    assert again.json == made.json | {"due_on": "2026-12-11"}
    path = f"/tasks/{made.json['id']}"
    patched = sato.call("PATCH", path, {"due_on": None, "assignee_email": people.tanaka.email})
    assert patched.json["assignee_email"] == people.tanaka.email
    assert patched.json["due_on"] is None
    problem(sato.call("PATCH", path, {"title": None}), 422, "unusable_values")
    problem(sato.call("PATCH", path, {"ref": "other"}), 422, "unusable_values")
    with db.read() as session:
        noted = session.scalars(select(Audit).where(Audit.what.like("task.%"))).all()
        assert [one.what for one in noted] == ["task.add", "task.edit", "task.edit"]
        assert {one.who for one in noted} == {f"token T0 of {people.sato.email}"}


def test_what_is_due_is_decided_before_a_task_changes_hands(
    sato: Program, services: Services, people: People, db: Database
) -> None:
    """With the facts that held then: nothing ran this morning, and 鈴木さん had T-1."""
    (found,) = sato.get("/tasks?ref=T-1")["items"]
    sato.call("PATCH", f"/tasks/{found['id']}", {"assignee_email": people.tanaka.email})
    (day,) = sato.get(f"/members/{people.suzuki.id}/days?from=2026-11-24&to=2026-11-24")["items"]
    assert (day["verdict"], [one["ref"] for one in day["due"]]) == ("send", ["T-1"])


def test_a_task_is_closed_once(sato: Program, suzuki: Program) -> None:
    (found,) = sato.get("/tasks?ref=T-1")["items"]
    closed = suzuki.post(f"/tasks/{found['id']}/close", {})
    assert (closed.status_code, closed.json["status"]) == (200, "done")
    problem(suzuki.post(f"/tasks/{found['id']}/close", {}), 409, "not_possible")
    assert sato.get("/tasks?status=done")["items"][0]["closed_on"] == "2026-11-24"


def test_a_report_counts_as_one_from_a_page_and_says_whence_it_came(
    suzuki: Program, db: Database
) -> None:
    body = {
        "task_ref": "T-1",
        "percent": 60,
        "status": "on_track",
        "text": "夜間\u200bバッチ\r\n済",
    }
    made = suzuki.post("/reports", body)
    assert made.status_code == 201
    assert made.json["counts_for"] == "2026-11-20", "before noon: the workday before"
    assert (made.json["via"], made.json["text"].splitlines()[1]) == ("api", "済")
    assert suzuki.post("/reports", body).status_code == 200
    problem(suzuki.post("/reports", body | {"task_ref": "T-2"}), 404, "no_such_task")
    problem(suzuki.post("/reports", body | {"percent": 101}), 422, "unusable_values")
    problem(suzuki.post("/reports", body | {"percent": "60"}), 422, "unusable_values")
    assert len(suzuki.get("/reports?task=1")["items"]) == 1
    with db.read() as session:
        (row,) = session.scalars(select(Report)).all()
        assert row.token_id is not None


def test_days_say_what_why_says(
    sato: Program, services: Services, people: People, db: Database
) -> None:
    plan(services, NOW)
    found = sato.get(f"/members/{people.suzuki.id}/days?from=2026-11-23&to=2026-11-25")
    before, today, after = found["items"]
    assert (before["verdict"], after["verdict"]) == (None, None)
    assert (today["verdict"], today["reason"]) == ("send", None)
    assert today["at"] == "2026-11-24T00:00:00Z"
    assert [one["ref"] for one in today["due"]] == ["T-1"]
    assert len(today["mails"]) == 1
    assert len(sato.get(f"/members/{people.suzuki.id}/days")["items"]) == 7


def test_mails_and_their_lives_are_seen_by_those_who_may(
    sato: Program, suzuki: Program, services: Services, people: People
) -> None:
    plan(services, NOW)
    all_of_them = sato.get("/mails?date=2026-11-24&state=ready")["items"]
    mine = suzuki.get("/mails")["items"]
    assert {one["member"] for one in mine} == {people.suzuki.id}
    assert len(all_of_them) > len(mine) == 1
    story = suzuki.get(f"/mails/{mine[0]['id']}")
    assert (story["state"], story["kind"], story["history"]) == ("ready", "reminder", [])
    assert "source" not in story
    others = next(one["id"] for one in all_of_them if one["member"] != people.suzuki.id)
    problem(suzuki.call("GET", f"/mails/{others}"), 404, "no_such_mail")


def test_an_admin_cancels_and_sends_again(sato: Program, services: Services) -> None:
    plan(services, NOW)
    (first, *_rest) = sweep(services, NOW)
    cancelled = sato.post(f"/mails/{first}/cancel")
    assert cancelled.json["state"] == "cancelled"
    problem(sato.post(f"/mails/{first}/cancel"), 409, "not_possible")
    again = sato.post(f"/mails/{first}/resend")
    assert again.status_code == 202
    story = sato.get(again.headers["Location"].removeprefix("/api/v1"))
    assert (story["id"], story["resend_of"], story["state"]) == (again.json["mail"], first, "ready")
    problem(sato.post("/mails/999999/resend"), 404, "no_such_mail")


def test_a_lead_reminds_a_member_with_the_rules_of_the_page(
    sato: Program, people: People, later: None, travel: time_machine.Traveller
) -> None:
    asked = sato.post("/reminders", {"member": people.suzuki.id})
    assert asked.status_code == 202, asked.text
    story = sato.get(asked.headers["Location"].removeprefix("/api/v1"))
    assert (story["kind"], story["member"]) == ("asked_reminder", people.suzuki.id)
    problem(sato.post("/reminders", {"member": people.suzuki.id}), 409, "already_waiting")
    travel.shift(timedelta(hours=12))
    problem(sato.post("/reminders", {"member": people.tanaka.id}), 409, "quiet_hours")
    problem(sato.post("/reminders", {"member": 999}), 404, "no_such_member")


def test_what_a_test_token_sends_goes_nowhere_and_takes_nothing_from_the_day(
    app: Flask, services: Services, db: Database, people: People, later: None
) -> None:
    trial = program(app, services, people.sato.email, test=True)
    for _ in range(4):
        asked = trial.post("/reminders", {"member": people.suzuki.id})
        assert asked.status_code == 202, asked.text
        story = trial.get(asked.headers["Location"].removeprefix("/api/v1"))
        assert (story["state"], story["reason"]) == ("suppressed", "test_token")
    for path in ("/pause", "/resume"):
        problem(trial.post(path), 403, "not_allowed")
    problem(trial.post(f"/mails/{story['id']}/cancel"), 403, "not_allowed")
    real = program(app, services, people.sato.email)
    assert real.post("/reminders", {"member": people.suzuki.id}).status_code == 202
    with db.read() as session:
        ready = select(OutboxMail.id).where(
            OutboxMail.state == State.READY, OutboxMail.kind == "asked_reminder"
        )
        assert len(session.scalars(ready).all()) == 1


class SlowBody(io.RawIOBase):
    """A body during which something happens, once."""

    def __init__(self, sent: bytes, happens: Callable[[], object]) -> None:
        self.rest, self.happens = io.BytesIO(sent), [happens]

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, room: Any) -> int:
        """As everything that reads it comes to."""
        while self.happens:
            self.happens.pop()()
        return self.rest.readinto(room)


def slowly(caller: Program, path: str, body: object, happens: Callable[[], object]) -> Got:
    """A POST whose body ends after something happened."""
    sent = json.dumps(body).encode()
    wsgi = {"wsgi.input": SlowBody(sent, happens), "CONTENT_LENGTH": str(len(sent))}
    return got(
        caller.app.test_client().post(
            f"/api/v1{path}",
            headers={"Authorization": f"Bearer {caller.key}"},
            content_type="application/json",
            environ_overrides=wsgi,
        )
    )


def test_what_ended_while_the_body_came_is_over(
    sato: Program, suzuki: Program, services: Services, db: Database, people: People
) -> None:
    def leave() -> None:
        set_member(services, people.suzuki.email, {"active": "no"}, "admin", NOW)

    def step_down() -> None:
        with db.write() as session:
            session.get_one(Member, people.sato.id).role = Role.MEMBER

    problem(slowly(suzuki, "/tasks", {"ref": "N-1", "title": "x"}, leave), 401, "token_revoked")
    problem(slowly(sato, "/days-off", {"first": "2026-12-28"}, step_down), 403, "not_allowed")
    with db.read() as session:
        assert session.scalars(select(Task.ref).where(Task.ref == "N-1")).all() == []


def test_quiet_hours_begin_while_the_body_comes(
    sato: Program, people: People, later: None, travel: time_machine.Traveller
) -> None:
    def until_night() -> None:
        travel.move_to(NOW + timedelta(hours=14))  # 23:00 in Tokyo

    asked = slowly(sato, "/reminders", {"member": people.tanaka.id}, until_night)
    problem(asked, 409, "quiet_hours")


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: one.name)
def test_every_number_that_is_asked_for_has_its_bounds(one: Operation) -> None:
    for model in (one.query, one.body):
        for name, field in (model.model_json_schema()["properties"] if model else {}).items():
            for said in field.get("anyOf", [field]):
                assert said.get("type") != "integer" or {"minimum", "maximum"} <= set(said), name


def test_a_test_token_that_sends_again_leaves_the_alert_of_the_first(
    app: Flask, services: Services, db: Database, people: People, later: None
) -> None:
    with db.write() as session:
        mail = session.scalars(select(OutboxMail).limit(1)).one()
        mail.state = State.FAILED
        raise_alert(session, Alarm.MAIL_FAILED, mail.id, now=NOW)
    trial = program(app, services, people.sato.email, test=True)
    assert trial.post(f"/mails/{mail.id}/resend").status_code == 202
    with db.read() as session:
        assert len(open_alerts(session)) == 1


def test_a_body_in_chunks_is_not_cut_where_it_gets_too_long(sato: Program) -> None:
    sent = json.dumps({"ref": "N-1", "title": "x"}).encode() + b" " * reading.MOST_BYTES
    wsgi = {"wsgi.input": io.BytesIO(sent), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = sato.app.test_client().post(
        "/api/v1/tasks",
        headers={"Authorization": f"Bearer {sato.key}", "Transfer-Encoding": "chunked"},
        content_type="application/json",
        environ_overrides=wsgi,
    )
    problem(got(answer), 413, "too_large")


def test_a_team_today_has_each_member_once(sato: Program, people: People) -> None:
    found = sato.get(f"/teams/{people.sato.team_id}/today")
    assert {one["id"] for one in found["items"]} == {
        people.sato.id, people.suzuki.id, people.tanaka.id,
    }  # fmt: skip
    standing = {one["email"]: one["standing"] for one in found["items"]}
    assert standing[people.sato.email] == "no_task"
    piece = sato.get(f"/teams/{people.sato.team_id}/today?limit=2")
    rest = sato.get(f"/teams/{people.sato.team_id}/today?limit=2&before={piece['next']}")
    assert len(piece["items"]) + len(rest["items"]) == 3
    problem(sato.call("GET", "/teams/999/today"), 404, "no_such_team")


def test_a_team_today_names_what_is_blocked(sato: Program, suzuki: Program, people: People) -> None:
    said = {"task_ref": "T-1", "percent": 10, "status": "blocked"}
    assert suzuki.post("/reports", said).status_code == 201
    found = sato.get(f"/teams/{people.sato.team_id}/today")["items"]
    told = {one["id"]: (one["standing"], one["tasks"], one["blocked"]) for one in found}
    assert told[people.suzuki.id] == ("blocked", 1, ["T-1"])
    assert told[people.tanaka.id][1:] == (1, [])


def test_what_leave_is_for_is_said_to_its_member_and_to_admins_alone(
    db: Database, sato: Program, suzuki: Program, people: People
) -> None:
    mine = {"member": people.suzuki.id, "first": "2026-12-28", "name": "通院"}
    assert suzuki.post("/days-off", mine).json["items"][0]["name"] == "通院"
    asked = f"/days-off?member={people.suzuki.id}"
    assert [one.get(asked)["items"][0]["name"] for one in (suzuki, sato)] == ["通院", "通院"]
    with db.write() as session:
        session.get_one(Member, people.sato.id).role = Role.LEAD
    assert sato.get(asked)["items"] == [{"first": "2026-12-28", "last": "2026-12-28", "name": ""}]


def test_days_off_are_added_and_taken_out(sato: Program, suzuki: Program, people: People) -> None:
    mine = {"member": people.suzuki.id}
    added = suzuki.post("/days-off", mine | {"first": "2026-12-28", "last": "2026-12-30"})
    assert added.json["items"] == [{"first": "2026-12-28", "last": "2026-12-30", "name": ""}]
    left = suzuki.call("DELETE", f"/days-off?member={people.suzuki.id}&first=2026-12-29")
    assert [one["first"] for one in left.json["items"]] == ["2026-12-28", "2026-12-30"]
    again = suzuki.call("DELETE", f"/days-off?member={people.suzuki.id}&first=2026-12-29")
    problem(again, 404, "no_such_days")
    company = sato.post("/days-off", {"first": "2026-12-29", "name": "年末"})
    assert company.json == {
        "member": None,
        "items": [{"first": "2026-12-29", "last": "2026-12-29", "name": "年末"}],
    }
    assert suzuki.get("/days-off") == company.json
    backwards = {"first": "2026-12-29", "last": "2026-12-01"}
    problem(sato.post("/days-off", backwards), 422, "unusable_values")
    open_ended = sato.post("/days-off", {"first": "2027-05-01", "last": None})
    assert open_ended.json["items"][-1]["last"] is None


def test_an_admin_stops_and_starts_all_sending(sato: Program, db: Database) -> None:
    assert sato.post("/pause").json == {"paused": True, "released": 0}
    assert sato.post("/resume").json == {"paused": False, "released": 0}
    with db.read() as session:
        whats = session.scalars(select(Audit.what).where(Audit.who.like("token %"))).all()
        assert whats == ["pause", "resume"]
