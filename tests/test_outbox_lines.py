"""Several lines, the breaker, the rate, the pause: what a sender does beyond one good mail."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import time_machine
from sqlalchemy import select, update

from app import outbox, reminders
from app.alerts import Alarm
from app.config import load
from app.db import AutocommitConnection, Database
from app.members.changes import set_member
from app.models import Alert, Member, OutboxMail, Service, State
from app.monitoring import status
from app.outbox import breaker
from app.outbox.claim import claim
from app.outbox.lease import CLAIMS_AT_MOST
from app.services import Services, make
from app.util.rate import Limits, Rate, windows
from app.why.reminder import explain
from tests import sending
from tests.conftest import NOW, Hooked, People, task
from tests.databases import on_sqlite
from tests.smtp_server import SmtpServer
from tests.test_mailer_ahead import impatient

pytestmark = pytest.mark.pages  # what the mail server says, not SQL

SECOND = timedelta(seconds=1)


def at(moment: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: moment


def changed(services: Services, **values: object) -> Services:
    """The same services with other settings."""
    return replace(services, config=services.config.model_copy(update=values))


def crowd(db: Database, team: People, number: int, tag: str = "") -> list[int]:
    """That many members with an unreported task each; `tag` for every second address."""
    with db.write() as session:
        members = [
            Member(
                email=f"m{n}{f'+{tag}' if tag and n % 2 else ''}@example.jp",
                name=f"メンバー{n}",
                decided_through=team.sato.decided_through,
                created_at=NOW,
            )
            for n in range(number)
        ]
        session.add_all(members)
        session.flush()
        session.add_all(task(f"C-{one.id}", one) for one in members)
    return [one.id for one in members]


def planned(services: Services) -> list[int]:
    ids = reminders.plan(services, NOW).ids
    return ids or [mail.id for mail in mails(services.db)]


def mails(db: Database) -> list[OutboxMail]:
    with db.read() as session:
        return list(session.scalars(select(OutboxMail).order_by(OutboxMail.id)))


def states(db: Database) -> list[str]:
    return [mail.state for mail in mails(db)]


# --- several lines ------------------------------------------------------------------------


def test_several_lines_share_the_work_and_send_each_mail_once(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 30)
    eight = changed(services, smtp_connections=8)
    assert sending.deliver(eight, planned(eight), at(NOW)) == 30
    assert len({mail.recipient for mail in smtp.mails}) == len(smtp.mails) == 30
    assert smtp.connections == 8


def test_a_line_that_hangs_does_not_cost_the_others_their_answers(
    services: Services,
    db: Database,
    team: People,
    smtp: SmtpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answers that came while another line was slow count, however late they are read."""
    crowd(db, team, 6, tag="hangdotlost")
    monkeypatch.setattr("app.smtp.settings.DOT_ANSWER", 1.2)
    hasty = changed(services, smtp_connections=6)
    sending.deliver(hasty, planned(hasty), at(NOW))
    assert states(db) == [State.ACCEPTED, State.IN_DOUBT] * 3
    assert len(smtp.mails) == 3


def test_a_line_that_is_refused_does_not_disturb_the_others(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 10, tag="550")
    four = changed(services, smtp_connections=4)
    assert sending.deliver(four, planned(four), at(NOW)) == 5
    assert states(db) == [State.ACCEPTED, State.FAILED] * 5


