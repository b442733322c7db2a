"""Retention on both databases: what goes, what stays, and that nobody who sends waits for it."""

import threading
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from app import outbox, reminders
from app.db import Database
from app.maintenance.purge import forget_bodies, newest, purge, what_goes
from app.mime.message import Envelope
from app.models import Alert, Audit, DecisionRow, MailEvent, Member, OutboxMail, Report, State
from app.outbox.compression import pack
from app.outbox.lease import record
from app.refused import UnusableValue
from app.rules.workdays import DAY
from app.services import Services
from tests import sending
from tests.conftest import NOW, TODAY, People, task
from tests.smtp_server import SmtpServer

LAST = TODAY - 30 * DAY  # the newest date that may be given
OLD = LAST - DAY
FRIDAY = date(2026, 10, 23)  # a workday before that


def decision(member: Member, day: date, **values: object) -> DecisionRow:
    facts = {"slot": "reminder", "verdict": "send", "facts": {}, "at": NOW, "decided_at": NOW}
    return DecisionRow(user_id=member.id, local_date=day, **(facts | values))


def mail(member: Member, day: date, *, n: int = 0, **values: Any) -> OutboxMail:
    """Accepted, with its text, unless told otherwise."""
    facts: dict[str, object] = {
        "dedupe_key": f"reminder:{member.id}:{day}:{n}",
        "user_id": member.id,
        "kind": "reminder",
        "local_date": day,
        "n": n,
        "to_addr": member.email,
        "message_id": f"<{member.id}.{day}.{n}@example.jp>",
        "state": State.ACCEPTED,
        "accepted_at": NOW,
        "sent_bytes": pack(Envelope("app@example.jp", member.email, b"Subject: x\r\n\r\nx\r\n")),
        "date_header": NOW,
        "not_before": NOW,
        "expires_at": NOW + DAY,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return OutboxMail(**(facts | values))


OPEN = {"state": State.READY, "accepted_at": None, "sent_bytes": None}


def fill(db: Database, member: Member, day: date, **values: Any) -> int:
    """A decision of this date with its mail and one line of history; returns the mail's id."""
    with db.write() as session:
        made = decision(member, day)
        session.add(made)
        session.flush()
        sent = mail(member, day, **{"decision_id": made.id, **values})
        session.add(sent)
        session.flush()
        record(session, sent.id, "accepted", None, now=NOW)
        return sent.id


def dates(db: Database, table: type[DecisionRow] | type[OutboxMail]) -> list[date]:
    with db.read() as session:
        return sorted(session.scalars(select(table.local_date)))


def number(db: Database, table: type) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def clear(services: Services, before: date = LAST) -> dict[str, int]:
    return purge(services, before, who="cli:root", now=NOW)


# --- what goes and what stays -----------------------------------------------------------------


def test_decisions_and_ended_mails_before_the_date_go_with_their_history(
    services: Services, db: Database, team: People
) -> None:
    for day in (OLD, LAST, TODAY):
        fill(db, team.suzuki, day)
    counted = what_goes(services, LAST, NOW)
    assert clear(services) == counted
    assert (counted["mails"], counted["decisions"]) == (1, 1)
    assert dates(db, OutboxMail) == dates(db, DecisionRow) == [LAST, TODAY]
    assert number(db, MailEvent) == 2


@pytest.mark.parametrize("state", [State.READY, State.SENDING, State.IN_DOUBT])
def test_an_open_mail_stays_however_old_and_so_does_its_decision(
    services: Services, db: Database, team: People, state: State
) -> None:
    lease = {} if state is State.READY else {"lease_token": "x", "lease_until": NOW}
    fill(db, team.suzuki, OLD, **OPEN | {"state": state} | lease)
    clear(services)
    assert dates(db, OutboxMail) == dates(db, DecisionRow) == [OLD]


def test_a_resend_outlives_the_mail_that_it_repeats(
    services: Services, db: Database, team: People
) -> None:
    first = fill(db, team.suzuki, OLD)
    with db.write() as session:
        session.add(mail(team.suzuki, TODAY, n=1, resend_of=first))
    clear(services)
    with db.read() as session:
        (kept,) = session.scalars(select(OutboxMail))
        assert (kept.local_date, kept.resend_of) == (TODAY, None)


def test_what_was_told_of_a_silence_stays_for_a_year(
    services: Services, db: Database, team: People
) -> None:
    """Or a lead would be told once more of a silence that lasts."""
    year = NOW.date() - timedelta(days=367)
    with db.write() as session:
        for day in (year, OLD):
            session.add(decision(team.suzuki, day, slot="escalation"))
    clear(services)
    assert dates(db, DecisionRow) == [OLD]


def test_reports_and_the_audit_stay_and_open_alerts_too(
    services: Services, db: Database, team: People
) -> None:
    long_ago = NOW - timedelta(days=400)
    with db.write() as session:
        done = task("T-1", team.suzuki)
        session.add(done)
        session.flush()
        facts = {"percent": 50, "status": "on_track", "text": "", "created_at": long_ago}
        session.add(Report(task_id=done.id, reporter_id=team.suzuki.id, counts_for=OLD, **facts))
        session.add(Audit(at=long_ago, who="a", what="pause", data={}))
        session.add(Alert(name="open", opened_at=long_ago, detail=""))
        session.add(Alert(name="over", opened_at=long_ago, closed_at=long_ago, detail=""))
    assert clear(services)["alerts"] == 1
    with db.read() as session:
        assert session.scalars(select(Alert.name)).all() == ["open"]
        assert set(session.scalars(select(Audit.what))) == {"pause", "purge"}
    assert number(db, Report) == 1


def test_the_last_thirty_days_stay(services: Services, db: Database, team: People) -> None:
    assert newest(services, NOW) == LAST
    fill(db, team.suzuki, LAST)
    with pytest.raises(UnusableValue, match=str(LAST)):
        clear(services, LAST + DAY)
    assert dates(db, OutboxMail) == [LAST]


def test_the_audit_says_who_removed_what(services: Services, db: Database, team: People) -> None:
    fill(db, team.suzuki, OLD)
    clear(services)
    with db.read() as session:
        (entry,) = session.scalars(select(Audit).where(Audit.what == "purge"))
        assert (entry.who, entry.data["before"], entry.data["mails"]) == (
            "cli:root",
            str(LAST),
            1,
        )


def test_a_purge_that_breaks_is_in_the_audit_all_the_same(
    services: Services, db: Database, team: People
) -> None:
    def breaks(_number: int) -> None:
        raise ConnectionError

    fill(db, team.suzuki, OLD)
    with pytest.raises(ConnectionError):
        purge(services, LAST, who="cli:root", now=NOW, progress=breaks)
    with db.read() as session:
        (entry,) = session.scalars(select(Audit).where(Audit.what == "purge"))
        assert (entry.who, entry.data) == ("cli:root", {"before": str(LAST)})


# --- beside a batch --------------------------------------------------------------------------


def test_many_rows_go_in_many_short_transactions(
    services: Services, db: Database, team: People
) -> None:
    with db.write() as session:
        session.add_all(mail(team.suzuki, OLD, n=n) for n in range(1200))
    commits: list[object] = []
    event.listen(services.db.engine, "commit", commits.append)
    steps: list[int] = []
    purge(services, LAST, who="x", now=NOW, progress=steps.append)
    assert steps == [500, 500, 200]
    assert len(commits) >= 4


def test_a_purge_while_a_batch_is_sent_harms_nothing(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    """Each mail of today goes out once, and one of long ago that was sent again just now, too."""
    with db.write() as session:
        for at in range(40):
            member = Member(
                email=f"m{at}@example.jp", name="x", created_at=NOW, decided_through=TODAY - DAY
            )
            session.add(member)
            session.flush()
            session.add(task(f"T-{at}", member))
            session.add_all(mail(member, OLD - n * DAY) for n in range(10))
        session.add(task("T-S", team.suzuki, start_on=date(2026, 10, 1)))
    again = fill(db, team.suzuki, FRIDAY, **OPEN | {"kind": "asked_reminder"})
    ids = [*reminders.plan(services, NOW).ids, again]
    thread = threading.Thread(target=sending.deliver, args=(services, ids, lambda: NOW))
    thread.start()
    removed = clear(services)
    thread.join()
    assert removed["mails"] == 400
    assert sorted(mail.recipient for mail in smtp.mails) == sorted(
        [*(f"m{at}@example.jp" for at in range(40)), *["suzuki.ichiro@example.jp"] * 2]
    )
    with db.read() as session:
        assert set(session.scalars(select(OutboxMail.state))) == {State.ACCEPTED}
    assert len(dates(db, OutboxMail)) == 42


# --- the texts of mails -------------------------------------------------------------------------


def with_text(db: Database) -> list[date]:
    with db.read() as session:
        has = select(OutboxMail.local_date).where(OutboxMail.sent_bytes.is_not(None))
        return sorted(session.scalars(has))


def until_done(services: Services, now: datetime = NOW) -> None:
    for _ in range(400):
        forget_bodies(services, now)


def test_the_text_of_a_mail_goes_after_thirty_days_by_itself_and_the_mail_stays(
    services: Services, db: Database, team: People
) -> None:
    days = [OLD - 100 * DAY, OLD - DAY, OLD, LAST, TODAY]
    for day in days:
        fill(db, team.suzuki, day)
    until_done(services)
    assert with_text(db) == [LAST, TODAY]
    assert dates(db, OutboxMail) == days
    until_done(services, NOW + DAY)
    assert with_text(db) == [TODAY]


def test_a_tick_removes_a_bounded_number_of_texts(
    services: Services, db: Database, team: People
) -> None:
    with db.write() as session:
        session.add_all(mail(team.suzuki, OLD, n=n) for n in range(1005))
    assert [forget_bodies(services, NOW) for _ in range(3)] == [1000, 5, 0]
    assert with_text(db) == []


def test_bytes_that_a_doubt_may_still_need_stay(
    services: Services, db: Database, team: People
) -> None:
    doubted = {"state": State.IN_DOUBT, "accepted_at": None, "lease_token": "x", "lease_until": NOW}
    fill(db, team.suzuki, OLD, **doubted)
    until_done(services)
    assert with_text(db) == [OLD]


def test_when_nothing_is_old_a_tick_asks_one_question(
    services: Services, db: Database, team: People
) -> None:
    fill(db, team.suzuki, TODAY)
    forget_bodies(services, NOW)
    asked: list[str] = []
    event.listen(
        services.db.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: asked.append(statement),
    )
    assert forget_bodies(services, NOW) == 0
    assert len(asked) == 2 if services.db.is_sqlite else 1, asked
    assert not [one for one in asked if "outbox" in one]


def test_a_mail_whose_text_is_gone_can_be_looked_at_and_sent_again(
    services: Services, db: Database, team: People
) -> None:
    mail_id = fill(db, team.suzuki, OLD, subject="x")
    until_done(services)
    shown = outbox.show(services, mail_id)
    assert (shown["source"], shown["subject"]) == (None, "x")
    again = outbox.resend(services, mail_id, who="cli:root", now=NOW)
    with db.write() as session:
        session.execute(update(OutboxMail).values(reason=None))
        assert session.get_one(OutboxMail, again).resend_of == mail_id
