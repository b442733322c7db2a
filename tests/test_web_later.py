"""Later, off today, a fresh mail: what a mail offers when now is not the time. On both databases."""

import re
from datetime import UTC, date, datetime, time, timedelta
from html import unescape

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.compose import show_date
from app.db import Database
from app.links import ReportLink
from app.members.days import LEAVE
from app.models import DaysOff, Member, OutboxMail, State
from app.rules.workdays import Span
from app.services import Services
from tests.conftest import NOW, TODAY, People, task

pytestmark = pytest.mark.pages

TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture
def travel(travel: time_machine.Traveller) -> time_machine.Traveller:
    """Nine o'clock and two minutes on Tuesday."""
    travel.shift(timedelta(minutes=2))
    return travel


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """A browser without cookies."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def work(db: Database, team: People) -> People:
    """鈴木さん has an unreported task; 田中さん too, and wants no mail from 22:00 to 07:00.

    The reminders of the morning went out.
    """
    with db.write() as session:
        session.execute(update(Member).values(decided_through=TODAY))
        session.add_all([task("T-1", team.suzuki), task("T-2", team.tanaka)])
    return team


def link(services: Services, member: Member, below: str = "", day: date = TODAY) -> str:
    url = services.links.report_url(ReportLink(member.id, day))
    return url.removeprefix(services.config.app_base_url.rstrip("/")) + below


def mails(db: Database) -> list[tuple[str, str, datetime]]:
    with db.read() as session:
        rows = session.scalars(select(OutboxMail).order_by(OutboxMail.id))
        return [(row.kind, row.state, row.not_before) for row in rows]


def leave(db: Database) -> list[tuple[date, date | None]]:
    with db.read() as session:
        rows = session.scalars(select(DaysOff).where(DaysOff.user_id.is_not(None)))
        return [(row.first_day, row.last_day) for row in rows]


def paused_until(db: Database, member: Member) -> date | None:
    with db.read() as session:
        return session.get_one(Member, member.id).paused_until


def tokyo(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 24, hour - 9, minute, tzinfo=UTC)


# --- later --------------------------------------------------------------------------------------


def test_later_comes_filled_in_with_an_hour_from_now_so_that_two_taps_are_enough(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    page = browser.get(link(services, work.suzuki, "/later")).text
    assert re.search(r'value="hour" checked>1時間後\(10:05\)', page)
    assert 'name="at" value="13:00"' in page
    assert "次の営業日、11月25日(水)から" in page
    assert page.count("<button") == 1
    assert mails(db) == []
    done = browser.post(link(services, work.suzuki, "/later"), data={"until": "hour"})
    assert "10:05にもう一度お知らせします" in done.text
    assert mails(db)[-1] == ("asked_reminder", State.READY, tokyo(10, 5))


def test_an_hour_of_today_is_taken_as_people_type_it(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    data = {"until": "at", "at": " １５：３０"}
    assert browser.post(link(services, work.suzuki, "/later"), data=data).status_code == 200
    assert mails(db)[-1] == ("asked_reminder", State.READY, tokyo(15, 30))


def test_sent_twice_there_is_one_mail(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    for _ in range(2):
        browser.post(link(services, work.suzuki, "/later"), data={"until": "at", "at": "15:00"})
    waiting = [mail for mail in mails(db) if mail[1] == State.READY]
    assert waiting == [("asked_reminder", State.READY, tokyo(15))]


@pytest.mark.parametrize(
    "wish_and_day",
    [
        ({"until": "workday"}, TOMORROW),
        ({"until": "date", "date": "2026-12-01"}, date(2026, 12, 1)),
    ],
)
def test_until_another_day_is_a_pause(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    wish_and_day: tuple[dict[str, str], date],
) -> None:
    wish, day = wish_and_day
    done = browser.post(link(services, work.suzuki, "/later"), data=wish)
    assert done.status_code == 200
    assert f"リマインダーは{show_date(day, 'ja')}に再開します" in done.text
    assert paused_until(db, work.suzuki) == day


@pytest.mark.parametrize(
    "wish_and_words",
    [
        ({}, "一つ選んで"),
        ({"until": "never"}, "一つ選んで"),
        ({"until": "at", "at": "08:00"}, "もう過ぎています"),
        ({"until": "at", "at": "25:00"}, "時刻として読めません"),
        ({"until": "at"}, "時刻として読めません"),
        ({"until": "at", "at": "22:30"}, "控える時間帯"),
        ({"until": "date", "date": "2026-11-24"}, "もう来ています"),
        ({"until": "date", "date": "2026-02-30"}, "2026-02-30"),
        ({"until": "date", "date": "\x00" * 99}, "日付"),
    ],
)
def test_what_cannot_be_is_said_and_what_was_typed_stays(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    wish_and_words: tuple[dict[str, str], str],
) -> None:
    wish, words = wish_and_words
    answer = browser.post(link(services, work.tanaka, "/later"), data=wish)
    assert answer.status_code == 422
    assert words in unescape(answer.text)
    assert 'role="alert"' in answer.text
    if "at" in wish:
        assert f'name="at" value="{wish["at"]}"' in answer.text
    assert mails(db) == []
    assert paused_until(db, work.tanaka) is None


def test_on_a_day_off_nobody_is_asked_to_take_it_off(
    browser: FlaskClient,
    services: Services,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    address = link(services, work.tanaka, "/off")
    assert "今日は休みにする" in browser.get(address).text
    travel.move_to(tokyo(9) + timedelta(days=5), tick=False)  # a Sunday
    page = browser.get(address).text
    assert "もうお休みになっています" in page
    assert "<button" not in page


def test_late_in_the_evening_only_another_day_is_offered(
    browser: FlaskClient,
    services: Services,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    travel.move_to(tokyo(21, 30), tick=False)
    page = browser.get(link(services, work.tanaka, "/later")).text
    assert 'value="hour"' not in page
    assert 'value="workday" checked' in page
    travel.move_to(tokyo(23, 30), tick=False)
    assert 'value="hour"' not in browser.get(link(services, work.suzuki, "/later")).text


def test_on_a_day_without_reminders_the_page_says_why(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    browser.post(link(services, work.suzuki, "/off"), data={"action": "off"})
    page = browser.get(link(services, work.suzuki, "/later")).text
    assert "今日はリマインダーをお送りしません(休暇の日です)" in page
    assert 'value="at"' not in page


# --- off today ----------------------------------------------------------------------------------


def test_off_today_is_asked_first_done_with_one_button_and_can_be_taken_back(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "/off")
    page = browser.get(address).text
    assert "今日、11月24日(火)をお休みにしますか" in page
    assert "鈴木 一郎さんのお休みとして記録します" in page
    assert leave(db) == []
    done = browser.post(address, data={"action": "off"})
    assert "次の営業日は11月25日(水)です" in done.text
    assert leave(db) == [(TODAY, TODAY)]
    for _ in range(2):
        undone = browser.post(address, data=undo_of(done.text))
        assert "11月24日(火)のお休みを取り消しました" in undone.text
        assert "今日は営業日に戻りました" in undone.text
    assert leave(db) == []


def undo_of(page: str) -> dict[str, str]:
    """What the page's button to take it back sends."""
    form = page.partition("<form")[2]
    assert 'name="action" value="undo"' in form
    return {
        "action": "undo",
        **dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)),
    }