def test_two_senders_at_once_send_each_mail_once(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 40)
    ids = planned(services)
    others = [make(services.config) for _ in range(3)]
    threads = [threading.Thread(target=sending.deliver, args=(one, ids, at(NOW))) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.db.close()
    sending.deliver(services, ids, at(NOW))
    assert states(db) == [State.ACCEPTED] * 40
    assert len({mail.recipient for mail in smtp.mails}) == len(smtp.mails) == 40


def left_by_a_dead_sender(db: Database, ids: Sequence[int], claims: int) -> None:
    with db.write() as session:
        session.execute(
            update(OutboxMail)
            .where(OutboxMail.id.in_(ids))
            .values(
                state=State.SENDING,
                claims=claims,
                lease_token="of a sender that died",
                lease_until=NOW - timedelta(days=3650),
            )
        )


def claimed(db: Database, ids: Sequence[int]) -> list[int]:
    with db.write() as session:
        return [mail.id for mail in claim(session, ids, "mail", now=NOW, scale=1.0, at_most=128)]


def test_the_mails_of_a_dead_sender_come_a_few_at_a_time_and_after_the_new_ones(
    services: Services, db: Database, team: People
) -> None:
    """One by one, a sender killed by chance would cost as many claims as it had mails."""
    crowd(db, team, 20)
    ids = planned(services)
    left_by_a_dead_sender(db, ids[:10], claims=1)
    assert [claimed(db, ids) for _ in range(4)] == [ids[10:], ids[:8], ids[8:10], []]


def test_a_mail_that_lost_two_senders_comes_alone(
    services: Services, db: Database, team: People
) -> None:
    """If it is the one that kills senders, it takes no other mail's claims along any more."""
    crowd(db, team, 4)
    ids = planned(services)
    left_by_a_dead_sender(db, ids[:2], claims=2)
    assert [claimed(db, ids) for _ in range(4)] == [ids[2:], [ids[0]], [ids[1]], []]


def test_a_probe_is_one_mail_whatever_became_of_it_before(
    services: Services, db: Database, team: People
) -> None:
    crowd(db, team, 4)
    ids = planned(services)
    left_by_a_dead_sender(db, ids, claims=1)
    with db.write() as session:
        assert len(claim(session, ids, "mail", now=NOW, scale=1.0, at_most=1)) == 1


def test_a_mail_that_kills_its_senders_costs_the_others_two_claims_at_most(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 20)
    ids = planned(services)
    poison, others = ids[4], ids[:4] + ids[5:]

    def claimed_without_poison() -> bool:
        mine = claimed(db, ids)
        if poison not in mine:
            assert mine
            accepted = {"state": State.ACCEPTED, "accepted_at": NOW, "lease_token": None}
            with db.write() as session:
                session.execute(update(OutboxMail).where(OutboxMail.id.in_(mine)).values(accepted))
            return True
        for mail in mails(db):
            if mail.id in mine:
                left_by_a_dead_sender(db, [mail.id], claims=mail.claims)
        return False

    for _ in range(CLAIMS_AT_MOST):
        while claimed_without_poison():
            pass
    sending.deliver(services, ids, at(NOW))
    by_id = {mail.id: mail for mail in mails(db)}
    assert by_id[poison].state == State.DEAD
    assert {by_id[one].state for one in others} == {State.ACCEPTED}
    assert max(by_id[one].claims for one in others) == 3  # two lost, the third went well


# --- pause --------------------------------------------------------------------------------


def test_pause_stops_also_what_is_claimed_already(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 12)
    ids = planned(services)

    class PausesAfterTheFirst(Database):
        def write(self) -> Any:
            self._pause()
            return super().write()

        def each_by_itself(self) -> AutocommitConnection:
            return Hooked(self._each_by_itself, self._pause)

        def _pause(self) -> None:
            if smtp.mails and not status.status(services, NOW)["paused"]:
                status.pause(services, who="operator", now=NOW)

    with_pause = PausesAfterTheFirst(services.config.database_url)
    sending.deliver(replace(services, db=with_pause), ids, at(NOW))
    with_pause.close()
    assert len(smtp.mails) == 1
    assert states(db) == [State.ACCEPTED] + [State.READY] * 11
    assert {mail.claims for mail in mails(db)[1:]} == {0}


# --- the breaker --------------------------------------------------------------------------


def test_a_server_at_fault_is_left_alone_and_then_probed_by_one_mail(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 5)
    ids = planned(services)
    smtp.plan.script = {}
    smtp._script = {"mail": iter(["421 4.3.2 going down"] * 2)}
    sending.deliver(services, ids, at(NOW))
    assert smtp.mails == []
    assert sending.deliver(services, ids, at(NOW + 29 * SECOND)) == 0
    assert [mail.claims for mail in mails(db)] == [0] * 5
    assert sending.deliver(services, ids, at(NOW + 31 * SECOND)) == 0  # the probe is refused too
    assert sending.deliver(services, ids, at(NOW + 60 * SECOND)) == 0  # twice as long
    assert sending.deliver(services, ids, at(NOW + 92 * SECOND)) == 5
    with db.read() as session:
        assert session.get(Service, breaker.NAME) is None


def test_old_copies_of_ids_do_not_use_up_the_probe(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 2)
    ids = planned(services)
    smtp._script = {"banner": iter(["421 4.3.2 too busy"])}
    sending.deliver(services, ids, at(NOW))
    later = NOW + 40 * SECOND
    assert sending.deliver(services, [999_999], at(later)) == 0
    assert sending.deliver(services, ids, at(later)) == 2


def test_a_breaker_open_for_two_minutes_raises_an_alert_that_a_good_mail_closes(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 2)
    ids = planned(services)
    smtp._script = {"banner": iter(["421 4.3.2 too busy"])}
    sending.deliver(services, ids, at(NOW))
    assert open_alerts(db) == []
    outbox.sweep(services, NOW + 121 * SECOND)
    assert open_alerts(db) == [Alarm.MAIL_SERVER]
    sending.deliver(services, ids, at(NOW + 130 * SECOND))
    assert open_alerts(db) == []


def test_a_refused_login_raises_the_alert_at_once(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 1)
    smtp._script = {"mail": iter(["530 5.7.0 log in first"])}
    sending.deliver(services, planned(services), at(NOW))
    assert open_alerts(db) == [Alarm.MAIL_SERVER]


def open_alerts(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(Alert.name).where(Alert.closed_at.is_(None))))


