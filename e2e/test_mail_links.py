"""From the mail, in a browser on a phone, without scripts: two taps, undo, later, off, stop."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import func, select

from app import clock, reminders
from app.links import ReportLink, StopLink
from app.models import Report
from app.people.lookup import find
from e2e.accessibility import Language, assert_accessible
from e2e.conftest import PHONE, Visit
from e2e.server import Site


def reminded(site: Site) -> str:
    """The first member who has something unreported on the sample's day."""
    ahead = reminders.simulate(site.services, site.today, site.today)
    return next(one.email for one in ahead if one.verdict == "send")


def mailed(site: Site, part: str = "/r/") -> str:
    """The first such link of the mail that this member gets."""
    email = reminded(site)
    reminders.remind(site.services, now=clock.now(), email=email, on=site.today, confirmed=True)
    return site.newest_link(email, part)


def links(site: Site, language: str) -> dict[str, str]:
    """Every page behind a mail's link, as it is when it is opened."""
    with site.services.db.read() as session:
        member_id = find(session, reminded(site)).id
    token = site.services.links
    page = token.report_url(ReportLink(member_id, site.today))
    long_ago = token.report_url(ReportLink(member_id, site.today - timedelta(days=400)))
    stop = token.stop_url(StopLink(member_id, "reminder"))
    all_of_them = {"all": page, "later": f"{page}/later", "off": f"{page}/off", "stop": stop}
    return {
        name: f"{url}?lang={language}" for name, url in {**all_of_them, "expired": long_ago}.items()
    }


def reports(site: Site) -> int:
    """How many reports there are."""
    with site.services.db.read() as session:
        return session.scalar(select(func.count(Report.id))) or 0


def says(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)


def test_two_taps_report_and_a_third_takes_it_back(own_site: Site, visit: Visit) -> None:
    page = visit(own_site, f"{mailed(own_site)}&c=75", width=PHONE, scripts=False)
    button = page.get_by_role("button")
    expect(button).to_have_count(1)
    expect(button).to_be_in_viewport(ratio=1)  # at the thumb's reach, without scrolling
    button.click()
    says(page, "報告を記録しました")
    expect(page.get_by_text("次のリマインダーは")).to_be_visible()
    page.get_by_role("button", name="取り消す").click()
    says(page, "報告を取り消しました")


def test_two_tabs_lose_nothing_and_the_second_sees_both_texts(own_site: Site, visit: Visit) -> None:
    link = mailed(own_site)
    one, other = (visit(own_site, f"{link}&c=50", width=PHONE, scripts=False) for _ in range(2))
    for page, text in ((one, "一つ目の画面"), (other, "二つ目の画面")):
        page.get_by_label("ひとこと").fill(text)
        page.get_by_role("button", name="報告する").click()
        says(page, "報告を記録しました")
    expect(other.get_by_text("別の報告も記録されています")).to_be_visible()
    expect(other.get_by_text("一つ目の画面")).to_be_visible()
    expect(other.get_by_text("二つ目の画面")).to_be_visible()


def test_later_off_today_and_back(own_site: Site, visit: Visit) -> None:
    page = visit(own_site, mailed(own_site, "/later"), width=PHONE, scripts=False)
    page.get_by_label("次の営業日").check()
    page.get_by_role("button", name="あとで知らせる").click()
    says(page, "に再開します")
    page.goto(page.url.replace("/later", "/off"))
    page.get_by_role("button", name="今日は休みにする").click()
    says(page, "をお休みにしました")
    page.get_by_role("button", name="取り消す").click()
    says(page, "お休みを取り消しました")


def test_weekly_then_stopped_then_back(own_site: Site, visit: Visit) -> None:
    page = visit(own_site, mailed(own_site, "/u/"), width=PHONE, scripts=False)
    page.get_by_label("週1回", exact=False).first.check()
    page.get_by_role("button", name="変更する").click()
    says(page, "リマインダーを変更しました")
    page.get_by_role("button", name="受け取りを止める").click()
    says(page, "リマインダーを止めました")
    page.get_by_role("button", name="元に戻す").click()
    says(page, "リマインダーを元に戻しました")
    expect(page.get_by_role("radio", name="週1回")).to_be_checked()


def test_one_click_of_a_mail_program_stops_the_reminders(own_site: Site, visit: Visit) -> None:
    link = mailed(own_site, "/u/")
    page = visit(own_site, link, width=PHONE, scripts=False)
    page.context.clear_cookies()  # a mail program has none
    one_click = page.request.post(link, form={"List-Unsubscribe": "One-Click"})  # RFC 8058
    assert one_click.status == 200
    page.reload()
    says(page, "リマインダーは止まっています")


def test_a_form_sent_twice_writes_one_report(own_site: Site, visit: Visit) -> None:
    page = visit(own_site, f"{mailed(own_site)}&c=50", width=PHONE, scripts=False)
    before = reports(own_site)
    page.get_by_role("button", name="報告する").click()
    says(page, "報告を記録しました")
    page.go_back()
    page.get_by_role("button", name="報告する").click()
    says(page, "報告を記録しました")
    assert reports(own_site) == before + 1


def test_an_expired_link_mails_a_fresh_one(own_site: Site, visit: Visit) -> None:
    gone = links(own_site, "ja")["expired"]
    page = visit(own_site, gone, width=PHONE, scripts=False, status=410)
    says(page, "このリンクの期限は切れています")
    page.get_by_role("button", name="新しいメールを受け取る").click()
    says(page, "新しいリンクをお送りします")


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("name", ["all", "later", "off", "stop", "expired"])
def test_axe_finds_nothing_and_the_page_fits(
    visit: Visit, site: Site, name: str, language: Language
) -> None:
    page = visit(site, links(site, language)[name], status=410 if name == "expired" else 200)
    assert_accessible(page, language)
