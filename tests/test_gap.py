"""Dates on which nothing ran, and a change before anybody decided them: they keep their facts."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from app import reminders
from app.imports.files import import_file
from app.members import changes, defaults, mail_preferences
from app.members.snooze import snooze_until
from app.models import DecisionRow, Member
from app.people.values import ValuesRefused
from app.services import Services
from app.why.reminder import explain
from tests.conftest import NOW, TODAY, People, suzuki, task

HOUR = timedelta(hours=1)
SUZUKI = suzuki().email

# Nothing ran since Wednesday: Thursday and Friday were missed, then a weekend and a holiday.
GAP: dict[date, str | None] = {
    date(2026, 11, 19): "expired",
    date(2026, 11, 20): "expired",
    date(2026, 11, 21): "weekend",
    date(2026, 11, 22): "weekend",
    date(2026, 11, 23): "holiday",
}


@pytest.fixture
def missed(services: Services, team: People) -> People:
    """The three with one unreported task each, whom nobody decided since 2026-11-18."""
    with services.db.write() as session:
        session.add_all(task(f"T-{one.id}", one) for one in (team.sato, team.suzuki, team.tanaka))
        session.execute(update(Member).values(decided_through=date(2026, 11, 18)))
    return team


def decided(services: Services) -> dict[date, str | None]:
    """鈴木さん's decisions: the reason, None for a reminder."""
    with services.db.read() as session:
        rows = session.scalars(
            select(DecisionRow)
            .join(Member, Member.id == DecisionRow.user_id)
            .where(Member.email == SUZUKI)
        )
        return {row.local_date: row.reason for row in rows}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("notify_frequency", "none"),
        ("weekend", "mon,tue,thu"),
        ("paused_until", "2027-01-01"),
        ("timezone", "Pacific/Honolulu"),
        ("active", "no"),
    ],
)
def test_a_change_of_the_member_acts_from_the_next_date_not_back(
    services: Services, missed: People, key: str, value: str
) -> None:
    changes.set_member(services, SUZUKI, {key: value}, "admin", NOW - HOUR)
    assert decided(services) == GAP


def test_a_member_deactivated_after_a_gap_has_a_decision_for_each_day_of_it(
    services: Services, missed: People
) -> None:
    changes.set_member(services, SUZUKI, {"active": "no"}, "admin", NOW + HOUR)
    later = NOW + timedelta(days=3, hours=1)
    changes.set_member(services, SUZUKI, {"active": "yes"}, "admin", later)
    reminders.plan(services, later + timedelta(days=1))
    friday_ends = date(2026, 11, 28)  # Saturday: active again after the hour of Friday
    assert decided(services) == GAP | {TODAY: None, friday_ends: "weekend"}


def test_a_change_of_the_defaults_acts_from_the_next_date_not_back(
    services: Services, missed: People
) -> None:
    with pytest.raises(ValuesRefused):
        defaults.set_settings(services, {"quiet_hours_start": "22:00"}, "admin", NOW - HOUR)
    assert decided(services) == {}  # what is refused decides nothing
    other = {"notify_frequency": "none", "holidays": "none", "weekend": "mon"}
    defaults.set_settings(services, other, "admin", NOW - HOUR)
    assert decided(services) == GAP


@pytest.mark.parametrize(
    "act",
    [
        lambda services, who: mail_preferences.reminders(services, who, False, now=NOW - HOUR),
        lambda services, _: snooze_until(services, SUZUKI, date(2027, 1, 1), SUZUKI, NOW - HOUR),
    ],
    ids=["stop", "snooze"],
)
def test_a_wish_of_the_member_acts_from_the_next_date_not_back(
    services: Services, missed: People, act: Callable[[Services, int], object]
) -> None:
    act(services, missed.suzuki.id)
    assert decided(services) == GAP


MEMBERS = """\
email,name,role,team,manager_email,locale,timezone,notify_frequency,notify_at,weekly_day,\
quiet_hours_start,quiet_hours_end,active
suzuki.ichiro@example.jp,鈴木 一郎,member,,,,,,,,,,no
"""
TASKS = """\
ref,title,assignee_email,status,start_on,due_on,report_every
T-{},タスク,sato.hanako@example.jp,open,2026-11-02,,daily
"""


@pytest.mark.parametrize(("what", "table"), [("members", MEMBERS), ("tasks", TASKS)])
def test_an_import_of_what_has_no_history_decides_the_missed_dates_first(
    services: Services, missed: People, what: str, table: str
) -> None:
    data = table.format(missed.suzuki.id).encode()
    import_file(services, what, data, now=NOW - HOUR, dry_run=True)
    assert decided(services) == {}
    import_file(services, what, data, now=NOW - HOUR)
    assert decided(services) == GAP
    reminders.plan(services, NOW)
    assert decided(services).get(TODAY, "inactive") in {"inactive", "nothing_unreported"}


def test_why_says_of_a_date_whose_hour_has_passed_that_nothing_has_run(
    services: Services, missed: People
) -> None:
    thursday = date(2026, 11, 19)
    waiting = explain(services, SUZUKI, thursday, NOW).paragraph
    assert "まだ決まっていません" in waiting.ja
    assert "nothing has run since" in waiting.en
    reminders.plan(services, NOW)
    assert "送れる時間のうちに" in explain(services, SUZUKI, thursday, NOW).paragraph.ja
    before = explain(services, SUZUKI, date(2026, 11, 18), NOW).paragraph
    assert "記録はありません" in before.ja


def test_why_says_of_a_weekly_reminder_still_to_come_on_which_day_of_the_week_it_does(
    services: Services, missed: People
) -> None:
    """Missed on Tuesday it comes on Wednesday, and then no more on Thursday."""
    changes.set_member(services, SUZUKI, {"notify_frequency": "weekly"}, "admin", NOW - HOUR)
    reminders.plan(services, NOW + 10 * HOUR)  # seven in the evening: too late
    evening = NOW + 11 * HOUR
    wednesday = explain(services, SUZUKI, date(2026, 11, 25), evening).paragraph
    assert "1件のリマインダーを送ります" in wednesday.ja
    thursday = explain(services, SUZUKI, date(2026, 11, 26), evening).paragraph
    assert "送る曜日ではありません" in thursday.ja