# --- throttling and the rate --------------------------------------------------------------


def test_a_server_that_throttles_gets_all_mails_in_the_end(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 20)
    ids = planned(services)
    smtp._script = {"rcpt": cycle([*["ok"] * 5, "450 4.7.1 too fast"])}
    slow = changed(services, test_time_scale=0.01, smtp_timeout=200.0)
    moment = NOW
    for _ in range(12):
        sending.deliver(slow, ids, at(moment))
        moment += timedelta(minutes=10)
    assert states(db) == [State.ACCEPTED] * 20
    assert len(smtp.mails) == 20


@on_sqlite  # the rate stands in Redis
def test_the_rate_is_kept_by_all_senders_together(  # noqa: PLR0917 - all fixtures
    environ: dict[str, str],
    db: Database,
    team: People,
    smtp: SmtpServer,
    tmp_path: Any,
    redis_admin: redis.Redis,
) -> None:
    crowd(db, team, 10)
    limited = {**environ, "SMTP_PORT": str(smtp.port), "SMTP_RATE_PER_MINUTE": "4"}
    first, second = (make(load(limited, tmp_path)) for _ in range(2))
    ids = planned(first)
    sent = sending.deliver(first, ids, at(NOW)) + sending.deliver(second, ids, at(NOW))
    assert sent == len(smtp.mails) == 4
    redis_admin.flushall()
    assert sending.deliver(second, ids, at(NOW)) == 4
    for one in (first, second):
        one.db.close()


def starts(per_minute: int, number: int) -> list[float]:
    """The earliest seconds at which so many mails may go one by one."""
    limits = [(one.amount, one.get_expiry()) for one in windows(per_minute)]
    went: list[float] = []
    for n in range(number):
        went.append(max([0.0, *(went[n - most] + length for most, length in limits if n >= most)]))
    return went


