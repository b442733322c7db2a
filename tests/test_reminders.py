"""Planning, asking by hand, looking ahead and back: on both databases."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import reminders
from app.alerts import open_alerts
from app.db import Database
from app.locale import Both
from app.models import DaysOff, DecisionRow, Member, OutboxMail, Report, Setting, State, Task, Team
from app.monitoring import status
from app.people.lookup import NoSuchMember
from app.services import Services
from app.why.reminder import explain
from tests.conftest import NOW, TODAY, People, suzuki, task

HOUR = timedelta(hours=1)


def add_tasks(db: Database, *members: Member) -> None:
    with db.write() as session:
        session.add_all(task(f"T-{member.id}", member) for member in members)


def add_report(db: Database, member: Member, counts_for: date) -> None:
    with db.write() as session:
        session.add(
            Report(
                task_id=_task_id(session, f"T-{member.id}"),
                reporter_id=member.id,
                counts_for=counts_for,
                percent=50,
                status="on_track",
                text="予定どおりです。",
                created_at=NOW,
            )
        )


def _task_id(session: Session, ref: str) -> int:
    return session.scalars(select(Task.id).where(Task.ref == ref)).one()


def decisions(db: Database) -> dict[tuple[int, date], str | None]:
    with db.read() as session:
        return {
            (row.user_id, row.local_date): row.reason
            for row in session.scalars(select(DecisionRow))
        }


def mails(db: Database) -> list[OutboxMail]:
    with db.read() as session:
        return list(session.scalars(select(OutboxMail).order_by(OutboxMail.id)))


@pytest.fixture
def busy(db: Database, team: People) -> People:
    """The three with one unreported task each."""
    add_tasks(db, team.sato, team.suzuki, team.tanaka)
    return team


# --- plan ---------------------------------------------------------------------------------


def test_at_nine_everybody_with_an_unreported_task_gets_one_mail(
    services: Services, db: Database, busy: People
) -> None:
    planned = reminders.plan(services, NOW)
    assert len(planned.ids) == 3
    assert [mail.to_addr for mail in mails(db)] == [
        "sato.hanako@example.jp",
        "suzuki.ichiro@example.jp",
        "tanaka.misaki@example.jp",
    ]
    assert decisions(db) == {
        (busy.sato.id, TODAY): None,
        (busy.suzuki.id, TODAY): None,
        (busy.tanaka.id, TODAY): None,
    }


def test_a_minute_before_the_hour_nothing_is_decided(
    services: Services, db: Database, busy: People
) -> None:
    assert reminders.plan(services, NOW - timedelta(minutes=1)).decided == 0
    assert decisions(db) == {}


def test_planning_again_changes_nothing(services: Services, db: Database, busy: People) -> None:
    reminders.plan(services, NOW)
    again = reminders.plan(services, NOW + timedelta(minutes=1))
    assert (again.decided, again.ids, len(mails(db))) == (0, [], 3)


def test_planning_again_after_the_next_hour_was_forgotten_sends_nothing_twice(
    services: Services, db: Database, busy: People
) -> None:
    """As after a restore or a hand in the table: the unique decision holds."""
    reminders.plan(services, NOW)
    with db.write() as session:
        session.execute(update(Member).values(next_due_at=None, decided_through=date(2026, 11, 20)))
    assert reminders.plan(services, NOW).ids == []
    assert len(mails(db)) == 3


def test_the_next_hour_is_always_in_the_future(
    services: Services, db: Database, busy: People
) -> None:
    reminders.plan(services, NOW)
    with db.read() as session:
        for member in session.scalars(select(Member)):
            assert member.decided_through == TODAY
            assert member.next_due_at == NOW + timedelta(days=1)


def test_who_has_reported_gets_no_mail_and_the_row_says_why(
    services: Services, db: Database, busy: People
) -> None:
    add_report(db, busy.suzuki, date(2026, 11, 20))
    reminders.plan(services, NOW)
    assert decisions(db)[busy.suzuki.id, TODAY] == "nothing_unreported"
    assert len(mails(db)) == 2


def test_dates_on_which_nothing_ran_show_what_was_missed(
    services: Services, db: Database, busy: People
) -> None:
    """Down from Friday to Tuesday: Friday is expired, the days off keep their own reasons."""
    with db.write() as session:
        session.execute(update(Member).values(decided_through=date(2026, 11, 19)))
    reminders.plan(services, NOW)
    found = [decisions(db)[busy.suzuki.id, date(2026, 11, day)] for day in range(20, 25)]
    assert found == ["expired", "weekend", "weekend", "holiday", None]


def test_a_past_date_is_decided_with_the_reports_of_that_date(
    services: Services, db: Database, busy: People
) -> None:
    with db.write() as session:
        session.execute(update(Member).values(decided_through=date(2026, 11, 18)))
    add_report(db, busy.suzuki, date(2026, 11, 19))
    reminders.plan(services, NOW)
    found = decisions(db)
    assert found[busy.suzuki.id, date(2026, 11, 19)] == "nothing_unreported"
    assert found[busy.suzuki.id, date(2026, 11, 20)] == "nothing_unreported"
    assert found[busy.suzuki.id, TODAY] is None
    assert found[busy.sato.id, date(2026, 11, 19)] == "expired"


def test_one_member_with_a_broken_time_zone_does_not_stop_the_others(
    services: Services, db: Database, busy: People
) -> None:
    with db.write() as session:
        session.execute(
            update(Member).where(Member.id == busy.suzuki.id).values(timezone="Asia/Edo")
        )
    assert len(reminders.plan(services, NOW).ids) == 2
    with db.read() as session:
        assert [one.name for one in open_alerts(session)] == [
            f"member_undecidable:{busy.suzuki.id}"
        ]


def test_leave_and_inactive_members_get_nothing(
    services: Services, db: Database, busy: People
) -> None:
    with db.write() as session:
        session.add(DaysOff(user_id=busy.sato.id, first_day=TODAY, last_day=TODAY))
        session.execute(update(Member).where(Member.id == busy.tanaka.id).values(active=False))
    reminders.plan(services, NOW)
    assert decisions(db) == {(busy.sato.id, TODAY): "on_leave", (busy.suzuki.id, TODAY): None}


def test_the_organisations_hour_holds_until_a_member_has_their_own(
    services: Services, db: Database, busy: People
) -> None:
    with db.write() as session:
        session.add(Setting(key="notify_at", value="08:00", changed_by="x", changed_at=NOW))
        session.execute(
            update(Member).where(Member.id == busy.suzuki.id).values(notify_at=time(8, 30))
        )
    reminders.plan(services, NOW - HOUR)
    assert (busy.suzuki.id, TODAY) not in decisions(db)
    assert (busy.sato.id, TODAY) in decisions(db)


# --- the brake ----------------------------------------------------------------------------


@pytest.fixture
def crowd(db: Database, busy: People) -> int:
    """Sixty more members, each with an unreported task."""
    with db.write() as session:
        crowd = [suzuki_like(n, team_id=session.scalars(select(Team.id)).one()) for n in range(60)]
        session.add_all(crowd)
        session.flush()
        session.add_all(task(f"C-{one.id}", one) for one in crowd)
    return 63


def suzuki_like(n: int, **values: object) -> Member:
    member = suzuki(**values)
    member.email = f"member{n}@example.jp"
    return member


def test_an_unusual_number_waits_for_an_admins_word(
    services: Services, db: Database, crowd: int
) -> None:
    planned = reminders.plan(services, NOW)
    assert (planned.ids, planned.held) == ([], crowd)
    assert status.status(services, NOW)["held"] == crowd
    assert status.resume(services, who="admin", now=NOW) == crowd
    assert status.status(services, NOW)["held"] == 0
    assert status.status(services, NOW)["alerts"] == []


def test_a_usual_number_is_not_held(services: Services, db: Database, crowd: int) -> None:
    with db.write() as session:  # yesterday's workday had 30: three times that is allowed
        for member in session.scalars(select(Member).limit(30)).all():
            session.add(
                DecisionRow(
                    user_id=member.id,
                    slot="reminder",
                    local_date=date(2026, 11, 20),
                    verdict="send",
                    facts={"frequency": "daily"},
                    at=NOW,
                    decided_at=NOW,
                )
            )
    assert len(reminders.plan(services, NOW).ids) == crowd


def test_held_mails_stay_held_over_the_next_ticks(
    services: Services, db: Database, crowd: int
) -> None:
    reminders.plan(services, NOW)
    assert reminders.plan(services, NOW + timedelta(minutes=1)).ids == []
    with db.read() as session:
        held = select(func.count()).where(OutboxMail.held == "brake")
        assert session.scalar(held) == crowd


def test_remind_with_an_admins_yes_is_not_held(
    services: Services, db: Database, crowd: int
) -> None:
    queued: list[int] = []
    asked = replace(services, publish=queued.extend)
    reminders.remind(asked, now=NOW, confirmed=True)
    assert len(queued) == crowd


# --- remind -------------------------------------------------------------------------------


def test_remind_ignores_the_hour_and_a_second_one_finds_the_decisions(
    services: Services, db: Database, busy: People
) -> None:
    early = NOW - 1.5 * HOUR  # 07:30 in Tokyo
    first = reminders.remind(services, now=early)
    assert [(one.verdict, one.existing) for one in first] == [("send", False)] * 3
    second = reminders.remind(services, now=early + timedelta(minutes=1))
    assert [(one.verdict, one.existing) for one in second] == [("send", True)] * 3
    assert len(mails(db)) == 3


def test_the_tick_at_nine_adds_nothing_to_what_was_asked_for_at_half_past_seven(
    services: Services, db: Database, busy: People
) -> None:
    reminders.remind(services, now=NOW - 1.5 * HOUR)
    assert reminders.plan(services, NOW).ids == []


def test_remind_does_not_break_quiet_hours(services: Services, db: Database, busy: People) -> None:
    at_half_past_six = NOW - 2.5 * HOUR
    outcomes = {one.email: one for one in reminders.remind(services, now=at_half_past_six)}
    assert outcomes["tanaka.misaki@example.jp"].reason == "quiet_hours"
    assert (busy.tanaka.id, TODAY) not in decisions(db)


def test_before_the_hour_a_reason_not_to_send_is_not_final(
    services: Services, db: Database, busy: People
) -> None:
    add_report(db, busy.suzuki, date(2026, 11, 20))
    reminders.remind(services, now=NOW - HOUR)
    assert (busy.suzuki.id, TODAY) not in decisions(db)
    reminders.remind(services, now=NOW + HOUR)
    assert decisions(db)[busy.suzuki.id, TODAY] == "nothing_unreported"


def test_remind_as_of_a_date_takes_everybodys_hour_on_that_date(
    services: Services, db: Database, busy: People
) -> None:
    sunday = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
    reminders.remind(services, now=sunday, on=TODAY)
    assert [(mail.local_date, mail.date_header) for mail in mails(db)] == [(TODAY, NOW)] * 3
    assert all(mail.not_before == sunday < mail.expires_at for mail in mails(db))


def test_an_evenings_reminder_is_not_expired_when_it_was_asked_for(
    services: Services, db: Database, busy: People
) -> None:
    evening = NOW + 11 * HOUR  # 20:00, after the catch-up
    assert reminders.remind(services, now=evening)[1].verdict == "send"
    ends = {mail.to_addr[:6]: mail.expires_at for mail in mails(db)}
    assert ends["suzuki"] == NOW + 15 * HOUR  # midnight
    assert ends["tanaka"] == NOW + 13 * HOUR  # 22:00, the start of quiet hours


def test_reminding_one_member_leaves_the_others_alone(
    services: Services, db: Database, busy: People
) -> None:
    outcomes = reminders.remind(services, now=NOW, email="Suzuki.Ichiro@example.jp")
    assert [one.email for one in outcomes] == ["suzuki.ichiro@example.jp"]
    assert len(mails(db)) == 1
    with pytest.raises(NoSuchMember):
        reminders.remind(services, now=NOW, email="nobody@example.jp")


# --- simulate and why ---------------------------------------------------------------------


def test_simulating_a_week_and_running_it_give_the_same(
    services: Services, db: Database, busy: People
) -> None:
    with db.write() as session:
        session.execute(
            update(Member)
            .where(Member.id == busy.suzuki.id)
            .values(notify_frequency="weekly", weekly_day=2)
        )
        session.add(DaysOff(user_id=busy.sato.id, first_day=date(2026, 11, 26), last_day=None))
    last = date(2026, 11, 30)
    forecast = {
        (one.email, one.local_date): one.reason for one in reminders.simulate(services, TODAY, last)
    }
    assert decisions(db) == {}
    for n in range((last - TODAY).days + 1):
        reminders.plan(services, NOW + timedelta(days=n))
    with db.read() as session:
        happened = {
            (email, day): reason
            for email, day, reason in session.execute(
                select(Member.email, DecisionRow.local_date, DecisionRow.reason).join(
                    DecisionRow, DecisionRow.user_id == Member.id
                )
            )
        }
    assert forecast == happened


def test_why_tells_what_was_decided_and_what_it_saw(
    services: Services, db: Database, busy: People
) -> None:
    with db.write() as session:
        session.execute(update(Member).values(decided_through=date(2026, 11, 22)))
    reminders.plan(services, NOW)
    holiday = explain(services, "suzuki.ichiro@example.jp", date(2026, 11, 23), NOW)
    assert "2026年11月23日(月)" in holiday.paragraph.ja
    assert "祝日です(勤労感謝の日)" in holiday.paragraph.ja
    assert holiday.facts["reason"] == "holiday"
    today = explain(services, "suzuki.ichiro@example.jp", None, NOW)
    assert "未報告のタスク1件" in today.paragraph.ja
    assert "waiting to be sent" in today.paragraph.en
    assert today.facts["next_decision_at"] == "2026-11-25T09:00:00+09:00"


def test_why_without_a_date_finds_what_was_decided_ahead(services: Services, busy: People) -> None:
    suzuki, thursday = "suzuki.ichiro@example.jp", date(2026, 11, 26)
    reminders.remind(services, now=NOW - HOUR, on=thursday)
    assert explain(services, suzuki, None, NOW - HOUR).facts["local_date"] == "2026-11-26"
    reminders.plan(services, NOW)
    assert explain(services, suzuki, None, NOW).facts["local_date"] == "2026-11-24"


@pytest.mark.pages
@pytest.mark.parametrize(
    ("end", "said"),
    [
        (
            (State.SUPPRESSED, "reported_meanwhile"),
            Both(
                "送信前に取りやめました: 送る直前に、すべて報告済みになりました。",
                "was dropped before it was sent: all was reported just before the mail went out.",
            ),
        ),
        ((State.UNKNOWN, "no_answer_recorded"), Both("ていません。", "no answer was recorded.")),
        ((State.DEAD, "claimed_too_often"), Both("5回試みても", "5 tries without a result.")),
        ((State.EXPIRED, "expired"), Both("送れませんでした。", "could not go out in time.")),
        ((State.FAILED, "550 5.1.1 gone"), Both(": 550 5.1.1 gone。", ": 550 5.1.1 gone.")),
    ],
)
def test_why_says_in_words_why_a_mail_ended(
    services: Services, db: Database, busy: People, end: tuple[State, str], said: Both
) -> None:
    """Once, and without the code that the database has for it."""
    reminders.plan(services, NOW)
    with db.write() as session:
        session.execute(update(OutboxMail).values(state=end[0], reason=end[1]))
    told = explain(services, "suzuki.ichiro@example.jp", TODAY, NOW).paragraph
    assert said.ja in told.ja
    assert said.en in told.en
    assert "_" not in str(told)


def test_why_looks_ahead_when_the_hour_is_still_to_come(
    services: Services, db: Database, busy: People
) -> None:
    early = NOW - HOUR
    ahead = explain(services, "suzuki.ichiro@example.jp", None, early)
    assert "09:00 に決まります" in ahead.paragraph.ja
    assert ahead.facts["verdict"] is None
