"""The lead's board: who stands where, who may see it, a nudge, the CSV; on both databases."""

import csv
import io
import re
from datetime import UTC, date, datetime, time, timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app import board, clock, sample
from app.access import sessions
from app.access.sessions import Me
from app.board import Wanted
from app.db import Database
from app.members.changes import set_member
from app.members.days import WORKDAYS, off_today
from app.models import Audit, Kind, Member, OutboxMail, Report, Role, State, Task, Team
from app.people.lookup import find
from app.rules.standing import Standing
from app.rules.week import Mark
from app.rules.workdays import Span
from app.services import Services
from tests.browser import OURS, signed_in
from tests.conftest import NOW, TODAY, People, task

pytestmark = pytest.mark.pages

SATO, SUZUKI, TANAKA = (
    "sato.hanako@example.jp",
    "suzuki.ichiro@example.jp",
    "tanaka.misaki@example.jp",
)
SHACHO, NAKAMURA = "shacho@example.jp", "nakamura.yui@example.jp"


@pytest.fixture
def loaded(services: Services) -> Services:
    """The sample team as it is on its own day."""
    assert sample.load(services, datetime(2026, 11, 23, 23, tzinfo=UTC)) == TODAY
    return services


def me(services: Services, email: str) -> Me:
    with services.db.write() as session:
        key = sessions.begin(session, find(session, email), NOW)
    found = sessions.who(services, key, NOW)
    assert found is not None
    return found


def id_of(services: Services, email: str) -> int:
    with services.db.read() as session:
        return find(session, email).id


def seen(services: Services, email: str, wanted: Wanted | None = None) -> board.Board:
    return board.board(services, me(services, email), wanted or Wanted(), NOW)


# --- where people stand ---------------------------------------------------------------------------

# By hand from app/sample/*.csv, as tests/test_week.py counts: in 佐藤 花子's team 田中 美咲 said on
# the 19th that T-007 is stuck; 伊藤 さくら has been silent for 8 workdays, John Smith for 7 (it is
# still Monday in Los Angeles), Lena Müller for 4, 渡邉 淳 for 2, 田中 美咲 for 1, the others for 0.


def test_the_blocked_and_the_longest_silent_come_first(loaded: Services) -> None:
    found = seen(loaded, SATO)
    assert [(one.row.facts.name, one.row.standing, one.row.silent) for one in found.shown] == [
        ("田中 美咲", Standing.BLOCKED, 1),
        ("伊藤 さくら", Standing.SILENT, 8),
        ("Smith, John", Standing.SILENT, 7),
        ("Lena Müller", Standing.SILENT, 4),
        ("渡邉 淳", Standing.SILENT, 2),
        ("鈴木 一郎", Standing.AT_RISK, 0),
        ("髙橋 健", Standing.REPORTED, 0),
    ]


def test_ten_workdays_are_shown_with_the_holiday_between_them(loaded: Services) -> None:
    days = seen(loaded, SATO).days
    assert days[0] == date(2026, 11, 10)
    assert days[-1] == TODAY
    assert date(2026, 11, 23) in days  # 勤労感謝の日
    assert len(days) == 11


def test_a_weekend_day_is_shown_where_somebody_works_on_it(loaded: Services) -> None:
    saturday, sunday = date(2026, 11, 21), date(2026, 11, 22)
    WORKDAYS.add(loaded, TANAKA, Span(sunday, sunday), "test", NOW)
    assert [day for day in seen(loaded, SATO).days if day.weekday() >= 5] == [sunday]
    WORKDAYS.add(loaded, None, Span(saturday, saturday), "test", NOW)
    found = seen(loaded, SATO)
    assert found.days[0] == date(2026, 11, 11)  # ten workdays of the company begin a day later
    marks = {one.row.email: {each.day: each.mark for each in one.days} for one in found.shown}
    assert (marks[SUZUKI][saturday], marks[SUZUKI][sunday]) == (Mark.SILENT, Mark.OFF)
    assert marks[TANAKA][sunday] is Mark.SILENT
    (tanaka,) = (one for one in found.shown if one.row.email == TANAKA)
    assert tanaka.row.silent == 3  # 1, and two more days


def test_the_days_show_what_was_reported_for_them(loaded: Services) -> None:
    found = seen(loaded, SATO)
    tanaka = next(one for one in found.shown if one.row.email == TANAKA)
    marks = {one.day.day: one.mark for one in tanaka.days}
    assert marks[18] is Mark.AT_RISK  # T-008 is late
    assert marks[19] is Mark.BLOCKED
    assert marks[20] is Mark.REPORTED
    assert marks[23] is Mark.OFF


