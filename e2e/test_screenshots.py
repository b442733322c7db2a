"""`make screenshots`: a picture of every page into the folder SCREENSHOTS. Look at each one."""

import os
from pathlib import Path
from typing import Literal

import pytest

from e2e.conftest import DESK, PHONE, Theme, Visit
from e2e.server import Site
from tests.pages import PAGES, Page

FOLDER = os.environ.get("SCREENSHOTS")
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
