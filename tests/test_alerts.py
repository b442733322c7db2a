"""The alarms: sentence 2 of the promise, whichever program still runs the checks."""

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select, update

from app import clock, create_app, reminders
from app.alerts import Alarm, acknowledge, is_open, open_alerts, raise_alert, recent
from app.alerts.catalogue import EVENTS, words_of
from app.config import Config
from app.db import Database
from app.locale import counted
from app.models import ENDS, TICK, Alert, Audit, OutboxMail, Service
from app.monitoring import checks, status
from app.monitoring.heartbeat import Heartbeat
from app.reminders import brake
from app.services import Services
from tests import sending, servers
from tests.conftest import NOW, TODAY, People, task
from tests.smtp_server import SmtpServer
from tests.stack import PROJECT

pytestmark = pytest.mark.pages

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def at(moment: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: moment


def names(db: Database) -> list[str]:
    with db.read() as session:
        return [one.name for one in open_alerts(session)]


@pytest.fixture
def due(services: Services, db: Database, team: People) -> int:
    """A reminder to 鈴木さん, due at NOW; ticks have come until then."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    (mail_id,) = reminders.plan(services, NOW).ids
    return mail_id


def ticks(services: Services, now: datetime) -> None:
    status.note_heartbeat(services, TICK, now)


def only(db: Database) -> OutboxMail:
    with db.read() as session:
        return session.scalars(select(OutboxMail)).one()


# --- the promise, sentence 2 --------------------------------------------------------------


def test_a_mail_due_and_not_attempted_for_10_minutes_raises_an_alert(
    services: Services, db: Database, due: int
) -> None:
    ticks(services, NOW + 10 * MINUTE)
    checks.run(services, NOW + 10 * MINUTE - SECOND)
    assert names(db) == []
    checks.run(services, NOW + 11 * MINUTE)
    assert names(db) == ["mails_not_attempted"]


def test_a_mail_not_ended_30_minutes_after_it_was_due_raises_an_alert(
    services: Services, db: Database, due: int, smtp: SmtpServer
) -> None:
    """Put off by its server again and again, it is attempted, and yet it does not end."""
    with db.write() as session:
        session.execute(update(OutboxMail).values(to_addr="suzuki+451x9@example.jp"))
    now = NOW
    while now < NOW + 30 * MINUTE:
        sending.deliver(services, [due], at(now))
        ticks(services, now)
        checks.run(services, now)
        assert names(db) == []
        now = only(db).not_before
    ticks(services, NOW + 30 * MINUTE)
    checks.run(services, NOW + 30 * MINUTE)
    assert names(db) == ["mails_not_ended"]


def test_a_mail_whose_sender_hangs_is_not_ended_either(
    services: Services, db: Database, due: int
) -> None:
    with db.write() as session:
        held = {"state": "sending", "lease_token": "x", "lease_until": NOW + 90 * MINUTE}
        session.execute(update(OutboxMail).values(**held, claims=1))
    ticks(services, NOW + 30 * MINUTE)
    checks.run(services, NOW + 30 * MINUTE)
    assert names(db) == ["mails_not_ended"]


def test_both_close_by_themselves_when_the_mail_has_gone(
    services: Services, db: Database, due: int, smtp: SmtpServer
) -> None:
    later = NOW + 31 * MINUTE
    ticks(services, later)
    checks.run(services, later)
    assert names(db) == ["mails_not_attempted", "mails_not_ended"]
    assert sending.deliver(services, [due], lambda: later) == 1
    checks.run(services, later + MINUTE)
    assert names(db) == []
    assert len(recent(services, everything=True)) == 2


def test_a_mail_that_waits_for_its_hour_is_not_late(services: Services, due: int) -> None:
    with services.db.write() as session:
        session.execute(update(OutboxMail).values(not_before=NOW + 3 * 60 * MINUTE))
    ticks(services, NOW + 60 * MINUTE)
    checks.run(services, NOW + 60 * MINUTE)
    assert names(services.db) == []


def test_who_paused_sending_is_reminded_of_it(services: Services, db: Database, due: int) -> None:
    status.pause(services, who="cli:root", now=NOW)
    ticks(services, NOW + 11 * MINUTE)
    checks.run(services, NOW + 11 * MINUTE)
    with db.read() as session:
        (alert,) = open_alerts(session)
    assert "一時停止中" in words_of(alert.name, alert.data).what.ja


# --- who looks ----------------------------------------------------------------------------


def test_nothing_but_the_pages_alive_still_raises_it(
    services: Services, db: Database, due: int
) -> None:
    """What gunicorn.conf.py starts in each process of the pages."""
    late = clock.now() - 10 * MINUTE - SECOND
    with db.write() as session:
        session.execute(update(OutboxMail).values(not_before=late))
    heartbeat = Heartbeat(None, lambda: services)
    heartbeat.start()
    servers.wait_until(lambda: names(db) == ["mails_not_attempted"], "the alert", 20)
    heartbeat.stop()


def test_two_who_look_at_once_open_it_once(services: Services, db: Database, due: int) -> None:
    for now in (NOW + 11 * MINUTE, NOW + 11 * MINUTE + SECOND, NOW + 12 * MINUTE):
        checks.run(services, now)
    with db.read() as session:
        opened = session.scalars(select(Alert.name)).all()
    assert opened.count("mails_not_attempted") == 1


def test_a_worker_alive_sees_that_beat_is_not(services: Services, db: Database, due: int) -> None:
    with db.write() as session:
        session.execute(update(OutboxMail).values(not_before=NOW, expires_at=clock.now() + MINUTE))
        session.add(Service(name="beat", at=clock.now() - 6 * MINUTE, data={}))
    Heartbeat("worker-mail@here", lambda: services).once()
    assert "part_silent:beat" in names(db)


# --- ticks and parts ----------------------------------------------------------------------


def test_no_tick_for_5_minutes_raises_an_alert_that_the_next_one_closes(
    services: Services, db: Database
) -> None:
    ticks(services, NOW)
    checks.run(services, NOW + 5 * MINUTE)
    assert names(db) == []
    checks.run(services, NOW + 6 * MINUTE)
    assert names(db) == ["no_tick"]
    ticks(services, NOW + 7 * MINUTE)
    checks.run(services, NOW + 7 * MINUTE)
    assert names(db) == []


def test_ticks_that_never_come_are_missed_too(services: Services, db: Database) -> None:
    checks.run(services, NOW)
    assert names(db) == []
    checks.run(services, NOW + 6 * MINUTE)
    assert names(db) == ["no_tick"]


@pytest.mark.parametrize("part", checks.PARTS)
def test_a_part_that_falls_silent_raises_an_alert(
    services: Services, db: Database, part: str
) -> None:
    later = NOW + 6 * MINUTE
    ticks(services, later)
    for host, moment in (("a", NOW), ("b", NOW + 2 * MINUTE)):
        status.note_heartbeat(services, f"{part}@{host}", moment)
    checks.run(services, later)
    assert names(db) == []  # the other one lives
    ticks(services, NOW + 8 * MINUTE)
    checks.run(services, NOW + 8 * MINUTE)
    assert names(db) == [f"part_silent:{part}"]
    status.note_heartbeat(services, f"{part}@a", NOW + 9 * MINUTE)
    checks.run(services, NOW + 9 * MINUTE)
    assert names(db) == []


def test_a_part_taken_down_long_ago_is_no_part(services: Services, db: Database) -> None:
    status.note_heartbeat(services, "worker-ai@old", NOW - timedelta(days=8))
    ticks(services, NOW)
    checks.run(services, NOW)
    assert names(db) == []


# --- status ---------------------------------------------------------------------------------


def test_a_mail_put_off_for_hours_is_not_late_when_its_hour_comes(
    services: Services, db: Database, due: int
) -> None:
    hour = NOW + timedelta(hours=6)
    with db.write() as session:
        session.execute(update(OutboxMail).values(not_before=hour, date_header=hour))
    for waited, late in ((1, False), (11, True)):
        found = status.status(services, hour + waited * MINUTE)
        assert found["oldest_unsent_is_late"] is late


# --- healthz ------------------------------------------------------------------------------


@pytest.fixture
def browser(config: Config, services: Services) -> FlaskClient:
    return create_app(config, services).test_client()


def test_healthz_is_503_with_reasons_while_mail_is_late_though_nobody_looked(
    browser: FlaskClient, services: Services, due: int
) -> None:
    def first_due(at: datetime) -> None:
        with services.db.write() as session:
            session.execute(update(OutboxMail).values(not_before=at))

    first_due(clock.now())
    assert browser.get("/healthz").status_code == 200
    first_due(clock.now() - 11 * MINUTE)
    answer = browser.get("/healthz")
    assert (answer.status_code, answer.json) == (
        503,
        {"status": "unavailable", "reasons": ["mails_not_attempted"]},
    )
    assert names(services.db) == []  # asking changes nothing


def test_healthz_names_a_broken_mail_server_and_not_one_failed_mail(
    browser: FlaskClient, services: Services
) -> None:
    with services.db.write() as session:
        raise_alert(session, Alarm.MAIL_FAILED, 7, now=NOW)
    assert browser.get("/healthz").status_code == 200
    with services.db.write() as session:
        raise_alert(session, Alarm.MAIL_SERVER, now=NOW, why="x")
    assert browser.get("/healthz").json == {
        "status": "unavailable",
        "reasons": ["mail_server_unusable"],
    }


# --- the promise as it is written --------------------------------------------------------


def test_the_page_of_rules_says_the_promise_that_is_tested_here() -> None:
    said = " ".join((PROJECT / "docs/rules.md").read_text(encoding="utf-8").split())
    assert (
        "No mail is lost silently: every outbox mail ends as accepted, failed, dead, unknown, "
        "suppressed, cancelled or expired, with a reason a person can read; one that is due and "
        "not attempted for 10 minutes, or not ended 30 minutes after it was due, raises an alert."
    ) in said
    assert set(ENDS) == {
        "accepted", "failed", "dead", "unknown", "suppressed", "cancelled", "expired"
    }  # fmt: skip
    assert "時刻から10分たっても" in (PROJECT / "docs/rules.ja.md").read_text(encoding="utf-8")


# --- words, and a person's hand -----------------------------------------------------------


@pytest.mark.parametrize("alarm", Alarm)
def test_every_alarm_has_words_in_both_languages(alarm: Alarm) -> None:
    said = words_of(f"{alarm}:17", {})
    for sentence in (said.what, said.fix):
        assert not sentence.ja.isascii()
        assert sentence.en.isascii()
        assert "  " not in sentence.en
        assert sentence.en == sentence.en.strip()
    json.dumps(said.what)


def test_what_a_former_version_opened_is_shown_as_it_was_told() -> None:
    said = words_of("mail_unknown:17", None, "止まりました。 / It stopped.")
    assert said.what.en == "mail_unknown:17 (It stopped.)"


def test_an_alert_is_said_in_the_log_once_and_without_its_facts(
    services: Services, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "app.alerts"):
        for _ in range(2):
            with db.write() as session:
                raise_alert(session, Alarm.ADDRESS, 7, now=NOW, to="suzuki@example.jp")
    assert [one.getMessage() for one in caplog.records] == ["alert opened: address_suppressed:7"]


def test_seen_ends_what_happened_and_not_what_lasts(services: Services, db: Database) -> None:
    with db.write() as session:
        raise_alert(session, Alarm.MAIL_FAILED, 7, now=NOW)
        raise_alert(session, Alarm.MAIL_SERVER, now=NOW, why="x")
        ids = [one.id for one in open_alerts(session)]
    acknowledge(services, ids, who="cli:root", now=NOW)
    with db.read() as session:
        (left,) = open_alerts(session)
        assert (left.name, left.acked_by) == ("mail_server_unusable", "cli:root")
        assert len(session.scalars(select(Audit).where(Audit.what == "alert.ack")).all()) == 2
    assert Alarm.MAIL_SERVER not in EVENTS


def test_a_thousand_open_alerts_are_counted_and_the_first_of_them_shown(
    services: Services, db: Database, admin: FlaskClient
) -> None:
    """What stops mail is not lost among them."""
    with db.write() as session:
        for mail in range(100):
            raise_alert(session, Alarm.MAIL_FAILED, mail, now=NOW)
        for days in range(20):
            about, whose = TODAY - days * DAY, ["a@example.jp"]
            raise_alert(session, Alarm.MAILS_EXPIRED, about, now=NOW, number=1, members=whose)
        raise_alert(session, Alarm.NO_TICK, now=NOW + MINUTE)
    facts = status.status(services, NOW + MINUTE)
    assert (len(facts["alerts"]), facts["alerts_open"]) == (20, 121)
    assert facts["alerts"][0]["name"] == Alarm.NO_TICK
    page = admin.get("/admin").text
    assert "ほかに警告が101件あります" in page
    banner = page.partition('class="banner"')[2].partition("</div>")[0]
    assert banner.count("<p>") == 6
    assert "続きを見る" in banner
    with db.read() as session:
        assert is_open(session, Alarm.NO_TICK)
        assert is_open(session, Alarm.MAIL_FAILED, 99)
        assert not is_open(session, Alarm.MAIL_FAILED)
        assert not is_open(session, Alarm.MAIL_FAILED, 100)


def test_a_tick_reads_no_more_alerts_than_it_asks_for(
    services: Services, db: Database, due: int
) -> None:
    with db.write() as session:
        for mail in range(100):
            raise_alert(session, Alarm.MAIL_FAILED, mail, now=NOW)
        raise_alert(session, Alarm.NO_TICK, now=NOW)
    read: list[Alert] = []

    def note(one: Alert, _context: object) -> None:
        read.append(one)

    event.listen(Alert, "load", note)
    reminders.plan(services, NOW)
    brake.must_count(services, NOW, 1)
    checks.unwell(services, NOW)
    checks.run(services, NOW)
    event.remove(Alert, "load", note)
    assert read == []


def test_one_is_said_as_one_in_english() -> None:
    one = words_of("mails_expired:2026-11-24", {"number": 1}).what.en
    assert one == "1 mail of 2026-11-24 could not be sent in time."
    assert [counted(number, "mail") for number in range(3)] == ["0 mails", "1 mail", "2 mails"]
