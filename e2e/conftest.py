"""A browser and the pages, one of each per run; who is signed in is remembered."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

from app.config import Config
from e2e.server import Site, running
from tests.look import QUIET
from tests.pages import EMAILS, Reader

Theme = Literal["light", "dark"]
Visit = Callable[..., Page]

PHONE, DESK = 375, 1280
HANG = 60_000  # milliseconds that only bound a hang
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_MISSING = (
    "Chromium がありません。sudo apt install chromium fonts-noto-cjk / "
    "There is no Chromium: sudo apt install chromium fonts-noto-cjk"
)


def pytest_configure(config: pytest.Config) -> None:
    """Our own settings are taken out of the environment; without a browser it ends here."""
    del config
    for field in Config.model_fields.values():
        os.environ.pop(str(field.alias), None)
    expect.set_options(timeout=HANG)
    if _chromium() is None:
        pytest.exit(_MISSING, returncode=2)


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, _CHROMIUM)), None)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The pages with the sample team, read by many tests: what changes it asks for `own_site`."""
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """The pages with the sample team, for one test alone."""
    with running(tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_chromium(), args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def _states() -> dict[tuple[str, str], StorageState]:
    """Cookies by site and address: one sign-in mail a minute is all that an address gets."""
    return {}


@pytest.fixture
def visit(browser: Browser, _states: dict[tuple[str, str], StorageState]) -> Iterator[Visit]:
    """`visit(site, "/settings", "member", width=375, theme="dark", language="en")`: the page.

    A fault of a script, or another status than was expected, fails the test.
    """
    with ExitStack() as stack:

        def visit(
            site: Site,
            path: str,
            reader: Reader = "anybody",
            *,
            width: int = DESK,
            theme: Theme = "light",
            language: Literal["ja", "en"] = "ja",
            scripts: bool = True,
            status: int = 200,
        ) -> Page:
            options: dict[str, Any] = {
                "viewport": {"width": width, "height": 800},
                "color_scheme": theme,
                "locale": "ja-JP" if language == "ja" else "en-GB",
                "java_script_enabled": scripts,
                "base_url": site.url,
            }
            if reader != "anybody":
                options["storage_state"] = _signed_in(browser, site, EMAILS[reader], _states)
            context = stack.enter_context(browser.new_context(**options))
            context.set_default_timeout(HANG)
            context.add_cookies([{"name": "lang", "value": language, "url": site.url}])
            page = context.new_page()
            page.on("pageerror", lambda error: pytest.fail(f"{path}: {error}"))
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == status, f"{path} answers {answer.status}"
            return page

        yield visit


def _signed_in(
    browser: Browser, site: Site, email: str, states: dict[tuple[str, str], StorageState]
) -> StorageState:
    if (site.url, email) not in states:
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(site.sign_in_link(email))
            page.locator("main button").click()
            page.wait_for_url(f"{site.url}/")
            states[site.url, email] = context.storage_state()
    return states[site.url, email]
