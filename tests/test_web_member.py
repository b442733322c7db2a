"""The member's pages: tasks, settings with their preview, leave, data. On both databases."""

import csv
import io
import json
import re
from datetime import date, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import Database
from app.members import sign_in
from app.members.own_tasks import MOST_OPEN
from app.models import (
    Audit,
    DaysOff,
    ExtraWorkday,
    Member,
    OutboxMail,
    Report,
    Task,
    WebSession,
)
from app.reminders import simulate
from app.services import Services
from tests.browser import OURS, signed_in
from tests.conftest import NOW, TODAY, People, task

pytestmark = pytest.mark.pages


@pytest.fixture
def work(db: Database, team: People) -> People:
    """鈴木さん has T-1, reported on by 佐藤さん on the 13th; 田中さん has T-2."""
    with db.write() as session:
        first = task("T-1", team.suzuki, title="監視ダッシュボード作成", due_on=TODAY)
        session.add_all([first, task("T-2", team.tanaka)])
        session.flush()
        session.add(
            Report(
                task_id=first.id,
                reporter_id=team.sato.id,
                counts_for=date(2026, 11, 13),
                percent=85,
                status="at_risk",
                text="=HYPERLINK(1)<b>想定より遅れています。",
                created_at=NOW - timedelta(days=11),
            )
        )
    return team


@pytest.fixture
def suzuki(app: Flask, services: Services, work: People) -> FlaskClient:
    """鈴木さん's browser."""
    return signed_in(app, services, work.suzuki.email)


def ids(db: Database) -> dict[str, int]:
    with db.read() as session:
        return {ref: one for ref, one in session.execute(select(Task.ref, Task.id))}


# --- tasks --------------------------------------------------------------------------------------


def test_my_tasks_are_mine_with_their_state_and_lead_to_the_report_page(
    suzuki: FlaskClient,
) -> None:
    page = suzuki.get("/").text
    assert "未報告のタスクが1件あります" in page
    assert "監視ダッシュボード作成" in page
    assert "タスク T-2" not in page
    assert "&lt;b&gt;想定より" in page
    link = next(part for part in page.split('"') if part.startswith("/r/") and "c=done" in part)
    assert suzuki.get(link.replace("&amp;", "&")).status_code == 200


def test_whoever_is_not_signed_in_is_sent_to_sign_in_and_back(app: Flask, team: People) -> None:
    answer = app.test_client().get("/settings/leave?x=1")
    assert answer.status_code == 302
    assert answer.location == "/login?next=/settings/leave?x%3D1"


def test_a_task_of_my_own_is_added_and_asked_about(suzuki: FlaskClient, db: Database) -> None:
    typed = {"title": "  手順書を書く ", "start_on": "２０２６/11/24", "due_on": "2026-12-01"}
    answer = suzuki.post("/tasks/new", data=typed, headers=OURS)
    assert (answer.status_code, answer.location) == (303, "/")
    assert "手順書を書く" in suzuki.get("/").text
    with db.read() as session:
        made = session.scalars(select(Task).order_by(Task.id.desc())).first()
        assert made is not None
        assert (made.title, made.start_on, made.assigned_on) == ("手順書を書く", TODAY, TODAY)
        assert session.scalars(select(Audit).where(Audit.what == "task.add")).one()


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "\u200b \u3000"}, "title"),
        ({"title": "あ" * 1_500}, "title"),
        ({"title": "x", "start_on": "2026-12-01", "due_on": "2026-11-30"}, "due_on"),
        ({"title": "x", "due_on": "2026-02-30"}, "due_on"),
        ({"title": "x", "start_on": "tomorrow"}, "start_on"),
    ],
)
def test_a_task_that_cannot_be_is_refused_by_its_field_and_nothing_is_lost(
    suzuki: FlaskClient, db: Database, typed: dict[str, str], field: str
) -> None:
    before = ids(db)
    for path in ("/tasks/new", f"/tasks/{before['T-1']}"):
        answer = suzuki.post(path, data=typed, headers=OURS)
        assert answer.status_code == 422
        assert f'id="f-{field}-error"' in answer.text
        assert typed["title"] in answer.text
    assert ids(db) == before