def test_today_is_not_held_against_anybody(db: Database, services: Services, team: People) -> None:
    with db.write() as session:
        session.add(task("T-1", team.suzuki, start_on=TODAY))
    row = next(one for one in seen(services, SATO).shown if one.row.email == SUZUKI)
    assert row.row.standing is Standing.NOT_YET
    assert row.days[-1].mark is None


def test_whoever_is_on_leave_is_not_on_top(loaded: Services) -> None:
    before = {one.row.email: one.row.silent for one in seen(loaded, SATO).shown}
    assert before["ito.sakura@example.jp"] > 0
    off_today(loaded, "ito.sakura@example.jp", "test", NOW)
    found = seen(loaded, SATO)
    assert found.shown[-1].row.email == "ito.sakura@example.jp"
    assert found.shown[-1].row.standing is Standing.AWAY
    assert not found.shown[-1].can_nudge
    assert found.shown[-1].row.silent == 0


def test_an_overdue_task_is_marked_as_on_its_own_page(
    app: Flask, services: Services, db: Database, team: People
) -> None:
    with db.write() as session:
        session.add(task("T-1", team.suzuki, due_on=TODAY - timedelta(days=4)))
        session.add(task("T-2", team.suzuki, due_on=TODAY))
    page = signed_in(app, services, SATO).get("/team").text
    assert '<span class="state overdue">期限切れ 11月20日(金)</span>' in page
    assert '<span class="state due-today">今日が期限 11月24日(火)</span>' in page


def test_who_stopped_their_mails_is_said(app: Flask, loaded: Services) -> None:
    set_member(loaded, SUZUKI, {"notify_frequency": "none"}, "test", NOW)
    set_member(loaded, TANAKA, {"paused_until": "2026-12-01"}, "test", NOW)
    page = signed_in(app, loaded, SATO).get("/team").text
    assert "メール停止中(本人の設定)" in page
    assert "メール停止中(12月1日(火)に再開)" in page
    assert "メール停止中 2人" in page


def test_a_member_with_a_broken_setting_hides_nobody_else(app: Flask, loaded: Services) -> None:
    with loaded.db.write() as session:
        find(session, SUZUKI).timezone = "Asia/Tokio"
    found = seen(loaded, SATO)
    assert [one.name for one in found.broken] == ["鈴木 一郎"]
    assert len(found.shown) == 6
    browser = signed_in(app, loaded, SATO)
    assert "鈴木 一郎さんの設定に正しくない値があり" in browser.get("/team").text
    suzuki = id_of(loaded, SUZUKI)
    assert browser.get(f"/team/{suzuki}").status_code == 200
    assert press(browser, suzuki)[0] == 422


def test_what_people_wrote_is_shown_inert(app: Flask, loaded: Services) -> None:
    with loaded.db.write() as session:
        name = "<script>alert(1)</script>{{7*7}}"
        find(session, SUZUKI).name = name
    page = signed_in(app, loaded, SATO).get("/team").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in page
    assert "<script>alert" not in page


# --- who may see it -------------------------------------------------------------------------------


def test_a_lead_sees_their_own_team_and_an_admin_all(loaded: Services) -> None:
    assert seen(loaded, SATO).total == 7
    assert seen(loaded, "yamamoto.naoki@example.jp").total == 5  # 佐々木 涼 is not active
    assert seen(loaded, SHACHO).total == 19


def test_another_teams_ids_answer_404(app: Flask, loaded: Services) -> None:
    lead = signed_in(app, loaded, SATO)
    theirs = id_of(loaded, NAKAMURA)
    with loaded.db.read() as session:
        other = session.scalars(select(Team.id).where(Team.name == "営業")).one()
    assert lead.get(f"/team/{theirs}").status_code == 404
    assert lead.post(f"/team/{theirs}/nudge", headers=OURS).status_code == 404
    assert lead.get(f"/team?team={other}").status_code == 404
    assert lead.get(f"/team.csv?team={other}").status_code == 404
    assert lead.get("/team/9999999").status_code == 404
    assert lead.get("/team/99999999999999999999999").status_code == 404
    assert lead.get("/team?team=99999999999999999999999").status_code == 404
    assert lead.get(f"/team?nudged={theirs}").text.count("中村") == 0


