"""The stop page behind a mail's link, and the one-click stop of mail programs: on both databases."""

import re
from datetime import time, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app import create_app, reminders
from app.config import Config
from app.db import Database
from app.links import ReportLink, StopLink
from app.models import Audit, Member, Setting
from app.monitoring import status
from app.services import Services
from app.why.reminder import explain
from tests import servers
from tests.conftest import NOW, TODAY, People, task

pytestmark = pytest.mark.pages

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
STOP = {"action": "stop"}
RESTORE = {"action": "restore"}


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """A browser without cookies, at nine o'clock on Tuesday."""
    return app.test_client(use_cookies=False)


def link(services: Services, member: Member, kind: str = "reminder") -> str:
    """The path of a stop link."""
    url = services.links.stop_url(StopLink(member.id, kind))
    return url.removeprefix(services.config.app_base_url.rstrip("/"))


def frequency(db: Database, member: Member) -> str | None:
    with db.read() as session:
        return session.get_one(Member, member.id).notify_frequency


def audit(db: Database) -> list[tuple[str, str, Any]]:
    with db.read() as session:
        rows = session.scalars(select(Audit).order_by(Audit.id))
        return [(row.who, row.what, row.data["before"]) for row in rows]


def test_looking_shows_what_holds_and_changes_nothing(
    browser: FlaskClient, services: Services, db: Database, team: People
) -> None:
    address = link(services, team.suzuki)
    for _ in range(5):
        page = browser.get(address, headers={"Purpose": "prefetch"})
        assert browser.head(address).status_code == 200
    assert page.status_code == 200
    assert "リマインダーの受け取り方" in page.text
    assert "鈴木 一郎さんには、未報告のタスクがある営業日の09:00にお送りします" in page.text
    assert [one for one in re.findall('name="action" value="(.+?)"', page.text)] == [
        "change",
        "stop",
    ]
    assert frequency(db, team.suzuki) is None
    assert audit(db) == []


@pytest.mark.parametrize("body", [STOP, ONE_CLICK])
def test_one_click_stops_without_cookies_and_a_second_one_changes_nothing(
    browser: FlaskClient, services: Services, db: Database, team: People, body: dict[str, str]
) -> None:
    address = link(services, team.suzuki)
    for _ in range(2):
        answer = browser.post(address, data=body)
        assert answer.status_code == 200
        assert "リマインダーを止めました" in answer.text
    assert frequency(db, team.suzuki) == "none"
    assert frequency(db, team.tanaka) is None
    assert audit(db) == [("suzuki.ichiro@example.jp", "member.reminders_stopped", None)]


def test_one_click_works_in_both_encodings_of_rfc_8058(
    browser: FlaskClient, services: Services, db: Database, team: People
) -> None:
    answer = browser.post(
        link(services, team.suzuki), data=ONE_CLICK, content_type="multipart/form-data"
    )
    assert answer.status_code == 200
    assert frequency(db, team.suzuki) == "none"


FORM = "application/x-www-form-urlencoded"
BODIES = (
    (b"", None),
    (b"List-Unsubscribe=one-click", FORM),
    (b"list-unsubscribe=One-Click", FORM),
    (b"action=delete", FORM),
    (b"List-Unsubscribe=One-Click&action=restore", FORM),
    (b'{"List-Unsubscribe": "One-Click"}', "application/json"),
    (b"--x\r\nnonsense", "multipart/form-data; boundary=x"),
    (b"x", "multipart/form-data"),
    (b"%ff%fe\0", "text/plain; charset=utf-7"),
)


def test_any_post_that_names_no_button_of_the_page_stops_the_mails(
    browser: FlaskClient, services: Services, db: Database, team: People
) -> None:
    for stuck in ("", "/", "%EF%BC%89"):
        for body, kind in BODIES:
            address = link(services, team.suzuki) + stuck
            assert browser.post(address, data=body, content_type=kind).status_code == 200
            assert frequency(db, team.suzuki) == "none", body
            browser.post(address, data=RESTORE)
            assert frequency(db, team.suzuki) is None