def test_past_midnight_the_day_that_was_taken_is_taken_back_and_booked_leave_stays(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    LEAVE.add(services, work.suzuki.email, Span(TOMORROW, TOMORROW), work.suzuki.email, NOW)
    address = link(services, work.suzuki, "/off")
    travel.move_to(tokyo(23, 58), tick=False)
    taken = browser.post(address, data={"action": "off"}).text
    assert len(leave(db)) == 2
    travel.move_to(tokyo(23, 58) + timedelta(minutes=5), tick=False)
    undone = browser.post(address, data=undo_of(taken)).text
    assert leave(db) == [(TOMORROW, TOMORROW)]
    assert "11月24日(火)のお休みを取り消しました" in undone
    assert "今日は営業日に戻りました" not in undone


@pytest.mark.parametrize("day", [TODAY, TOMORROW])
def test_a_hand_made_undo_takes_no_booked_leave_back(
    browser: FlaskClient, services: Services, db: Database, work: People, day: date
) -> None:
    yesterday = NOW - timedelta(days=1)
    LEAVE.add(services, work.suzuki.email, Span(day, day), work.suzuki.email, yesterday)
    undo = {"action": "undo", "day": day.isoformat()}
    answer = browser.post(link(services, work.suzuki, "/off"), data=undo)
    assert answer.status_code == 200
    assert "取り消しました" not in answer.text
    assert leave(db) == [(day, day)]


def test_off_twice_is_one_day_off_and_still_can_be_taken_back(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "/off")
    pages = [browser.post(address, data={"action": "off"}) for _ in range(2)]
    assert leave(db) == [(TODAY, TODAY)]
    assert all('value="undo"' in page.text for page in pages)


def test_leave_that_was_there_before_is_not_taken_back_by_this_page(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    with db.write() as session:
        session.add(
            DaysOff(user_id=work.suzuki.id, first_day=TODAY, last_day=TOMORROW, name="帰省")
        )
    address = link(services, work.suzuki, "/off")
    page = browser.get(address).text
    assert "はもうお休みになっています" in page
    assert "<button" not in page
    assert 'value="undo"' not in browser.post(address, data={"action": "off"}).text
    assert leave(db) == [(TODAY, TOMORROW)]


def test_a_mail_of_last_week_means_today_and_says_so(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "/off", TODAY - timedelta(days=5))
    assert "今日、11月24日(火)をお休みにしますか" in browser.get(address).text
    browser.post(address, data={"action": "off"})
    assert leave(db) == [(TODAY, TODAY)]


@pytest.mark.parametrize(
    "body",
    [{}, {"action": ""}, {"action": "delete"}, {"action": "undo"}, {"action": "undo", "day": "x"}],
)
def test_another_body_changes_nothing(
    browser: FlaskClient, services: Services, db: Database, work: People, body: dict[str, str]
) -> None:
    assert browser.post(link(services, work.suzuki, "/off"), data=body).status_code == 400
    assert leave(db) == []


# --- a fresh mail for an expired link -----------------------------------------------------------

LONG_AGO = TODAY - timedelta(days=30)


def test_an_expired_link_mails_a_fresh_one_to_the_same_address(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    for below in ("", "/later", "/off"):
        page = browser.get(link(services, work.suzuki, below, LONG_AGO))
        assert page.status_code == 410
        assert "新しいメールを受け取る" in page.text
        assert "鈴木" not in page.text
    action = re.search(r'action="([^"]+)"', page.text)
    assert action is not None
    assert mails(db) == []
    answer = browser.post(action[1])
    assert "新しいリンクをお送りします" in answer.text
    assert mails(db) == [("asked_reminder", State.READY, NOW + timedelta(minutes=2))]
    with db.read() as session:
        assert session.scalars(select(OutboxMail.to_addr)).one() == "suzuki.ichiro@example.jp"


def test_asking_again_and_again_brings_one_mail_and_three_a_day_at_most(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    address = link(services, work.suzuki, "/again", LONG_AGO)
    for _ in range(20):
        assert browser.post(address).status_code == 200
    assert len(mails(db)) == 1
    for _ in range(5):
        with db.write() as session:
            session.execute(
                update(OutboxMail).values(state=State.ACCEPTED, accepted_at=tokyo(9, 3))
            )
        travel.shift(timedelta(minutes=11))
        browser.post(address)
    assert len(mails(db)) == 3


def test_the_answer_is_the_same_whatever_happens(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    """One with a task, one with nothing to report, one who left, one who was deleted, quiet hours."""
    with db.write() as session:
        gone = session.get_one(Member, work.sato.id)
        gone.active = False
    addresses = [link(services, who, "/again", LONG_AGO) for who in (work.suzuki, work.sato)]
    never = services.links.report_token(ReportLink(999_999, LONG_AGO))
    answers = {browser.post(address).text for address in (*addresses, f"/r/{never}/again")}
    travel.move_to(tokyo(22, 30), tick=False)
    answers.add(browser.post(link(services, work.tanaka, "/again", LONG_AGO)).text)
    texts = {re.sub(r"/r/[\w-]+", "", answer) for answer in answers}
    assert len(texts) == 1
    assert len(mails(db)) == 1


def test_no_fresh_mail_on_a_day_off(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    browser.post(link(services, work.suzuki, "/off"), data={"action": "off"})
    browser.post(link(services, work.suzuki, "/again", LONG_AGO))
    assert mails(db) == []


def test_looking_at_the_address_mails_nothing(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "/again", LONG_AGO)
    assert (browser.get(address).status_code, browser.head(address).status_code) == (405, 405)
    assert mails(db) == []


# --- whose link ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["inactive", "deleted"])
def test_the_link_of_somebody_who_left_is_a_neutral_page(
    browser: FlaskClient, services: Services, db: Database, work: People, gone: str
) -> None:
    addresses = [link(services, work.suzuki, below) for below in ("/later", "/off")]
    with db.write() as session:
        member = session.get_one(Member, work.suzuki.id)
        if gone == "inactive":
            member.active = False
        else:
            session.delete(member)
    answers = [browser.get(address) for address in addresses]
    answers += [browser.post(address, data={"action": "off"}) for address in addresses]
    for answer in answers:
        assert answer.status_code == 410
        assert "鈴木" not in answer.text
    assert leave(db) == []


@pytest.mark.parametrize("below", ["/later", "/off", "/again", "/undo"])
def test_a_made_up_token_is_a_designed_404(
    browser: FlaskClient, services: Services, work: People, below: str
) -> None:
    answer = browser.post(f"/r/AAAAAAAAAAAAAAAAAAAAAAtJqhE{below}", data={"action": "off"})
    assert answer.status_code == 404
    assert "このリンクは完全ではありません" in answer.text


def test_the_pages_speak_the_members_language(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    with db.write() as session:
        session.execute(update(Member).values(locale="en", notify_at=time(9)))
    assert "When shall we remind you?" in browser.get(link(services, work.suzuki, "/later")).text
    assert (
        "Is today, Tue 24 Nov, a day off?" in browser.get(link(services, work.suzuki, "/off")).text
    )
    done = browser.post(link(services, work.suzuki, "/later"), data={"until": "hour"}).text
    assert "You will be reminded at 10:05" in done