def test_a_member_has_no_board(app: Flask, loaded: Services) -> None:
    member = signed_in(app, loaded, SUZUKI)
    assert member.get("/team").status_code == 403
    assert member.get("/team.csv").status_code == 403
    assert member.get(f"/team/{id_of(loaded, SUZUKI)}").status_code == 403
    assert app.test_client().get("/team").status_code == 302


def test_a_lead_without_members_reads_what_to_do(
    app: Flask, db: Database, services: Services
) -> None:
    with db.write() as session:
        session.add(
            Member(
                email=SATO, name="佐藤 花子", role=Role.LEAD, decided_through=TODAY, created_at=NOW
            )
        )
    browser = signed_in(app, services, SATO)
    assert "まだメンバーがいません" in browser.get("/team?lang=ja").text
    assert "No members yet" in browser.get("/team?lang=en").text


@pytest.mark.parametrize("query", ["q=田中", "q=TANAKA.misaki", "q=%E7%94%B0%E4%B8%AD%00"])
def test_the_board_is_searched_by_name_and_address(
    app: Flask, loaded: Services, query: str
) -> None:
    page = signed_in(app, loaded, SATO).get(f"/team?{query}").text
    assert re.findall(r'class="board-name" [^>]*>([^<]*)', page) == ["田中 美咲"]


def test_percent_and_underscore_in_a_search_mean_themselves(loaded: Services) -> None:
    assert seen(loaded, SATO, Wanted(words="%")).total == 0
    assert seen(loaded, SATO, Wanted(words="_")).total == 0


def test_an_admin_filters_by_team(loaded: Services) -> None:
    with loaded.db.read() as session:
        sales = session.scalars(select(Team.id).where(Team.name == "営業")).one()
    found = seen(loaded, SHACHO, Wanted(team=sales))
    assert {one.row.facts.team for one in found.shown} == {"営業"}
    assert seen(loaded, SHACHO, Wanted(words="営業")).total == found.total


# --- many -----------------------------------------------------------------------------------------


def many(db: Database, number: int) -> None:
    with db.write() as session:
        sato = find(session, SATO)
        session.execute(
            insert(Member),
            [
                {
                    "email": f"m{n}@example.jp",
                    "name": f"メンバー {n:04}",
                    "manager_id": sato.id,
                    "team_id": sato.team_id,
                    "decided_through": TODAY,
                    "created_at": NOW,
                }
                for n in range(number)
            ],
        )
        last = session.scalars(select(Member.id).order_by(Member.id.desc())).first()
        session.add(task("T-LATE", session.get(Member, last)))


def test_of_200_members_the_silent_one_is_on_the_first_page(
    db: Database, services: Services, team: People
) -> None:
    many(db, 200)
    found = seen(services, SATO)
    assert (found.total, found.pages, len(found.shown)) == (202, 9, 25)
    assert found.shown[0].row.facts.name == "メンバー 0199"
    pages = [seen(services, SATO, Wanted(page=n)) for n in range(1, 10)]
    assert len({one.row.email for page in pages for one in page.shown}) == 202
    assert seen(services, SATO, Wanted(page=999)).wanted.page == 9


def test_too_many_to_count_are_shown_page_by_page_and_it_says_so(
    app: Flask, db: Database, services: Services, team: People
) -> None:
    many(db, 320)
    found = seen(services, SATO)
    assert found.standings is None
    assert len(found.shown) == 25
    assert "322人います" in signed_in(app, services, SATO).get("/team").text


# --- a nudge --------------------------------------------------------------------------------------


def asked(services: Services) -> list[OutboxMail]:
    with services.db.read() as session:
        query = select(OutboxMail).where(OutboxMail.kind == Kind.ASKED_REMINDER)
        return list(session.scalars(query.order_by(OutboxMail.id)))


