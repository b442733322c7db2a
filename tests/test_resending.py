"""A whole morning brought back: mails of a date that ended badly are sent again, each once."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app import outbox, reminders
from app.access import api_tokens
from app.alerts import Alarm, open_alerts, raise_alert
from app.db import Database
from app.members import token_notices
from app.models import Audit, Member, OutboxMail, State
from app.monitoring import status
from app.outbox import resending
from app.outbox.browse import NotPossible
from app.outbox.resending import Which
from app.outbox.restored import Restored, note
from app.services import Services
from tests import sending
from tests.conftest import NOW, TODAY, People, task
from tests.smtp_server import SmtpServer

pytestmark = (
    pytest.mark.pages
)  # long stories: their statements are in other tests, on both databases

FAILED = Which(TODAY, State.FAILED)
SUZUKI, TANAKA = "suzuki.ichiro@example.jp", "tanaka.misaki@example.jp"
SAID = "recipient: 553 5.7.1 Sender address rejected: not owned by user"


@pytest.fixture
def morning(services: Services, db: Database, team: People, no_digest: None) -> list[int]:
    """Three reminders of today, all refused for good."""
    with db.write() as session:
        for n, one in enumerate((team.sato, team.suzuki, team.tanaka)):
            session.add(task(f"T-{n}", one))
    ids = list(reminders.plan(services, NOW).ids)
    with db.write() as session:
        session.execute(update(OutboxMail).values(state=State.FAILED, reason=SAID))
        for mail_id in ids:
            raise_alert(session, Alarm.MAIL_FAILED, mail_id, now=NOW)
    return ids


def all_mails(db: Database) -> list[OutboxMail]:
    with db.read() as session:
        return list(session.scalars(select(OutboxMail).order_by(OutboxMail.id)))


def resend_all(services: Services, which: Which = FAILED) -> list[int]:
    return resending.resend_all(services, which, who="cli:root", now=NOW)


def test_a_morning_of_failed_mails_goes_out_again_and_its_alerts_close(
    services: Services, db: Database, morning: list[int], smtp: SmtpServer
) -> None:
    queued: list[Sequence[int]] = []
    assert resending.extent(services, FAILED).mails == 3
    new = resend_all(replace(services, publish=queued.append))
    assert queued == [new]
    assert sending.deliver(services, new, lambda: NOW) == 3
    assert len(smtp.mails) == 3
    assert [mail.resend_of for mail in all_mails(db)[3:]] == morning
    with db.read() as session:
        assert open_alerts(session) == []
        (noted,) = session.scalars(select(Audit).where(Audit.what == "outbox.resend")).all()
    assert (noted.who, noted.data) == (
        "cli:root",
        {"date": "2026-11-24", "state": "failed", "mails": 3},
    )
    assert outbox.show(services, morning[0])["history"][-1]["detail"] == f"cli:root: {new[0]}"


def test_what_was_sent_again_is_not_sent_a_third_time(
    services: Services, db: Database, morning: list[int]
) -> None:
    assert len(resend_all(services)) == 3
    assert resend_all(services) == []
    assert resending.extent(services, FAILED) == resending.Extent([], 0, 3)


def test_a_form_sent_twice_acts_once_even_when_the_copies_failed_in_between(
    services: Services, db: Database, morning: list[int]
) -> None:
    form = replace(FAILED, up_to=max(morning))
    assert len(resend_all(services, form)) == 3
    with db.write() as session:
        session.execute(update(OutboxMail).values(state=State.FAILED))
    assert resend_all(services, form) == []
    assert len(resend_all(services)) == 3  # a new order brings the copies back, one a member
    assert len(all_mails(db)) == 9


def test_two_who_order_it_at_once_make_one_copy_of_each(
    services: Services, db: Database, morning: list[int]
) -> None:
    both = [threading.Thread(target=resend_all, args=(services,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(all_mails(db)) == 6


def test_one_mail_that_is_sent_again_by_several_at_once_gets_a_copy_from_each(
    services: Services, db: Database, morning: list[int]
) -> None:
    def again(_number: int) -> int:
        return resending.resend(services, morning[0], who="x", now=NOW)

    with ThreadPoolExecutor(6) as pool:
        made = set(pool.map(again, range(6)))
    assert len(made) == 6
    assert len(all_mails(db)) == 3 + 6


def test_only_those_with_the_reason_of_the_day_and_in_the_state_come_back(
    services: Services, db: Database, morning: list[int]
) -> None:
    with db.write() as session:
        session.execute(
            update(OutboxMail)
            .where(OutboxMail.id == morning[0])
            .values(reason="550 5.1.1 User unknown 100%")
        )
        session.execute(
            update(OutboxMail).where(OutboxMail.id == morning[1]).values(state=State.DEAD)
        )
    for reason, expected in (("NOT owned", [morning[2]]), ("100%", [morning[0]]), ("1_0", [])):
        assert resending.extent(services, replace(FAILED, reason=reason)).ids == expected
    assert resending.extent(services, replace(FAILED, on=TODAY + timedelta(days=1))).ids == []
    assert resending.to_bring_back(services, [TODAY]) == [(TODAY, "failed", 2), (TODAY, "dead", 1)]


def test_nobody_who_may_get_no_mail_is_counted(
    services: Services, db: Database, team: People, morning: list[int]
) -> None:
    with db.write() as session:
        session.execute(update(Member).where(Member.id == team.sato.id).values(active=False))
        session.execute(
            update(Member).where(Member.id == team.tanaka.id).values(suppressed_reason="550")
        )
    assert resending.extent(services, FAILED).ids == [morning[1]]
    only = services.config.model_copy(update={"mail_only_to": (team.sato.email,)})
    pilot = replace(services, config=only)
    assert resending.extent(pilot, FAILED) == resending.Extent([], 0, 3)


def test_copies_that_are_out_already_are_counted(
    services: Services, db: Database, morning: list[int]
) -> None:
    new = resend_all(services)
    with db.write() as session:
        session.execute(
            update(OutboxMail)
            .where(OutboxMail.id == new[0])
            .values(state=State.ACCEPTED, accepted_at=NOW)
        )
    third = outbox.resend(services, new[0], who="cli:root", now=NOW)
    with db.write() as session:
        session.execute(update(OutboxMail).where(OutboxMail.id == third).values(state=State.FAILED))
    found = resending.extent(services, FAILED)
    assert (found.ids, found.copies) == ([third], 1)
    # The one copy in the middle of the chain, from wherever it is asked for.
    for one in (morning[0], new[0], third):
        assert resending.copies_out(services, one) == [new[0]]


def test_copies_that_still_wait_are_counted_too(
    services: Services, db: Database, morning: list[int]
) -> None:
    """An earlier one that is still to come would be the second mail of the day."""
    with db.write() as session:
        mail = session.get_one(OutboxMail, morning[0])
        asked = update(OutboxMail).where(OutboxMail.id == morning[1])
        changed = asked.values(user_id=mail.user_id, n=-1, state=State.READY, reason=None)
        session.execute(changed)
    found = resending.extent(services, FAILED)
    assert (found.ids, found.copies) == ([morning[0], morning[2]], 1)


def test_whether_a_copy_may_go_is_asked_of_the_address_of_today(
    services: Services, db: Database, team: People, morning: list[int]
) -> None:
    with db.write() as session:
        session.get_one(Member, team.suzuki.id).email = "s@pilot.example.jp"
    only = services.config.model_copy(update={"mail_only_to": ("s@pilot.example.jp",)})
    assert resending.extent(replace(services, config=only), FAILED).ids == [morning[1]]


def test_a_pause_holds_what_was_brought_back(
    services: Services, db: Database, morning: list[int], smtp: SmtpServer
) -> None:
    status.pause(services, who="cli:root", now=NOW)
    new = resend_all(services)
    assert sending.deliver(services, new, lambda: NOW) == 0
    assert status.stopped(services, NOW)[0].mark == "bad"
    assert {mail.state for mail in all_mails(db)[3:]} == {State.READY}


def test_after_a_restore_they_wait_for_an_admins_word(
    services: Services, db: Database, morning: list[int], smtp: SmtpServer
) -> None:
    with db.write() as session:
        note(session, Restored(NOW, NOW - timedelta(hours=1), waits=True), who="cli:root")
    new = resend_all(services)
    assert sending.deliver(services, new, lambda: NOW) == 0
    assert {mail.held for mail in all_mails(db)[3:]} == {"restore"}
    assert status.resume(services, who="cli:root", now=NOW) == 3


def test_they_expire_after_a_day(services: Services, db: Database, morning: list[int]) -> None:
    resend_all(services)
    outbox.sweep(services, NOW + timedelta(days=1))
    assert {mail.state for mail in all_mails(db)[3:]} == {State.EXPIRED}


def test_a_notice_about_a_token_is_not_sent_again(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """Its number is the token's: the number of a copy would be that of somebody else's token."""
    made = NOW - timedelta(days=2)
    for email, ends in ((SUZUKI, 13), (TANAKA, 100)):
        last = TODAY + timedelta(days=ends)
        api_tokens.create(services, email, "CI", ["read"], who=email, now=made, expires_on=last)
    token_notices.notify_owners(services, NOW)
    with db.write() as session:
        session.execute(update(OutboxMail).values(state=State.FAILED, reason=SAID))
    (notice,) = all_mails(db)
    with pytest.raises(NotPossible):
        resending.resend(services, notice.id, who="x", now=NOW)
    assert resend_all(services) == []
