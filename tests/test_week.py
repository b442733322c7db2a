"""The lead's week: the sample team's numbers on 2026-11-24, counted by hand, on both databases."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy.orm import Session

from app import sample
from app.digest.team_week import week_of
from app.members.days import WORKDAYS
from app.people.lookup import find
from app.people.settings import organisation, person
from app.rules.week import Mark, Week
from app.rules.workdays import Span
from app.services import Services
from tests.conftest import NOW, TODAY

pytestmark = (
    pytest.mark.pages
)  # long stories: their statements are in other tests, on both databases

EIGHT = datetime(2026, 11, 23, 23, tzinfo=UTC)  # 08:00 on 2026-11-24 in Tokyo


@pytest.fixture
def loaded(services: Services) -> Services:
    """The sample team as it is on its own day."""
    assert sample.load(services, EIGHT) == TODAY
    return services


def week(services: Services, email: str, now: datetime = NOW) -> Week:
    with services.db.read() as session:
        return _week(session, services, email, now)


def _week(session: Session, services: Services, email: str, now: datetime) -> Week:
    defaults = organisation(session, services.config)
    reader = person(session, defaults, find(session, email))
    today = now.astimezone(reader.rhythm.zone).date()
    return week_of(session, defaults, reader, today, now)


# Counted by hand from app/sample/*.csv. The week before 2026-11-24 (a Tuesday; the Monday is
# 勤労感謝の日) is 16 to 22 November with five workdays, 16 to 20; nobody was on leave.
#
# 佐藤 花子's team (開発)    reported on      of 5   today silent for
#   鈴木 一郎     T-003 004 005  17 18 19 20     4    0  (all three on 20)
#   田中 美咲     T-006 007 008  17 18 19 20     4    1  (T-006 on 19: 20, 24 = 2 workdays, - 1)
#   髙橋 健       T-010 011      17       20     2    0  (T-009 starts on 24)
#   伊藤 さくら   T-012          -               0    8  (on 10: 11 12 13 16..20 24 = 9, - 1)
#   渡邉 淳       T-015 017      17 18 19 20     4    2  (T-017 on 18: 19 20 24 = 3, - 1)
#   Smith, John   T-019          -               0    7  (Monday 23 in Los Angeles: 8 - 1)
#   Lena Müller   T-021 weekly   -               0    4  (on 10: 9 - 5)
#   together      4 of 7 members                14 of 35
#
#   blocked   T-007 since 19 (on 18 it was on track)
#   at risk   T-003 T-004 T-006 T-017 T-019 T-021
#   finished  T-011
#   overdue   T-007 (20 Nov), T-015 (20 Nov); due 23 to 29: T-009 T-019 T-021, all on 27
SATO = "sato.hanako@example.jp"


def test_who_reported_on_how_many_of_their_workdays(loaded: Services) -> None:
    found = week(loaded, SATO)
    assert (found.first, found.last) == (date(2026, 11, 16), date(2026, 11, 22))
    assert (found.reporters, found.expected) == (4, 7)
    assert (found.reported_days, found.workdays) == (14, 35)
    assert {one.name: (one.reported, one.workdays) for one in found.members} == {
        "鈴木 一郎": (4, 5),
        "田中 美咲": (4, 5),
        "髙橋 健": (2, 5),
        "伊藤 さくら": (0, 5),
        "渡邉 淳": (4, 5),
        "Smith, John": (0, 5),
        "Lena Müller": (0, 5),
    }
    assert found.away == []


def test_who_is_silent_and_for_how_long(loaded: Services) -> None:
    silent = [(one.name, one.silent) for one in week(loaded, SATO).silent]
    assert silent == [
        ("伊藤 さくら", 8),
        ("Smith, John", 7),
        ("Lena Müller", 4),
        ("渡邉 淳", 2),
        ("田中 美咲", 1),
    ]


def test_what_stands_out(loaded: Services) -> None:
    found = week(loaded, SATO)
    (blocked,) = found.blocked
    assert (blocked.ref, blocked.name, blocked.since) == ("T-007", "田中 美咲", date(2026, 11, 19))
    assert blocked.last is not None
    assert blocked.last.text == "ベンダーの回答待ちです。"
    refs = {"T-003", "T-004", "T-006", "T-017", "T-019", "T-021"}
    assert {one.ref for one in found.at_risk} == refs
    assert [one.ref for one in found.finished] == ["T-011"]
    assert [one.ref for one in found.overdue] == ["T-007", "T-015"]
    assert [one.ref for one in found.due] == ["T-009", "T-019", "T-021"]


def test_how_far_each_task_came(loaded: Services) -> None:
    moved = {one.ref: (one.before, one.after.percent) for one in week(loaded, SATO).progress}
    assert moved == {
        "T-003": (30, 85),
        "T-004": (None, 35),
        "T-005": (35, 75),
        "T-006": (None, 25),
        "T-007": (20, 45),
        "T-008": (45, 95),
        "T-010": (20, 35),
        "T-011": (None, 100),
        "T-015": (45, 85),
        "T-017": (55, 70),
    }


def test_a_working_saturday_is_in_the_picture_and_in_the_numbers(loaded: Services) -> None:
    saturday, before = date(2026, 11, 21), week(loaded, SATO)
    WORKDAYS.add(loaded, "tanaka.misaki@example.jp", Span(saturday, saturday), "test", NOW)
    found = week(loaded, SATO)
    assert [day.day for day in found.days] == [16, 17, 18, 19, 20, 21]
    marks = {one.name: _SIGNS[one.marks[-1]] for one in found.members}
    assert (marks["田中 美咲"], marks["鈴木 一郎"]) == (".", "-")
    assert found.workdays == before.workdays + 1
    silent = {one.name: one.silent for one in before.silent}
    assert {one.name: one.silent for one in found.silent} == silent | {
        "田中 美咲": silent["田中 美咲"] + 1
    }


def test_the_picture_has_a_mark_for_each_workday(loaded: Services) -> None:
    found = week(loaded, SATO)
    assert [day.day for day in found.days] == [16, 17, 18, 19, 20]
    marks = {one.name: "".join(_SIGNS[mark] for mark in one.marks) for one in found.members}
    assert marks == {
        "鈴木 一郎": ".▲■▲▲",  # T-004 was blocked on 18
        "田中 美咲": ".●▲■●",
        "髙橋 健": ".●..●",
        "伊藤 さくら": ".....",
        "渡邉 淳": ".●▲●●",
        "Smith, John": ".....",
        "Lena Müller": ".....",
    }


_SIGNS = {
    Mark.REPORTED: "●",
    Mark.AT_RISK: "▲",
    Mark.BLOCKED: "■",
    Mark.SILENT: ".",
    Mark.OFF: "-",
    Mark.NO_TASK: " ",
}


# 山本 直樹's team (営業): 中村 17 18 19 20 (4), 小林 17 18 19 20 (4: T-029 was cancelled, its
# reports were made), 加藤 17 18 19 20 (4), 吉田 18 19 20 (3), 山﨑 17 18 19 20 (4); 佐々木 is not
# active. 5 of 5, 19 of 25. 松本 葵's team (管理): 井上 17 18 20 (3), 木村 17 18 19 20 (4),
# 林 17 18 (2). 3 of 3, 9 of 15. 港 一 leads the three: 佐藤 17 19 20 (3), 山本 17 18 19 20 (4),
# 松本 18 19 20 (3). As the admin he gets all of it: 18 members with tasks, and 15 of them
# reported, on 14 + 19 + 9 + 10 = 52 of 90 days.
@pytest.mark.parametrize(
    ("lead", "numbers"),
    [
        ("yamamoto.naoki@example.jp", (5, 5, 19, 25)),
        ("matsumoto.aoi@example.jp", (3, 3, 9, 15)),
        ("shacho@example.jp", (15, 18, 52, 90)),
    ],
)
def test_the_other_teams_and_the_admins_digest_of_all(
    loaded: Services, lead: str, numbers: tuple[int, ...]
) -> None:
    found = week(loaded, lead)
    counted = (found.reporters, found.expected, found.reported_days, found.workdays)
    assert counted == numbers


def test_leave_of_this_week_is_named(loaded: Services) -> None:
    (away,) = week(loaded, "yamamoto.naoki@example.jp").away
    assert (away.name, away.first, away.last) == (
        "中村 結衣",
        date(2026, 11, 24),
        date(2026, 11, 26),
    )


def test_blocked_comes_first_for_the_longest(loaded: Services) -> None:
    # 営業: T-034 加藤 blocked since 18, T-040 山﨑 since 19; T-029 is cancelled, T-033 done.
    found = week(loaded, "yamamoto.naoki@example.jp")
    assert [(one.ref, one.since) for one in found.blocked] == [
        ("T-034", date(2026, 11, 18)),
        ("T-040", date(2026, 11, 19)),
    ]


def test_a_member_without_anything_to_report_on_is_not_expected(loaded: Services) -> None:
    found = week(loaded, "shacho@example.jp")
    (boss,) = [one for one in found.members if one.name == "港 一"]
    assert (boss.expected, set(boss.marks)) == (False, {Mark.NO_TASK})


def test_nobody_to_lead_is_nothing_to_say(loaded: Services) -> None:
    assert not week(loaded, "suzuki.ichiro@example.jp").says_something