@pytest.fixture
def suzuki_late(db: Database, team: People) -> int:
    """鈴木さん has not reported on T-1 for weeks; today's reminder went out at nine."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    return team.suzuki.id


def accept_all(db: Database, at: datetime) -> None:
    """The mail server takes what waits."""
    with db.write() as session:
        for mail in session.scalars(select(OutboxMail).where(OutboxMail.state == State.READY)):
            mail.state, mail.accepted_at = State.ACCEPTED, at


@pytest.fixture
def lead(app: Flask, services: Services, suzuki_late: int) -> FlaskClient:
    """佐藤さん, signed in; the automatic reminder of today was sent at nine."""
    browser = signed_in(app, services, SATO)
    browser.post(f"/team/{suzuki_late}/nudge", headers=OURS)  # decides what is due: refused itself
    accept_all(services.db, NOW)
    return browser


def press(browser: FlaskClient, member_id: int, **form: str) -> tuple[int, str]:
    answer = browser.post(f"/team/{member_id}/nudge", headers=OURS, data=form)
    return answer.status_code, answer.text


def test_a_nudge_is_an_asked_reminder_now(
    lead: FlaskClient, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    travel.shift(timedelta(minutes=46))
    status, _ = press(lead, suzuki_late)
    assert status == 303
    (mail,) = asked(services)
    assert (mail.user_id, mail.local_date, mail.state) == (suzuki_late, TODAY, State.READY)
    assert mail.not_before == NOW + timedelta(minutes=46)
    with services.db.read() as session:
        noted = session.scalars(select(Audit).where(Audit.what == "nudge")).one()
    assert noted.who == SATO


def test_after_a_nudge_the_board_is_as_it_was_and_says_so(
    lead: FlaskClient, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    travel.shift(timedelta(minutes=46))
    answer = lead.post(
        f"/team/{suzuki_late}/nudge", headers=OURS, data={"back": "board", "q": "鈴木"}
    )
    page = lead.get(answer.headers["Location"])
    assert "鈴木 一郎さんへのリマインダーを送信待ちに入れました" in page.text
    assert "田中" not in page.text


def test_between_two_reminders_lie_45_minutes(
    lead: FlaskClient, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    travel.shift(timedelta(minutes=44))
    status, page = press(lead, suzuki_late)
    assert status == 422
    assert "09:00 にリマインダーを送ったばかりです。09:45 以降に" in page
    travel.shift(timedelta(minutes=1))
    assert press(lead, suzuki_late)[0] == 303
    status, page = press(lead, suzuki_late)  # it waits still
    assert (status, "送信を待っているリマインダーがあります" in page) == (422, True)
    accept_all(services.db, clock.now())
    travel.shift(timedelta(minutes=44))
    assert press(lead, suzuki_late)[0] == 422
    assert len(asked(services)) == 1


def test_three_are_enough_for_a_day(
    lead: FlaskClient, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    for _ in range(3):
        travel.shift(timedelta(minutes=50))
        assert press(lead, suzuki_late)[0] == 303
        accept_all(services.db, clock.now())
    travel.shift(timedelta(minutes=50))
    status, page = press(lead, suzuki_late)
    assert (status, "今日はもう3回お送りしました" in page) == (422, True)


def test_quiet_hours_are_kept(
    lead: FlaskClient, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    set_member(
        services,
        SUZUKI,
        {"quiet_hours_start": "12:00", "quiet_hours_end": "13:00"},
        "test",
        NOW,
    )
    travel.move_to(datetime(2026, 11, 24, 3, 30, tzinfo=UTC), tick=False)  # 12:30
    status, page = press(lead, suzuki_late)
    assert (status, "本人が通知を控えている時間帯です(13:00 まで)" in page) == (422, True)
    assert asked(services) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"notify_frequency": "none"}, "今日はリマインダーをお送りできません"),
        ({"paused_until": "2026-12-01"}, "今日はリマインダーをお送りできません"),
        ({"active": "no"}, "このメンバーは無効です"),
    ],
)
def test_whoever_wants_no_mail_gets_none(
    lead: FlaskClient,
    services: Services,
    travel: time_machine.Traveller,
    change: dict[str, str],
    said: str,
) -> None:
    set_member(services, SUZUKI, change, "test", NOW)
    travel.shift(timedelta(hours=1))
    status, page = press(lead, id_of(services, SUZUKI))
    assert (status, said in page) == (422, True)
    assert asked(services) == []


def test_a_day_off_is_kept(
    lead: FlaskClient, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    off_today(services, SUZUKI, "test", NOW)
    travel.shift(timedelta(hours=1))
    assert press(lead, suzuki_late)[0] == 422
    travel.move_to(datetime(2026, 11, 28, 3, tzinfo=UTC), tick=False)  # Saturday
    assert press(lead, suzuki_late)[0] == 422
    assert asked(services) == []


def test_whoever_reported_is_not_nudged(
    lead: FlaskClient, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    with services.db.write() as session:
        session.add(
            Report(
                task_id=session.scalars(select(Task.id)).one(),
                reporter_id=suzuki_late,
                counts_for=TODAY,
                percent=50,
                status="on_track",
                text="順調です。",
                created_at=NOW,
            )
        )
    travel.shift(timedelta(hours=1))
    status, page = press(lead, suzuki_late)
    assert (status, "報告を待っているタスクはありません" in page) == (422, True)


def test_of_a_task_that_came_here_only_now_and_is_unreported_a_nudge_goes_out(
    lead: FlaskClient, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    """The mail at nine asked for it, too, and nobody is called silent yet."""
    with services.db.write() as session:
        session.execute(update(Task).values(added_on=TODAY))
    travel.shift(timedelta(hours=1))
    assert press(lead, suzuki_late)[0] == 303


def test_a_reminder_that_comes_by_itself_soon_is_waited_for(
    app: Flask, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    travel.move_to(NOW - timedelta(minutes=30), tick=False)
    browser = signed_in(app, services, SATO)
    status, page = press(browser, suzuki_late)
    assert (status, "09:00 に自動のリマインダーを送る予定です" in page) == (422, True)


def test_long_before_the_hour_a_nudge_goes_out(
    app: Flask, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    travel.move_to(NOW - timedelta(minutes=60), tick=False)
    assert press(signed_in(app, services, SATO), suzuki_late)[0] == 303


def test_a_nudge_needs_its_forms_token(
    lead: FlaskClient, services: Services, suzuki_late: int, travel: time_machine.Traveller
) -> None:
    before = len(asked(services))
    travel.shift(timedelta(hours=1))
    answer = lead.post(f"/team/{suzuki_late}/nudge", data={"csrf_token": "made up"})
    assert answer.status_code == 403
    assert len(asked(services)) == before


# --- the CSV --------------------------------------------------------------------------------------


def csv_of(browser: FlaskClient, path: str = "/team.csv") -> list[dict[str, str]]:
    answer = browser.get(path)
    assert answer.mimetype == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


def test_the_csv_has_a_line_per_open_task(app: Flask, loaded: Services) -> None:
    lines = csv_of(signed_in(app, loaded, SATO))
    assert {one["email"] for one in lines} >= {SUZUKI, TANAKA}
    stuck = next(one for one in lines if one["task_ref"] == "T-007")
    assert stuck["state"] == "blocked"
    assert (stuck["percent"], stuck["status"]) == ("45", "blocked")
    assert (stuck["reported_on"], stuck["text"]) == ("2026-11-19", "ベンダーの回答待ちです。")


def test_no_cell_of_the_csv_is_a_formula(app: Flask, loaded: Services) -> None:
    with loaded.db.write() as session:
        find(session, SUZUKI).name = '=HYPERLINK("http://x")'
        session.scalars(select(Task).where(Task.ref == "T-003")).one().title = "@SUM(1)"
    lines = csv_of(signed_in(app, loaded, SATO))
    mine = next(one for one in lines if one["task_ref"] == "T-003")
    assert mine["name"] == '\'=HYPERLINK("http://x")'
    assert mine["title"] == "'@SUM(1)"


# --- one member -----------------------------------------------------------------------------------


def test_a_members_page_shows_tasks_and_what_was_reported(app: Flask, loaded: Services) -> None:
    page = signed_in(app, loaded, SATO).get(f"/team/{id_of(loaded, TANAKA)}").text
    assert "DBバックアップ手順の見直し" in page
    assert page.count("A社の承認待ちで進められません。") == 1
    assert "時点" in page


def test_a_long_history_is_turned_page_by_page(
    app: Flask, db: Database, services: Services, team: People
) -> None:
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
        session.flush()
        add_reports(session, team.suzuki.id, 65)
    browser = signed_in(app, services, SATO)
    texts = [
        re.findall(r"報告その\d+", browser.get(f"/team/{team.suzuki.id}?page={n}").text)
        for n in (1, 2, 3)
    ]
    told = [text for page in texts for text in dict.fromkeys(page)]
    assert len(set(told)) == 65
    assert "報告その4" in texts[2]


def add_reports(session: Session, member_id: int, number: int) -> None:
    task_id = session.scalars(select(Task.id)).one()
    session.add_all(
        Report(
            task_id=task_id,
            reporter_id=member_id,
            counts_for=TODAY - timedelta(days=number - n),
            percent=n,
            status="on_track",
            text=f"報告その{n}",
            created_at=datetime.combine(TODAY, time(9), UTC),
        )
        for n in range(number)
    )
