"""The report page behind a mail's link, as a browser uses it: on both databases."""

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from html import unescape

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import select, update

from app import create_app, reminders
from app.config import Config
from app.db import Database
from app.links import ReportLink, StopLink
from app.models import Member, Report, Setting, Task
from app.reports import from_mail
from app.services import Services, make
from tests.conftest import NOW, TODAY, People, task

pytestmark = pytest.mark.pages

FRIDAY = date(2026, 11, 20)


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
    """The path of a report link, for one task or for all."""
    asked = f"?t={task_id(services, ref)}" if ref is not None else ""
    return _path(services, services.links.report_url(ReportLink(member.id, day))) + asked


def task_id(services: Services, ref: str) -> int:
    with services.db.read() as session:
        return session.scalar(select(Task.id).where(Task.ref == ref)) or 999_999


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


def fields_of(page: str, ref: str) -> tuple[str, str]:
    """Percent and status as the form shows them."""
    percent = re.search(rf'name="percent:{ref}" value="([^"]*)"', page)
    status = re.search(rf'name="status:{ref}" value="(\w*)" checked', page)
    return percent[1] if percent else "", status[1] if status else ""


def sent_as_shown(page: str) -> dict[str, object]:
    """The form as a browser sends it when nobody touches a field."""
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page)
    shown = re.findall(r'name="((?:percent|status):[^"]+)" value="([^"]*)"(?: checked| inp)', page)
    return {name: unescape(value) for name, value in (*hidden, *shown)}


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


@pytest.mark.parametrize(
    "choice_and_fields",
    [
        ("25", "25", "at_risk"),  # a number leaves "at risk" as it was: no button says so
        ("75", "75", "at_risk"),
        ("done", "100", "done"),
        ("blocked", "85", "blocked"),
        ("same", "85", "at_risk"),
        ("", "85", "at_risk"),
        ("101", "85", "at_risk"),
        ("５０", "85", "at_risk"),
        ("<b>", "85", "at_risk"),
    ],
)
def test_a_choice_of_the_mail_comes_filled_in_and_a_second_tap_sends_it(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    choice_and_fields: tuple[str, str, str],
) -> None:
    choice, percent, status = choice_and_fields
    address = link(services, work.suzuki, "T-1") + f"&c={choice}"
    page = browser.get(address)
    assert fields_of(page.text, "T-1") == (percent, status)
    assert page.text.count("<button") == 1
    assert browser.post(address, data=sent_as_shown(page.text)).status_code == 200
    assert [one[:3] for one in written(db)] == [("T-1", int(percent), status)]


@pytest.mark.parametrize(
    "choice_and_fields",
    [("50", "50", "on_track"), ("blocked", "0", "blocked"), ("done", "100", "done")],
)
def test_a_choice_for_a_task_without_a_report_is_complete(
    browser: FlaskClient,
    services: Services,
    work: People,
    choice_and_fields: tuple[str, str, str],
) -> None:
    choice, percent, status = choice_and_fields
    page = browser.get(link(services, work.suzuki, "T-2") + f"&c={choice}").text
    assert fields_of(page, "T-2") == (percent, status)


