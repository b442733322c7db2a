"""The life of one mail: claimed, read again, sent, recorded; on both databases, over real SMTP."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
import redis
from sqlalchemy import select, update

from app import outbox, reminders
from app.config import load
from app.db import AutocommitConnection, Database
from app.mime.message import Envelope
from app.models import DaysOff, DecisionRow, Member, OutboxMail, Report, State, Task
from app.monitoring import status
from app.outbox.compression import pack
from app.services import Services, make
from app.util.redis_guard import guard_key
from tests import sending
from tests.conftest import NOW, TODAY, Hooked, People, task
from tests.smtp_server import SmtpServer

SECOND = timedelta(seconds=1)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)  # leases go by the database's clock


def at(moment: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: moment


def mails(db: Database) -> list[OutboxMail]:
    with db.read() as session:
        return list(session.scalars(select(OutboxMail).order_by(OutboxMail.id)))


def only(db: Database) -> OutboxMail:
    (mail,) = mails(db)
    return mail


def decision(db: Database, member: Member) -> DecisionRow:
    with db.read() as session:
        return session.scalars(select(DecisionRow).where(DecisionRow.user_id == member.id)).one()


def lapse(db: Database, **values: object) -> None:
    """Lets every lease run out, as after a sender that died."""
    with db.write() as session:
        session.execute(
            update(OutboxMail)
            .where(OutboxMail.lease_token.is_not(None))
            .values(lease_until=LONG_AGO, **values)
        )


def suzuki_only(db: Database, team: People, tag: str = "") -> Member:
    """鈴木さん alone has a task; `tag` tells the server how to treat the address."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
        if tag:
            address = f"suzuki+{tag}@example.jp"
            session.execute(update(Member).where(Member.id == team.suzuki.id).values(email=address))
    return team.suzuki


def planned(services: Services) -> list[int]:
    return reminders.plan(services, NOW).ids


# --- the good day -------------------------------------------------------------------------


def test_a_due_mail_is_accepted_and_the_answer_recorded(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team)
    assert sending.deliver(services, planned(services), at(NOW)) == 1
    mail = only(db)
    assert (mail.state, mail.accepted_at, mail.response) == (
        State.ACCEPTED,
        NOW,
        "250 2.0.0 taken",
    )
    received = message_from_bytes(smtp.mails[0].data, policy=policy.default)
    assert received["To"].addresses[0].addr_spec == "suzuki.ichiro@example.jp"
    assert received["Message-ID"] == mail.message_id
    body = received.get_body(("plain",))
    assert body is not None
    assert "タスク T-1" in body.get_content()
    assert mail.subject == received["Subject"]
    assert mail.task_refs == ["T-1"]