def test_after_stopping_no_reminder_is_decided_and_the_row_says_why(
    browser: FlaskClient, services: Services, db: Database, team: People
) -> None:
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
        session.execute(update(Member).values(next_due_at=NOW + timedelta(days=1)))
    browser.post(link(services, team.suzuki), data=ONE_CLICK)
    reminders.plan(services, NOW)
    explanation = explain(services, "suzuki.ichiro@example.jp", TODAY, NOW)
    assert "frequency_none" in str(explanation.facts)


# --- changing instead of stopping ---------------------------------------------------------------


def as_shown(page: str) -> dict[str, str]:
    """The form as a browser sends it when nobody touches a field."""
    fields = dict(
        re.findall(r'<input[^>]* name="([^"]+)" value="([^"]*)"(?: checked| aria|>)', page)
    )
    chosen = re.search(r'value="(\w+)" selected', page)
    radio = re.search(r'name="notify_frequency" value="(\w+)" checked', page)
    assert chosen is not None
    assert radio is not None
    return fields | {"weekly_day": chosen[1], "notify_frequency": radio[1], "action": "change"}


def own(db: Database, member: Member) -> dict[str, object]:
    """The member's own values; what follows the organisation is left out."""
    keys = ("notify_frequency", "weekly_day", "notify_at", "paused_until")
    with db.read() as session:
        stored = session.get_one(Member, member.id)
        return {key: getattr(stored, key) for key in keys if getattr(stored, key) is not None}


