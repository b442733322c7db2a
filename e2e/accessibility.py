"""What every page has to pass: axe finds nothing, and nothing is wider than its window."""

from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from e2e.conftest import DESK, PHONE, Theme

Language = Literal["ja", "en"]

_WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_OPTIONS = {"runOnly": {"type": "tag", "values": _WCAG}, "resultTypes": ["violations"]}
# Each theme at each width, half of them in each language: colours and places hang on theme and
# width, so a page that is asked for in both languages is judged in all four.
_LOOKS: dict[Language, tuple[tuple[Theme, int], ...]] = {
    "ja": (("light", PHONE), ("dark", DESK)),
    "en": (("light", DESK), ("dark", PHONE)),
}


def assert_accessible(page: Page, language: Language) -> None:
    """The page as it stands, in this language's two looks; and its width on small windows too."""
    for theme, width in _LOOKS[language]:
        page.emulate_media(color_scheme=theme)
        assert_fits(page, width)
        found = Axe().run(page, options=_OPTIONS)
        assert found.violations_count == 0, f"{width} {theme}: {found.generate_report()}"
    for width in (DESK, PHONE, 320):
        assert_fits(page, width)


def assert_fits(page: Page, width: int) -> None:
    """Makes the window so wide; the page needs no more."""
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"wider than {width}"
