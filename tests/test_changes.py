"""Settings, leave and snoozing: effective at once, each with its audit, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta
from threading import Barrier
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from app import outbox, reminders
from app.db import Database
from app.letters import read_again
from app.members import changes, days, defaults
from app.members.snooze import NotNow, snooze_today, snooze_until
from app.models import Audit, DecisionRow, Kind, Member, OutboxMail, State, Team
from app.outbox.claim import claim
from app.people.lookup import NoSuchMember
from app.people.values import ValuesRefused
from app.rules.decision import Reason
from app.rules.workdays import Span
from app.services import Services
from app.why.reminder import explain
from tests.conftest import NOW, TODAY, People, task

pytestmark = pytest.mark.pages

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SUZUKI = "suzuki.ichiro@example.jp"
TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.fixture
def busy(services: Services, team: People) -> People:
    """The three with one unreported task each."""
    with services.db.write() as session:
        session.add_all(task(f"T-{one.id}", one) for one in (team.sato, team.suzuki, team.tanaka))
    return team


def set_(services: Services, now: datetime = NOW, /, **values: str) -> list[str]:
    return [
        f"{one.key}: {one.before} -> {one.after}"
        for one in changes.set_member(services, SUZUKI, values, "admin", now)
    ]


def suzuki_row(services: Services) -> Member:
    with services.db.read() as session:
        return session.scalars(select(Member).where(Member.email == SUZUKI)).one()


def decided(services: Services) -> dict[date, str | None]:
    """鈴木さん's decisions: the reason, None for a reminder."""
    with services.db.read() as session:
        rows = session.scalars(
            select(DecisionRow)
            .join(Member, Member.id == DecisionRow.user_id)
            .where(Member.email == SUZUKI)
        )
        return {row.local_date: row.reason for row in rows}


def mails(services: Services) -> list[tuple[str, int, str]]:
    with services.db.read() as session:
        rows = session.scalars(
            select(OutboxMail).where(OutboxMail.to_addr == SUZUKI).order_by(OutboxMail.id)
        )
        return [(row.kind, row.n, row.state) for row in rows]


# --- one member -----------------------------------------------------------------------------------


def test_a_new_hour_holds_at_once_and_says_who_changed_it(services: Services, busy: People) -> None:
    reminders.plan(services, NOW - HOUR)  # 08:00: looks again at nine
    assert set_(services, NOW - HOUR, notify_at="08:30") == ["notify_at:  -> 08:30"]
    assert suzuki_row(services).next_due_at is None
    reminders.plan(services, NOW - HOUR / 2)
    assert decided(services) == {TODAY: None}
    with services.db.read() as session:
        row = session.scalars(select(Audit)).one()
    assert (row.who, row.what, row.data) == (
        "admin",
        "member.set",
        {
            "email": SUZUKI,
            "changes": [{"key": "notify_at", "before": "", "after": "08:30"}],
        },
    )


def test_an_empty_value_is_the_organisations_default_again(
    services: Services, team: People
) -> None:
    set_(services, notify_at="08:30", weekly_day="wed", weekend="none")
    assert set_(services, notify_at="", weekly_day="", weekend="") == [
        "notify_at: 08:30 -> ",
        "weekly_day: wed -> ",
        "weekend: none -> ",
    ]


def test_all_faults_are_named_in_both_languages_and_nothing_is_changed(
    services: Services, team: People
) -> None:
    wrong = {
        "notify_at": "9:61",
        "weekend": "mon,tue,wed,thu,fri,sat,sun",
        "timezone": "JST",
        "paused_until": "2026-11-31",
        "suppressed": "yes",
        "active": "",
        "name": "a\nb",
        "locale": "fr",
        "hour": "9",
        "notify_frequency": "weekly",
    }
    with pytest.raises(ValuesRefused) as caught:
        changes.set_member(services, SUZUKI, wrong, "admin", NOW)
    assert {key for key, _ in caught.value.faults} == set(wrong) - {"notify_frequency"}
    assert all(one.ja and one.en for _, one in caught.value.faults)
    assert suzuki_row(services).notify_frequency is None