def test_with_500_open_tasks_no_more_is_added_until_one_is_closed(
    suzuki: FlaskClient, db: Database, work: People
) -> None:
    with db.write() as session:
        session.add_all(task(f"M-{number}", work.suzuki) for number in range(MOST_OPEN - 1))
    typed = {"title": "もう一つ"}
    answer = suzuki.post("/tasks/new", data=typed, headers=OURS)
    assert answer.status_code == 422
    assert "未完了のタスクが500件あります" in answer.text
    assert 'value="もう一つ"' in answer.text
    assert suzuki.post(f"/tasks/{ids(db)['M-0']}", data={"action": "cancel"}, headers=OURS)
    assert suzuki.post("/tasks/new", data=typed, headers=OURS).status_code == 303


def test_a_task_shows_its_history_and_is_edited_and_cancelled(
    suzuki: FlaskClient, db: Database
) -> None:
    path = f"/tasks/{ids(db)['T-1']}"
    page = suzuki.get(path).text
    assert "佐藤 花子さん" in page
    assert "85%" in page
    edited = {"title": "監視の画面", "start_on": "2026-11-02", "report_every": "weekly"}
    assert suzuki.post(path, data=edited, headers=OURS).status_code == 303
    assert "監視の画面" in suzuki.get("/").text
    assert suzuki.post(path, data={"action": "cancel"}, headers=OURS).status_code == 303
    assert "担当しているタスクはありません" in suzuki.get("/").text
    with db.read() as session:
        done = list(session.scalars(select(Audit.what).order_by(Audit.id)))
    assert done[-2:] == ["task.edit", "task.cancel"]


def test_a_task_that_changed_meanwhile_is_not_overwritten_by_a_page_that_lay_open(
    suzuki: FlaskClient, db: Database
) -> None:
    path = f"/tasks/{ids(db)['T-1']}"
    was = dict(re.findall(r'name="was.(\w+)" value="([^"]*)"', suzuki.get(path).text))
    stale = {f"was.{name}": value for name, value in was.items()} | was
    elsewhere = stale | {"title": "監視の画面", "due_on": "2026-12-24"}
    assert suzuki.post(path, data=elsewhere, headers=OURS).status_code == 303
    untouched = stale | {"report_every": "weekly"}
    assert suzuki.post(path, data=untouched, headers=OURS).status_code == 303
    answer = suzuki.post(path, data=stale | {"title": "監視"}, headers=OURS)
    assert answer.status_code == 409
    assert "「監視の画面」に変わっています" in answer.text
    with db.read() as session:
        now_is = session.get_one(Task, ids(db)["T-1"])
    assert (now_is.title, now_is.due_on, now_is.report_every) == (
        "監視の画面", date(2026, 12, 24), "weekly",
    )  # fmt: skip


def test_settings_that_changed_meanwhile_are_not_overwritten_by_a_page_that_lay_open(
    suzuki: FlaskClient, services: Services, work: People
) -> None:
    stale = dict(re.findall(r'name="(was.\w+)" value="([^"]*)"', suzuki.get("/settings").text))
    stale |= {name.removeprefix("was."): value for name, value in stale.items()}
    suzuki.post("/settings", data=CHANGED, headers=OURS)
    assert suzuki.post("/settings", data=stale, headers=OURS).status_code == 303
    assert stored(services, work.suzuki)[:2] == ("weekly", 4)
    clash = suzuki.post("/settings", data=stale | {"weekly_day": "wed"}, headers=OURS)
    assert clash.status_code == 409
    assert "「金曜日」に変わっています" in clash.text
    assert 'name="was.weekly_day" value="fri"' in clash.text
    assert stored(services, work.suzuki)[:2] == ("weekly", 4)


def test_somebody_elses_task_is_not_there(suzuki: FlaskClient, db: Database) -> None:
    path = f"/tasks/{ids(db)['T-2']}"
    assert suzuki.get(path).status_code == suzuki.get("/tasks/999999").status_code == 404
    assert suzuki.post(path, data={"title": "x"}, headers=OURS).status_code == 404
    cancelled = suzuki.post(path, data={"action": "cancel"}, headers=OURS)
    assert cancelled.status_code == 404


# --- settings -----------------------------------------------------------------------------------

CHANGED = {"notify_frequency": "weekly", "notify_at": "08:15", "weekly_day": "fri"}


def test_the_preview_says_what_simulate_says_and_saves_nothing(
    suzuki: FlaskClient, services: Services, work: People
) -> None:
    for path in ("/settings", "/settings/preview"):
        page = suzuki.post(path, data={**CHANGED, "action": "check"}, headers=OURS)
        assert page.status_code == 200
        assert "次のメール: 11月27日(金) 08:15" in page.text
        ahead = simulate(services, TODAY, date(2026, 12, 27), work.suzuki.email, CHANGED)
        sends = [day for day in ahead if day.verdict == "send"]
        assert page.text.count(">08:15</text>") == len(sends) > 3
    assert "weekly" not in str(stored(services, work.suzuki))