def test_ten_copies_of_every_id_send_one_mail_each(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    with db.write() as session:
        session.add_all([task("T-1", team.sato), task("T-2", team.suzuki)])
    ids = planned(services)
    threads = [
        threading.Thread(target=sending.deliver, args=(services, ids, at(NOW))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    sending.deliver(services, ids * 5, at(NOW))
    for thread in threads:
        thread.join()
    assert sorted(mail.recipient for mail in smtp.mails) == [
        "sato.hanako@example.jp",
        "suzuki.ichiro@example.jp",
    ]


def test_a_forgotten_mail_is_found_by_the_sweep(
    services: Services, db: Database, team: People
) -> None:
    suzuki_only(db, team)
    ids = planned(services)
    assert outbox.sweep(services, NOW) == ids
    assert outbox.sweep(services, NOW, fresh=30 * SECOND) == []
    assert outbox.sweep(services, NOW + 31 * SECOND, fresh=30 * SECOND) == ids


# --- read again right before sending --------------------------------------------------------


def test_a_task_reported_after_the_decision_is_not_in_the_letter(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    with db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.suzuki)])
    ids = planned(services)
    report(db, team.suzuki, "T-1", TODAY)
    sending.deliver(services, ids, at(NOW))
    assert only(db).task_refs == ["T-2"]


def test_when_all_is_reported_meanwhile_no_mail_goes_and_the_decision_says_so(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    member = suzuki_only(db, team)
    ids = planned(services)
    report(db, member, "T-1", date(2026, 11, 20))
    sending.deliver(services, ids, at(NOW))
    assert (only(db).state, only(db).reason) == (State.SUPPRESSED, "reported_meanwhile")
    assert (decision(db, member).verdict, decision(db, member).reason) == (
        "skip",
        "reported_meanwhile",
    )
    assert smtp.mails == []


def report(db: Database, member: Member, ref: str, day: date) -> None:
    with db.write() as session:
        task_id = session.scalars(select(Task.id).where(Task.ref == ref)).one()
        session.add(
            Report(
                task_id=task_id,
                reporter_id=member.id,
                counts_for=day,
                percent=50,
                status="on_track",
                text="",
                created_at=NOW,
            )
        )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"active": False}, "inactive"),
        ({"notify_frequency": "none"}, "opted_out"),
        ({"paused_until": date(2026, 12, 1)}, "paused"),
        ({"suppressed_reason": "5.1.1"}, "address_suppressed"),
    ],
)
def test_a_change_of_the_member_stops_a_mail_that_was_decided(  # noqa: PLR0917 - all fixtures
    services: Services,
    db: Database,
    team: People,
    smtp: SmtpServer,
    values: dict[str, Any],
    reason: str,
) -> None:
    member = suzuki_only(db, team)
    ids = planned(services)
    with db.write() as session:
        session.execute(update(Member).where(Member.id == member.id).values(**values))
    sending.deliver(services, ids, at(NOW))
    assert (only(db).state, only(db).reason) == (State.SUPPRESSED, reason)
    assert decision(db, member).reason == reason
    assert smtp.mails == []