def test_quiet_hours_need_both_ends(services: Services, team: People) -> None:
    with pytest.raises(ValuesRefused, match="quiet_hours_end"):
        set_(services, quiet_hours_start="22:00")
    set_(services, quiet_hours_start="22:00", quiet_hours_end="07:00")
    with pytest.raises(ValuesRefused, match="quiet_hours_start"):
        set_(services, quiet_hours_start="")


def test_a_member_nobody_has_is_no_such_member(services: Services, team: People) -> None:
    with pytest.raises(NoSuchMember):
        changes.set_member(services, "nobody@example.jp", {}, "admin", NOW)


def test_of_those_who_add_one_address_at_once_all_but_one_are_told_that_it_is_there(
    services: Services, team: People
) -> None:
    together = Barrier(8)

    def add(number: int) -> str:
        together.wait(30)
        typed = {"email": "new@example.jp", "name": f"{number}"}
        try:
            changes.add_member(services, typed, "admin", NOW)
        except ValuesRefused as refused:
            return refused.faults[0][1].en
        return "added"

    with ThreadPoolExecutor(8) as pool:
        first, *others = sorted(pool.map(add, range(8)), reverse=True)
    assert first == "added"
    assert all("with this address already" in said for said in others)


def test_settings_changed_after_the_decision_act_from_the_next_date(
    services: Services, busy: People
) -> None:
    reminders.plan(services, NOW)
    set_(services, NOW + HOUR, notify_at="15:00", notify_frequency="weekly")
    for hours in (1, 7, 23):
        reminders.plan(services, NOW + hours * HOUR)
    assert decided(services) == {TODAY: None}
    reminders.plan(services, NOW + 30 * HOUR)  # Wednesday, 15:00
    assert decided(services) == {TODAY: None, TODAY + DAY: "not_this_weekday"}


def test_a_lifted_suppression_brings_mail_again(services: Services, busy: People) -> None:
    with services.db.write() as session:
        session.execute(
            update(Member).where(Member.email == SUZUKI).values(suppressed_reason="550 5.1.1")
        )
    reminders.plan(services, NOW)
    assert decided(services) == {TODAY: "address_suppressed"}
    assert set_(services, NOW + HOUR, suppressed="no") == ["suppressed: yes -> no"]
    reminders.plan(services, NOW + DAY)
    assert decided(services)[TODAY + DAY] is None


# --- away and back --------------------------------------------------------------------------------


def test_a_member_active_again_before_their_hour_starts_today(
    services: Services, busy: People
) -> None:
    set_(services, NOW - 30 * HOUR, active="no")
    set_(services, NOW - HOUR, active="yes")
    reminders.plan(services, NOW)
    assert decided(services) == {TODAY: None}


def test_a_member_active_again_after_their_hour_starts_tomorrow(
    services: Services, busy: People
) -> None:
    set_(services, NOW - HOUR, active="no")
    reminders.plan(services, NOW)
    set_(services, NOW + HOUR, active="yes")
    reminders.plan(services, NOW + 2 * HOUR)
    assert decided(services) == {}
    reminders.plan(services, NOW + DAY)
    assert decided(services) == {TODAY + DAY: None}


def test_off_and_on_within_a_day_decides_that_day_once(services: Services, busy: People) -> None:
    reminders.plan(services, NOW)
    set_(services, NOW + HOUR, active="no")
    set_(services, NOW + 2 * HOUR, active="yes", notify_at="13:00")
    reminders.plan(services, NOW + 4 * HOUR)
    assert mails(services) == [("reminder", 0, "ready")]


# --- a change of time zone at noon ------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Honolulu", "Pacific/Kiritimati"])
def test_a_time_zone_changed_at_noon_brings_no_second_mail_and_skips_no_date(
    services: Services, busy: People, zone: str
) -> None:
    reminders.plan(services, NOW)
    set_(services, NOW + 3 * HOUR, timezone=zone)
    for hours in range(3, 24 * 4):
        reminders.plan(services, NOW + hours * HOUR)
    found = decided(services)
    dates = sorted(found)
    assert dates == [TODAY + n * DAY for n in range(len(dates))]
    assert dates[-1] >= date(2026, 11, 27)
    assert [found[day] for day in dates if day.weekday() < 5] == [None] * 4
    assert len(mails(services)) == 4