@pytest.mark.parametrize("per_minute", [*range(1, 241), 599, 600, 6_001])
def test_the_rate_sends_its_number_in_a_minute_and_no_more_than_its_share_in_a_second(
    per_minute: int,
) -> None:
    went = starts(per_minute, 2 * per_minute + 1)
    assert went[per_minute - 1] < 60 <= went[per_minute]
    assert went[2 * per_minute] == 120
    for seconds in (1, 60):
        share = max(1, -(-per_minute * seconds // 60))  # a mail is not divided
        assert all(went[n + share] - went[n] >= seconds for n in range(len(went) - share))


@pytest.fixture
def only_waits(travel: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only while a sender waits for its share, as long as it waits."""
    its = SimpleNamespace(sleep=travel.shift, monotonic=time.time)
    monkeypatch.setattr("app.util.rate.time", its)


@pytest.mark.usefixtures("only_waits")
@pytest.mark.parametrize(
    ("per_minute", "mails", "seconds"),
    [(30, 1, 1), (90, 3, 2), (100, 5, 3), (119, 2, 1), (240, 4, 1)],
)
def test_the_rate_spreads_over_its_seconds(
    per_minute: int, mails: int, seconds: int, redis_url: str
) -> None:
    """Two senders share what may go in so many seconds; the minute's number is not used up."""
    limits = [Limits(redis_url), Limits(redis_url)]
    senders = [Rate(per_minute, one) for one in limits]
    went: list[float] = []
    for n in range(2 * mails + 1):
        assert senders[n % 2].take(1) == 1
        went.append(time.time())
    for n in range(len(went) - mails):
        assert went[n + mails] - went[n] >= seconds
    assert went[-1] - went[0] < 2 * seconds + 0.1  # and the share is really used


@pytest.mark.usefixtures("only_waits")
def test_of_several_mails_at_once_as_many_go_as_have_room(redis_url: str) -> None:
    """The share of 150 a minute is 5 in 2 seconds, whatever the number of connections."""
    rate = Rate(150, Limits(redis_url))
    began = time.time()
    assert [rate.take(2) for _ in range(2)] == [2, 1]
    assert rate.room(2) == 0
    sent = 3
    while sent < 10:
        sent += rate.take(min(2, 10 - sent))
    assert 3 <= time.time() - began < 3.1
    assert rate.most_in(1, 10) == 3
    assert rate.most_in(2, 10) == 5
    assert Rate(8, rate.limits).most_in(5, 10) == 5  # one a second, until the minute is used up


@on_sqlite
def test_without_redis_each_process_keeps_the_rate_by_itself(
    environ: dict[str, str], db: Database, team: People, smtp: SmtpServer, tmp_path: Any
) -> None:
    crowd(db, team, 6)
    nowhere = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "CELERY_RESULT_BACKEND": ""}
    limited = {"SMTP_PORT": str(smtp.port), "SMTP_RATE_PER_MINUTE": "4"}
    services = make(load({**environ, **nowhere, **limited}, tmp_path))
    assert sending.deliver(services, planned(services), at(NOW)) == 4
    services.db.close()


# --- addresses ----------------------------------------------------------------------------


def test_an_address_refused_on_three_days_gets_no_further_mail(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    (member_id,) = crowd(db, team, 1)
    with db.write() as session:
        session.execute(
            update(Member).where(Member.id == member_id).values(email="gone+550@example.jp")
        )
    for n in range(3):
        moment = NOW + timedelta(days=n)
        sending.deliver(services, reminders.plan(services, moment).ids, at(moment))
    with db.read() as session:
        member = session.get(Member, member_id)
        assert member is not None
        assert "5.1.1" in (member.suppressed_reason or "")
    last = NOW + timedelta(days=3)
    assert reminders.plan(services, last).ids == []
    why = explain(services, "gone+550@example.jp", last.date(), last)
    assert why.facts["reason"] == "address_suppressed"

    # Lifted by an operator: the count begins anew, one more refusal does not suppress again.
    set_member(services, "gone+550@example.jp", {"suppressed": "no"}, who="operator", now=last)
    monday = NOW + timedelta(days=6)
    sending.deliver(services, reminders.plan(services, monday).ids, at(monday))
    with db.read() as session:
        member = session.get(Member, member_id)
        assert member is not None
        assert member.suppressed_reason is None


# --- doubts -------------------------------------------------------------------------------


def test_a_doubt_is_not_forgotten_when_it_gets_too_late(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """In doubt, then refused for now, then too late: a copy may be out, so it is unknown."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
        session.execute(
            update(Member)
            .where(Member.id == team.suzuki.id)
            .values(email="suzuki+closedotx1+dot451@example.jp")
        )
    ids = planned(services)
    sending.deliver(services, ids, at(NOW))
    lapse(db)
    sending.deliver(services, ids, at(NOW + 60 * SECOND))
    assert states(db) == [State.READY]
    with pytest.raises(outbox.NotPossible):
        outbox.cancel(services, ids[0], who="operator", now=NOW)
    outbox.sweep(services, NOW + timedelta(hours=10))
    assert states(db) == [State.UNKNOWN]
    why = explain(services, "suzuki+closedotx1+dot451@example.jp", None, NOW)
    assert why.facts["verdict"] == "send"


def test_in_doubt_twice_is_never_claimed_again(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
        session.execute(
            update(Member)
            .where(Member.id == team.suzuki.id)
            .values(email="suzuki+closedot@example.jp")
        )
    ids = planned(services)
    for _ in range(4):
        sending.deliver(services, ids, at(NOW))
        lapse(db)
    assert len(smtp.mails) == 2
    outbox.sweep(services, NOW)
    assert states(db) == [State.UNKNOWN]


def lapse(db: Database) -> None:
    with db.write() as session:
        session.execute(
            update(OutboxMail)
            .where(OutboxMail.lease_token.is_not(None))
            .values(lease_until=NOW - timedelta(days=3650))
        )


def test_a_resent_mail_that_is_accepted_makes_the_decision_sent(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """Else the week would count as missed, and a weekly member get a second mail."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    (mail_id,) = planned(services)
    evening = NOW + timedelta(hours=10)
    outbox.sweep(services, evening)
    again = outbox.resend(services, mail_id, who="operator", now=evening)
    assert sending.deliver(services, [again], at(evening)) == 1
    facts = explain(services, "suzuki.ichiro@example.jp", None, NOW).facts
    assert (facts["verdict"], facts["reason"]) == ("send", None)


def test_a_slow_database_does_not_keep_mails_from_being_sent(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """Reading takes longer than a claim is fresh: each claim sends a mail all the same."""
    crowd(db, team, 3)

    class Slow(Database):
        def read(self) -> Any:
            time.sleep(0.1)
            return super().read()

    hasty = {"test_time_scale": 0.01, "smtp_timeout": 200.0}  # fresh for 50 ms
    slow = replace(changed(services, **hasty), db=Slow(services.config.database_url))
    assert sending.deliver(slow, planned(services), at(NOW)) == 3
    slow.db.close()


def test_two_first_signs_of_life_at_once_do_not_collide(services: Services) -> None:
    threads = [
        threading.Thread(target=status.note_heartbeat, args=(services, f"part{n % 2}", NOW))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with services.db.read() as session:
        assert len(session.scalars(select(Service)).all()) == 2


# --- mails offered ahead, answers of every kind ---------------------------------------------


def test_a_pause_while_mails_are_offered_ahead_does_not_open_the_breaker(
    services: Services,
    db: Database,
    team: People,
    smtp: SmtpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impatient(monkeypatch, 0.8)
    crowd(db, team, 6, tag="dot450-4-7-1x1")
    four = changed(services, smtp_connections=4, test_time_scale=1.0)
    sending.deliver(four, planned(four), at(NOW))
    with db.read() as session:
        assert session.get(Service, "breaker") is None
    assert states(db) == [State.ACCEPTED, State.READY] * 3


def test_lines_wait_together_for_what_was_lost_with_their_dots(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """One after the other they would pass their 90 s, and the server would be found at fault."""
    smtp._script = {"mail": iter(["ok"] * 4 + ["hang"] * 4)}
    crowd(db, team, 8)
    four = changed(services, smtp_connections=4, test_time_scale=0.02, smtp_timeout=30.0)
    sending.deliver(four, planned(four), at(NOW))
    with db.read() as session:
        assert session.get(Service, "breaker") is None
    assert states(db) == [State.ACCEPTED] * 8


def test_an_answer_that_holds_a_zero_byte_is_recorded(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    smtp._script = {"dot": iter(["250 ok\0 taken"])}
    crowd(db, team, 3)
    assert sending.deliver(services, planned(services), at(NOW)) == 3
    assert states(db) == [State.ACCEPTED] * 3


def test_bytes_that_cannot_be_read_stop_no_other_mail(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """Of a later version, say; as a copy may be out, the mail has not simply failed."""
    crowd(db, team, 3)
    ids = planned(services)
    with db.write() as session:
        session.execute(
            update(OutboxMail)
            .where(OutboxMail.id == ids[0])
            .values(
                state=State.IN_DOUBT, doubts=1, claims=1, sent_bytes=b"\x07later",
                lease_token="gone", lease_until=NOW - timedelta(days=3650), subject="x",
                task_refs=[],
            )
        )  # fmt: skip
    sending.deliver(services, ids, at(NOW))
    assert states(db) == [State.UNKNOWN, State.ACCEPTED, State.ACCEPTED]
