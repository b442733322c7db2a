"""The report page behind a mail's link, as a browser uses it: on both databases."""

import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from html import unescape

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app import create_app, reminders, reports
from app.auth import ReportLink, StopLink
from app.config import Config
from app.db import Database
from app.models import Member, Report, Task
from app.services import Services
from tests.conftest import NOW, TODAY, People, task

FRIDAY = date(2026, 11, 20)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Nine o'clock on Tuesday; `move_to` changes it."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def app(config: Config, services: Services, clock: time_machine.Traveller) -> Flask:
    """The application on `services`."""
    return create_app(config, services)


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """A browser without cookies."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def work(db: Database, team: People) -> People:
    """鈴木さん has T-1 (due today, reported on Friday by 佐藤さん a week ago) and T-2; 田中さん T-3."""
    with db.write() as session:
        first = task("T-1", team.suzuki, title="監視ダッシュボード作成", due_on=TODAY)
        second = task("T-2", team.suzuki, title="<b>単体テスト</b>", due_on=FRIDAY)
        session.add_all([first, second, task("T-3", team.tanaka)])
        session.flush()
        session.add(
            Report(
                task_id=first.id,
                reporter_id=team.sato.id,
                counts_for=date(2026, 11, 13),
                percent=85,
                status="at_risk",
                text="想定より工数がかかりそうです。",
                created_at=NOW - timedelta(days=11),
            )
        )
    return team


def link(services: Services, member: Member, ref: str | None = None, day: date = TODAY) -> str:
    """The path of a report link."""
    return _path(services, services.links.report_url(ReportLink(member.id, day, ref)))


def _path(services: Services, url: str) -> str:
    return url.removeprefix(services.config.app_base_url.rstrip("/"))


def filled(ref: str, status: str = "", percent: str = "", text: str = "") -> dict[str, str]:
    """One task's fields."""
    return {f"status:{ref}": status, f"percent:{ref}": percent, f"text:{ref}": text}


def form(*tasks: dict[str, str]) -> dict[str, object]:
    """The whole form."""
    fields: dict[str, object] = {"ref": [next(iter(one)).partition(":")[2] for one in tasks]}
    for one in tasks:
        fields |= one
    return fields


def written(db: Database) -> list[tuple[str, int, str, str, date]]:
    """What was reported, without the one report that was there before."""
    with db.read() as session:
        rows = session.execute(
            select(Task.ref, Report.percent, Report.status, Report.text, Report.counts_for)
            .join(Task, Task.id == Report.task_id)
            .where(Report.counts_for > date(2026, 11, 13))
            .order_by(Report.id)
        )
        return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


def status_of(db: Database, ref: str) -> tuple[str, date | None]:
    with db.read() as session:
        row = session.execute(select(Task.status, Task.closed_on).where(Task.ref == ref)).one()
        return row[0], row[1]


# --- looking ------------------------------------------------------------------------------------


def test_the_link_of_a_task_shows_that_task_with_its_due_date_and_last_word(
    browser: FlaskClient, services: Services, work: People
) -> None:
    page = browser.get(link(services, work.suzuki, "T-1"))
    assert page.status_code == 200
    assert "<h1>監視ダッシュボード作成</h1>" in page.text
    assert "今日が期限 11月24日(火)" in page.text
    assert "佐藤 花子さん・85%" in page.text
    assert "想定より工数がかかりそうです。" in page.text
    assert "T-2" not in page.text
    assert "鈴木 一郎さんの報告として記録します" in page.text


