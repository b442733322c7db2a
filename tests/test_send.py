"""Sending all that is ready: in which order, by several at once, within a rate and a time."""

import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import cycle
from typing import Any

import pytest
import redis
from sqlalchemy import event, text, update

from app import outbox
from app.config import load
from app.db import Database
from app.models import Kind, OutboxMail, State
from app.monitoring import status
from app.outbox import claim as claims
from app.outbox.claim import NextMails
from app.reminders import brake
from app.services import Services, make
from tests import sending
from tests.conftest import NOW, People
from tests.servers import wait_until
from tests.smtp_server import SmtpServer
from tests.test_outbox_lines import at, crowd, mails, planned, states

MINUTE = timedelta(minutes=1)
LATER = NOW + MINUTE


def ready(services: Services) -> list[int]:
    """Plans; what the brake holds is let go."""
    ids = planned(services)
    with services.db.write() as session:
        brake.release(session, who="test", now=NOW)
    return ids


def changed_mails(db: Database, ids: Sequence[int], **values: object) -> None:
    with db.write() as session:
        session.execute(update(OutboxMail).where(OutboxMail.id.in_(ids)).values(**values))


def order(db: Database, smtp: SmtpServer) -> list[int]:
    """The ids of the mails in the order in which the server took them."""
    ids = {mail.to_addr: mail.id for mail in mails(db)}
    return [ids[mail.recipient] for mail in smtp.mails]


# --- in which order -----------------------------------------------------------------------


