"""`make screenshots`: a picture of every page into the folder SCREENSHOTS. Look at each one."""

import os
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from e2e.conftest import DESK, PHONE, Theme, Visit
from e2e.server import Site
from tests.pages import PAGES, Page

FOLDER = os.environ.get("SCREENSHOTS")
LETTER = Path(__file__).parent.parent / "tests" / "golden" / "reminder-suzuki.html"
LOOKS: tuple[tuple[int, Theme, Literal["ja", "en"]], ...] = (
    (DESK, "light", "ja"),
    (PHONE, "light", "ja"),
    (PHONE, "dark", "en"),
)


@pytest.mark.skipif(FOLDER is None, reason="only for `make screenshots`")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_draw(visit: Visit, site: Site, page: Page) -> None:
    folder = Path(FOLDER or "")
    folder.mkdir(parents=True, exist_ok=True)
    for width, theme, language in LOOKS:
        look = {"width": width, "theme": theme, "language": language, "status": page.status}
        shown = visit(site, page.path, page.reader, **look)
        shown.screenshot(
            path=folder / f"{page.name}-{width}-{theme}-{language}.png", full_page=True
        )


@pytest.mark.skipif(FOLDER is None, reason="only for `make screenshots`")
def test_draw_the_mail_on_a_phone(browser: Browser) -> None:
    folder = Path(FOLDER or "")
    folder.mkdir(parents=True, exist_ok=True)
    shown = browser.new_page(viewport={"width": PHONE, "height": 812}, device_scale_factor=2)
    shown.set_content(LETTER.read_text(encoding="utf-8"))
    shown.screenshot(path=folder / "mail-375-light-ja.png")
    shown.close()