def test_one_task_comes_filled_in_as_last_reported_so_that_two_taps_are_enough(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-1")
    page = browser.get(address).text
    assert re.search(r'value="at_risk" checked', page)
    assert re.search(r'name="percent:T-1" value="85"', page)
    assert browser.post(address, data=form(filled("T-1", "at_risk", "85"))).status_code == 200
    assert written(db) == [("T-1", 85, "at_risk", "", FRIDAY)]


def test_the_link_of_all_tasks_shows_them_overdue_first_and_nothing_filled_in(
    browser: FlaskClient, services: Services, work: People
) -> None:
    page = browser.get(link(services, work.suzuki)).text
    assert "<h1>未報告のタスクが2件あります</h1>" in page
    assert page.index("T-2") < page.index("T-1")
    assert "T-3" not in page
    assert re.findall(r'value="(\w*)" checked', page) == ["", ""]
    assert "期限切れ 11月20日(金)" in page


def test_what_people_wrote_is_shown_inert(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    nasty = "<script>alert(1)</script> {{7*7}} ${x} [a](javascript:alert(1))"
    address = link(services, work.suzuki, "T-2")
    assert "&lt;b&gt;単体テスト&lt;/b&gt;" in browser.get(address).text
    done = browser.post(address, data=form(filled("T-2", "on_track", "5", nasty)))
    for page in (done.text, browser.get(address).text):
        assert "<script" not in page
        assert "{{7*7}}" in page
        assert 'href="javascript' not in page
    assert written(db)[0][3] == nasty


@pytest.mark.parametrize("ref", ["T-1", None])
def test_looking_a_hundred_times_writes_nothing(
    browser: FlaskClient, services: Services, db: Database, work: People, ref: str | None
) -> None:
    address = link(services, work.suzuki, ref)
    for _ in range(50):
        assert browser.get(address, headers={"Purpose": "prefetch"}).status_code == 200
        assert browser.head(address).status_code == 200
    assert written(db) == []


def test_the_page_speaks_the_members_language_unless_asked_otherwise(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    with db.write() as session:
        session.execute(update(Member).values(locale="en"))
    address = link(services, work.suzuki)
    page = browser.get(address, headers={"Accept-Language": "ja"}).text
    assert "<h1>2 unreported tasks</h1>" in page
    assert "Overdue, was due Fri 20 Nov" in page
    assert "未報告のタスクが2件" in browser.get(f"{address}?lang=ja").text


def test_a_chosen_language_lasts_to_the_next_page(
    browser: FlaskClient, services: Services, work: People
) -> None:
    address = link(services, work.suzuki, "T-1") + "?lang=en"
    page = browser.post(address, data=form(filled("T-1", "on_track", "90"))).text
    assert "Your report is recorded" in page
    links = re.findall(r'href="([^"]*/r/[^"]*)"', page)
    assert links
    assert all(one.endswith("?lang=en") for one in links)


def test_an_older_mail_leads_to_everything_that_is_open_now(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    """A report made today counts for Friday or later, which the mail of Thursday 19 cannot know."""
    address = link(services, work.suzuki, day=date(2026, 11, 19))
    browser.post(address, data=form(filled("T-1", "on_track", "90")))
    page = browser.get(address).text
    assert "T-2" in page
    assert "T-1" not in page


def test_when_everything_is_reported_the_page_says_so(
    browser: FlaskClient, services: Services, work: People
) -> None:
    page = browser.get(link(services, work.sato))
    assert page.status_code == 200
    assert "未報告のタスクはありません" in page.text
    assert "<form" not in page.text


def test_fifty_tasks_stand_on_a_page_and_the_rest_is_counted(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    with db.write() as session:
        session.add_all(task(f"N-{number:03}", work.tanaka) for number in range(60))
    page = browser.get(link(services, work.tanaka)).text
    assert "未報告のタスクが61件あります" in page
    assert page.count("<fieldset") == 50
    assert "ほかに11件あります" in page


# --- reporting ----------------------------------------------------------------------------------


def test_only_the_tasks_that_were_filled_in_are_recorded_and_the_rest_is_one_tap_away(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    data = form(
        filled("T-1", "blocked", "85", "環境が動きません。\r\n相談させてください。"), filled("T-2")
    )
    done = browser.post(link(services, work.suzuki), data=data)
    assert done.status_code == 200
    text = "環境が動きません。\n相談させてください。"
    assert written(db) == [("T-1", 85, "blocked", text, FRIDAY)]
    assert "報告を記録しました" in done.text
    assert "止まっている" in done.text
    assert text in done.text
    assert "まだ未報告のタスク 1件" in done.text
    rest = re.findall(r'class="button" href="([^"]+)"', done.text)
    assert "単体テスト" in browser.get(_path(services, rest[0])).text


def test_the_last_report_ends_the_list_and_can_be_corrected(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki)
    data = form(filled("T-1", "on_track", "90"), filled("T-2", "on_track", "10"))
    done = browser.post(address, data=data).text
    assert "未報告のタスクはもうありません" in done
    correct = _path(services, re.findall(r'href="([^"]*/r/[^"]*)"', done)[0])
    page = browser.get(correct).text
    assert "このタスクは報告済みです" in page
    assert "未報告のタスクはありません" in browser.get(address).text
    ref = "T-2" if "T-2" in page else "T-1"
    browser.post(correct, data=form(filled(ref, "blocked", "20")))
    assert [one[:3] for one in written(db) if one[0] == ref][-1] == (ref, 20, "blocked")


def test_the_reminder_does_not_name_what_was_reported_from_the_page(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    clock: time_machine.Traveller,
) -> None:
    browser.post(link(services, work.suzuki, "T-1"), data=form(filled("T-1", "on_track", "90")))
    (forecast,) = reminders.simulate(services, TODAY, TODAY, email="suzuki.ichiro@example.jp")
    assert forecast.tasks == ["T-2"]


@pytest.mark.parametrize(
    "typed_and_read",
    [("0", 0), ("100", 100), ("５０", 50), (" 50 % ", 50), ("７５％", 75), ("", 85), ("007", 7)],
)
def test_a_percent_is_read_as_people_type_it_and_empty_means_as_before(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    typed_and_read: tuple[str, int],
) -> None:
    typed, percent = typed_and_read
    data = form(filled("T-1", "on_track", typed))
    assert browser.post(link(services, work.suzuki, "T-1"), data=data).status_code == 200
    assert [one[1] for one in written(db)] == [percent]


def test_done_closes_the_task_at_100_and_another_report_opens_it_again(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-2")
    browser.post(address, data=form(filled("T-2", "done")))
    assert written(db) == [("T-2", 100, "done", "", FRIDAY)]
    assert status_of(db, "T-2") == ("done", TODAY)
    assert "このタスクは完了になっています" in browser.get(address).text
    browser.post(address, data=form(filled("T-2", "on_track", "60")))
    assert status_of(db, "T-2") == ("open", None)


def test_the_same_form_sent_twice_writes_one_report(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address, data = (
        link(services, work.suzuki, "T-1"),
        form(filled("T-1", "on_track", "90", "順調")),
    )
    first, second = (browser.post(address, data=data) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.text == second.text
    assert len(written(db)) == 1


def test_the_same_form_sent_eight_times_at_once_writes_one_report(
    app: Flask, services: Services, db: Database, work: People
) -> None:
    address, data = (
        link(services, work.suzuki),
        form(filled("T-1", "on_track"), filled("T-2", "done")),
    )
    with ThreadPoolExecutor(8) as pool:
        codes = pool.map(lambda _: app.test_client().post(address, data=data).status_code, range(8))
    assert set(codes) == {200}
    assert sorted(one[0] for one in written(db)) == ["T-1", "T-2"]


def test_a_form_sent_again_with_other_words_is_another_report_and_the_last_one_holds(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-1")
    for status in ("on_track", "blocked", "on_track"):
        browser.post(address, data=form(filled("T-1", status, "50")))
    assert [one[2] for one in written(db)] == ["on_track", "blocked", "on_track"]


def test_the_same_words_on_another_day_are_another_report(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    clock: time_machine.Traveller,
) -> None:
    address, data = link(services, work.suzuki, "T-1"), form(filled("T-1", "on_track", "90"))
    browser.post(address, data=data)
    clock.move_to(NOW + timedelta(days=1), tick=False)
    browser.post(address, data=data)
    assert [one[4] for one in written(db)] == [FRIDAY, TODAY]


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed", ["-1", "101", "50.5", "半分", "1e2", "５０．５", "9" * 400, "\x00"]
)
def test_a_percent_that_is_none_is_named_and_what_was_typed_stays(
    browser: FlaskClient, services: Services, db: Database, work: People, typed: str
) -> None:
    address = link(services, work.suzuki)
    data = form(filled("T-1", "blocked", typed, "書いた言葉"), filled("T-2", "on_track", "40"))
    for asked, words in (("ja", "0から100までの整数"), ("en", "whole number from 0 to 100")):
        answer = browser.post(f"{address}?lang={asked}", data=data)
        assert answer.status_code == 422
        assert words in answer.text
        assert 'aria-invalid="true"' in answer.text
        assert "書いた言葉" in answer.text
        assert f'name="percent:T-1" value="{typed}"' in unescape(answer.text)
        assert len(re.findall(r'value="(?:blocked|on_track)" checked', answer.text)) == 2
    assert written(db) == []


def test_a_percent_is_asked_for_where_there_is_none_from_before(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    answer = browser.post(link(services, work.suzuki), data=form(filled("T-2", "on_track")))
    assert answer.status_code == 422
    assert "進捗を0から100までの整数で書いてください。" in answer.text
    assert written(db) == []


@pytest.mark.parametrize("status", ["", "fine", "cancelled"])
def test_words_without_a_status_are_not_lost(
    browser: FlaskClient, services: Services, db: Database, work: People, status: str
) -> None:
    data = form(filled("T-1", status, "", "書いた言葉"))
    answer = browser.post(link(services, work.suzuki), data=data)
    assert answer.status_code == 422
    assert "状況を一つ選んでください" in answer.text
    assert "書いた言葉" in answer.text
    assert written(db) == []


@pytest.mark.parametrize("text", ["", "   \u3000 ", "\u200b\u200b\ufeff", "\u200d", "\x00\x07"])
def test_a_text_that_nobody_can_see_is_no_text(
    browser: FlaskClient, services: Services, db: Database, work: People, text: str
) -> None:
    address = link(services, work.suzuki)
    assert browser.post(address, data=form(filled("T-1", "", "", text))).status_code == 422
    assert browser.post(address, data=form(filled("T-1", "on_track", "9", text))).status_code == 200
    assert [one[3] for one in written(db)] == [""]


@pytest.mark.parametrize("length", [2_001, 100_000])
def test_a_text_beyond_the_limit_is_refused_with_both_numbers_and_stays_in_the_form(
    browser: FlaskClient, services: Services, db: Database, work: People, length: int
) -> None:
    data = form(filled("T-1", "on_track", "90", "あ" * length))
    answer = browser.post(link(services, work.suzuki, "T-1"), data=data)
    assert answer.status_code == 422
    assert f"2,000文字までにしてください。いまは{length:,}文字です。" in answer.text
    assert "あ" * length in answer.text
    assert written(db) == []


def test_an_empty_form_says_what_is_missing(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    answer = browser.post(link(services, work.suzuki), data=form(filled("T-1"), filled("T-2")))
    assert answer.status_code == 422
    assert "状況を一つ以上選んでください" in answer.text
    assert browser.post(link(services, work.suzuki), data={"ref": "\x00"}).status_code == 422


# --- whose task, whose link ---------------------------------------------------------------------


def test_a_task_that_is_not_theirs_shows_neutral_words_and_takes_no_report(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    for ref in ("T-3", "T-99"):
        address = link(services, work.suzuki, ref)
        page = browser.get(address)
        assert page.status_code == 200
        assert "このタスクの報告は必要ありません" in page.text
        assert "タスク T-3" not in page.text
        assert browser.post(address, data=form(filled(ref, "done"))).status_code == 409
    assert written(db) == []


def test_a_link_to_one_task_reports_on_no_other_one(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    browser.post(link(services, work.suzuki, "T-1"), data=form(filled("T-2", "done")))
    browser.post(link(services, work.suzuki), data=form(filled("T-3", "done")))
    assert written(db) == []


def test_a_cancelled_task_says_so_and_takes_no_report(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    with db.write() as session:
        session.execute(update(Task).where(Task.ref == "T-1").values(status="cancelled"))
    address = link(services, work.suzuki, "T-1")
    answers = (browser.get(address), browser.post(address, data=form(filled("T-1", "done"))))
    assert [answer.status_code for answer in answers] == [200, 409]
    assert all("取りやめになりました" in answer.text for answer in answers)
    assert written(db) == []


def test_a_task_that_went_to_somebody_else_stops_no_other_report(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    data = form(filled("T-1", "on_track"), filled("T-3", "on_track", "5"))
    done = browser.post(link(services, work.suzuki), data=data)
    assert done.status_code == 200
    assert "担当が替わったか取りやめになったタスクが1件" in done.text
    assert [one[0] for one in written(db)] == ["T-1"]


def test_tasks_that_all_went_to_somebody_else_are_said_to_be_unrecorded(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki)
    gone = browser.post(address, data=form(filled("T-3", "on_track", "5")))
    assert gone.status_code == 409
    assert "報告を記録できませんでした" in gone.text
    partly = browser.post(address, data=form(filled("T-3", "on_track", "5"), filled("T-1")))
    assert partly.status_code == 422
    assert "担当が替わったか取りやめになったタスクが1件" in partly.text


def test_writing_looks_again_whose_task_it_is(
    services: Services, db: Database, work: People
) -> None:
    """The page was read a moment before; the task may have gone in between."""
    entry = reports.Entry("T-3", 5, "on_track", "")
    result = reports.write(services, ReportLink(work.suzuki.id, TODAY, None), [entry], NOW)
    assert result.tasks == []
    assert [one.task.ref for one in result.still] == ["T-2", "T-1"]
    assert written(db) == []


def test_a_link_works_for_seven_days_and_then_says_to_use_the_newest_mail(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    clock: time_machine.Traveller,
) -> None:
    address, data = link(services, work.suzuki, "T-1"), form(filled("T-1", "on_track", "90"))
    clock.move_to(NOW + timedelta(days=7), tick=False)
    assert browser.get(address).status_code == 200
    clock.move_to(NOW + timedelta(days=8), tick=False)
    for answer in (browser.get(address), browser.post(address, data=data)):
        assert answer.status_code == 410
        assert "いちばん新しいリマインダーのメール" in answer.text
    assert written(db) == []


@pytest.mark.parametrize("token", ["x", "WzEsMSxudWxsXQ.abc", "%00", "%E3%81%82", "a" * 5000])
def test_a_token_that_was_not_made_here_is_a_designed_404(
    browser: FlaskClient, work: People, token: str
) -> None:
    for answer in (browser.get(f"/r/{token}"), browser.post(f"/r/{token}", data={})):
        assert answer.status_code == 404
        assert "ページが見つかりません" in answer.text


def test_a_stop_link_reports_nothing_and_an_altered_one_is_refused(
    browser: FlaskClient, services: Services, work: People
) -> None:
    stop = services.links.stop_url(StopLink(work.suzuki.id, "reminder"))
    assert browser.get(_path(services, stop).replace("/u/", "/r/")).status_code == 404
    address = link(services, work.suzuki, "T-1")
    other = link(services, work.tanaka, "T-1")
    mixed = address.partition(".")[0] + "." + other.partition(".")[2]
    assert browser.get(mixed).status_code == 404


@pytest.mark.parametrize("gone", ["inactive", "deleted"])
def test_the_link_of_somebody_who_left_is_a_neutral_page(
    browser: FlaskClient, services: Services, db: Database, work: People, gone: str
) -> None:
    address = link(services, work.suzuki, "T-1")
    with db.write() as session:
        member = session.get_one(Member, work.suzuki.id)
        if gone == "inactive":
            member.active = False
        else:
            session.delete(member)
    answers = (browser.get(address), browser.post(address, data=form(filled("T-1", "done"))))
    for answer in answers:
        assert answer.status_code == 410
        assert "鈴木" not in answer.text
        assert "監視" not in answer.text
    assert written(db) == []


def test_no_answer_sets_a_cookie_or_may_be_stored(
    browser: FlaskClient, services: Services, work: People
) -> None:
    answer = browser.get(link(services, work.suzuki))
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_fault_of_ours_is_logged_without_the_token(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with db.write() as session:
        session.execute(update(Member).values(timezone="Nowhere/Atall"))
    address = link(services, work.suzuki)
    with caplog.at_level(logging.DEBUG):
        answer = browser.get(address)
    assert answer.status_code == 500
    assert "こちらの不具合です" in answer.text
    assert "Exception on /r/<token> [GET]" in caplog.text
    assert "Nowhere/Atall" in caplog.text
    assert address.removeprefix("/r/") not in caplog.text