def test_all_that_is_ready_goes_without_anybody_naming_it(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """More than one claim takes."""
    crowd(db, team, 150)
    ready(services)
    assert sending.send(services, at(NOW)) == (150, False)
    assert states(db) == [State.ACCEPTED] * 150
    assert len({mail.recipient for mail in smtp.mails}) == len(smtp.mails) == 150


def test_what_somebody_waits_for_goes_first_then_what_was_named_then_by_the_hour(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 6)
    ids = ready(services)
    changed_mails(db, ids[3:4], not_before=NOW - MINUTE)
    changed_mails(db, ids[5:6], kind=Kind.ASKED_REMINDER)
    assert sending.send(services, at(NOW), first=[ids[4]]).accepted == 6
    assert order(db, smtp) == [ids[5], ids[4], ids[3], *ids[:3]]


def test_an_urgent_mail_does_not_wait_for_the_bulk_that_is_being_sent(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """It comes while the first mails are on their way: it is among the next."""
    crowd(db, team, 300)
    ids = ready(services)
    urgent = ids[-1]
    changed_mails(db, [urgent], held="brake", kind=Kind.ASKED_REMINDER)

    def after_the_first() -> None:
        settled(smtp, 1)
        changed_mails(db, [urgent], held=None)

    asks = threading.Thread(target=after_the_first)
    asks.start()
    sending.send(services, at(NOW))
    asks.join()
    assert order(db, smtp).index(urgent) <= 256  # no further claim came in between


@pytest.mark.parametrize(
    "values",
    [{"held": "brake"}, {"not_before": LATER}, {"expires_at": NOW}],
    ids=["held", "its hour has not come", "too late"],
)
def test_what_may_not_be_sent_stays(
    services: Services, db: Database, team: People, smtp: SmtpServer, values: dict[str, Any]
) -> None:
    crowd(db, team, 3)
    ids = ready(services)
    changed_mails(db, ids[1:2], **values)
    assert sending.send(services, at(NOW)) == (2, False)
    assert states(db) == [State.ACCEPTED, State.READY, State.ACCEPTED]


def test_while_sending_is_paused_nothing_goes(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 3)
    ready(services)
    status.pause(services, who="test", now=NOW)
    assert sending.send(services, at(NOW)) == (0, False)
    assert states(db) == [State.READY] * 3


def test_mails_of_a_dead_sender_go_too_after_the_new_ones(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 12)
    ids = ready(services)
    dead(db, ids[:9], claimed=1)
    dead(db, ids[9:11], claimed=2)
    assert sending.send(services, at(NOW)).accepted == 12
    assert order(db, smtp) == [ids[11], *ids[:11]]


def test_mails_of_a_dead_sender_do_not_wait_for_the_end_of_a_large_morning(
    services: Services, db: Database, team: People, smtp: SmtpServer, monkeypatch: Any
) -> None:
    """They are looked for now and then."""
    monkeypatch.setattr(claims, "LOST_EVERY", 0.0)
    crowd(db, team, 150)
    ids = ready(services)
    dead(db, ids[-1:], claimed=1)
    sending.send(services, at(NOW))
    assert order(db, smtp)[0] == ids[-1]


def dead(db: Database, ids: Sequence[int], *, claimed: int) -> None:
    long_ago = datetime(2026, 1, 1, tzinfo=NOW.tzinfo)
    changed_mails(
        db, ids, state=State.SENDING, claims=claimed, lease_token="gone", lease_until=long_ago
    )


# --- several at once ----------------------------------------------------------------------


def test_four_senders_share_the_work_and_send_each_mail_once(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 600)
    ready(services)
    sent: list[int] = []
    hands = [
        threading.Thread(target=lambda: sent.append(sending.send(services, at(NOW)).accepted))
        for _ in range(4)
    ]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert sum(sent) == len(smtp.mails) == len({mail.recipient for mail in smtp.mails}) == 600


def test_stopped_in_the_middle_it_says_that_there_is_more(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    crowd(db, team, 150)
    ready(services)
    outcome = sending.send(services, at(NOW), lambda: len(smtp.mails) >= 20)
    assert outcome.more
    assert 20 <= outcome.accepted < 150
    assert set(states(db)) == {State.ACCEPTED, State.READY}
    assert sending.send(services, at(NOW)) == (150 - outcome.accepted, False)


def test_however_short_its_time_a_delivery_sends_its_first_round(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """On a machine so slow that its time is over before the first letters are made."""
    crowd(db, team, 3)
    ready(services)
    for sent in range(3):
        asked = iter([False])
        outcome = sending.send(services, at(NOW), partial(next, asked, True))
        assert outcome == (1, True)
        assert len(smtp.mails) == sent + 1


def test_a_server_at_fault_ends_it_without_more(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """Going on at once would only meet the open breaker."""
    crowd(db, team, 3)
    ready(services)
    smtp._script = {"mail": cycle(["421 4.3.2 going down"])}
    assert sending.send(services, at(NOW)) == (0, False)
    assert sending.send(services, at(NOW)) == (0, False)
    assert states(db) == [State.READY] * 3


# --- within a rate ------------------------------------------------------------------------


def test_within_a_rate_each_mail_waits_for_its_share_and_an_urgent_one_is_the_next(  # noqa: PLR0917 - all fixtures
    environ: dict[str, str],
    db: Database,
    team: People,
    smtp: SmtpServer,
    tmp_path: Any,
    redis_admin: redis.Redis,
) -> None:
    crowd(db, team, 8)
    limited = make(
        load({**environ, "SMTP_PORT": str(smtp.port), "SMTP_RATE_PER_MINUTE": "3"}, tmp_path)
    )
    ids = ready(limited)
    changed_mails(db, ids[-1:], held="brake")
    over = threading.Event()
    sender = threading.Thread(target=sending.send, args=(limited, at(NOW), over.is_set))
    sender.start()
    settled(smtp, 3)
    time.sleep(1.0)
    # Nobody holds what may not be sent yet.
    wait_until(lambda: states(db).count(State.READY) == 5, "given back", 30)
    assert len(smtp.mails) == 3
    changed_mails(db, ids[-1:], held=None, kind=Kind.ASKED_REMINDER)
    redis_admin.flushall()  # as when the minute is over
    settled(smtp, 4)
    over.set()
    sender.join()
    assert order(db, smtp)[3] == ids[-1]
    assert State.SENDING not in states(db)
    limited.db.close()


def settled(smtp: SmtpServer, number: int) -> None:
    wait_until(lambda: len(smtp.mails) >= number, f"{number} mails", 60)


# --- what it costs ------------------------------------------------------------------------


def test_a_claim_reads_what_it_takes_and_not_all_that_is_ready(
    services: Services, db: Database, team: People
) -> None:
    """By the plans of the database, with many mails of one hour, as on a large morning."""
    crowd(db, team, 1_000)
    ready(services)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as bare:
        bare.execute(text("ANALYZE outbox"))
    plans: list[str] = []
    with db.write() as session:
        connection = session.connection()

        @event.listens_for(connection, "before_cursor_execute", retval=True)
        def explained(_c: Any, cursor: Any, statement: str, values: Any, *_: Any) -> Any:
            how = "EXPLAIN QUERY PLAN " if db.is_sqlite else "EXPLAIN "
            if statement.startswith("WITH"):
                cursor.execute(how + statement, values)
                plans.append(repr(cursor.fetchall()))
            return statement, values

        queue = NextMails("mail", 1)
        for _ in range(2):
            assert len(queue.claim(session, now=NOW, at_most=50)) == 50
        event.remove(connection, "before_cursor_execute", explained)
    urgent, first, again, further = plans
    assert all("ix_outbox_urgent" in plan for plan in (urgent, again))
    for plan in (first, further):
        assert "ix_outbox_by_hour" in plan
        assert "Sort" not in plan
        assert "TEMP B-TREE FOR ORDER" not in plan


# --- the next hour ------------------------------------------------------------------------


def test_the_next_hour_is_that_of_the_first_mail_that_waits(
    services: Services, db: Database, team: People
) -> None:
    crowd(db, team, 3)
    ids = ready(services)
    assert outbox.next_hour(services, NOW) is None
    changed_mails(db, ids[:1], not_before=NOW + 2 * MINUTE)
    changed_mails(db, ids[1:2], not_before=NOW + MINUTE)
    assert outbox.next_hour(services, NOW) == NOW + MINUTE
    changed_mails(db, ids[1:2], held="brake")
    assert outbox.next_hour(services, NOW) == NOW + 2 * MINUTE
