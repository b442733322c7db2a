"""The lead's board in a browser, also without scripts: who is on top, a nudge that arrives, why not."""

import re
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect
from sqlalchemy import delete, select

from app import clock
from app.members.changes import set_member
from app.members.defaults import set_settings
from app.models import DaysOff, Kind, OutboxMail
from app.people.lookup import find
from app.people.weekend_and_region import WEEKDAYS
from e2e.conftest import DESK, PHONE, Visit
from e2e.server import Site


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_board_has_the_blocked_on_top_and_a_picture_of_each_member(
    site: Site, visit: Visit, width: int
) -> None:
    page = visit(site, "/team", "lead", width=width, scripts=False)
    rows = page.locator(".board tbody tr")
    expect(rows).to_have_count(7)
    expect(rows.first).to_contain_text("田中 美咲")
    expect(rows.first).to_contain_text("止まっている")
    expect(page.get_by_text("時点")).to_be_visible()
    picture = rows.first.get_by_role("img")
    expect(picture).to_have_attribute("aria-label", re.compile("未報告"))
    box = picture.bounding_box()
    assert box is not None
    assert box["width"] >= 240  # ten squares of 24 px
    page.get_by_role("link", name="田中 美咲").click()
    expect(page.get_by_role("heading", name="これまでの報告")).to_be_visible()


def test_a_nudge_arrives_and_the_next_one_waits(own_site: Site, visit: Visit) -> None:
    member_id = _reminded_on_another_weekday(own_site)
    page = visit(own_site, "/team", "lead", scripts=False)
    page.get_by_role("button", name="伊藤 さくらさん").click()
    expect(page.get_by_role("status")).to_contain_text("伊藤 さくらさんへのリマインダー")
    own_site.send()
    with own_site.services.db.read() as session:
        query = select(OutboxMail.state).where(OutboxMail.kind == Kind.ASKED_REMINDER)
        assert session.scalars(query).all() == ["accepted"]
    page.goto(f"/team/{member_id}")
    page.get_by_role("button", name="いま知らせる").click()
    expect(page.get_by_text("いまは送れません")).to_be_visible()
    expect(page.get_by_text("送ったばかりです")).to_be_visible()


def _reminded_on_another_weekday(site: Site) -> int:
    """伊藤さん works every day and is reminded on tomorrow's weekday, so that a nudge is possible
    whenever this runs.
    """
    now, email = clock.now(), "ito.sakura@example.jp"
    tomorrow = (now.astimezone(ZoneInfo("Asia/Tokyo")).weekday() + 1) % 7
    set_settings(site.services, {"holidays": "none"}, "test", now)
    own = {"weekend": "none", "notify_frequency": "weekly", "weekly_day": WEEKDAYS[tomorrow]}
    set_member(site.services, email, own, "test", now)
    with site.services.db.write() as session:
        session.execute(delete(DaysOff))
        return find(session, email).id


def test_the_csv_is_saved(site: Site, visit: Visit) -> None:
    page = visit(site, "/team", "lead")
    with page.expect_download() as saved:
        page.get_by_role("link", name="CSVで保存").click()
    text = saved.value.path().read_text("utf-8-sig")
    assert text.startswith("team,name,email,")
    assert "T-007" in text
