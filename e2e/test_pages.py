"""Every page of tests/pages.py: axe finds nothing, and nothing is wider than its window."""

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from e2e.conftest import DESK, PHONE, Theme, Visit
from e2e.server import Site
from tests.pages import PAGES, Page

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_axe_finds_nothing_and_the_page_fits(
    visit: Visit, site: Site, page: Page, language: Literal["ja", "en"]
) -> None:
    shown = visit(site, page.path, page.reader, language=language, status=page.status)
    themes: tuple[Theme, ...] = ("light", "dark")
    for theme in themes:
        shown.emulate_media(color_scheme=theme)
        for width in (DESK, PHONE):
            shown.set_viewport_size({"width": width, "height": 800})
            found = Axe().run(shown, options=OPTIONS)
            assert found.violations_count == 0, f"{width} {theme}: {found.generate_report()}"
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.locator("html").get_attribute("lang") == language


@pytest.mark.parametrize("language", ["ja", "en"])
def test_on_a_phone_the_tabs_are_one_row_with_the_current_one_in_sight(
    visit: Visit, site: Site, language: Literal["ja", "en"]
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
