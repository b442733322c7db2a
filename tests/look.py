"""Pictures of the letters: `python -m tests.look FOLDER` draws each in headless Chromium.

A wide window and two phone widths, light and dark. Look at them after every change of
app/templates/mail: a test can say that a letter is right, not that it is calm.
"""

import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, sync_playwright

from app.compose.digest import weekly_digest
from app.compose.escalation import escalation
from app.compose.reminder import reminder
from app.mime.message import MailMessage
from tests.letters import LETTERS
from tests.team_letters import ESCALATIONS, digests

WIDTHS = (320, 375, 600)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def main(folder: Path) -> None:
    """Write NAME-WIDTH-THEME.png for every sample letter into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path="/usr/bin/chromium", args=QUIET, offline=True
        )
        page = browser.new_page()
        for name, message in letters().items():
            page.set_content(message.html or "")
            draw(page, folder / name)
        browser.close()


def letters() -> dict[str, MailMessage]:
    """Every sample letter by its name."""
    found = {name: reminder(facts) for name, facts in LETTERS.items()}
    found |= {name: weekly_digest(facts) for name, facts in digests().items()}
    return found | {name: escalation(facts) for name, facts in ESCALATIONS.items()}


def draw(page: Page, path: Path) -> None:
    """The shown letter in every width and theme; says so where it is wider than its window."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        needed = page.evaluate("document.documentElement.scrollWidth")
        if needed > width:
            print(f"{path.name}: needs {needed} px in {width} px")
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            page.screenshot(path=f"{path}-{width}-{theme}.png", full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
