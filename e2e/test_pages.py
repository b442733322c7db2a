"""Every page of tests/pages.py: axe finds nothing, and nothing is wider than its window."""

import pytest
from playwright.sync_api import expect

from e2e.accessibility import Language, assert_accessible
from e2e.conftest import PHONE, Visit
from e2e.server import Site
from tests.pages import PAGES, Page


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_axe_finds_nothing_and_the_page_fits(
    visit: Visit, site: Site, page: Page, language: Language
) -> None:
    shown = visit(site, page.path, page.reader, language=language, status=page.status)
    assert_accessible(shown, language)
    assert shown.locator("html").get_attribute("lang") == language


@pytest.mark.parametrize("language", ["ja", "en"])
def test_on_a_phone_the_tabs_are_one_row_with_the_current_one_in_sight(
    visit: Visit, site: Site, language: Language
) -> None:
    shown = visit(site, "/admin/audit", "admin", width=PHONE, language=language)
    for name in (".tabs", ".pages"):
        tops = shown.locator(f"{name} a").evaluate_all("all => all.map(one => one.offsetTop)")
        assert len(set(tops)) == 1
        expect(shown.locator(f"{name} [aria-current]")).to_be_in_viewport()


def test_the_tabs_of_the_admin_stand_still_from_page_to_page(visit: Visit, site: Site) -> None:
    places = [
        visit(site, page.path, "admin").locator(".tabs").bounding_box()
        for page in PAGES
        if page.path.startswith("/admin")
    ]
    assert len(places) > 5
    assert all(place == places[0] for place in places)