def test_settings_are_saved_and_noted(
    suzuki: FlaskClient, services: Services, db: Database, work: People
) -> None:
    answer = suzuki.post("/settings", data={**CHANGED, "locale": "en"}, headers=OURS)
    assert (answer.status_code, answer.location) == (303, "/settings?saved=1")
    assert stored(services, work.suzuki) == ("weekly", 4, "en")
    page = suzuki.get("/settings").text
    assert '<html lang="en">' in page
    assert 'value="08:15"' in page
    with db.read() as session:
        row = session.scalars(select(Audit).where(Audit.what == "member.set")).one()
    assert row.who == work.suzuki.email


def stored(services: Services, member: Member) -> tuple[str | None, int | None, str | None]:
    with services.db.read() as session:
        now = session.get_one(Member, member.id)
        return now.notify_frequency, now.weekly_day, now.locale


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("notify_at", "25:00"),
        ("timezone", "asia/tokyo"),
        ("timezone", "JST"),
        ("quiet_hours_start", "22:00"),
        ("paused_until", "tomorrow"),
        ("notify_frequency", "hourly"),
    ],
)
def test_a_setting_that_cannot_be_is_named_and_nothing_is_saved(
    suzuki: FlaskClient, services: Services, work: People, key: str, value: str
) -> None:
    before = stored(services, work.suzuki)
    answer = suzuki.post("/settings", data={**CHANGED, key: value}, headers=OURS)
    assert answer.status_code == 422
    assert "まだ保存していません" in answer.text
    assert 'class="error"' in answer.text
    assert stored(services, work.suzuki) == before
    assert suzuki.post("/settings/preview", data={key: value}, headers=OURS).status_code == 200


def test_what_only_an_operator_may_change_is_not_taken(
    suzuki: FlaskClient, services: Services, work: People
) -> None:
    suzuki.post("/settings", data={"role": "admin", "active": "no"}, headers=OURS)
    with services.db.read() as session:
        now = session.get_one(Member, work.suzuki.id)
    assert (now.role, now.active) == ("member", True)


# --- leave --------------------------------------------------------------------------------------


def test_leave_is_added_seen_and_removed(suzuki: FlaskClient, db: Database) -> None:
    days = {"first": "2026-12-28", "last": "2027-01-04", "name": "帰省"}
    assert suzuki.post("/settings/leave", data=days, headers=OURS).status_code == 303
    page = suzuki.get("/settings/leave").text
    assert "12月28日(月) – 2027年1月4日(月)" in page
    assert "帰省" in page
    gone = {"action": "remove", "first": "2026-12-28", "last": "2027-01-04"}
    for _ in range(2):  # a second click does no harm
        assert suzuki.post("/settings/leave", data=gone, headers=OURS).status_code == 303
    with db.read() as session:
        assert session.scalars(select(DaysOff)).all() == []


def test_leave_until_further_notice_shows_in_the_preview(suzuki: FlaskClient) -> None:
    suzuki.post("/settings/leave", data={"first": "2026-11-26", "open_ended": "1"}, headers=OURS)
    assert "当面の間" in suzuki.get("/settings/leave").text
    assert suzuki.get("/settings").text.count('class="off"') == 32


@pytest.mark.parametrize(
    ("days", "field"),
    [
        ({"first": ""}, "first"),
        ({"first": "2026-12-28", "last": "2026-12-01"}, "last"),
        ({"first": "2026-12-28", "name": "x" * 201}, "name"),
        ({"first": "2026-12-32"}, "first"),
    ],
)
def test_leave_that_cannot_be_is_refused_by_its_field(
    suzuki: FlaskClient, days: dict[str, str], field: str
) -> None:
    answer = suzuki.post("/settings/leave", data=days, headers=OURS)
    assert answer.status_code == 422
    assert f'id="f-{field}-error"' in answer.text


