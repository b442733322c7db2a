"""A form that makes something makes it once, however often its button is pressed: on both databases."""

import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from app import outbox, reminders
from app.access import sent_forms
from app.db import Database
from app.links import ReportLink
from app.models import Audit, Kind, Member, OutboxMail, SentForm, State, Task, Team, Upload
from app.services import Services
from tests.browser import OURS
from tests.conftest import NOW, TODAY, People, task
from tests.databases import on_sqlite

pytestmark = pytest.mark.pages

KEY = "1764000000000-AAAAAAAAAAAAAAAA"


@pytest.fixture
def admin(admin: FlaskClient, services: Services, db: Database, team: People) -> FlaskClient:
    """佐藤さん, who is also the lead; 鈴木さん has T-1 and a mail that ended."""
    with db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.suzuki)])
    reminders.plan(services, NOW)
    (mail_id,) = outbox.sweep(services, NOW)
    outbox.cancel(services, mail_id, who="test", now=NOW)
    return admin


@pytest.fixture
def mail_id(admin: FlaskClient, db: Database) -> int:
    """Of the mail that ended."""
    with db.read() as session:
        ended = select(OutboxMail.id).where(OutboxMail.kind == Kind.REMINDER)
        return session.scalars(ended).one()


def rows(db: Database, table: type) -> int:
    """How many there are."""
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def key_of(page: str, action: str) -> str:
    """The key in the form that holds `action`."""
    forms = [one for one in re.findall(r"(?s)<form.*?</form>", page) if action in one]
    return str(re.findall(r'name="form" value="([^"]+)"', forms[0])[0])


# path of the page, what names its form, where it is sent, what is typed, what it makes
FORMS = [
    ("/tasks/new", "title", "/tasks/new", {"title": "新しい仕事"}, Task),
    ("/admin/members/{member}", "/tasks", "/admin/members/{member}/tasks",
     {"ref": "T-9", "title": "仕事", "start_on": "2026-11-24", "report_every": "daily"}, Task),
    ("/admin/members/new", "email", "/admin/members/new",
     {"email": "new@example.jp", "name": "新人", "role": "member"}, Member),
    ("/admin/teams", "name=\"form\"", "/admin/teams", {"name": "営業"}, Team),
    ("/outbox/{mail}/resend", "form", "/outbox/{mail}/resend", {}, OutboxMail),
    ("/team/{member}", "/nudge", "/team/{member}/nudge", {}, OutboxMail),
    ("/team", "/nudge", "/team/{member}/nudge", {"back": "board"}, OutboxMail),
    ("/admin/import", "file", "/admin/import", {"what": "teams"}, Upload),
]  # fmt: skip


@on_sqlite
def test_each_form_that_makes_something_makes_it_once(
    admin: FlaskClient, db: Database, team: People, mail_id: int, travel: time_machine.Traveller
) -> None:
    travel.shift(timedelta(hours=2))
    for shown, named, to, typed, table in FORMS:
        page, address = (one.format(mail=mail_id, member=team.suzuki.id) for one in (shown, to))
        sent: dict[str, object] = {**typed, "form": key_of(admin.get(page).text, named)}
        answers, before = [], rows(db, table)
        for _ in range(2):
            if table is Upload:
                sent |= {"what": "days-off", "file": (io.BytesIO(HEADER), "a.csv")}
            answers.append(admin.post(address, data=dict(sent), headers=OURS))
        assert [one.status_code for one in answers] == [303, 303], (address, answers[1].text)
        assert answers[0].location == answers[1].location
        assert rows(db, table) - before == 1, address
        with db.write() as session:  # or the next nudge would be one too many
            session.execute(update(OutboxMail).values(state=State.CANCELLED))


HEADER = b"scope,email,first_day,last_day,name\ncompany,,2026-12-29,2027-01-04,\n"


@on_sqlite
def test_two_clicks_on_what_changes_something_end_as_one(
    admin: FlaskClient, db: Database, team: People
) -> None:
    page = f"/admin/members/{team.suzuki.id}"
    key = key_of(admin.get(page).text, 'value="T-1"')
    typed = {"ref": "T-1", "email": team.tanaka.email, "form": key}
    for _ in range(2):
        assert admin.post(f"{page}/pass-on", data=typed, headers=OURS).status_code == 303
    with db.write() as session:
        assert session.scalars(select(Audit.what).where(Audit.what == "task.assign")).all() == [
            "task.assign"
        ]
        session.add(Team(name="空"))
    with db.read() as session:
        team_id = session.scalars(select(Team.id).where(Team.name == "空")).one()
    for _ in range(2):
        gone = admin.post(f"/admin/teams/{team_id}", data={"action": "remove"}, headers=OURS)
        assert gone.status_code == 303


@on_sqlite
def test_later_today_asked_for_twice_is_one_mail(
    admin: FlaskClient, app: Flask, services: Services, db: Database, team: People
) -> None:
    path = f"/r/{services.links.report_token(ReportLink(team.suzuki.id, TODAY))}/later"
    browser = app.test_client()
    typed = {"until": "at", "at": "15:00", "form": key_of(browser.get(path).text, "until")}
    before = rows(db, OutboxMail)
    pages = [browser.post(path, data=typed).text for _ in range(2)]
    assert pages[0] == pages[1]
    assert rows(db, OutboxMail) - before == 1


def test_eight_clicks_at_once_make_one(db: Database, services: Services, mail_id: int) -> None:
    start = threading.Barrier(8)

    def click(_: int) -> int:
        start.wait()
        return outbox.resend(services, mail_id, who="test", now=NOW, form_key=KEY)

    before = rows(db, OutboxMail)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(click, range(8)))) == 1
    assert rows(db, OutboxMail) - before == 1


def test_a_form_that_was_refused_can_be_sent_again(db: Database) -> None:
    with db.write() as session:
        assert sent_forms.made_before(session, KEY, NOW) is None
        session.rollback()
    with db.write() as session:
        assert sent_forms.made_before(session, KEY, NOW) is None
        sent_forms.made(session, KEY, 17)
    with db.write() as session:
        assert sent_forms.made_before(session, KEY, NOW) == 17
        assert sent_forms.made_before(session, None, NOW) is None


def test_keys_are_forgotten_after_a_week(db: Database) -> None:
    with db.write() as session:
        sent_forms.made_before(session, KEY, NOW)
    with db.write() as session:
        sent_forms.made_before(session, KEY.replace("A", "B"), NOW + timedelta(days=8))
        assert session.scalars(select(SentForm.key)).all() == [KEY.replace("A", "B")]
