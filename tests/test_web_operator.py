"""The operator's pages: the outbox, why, the state of sending. On both databases."""

import html
import platform
import re
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app import clock, clock_trust, create_app, outbox
from app.audit import WHAT, entries
from app.db import Database
from app.identity import known_settings
from app.members import sign_in
from app.models import TICK, Audit, Kind, OutboxMail, Setting, State
from app.monitoring import status
from app.outbox import browse
from app.reminders import plan
from app.services import Services
from app.web.outbox_labels import KINDS, MARKS
from app.why.reminder import explain
from tests import sending
from tests.browser import OURS, signed_in
from tests.conftest import TODAY, People, task
from tests.smtp_server import SmtpServer
from tests.test_clock_trust import jump

pytestmark = pytest.mark.pages

SATO, SUZUKI = "sato.hanako@example.jp", "suzuki.ichiro@example.jp"


@pytest.fixture
def admin(admin: FlaskClient, services: Services, db: Database, team: People) -> FlaskClient:
    """佐藤さん; 鈴木さん has T-1 to report on. The mail is ready."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki, title="監視<b>盤</b>"))
    plan(services, clock.now())
    status.note_heartbeat(services, TICK, clock.now())
    return admin


def mail_of(db: Database, email: str = SUZUKI) -> OutboxMail:
    """The newest mail to this address."""
    with db.read() as session:
        query = select(OutboxMail).where(OutboxMail.to_addr == email)
        found = session.scalars(query.order_by(OutboxMail.id.desc())).first()
    assert found is not None
    return found


def send(services: Services) -> None:
    """What a tick would do now."""
    sending.deliver(services, outbox.sweep(services, clock.now()), clock.now)


def audit(db: Database) -> list[tuple[str, str]]:
    """Who did what, but for signing in."""
    with db.read() as session:
        rows = session.execute(select(Audit.who, Audit.what).order_by(Audit.id))
        return [(who, what) for who, what in rows if not what.startswith(("session.", "sign_in."))]


# --- who may --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/outbox", "/outbox/resend", "/outbox/1", "/outbox/1/html", "/outbox/1/resend", "/why", "/admin",
     "/admin/members", "/admin/members/1", "/admin/members/new", "/admin/teams",
     "/admin/settings", "/admin/days-off", "/admin/import", "/admin/import/1", "/admin/audit"],
)  # fmt: skip
def test_the_operators_pages_are_for_admins(
    app: Flask, services: Services, team: People, path: str
) -> None:
    lead = signed_in(app, services, SATO)
    assert lead.get(path).status_code == 403
    nobody = app.test_client().get(path)
    assert nobody.status_code == 302
    assert nobody.location.startswith("/login")


def test_nobody_but_an_admin_stops_or_changes_anything(
    app: Flask, services: Services, db: Database, team: People
) -> None:
    lead = signed_in(app, services, SATO)
    for path in ("/outbox/resend", "/outbox/1/resend", "/outbox/1/cancel", "/admin/pause", "/admin/resume",
                 "/admin/clock", "/admin/confirm",
                 "/admin/members/1", "/admin/members/1/tasks", "/admin/members/1/pass-on",
                 "/admin/members/1/address", "/admin/settings/for-everybody",
                 "/admin/teams", "/admin/teams/1", "/admin/settings", "/admin/days-off",
                 "/admin/import", "/admin/import/1"):  # fmt: skip
        assert lead.post(path, headers=OURS).status_code == 403, path
    assert audit(db) == []


# --- the outbox -----------------------------------------------------------------------------


def test_each_kind_and_each_state_has_its_words() -> None:
    assert set(KINDS) == set(Kind)
    assert set(MARKS) == set(State)


def test_the_list_shows_each_mail_with_its_state(admin: FlaskClient) -> None:
    page = admin.get("/outbox")
    assert SUZUKI in page.text
    assert "送信待ち" in page.text


@pytest.mark.parametrize(
    ("query", "shown"),
    [("", True), ("state=ready", True), ("state=accepted", False), ("state=failed", False),
     (f"member={SUZUKI.upper()}", True), ("member=tanaka.misaki@example.jp", False),
     (f"date={TODAY}", True), (f"date={TODAY - timedelta(days=1)}", False),
     (f"state=ready&member={SUZUKI}&date={TODAY}", True)],
)  # fmt: skip
def test_the_list_can_be_filtered(admin: FlaskClient, query: str, shown: bool) -> None:
    assert (f">{SUZUKI}</a>" in admin.get(f"/outbox?{query}").text) is shown


def test_an_address_nobody_has_is_named_with_the_nearest_one(admin: FlaskClient) -> None:
    page = admin.get("/outbox?member=suzuki.ichirou@example.jp&lang=en")
    assert f"Did you mean {SUZUKI}?" in page.text


@pytest.mark.parametrize(
    "query", ["date=yesterday", "before=x", "before=99999999999999999999", "state=x", "member=%00"]
)
def test_a_filter_that_makes_no_sense_breaks_nothing(admin: FlaskClient, query: str) -> None:
    assert admin.get(f"/outbox?{query}").status_code == 200


def test_the_pages_of_the_list_hold_every_mail_once(
    admin: FlaskClient, services: Services, db: Database
) -> None:
    first = mail_of(db)
    with db.write() as session:
        session.execute(
            update(OutboxMail).where(OutboxMail.id == first.id).values(state=State.FAILED)
        )
    ids = {outbox.resend(services, first.id, who="test", now=clock.now()) for _ in range(7)}
    for on in (None, TODAY):
        seen: list[int] = []
        before: int | None = None
        while page := browse.newest(services, limit=3, before=before, on=on, state="ready"):
            seen += [row["id"] for row in page]
            before = page[-1]["id"]
        assert seen == sorted(seen, reverse=True)
        assert ids <= set(seen)


def test_one_mail_shows_what_was_sent_and_its_life_but_not_its_links(
    admin: FlaskClient, services: Services, db: Database, smtp: SmtpServer
) -> None:
    send(services)
    mail = mail_of(db)
    page = admin.get(f"/outbox/{mail.id}")
    assert mail.state == State.ACCEPTED
    assert mail.response is not None
    assert mail.response in page.text
    assert "メールサーバーが受け付けました" in page.text
    frame = admin.get(f"/outbox/{mail.id}/html")
    for shown in (page.text, frame.text):
        assert "監視&lt;b&gt;盤" in shown
        assert "/r/…" in shown
        assert "/r/e" not in shown
    policy = frame.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ;")
    assert "default-src 'none'" in policy


def test_the_link_of_a_sign_in_mail_is_shown_to_nobody(
    admin: FlaskClient, services: Services, db: Database, smtp: SmtpServer
) -> None:
    sign_in.ask(services, SATO, "/", clock.now())
    send(services)
    mail = mail_of(db, SATO)
    assert mail.kind == Kind.SIGN_IN
    page = admin.get(f"/outbox/{mail.id}")
    assert "/login/" not in page.text.replace("/login/…", "")
    assert "本人だけのもの" in page.text
    assert admin.get(f"/outbox/{mail.id}/html").status_code == 404
    assert admin.get(f"/outbox/{mail.id}/resend").status_code == 409


def test_sending_again_shows_the_copies_makes_a_new_mail_and_notes_who(
    admin: FlaskClient, services: Services, db: Database, smtp: SmtpServer
) -> None:
    send(services)
    first = mail_of(db)
    asked = admin.get(f"/outbox/{first.id}/resend")
    assert "すでに1通が出ている" in asked.text
    assert mail_of(db).id == first.id  # asking sends nothing
    answer = admin.post(f"/outbox/{first.id}/resend", headers=OURS)
    again = mail_of(db)
    assert answer.location == f"/outbox/{again.id}?done=resent"
    assert again.id != first.id
    assert again.resend_of == first.id
    assert audit(db)[-1] == (SATO, "outbox.resend")
    assert f"{SATO}: {again.id}" in admin.get(f"/outbox/{first.id}").text


def test_a_whole_morning_is_sent_again_after_one_page_that_says_how_many(
    admin: FlaskClient, db: Database
) -> None:
    with db.write() as session:
        mine = OutboxMail.kind == Kind.REMINDER
        session.execute(
            update(OutboxMail).where(mine).values(state=State.FAILED, reason="550 5.4.5 limit")
        )
    failed = f"state=failed&date={TODAY}&reason=5.4.5"
    assert "/outbox/resend" not in admin.get("/outbox?state=failed").text  # of no date
    listed = admin.get(f"/outbox?{failed}").text
    assert "/outbox/resend?" in listed
    asked = admin.get(f"/outbox/resend?{failed}")
    assert "1通を送り直す" in asked.text
    form = html.unescape(re.findall(r'form method="post" action="([^"]+)"', asked.text)[-1])
    before = mail_of(db).id
    answers = [admin.post(form, headers=OURS) for _ in range(2)]  # a double click
    again = mail_of(db)
    assert (again.resend_of, again.state) == (before, State.READY)
    assert [answer.location.rpartition("resent=")[2] for answer in answers] == ["1", "0"]
    assert "1通を送り直します" in admin.get(answers[0].location).text
    assert audit(db)[-1] == (SATO, "outbox.resend")
    assert "送り直せるメールはありません" in admin.get(f"/outbox/resend?{failed}").text
    assert "failed" in admin.get("/admin/audit").text


@pytest.mark.parametrize(
    "query", ["", "state=failed", f"date={TODAY}", f"date={TODAY}&state=ready"]
)
def test_without_a_date_and_an_end_nothing_is_sent_again(admin: FlaskClient, query: str) -> None:
    for answer in (
        admin.get(f"/outbox/resend?{query}"),
        admin.post(f"/outbox/resend?{query}", headers=OURS),
    ):
        assert (answer.status_code, answer.location) == (303, "/outbox")


def test_a_mail_that_waits_is_not_sent_again_but_can_be_cancelled(
    admin: FlaskClient, db: Database
) -> None:
    mail = mail_of(db)
    assert admin.post(f"/outbox/{mail.id}/resend", headers=OURS).status_code == 409
    answer = admin.post(f"/outbox/{mail.id}/cancel", headers=OURS)
    assert answer.status_code == 303
    assert mail_of(db).state == State.CANCELLED
    assert audit(db)[-1] == (SATO, "outbox.cancel")
    twice = admin.post(f"/outbox/{mail.id}/cancel", headers=OURS)
    assert twice.status_code == 409
    assert "取り消されました" in twice.text


@pytest.mark.parametrize("path", ["/outbox/999", "/outbox/999/html", "/outbox/999/resend"])
def test_a_mail_that_is_not_there_is_said_so(admin: FlaskClient, path: str) -> None:
    assert admin.get(path).status_code == 404


# --- why ------------------------------------------------------------------------------------


def test_why_tells_what_the_command_tells(admin: FlaskClient, services: Services) -> None:

    told = explain(services, SUZUKI, None, clock.now()).paragraph
    assert len(told.ja.splitlines()) > 1  # a fact a line
    japanese = admin.get(f"/why?member={SUZUKI}").text
    english = admin.get(f"/why?member={SUZUKI}&date={TODAY}&lang=en").text
    assert all(f'<p class="fact">{line}</p>' in japanese for line in told.ja.splitlines())
    assert all(f'<p class="fact">{line}</p>' in english for line in told.en.splitlines())


def test_why_names_the_nearest_address_and_a_date_that_is_none(admin: FlaskClient) -> None:
    unknown = admin.get("/why?member=suzuki.ichirou@example.jp")
    assert unknown.status_code == 422
    assert f"{SUZUKI} ではありませんか" in unknown.text
    assert admin.get(f"/why?member={SUZUKI}&date=昨日").status_code == 422


# --- the state of sending ---------------------------------------------------------------------


def test_all_is_well_and_no_banner_is_shown(admin: FlaskClient) -> None:
    assert 'class="banner"' not in admin.get("/outbox").text


def test_sending_is_stopped_and_started_by_a_button_and_every_page_says_so(
    admin: FlaskClient, services: Services, db: Database
) -> None:
    assert admin.post("/admin/pause", headers=OURS).status_code == 303
    assert status.paused(services)
    for path in ("/outbox", "/why", "/admin/members", "/admin/audit"):
        page = admin.get(path).text
        assert 'class="banner"' in page
        assert f"送信を一時停止しています(操作: {SATO})" in page
    assert admin.post("/admin/resume", headers=OURS).status_code == 303
    assert not status.paused(services)
    assert audit(db)[-2:] == [(SATO, "pause"), (SATO, "resume")]


def test_held_mails_are_let_go_by_a_button(admin: FlaskClient, db: Database) -> None:
    with db.write() as session:
        session.execute(
            update(OutboxMail).where(OutboxMail.kind == Kind.REMINDER).values(held="brake")
        )
    assert "確認待ちのメールが1通あります" in admin.get("/admin").text
    assert "1通が確認待ちです" in admin.get("/outbox").text
    assert "released=1" in admin.post("/admin/resume", headers=OURS).location
    assert mail_of(db).held is None


def test_the_page_counts_the_held_mails_that_the_pilot_keeps(
    admin: FlaskClient, db: Database, services: Services
) -> None:
    with db.write() as session:
        session.execute(
            update(OutboxMail).where(OutboxMail.kind == Kind.REMINDER).values(held="brake")
        )
    pilot = services.config.model_copy(update={"mail_only_to": ("pilot@example.jp",)})
    app = create_app(pilot, replace(services, config=pilot))
    browser = signed_in(app, services, SATO)
    assert "1通のうち1通は、MAIL_ONLY_TO の対象外" in browser.get("/admin").text
    answer = browser.post("/admin/resume", headers=OURS, follow_redirects=True)
    app.extensions["beside"].shutdown()
    assert "MAIL_ONLY_TO の対象外で送られないもの: 1通" in answer.text


def test_held_mails_that_are_too_late_are_counted_as_ended(
    admin: FlaskClient, db: Database, travel: time_machine.Traveller
) -> None:
    with db.write() as session:
        values = {"held": "restore", "expires_at": clock.now()}
        session.execute(update(OutboxMail).where(OutboxMail.kind == Kind.REMINDER).values(**values))
    travel.shift(timedelta(seconds=1))
    answer = admin.post("/admin/resume", headers=OURS, follow_redirects=True)
    assert "送らずに終わりにした確認待ちのメール: 1通" in answer.text


def test_a_late_mail_a_missing_tick_and_redis_away_are_told_on_every_page(
    admin: FlaskClient, services: Services, travel: time_machine.Traveller
) -> None:
    travel.shift(timedelta(minutes=11))
    services.guard.url = "redis://127.0.0.1:1/0"
    services.guard._client = None
    page = admin.get("/admin/teams").text
    assert "10分以上、送られていないメールがあります" in page
    assert "5分以上、定期処理が動いていません" in page
    assert "Redis が応答しません" in page


def press(browser: FlaskClient, action: str, *, page: str) -> TestResponse:
    """Sends the form of this page that leads there, as a browser does that says nothing of itself."""
    form = re.search(rf'(?s)<form method="post" action="{action}".*?</form>', page)
    assert form is not None, "the button is there"
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[0])
    return browser.post(action, data={name: html.unescape(value) for name, value in fields})


def test_a_clock_in_doubt_is_named_and_a_button_accepts_it(
    admin: FlaskClient, services: Services, db: Database
) -> None:
    assert clock_trust.may_work(services, clock.now())
    assert "/admin/clock" not in admin.get("/admin").text
    jump(db, timedelta(hours=9))
    assert not clock_trust.may_work(services, clock.now())
    page = admin.get("/admin").text
    assert f"{platform.node()} の時計が疑われています" in page
    assert f"The clock of {platform.node()} is in doubt" in admin.get("/admin?lang=en").text
    admin.get("/admin?lang=ja")
    assert admin.post("/admin/clock").status_code == 403  # a form that our page did not make
    assert not clock_trust.may_work(services, clock.now())
    answer = press(admin, "/admin/clock", page=page)
    assert answer.status_code == 303
    assert "時計を正しいと認めました" in admin.get(answer.location).text
    assert clock_trust.may_work(services, clock.now())
    assert "/admin/clock" not in admin.get("/admin").text
    assert audit(db) == [(SATO, "clock.accept")]
    assert WHAT["clock.accept"].ja in admin.get("/admin/audit").text


# --- other settings than the database knows -----------------------------------------------------

OTHERS = {
    "mail_server": "smtp.example.com:587",
    "mail_from": "Old <old@example.jp>",
    "pages": "https://old.example.jp",
}


def known_were(db: Database, **values: str | list[str]) -> None:
    """The database has sent with these settings so far."""
    with db.write() as session:
        row = session.get_one(Setting, known_settings.KEY)
        row.value = row.value | values


@pytest.fixture
def changed(admin: FlaskClient, services: Services, db: Database, smtp: SmtpServer) -> FlaskClient:
    """Mail server, sender and address of the pages are others than they were."""
    send(services)
    known_were(db, **OTHERS)
    return admin


def test_changed_settings_are_named_before_and_now_and_a_button_confirms_them(
    changed: FlaskClient, services: Services, db: Database
) -> None:
    page = changed.get("/admin").text
    for setting, was in zip(
        ("SMTP_HOST", "MAIL_FROM", "APP_BASE_URL"), OTHERS.values(), strict=True
    ):
        row = re.search(rf"(?s)<tr>\s*<td[^>]*><code>{setting}</code></td>.*?</tr>", page)
        assert row is not None
        assert f'<td data-label="これまで">{html.escape(was)}</td>' in row[0]
    assert '<td data-label="いま">このマシン自身</td>' in page
    assert html.escape(str(services.config.mail_from)) in page
    english = changed.get("/admin?lang=en").text
    assert '<td data-label="Now">this machine itself</td>' in english
    assert "no mail is sent until somebody confirms it" in english
    changed.get("/admin?lang=ja")
    answer = press(changed, "/admin/confirm", page=page)
    assert answer.status_code == 303
    assert "正しいものとして記録しました" in changed.get(answer.location).text
    assert "/admin/confirm" not in changed.get("/admin").text
    assert known_settings.another_server(services) is None
    (entry,) = [one for one in entries(services, limit=50) if one.what == "identity.confirm"]
    assert entry.who == SATO
    assert entry.data["changes"][0] == {
        "key": "SMTP_HOST", "before": OTHERS["mail_server"], "after": "this machine",
    }  # fmt: skip
    assert f"SMTP_HOST: <del>{OTHERS['mail_server']}</del>" in changed.get("/admin/audit").text


def test_no_form_but_that_of_the_page_confirms_and_only_what_it_showed(
    changed: FlaskClient, services: Services, db: Database
) -> None:
    page = changed.get("/admin").text
    assert changed.post("/admin/confirm").status_code == 403
    assert "done=another" in changed.post("/admin/confirm", headers=OURS).location
    known_were(db, mail_server="smtp.example.net:587")  # another machine sent through that one
    answer = press(changed, "/admin/confirm", page=page)
    assert "何も記録していません" in changed.get(answer.location).text
    assert known_settings.another_server(services) is not None
    assert audit(db) == []


def test_another_secret_key_is_confirmed_by_no_page(
    changed: FlaskClient, services: Services, db: Database
) -> None:
    known_were(db, keys=["another"])
    assert "/admin/confirm" not in changed.get("/admin").text
    answer = changed.post("/admin/confirm", headers=OURS)
    assert "done=another" in answer.location
    assert known_settings.compare_with_database(services).foreign_key


# --- who changed what -------------------------------------------------------------------------


def test_the_audit_tells_who_changed_what_and_can_be_filtered(
    admin: FlaskClient, services: Services
) -> None:
    admin.post("/admin/pause", headers=OURS)
    status.resume(services, who="cli:root", now=clock.now())
    page = admin.get("/admin/audit").text
    assert WHAT["pause"].ja in page
    assert "root(コマンド)" in page
    filtered = admin.get("/admin/audit?who=cli:root").text
    assert "root(コマンド)" in filtered
    assert f'<td data-label="だれが">{SATO}</td>' not in filtered
    by_kind = admin.get("/admin/audit?what=pause").text
    assert "root(コマンド)" not in by_kind