def test_my_own_workdays_are_added_seen_and_removed(suzuki: FlaskClient, db: Database) -> None:
    days = {"kind": "workday", "first": "2026-11-28", "name": "当番"}
    assert suzuki.post("/settings/leave", data=days, headers=OURS).status_code == 303
    page = suzuki.get("/settings/leave").text
    assert "11月28日(土)" in page
    assert "11月28日(土): 09:00 にメール" in suzuki.get("/settings").text
    found = json.loads(suzuki.get("/settings/data.json").text)["settings"]["extra_workdays"]
    assert [(one["first_day"], one["name"]) for one in found] == [("2026-11-28", "当番")]
    gone = {"kind": "workday", "action": "remove", "first": "2026-11-28"}
    for _ in range(2):  # a second click does no harm
        assert suzuki.post("/settings/leave", data=gone, headers=OURS).status_code == 303
    with db.read() as session:
        assert session.scalars(select(ExtraWorkday)).all() == []


def test_my_holidays_are_those_of_where_i_am(suzuki: FlaskClient, db: Database) -> None:
    page = suzuki.get("/settings").text
    assert "組織の既定(日本)" in page
    assert '<option value="DE-BY">ドイツ(バイエルン)</option>' in page
    there = suzuki.post("/settings", data={"holidays": "us-ca", "action": "save"}, headers=OURS)
    assert there.status_code == 303
    assert "11月26日(木): 休みの日" in suzuki.get("/settings").text  # Thanksgiving
    with db.read() as session:
        known = select(Member.holidays).where(Member.email == "suzuki.ichiro@example.jp")
        assert session.scalar(known) == "US-CA"
    assert '<option value="US-CA" selected>' in suzuki.get("/settings").text
    wrong = suzuki.post("/settings", data={"holidays": "UK-ENG", "action": "save"}, headers=OURS)
    assert wrong.status_code == 422
    assert "GB-ENG のような" in wrong.text


# --- data ---------------------------------------------------------------------------------------


def test_my_data_are_a_file(app: Flask, services: Services, suzuki: FlaskClient) -> None:
    found = json.loads(suzuki.get("/settings/data.json").text)
    assert [one["ref"] for one in found["tasks"]] == ["T-1"]
    assert found["settings"]["email"] == "suzuki.ichiro@example.jp"
    assert {"settings", "tasks", "reports", "decisions", "mails", "audit", "api_tokens"} == set(
        found
    )
    sato = signed_in(app, services, "sato.hanako@example.jp")
    sheet = list(csv.reader(io.StringIO(sato.get("/settings/reports.csv").text)))
    assert sheet[1][5] == "'=HYPERLINK(1)<b>想定より遅れています。"  # no formula


def test_deleting_takes_the_person_out_and_leaves_the_work(
    suzuki: FlaskClient, services: Services, db: Database, work: People
) -> None:
    sign_in.ask(services, work.suzuki.email, "/", NOW)
    wrong = suzuki.post("/settings/data", data={"email": "sato@example.jp"}, headers=OURS)
    assert wrong.status_code == 422
    answer = suzuki.post("/settings/data", data={"email": work.suzuki.email}, headers=OURS)
    assert "削除しました" in answer.text
    assert suzuki.get("/settings").status_code == 302
    with db.read() as session:
        gone = session.get_one(Member, work.suzuki.id)
        assert (gone.active, gone.name) == (False, f"#{gone.id}")
        assert gone.email == f"deleted-{gone.id}@deleted.invalid"
        assert session.scalars(select(WebSession)).all() == []
        assert session.scalars(select(Task.assignee_id).where(Task.ref == "T-1")).one() is None
        assert session.scalars(select(Report)).one()
        (mail,) = session.scalars(select(OutboxMail))
        assert (mail.state, mail.reason) == ("suppressed", "inactive")
        assert session.scalars(select(Audit).where(Audit.what == "member.deleted")).one()


def test_the_only_admin_cannot_delete_themself(
    app: Flask, services: Services, work: People
) -> None:
    sign_in.make_admin(services, work.sato.email, "test", NOW)
    sato = signed_in(app, services, work.sato.email)
    answer = sato.post("/settings/data", data={"email": work.sato.email}, headers=OURS)
    assert answer.status_code == 409
    assert "task-progress admin" in answer.text


# --- all pages ----------------------------------------------------------------------------------


def test_a_page_weighs_less_than_150_kb(suzuki: FlaskClient, app: Flask) -> None:
    sizes = {}
    for name in ("style.css", "live.js"):
        with app.test_client().get(f"/static/{name}") as answer:
            sizes[name] = len(answer.data)
    assert sizes["style.css"] < 30_000
    for path in ("/", "/settings", "/settings/leave", "/settings/data", "/tasks/new", "/login"):
        assert len(suzuki.get(path).data) + sum(sizes.values()) < 150_000
