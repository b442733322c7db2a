"""A refusal ends only the mail whose fault it is: of the sender, of everybody, of one, of a machine."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import cycle, repeat

import pytest
from sqlalchemy import select, update

from app import reminders
from app.alerts import Alarm
from app.alerts.catalogue import words_of
from app.channel import Fault
from app.db import Database
from app.locale import Both
from app.models import Alert, Member, OutboxMail, Service, State
from app.monitoring import status
from app.outbox.breaker import Breaker
from app.outbox.repeated_refusals import NAME
from app.services import Services
from app.smtp.errors import MailSendError
from app.smtp.fault import REMEDIES, Phase
from tests import sending
from tests.conftest import NOW, People
from tests.smtp_server import SmtpServer
from tests.test_outbox_lines import at, changed, crowd, mails, open_alerts, planned, states

pytestmark = pytest.mark.pages  # what the mail server says, not SQL

SECOND = timedelta(seconds=1)
SENDER = (
    "550 5.1.0 <bounce@example.jp>: Sender address rejected: User unknown in virtual mailbox table"
)
QUOTA = "550 5.4.5 Daily user sending limit exceeded"
NOT_OWNED = "553 5.7.1 <app@example.jp>: Sender address rejected: not owned by user app"
# In no table: only that everybody is told so shows whose fault it is.
UNHEARD_OF = "554 5.0.0 computer says no, case {}"


def says(smtp: SmtpServer, step: str, answers: Sequence[str] | str) -> None:
    """The server gives these answers at `step`, a single one again and again."""
    smtp._script = {step: repeat(answers) if isinstance(answers, str) else iter(answers)}


def alert(db: Database, name: str) -> Alert:
    with db.read() as session:
        found = select(Alert).where(Alert.name == name, Alert.closed_at.is_(None))
        return session.scalars(found).one()


def service(db: Database, name: str) -> Service | None:
    with db.read() as session:
        return session.get(Service, name)


# --- the sender's, the account's ----------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "answer", "fault"),
    [
        ("rcpt", SENDER, Fault.SENDER),
        ("rcpt", "553 5.1.7 bad sender", Fault.SENDER),
        ("rcpt", NOT_OWNED, Fault.SENDER),
        ("data", QUOTA, Fault.QUOTA),
        ("dot", QUOTA, Fault.QUOTA),
        ("dot", "554 Message rejected: Sending suspended for this account.", Fault.ACCOUNT),
    ],
)
def test_a_fault_of_the_sender_ends_no_mail_and_once_mended_all_go_out(  # noqa: PLR0917 - all fixtures
    step: str, answer: str, fault: Fault, services: Services, db: Database, team: People,
    smtp: SmtpServer,
) -> None:  # fmt: skip
    crowd(db, team, 8)
    four = changed(services, smtp_connections=4)
    ids = planned(four)
    says(smtp, step, answer)
    for minute in (0, 1, 3, 7, 12, 17):
        sending.deliver(four, ids, at(NOW + timedelta(minutes=minute)))
    assert states(db) == [State.READY] * 8
    assert {(mail.claims, mail.retries) for mail in mails(db)} == {(0, 0)}
    assert answer[4:40] in str([mail.response for mail in mails(db)])
    assert open_alerts(db) == [Alarm.MAIL_SERVER]
    told = alert(db, Alarm.MAIL_SERVER)
    assert (told.data or {})["fault"] == fault
    words = words_of(told.name, told.data)
    assert answer[4:40] in words.what.en
    assert ".env" in words.fix.ja

    says(smtp, step, [])
    assert sending.deliver(four, ids, at(NOW + timedelta(minutes=22))) == 8
    assert open_alerts(db) == []
    with db.read() as session:
        assert session.scalars(select(Member.suppressed_reason)).all() == [None] * len(
            session.scalars(select(Member.id)).all()
        )


def test_a_quota_reached_in_the_middle_of_the_morning_ends_nothing(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 30)
    eight = changed(services, smtp_connections=8)
    ids = planned(eight)
    says(smtp, "dot", [*["ok"] * 12, *[QUOTA] * 100])
    assert sending.deliver(eight, ids, at(NOW)) == 12
    assert sorted(states(db)) == [State.ACCEPTED] * 12 + [State.READY] * 18
    says(smtp, "dot", [])
    assert sending.deliver(eight, ids, at(NOW + 31 * SECOND)) == 18


# --- everybody's --------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 4, 8])
@pytest.mark.parametrize("step", ["rcpt", "dot"])
def test_the_same_refusal_for_three_in_a_row_is_not_theirs_whatever_it_says(  # noqa: PLR0917 - all fixtures
    step: str, connections: int, services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 12)
    many = changed(services, smtp_connections=connections)
    ids = planned(many)
    says(smtp, step, [UNHEARD_OF.format(f"{n}f3") for n in range(100)])
    sending.deliver(many, ids, at(NOW))
    assert states(db) == [State.READY] * 12
    assert open_alerts(db) == [Alarm.MAIL_SERVER]
    assert (
        len([one for one in smtp.said() if one.startswith("RCPT")]) <= 4 * connections
    )  # one more each is offered with the dot
    assert sending.deliver(many, ids, at(NOW + 31 * SECOND)) == 0
    says(smtp, step, [])
    assert sending.deliver(many, ids, at(NOW + 120 * SECOND)) == 12
    assert open_alerts(db) == []


def test_three_in_a_row_are_counted_over_all_deliveries_and_senders(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 5)
    ids = planned(services)
    says(smtp, "dot", [UNHEARD_OF.format(f"{n}f3") for n in range(100)])
    for n in range(2):
        sending.deliver(services, [ids[n]], at(NOW + n * SECOND))
    assert states(db) == [State.FAILED] * 2 + [State.READY] * 3
    assert open_alerts(db) == [f"mail_failed:{ids[0]}", f"mail_failed:{ids[1]}"]
    other = replace(services, host="another-machine")
    sending.deliver(other, [ids[2]], at(NOW + 2 * SECOND))
    assert states(db) == [State.READY] * 5
    assert open_alerts(db) == [Alarm.MAIL_SERVER]
    says(smtp, "dot", [])
    assert sending.deliver(services, ids, at(NOW + 60 * SECOND)) == 5


def test_a_mail_that_is_accepted_ends_the_row(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 9)
    no = UNHEARD_OF.format("1f3")
    says(smtp, "rcpt", [no, no, "ok"] * 3)
    assert sending.deliver(services, planned(services), at(NOW)) == 3
    assert states(db) == [State.FAILED, State.FAILED, State.ACCEPTED] * 3
    assert service(db, Breaker().name) is None


def test_what_another_sender_had_accepted_meanwhile_ends_the_row(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 4)
    ids = planned(services)
    no = UNHEARD_OF.format("1f3")
    says(smtp, "rcpt", no)
    for n in range(2):
        sending.deliver(services, [ids[n]], at(NOW))
    with db.write() as session:  # a sender that has accepted mails all the while
        accepted = {"state": State.ACCEPTED, "accepted_at": NOW + SECOND, "created_at": NOW}
        session.execute(update(OutboxMail).where(OutboxMail.id == ids[3]).values(accepted))
    sending.deliver(services, [ids[2]], at(NOW + 2 * SECOND))
    assert states(db) == [State.FAILED] * 3 + [State.ACCEPTED]
    assert service(db, Breaker().name) is None


def test_one_mail_refused_again_and_again_is_no_row(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 1)
    ids = planned(services)
    says(smtp, "rcpt", "451 4.3.0 not now")
    for hour in range(4):
        sending.deliver(services, ids, at(NOW + timedelta(hours=hour)))
    assert states(db) == [State.READY]
    assert mails(db)[0].retries == 4
    assert service(db, Breaker().name) is None


def test_a_wrong_address_fails_at_once_and_many_of_them_stop_nobody(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """A file with a misspelt domain: each line is refused, and each is believed."""
    crowd(db, team, 10)
    says(smtp, "rcpt", ["550 5.1.1 no such user"] * 7)
    assert sending.deliver(services, planned(services), at(NOW)) == 3
    assert states(db) == [State.FAILED] * 7 + [State.ACCEPTED] * 3
    assert service(db, Breaker().name) is None


def test_a_server_that_does_not_know_whom_it_knew_yesterday_is_not_believed(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 5)
    assert sending.deliver(services, planned(services), at(NOW)) == 5
    tomorrow = NOW + timedelta(days=1)
    ids = reminders.plan(services, tomorrow).ids
    says(smtp, "rcpt", "550 5.1.1 User unknown in virtual mailbox table")
    sending.deliver(services, ids, at(tomorrow))
    assert states(db) == [State.ACCEPTED] * 5 + [State.READY] * 5
    says(smtp, "rcpt", [])
    assert sending.deliver(services, ids, at(tomorrow + 31 * SECOND)) == 5


def test_a_group_that_is_refused_in_unheard_of_words_does_not_keep_the_others_waiting(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """Seven of ten, at a company that takes no mail from here: the others go, the seven fail."""
    members = crowd(db, team, 10)
    with db.write() as session:
        for n, member in enumerate(members[:7]):
            address = f"m{n}+554-5-0-0@company.example"
            session.execute(update(Member).where(Member.id == member).values(email=address))
    ids = planned(services)
    moment = NOW
    for _ in range(20):
        sending.deliver(services, ids, at(moment))
        moment += 31 * SECOND
    assert states(db) == [State.FAILED] * 7 + [State.ACCEPTED] * 3
    assert service(db, Breaker().name) is None


# --- one recipient's ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "full", ["452 Mailbox full", "452 4.2.2 over quota", "450 4.2.1 receiving mail too quickly"]
)
def test_a_full_mailbox_waits_alone(
    full: str, services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 6)
    says(smtp, "rcpt", [full])
    assert sending.deliver(services, planned(services), at(NOW)) == 5
    assert states(db) == [State.READY] + [State.ACCEPTED] * 5
    first = mails(db)[0]
    assert full in (first.response or "")
    assert (first.retries, first.not_before > NOW) == (1, True)
    assert service(db, Breaker().name) is None


def test_the_probe_is_another_mail_than_the_one_that_met_the_trouble(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """A server that hangs up on one recipient: the others wait for one pause, and not all day."""
    members = crowd(db, team, 6)
    with db.write() as session:
        session.execute(
            update(Member).where(Member.id == members[0]).values(email="m0+drop421@example.jp")
        )
    ids = planned(services)
    assert sending.deliver(services, ids, at(NOW)) == 0
    assert sending.deliver(services, [ids[0]], at(NOW + 31 * SECOND)) == 1  # another than asked for
    assert sending.deliver(services, ids[1:], at(NOW + 32 * SECOND)) == 4
    for minute in (1, 2, 3, 4):
        sending.deliver(services, ids, at(NOW + timedelta(minutes=minute)))
    first = mails(db)[0]
    assert (first.state, first.retries > 0) == (State.READY, True)
    assert service(db, Breaker().name) is None


def test_a_mail_alone_probes_for_itself(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 1)
    ids = planned(services)
    says(smtp, "rcpt", ["421 4.3.2 going down"])
    assert sending.deliver(services, ids, at(NOW)) == 0
    assert sending.deliver(services, ids, at(NOW + 31 * SECOND)) == 1


def test_an_answer_in_two_languages_stands_whole_in_the_alert_of_each(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """It looks like a pair of ours, and half of it would be lost with the code."""
    crowd(db, team, 1)
    (mail_id,) = planned(services)
    says(smtp, "rcpt", [answer := "550 5.1.1 宛先不明 / user unknown"])
    sending.deliver(services, [mail_id], at(NOW))
    name = f"mail_failed:{mail_id}"
    words = words_of(name, alert(db, name).data)
    assert answer in words.what.ja
    assert answer in words.what.en
    assert words.fix.en.startswith(REMEDIES[Fault.ADDRESS].en)
    (shown,) = status.troubles(services, NOW)
    assert answer in shown.sentence.ja
    assert answer in shown.sentence.en


def test_a_recipient_to_whom_the_server_does_not_relay_stops_the_others_once(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 5)
    ids = planned(services)
    denied = "554 5.7.1 <m0@example.jp>: Relay access denied"
    says(smtp, "rcpt", [denied])
    assert sending.deliver(services, ids, at(NOW)) == 0
    assert sending.deliver(services, ids[1:], at(NOW + 31 * SECOND)) == 4
    says(smtp, "rcpt", [denied])
    sending.deliver(services, ids, at(NOW + 40 * SECOND))
    assert states(db) == [State.FAILED] + [State.ACCEPTED] * 4
    assert service(db, Breaker().name) is None
    assert open_alerts(db) == [f"mail_failed:{ids[0]}"]
    words = words_of(f"mail_failed:{ids[0]}", alert(db, f"mail_failed:{ids[0]}").data)
    assert "m0@example.jp" in words.what.en
    assert "Relay access denied" in words.what.ja


# --- too fast -----------------------------------------------------------------------------


def test_throttling_without_an_enhanced_code_slows_down_and_all_go_in_the_end(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 12)
    slow = changed(services, test_time_scale=0.01, smtp_timeout=200.0, smtp_connections=4)
    ids = planned(slow)
    fast = "454 Throttling failure: Maximum sending rate exceeded."
    smtp._script = {"dot": cycle([*["ok"] * 3, fast])}
    for n in range(12):
        sending.deliver(slow, ids, at(NOW + timedelta(minutes=10 * n)))
    assert states(db) == [State.ACCEPTED] * 12
    assert service(db, NAME) is None


# --- a machine's own ----------------------------------------------------------------------


def two_machines(services: Services, nowhere: bool = True) -> tuple[Services, Services]:
    """One whose resolver knows no mail server, and one that is well."""
    lost = changed(services, smtp_host="mail.localhost" if nowhere else "127.0.0.1")
    return replace(lost, host="lost"), replace(services, host="well")


def test_a_machine_without_a_resolver_stops_only_itself(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 8)
    lost, well = two_machines(services)
    ids = planned(services)
    assert sending.deliver(lost, ids, at(NOW)) == 0
    assert service(db, Breaker().name) is None
    assert sending.deliver(well, ids[:4], at(NOW + SECOND)) == 4
    for seconds in (31, 92, 213):
        assert sending.deliver(lost, ids, at(NOW + seconds * SECOND)) == 0
    assert service(db, Breaker().name) is None
    assert open_alerts(db) == ["mail_server_unusable:lost"]
    words = words_of("mail_server_unusable:lost", alert(db, "mail_server_unusable:lost").data)
    assert "lost" in words.what.en
    assert "DNS" in words.fix.en
    assert sending.deliver(well, ids[4:], at(NOW + 214 * SECOND)) == 4
    mended = replace(well, host="lost")
    later = NOW + timedelta(days=1)
    assert sending.deliver(mended, reminders.plan(services, later).ids, at(later)) > 0
    assert open_alerts(db) == []


def test_when_nobody_has_a_way_all_stop_and_it_is_told(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 3)
    lost, well = two_machines(services)
    ids = planned(services)
    for seconds in (0, 31, 92, 213):
        assert sending.deliver(lost, ids, at(NOW + seconds * SECOND)) == 0
    assert service(db, Breaker().name) is not None
    assert open_alerts(db) == [Alarm.MAIL_SERVER]
    # Another machine may try at once: the lost one keeps no probe for itself.
    assert sending.deliver(well, ids, at(NOW + 214 * SECOND)) == 3
    assert open_alerts(db) == []


# --- what is told -------------------------------------------------------------------------


def test_the_reason_of_an_alert_follows_the_facts(
    services: Services, db: Database, team: People
) -> None:
    away = MailSendError(Phase.CONNECT, Both("接続を断られました。", "The connection was refused."))
    refused = MailSendError(Phase.AUTH, Both("断られました。", "The login was refused."))

    def told() -> str:
        one = alert(db, Alarm.MAIL_SERVER)
        return words_of(one.name, one.data).what.en

    def trip(error: MailSendError, moment: datetime) -> None:
        with db.write() as session:
            Breaker().trip(session, error, moment)

    trip(away, NOW)
    trip(away, NOW + 121 * SECOND)
    assert "connection was refused" in told()
    trip(refused, NOW + 200 * SECOND)
    assert "login was refused" in told()
    trip(away, NOW + 300 * SECOND)
    assert "connection was refused" in told()