def test_east_over_the_date_line_at_noon_catches_up_with_the_new_date(
    services: Services, busy: People
) -> None:
    set_(services, NOW, timezone="America/New_York")  # Monday 19:00 there
    at_nine = NOW + 14 * HOUR  # Tuesday
    reminders.plan(services, at_nine)
    assert decided(services) == {TODAY: None}
    set_(services, at_nine + 3 * HOUR, timezone="Asia/Tokyo")  # Wednesday 02:00
    reminders.plan(services, at_nine + 4 * HOUR)
    assert decided(services) == {TODAY: None}
    reminders.plan(services, NOW + DAY)  # Wednesday 09:00
    assert decided(services) == {TODAY: None, TODAY + DAY: None}


def test_a_member_changes_team_and_manager_by_their_names(services: Services, busy: People) -> None:
    with services.db.write() as session:
        session.add(Team(name="営業"))
    done = set_(services, team="営業", manager=busy.tanaka.email.upper())
    assert done == [
        "team: 開発 -> 営業",
        f"manager: {busy.sato.email} -> {busy.tanaka.email}",
    ]
    assert set_(services, team="", manager="") == [
        "team: 営業 -> ",
        f"manager: {busy.tanaka.email} -> ",
    ]
    found = changes.show_member(services, SUZUKI)
    assert (found["team"], found["manager"]) == (None, None)
    assert changes.show_member(services, busy.tanaka.email)["team"] == "開発"


def test_a_team_or_manager_that_cannot_be_is_refused_and_nothing_is_changed(
    services: Services, busy: People
) -> None:
    with pytest.raises(ValuesRefused) as caught:
        set_(services, team="開発部", manager="nobody@example.jp", name="鈴木 二郎")
    (team, of_team), (manager, of_manager) = caught.value.faults
    assert (team, manager) == ("team", "manager")
    assert "「開発」ではありませんか" in of_team.ja
    assert 'Did you mean "開発"?' in of_team.en
    assert "nobody@example.jp" in of_manager.en
    with pytest.raises(ValuesRefused, match="自分の上司"):
        set_(services, manager=SUZUKI)
    assert suzuki_row(services).name == "鈴木 一郎"


# --- the organisation -----------------------------------------------------------------------------


def test_the_organisations_new_hour_holds_without_a_restart_for_who_has_no_own(
    services: Services, busy: People
) -> None:
    reminders.plan(services, NOW - 2 * HOUR)
    set_(services, NOW - 2 * HOUR, notify_at="10:00")
    reminders.plan(services, NOW - 2 * HOUR)
    defaults.set_settings(services, {"notify_at": "08:00"}, "admin", NOW - 2 * HOUR)
    assert reminders.plan(services, NOW - HOUR).decided == 2
    assert decided(services) == {}
    (row,) = (one for one in defaults.show_settings(services) if one["key"] == "notify_at")
    assert (row["value"], row["default"], row["changed_by"]) == ("08:00", "09:00", "admin")


def test_other_holidays_and_another_weekend_hold_at_the_next_decision(
    services: Services, busy: People
) -> None:
    early = NOW - HOUR
    defaults.set_settings(services, {"holidays": "none", "weekend": "tue,wed"}, "admin", early)
    reminders.plan(services, NOW)
    assert decided(services) == {TODAY: "weekend"}
    defaults.set_settings(services, {"holidays": "", "weekend": ""}, "admin", NOW)
    assert all(one["changed_by"] is None for one in defaults.show_settings(services))


def test_unusable_defaults_are_refused_together(services: Services, team: People) -> None:
    wrong = {"holidays": "Japan", "catch_up_hours": "25", "quiet_hours_start": "x", "color": "red"}
    with pytest.raises(ValuesRefused) as caught:
        defaults.set_settings(services, wrong, "admin", NOW)
    assert [key for key, _ in caught.value.faults] == [*wrong]


# --- leave ----------------------------------------------------------------------------------------