@pytest.fixture
def busy(db: Database, team: People) -> People:
    """鈴木さん has an unreported task, and today's reminder went out."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
        session.execute(update(Member).values(decided_through=TODAY))
    return team


def test_the_page_says_for_each_choice_when_the_next_mail_would_come(
    browser: FlaskClient, services: Services, busy: People
) -> None:
    page = browser.get(link(services, busy.suzuki)).text
    assert page.count("次は早くて11月25日(水) 09:00") == 2  # as it is, and daily
    assert page.count("次は早くて11月30日(月) 09:00") == 1
    assert re.search('value="daily" checked', page)


def test_weekly_on_another_day_at_another_hour_is_made_and_said_in_words(
    browser: FlaskClient, services: Services, db: Database, busy: People
) -> None:
    address = link(services, busy.suzuki)
    form = as_shown(browser.get(address).text)
    form |= {"notify_frequency": "weekly", "weekly_day": "thu", "notify_at": "０８：３０"}
    done = browser.post(address, data=form)
    assert done.status_code == 200
    assert "リマインダーを変更しました" in done.text
    assert "週1回、木曜日の08:30にお送りします" in done.text
    assert "次は早くて11月26日(木) 08:30" in done.text
    assert own(db, busy.suzuki) == {
        "notify_frequency": "weekly",
        "weekly_day": 3,
        "notify_at": time(8, 30),
    }


def test_only_what_was_changed_becomes_the_members_own(
    browser: FlaskClient, services: Services, db: Database, busy: People
) -> None:
    address = link(services, busy.suzuki)
    form = as_shown(browser.get(address).text)
    assert browser.post(address, data=form).status_code == 200
    assert own(db, busy.suzuki) == {}
    browser.post(address, data=form | {"notify_at": "10:00"})
    assert own(db, busy.suzuki) == {"notify_at": time(10)}


def test_what_changed_meanwhile_is_not_overwritten_by_a_page_that_lay_open(
    browser: FlaskClient, services: Services, db: Database, busy: People
) -> None:
    address = link(services, busy.suzuki)
    page = browser.get(address).text
    stale = as_shown(page) | {"action": "change"}
    assert stale["was.notify_at"] == "09:00"
    browser.post(address, data=stale | {"notify_at": "08:15"})
    browser.post(address, data=stale | {"notify_frequency": "weekly"})
    assert own(db, busy.suzuki)["notify_at"] == time(8, 15)
    clash = browser.post(address, data=stale | {"notify_at": "10:00"})
    assert clash.status_code == 409
    assert "「08:15」に変わっています" in clash.text
    assert own(db, busy.suzuki)["notify_at"] == time(8, 15)


def test_a_pause_until_a_date_and_its_end(
    browser: FlaskClient, services: Services, db: Database, busy: People
) -> None:
    address = link(services, busy.suzuki)
    form = as_shown(browser.get(address).text) | {"paused_until": "2026-12-07"}
    done = browser.post(address, data=form).text
    assert "リマインダーは12月7日(月)に再開します" in done
    assert "次は早くて12月7日(月) 09:00" in done
    again = as_shown(browser.get(address).text)
    assert again["paused_until"] == "2026-12-07"
    browser.post(address, data=again | {"paused_until": ""})
    assert own(db, busy.suzuki) == {}


def test_a_change_can_be_taken_back_to_what_was_the_members_own(
    browser: FlaskClient, services: Services, db: Database, busy: People
) -> None:
    with db.write() as session:
        session.execute(update(Member).values(notify_at=time(11)))
    address = link(services, busy.suzuki)
    form = as_shown(browser.get(address).text)
    form |= {"notify_frequency": "weekly", "notify_at": "08:00"}
    done = browser.post(address, data=form).text
    before = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', done))
    undone = browser.post(address, data=before | {"action": "undo"})
    assert "変更を取り消しました" in undone.text
    assert own(db, busy.suzuki) == {"notify_at": time(11)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"notify_at": "25:00"},
        {"notify_at": "<b>"},
        {"paused_until": "2026-11-24"},
        {"paused_until": "soon"},
        {"notify_frequency": "hourly"},
        {"weekly_day": "funday"},
    ],
)
def test_what_cannot_be_is_named_changes_nothing_and_stays_as_typed(
    browser: FlaskClient, services: Services, db: Database, busy: People, wrong: dict[str, str]
) -> None:
    address = link(services, busy.suzuki)
    form = as_shown(browser.get(address).text) | {"notify_at": "08:00"} | wrong
    answer = browser.post(address, data=form)
    assert answer.status_code == 422
    assert answer.text.count('class="error"') == 1
    assert answer.text.count('aria-invalid="true"') == 1
    if "notify_at" not in wrong:
        assert 'value="08:00"' in answer.text
    assert own(db, busy.suzuki) == {}


def test_a_hand_made_undo_changes_nothing_else(
    browser: FlaskClient, services: Services, db: Database, busy: People
) -> None:
    address = link(services, busy.suzuki)
    assert browser.post(address, data={"action": "undo", "role": "admin"}).status_code == 200
    assert browser.post(address, data={"action": "undo", "notify_at": "x"}).status_code == 400
    with db.read() as session:
        assert session.get_one(Member, busy.suzuki.id).role == "member"
    assert own(db, busy.suzuki) == {}


# --- having them back ---------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, "weekly", "daily"])
def test_having_them_back_restores_the_frequency_from_before(
    browser: FlaskClient, services: Services, db: Database, team: People, before: str | None
) -> None:
    with db.write() as session:
        session.execute(
            update(Member).values(notify_frequency=before, next_due_at=NOW + timedelta(days=9))
        )
    address = link(services, team.suzuki)
    browser.post(address, data=STOP)
    assert "元に戻す" in browser.get(address).text
    for _ in range(2):
        answer = browser.post(address, data=RESTORE)
        assert answer.status_code == 200
        assert "リマインダーを元に戻しました" in answer.text
    assert frequency(db, team.suzuki) == before
    assert [what for _, what, _ in audit(db)] == [
        "member.reminders_stopped",
        "member.reminders_restored",
    ]
    reminders.plan(services, NOW)  # looks again, though its hour is still to come
    with db.read() as session:
        member = session.get_one(Member, team.suzuki.id)
    assert member.next_due_at == NOW + timedelta(days=1)


def test_who_asks_for_mail_gets_it_daily_where_the_default_is_none(
    browser: FlaskClient, services: Services, db: Database, team: People
) -> None:
    with db.write() as session:
        session.add(Setting(key="notify_frequency", value="none", changed_by="x", changed_at=NOW))
    address = link(services, team.suzuki)
    assert "リマインダーは止まっています" in browser.get(address).text
    assert browser.post(address, data=RESTORE).status_code == 200
    assert frequency(db, team.suzuki) == "daily"


def test_somebody_elses_stop_is_not_restored_by_mistake(
    browser: FlaskClient, services: Services, db: Database, team: People
) -> None:
    with db.write() as session:
        session.execute(
            update(Member).where(Member.id == team.suzuki.id).values(notify_frequency="weekly")
        )
    for member in (team.suzuki, team.tanaka):
        browser.post(link(services, member), data=STOP)
    browser.post(link(services, team.suzuki), data=RESTORE)
    assert (frequency(db, team.suzuki), frequency(db, team.tanaka)) == ("weekly", "none")


def test_the_page_speaks_the_members_language(
    browser: FlaskClient, services: Services, db: Database, team: People
) -> None:
    with db.write() as session:
        session.execute(update(Member).values(locale="en"))
    address = link(services, team.suzuki)
    assert "How reminders come" in browser.get(address).text
    assert "リマインダーの受け取り方" in browser.get(f"{address}?lang=ja").text
    assert "Reminders are stopped" in browser.post(address, data=STOP).text


@pytest.mark.parametrize("gone", ["inactive", "deleted"])
def test_the_link_of_somebody_who_left_is_a_neutral_page(
    browser: FlaskClient, services: Services, db: Database, team: People, gone: str
) -> None:
    address = link(services, team.suzuki)
    with db.write() as session:
        member = session.get_one(Member, team.suzuki.id)
        if gone == "inactive":
            member.active = False
        else:
            session.delete(member)
    for answer in (browser.get(address), browser.post(address, data=ONE_CLICK)):
        assert answer.status_code == 410
        assert "鈴木" not in answer.text
    assert audit(db) == []


def test_another_kind_another_purpose_and_an_altered_token_are_a_designed_404(
    browser: FlaskClient, services: Services, db: Database, team: People
) -> None:
    report = services.links.report_url(ReportLink(team.suzuki.id, TODAY, None))
    wrong = ["/u/x", "/u/" + report.rpartition("/")[2], link(services, team.suzuki)[:-2]]
    for address in (*wrong, link(services, team.suzuki, "sign_in")):
        for answer in (browser.get(address), browser.post(address, data=ONE_CLICK)):
            assert answer.status_code == 404
            assert "このリンクは完全ではありません" in answer.text
            assert 'href="/login"' in answer.text  # the way to a fresh one
    assert frequency(db, team.suzuki) is None


def test_every_page_says_that_sending_is_paused_until_it_is_resumed(
    browser: FlaskClient, services: Services
) -> None:
    assert "メールの送信をすべて止めています" not in browser.get("/").text
    status.pause(services, who="cli:test", now=NOW)
    assert "メールの送信をすべて止めています" in browser.get("/").text
    assert "Sending is paused" in browser.get("/?lang=en").text
    status.resume(services, who="cli:test", now=NOW)
    assert "メールの送信をすべて止めています" not in browser.get("/").text


def test_a_page_that_needs_no_database_is_shown_while_it_is_down(config: Config) -> None:
    away = f"postgresql+psycopg://127.0.0.1:{servers.free_port()}/away"
    lost = config.model_copy(update={"database_url": away})
    assert create_app(lost).test_client().get("/").status_code == 200


@pytest.mark.parametrize("kind", ["weekly_digest", "escalation"])
def test_a_mail_about_the_team_stops_its_own_kind_alone_and_comes_again(
    browser: FlaskClient, services: Services, db: Database, team: People, kind: str
) -> None:
    def wanted() -> tuple[bool | None, bool | None, str | None]:
        with db.read() as session:
            member = session.get_one(Member, team.sato.id)
            return member.weekly_digest, member.escalations, member.notify_frequency

    address = link(services, team.sato, kind)
    assert browser.get(address).status_code == 200
    assert wanted() == (None, None, None)
    for _ in range(2):
        assert browser.post(address, data=ONE_CLICK).status_code == 200
    assert wanted() == (False if kind == "weekly_digest" else None,
                        False if kind == "escalation" else None, None)  # fmt: skip
    assert "止めました" in browser.get(address).text
    assert browser.post(address, data=RESTORE).status_code == 200
    assert "お送りしています" in browser.get(address).text
    assert browser.post(address, data={"x": "y"}).status_code == 200
    assert "止めました" in browser.get(address).text