def test_a_number_says_that_a_blocked_task_goes_on_and_as_before_never_says_done(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-1")
    browser.post(address, data=form(filled("T-1", "blocked", "85")))
    assert fields_of(browser.get(f"{address}&c=75").text, "T-1") == ("75", "on_track")
    browser.post(address, data=form(filled("T-1", "done")))
    assert fields_of(browser.get(f"{address}&c=same").text, "T-1") == ("100", "")


@pytest.mark.parametrize("asked", ["t=x", "t=-1", "t=", "t=1e3", "t=" + "9" * 19, "t=１"])
def test_an_address_that_names_no_task_shows_all(
    browser: FlaskClient, services: Services, work: People, asked: str
) -> None:
    page = browser.get(f"{link(services, work.suzuki)}?{asked}&c=done").text
    assert "<h1>未報告のタスクが2件あります</h1>" in page
    assert re.findall(r'value="(\w*)" checked', page) == ["", ""]


def test_a_link_that_names_its_task_itself_works_as_before(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    """Mailed by the version before this one."""
    signed = services.links._report.dumps([work.suzuki.id, TODAY.toordinal(), "T-1"])
    page = browser.get(f"/r/{signed}")
    assert "<h1>監視ダッシュボード作成</h1>" in page.text
    done = browser.post(f"/r/{signed}", data=form(filled("T-1", "on_track", "90")))
    assert [one[:2] for one in written(db)] == [("T-1", 90)]
    rest = re.findall(r'class="button" href="([^"]+)"', done.text)
    assert "単体テスト" in browser.get(unescape(rest[0])).text


def test_looking_a_hundred_times_writes_nothing(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-1")
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
    address = link(services, work.suzuki, "T-1") + "&lang=en"
    page = browser.post(address, data=form(filled("T-1", "on_track", "90"))).text
    assert "Your report is recorded" in page
    links = re.findall(r'href="([^"]*/r/[^"]*)"', page)
    assert links
    assert all("lang=en" in one for one in links)


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
    assert "11月20日(金)分として記録しました(正午までの報告は前の営業日の分です)。" in done.text
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
    travel: time_machine.Traveller,
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
    travel: time_machine.Traveller,
) -> None:
    address, data = link(services, work.suzuki, "T-1"), form(filled("T-1", "on_track", "90"))
    browser.post(address, data=data)
    travel.move_to(NOW + timedelta(days=1), tick=False)
    browser.post(address, data=data)
    assert [one[4] for one in written(db)] == [FRIDAY, TODAY]


def test_the_page_after_says_when_the_next_mail_can_come(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-1")
    done = browser.post(address, data=form(filled("T-1", "on_track", "90"))).text
    assert "次のリマインダーは、早くて11月24日(火) 09:00です。" in done  # T-2 is unreported still
    browser.post(link(services, work.suzuki, "T-2"), data=form(filled("T-2", "on_track", "9")))
    with db.write() as session:
        session.execute(update(Member).values(decided_through=TODAY))
    done = browser.post(f"{address}&lang=en", data=form(filled("T-1", "on_track", "91"))).text
    assert "The next reminder can come on Wed 25 Nov 09:00 at the earliest." in done
    with db.write() as session:
        session.execute(update(Member).values(notify_frequency="none"))
    done = browser.post(address, data=form(filled("T-1", "on_track", "92"))).text
    assert "リマインダーをお送りする予定はありません" in done


# --- two tabs -----------------------------------------------------------------------------------


def test_a_form_sent_again_late_is_still_the_same_report(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    """A phone that found its network again must not turn an old word into the last one."""
    address = link(services, work.suzuki, "T-1")
    old = sent_as_shown(browser.get(f"{address}&c=25").text)
    browser.post(address, data=old)
    travel.shift(timedelta(minutes=5))
    browser.post(address, data=sent_as_shown(browser.get(f"{address}&c=75").text))
    travel.shift(timedelta(minutes=5))
    assert browser.post(address, data=old).status_code == 200
    assert [one[1] for one in written(db)] == [25, 75]


def test_the_second_of_two_tabs_is_recorded_too_and_sees_both_texts(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    address = link(services, work.suzuki, "T-1")
    one, other = (sent_as_shown(browser.get(address).text) for _ in range(2))
    travel.shift(timedelta(minutes=1))
    first = browser.post(address, data=one | {"text:T-1": "一つ目の<画面>"}).text
    assert "別の報告" not in first
    travel.shift(timedelta(minutes=1))
    second = browser.post(address, data=other | {"text:T-1": "二つ目の画面"}).text
    assert "この画面を開いたあとに、別の報告も記録されています。" in second
    assert "一つ目の&lt;画面&gt;" in second
    assert "二つ目の画面" in second
    assert [said[3] for said in written(db)] == ["一つ目の<画面>", "二つ目の画面"]


def test_a_colleagues_report_in_between_is_shown_with_the_name(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    address = link(services, work.suzuki, "T-2")
    opened = sent_as_shown(browser.get(f"{address}&c=50").text)
    travel.shift(timedelta(minutes=1))
    with db.write() as session:
        session.add(
            Report(
                task_id=task_id(services, "T-2"),
                reporter_id=work.sato.id,
                counts_for=TODAY,
                percent=10,
                status="blocked",
                text="代わりに書きました",
                created_at=NOW + timedelta(seconds=30),
            )
        )
    answer = browser.post(address, data=opened).text
    assert "佐藤 花子さんから別の報告も記録されています" in answer
    assert "代わりに書きました" in answer


@pytest.mark.parametrize("key", ["", "x", "1764000000000", "9" * 13 + "-" + "a" * 16, "<b>" * 99])
def test_a_form_without_a_key_of_ours_is_recorded_all_the_same(
    browser: FlaskClient, services: Services, db: Database, work: People, key: str
) -> None:
    data = form(filled("T-1", "on_track", "90")) | {"form": key}
    assert browser.post(link(services, work.suzuki, "T-1"), data=data).status_code == 200
    assert len(written(db)) == 1


# --- taking back --------------------------------------------------------------------------------


def undo_form(page: str) -> tuple[str, dict[str, list[str]]]:
    """Where the undo button sends, and what."""
    action = re.search(r'action="([^"]+/undo[^"]*)"', page)
    assert action is not None
    return unescape(action[1]), {"report": re.findall(r'name="report" value="(\d+)"', page)}


def test_undo_takes_the_report_away_and_the_task_is_unreported_again(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-1")
    where, what = undo_form(browser.post(address, data=form(filled("T-1", "blocked", "9"))).text)
    undone = browser.post(where, data=what)
    assert undone.status_code == 200
    assert "報告を取り消しました" in undone.text
    assert "想定より工数がかかりそうです。" in undone.text  # the last word is the one from before
    assert written(db) == []
    assert "未報告のタスクが2件" in browser.get(link(services, work.suzuki)).text


def test_undo_of_done_opens_the_task_again(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-2") + "&c=done"
    done = browser.post(address, data=sent_as_shown(browser.get(address).text)).text
    assert status_of(db, "T-2") == ("done", TODAY)
    where, what = undo_form(done)
    browser.post(where, data=what)
    assert status_of(db, "T-2") == ("open", None)
    assert written(db) == []


def test_undo_closes_again_what_a_report_had_opened(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    with db.write() as session:
        session.execute(
            update(Task).where(Task.ref == "T-2").values(status="done", closed_on=FRIDAY)
        )
    address = link(services, work.suzuki, "T-2")
    where, what = undo_form(browser.post(address, data=form(filled("T-2", "blocked", "9"))).text)
    assert status_of(db, "T-2") == ("open", None)
    browser.post(where, data=what)
    assert status_of(db, "T-2") == ("done", FRIDAY)


def test_undo_of_many_takes_all_of_them_back(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    data = form(filled("T-1", "done"), filled("T-2", "on_track", "10"))
    where, what = undo_form(browser.post(link(services, work.suzuki), data=data).text)
    assert len(what["report"]) == 2
    assert browser.post(where, data=what).text.count('class="card"') == 2
    assert written(db) == []
    assert status_of(db, "T-1") == ("open", None)


def test_undoing_twice_or_too_late_changes_nothing_and_says_so(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    address = link(services, work.suzuki, "T-1")
    where, what = undo_form(browser.post(address, data=form(filled("T-1", "done"))).text)
    browser.post(where, data=what)
    again = browser.post(where, data=what)
    assert again.status_code == 409
    assert "取り消す報告はありません" in again.text
    done = browser.post(address, data=form(filled("T-1", "done"))).text
    assert "取り消せるのは09:10までです" in done
    where, what = undo_form(done)
    travel.shift(timedelta(minutes=10))
    assert browser.post(where, data=what).status_code == 409
    assert len(written(db)) == 1
    assert status_of(db, "T-1") == ("done", TODAY)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_undoing_two_reports_in_either_order_leads_back_to_the_beginning(
    browser: FlaskClient, services: Services, db: Database, work: People, order: tuple[int, int]
) -> None:
    address = link(services, work.suzuki, "T-2")
    pages = [
        browser.post(address, data=form(filled("T-2", status, "9"))).text
        for status in ("done", "on_track")
    ]
    for which in order:
        where, what = undo_form(pages[which])
        assert browser.post(where, data=what).status_code == 200
    assert status_of(db, "T-2") == ("open", None)
    assert written(db) == []


def test_a_report_made_since_stays_and_decides_what_the_task_is(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-2")
    where, what = undo_form(browser.post(address, data=form(filled("T-2", "on_track", "9"))).text)
    browser.post(address, data=form(filled("T-2", "done")))
    browser.post(where, data=what)
    assert status_of(db, "T-2") == ("done", TODAY)
    assert [one[2] for one in written(db)] == ["done"]


def test_nobody_undoes_what_somebody_else_or_an_import_wrote(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    theirs = browser.post(
        link(services, work.tanaka, "T-3"), data=form(filled("T-3", "on_track", "1"))
    ).text
    mine = browser.post(
        link(services, work.suzuki, "T-1"), data=form(filled("T-1", "on_track", "1"))
    ).text
    where, _ = undo_form(mine)
    _, what = undo_form(theirs)
    with db.read() as session:
        imported = str(session.scalar(select(Report.id).order_by(Report.id)))
    for ids in (what["report"], [imported], ["x", "", "9" * 30, "-1", "\0"]):
        assert browser.post(where, data={"report": ids}).status_code == 409
    assert len(written(db)) == 2


def test_looking_at_the_undo_address_undoes_nothing(
    browser: FlaskClient, services: Services, db: Database, work: People
) -> None:
    address = link(services, work.suzuki, "T-1")
    where, _ = undo_form(browser.post(address, data=form(filled("T-1", "done"))).text)
    refused = browser.get(where)
    assert (refused.status_code, set(refused.allow)) == (405, {"POST", "OPTIONS"})
    assert browser.head(where).status_code == 405
    assert len(written(db)) == 1


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
        answer = browser.post(f"{address}{'&' if '?' in address else '?'}lang={asked}", data=data)
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
    entry = from_mail.FilledReport("T-3", 5, "on_track", "")
    whose, opened = ReportLink(work.suzuki.id, TODAY), from_mail.Form(None, NOW)
    result = from_mail.write(services, whose, [entry], opened, NOW)
    assert result.tasks == []
    assert [one.task.ref for one in result.still] == ["T-2", "T-1"]
    assert written(db) == []


def test_a_link_works_for_seven_days_and_then_offers_a_fresh_mail_and_keeps_what_was_typed(
    browser: FlaskClient,
    services: Services,
    db: Database,
    work: People,
    travel: time_machine.Traveller,
) -> None:
    address = link(services, work.suzuki, "T-1")
    data = form(filled("T-1", "on_track", "90", "長く<考えて>いた言葉"))
    travel.move_to(NOW + timedelta(days=7), tick=False)
    assert browser.get(address).status_code == 200
    travel.move_to(NOW + timedelta(days=8), tick=False)
    for answer in (browser.get(address), browser.post(address, data=data)):
        assert answer.status_code == 410
        assert "新しいメールを受け取る" in answer.text
    assert "長く&lt;考えて&gt;いた言葉" in answer.text
    assert written(db) == []


def test_a_link_of_the_previous_key_works_until_that_key_is_removed(
    config: Config, services: Services, work: People, travel: time_machine.Traveller
) -> None:
    address = link(services, work.suzuki, "T-1")
    new = SecretStr("another made-up key for tests only: 9876543210")
    for previous, status in ((config.secret_key, 200), (None, 404)):
        rotated = config.model_copy(update={"secret_key": new, "secret_key_previous": previous})
        rotated_services = make(rotated)
        answer = create_app(rotated, rotated_services).test_client().get(address)
        assert answer.status_code == status
        rotated_services.db.close()


@pytest.mark.parametrize("token", ["x", "WzEsMSxudWxsXQ.abc", "%00", "%E3%81%82", "a" * 5000])
def test_a_token_that_was_not_made_here_is_a_designed_404(
    browser: FlaskClient, work: People, token: str
) -> None:
    for answer in (browser.get(f"/r/{token}"), browser.post(f"/r/{token}", data={})):
        assert answer.status_code == 404
        assert "このリンクは完全ではありません" in answer.text
        assert 'href="/login"' in answer.text  # the way to a fresh one


STUCK = (
    "）", "。", "/", "//", ".", ",", ")", ">", "%0A", "%0D%0A", "%20です", "%E3%80%8D", "'", "=",
    "%EF%BB%BF", "/）",
)  # fmt: skip


def test_a_link_with_something_stuck_to_its_end_opens_the_same_page(
    browser: FlaskClient, services: Services, work: People
) -> None:
    for page in ("", "/later", "/off"):
        address = link(services, work.suzuki) + page
        shown = title(browser.get(address).text)
        assert [title(browser.get(address + stuck).text) for stuck in STUCK] == [shown] * len(STUCK)


def test_a_link_to_a_task_with_something_stuck_to_its_end_opens_that_task(
    browser: FlaskClient, services: Services, work: People
) -> None:
    asked = task_id(services, "T-1")
    for query in ("?t={}&c=50", "%3Ft={}&c=50", "/%3Ft%3D{}%26c%3D50", "?t={}&c=50。",
                  "?c=50&t={}）", "?t={}%0A&c=50/"):  # fmt: skip
        page = browser.get(link(services, work.suzuki) + query.format(asked))
        assert re.findall(r'name="ref" value="([^"]+)"', page.text) == ["T-1"], query
        assert 'name="percent:T-1" value="50"' in page.text


def test_what_is_no_end_of_a_link_is_not_cut_off(
    browser: FlaskClient, services: Services, work: People
) -> None:
    for end in ("x", "/x", "/later/x", "-", "_"):
        assert browser.get(link(services, work.suzuki) + end).status_code == 404, end


def test_a_link_cut_before_its_token_says_so_with_the_way_to_a_fresh_one(
    browser: FlaskClient,
) -> None:
    for place in ("/r", "/r/", "/u", "/u/"):
        page = browser.get(place)
        assert page.status_code == 404
        assert "途中で切れている" in page.text
        assert 'href="/login"' in page.text


def title(page: str) -> str:
    """The page's heading."""
    return str(re.findall("<h1>(.*?)</h1>", page)[0])


def test_a_stop_link_reports_nothing_and_an_altered_one_is_refused(
    browser: FlaskClient, services: Services, work: People
) -> None:
    stop = services.links.stop_url(StopLink(work.suzuki.id, "reminder"))
    assert browser.get(_path(services, stop).replace("/u/", "/r/")).status_code == 404
    mine, theirs = link(services, work.suzuki), link(services, work.tanaka)
    signature = len("/r/") + 21  # whole characters of it
    assert browser.get(mine[:signature] + theirs[signature:]).status_code == 404


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
        setting = {"key": "notify_at", "value": "no time"}
        session.add(Setting(**setting, changed_by="by hand", changed_at=NOW))
    address = link(services, work.suzuki)
    with caplog.at_level(logging.DEBUG):
        answer = browser.get(address)
    assert answer.status_code == 500
    assert "こちらの不具合です" in answer.text
    assert "Exception on /r/<token> [GET]" in caplog.text
    assert "no time" in caplog.text
    assert address.removeprefix("/r/") not in caplog.text
