"""The mails about a team: planned, sent, explained; on both databases, over real SMTP."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from app import digest, outbox, reminders, sample
from app.alerts import Alarm, open_alerts
from app.config import Config, load
from app.db import Database
from app.members.changes import set_member
from app.members.defaults import set_settings
from app.models import DaysOff, DecisionRow, ExtraWorkday, Member, OutboxMail, Report, State, Task
from app.people.values import ValuesRefused
from app.rules.workdays import DAY
from app.services import Services
from app.why.reminder import explain
from tests import sending
from tests.conftest import NOW, TODAY, People, task
from tests.databases import on_sqlite
from tests.smtp_server import Plan, SmtpServer

pytestmark = (
    pytest.mark.pages
)  # long stories: their statements are in other tests, on both databases

HOUR = timedelta(hours=1)
SATO, SUZUKI = "sato.hanako@example.jp", "suzuki.ichiro@example.jp"
LONG_AGO = date(2026, 1, 5)


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer(Plan()) as server:
        yield server


@pytest.fixture
def config(environ: dict[str, str], tmp_path: Path, smtp: SmtpServer) -> Config:
    return load({**environ, "SMTP_PORT": str(smtp.port)}, tmp_path)


@pytest.fixture
def known(db: Database, team: People) -> People:
    """The three, here since today; 鈴木 and 田中 have a task, and 佐藤 leads them."""
    with db.write() as session:
        session.add_all([task("T-2", team.suzuki), task("T-3", team.tanaka)])
    return team


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def nine(day: date) -> datetime:
    """09:00 in Tokyo."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def tick(services: Services, now: datetime) -> list[int]:
    """What each minute plans; returns the ids of the mails about a team."""
    digest.find_leads(services, now)
    reminders.plan(services, now)
    return digest.plan(services, now).ids


def report(db: Database, ref: str, member: Member, counts_for: date, **values: Any) -> None:
    with db.write() as session:
        found = session.scalars(select(Task).where(Task.ref == ref)).one()
        facts = {"percent": 50, "status": "on_track", "text": "予定どおりです。", "created_at": NOW}
        session.add(
            Report(
                task_id=found.id, reporter_id=member.id, counts_for=counts_for, **(facts | values)
            )
        )


def change(db: Database, member: Member, **values: Any) -> None:
    with db.write() as session:
        session.execute(update(Member).where(Member.id == member.id).values(**values))


def mails(db: Database, kind: str) -> list[OutboxMail]:
    with db.read() as session:
        found = select(OutboxMail).where(OutboxMail.kind == kind).order_by(OutboxMail.id)
        return list(session.scalars(found))


def decisions(db: Database, slot: str) -> list[DecisionRow]:
    with db.read() as session:
        found = select(DecisionRow).where(DecisionRow.slot == slot)
        return list(session.scalars(found.order_by(DecisionRow.local_date, DecisionRow.user_id)))


def received(smtp: SmtpServer, address: str) -> list[EmailMessage]:
    found = [message_from_bytes(one.data, policy=policy.default) for one in smtp.mails]
    return [one for one in found if one["To"].addresses[0].addr_spec == address]


