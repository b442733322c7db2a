"""Alerts by mail: to the admins, once, after a grace time; and that they are over."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from sqlalchemy import event, select, update

from app import outbox
from app.alerts import Alarm, close_alert, open_alerts, raise_alert
from app.alerts.catalogue import words_of
from app.compose.alert import AlertFacts, AlertLine, alert
from app.compose.text import Locale
from app.db import Database
from app.locale import Both
from app.models import Alert, Kind, Member, OutboxMail, Role, State
from app.monitoring import status
from app.monitoring.alert_mails import GRACE, SPACING, notify_admins
from app.outbox import resending
from app.outbox.claim import claim
from app.outbox.enqueue import NewMail, enqueue
from app.outbox.lease import end_with_alert
from app.outbox.sweep import _expire, _give_up_doubts
from app.reminders import plan
from app.services import Services
from tests import sending
from tests.conftest import NOW, TODAY, People, task
from tests.smtp_server import SmtpServer

pytestmark = pytest.mark.pages

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LATER = NOW + GRACE


def at(moment: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: moment


def broken(db: Database, now: datetime = NOW) -> None:
    with db.write() as session:
        raise_alert(session, Alarm.MAIL_SERVER, now=now, why="断られました / refused")


def mended(db: Database, now: datetime) -> None:
    with db.write() as session:
        close_alert(session, Alarm.MAIL_SERVER, now=now)


def mails(db: Database) -> list[OutboxMail]:
    with db.read() as session:
        return list(session.scalars(select(OutboxMail).order_by(OutboxMail.id)))


def sent(services: Services, now: datetime) -> int:
    return sending.deliver(services, outbox.sweep(services, now), at(now))


def subjects(smtp: SmtpServer) -> list[str]:
    found = [message_from_bytes(mail.data, policy=policy.default) for mail in smtp.mails]
    return [str(one["Subject"]) for one in found]


@pytest.fixture
def admin(db: Database, team: People) -> Member:
    """佐藤さん is the admin."""
    with db.write() as session:
        session.execute(update(Member).where(Member.id == team.sato.id).values(role=Role.ADMIN))
    return team.sato


def test_every_admin_is_mailed_once_after_the_grace_time(
    services: Services, db: Database, admin: Member, smtp: SmtpServer
) -> None:
    with db.write() as session:  # no mail server is at fault, or this mail would close it
        raise_alert(session, Alarm.SILENT, "beat", now=NOW)
    notify_admins(services, LATER - timedelta(seconds=1))
    assert mails(db) == []
    for now in (LATER, LATER + MINUTE, LATER + 20 * MINUTE):
        notify_admins(services, now)
        sent(services, now)
    assert [mail.recipient for mail in smtp.mails] == [admin.email]
    assert subjects(smtp) == ["【警告】Celery Beat(定期処理の開始役)から5分以上、応答がありません"]


def test_and_once_more_when_it_is_over(
    services: Services, db: Database, admin: Member, smtp: SmtpServer
) -> None:
    broken(db)
    notify_admins(services, LATER)
    sent(services, LATER)
    mended(db, LATER + MINUTE)
    for minutes in range(30):
        notify_admins(services, LATER + minutes * MINUTE)
    sent(services, LATER + 30 * MINUTE)
    assert subjects(smtp)[1:] == ["【解消】警告はすべて解消しました"]


def test_what_mends_itself_within_the_grace_time_is_no_mail(
    services: Services, db: Database, admin: Member
) -> None:
    broken(db)
    mended(db, NOW + MINUTE)
    notify_admins(services, LATER + MINUTE)
    assert mails(db) == []


def test_a_mail_that_could_not_leave_says_how_things_stand_when_it_does(
    services: Services, db: Database, admin: Member, smtp: SmtpServer
) -> None:
    """Mail itself was broken: nobody is told at noon that it is broken since nine."""
    broken(db)
    notify_admins(services, LATER)
    mended(db, LATER + 60 * MINUTE)
    notify_admins(services, LATER + 60 * MINUTE)
    sent(services, LATER + 60 * MINUTE)
    assert set(subjects(smtp)) == {"【解消】警告はすべて解消しました"}


def test_a_thousand_failed_mails_are_one_mail_and_not_before_ten_minutes_another(
    services: Services, db: Database, admin: Member
) -> None:
    with db.write() as session:
        for number in range(1000):
            raise_alert(session, Alarm.MAIL_FAILED, number, now=NOW)
    notify_admins(services, LATER)
    with db.write() as session:
        raise_alert(session, Alarm.MAIL_FAILED, 1001, now=NOW)
    notify_admins(services, LATER + SPACING - timedelta(seconds=1))
    assert len(mails(db)) == 1
    notify_admins(services, LATER + SPACING)
    assert len(mails(db)) == 2


def test_who_has_seen_it_is_not_mailed(services: Services, db: Database, admin: Member) -> None:
    broken(db)
    with db.write() as session:
        session.execute(update(Alert).values(acked_at=NOW, acked_by="cli:root"))
    notify_admins(services, LATER)
    assert mails(db) == []


def test_what_becomes_of_an_alerts_mail_makes_no_further_mail(
    services: Services, db: Database, admin: Member
) -> None:
    broken(db)
    notify_admins(services, LATER)
    (mail,) = mails(db)
    with db.write() as session:
        (claimed,) = claim(session, [mail.id], "mail", now=LATER, scale=1.0, at_most=1)
        end_with_alert(session, claimed, State.FAILED, now=LATER, reason="550")
        assert f"mail_failed:{mail.id}" in [one.name for one in open_alerts(session)]
    notify_admins(services, LATER + 60 * MINUTE)
    assert len(mails(db)) == 1


def test_the_word_that_stops_all_sending_stops_this_too(
    services: Services, db: Database, admin: Member, smtp: SmtpServer
) -> None:
    broken(db)
    notify_admins(services, LATER)
    status.pause(services, who="cli:root", now=LATER)
    assert sent(services, LATER) == 0
    status.resume(services, who="cli:root", now=LATER)
    assert sent(services, LATER) == 1


def test_nobody_but_admins_is_told(services: Services, db: Database, team: People) -> None:
    broken(db)
    notify_admins(services, LATER)
    assert mails(db) == []


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_the_letter_says_what_since_when_and_what_to_do(locale: Locale) -> None:
    line = AlertLine(Both("止まりました。", "It <b>stopped</b>."), Both("直す", "mend"), NOW)
    over = AlertLine(Both("戻りました", "Back"), Both("-", "-"), NOW, NOW + MINUTE)
    letter = alert(
        AlertFacts(
            "佐藤 花子",
            "s@example.jp",
            locale,
            [line] * 20,
            [over],
            "https://x.jp/admin",
            more_open=5,
        )
    )
    for words in (
        line.what.to(locale),
        line.fix.to(locale),
        over.what.to(locale),
        "00:00",
        "00:01",
    ):
        assert words in letter.text
    assert letter.html is not None
    assert "<b>stopped" not in letter.html
    assert "https://x.jp/admin" in letter.text
    assert {"ja": "ほか24件", "en": "and 24 more"}[locale] in letter.subject
    assert {"ja": "ほか5件", "en": "and 5 more"}[locale] in letter.text
    assert len(letter.html.encode()) < 90_000


def test_an_alert_mail_names_the_member_and_the_servers_words(
    services: Services, db: Database, admin: Member, team: People, smtp: SmtpServer
) -> None:
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
        session.execute(
            update(Member).where(Member.id == team.suzuki.id).values(email="ichiro+rcpt550@x.jp")
        )
    sending.deliver(services, plan(services, NOW).ids, at(NOW))
    notify_admins(services, LATER)
    sent(services, LATER)
    letter = message_from_bytes(smtp.mails[-1].data, policy=policy.default)
    body = letter.get_body(("plain",))
    assert body is not None
    said = "".join(body.get_content().split())
    assert "(鈴木一郎さん<ichiro+rcpt550@x.jp>宛て)は届けられませんでした(rcpt:550" in said


def test_mails_that_expired_are_counted_and_named_with_the_servers_words(
    services: Services, db: Database, team: People
) -> None:
    with db.write() as session:
        for n, one in enumerate((team.sato, team.suzuki, team.tanaka)):
            session.add(task(f"T-{n}", one))
    plan(services, NOW)
    with db.write() as session:
        session.execute(update(OutboxMail).values(response="rcpt: 452 4.2.2 Mailbox full"))
    outbox.sweep(services, NOW + timedelta(days=1))
    with db.read() as session:
        found = {alert.name: alert.data for alert in open_alerts(session)}
    said = words_of("mails_expired:2026-11-24", found["mails_expired:2026-11-24"]).what.en
    assert said.startswith("3 mails of 2026-11-24 (sato.hanako@example.jp, suzuki")
    assert said.endswith("could not be sent in time: rcpt: 452 4.2.2 Mailbox full.")


def unsettled(services: Services, member: Member, number: int, **values: object) -> None:
    """That many mails to the member for TODAY, on which `values` stand."""
    one = NewMail(
        kind=Kind.REMINDER, user_id=member.id, to_addr=member.email, local_date=TODAY,
        not_before=NOW, expires_at=NOW + HOUR,
    )  # fmt: skip
    with services.db.write() as session:
        enqueue(session, services, [replace(one, n=n) for n in range(number)], now=NOW)
        session.execute(update(OutboxMail).values(**values))


@pytest.mark.parametrize(("number", "alerts"), [(20, 20), (21, 1)])
def test_more_than_twenty_mails_of_a_date_whose_end_is_unknown_have_one_alert_that_counts_them(
    services: Services, db: Database, team: People, number: int, alerts: int
) -> None:
    unsettled(services, team.suzuki, number, doubts=1)
    outbox.sweep(services, NOW + HOUR)
    with db.read() as session:
        found = {alert.name: alert.data for alert in open_alerts(session)}
    assert len(found) == alerts
    if alerts > 1:
        assert {name.partition(":")[0] for name in found} == {Alarm.MAIL_UNKNOWN}
    else:
        said = words_of("mails_unknown:2026-11-24", found["mails_unknown:2026-11-24"])
        assert said.what.en.startswith(f"{number} mails of 2026-11-24 ({team.suzuki.email}, ")
        assert "may or may not have been accepted" in said.what.en
        assert "--state unknown --date 2026-11-24" in said.fix.ja
        resending.resend_all(services, resending.Which(TODAY, "unknown"), who="x", now=NOW)
        with db.read() as session:
            assert open_alerts(session) == []


def test_the_alert_about_all_takes_the_place_of_those_about_the_mails_before(
    services: Services, db: Database, team: People
) -> None:
    unsettled(services, team.suzuki, 21, doubts=1)
    last = OutboxMail.n == 20
    with db.write() as session:
        session.execute(update(OutboxMail).where(last).values(expires_at=NOW + 2 * HOUR))
    outbox.sweep(services, NOW + HOUR)
    with db.read() as session:
        assert len(open_alerts(session)) == 20
    outbox.sweep(services, NOW + 2 * HOUR)
    with db.read() as session:
        assert [one.name for one in open_alerts(session)] == ["mails_unknown:2026-11-24"]


@pytest.mark.parametrize("values", [{"doubts": 1}, {"held": "restore"}], ids=["doubts", "restore"])
def test_many_mails_whose_end_is_unknown_end_a_thousand_in_a_transaction(
    services: Services, db: Database, team: People, values: dict[str, Any]
) -> None:
    unsettled(services, team.suzuki, 1_001, **values)
    ends: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        ends.append(statement)

    event.listen(services.db.engine, "before_cursor_execute", note)
    outbox.sweep(services, NOW + HOUR)
    event.remove(services.db.engine, "before_cursor_execute", note)
    assert sum("UPDATE outbox SET state" in one for one in ends) >= 3  # one for those that expire
    with db.read() as session:
        states = session.scalars(select(OutboxMail.state)).all()
        assert set(states) == {State.UNKNOWN}
        doubtful = [one.data for one in open_alerts(session) if one.data]
    assert [one["number"] for one in doubtful] == [1_001] * ("doubts" in values)


def test_what_a_restore_holds_back_ends_in_no_other_way(
    services: Services, db: Database, team: People
) -> None:
    """Its copy may be out: were it expired, the date would be made up for with a second one."""
    unsettled(services, team.suzuki, 1, held="restore")
    with db.write() as session:
        assert _expire(session, NOW + HOUR, 9) == _give_up_doubts(session, NOW + HOUR, 9) == 0
    outbox.sweep(services, NOW + HOUR)
    with db.read() as session:
        assert session.scalars(select(OutboxMail.state)).one() == State.UNKNOWN


def test_an_alert_mail_reads_the_alerts_that_it_shows_and_counts_the_others(
    services: Services, db: Database, admin: Member, smtp: SmtpServer
) -> None:
    broken(db)
    with db.write() as session:
        for mail in range(100):
            raise_alert(session, Alarm.MAIL_FAILED, mail, now=NOW)
    notify_admins(services, LATER)
    read: list[Alert] = []

    def note(one: Alert, _context: object) -> None:
        read.append(one)

    event.listen(Alert, "load", note)
    sent(services, LATER)
    event.remove(Alert, "load", note)
    (subject,) = subjects(smtp)
    assert subject == "【警告】メールサーバーを使えません(断られました) ほか100件"
    body = message_from_bytes(smtp.mails[0].data, policy=policy.default).get_body(("plain",))
    assert body is not None
    assert "ほか81件" in body.get_content()
    assert len(read) == 20


@pytest.mark.parametrize(("alarm", "about"), [(Alarm.MEMBER, "17"), (Alarm.TEAM, "17")])
def test_who_cannot_be_planned_is_named_by_address(alarm: Alarm, about: str) -> None:
    said = words_of(f"{alarm}:{about}", {"to": "suzuki@example.jp", "fault": "x"}).what
    assert all("suzuki@example.jp" in one for one in said)