def test_leave_taken_this_morning_stops_this_mornings_mail(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    member = suzuki_only(db, team)
    ids = planned(services)
    with db.write() as session:
        session.add(DaysOff(user_id=member.id, first_day=TODAY, last_day=TODAY))
    sending.deliver(services, ids, at(NOW))
    assert (only(db).state, only(db).reason, smtp.mails) == (State.SUPPRESSED, "on_leave", [])


def test_a_mail_too_late_is_expired_and_so_is_its_decision(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    member = suzuki_only(db, team)
    planned(services)
    outbox.sweep(services, NOW + timedelta(hours=9))
    assert only(db).state == State.EXPIRED
    assert decision(db, member).reason == "expired"


def test_a_pilot_reaches_only_who_is_named(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    with db.write() as session:
        session.add_all([task("T-1", team.sato), task("T-2", team.suzuki)])
    pilot = replace(
        services,
        config=services.config.model_copy(update={"mail_only_to": ("sato.hanako@example.jp",)}),
    )
    sending.deliver(pilot, planned(pilot), at(NOW))
    assert [mail.recipient for mail in smtp.mails] == ["sato.hanako@example.jp"]
    assert [mail.reason for mail in mails(db)] == [None, "not_in_pilot"]


# --- pause --------------------------------------------------------------------------------


def test_pause_stops_all_and_resume_starts_again(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team)
    ids = planned(services)
    status.pause(services, who="operator", now=NOW)
    assert sending.deliver(services, ids, at(NOW)) == 0
    assert (only(db).state, status.status(services, NOW)["paused"]) == (State.READY, True)
    status.resume(services, who="operator", now=NOW)
    assert sending.deliver(services, ids, at(NOW)) == 1


def test_without_a_mail_server_mails_stay_ready(
    services: Services, db: Database, team: People
) -> None:
    suzuki_only(db, team)
    ids = planned(services)
    silent = replace(services, config=services.config.model_copy(update={"smtp_host": None}))
    assert sending.deliver(silent, ids, at(NOW)) == 0
    assert only(db).state == State.READY


# --- refusals -----------------------------------------------------------------------------


def test_a_temporary_refusal_waits_a_minute_then_five_and_is_accepted(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team, "451x2")
    ids = planned(services)
    sending.deliver(services, ids, at(NOW))
    first = only(db)
    assert (first.state, first.retries) == (State.READY, 1)
    assert 48 * SECOND <= first.not_before - NOW <= 60 * SECOND
    assert sending.deliver(services, ids, at(NOW)) == 0  # not before its time
    again = first.not_before
    sending.deliver(services, ids, at(again))
    second = only(db)
    assert 240 * SECOND <= second.not_before - again <= 300 * SECOND
    assert sending.deliver(services, ids, at(second.not_before)) == 1


@pytest.mark.parametrize("tag", ["550", "dot554"])
def test_a_refusal_for_good_fails_this_mail_with_the_servers_words(
    services: Services, db: Database, team: People, smtp: SmtpServer, tag: str
) -> None:
    suzuki_only(db, team, tag)
    sending.deliver(services, planned(services), at(NOW))
    mail = only(db)
    assert mail.state == State.FAILED
    assert mail.response is not None
    assert tag[-3:] in mail.response
    assert len(status.status(services, NOW)["alerts"]) == 1


def test_one_bad_address_does_not_stop_the_others(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team, "550")
    with db.write() as session:
        session.add_all([task("T-2", team.sato), task("T-3", team.tanaka)])
    sending.deliver(services, planned(services), at(NOW))
    assert [mail.state for mail in mails(db)] == [State.ACCEPTED, State.FAILED, State.ACCEPTED]


def test_a_server_that_is_away_costs_no_mail_its_claims(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team)
    ids = planned(services)
    smtp.stop()
    for n in range(7):  # more often than a mail may be claimed
        sending.deliver(services, ids, at(NOW + n * 31 * SECOND))
    mail = only(db)
    assert (mail.state, mail.claims) == (State.READY, 0)


def told_of_the_server(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [one for one in caplog.records if one.message == "MailSendError"]


def test_a_server_that_is_away_is_in_the_log_once_a_try(
    services: Services,
    db: Database,
    team: People,
    smtp: SmtpServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By the name that the specification's runbook looks for, however many mails wait."""
    with db.write() as session:
        session.add_all([task("T-1", team.sato), task("T-2", team.suzuki)])
    ids = planned(services)
    smtp.stop()
    for n in (0, 31, 31 + 61):
        sending.deliver(services, ids, at(NOW + n * SECOND))
    sending.deliver(services, ids, at(NOW + 93 * SECOND))  # nobody tries: the breaker is open
    told = told_of_the_server(caplog)
    assert [one.levelname for one in told] == ["WARNING"] * 3
    assert vars(told[0])["facts"]["phase"] == "connect"
    assert "refused" in vars(told[0])["facts"]["why"]


def test_a_servers_own_words_about_its_outage_stay_out_of_the_log(
    services: Services,
    db: Database,
    team: People,
    smtp: SmtpServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They may quote whoever the mail is from or for."""
    suzuki_only(db, team)
    smtp._script = {"mail": iter(["451 4.3.0 <app@example.jp>: lookup failed"])}
    sending.deliver(services, planned(services), at(NOW))
    (told,) = told_of_the_server(caplog)
    facts = vars(told)["facts"]
    assert (facts["phase"], facts["code"], facts["status"]) == ("mail", 451, "4.3.0")
    assert "app@example.jp" not in str(facts)


def test_a_letter_that_cannot_be_built_fails_alone(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team)
    with db.write() as session:
        session.add(task("T-2", team.sato))
        session.execute(
            update(Member).where(Member.id == team.suzuki.id).values(email="not an address")
        )
    sending.deliver(services, planned(services), at(NOW))
    assert [mail.state for mail in mails(db)] == [State.ACCEPTED, State.FAILED]


# --- in doubt -----------------------------------------------------------------------------


def test_no_answer_to_the_dot_is_sent_once_more_with_the_same_bytes(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team, "closedotlostx1")
    ids = planned(services)
    sending.deliver(services, ids, at(NOW))
    first = only(db)
    assert (first.state, first.doubts) == (State.IN_DOUBT, 1)
    assert sending.deliver(services, ids, at(NOW)) == 0  # the lease holds
    lapse(db)
    assert sending.deliver(services, outbox.sweep(services, NOW), at(NOW + 60 * SECOND)) == 1
    assert only(db).state == State.ACCEPTED
    assert pack(Envelope("app@example.jp", smtp.mails[0].recipient, smtp.mails[0].data)) == (
        first.sent_bytes
    )


def test_in_doubt_twice_is_unknown_after_at_most_two_copies(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team, "closedot")
    ids = planned(services)
    sending.deliver(services, ids, at(NOW))
    lapse(db)
    sending.deliver(services, ids, at(NOW))
    lapse(db)
    assert outbox.sweep(services, NOW) == []
    assert sending.deliver(services, ids, at(NOW)) == 0
    assert (only(db).state, len(smtp.mails)) == (State.UNKNOWN, 2)
    assert smtp.mails[0].data == smtp.mails[1].data


def test_in_doubt_and_reported_meanwhile_is_unknown_not_sent_again(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    member = suzuki_only(db, team, "closedot")
    ids = planned(services)
    sending.deliver(services, ids, at(NOW))
    lapse(db)
    report(db, member, "T-1", TODAY)
    sending.deliver(services, ids, at(NOW))
    assert (only(db).state, len(smtp.mails)) == (State.UNKNOWN, 1)


def test_in_doubt_past_its_expiry_is_unknown(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team, "closedot")
    sending.deliver(services, planned(services), at(NOW))
    lapse(db)
    outbox.sweep(services, NOW + timedelta(hours=10))
    assert (only(db).state, len(smtp.mails)) == (State.UNKNOWN, 1)


def test_a_temporary_refusal_at_the_dot_is_no_doubt(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team, "dot451x1")
    ids = planned(services)
    sending.deliver(services, ids, at(NOW))
    mail = only(db)
    assert (mail.state, mail.doubts, mail.sent_bytes) == (State.READY, 0, None)
    assert sending.deliver(services, ids, at(mail.not_before)) == 1


def test_a_sender_that_lost_its_lease_sends_no_dot(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """As one that was stopped for minutes between the body and the dot."""
    suzuki_only(db, team)
    ids = planned(services)
    calls: list[int] = []

    class Thief(Database):
        def write(self) -> Any:
            self._steal()
            return super().write()

        def each_by_itself(self) -> AutocommitConnection:
            return Hooked(self._each_by_itself, self._steal)

        def _steal(self) -> None:
            calls.append(1)
            if len(calls) == 2:  # the first is the claim
                with db.write() as session:
                    session.execute(update(OutboxMail).values(lease_token="somebody else's"))

    thief = Thief(services.config.database_url)
    sending.deliver(replace(services, db=thief), ids, at(NOW))
    thief.close()
    assert smtp.mails == []
    assert only(db).state == State.SENDING


def test_a_mail_that_kills_its_sender_five_times_is_dead(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team)
    ids = planned(services)
    with db.write() as session:
        session.execute(
            update(OutboxMail).values(
                state=State.SENDING,
                claims=5,
                lease_token="of the fifth sender",
                lease_until=LONG_AGO,
            )
        )
    sending.deliver(services, ids, at(NOW))
    assert (only(db).state, smtp.mails) == (State.DEAD, [])


# --- the Redis guard ------------------------------------------------------------------------


def test_the_guard_of_another_program_stops_the_mail(
    services: Services, db: Database, team: People, smtp: SmtpServer, redis_admin: redis.Redis
) -> None:
    member = suzuki_only(db, team)
    redis_admin.set(guard_key(member.id, TODAY), "1")
    sending.deliver(services, planned(services), at(NOW))
    assert (only(db).state, only(db).reason) == (State.SUPPRESSED, "already_sent")
    assert decision(db, member).reason == "already_sent"
    assert smtp.mails == []


def test_the_guard_is_held_for_a_day_after_the_mail_was_accepted(
    services: Services, db: Database, team: People, smtp: SmtpServer, redis_admin: redis.Redis
) -> None:
    member = suzuki_only(db, team)
    sending.deliver(services, planned(services), at(NOW))
    key = f"remind:{member.id}:2026-11-24"
    assert redis_admin.get(key) == f"{services.installation.id()}:{only(db).id}"
    assert 86_000 < int(str(redis_admin.ttl(key))) <= 86_400


def test_the_guard_is_released_when_the_mail_was_certainly_not_accepted(
    services: Services, db: Database, team: People, smtp: SmtpServer, redis_admin: redis.Redis
) -> None:
    suzuki_only(db, team, "451x1")
    sending.deliver(services, planned(services), at(NOW))
    assert redis_admin.keys("remind:*") == []


def test_the_guard_is_kept_while_in_doubt(
    services: Services, db: Database, team: People, smtp: SmtpServer, redis_admin: redis.Redis
) -> None:
    suzuki_only(db, team, "closedot")
    sending.deliver(services, planned(services), at(NOW))
    assert len(list(redis_admin.keys("remind:*"))) == 1


def test_without_redis_the_mail_goes_all_the_same(
    environ: dict[str, str], db: Database, team: People, smtp: SmtpServer, tmp_path: Any
) -> None:
    nowhere = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "CELERY_RESULT_BACKEND": ""}
    config = load({**environ, **nowhere, "SMTP_PORT": str(smtp.port)}, tmp_path)
    services = make(config)
    suzuki_only(db, team)
    assert sending.deliver(services, planned(services), at(NOW)) == 1
    services.db.close()


# --- an operator's hand -----------------------------------------------------------------------


def test_only_a_ready_mail_can_be_cancelled(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    member = suzuki_only(db, team)
    (mail_id,) = planned(services)
    outbox.cancel(services, mail_id, who="operator", now=NOW)
    assert only(db).state == State.CANCELLED
    assert decision(db, member).reason == "cancelled"
    with pytest.raises(outbox.NotPossible):
        outbox.cancel(services, mail_id, who="operator", now=NOW)
    with pytest.raises(outbox.NoSuchMail):
        outbox.cancel(services, 999, who="operator", now=NOW)


def test_resending_makes_a_new_mail_with_another_message_id(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team)
    (mail_id,) = planned(services)
    sending.deliver(services, [mail_id], at(NOW))
    queued: list[Sequence[int]] = []
    again = outbox.resend(
        replace(services, publish=queued.append), mail_id, who="operator", now=NOW
    )
    assert queued == [[again]]
    assert sending.deliver(services, [again], at(NOW)) == 1
    first, second = smtp.mails
    assert _id_of(first.data) != _id_of(second.data)
    assert outbox.show(services, mail_id)["history"][-1]["event"] == "resent"


def _id_of(data: bytes) -> str:
    return str(message_from_bytes(data, policy=policy.default)["Message-ID"])


def test_showing_a_mail_tells_its_life_and_its_source(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    suzuki_only(db, team, "451x1")
    (mail_id,) = planned(services)
    sending.deliver(services, [mail_id], at(NOW))
    sending.deliver(services, [mail_id], at(only(db).not_before))
    shown = outbox.show(services, mail_id)
    assert [one["event"] for one in shown["history"]] == ["deferred"]
    assert shown["state"] == "accepted"
    assert "Subject:" in shown["source"]
    (row,) = outbox.listing(services, state="accepted", on=TODAY)
    assert (row["id"], row["attempts"]) == (mail_id, 2)
    assert list(outbox.listing(services, email="nobody@example.jp")) == []