def test_leave_that_overlaps_becomes_one_span_and_may_be_open_ended(
    services: Services, team: People
) -> None:
    first = Span(date(2026, 12, 1), date(2026, 12, 4), "帰省")
    days.LEAVE.add(services, SUZUKI, first, "admin", NOW)
    longer = days.LEAVE.add(services, SUZUKI, Span(date(2026, 12, 3), None), "admin", NOW)
    assert longer == [Span(date(2026, 12, 1), None, "帰省")]
    left = days.LEAVE.remove(
        services, SUZUKI, Span(date(2026, 12, 8), date(2026, 12, 9)), "admin", NOW
    )
    assert [(one.first, one.last) for one in left] == [
        (date(2026, 12, 1), date(2026, 12, 7)),
        (date(2026, 12, 10), None),
    ]
    assert days.LEAVE.owned(services, SUZUKI) == left
    assert days.LEAVE.remove(services, SUZUKI, Span(TODAY, None), "admin", NOW) == []
    with pytest.raises(days.NoSuchDays):
        days.LEAVE.remove(services, SUZUKI, Span(TODAY, TODAY), "admin", NOW)


def test_an_empty_address_is_no_members_and_does_not_close_the_company(services: Services) -> None:
    with pytest.raises(NoSuchMember):
        days.LEAVE.add(services, "", Span(TODAY, TODAY), "admin", NOW)
    assert days.LEAVE.owned(services, None) == []


def test_off_today_is_leave_for_the_members_date_and_stops_the_mail_that_waits(
    services: Services, busy: People
) -> None:
    set_(services, NOW - HOUR, timezone="America/New_York")
    assert days.off_today(services, SUZUKI, SUZUKI, NOW) == TODAY - DAY  # Monday evening there
    assert days.off_today(services, SUZUKI, SUZUKI, NOW + 6 * HOUR) == TODAY
    reminders.plan(services, NOW + 14 * HOUR)
    assert decided(services) == {TODAY: "on_leave"}


# --- snoozing -------------------------------------------------------------------------------------


def snooze(services: Services, until: time, now: datetime) -> int | None:
    return snooze_today(services, SUZUKI, until, SUZUKI, now).mail_id


def test_a_reminder_snoozed_to_an_hour_today_comes_then_and_only_then(
    services: Services, busy: People
) -> None:
    reminders.plan(services, NOW)
    new = snooze(services, time(15), NOW + HOUR)
    assert mails(services) == [("reminder", 0, "cancelled"), ("asked_reminder", 1, "ready")]
    assert decided(services) == {TODAY: "cancelled"}
    with services.db.read() as session:
        mail = session.get_one(OutboxMail, new)
        assert mail.not_before == datetime(2026, 11, 24, 15, tzinfo=TOKYO)
        assert mail.expires_at == datetime(2026, 11, 25, 0, tzinfo=TOKYO)
    found = explain(services, SUZUKI, TODAY, NOW + HOUR)
    assert found.facts["next_mail_at"] == "2026-11-24T15:00:00+09:00"


def test_snoozing_before_the_hour_leaves_nothing_for_the_hour(
    services: Services, busy: People
) -> None:
    snooze(services, time(15), NOW - HOUR)
    reminders.plan(services, NOW)
    assert mails(services) == [("reminder", 0, "cancelled"), ("asked_reminder", 1, "ready")]


def test_why_tells_a_snooze_from_an_operators_cancelling(services: Services, busy: People) -> None:
    reminders.plan(services, NOW)
    snooze(services, time(15), NOW + HOUR)
    told = explain(services, SUZUKI, None, NOW + HOUR).paragraph
    assert "本人の希望で 15:00 のお知らせに変えました" in told.ja
    assert "asked for a reminder at 15:00 instead" in told.en
    with services.db.read() as session:
        mail_id = session.scalars(
            select(OutboxMail.id).where(OutboxMail.to_addr == busy.sato.email)
        ).one()
    outbox.cancel(services, mail_id, who="admin", now=NOW)
    told = explain(services, busy.sato.email, None, NOW + HOUR).paragraph
    assert "運用担当者が取り消しました" in told.ja
    assert "an operator cancelled it" in told.en


def test_a_snoozed_reminder_is_not_announced_for_a_day_that_became_a_day_off(
    services: Services, busy: People
) -> None:
    reminders.plan(services, NOW)
    snooze(services, time(15), NOW + HOUR)
    found = explain(services, SUZUKI, None, NOW + HOUR).facts
    assert found["next_mail_at"] == "2026-11-24T15:00:00+09:00"
    days.off_today(services, SUZUKI, SUZUKI, NOW + 2 * HOUR)
    found = explain(services, SUZUKI, None, NOW + 2 * HOUR).facts
    assert found["next_mail_at"] == "2026-11-25T09:00:00+09:00"