def plain(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


# --- the digest -------------------------------------------------------------------------------


def test_the_sample_teams_leads_and_the_admin_get_their_week_at_nine(
    services: Services, smtp: SmtpServer
) -> None:
    sample.load(services, NOW - HOUR)
    ids = tick(services, NOW)
    assert len(ids) == 4
    assert sending.deliver(services, ids, at(NOW)) == 4
    (letter,) = received(smtp, SATO)
    assert letter["Subject"] == "7人中4人が報告、止まっているタスク1件 11月16日の週"
    assert "のべ35営業日のうち14日分です。" in plain(letter)
    assert [part.get_content_type() for part in letter.iter_parts()] == ["text/plain", "text/html"]
    assert len(received(smtp, "shacho@example.jp")) == 1
    assert tick(services, NOW + timedelta(minutes=1)) == []


def test_planning_again_or_twice_at_once_makes_no_second_digest(
    services: Services, db: Database, known: People
) -> None:
    tick(services, NOW - HOUR)
    assert len(tick(services, NOW)) == 1
    change(db, known.sato, led_through=TODAY - DAY)  # as if the first planner had not ended
    assert tick(services, NOW) == []
    assert len(mails(db, "weekly_digest")) == 1


def test_a_member_without_a_team_gets_none(services: Services, db: Database, known: People) -> None:
    tick(services, NOW)
    assert {one.user_id for one in decisions(db, "digest")} <= {known.sato.id}


def test_it_comes_on_the_first_workday_of_the_week_and_once(
    services: Services, db: Database, known: People
) -> None:
    tick(services, NOW - HOUR)
    for n in range(8):  # Tuesday 24 (Monday was a holiday) to Tuesday 1 December
        tick(services, NOW + n * DAY)
    days = [(one.local_date, one.verdict) for one in decisions(db, "digest")]
    assert days == [(TODAY, "send"), (date(2026, 11, 30), "send")]


def test_a_lead_on_leave_gets_it_on_the_first_day_back(
    services: Services, db: Database, known: People
) -> None:
    with db.write() as session:
        session.add(DaysOff(user_id=known.sato.id, first_day=TODAY, last_day=TODAY + DAY))
    tick(services, NOW - HOUR)
    for n in range(3):
        tick(services, NOW + n * DAY)
    assert [one.local_date for one in mails(db, "weekly_digest")] == [TODAY + 2 * DAY]


def test_a_morning_on_which_nothing_ran_is_caught_up_until_midnight(
    services: Services, db: Database, known: People
) -> None:
    tick(services, NOW - HOUR)
    assert len(tick(services, NOW + 14 * HOUR)) == 1  # 23:00
    (mail,) = mails(db, "weekly_digest")
    assert mail.expires_at == NOW + 15 * HOUR


def test_a_day_on_which_nothing_ran_brings_it_on_the_next_workday(
    services: Services, db: Database, known: People
) -> None:
    tick(services, NOW - HOUR)
    tick(services, NOW + DAY)
    found = [(one.local_date, one.verdict, one.reason) for one in decisions(db, "digest")]
    assert found == [(TODAY, "skip", "expired"), (TODAY + DAY, "send", None)]


def test_the_organisation_may_say_a_later_hour(
    services: Services, db: Database, known: People
) -> None:
    set_settings(services, {"digest_at": "11:30"}, "test", NOW - HOUR)
    ids = tick(services, NOW)
    (mail,) = mails(db, "weekly_digest")
    assert mail.not_before == NOW + 2.5 * HOUR
    assert sending.deliver(services, ids, at(NOW)) == 0
    assert sending.deliver(services, ids, at(NOW + 2.5 * HOUR)) == 1


def test_quiet_hours_of_the_lead_move_it(services: Services, db: Database, known: People) -> None:
    change(db, known.sato, quiet_hours_start=time(8), quiet_hours_end=time(10))
    tick(services, NOW - HOUR)
    assert tick(services, NOW) == []
    assert len(tick(services, NOW + HOUR)) == 1


@pytest.mark.parametrize("how", ["member", "organisation"])
def test_it_can_be_switched_off(services: Services, db: Database, known: People, how: str) -> None:
    if how == "member":
        set_member(services, SATO, {"weekly_digest": "no"}, "test", NOW - HOUR)
    else:
        set_settings(services, {"weekly_digest": "no"}, "test", NOW - HOUR)
    assert tick(services, NOW) == []
    assert [one.reason for one in decisions(db, "digest")] == ["frequency_none"]


def test_switched_off_after_it_was_planned_it_ends_opted_out(
    services: Services, db: Database, known: People, smtp: SmtpServer
) -> None:
    tick(services, NOW - HOUR)
    ids = tick(services, NOW)
    change(db, known.sato, weekly_digest=False)
    sending.deliver(services, ids, at(NOW))
    (mail,) = mails(db, "weekly_digest")
    assert (mail.state, mail.reason) == (State.SUPPRESSED, "opted_out")
    assert [(one.verdict, one.reason) for one in decisions(db, "digest")] == [("skip", "opted_out")]
    assert received(smtp, SATO) == []


def test_a_lead_who_takes_no_reminders_still_gets_the_digest(
    services: Services, db: Database, known: People
) -> None:
    change(db, known.sato, notify_frequency="none")
    tick(services, NOW - HOUR)
    assert len(tick(services, NOW)) == 1


def test_nothing_to_say_is_no_mail(services: Services, db: Database, team: People) -> None:
    tick(services, NOW - HOUR)
    assert tick(services, NOW) == []
    assert [one.reason for one in decisions(db, "digest")] == ["nothing_unreported"]


def test_after_midnight_it_is_expired(services: Services, db: Database, known: People) -> None:
    tick(services, NOW - HOUR)
    tick(services, NOW)
    outbox.sweep(services, NOW + 15 * HOUR)
    assert [one.state for one in mails(db, "weekly_digest")] == [State.EXPIRED]
    assert [one.reason for one in decisions(db, "digest")] == ["expired"]


def test_who_becomes_a_lead_after_their_hour_starts_with_the_next_date(
    services: Services, db: Database, known: People
) -> None:
    change(db, known.suzuki, manager_id=None)
    change(db, known.tanaka, manager_id=None)
    tick(services, NOW)
    change(db, known.tanaka, manager_id=known.suzuki.id)
    assert tick(services, NOW + 2 * HOUR) == []


def test_called_by_hand_it_comes_at_once_and_only_once_a_day(
    services: Services, db: Database, known: People
) -> None:
    wednesday = NOW + DAY
    tick(services, NOW - HOUR)
    tick(services, wednesday)
    assert len(digest.digests_now(services, wednesday + DAY)) == 1
    assert digest.digests_now(services, wednesday + DAY + HOUR) == []


def test_one_teams_broken_facts_stop_no_other(
    services: Services, db: Database, known: People
) -> None:
    with db.write() as session:
        broken = Member(
            email="broken@example.jp",
            name="壊れた設定",
            timezone="Asia/Nowhere",
            decided_through=TODAY,
            led_through=TODAY - DAY,
            created_at=NOW,
        )
        session.add(broken)
        session.flush()
        session.add(
            Member(
                email="x@example.jp",
                name="部下",
                manager_id=broken.id,
                decided_through=TODAY,
                created_at=NOW,
            )
        )
    tick(services, NOW - HOUR)
    assert len(tick(services, NOW)) == 1


@on_sqlite
def test_called_by_hand_one_teams_broken_facts_stop_no_other(
    services: Services, db: Database
) -> None:
    """Of the sample's four leads the first and the admin have a task whose date is none."""
    sample.load(services, NOW - HOUR)
    with db.write() as session:
        session.execute(text("UPDATE tasks SET start_on = 'x' WHERE ref = 'T-003'"))
    digest.find_leads(services, NOW)
    assert len(digest.digests_now(services, NOW)) == 2
    with db.read() as session:
        told = [one.name.partition(":")[0] for one in open_alerts(session)]
    assert told == [Alarm.TEAM, Alarm.TEAM]


# --- escalation -------------------------------------------------------------------------------
# A daily task that was last reported on Friday 13 November: on Tuesday 24 its member is silent for
# 16 17 18 19 20 24 = 6 workdays, less the one that is allowed: 5.

FRIDAY = date(2026, 11, 13)


@pytest.fixture
def silent(db: Database, known: People) -> People:
    """鈴木 and 田中 have been here since January, and reported last on Friday 13 November."""
    with db.write() as session:
        session.execute(update(Member).values(active_since=LONG_AGO))
    report(db, "T-2", known.suzuki, FRIDAY)
    report(db, "T-3", known.tanaka, FRIDAY)
    return known


def steps(db: Database) -> list[tuple[str, str, str, int]]:
    with db.read() as session:
        names = dict(iter(session.execute(select(Member.id, Member.name))))
    return [
        (names[one.user_id], one.facts["step"], one.verdict, one.facts["silent"])
        for one in decisions(db, "escalation")
    ]


def escalated(db: Database) -> list[tuple[str, date]]:
    return [(one.to_addr, one.local_date) for one in mails(db, "escalation")]


def test_the_first_day_escalates_nobody(services: Services, db: Database, team: People) -> None:
    with db.write() as session:
        session.add_all([task("T-2", team.suzuki), task("T-3", team.tanaka)])
    report(db, "T-2", team.suzuki, date(2026, 11, 5))
    for n in range(3):  # Tuesday, Wednesday, Thursday: silent for at most 2 workdays here
        tick(services, NOW + n * DAY)
    assert steps(db) == []


def test_after_five_workdays_the_lead_is_told_once_of_both_in_one_mail(
    services: Services, db: Database, silent: People, smtp: SmtpServer
) -> None:
    tick(services, NOW - HOUR)
    ids = tick(services, NOW)
    assert escalated(db) == [(SATO, TODAY)]
    told = [one for one in steps(db) if one[1] == "lead"]
    assert told == [("鈴木 一郎", "lead", "send", 5), ("田中 美咲", "lead", "send", 5)]
    sending.deliver(services, ids, at(NOW))
    letter = next(one for one in received(smtp, SATO) if "報告がない方" in one["Subject"])
    assert letter["Subject"] == "報告がない方が2人います 11月24日(火)"
    assert "鈴木 一郎さん" in plain(letter)
    assert "最後の報告 11月13日(金)" in plain(letter)
    tick(services, NOW + DAY)  # and not again the next day
    assert escalated(db) == [(SATO, TODAY)]


def test_what_one_lead_is_told_no_other_sees(
    services: Services, db: Database, silent: People, smtp: SmtpServer
) -> None:
    tick(services, NOW - HOUR)
    tick(services, NOW)
    sending.deliver(services, [one.id for one in mails(db, "escalation")], at(NOW))
    (mail,) = smtp.mails
    message = message_from_bytes(mail.data, policy=policy.default)
    assert (message["Cc"], message["Bcc"], len(message["To"].addresses)) == (None, None, 1)


def test_a_report_takes_a_member_out_of_a_mail_that_waits_already(
    services: Services, db: Database, silent: People, smtp: SmtpServer
) -> None:
    tick(services, NOW - HOUR)
    ids = tick(services, NOW)
    report(db, "T-2", silent.suzuki, date(2026, 11, 20))
    sending.deliver(services, ids, at(NOW))
    letter = next(one for one in received(smtp, SATO) if "報告がない方" in one["Subject"])
    assert "鈴木" not in plain(letter)
    assert "田中 美咲さん" in plain(letter)
    found = {one.user_id: one.reason for one in decisions(db, "escalation")}
    assert found == {silent.suzuki.id: "reported_meanwhile", silent.tanaka.id: None}


def test_when_all_have_reported_no_mail_goes_out(
    services: Services, db: Database, silent: People, smtp: SmtpServer
) -> None:
    tick(services, NOW - HOUR)
    ids = tick(services, NOW)
    report(db, "T-2", silent.suzuki, date(2026, 11, 20))
    report(db, "T-3", silent.tanaka, date(2026, 11, 20))
    sending.deliver(services, ids, at(NOW))
    (mail,) = mails(db, "escalation")
    assert (mail.state, mail.reason) == (State.SUPPRESSED, "reported_meanwhile")
    assert {one.reason for one in decisions(db, "escalation")} == {"reported_meanwhile"}


def test_a_mail_that_expires_leaves_the_step_open_for_the_next_workday(
    services: Services, db: Database, silent: People
) -> None:
    tick(services, NOW - HOUR)
    tick(services, NOW)
    outbox.sweep(services, NOW + 15 * HOUR)
    assert {one.reason for one in decisions(db, "escalation")} == {"expired"}
    tick(services, NOW + DAY)
    assert escalated(db) == [(SATO, TODAY), (SATO, TODAY + DAY)]


def test_cancelled_by_an_operator_the_rows_say_so(
    services: Services, db: Database, silent: People
) -> None:
    tick(services, NOW - HOUR)
    tick(services, NOW)
    (mail,) = mails(db, "escalation")
    outbox.cancel(services, mail.id, who="admin", now=NOW)
    assert {one.reason for one in decisions(db, "escalation")} == {"cancelled"}


def test_after_eight_workdays_the_leads_manager_is_told(
    services: Services, db: Database, silent: People
) -> None:
    boss = promoted(db, silent)
    tick(services, NOW - HOUR)
    for n in range(7):  # to Monday 30 November: 5 6 7 8 - - 9 workdays
        tick(services, NOW + n * DAY)
    told = [(one[0], one[1], one[3]) for one in steps(db) if one[0] == "鈴木 一郎"]
    assert told == [("鈴木 一郎", "lead", 5), ("鈴木 一郎", "manager", 8)]
    assert escalated(db) == [(SATO, TODAY), (boss, date(2026, 11, 27))]


def promoted(db: Database, people: People) -> str:
    """Gives 佐藤 a manager of her own."""
    with db.write() as session:
        boss = Member(
            email="shacho@example.jp",
            name="港 一",
            locale="ja",
            decided_through=TODAY - DAY,
            created_at=NOW,
        )
        session.add(boss)
        session.flush()
        session.execute(
            update(Member).where(Member.id == people.sato.id).values(manager_id=boss.id)
        )
    return boss.email


def test_nobody_above_means_nobody_is_told(
    services: Services, db: Database, silent: People
) -> None:
    tick(services, NOW - HOUR)
    for n in range(7):
        tick(services, NOW + n * DAY)
    assert {one[1] for one in steps(db)} <= {"lead", "notice"}


def test_a_circle_of_managers_tells_nobody_about_themselves(
    services: Services, db: Database, silent: People
) -> None:
    change(db, silent.sato, manager_id=silent.suzuki.id)
    change(db, silent.tanaka, manager_id=silent.tanaka.id)  # their own manager
    tick(services, NOW - HOUR)
    for n in range(7):
        tick(services, NOW + n * DAY)
    assert {(one[0], one[1]) for one in steps(db) if one[1] != "notice"} == {("鈴木 一郎", "lead")}
    assert escalated(db) == [(SATO, TODAY)]


def test_an_inactive_lead_is_passed_over(services: Services, db: Database, silent: People) -> None:
    boss = promoted(db, silent)
    change(db, silent.sato, active=False)
    tick(services, NOW - HOUR)
    for n in range(7):
        tick(services, NOW + n * DAY)
    assert escalated(db) == [(boss, date(2026, 11, 27))]


@pytest.mark.parametrize(
    "values",
    [
        {"escalations": False},
        {"notify_frequency": "none"},
        {"suppressed_reason": "550 5.1.1"},
        {"paused_until": TODAY + 30 * DAY},
    ],
)
def test_a_lead_who_takes_no_such_mail_gets_none(
    services: Services, db: Database, silent: People, values: dict[str, Any]
) -> None:
    change(db, silent.sato, **values)
    tick(services, NOW - HOUR)
    tick(services, NOW)
    assert escalated(db) == []


def test_a_lead_on_leave_is_told_on_the_first_day_back(
    services: Services, db: Database, silent: People
) -> None:
    off(db, silent.sato, TODAY, TODAY + DAY)
    tick(services, NOW - HOUR)
    for n in range(3):
        tick(services, NOW + n * DAY)
    assert escalated(db) == [(SATO, TODAY + 2 * DAY)]


def test_of_who_is_on_leave_the_lead_is_told_on_their_first_day_back_as_their_mail_says(
    services: Services, db: Database, silent: People, smtp: SmtpServer
) -> None:
    """The lead is away today; tomorrow and the day after the silent member is."""
    change(db, silent.tanaka, active=False)
    off(db, silent.sato, TODAY, TODAY)
    off(db, silent.suzuki, TODAY + DAY, TODAY + 2 * DAY)
    ahead = digest.ahead(services, "escalation", TODAY, TODAY + 3 * DAY)
    assert [one.local_date for one in ahead if one.step == "lead"] == [date(2026, 11, 27)]
    tick(services, NOW - HOUR)
    tick(services, NOW)
    sending.deliver(services, [one.id for one in mails(db, "reminder")], at(NOW))
    (own,) = received(smtp, SUZUKI)
    assert "11月27日(金)になっても報告がないときは" in plain(own).replace("\n", "")
    for n in range(1, 4):
        tick(services, NOW + n * DAY)
    assert escalated(db) == [(SATO, date(2026, 11, 27))]


def test_leave_taken_while_the_mail_waits_takes_the_member_out_and_leaves_the_step_open(
    services: Services, db: Database, silent: People, smtp: SmtpServer
) -> None:
    tick(services, NOW - HOUR)
    ids = tick(services, NOW)
    off(db, silent.suzuki, TODAY, TODAY + DAY)
    sending.deliver(services, ids, at(NOW))
    letter = next(one for one in received(smtp, SATO) if "報告がない方" in one["Subject"])
    assert "鈴木" not in plain(letter)
    found = {one.user_id: one.reason for one in decisions(db, "escalation")}
    assert found == {silent.suzuki.id: "on_leave", silent.tanaka.id: None}
    for n in range(1, 3):
        tick(services, NOW + n * DAY)
    assert escalated(db) == [(SATO, TODAY), (SATO, TODAY + 2 * DAY)]


def off(db: Database, member: Member, first: date, last: date) -> None:
    """Leave of the member."""
    with db.write() as session:
        session.add(DaysOff(user_id=member.id, first_day=first, last_day=last))


def test_a_weekly_lead_is_told_on_the_weekly_day(
    services: Services, db: Database, silent: People
) -> None:
    change(db, silent.sato, notify_frequency="weekly", weekly_day=3)
    tick(services, NOW - HOUR)
    for n in range(4):
        tick(services, NOW + n * DAY)
    assert escalated(db) == [(SATO, date(2026, 11, 26))]


def test_a_new_silence_is_told_anew(services: Services, db: Database, silent: People) -> None:
    tick(services, NOW - HOUR)
    tick(services, NOW)
    report(db, "T-2", silent.suzuki, TODAY)
    report(db, "T-3", silent.tanaka, date(2026, 12, 31))
    for n in range(1, 10):  # to Thursday 3 December: 25 26 27 30 1 2 = 6 workdays on Wednesday
        tick(services, NOW + n * DAY)
    told = [one for one in decisions(db, "escalation") if one.facts["step"] == "lead"]
    mine = [one.local_date for one in told if one.user_id == silent.suzuki.id]
    assert mine == [TODAY, date(2026, 12, 2)]


def test_switched_off_steps_are_not_taken(services: Services, db: Database, silent: People) -> None:
    off = {"escalate_notice_after": "0", "escalate_lead_after": "0", "escalate_manager_after": "0"}
    set_settings(services, off, "test", NOW - HOUR)
    tick(services, NOW)
    assert steps(db) == []


def test_steps_out_of_order_are_refused(services: Services, team: People) -> None:
    with pytest.raises(ValuesRefused, match="escalate_lead_after"):
        set_settings(services, {"escalate_lead_after": "9"}, "test", NOW)


# --- the notice in the member's own mail --------------------------------------------------------


def test_after_three_workdays_the_members_own_mail_says_when_the_lead_will_be_told(
    services: Services, db: Database, silent: People, smtp: SmtpServer
) -> None:
    wednesday = datetime(2026, 11, 18, tzinfo=UTC)
    with db.write() as session:
        session.execute(update(Member).values(decided_through=date(2026, 11, 17)))
    tick(services, wednesday - HOUR)
    tick(services, wednesday)  # 16 17 18 less one: 2
    thursday = wednesday + DAY
    tick(services, thursday)
    reminder = [one for one in mails(db, "reminder") if one.to_addr == SUZUKI]
    sending.deliver(services, [reminder[0].id], at(wednesday))
    sending.deliver(services, [reminder[1].id], at(thursday))
    before, after = (plain(one) for one in received(smtp, SUZUKI))
    assert "お知らせします" not in before
    # 3 on Thursday 19, 4 on Friday 20, Monday 23 is a holiday, 5 on Tuesday 24
    assert "11月24日(火)になっても報告がないときは" in after.replace("\n", "")
    assert "佐藤 花子さんにもお知らせします。" in after.replace("\n", "")
    tick(services, thursday + DAY)
    notices = [one for one in decisions(db, "escalation") if one.facts["step"] == "notice"]
    assert (notices[0].user_id, notices[0].local_date) == (silent.suzuki.id, date(2026, 11, 19))


def test_without_a_lead_the_mail_threatens_nothing(
    services: Services, db: Database, silent: People, smtp: SmtpServer
) -> None:
    change(db, silent.suzuki, manager_id=None)
    tick(services, NOW - HOUR)
    tick(services, NOW)
    reminder = [one.id for one in mails(db, "reminder") if one.to_addr == SUZUKI]
    sending.deliver(services, reminder, at(NOW))
    (letter,) = received(smtp, SUZUKI)
    assert "お知らせします" not in plain(letter)


def test_a_lead_whose_week_begins_on_sunday_reads_of_the_iso_week_on_monday(
    services: Services, db: Database, team: People
) -> None:
    """On Sunday the week of Monday to Sunday, of which a digest tells, is not over."""
    change(db, team.sato, weekend="fri,sat", holidays="")
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    sunday = TODAY + 5 * DAY
    ahead = digest.ahead(services, "weekly_digest", sunday, sunday + 7 * DAY)
    assert [one.local_date for one in ahead if one.verdict == "send"] == [sunday + DAY]


def test_a_working_saturday_counts_as_a_day_of_silence(
    services: Services, db: Database, silent: People
) -> None:
    """8 workdays of silence are over a day sooner."""

    def told_on() -> set[date]:
        steps = digest.ahead(services, "escalation", TODAY, TODAY + 13 * DAY)
        return {one.local_date for one in steps if one.step == "manager"}

    promoted(db, silent)
    assert told_on() == {date(2026, 11, 27)}
    saturday = date(2026, 11, 21)
    with db.write() as session:
        session.add(ExtraWorkday(user_id=None, first_day=saturday, last_day=saturday))
    assert told_on() == {date(2026, 11, 26)}


# --- looking back and ahead -------------------------------------------------------------------


def test_why_tells_of_the_digest_of_each_step_and_of_a_report_that_came_first(
    services: Services, db: Database, silent: People
) -> None:
    tick(services, NOW - HOUR)
    ids = tick(services, NOW)
    report(db, "T-2", silent.suzuki, date(2026, 11, 20))
    sending.deliver(services, ids, at(NOW))
    lead = explain(services, SATO, TODAY, NOW)
    assert "2026年11月24日(火) の週次のまとめを送ることにしました。" in lead.paragraph.ja
    assert f"{SATO} is told that 田中 美咲 has been silent for 5 workdays." in lead.paragraph.en
    assert lead.facts["digest"] == {"verdict": "send", "reason": None}
    member = explain(services, SUZUKI, TODAY, NOW)
    assert "取りやめました。理由: 送る直前に、すべて報告済みになりました" in member.paragraph.ja
    (step,) = member.facts["escalation"]
    assert (step["step"], step["told"], step["reason"]) == ("lead", SATO, "reported_meanwhile")


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"notify_frequency": "weekly", "weekly_day": 2},
        {"notify_frequency": "weekly", "weekly_day": 6, "weekend": "fri,sat", "holidays": "GB-ENG"},
    ],
)
@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.pages  # it compares; what it compares has its tests on both databases
def test_simulating_two_weeks_and_living_them_give_the_same(
    services: Services, db: Database, silent: People, own: dict[str, object], extra: bool
) -> None:
    promoted(db, silent)
    if own:
        change(db, silent.sato, **own)
    with db.write() as session:
        if extra:  # a Saturday of everybody, a Sunday of one
            for owner, day in ((None, 28), (silent.suzuki.id, 29)):
                when = date(2026, 11, day)
                session.add(ExtraWorkday(user_id=owner, first_day=when, last_day=when))
        session.add(DaysOff(user_id=silent.tanaka.id, first_day=date(2026, 11, 25), last_day=None))
    tick(services, NOW - HOUR)
    last = TODAY + 13 * DAY
    digests = [
        (one.email, one.local_date)
        for one in digest.ahead(services, "weekly_digest", TODAY, last)
        if one.verdict == "send"
    ]
    told = {
        (one.email, one.local_date, one.step, one.notified)
        for one in digest.ahead(services, "escalation", TODAY, last)
        if one.notified
    }
    for n in range(14):
        tick(services, NOW + n * DAY)
    happened = [(one.to_addr, one.local_date) for one in mails(db, "weekly_digest")]
    assert sorted(digests) == sorted(happened)
    with db.read() as session:
        emails = dict(iter(session.execute(select(Member.id, Member.email))))
    assert told == {
        (emails[one.user_id], one.local_date, one.facts["step"], one.facts["told"])
        for one in decisions(db, "escalation")
        if one.told_id
    }
    assert told