def test_a_weekly_reminder_that_was_snoozed_was_the_one_of_its_week(
    services: Services, busy: People
) -> None:
    set_(services, NOW - HOUR, notify_frequency="weekly")
    reminders.plan(services, NOW)  # Tuesday, after a holiday Monday
    snooze(services, time(15), NOW + HOUR)
    set_(services, NOW + 2 * HOUR, weekly_day="thu")
    for n in (1, 2):
        reminders.plan(services, NOW + n * DAY)
    assert decided(services)[TODAY + 2 * DAY] == "already_sent"


def test_the_letter_of_a_snoozed_reminder_is_composed_when_it_comes(
    services: Services, busy: People
) -> None:
    new = snooze(services, time(15), NOW - HOUR)
    assert new is not None
    at = NOW + 6 * HOUR
    with services.db.write() as session:
        claimed = claim(session, [new], "mail", now=at, scale=1.0, at_most=1)
        (letter,) = read_again(services, session, claimed, at)
    assert type(letter).__name__ == "Send"


def test_snoozing_again_moves_the_mail_and_three_of_a_day_are_enough(
    services: Services, busy: People
) -> None:
    for hour in (10, 11, 12, 13, 14):
        snooze(services, time(hour), NOW)
    assert [state for kind, _, state in mails(services) if kind == Kind.ASKED_REMINDER] == [
        *["cancelled"] * 4,
        "ready",
    ]
    with services.db.write() as session:
        session.execute(
            update(OutboxMail)
            .where(OutboxMail.kind == Kind.ASKED_REMINDER)
            .values(state=State.EXPIRED, reason=Reason.EXPIRED)
        )
    with pytest.raises(NotNow, match="3"):
        snooze(services, time(15), NOW)


@pytest.mark.parametrize(
    ("values", "until", "words"),
    [
        ({}, time(9), "過ぎています"),
        ({"quiet_hours_start": "22:00", "quiet_hours_end": "07:00"}, time(22), "22:00-07:00"),
        ({"notify_frequency": "none"}, time(15), "受け取らない"),
        ({"paused_until": "2026-11-25"}, time(15), "止めている期間"),
        ({"weekend": "tue"}, time(15), "週末"),
        ({"active": "no"}, time(15), "無効"),
    ],
)
def test_a_snooze_that_could_bring_no_mail_is_refused_by_name(
    services: Services, busy: People, values: dict[str, str], until: time, words: str
) -> None:
    set_(services, NOW, **values)
    with pytest.raises(NotNow, match=words):
        snooze(services, until, NOW)


def test_a_snooze_never_ends_a_longer_pause(services: Services, busy: People, db: Database) -> None:
    set_(services, NOW, paused_until="2026-12-07")
    for until in (None, date(2026, 12, 4)):
        with pytest.raises(NotNow, match=r"12月7日\(月\)に再開します"):
            snooze_until(services, SUZUKI, until, SUZUKI, NOW)
    snooze_until(services, SUZUKI, date(2026, 12, 10), SUZUKI, NOW)
    with db.read() as session:
        audits = select(Audit.data).where(Audit.what == "snooze")
        assert session.scalars(audits).all() == [
            {"email": SUZUKI, "before": "2026-12-07", "until": "2026-12-10"}
        ]


def test_snoozed_to_the_next_workday_nothing_comes_before(services: Services, busy: People) -> None:
    friday = NOW + 3 * DAY
    for n in range(3):
        reminders.plan(services, NOW + n * DAY)
    found = snooze_until(services, SUZUKI, None, SUZUKI, friday - HOUR)
    assert found.until == date(2026, 11, 30)
    with pytest.raises(NotNow):
        snooze_until(services, SUZUKI, TODAY, SUZUKI, friday)
    for n in range(3, 7):
        reminders.plan(services, NOW + n * DAY)
    assert [decided(services)[TODAY + n * DAY] for n in range(7)] == [
        None, None, None, "paused", "paused", "paused", None,
    ]  # fmt: skip
